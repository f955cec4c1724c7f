"""Draw the image quality of every participant."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.quality_control import COLUMNS, plot_quality_control, summarise_quality
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

levels = snakemake.params.levels
table = summarise_quality(
    read_table(snakemake.input.quality),
    read_table(snakemake.input.participants),
    read_table(snakemake.input.excluded),
    levels,
)
figure = plot_quality_control(table, levels, snakemake.params.limits)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
