"""Download time courses of ABIDE, and write the table of their participants."""

from pathlib import Path

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.fetch.abide import fetch_abide
from gradspec.fetch.choose import FILE_COLUMNS
from gradspec.files import write_table

params, output = snakemake.params, snakemake.output
write_table(fetch_abide(params.fetch, params.cohort, Path(output.participants)), output.files, FILE_COLUMNS)
