"""Draw the ranks of all networks beside their bounds."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.rank_bounds import COLUMNS, compare_ranks, plot_rank_bounds
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

output = snakemake.output
tables = [read_table(path) for path in snakemake.input.ranks]
table = compare_ranks(dict(zip(snakemake.params.models, tables, strict=True)))
save_figure(plot_rank_bounds(table), table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
