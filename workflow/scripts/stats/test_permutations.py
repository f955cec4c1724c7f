"""Hold the groups of every grouping against groups drawn by lot."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.stats.permuted_groups import describe_permutations, test_permuted_groups
from gradspec.stats.plan import read_plan

stats = snakemake.params.stats
window, alpha = stats["window"], stats["alpha"]
table = test_permuted_groups(
    pd.concat([read_table(file) for file in snakemake.input.features], ignore_index=True),
    stats["features"],
    families=read_plan(stats["plan"]),
    window=window,
    alpha=alpha,
)
write_table(table, snakemake.output.table, describe_permutations(window, alpha, stats["permutation"]["epochs"]))
