"""Part the participants into the folds of the repeated cross-validation."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.training.splits import SPLIT_COLUMNS, make_splits

splits = make_splits(
    read_table(snakemake.input.participants),
    folds=snakemake.params.folds,
    repeats=snakemake.params.repeats,
    seed=snakemake.params.seed,
    split=snakemake.params.split,
    site=snakemake.params.site,
    validation=snakemake.params.validation,
    equal_groups=snakemake.params.equal_groups,
)
write_table(splits, snakemake.output.splits, SPLIT_COLUMNS)
