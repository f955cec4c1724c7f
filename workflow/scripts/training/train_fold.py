"""Train one model on one fold, and record the spectra of its gradients."""

from pathlib import Path

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.training.fold import Fold, train_fold
from gradspec.training.groupings import make_groupings
from gradspec.training.outputs import write_fold
from gradspec.training.permutations import permute_grouping
from gradspec.training.samples import load_samples
from gradspec.training.splits import get_fold

params, output = snakemake.params, snakemake.output
repeat, fold = int(snakemake.wildcards.repeat), int(snakemake.wildcards.fold)
checkpoint = Path(output.record).parent / "checkpoint"
participants = read_table(snakemake.input.participants)
samples = load_samples(snakemake.input.data, participants, params.levels)
groupings = make_groupings(participants, samples.participants, params.groupings)
if params.n_permutations:
    groupings = [permute_grouping(each, samples, params.n_permutations, params.seed) for each in groupings]
trained = train_fold(
    samples,
    get_fold(read_table(snakemake.input.splits), repeat, fold),
    Fold(
        model=snakemake.wildcards.model,
        hyperparameters=params.hyperparameters,
        repeat=repeat,
        fold=fold,
        seed=params.seed,
        levels=params.levels,
        **params.training,
    ),
    groupings=groupings,
    checkpoint=checkpoint,
)
write_fold(
    trained,
    spectra=output.spectra,
    metrics=output.metrics,
    predictions=output.predictions,
    model=output.model,
    record=output.record,
    groupings=dict(zip(params.groupings, output.groupings, strict=True)),
    permuted=dict(zip(params.groupings if params.n_permutations else [], output.permuted, strict=True)),
    checkpoint=checkpoint,
)
