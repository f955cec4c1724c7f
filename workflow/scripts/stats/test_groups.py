"""Test the difference between the groups in every network, layer and feature."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.stats.group_differences import compare_groups, describe_differences

stats, levels = snakemake.params.stats, snakemake.params.levels
splits = read_table(snakemake.input.splits)
tables = [
    compare_groups(
        read_table(file),
        splits,
        levels=levels,
        names=stats["features"],
        window=stats["window"],
        test=stats["test"],
        correction=stats["correction"],
        alpha=stats["alpha"],
    )
    for file in snakemake.input.features
]
columns = describe_differences(levels, stats["window"], stats["alpha"])
write_table(pd.concat(tables), snakemake.output.table, columns)
