"""Compare what was found of all participants and write down what can be used and what cannot."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.check import check_cohort, describe_participants
from gradspec.cohort.findings import read_findings
from gradspec.cohort.runs import RUN_COLUMNS
from gradspec.files import write_table

config = snakemake.params.config
participants, runs = check_cohort(read_findings(snakemake.input.findings), config)
columns = describe_participants(participants.columns, config["cohort"]["group"]["levels"])
write_table(participants, snakemake.output.participants, columns)
write_table(runs, snakemake.output.runs, RUN_COLUMNS)
