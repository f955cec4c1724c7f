"""Train a fold again under permuted groups, for the permutation test of what is learnt."""

from pathlib import Path

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.training.fold import Fold
from gradspec.training.retraining import retrain_fold
from gradspec.training.samples import load_samples

params, wildcards = snakemake.params, snakemake.wildcards
participants = read_table(snakemake.input.participants)
retrain_fold(
    load_samples(snakemake.input.data[0], participants, params.levels),
    participants,
    Fold(
        model=wildcards.model,
        hyperparameters=params.hyperparameters,
        repeat=int(wildcards.repeat),
        fold=int(wildcards.fold),
        seed=params.seed,
        levels=params.levels,
        **params.training,
    ),
    n_permutations=params.n_permutations,
    splitting=params.splitting,
    file=Path(snakemake.output.permuted),
)
