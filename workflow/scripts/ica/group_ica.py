"""Estimate the independent components of the group."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.ica.group import GroupICA
from gradspec.ica.images import save_image
from gradspec.ica.labels import LABELS_COLUMNS, STABILITY_COLUMNS, label_components, stability_table
from gradspec.ica.matching import load_reference
from gradspec.ica.reduced import find_reductions, participants_of

settings = snakemake.params.ica
networks = load_reference(settings["labels"]["path"]) if settings["labels"]["path"] else None
participants = read_table(snakemake.input.participants)["participant_id"]
reductions = find_reductions(snakemake.input.reductions, participants)
ica = GroupICA.from_settings(settings, seed=snakemake.params.seed, n_jobs=snakemake.threads).fit_reduced(
    reductions, snakemake.input.mask, participants_of(reductions)
)
labels = label_components(ica.components_, ica.mask_img_, networks, settings["labels"]["names"])
save_image(ica.components_img_, snakemake.output.components)
write_table(stability_table(ica), snakemake.output.stability, STABILITY_COLUMNS)
write_table(labels, snakemake.output.labels, LABELS_COLUMNS)
