"""Bring the runs of all participants together in one table, and write the Methods section."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.files import write_table, write_text
from gradspec.preprocess.methods import describe_methods
from gradspec.preprocess.status import COLUMNS, gather_runs, read_status

statuses = [read_status(path, Path(path).stem) for path in snakemake.input.statuses]
runs = [run for status in statuses for run in status.runs]
write_table(gather_runs(statuses), snakemake.output.runs, COLUMNS)
write_text("\n\n".join(describe_methods(runs, snakemake.params.preprocess)) + "\n", snakemake.output.methods)
