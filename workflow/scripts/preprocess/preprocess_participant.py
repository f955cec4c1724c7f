"""Bring the raw images of one participant to template space."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.files import read_table
from gradspec.preprocess.derivatives import read_runs
from gradspec.preprocess.participant import preprocess_participant
from gradspec.preprocess.quality import judge
from gradspec.preprocess.status import earlier_reason, find_row, finish

participant = snakemake.wildcards.subject
settings = snakemake.params.preprocess
runs = read_table(snakemake.input.runs)
own = read_runs(runs[runs["participant_id"] == participant].to_dict("records"))
target = Path(snakemake.output.derivatives)
finish(
    participant,
    "preprocess",
    target,
    Path(snakemake.output.status),
    snakemake.params.on_error,
    earlier_reason(participant, find_row(read_table(snakemake.input.participants), participant), None),
    lambda folder: preprocess_participant(participant, own, folder, settings, snakemake.params.seed, target),
    lambda done: judge(participant, done, settings["quality"]),
)
