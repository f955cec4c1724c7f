"""Draw the connectivity of each group and their difference."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.figures.connectivity import COLUMNS, compare_connectivity, plot_connectivity
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

levels = snakemake.params.levels
with xr.open_dataset(snakemake.input.fnc, engine="h5netcdf") as fnc:
    table = compare_connectivity(fnc, read_table(snakemake.input.participants), levels)
figure = plot_connectivity(table, levels, snakemake.params.alpha)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
