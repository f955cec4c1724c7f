"""Ask of every network, and of its layers, whether the spectra of the groups differ at all."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.files import write_table
from gradspec.stats.omnibus import OMNIBUS_COLUMNS, test_omnibus

trees = [xr.load_datatree(file, engine="h5netcdf") for file in snakemake.input.ratios]
write_table(test_omnibus(trees), snakemake.output.table, OMNIBUS_COLUMNS)
