"""Reduce the runs of a participant to their principal components."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.runs import read_runs
from gradspec.ica.reduced import reduce_runs

settings = snakemake.params.ica
reduce_runs(
    read_runs(snakemake.input.runs, snakemake.wildcards.subject),
    snakemake.input.mask,
    snakemake.output.reduced,
    settings["n_subject_components"],
    form=settings["merge"],
    resample=settings["grids"] == "resample",
)
