"""Test the difference between the groups of every network as if both had the same loss."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.spectra.file import open_spectra
from gradspec.stats.equal_loss import compare_at_equal_loss, describe_equal_loss, read_losses
from gradspec.stats.runs import pair_groups

stats, levels = snakemake.params.stats, snakemake.params.levels
splits = read_table(snakemake.input.splits)
tables = []
for features, spectra in zip(snakemake.input.features, snakemake.input.spectra, strict=True):
    trajectories = pair_groups(read_table(features), levels, stats["features"])
    with open_spectra(spectra) as tree:
        losses = read_losses(tree, trajectories, levels)
    options = {"levels": levels, "test": stats["test"], "correction": stats["correction"], "alpha": stats["alpha"]}
    tables.append(compare_at_equal_loss(trajectories, losses, splits, **options))
write_table(pd.concat(tables), snakemake.output.table, describe_equal_loss(levels, stats["alpha"]))
