"""Draw the features of a model's spectra over training."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.saving import save_figure
from gradspec.figures.trajectories import COLUMNS, plot_trajectories, summarise_trajectories
from gradspec.files import read_table

given = snakemake.input
table = summarise_trajectories(read_table(given.features), read_table(given.clusters), snakemake.params.alpha)
figure = plot_trajectories(table, snakemake.params.levels, snakemake.wildcards.model)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
