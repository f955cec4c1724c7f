"""Compute the mean ALFF of each run, for networks that learn from it."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_dataset
from gradspec.ica.maps import alff_maps
from gradspec.ica.runs import find_runs

given, params = snakemake.input, snakemake.params
runs = find_runs(read_table(given.participants)["participant_id"], given.denoised)
maps = alff_maps(runs, given.mask, params.shrink, resample=params.grids == "resample")
write_dataset(maps, snakemake.output.maps)
