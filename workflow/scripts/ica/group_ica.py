"""Estimate the independent components of the group."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.ica.group import GroupICA
from gradspec.ica.images import save_image
from gradspec.ica.labels import LABELS_COLUMNS, STABILITY_COLUMNS, label_components, stability_table
from gradspec.ica.matching import load_reference
from gradspec.ica.runs import find_runs

settings = snakemake.params.ica
networks = load_reference(settings["labels"]["path"]) if settings["labels"]["path"] else None
runs = find_runs(read_table(snakemake.input.participants)["participant_id"], snakemake.input.denoised)
ica = GroupICA(
    settings["n_components"],
    n_subject_components=settings["n_subject_components"],
    n_starts=settings["n_starts"],
    mask_share=settings["mask_share"],
    seed=snakemake.params.seed,
    n_jobs=snakemake.threads,
).fit([run.bold for run in runs], [run.mask for run in runs])

labels = label_components(ica.components_, ica.mask_img_, networks, settings["labels"]["names"])
save_image(ica.components_img_, snakemake.output.components)
save_image(ica.mask_img_, snakemake.output.mask)
write_table(stability_table(ica), snakemake.output.stability, STABILITY_COLUMNS)
write_table(labels, snakemake.output.labels, LABELS_COLUMNS)
