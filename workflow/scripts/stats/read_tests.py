"""Give every feature one reading, from one test."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.stats.readings import describe_readings, read_tests

given, stats, levels = snakemake.input, snakemake.params.stats, snakemake.params.levels
alpha, margin = stats["alpha"], stats["equivalence_margin"]
table = read_tests(
    read_table(given.differences),
    read_table(given.participants)["group"].value_counts().to_dict(),
    levels=levels,
    alpha=alpha,
    margin=margin,
    permutations=read_table(given.permutations) if given.omnibus else None,
    omnibus=read_table(given.omnibus) if given.omnibus else None,
)
write_table(table, snakemake.output.table, describe_readings(levels, alpha, margin))
