"""Bring the raw images of one participant to template space."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.preprocess.participant import preprocess_participant
from gradspec.preprocess.quality import judge
from gradspec.preprocess.status import finish, read_status

participant = snakemake.wildcards.subject
settings = snakemake.params.preprocess
before = read_status(snakemake.input.runs, participant)
target = Path(snakemake.output.derivatives)
finish(
    before,
    "preprocess",
    target,
    Path(snakemake.output.status),
    snakemake.params.on_error,
    lambda folder: preprocess_participant(participant, before.runs, folder, settings, snakemake.params.seed, target),
    lambda done: judge(participant, done, settings["quality"]),
)
