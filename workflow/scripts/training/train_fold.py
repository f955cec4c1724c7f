"""Train one model on one fold, and record the spectra of its gradients."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.training.fold import Fold, train_fold
from gradspec.training.outputs import write_fold
from gradspec.training.samples import load_samples
from gradspec.training.splits import get_fold

training = snakemake.params.training
repeat, fold = int(snakemake.wildcards.repeat), int(snakemake.wildcards.fold)
samples = load_samples(snakemake.input.data, read_table(snakemake.input.participants), snakemake.params.levels)
train_ids, test_ids = get_fold(read_table(snakemake.input.splits), repeat, fold)
trained = train_fold(
    samples,
    train_ids,
    test_ids,
    Fold(
        model=snakemake.wildcards.model,
        hyperparameters=snakemake.params.hyperparameters,
        repeat=repeat,
        fold=fold,
        seed=snakemake.params.seed,
        levels=snakemake.params.levels,
        epochs=training["epochs"],
        batch_size=training["batch_size"],
        learning_rate=training["learning_rate"],
        weight_decay=training["weight_decay"],
        device=training["device"],
        kinds=training["kinds"],
    ),
)
write_fold(
    trained,
    spectra=snakemake.output.spectra,
    metrics=snakemake.output.metrics,
    predictions=snakemake.output.predictions,
    model=snakemake.output.model,
    record=snakemake.output.record,
)
