"""Draw the effective rank of gradient, activation and delta of a model's layers."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.kinds import COLUMNS, plot_kinds, summarise_kinds
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

table = summarise_kinds(read_table(snakemake.input.features))
figure = plot_kinds(table, snakemake.params.levels, snakemake.wildcards.model)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
