"""Bring the template's components to the grid of the cohort."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import numpy as np

from gradspec.cohort.runs import read_runs
from gradspec.files import write_table
from gradspec.ica.images import load, read_maps, save_image
from gradspec.ica.labels import LABELS_COLUMNS, STABILITY_COLUMNS, label_template, unestimated_table
from gradspec.ica.template import fit_template

settings, output = snakemake.params.template, snakemake.output
run = read_runs(snakemake.input.runs)[0]
components, mask = fit_template(snakemake.input.template, load(run.mask, 3), settings["resample"])
maps = read_maps(components, np.asanyarray(mask.dataobj) > 0)
labels = label_template(maps, mask, settings["names"])
save_image(components, output.components)
save_image(mask, output.mask)
write_table(unestimated_table(len(maps)), output.stability, STABILITY_COLUMNS)
write_table(labels, output.labels, LABELS_COLUMNS)
