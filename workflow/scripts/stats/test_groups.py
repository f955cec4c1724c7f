"""Test the difference between the groups in every network, layer and feature."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.stats.group_differences import compare_groups, correct_families, describe_differences
from gradspec.stats.plan import read_plan

stats, levels = snakemake.params.stats, snakemake.params.levels
window, alpha, margin = stats["window"], stats["alpha"], stats["equivalence_margin"]
splits = read_table(snakemake.input.splits)
tables = [
    compare_groups(
        read_table(file),
        splits,
        levels=levels,
        names=stats["features"],
        window=window,
        test=stats["test"],
        alpha=alpha,
        margin=margin,
    )
    for file in snakemake.input.features
]
families = [family for family in read_plan(stats["plan"]) if not family.grouping]
table = correct_families(tables, families, stats["correction"])
write_table(table, snakemake.output.table, describe_differences(levels, window, alpha, margin))
