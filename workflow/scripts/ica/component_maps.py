"""Collect the participants' own maps of the components in one array, for networks that learn from them."""

from pathlib import Path

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.files import write_dataset
from gradspec.ica.maps import component_maps

given = snakemake.input
with xr.open_dataset(given.timecourses, engine="h5netcdf") as dataset:
    participants, runs = (dataset[name].values.astype(str).tolist() for name in ("participant", "run"))
maps = component_maps(Path(given.maps), participants, runs, given.mask, snakemake.params.shrink)
write_dataset(maps, snakemake.output.maps)
