"""Smooth and denoise the images of one participant."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.preprocess.denoised import denoise_participant
from gradspec.preprocess.quality import judge
from gradspec.preprocess.status import finish, read_status

settings = snakemake.params.preprocess
participant = snakemake.wildcards.subject
before = read_status(snakemake.input.runs, participant)
finish(
    before,
    "denoise",
    Path(snakemake.output.denoised),
    Path(snakemake.output.status),
    snakemake.params.on_error,
    lambda folder: denoise_participant(participant, before.runs, folder, settings),
    lambda done: judge(participant, done, settings["quality"]),
)
