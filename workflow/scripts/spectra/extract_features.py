"""Compute the features of every spectrum of a model, and summarise each over the epochs."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import write_table
from gradspec.spectra.alignment import ALIGNMENT_COLUMNS
from gradspec.spectra.file import open_spectra
from gradspec.spectra.table import FEATURE_COLUMNS, extract_features
from gradspec.spectra.trajectories import TRAJECTORY_COLUMNS, summarise_trajectories

with open_spectra(snakemake.input.spectra) as tree:
    features = extract_features(tree)
write_table(features, snakemake.output.features, FEATURE_COLUMNS | ALIGNMENT_COLUMNS)
write_table(summarise_trajectories(features), snakemake.output.trajectories, TRAJECTORY_COLUMNS)
