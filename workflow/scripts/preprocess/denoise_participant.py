"""Smooth and denoise the images of one participant."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.files import read_json, read_table
from gradspec.preprocess.denoised import denoise_participant, own_derivatives
from gradspec.preprocess.derivatives import read_runs
from gradspec.preprocess.quality import judge
from gradspec.preprocess.status import earlier_reason, find_row, finish

settings = snakemake.params.preprocess
participant = snakemake.wildcards.subject
status = read_json(snakemake.input.status) if "status" in snakemake.input.keys() else None  # noqa: SIM118
if status is None:
    rows = read_table(snakemake.input.runs)
    runs = read_runs(rows[rows["participant_id"] == participant].to_dict("records"))
else:
    runs = own_derivatives(status, Path(snakemake.input.derivatives))
finish(
    participant,
    "denoise",
    Path(snakemake.output.denoised),
    Path(snakemake.output.status),
    snakemake.params.on_error,
    earlier_reason(participant, find_row(read_table(snakemake.input.participants), participant), status),
    lambda folder: denoise_participant(participant, runs, folder, settings, measured=status is not None),
    lambda done: judge(participant, done, settings["quality"]),
)
