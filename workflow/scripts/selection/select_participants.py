"""Keep the participants and runs that every stage so far could use, and list the others with the reason."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.check import describe_participants
from gradspec.files import read_json, read_table, write_table
from gradspec.selection.participants import select_participants

given, output, params = snakemake.input, snakemake.output, snakemake.params
participants, excluded, runs = select_participants(
    read_table(given.checked), read_table(given.runs), params.levels, params.folds, params.on_error
)
for table, path in ((participants, output.participants), (excluded, output.excluded)):
    write_table(table, path, describe_participants(table.columns, params.levels))
write_table(runs, output.runs, read_json(given.runs_sidecar))
