"""Train one model on some folds, one after the other, and record the spectra of its gradients."""

from functools import cache
from pathlib import Path

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.training.fold import Fold
from gradspec.training.folds import train_folds
from gradspec.training.groupings import make_groupings
from gradspec.training.permutations import permute_grouping
from gradspec.training.samples import load_samples
from gradspec.training.splits import get_fold

given, params = snakemake.input, snakemake.params
repeat = int(snakemake.wildcards.repeat)
participants, splits = read_table(given.participants), read_table(given.splits)


@cache
def load(path):
    """Samples of a file, and their further groupings; most often all folds learn from one."""
    samples = load_samples(path, participants, params.levels)
    groupings = make_groupings(participants, samples.participants, params.groupings)
    if params.n_permutations:
        groupings = [permute_grouping(each, samples, params.n_permutations, params.seed) for each in groupings]
    return samples, groupings


train_folds(
    [
        Fold(
            model=snakemake.wildcards.model,
            hyperparameters=params.hyperparameters,
            repeat=repeat,
            fold=fold,
            seed=params.seed,
            levels=params.levels,
            **params.training,
        )
        for fold in params.folds
    ],
    data=[load(path) for path in given.data],
    sides=[get_fold(splits, repeat, fold) for fold in params.folds],
    folders=[Path(record).parent for record in snakemake.output.record],
)
