"""Draw the components of the group."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import nibabel as nib
from nilearn.datasets import load_mni152_template

from gradspec.figures.components import COLUMNS, describe_components, plot_components
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

maps = nib.load(snakemake.input.components)
table = describe_components(maps, read_table(snakemake.input.stability), read_table(snakemake.input.labels))
figure = plot_components(maps, table, load_mni152_template(resolution=1))
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
