"""Estimate each participant's own time courses and maps of the group's components, and mark likely artefacts."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import numpy as np

from gradspec.cohort.runs import read_runs
from gradspec.files import read_table, write_dataset, write_table
from gradspec.ica.artefacts import ARTEFACTS_COLUMNS, csf_probability, describe_artefacts
from gradspec.ica.backprojection import participant_components
from gradspec.ica.images import load, read_maps
from gradspec.ica.methods import choose_method
from gradspec.ica.runs import training_participants

given, settings, wildcards = snakemake.input, snakemake.params.ica, snakemake.wildcards
in_fold = "splits" in given.keys()  # noqa: SIM118
timecourses = participant_components(
    read_runs(given.runs),
    given.components,
    given.mask,
    snakemake.output.maps,
    low_pass=settings["low_pass"],
    n_jobs=snakemake.threads,
    method=choose_method(settings["method"], bool(settings["template"]["path"])),
    n_directions=settings["n_subject_components"],
    detrend_cycles=settings["detrend_cycles"],
    n_volumes=snakemake.params.n_volumes,
    resample=settings["grids"] == "resample",
    learn_from=training_participants(read_table(given.splits), int(wildcards.repeat), int(wildcards.fold))
    if in_fold
    else None,
)
mask = load(given.mask, 3)
artefacts = describe_artefacts(
    read_maps(given.components, np.asanyarray(mask.dataobj) > 0),
    mask,
    timecourses["frequency"].to_numpy(),
    timecourses["power"].to_numpy(),
    csf_probability(mask),
)
write_table(artefacts, snakemake.output.artefacts, ARTEFACTS_COLUMNS)
write_dataset(timecourses, snakemake.output.timecourses)
