"""Compute connectivity in sliding windows, and the states that they fall into."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.files import write_dataset, write_table
from gradspec.ica.dynamic_connectivity import STATES_COLUMNS, cohort_dynamic_fnc

settings = snakemake.params.dynamic
with xr.open_dataset(snakemake.input.timecourses, engine="h5netcdf") as dataset:
    dfnc, states = cohort_dynamic_fnc(
        dataset,
        window=settings["window"],
        taper=settings["taper"],
        step=settings["step"],
        n_states=settings["states"],
        most_states=settings["max_states"],
        seed=snakemake.params.seed,
    )
write_table(states, snakemake.output.states, STATES_COLUMNS)
write_dataset(dfnc, snakemake.output.dfnc)
