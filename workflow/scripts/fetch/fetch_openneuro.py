"""Download the files of chosen participants from OpenNeuro."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.fetch.choose import FILE_COLUMNS
from gradspec.fetch.openneuro import fetch_openneuro
from gradspec.files import write_table

write_table(fetch_openneuro(snakemake.params.fetch, snakemake.params.cohort), snakemake.output.files, FILE_COLUMNS)
