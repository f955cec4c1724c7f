"""Train folds again under permuted groups, for the permutation test of what is learnt."""

from functools import cache
from pathlib import Path

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.training.fold import Fold
from gradspec.training.retraining import arrange, retrain_fold
from gradspec.training.samples import load_samples

params, wildcards = snakemake.params, snakemake.wildcards
repeat, participants = int(wildcards.repeat), read_table(snakemake.input.participants)
arrangements = arrange(
    participants,
    params.levels,
    n_permutations=params.n_permutations,
    repeat=repeat,
    seed=params.seed,
    splitting=params.splitting,
    numbers=params.arrangements,
)


@cache
def load(path):
    """Samples of a file; most often all folds learn from one."""
    return load_samples(path, participants, params.levels)


for number, path, file in zip(params.folds, snakemake.input.data, snakemake.output.permuted, strict=True):
    fold = Fold(
        model=wildcards.model,
        hyperparameters=params.hyperparameters,
        repeat=repeat,
        fold=number,
        seed=params.seed,
        levels=params.levels,
        **params.training,
    )
    retrain_fold(load(path), fold, arrangements, Path(file))
