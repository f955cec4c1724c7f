"""Compute the images of one simulated participant, and write the truth about them."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.cohort.simulate import simulate_participant
from gradspec.cohort.simulate_design import image_sidecars
from gradspec.files import atomic_path, write_dataset, write_json

simulated = snakemake.params.simulated
with xr.open_dataset(snakemake.input.design, engine="h5netcdf") as design:
    participant = simulate_participant(snakemake.wildcards.subject, design.load(), simulated, snakemake.params.seed)

with atomic_path(snakemake.output.t1w) as partial:
    participant.t1w.to_filename(partial)
with atomic_path(snakemake.output.bold) as partial:
    participant.bold.to_filename(partial)
sidecars = image_sidecars(simulated["repetition_time"])
write_json(sidecars["T1w"], snakemake.output.t1w_sidecar)
write_json(sidecars["bold"], snakemake.output.bold_sidecar)
write_dataset(participant.truth, snakemake.output.truth)
