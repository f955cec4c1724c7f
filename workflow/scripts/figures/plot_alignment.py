"""Draw how the gradients of the two groups lie to each other over training."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.alignment import COLUMNS, plot_alignment, summarise_alignment
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

levels, output = snakemake.params.levels, snakemake.output
table = summarise_alignment(read_table(snakemake.input.features), levels)
figure = plot_alignment(table, levels, snakemake.wildcards.model)
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
