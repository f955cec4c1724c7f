"""Estimate the independent components of the training participants of a fold."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.ica.group import GroupICA
from gradspec.ica.images import save_image
from gradspec.ica.labels import STABILITY_COLUMNS, stability_table
from gradspec.ica.reduced import find_reductions, participants_of
from gradspec.ica.runs import training_participants

repeat, fold = int(snakemake.wildcards.repeat), int(snakemake.wildcards.fold)
participants = training_participants(read_table(snakemake.input.splits), repeat, fold)
reductions = find_reductions(snakemake.input.reduced, participants)
ica = GroupICA.from_settings(snakemake.params.ica, seed=snakemake.params.seed, n_jobs=snakemake.threads).fit_reduced(
    reductions, snakemake.input.mask, participants_of(reductions)
)
save_image(ica.components_img_, snakemake.output.components)
write_table(stability_table(ica), snakemake.output.stability, STABILITY_COLUMNS)
