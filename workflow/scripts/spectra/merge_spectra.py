"""Merge the spectra of all folds of a model."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import write_dataset
from gradspec.spectra.merge import merge_folds

write_dataset(merge_folds(snakemake.input.spectra), snakemake.output.spectra)
