"""Draw the calibration of all models beside the baseline."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.figures.calibration import COLUMNS, plot_calibration, summarise_calibration
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

params = snakemake.params
predictions = pd.concat([read_table(path) for path in snakemake.input.predictions])
table = summarise_calibration(predictions, params.levels, params.alpha)
figure = plot_calibration(table, params.levels, params.models, params.baseline, params.alpha)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
