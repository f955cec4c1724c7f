"""Compare numbers of components."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.cohort.runs import read_runs
from gradspec.files import read_table, write_table
from gradspec.ica.group import GroupICA
from gradspec.ica.images import load
from gradspec.ica.order import ORDER_COLUMNS, mdl_orders, stability_curve
from gradspec.ica.reduced import find_reductions, participants_of

settings = snakemake.params.ica
participants = read_table(snakemake.input.participants)["participant_id"]
estimator = GroupICA.from_settings(settings, seed=snakemake.params.seed, n_jobs=snakemake.threads)
reductions = find_reductions(snakemake.input.reductions, participants)
names = participants_of(reductions)
tables = [stability_curve(reductions, snakemake.input.mask, settings["orders"], estimator, names)]
if settings["mdl"]:
    runs = read_runs(snakemake.input.runs)
    mask = load(snakemake.input.mask, 3)
    tables.append(mdl_orders([run.bold for run in runs], mask, [run.name for run in runs]))
write_table(pd.concat(tables, ignore_index=True), snakemake.output.order, ORDER_COLUMNS)
