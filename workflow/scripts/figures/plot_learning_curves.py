"""Draw the learning curves of a model."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.learning_curves import COLUMNS, plot_learning_curves, summarise_metrics
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

metrics = [read_table(path) for path in snakemake.input.metrics]
baseline = snakemake.params.baseline
table = summarise_metrics(metrics, read_table(snakemake.input.scores), baseline)
figure = plot_learning_curves(table, snakemake.params.levels, snakemake.wildcards.model, baseline)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
