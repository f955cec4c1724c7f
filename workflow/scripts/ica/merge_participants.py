"""Merge the principal components of a batch of participants."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.ica.reduced import find_reductions, kept_directions, merge_files, save_reduction

settings = snakemake.params.ica
participants = read_table(snakemake.input.participants)["participant_id"]
reductions = find_reductions(snakemake.input.reduced, participants)
merged = merge_files(reductions, kept_directions(settings["n_components"]), settings["merge"])
save_reduction(merged, snakemake.output.merged)
