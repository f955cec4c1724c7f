"""Fit the baselines on every fold."""

from functools import cache

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.training.baselines import fit_baselines
from gradspec.training.predictions import PREDICTION_COLUMNS
from gradspec.training.samples import load_samples

inputs, params = snakemake.input, snakemake.params
participants, splits = read_table(inputs.participants), read_table(inputs.splits)


@cache
def load(path):
    """Samples of a file; most often all folds learn from one."""
    return load_samples(path, participants, params.levels)


folds = [of_fold for _, of_fold in splits.groupby(["repeat", "fold"])]
predictions = [
    fit_baselines(load(path), of_fold, [name], params.levels)
    for name in params.baselines
    for path, of_fold in zip(inputs.data, folds, strict=True)
]
write_table(pd.concat(predictions), snakemake.output.predictions, PREDICTION_COLUMNS)
