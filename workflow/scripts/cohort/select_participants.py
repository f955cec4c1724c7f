"""Keep the participants that every stage so far could use, and list the others with the reason."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.check import describe_participants
from gradspec.cohort.select import select_participants
from gradspec.files import read_json, read_table, write_table

params = snakemake.params
participants, excluded = select_participants(
    read_table(snakemake.input.checked),
    [read_json(path) for path in snakemake.input.get("statuses", [])],
    params.levels,
    params.folds,
    params.on_error,
)
for table, path in ((participants, snakemake.output.participants), (excluded, snakemake.output.excluded)):
    write_table(table, path, describe_participants(table.columns, params.levels))
