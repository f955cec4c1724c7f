"""Fit the baselines on every fold."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.training.baselines import fit_baselines
from gradspec.training.predictions import PREDICTION_COLUMNS
from gradspec.training.samples import load_samples

inputs, params = snakemake.input, snakemake.params
predictions = fit_baselines(
    load_samples(inputs.data, read_table(inputs.participants), params.levels),
    read_table(inputs.splits),
    params.baselines,
    params.levels,
)
write_table(predictions, snakemake.output.predictions, PREDICTION_COLUMNS)
