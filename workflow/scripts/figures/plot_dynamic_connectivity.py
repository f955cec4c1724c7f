"""Draw the states of dynamic connectivity."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.figures.dynamic_connectivity import COLUMNS, describe_states, plot_dynamic_connectivity
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

given, output = snakemake.input, snakemake.output
labels = read_table(given.labels) if given.labels else None
with xr.open_dataset(given.dfnc, engine="h5netcdf") as dfnc:
    table = describe_states(dfnc, read_table(given.states), read_table(given.participants), labels)
figure = plot_dynamic_connectivity(table, snakemake.params.levels)
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
