"""Compute the functional network connectivity of every run."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.files import write_dataset
from gradspec.ica.connectivity import cohort_fnc

with xr.open_dataset(snakemake.input.timecourses, engine="h5netcdf") as dataset:
    write_dataset(cohort_fnc(dataset, snakemake.params.ica["fnc"]), snakemake.output.fnc)
