"""List everybody of the participants table, whether they take part or not."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.listing import LISTED_COLUMNS, list_participants
from gradspec.files import write_table

listed, _ = list_participants(snakemake.params.config)
write_table(listed, snakemake.output.listed, LISTED_COLUMNS)
