"""Compute the mean ALFF of each run, for networks that learn from it."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.runs import read_runs
from gradspec.files import write_dataset
from gradspec.ica.maps import alff_maps

given, params = snakemake.input, snakemake.params
runs = read_runs(given.runs)
maps = alff_maps(runs, given.mask, params.shrink, resample=params.grids == "resample")
write_dataset(maps, snakemake.output.maps)
