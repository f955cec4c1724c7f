"""Gather the quality of all runs in one table."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_json, read_table, write_table
from gradspec.preprocess.group import COLUMNS, tabulate_quality

statuses = [read_json(path) for path in snakemake.input.statuses]
table = tabulate_quality(statuses, read_table(snakemake.input.excluded), snakemake.params.quality)
write_table(table, snakemake.output.table, COLUMNS)
