"""Draw the connectivity of each group and their difference."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.figures.connectivity import COLUMNS, compare_connectivity, plot_connectivity
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

levels, given = snakemake.params.levels, snakemake.input
labels = read_table(given.labels) if given.labels else None
with xr.open_dataset(given.fnc, engine="h5netcdf") as fnc:
    table = compare_connectivity(fnc, read_table(given.participants), levels, labels)
figure = plot_connectivity(table, levels, snakemake.params.alpha)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
