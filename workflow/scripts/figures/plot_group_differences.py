"""Draw the group differences of all models."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.group_differences import COLUMNS, plot_group_differences, summarise_differences
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

alpha = snakemake.params.alpha
table = summarise_differences(read_table(snakemake.input.readings), alpha)
figure = plot_group_differences(table, snakemake.params.levels, alpha)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
