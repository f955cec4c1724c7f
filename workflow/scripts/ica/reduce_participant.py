"""Reduce the runs of a participant to their principal components."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.ica.reduced import reduce_runs

settings = snakemake.params.ica
reduce_runs(
    snakemake.input.denoised,
    snakemake.input.mask,
    snakemake.output.reduced,
    settings["n_subject_components"],
    form=settings["merge"],
    resample=settings["grids"] == "resample",
)
