"""Draw how often the tests reject."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.rejection_rates import plot_rejection_rates
from gradspec.figures.saving import save_figure
from gradspec.files import read_json, read_table

table = read_table(snakemake.input.table)
columns, output = read_json(snakemake.input.sidecar), snakemake.output
save_figure(plot_rejection_rates(table), table, columns, png=output.png, svg=output.svg, tsv=output.data)
