"""Estimate each participant's own time courses and maps of the group's components."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_dataset
from gradspec.ica.backprojection import participant_components
from gradspec.ica.runs import find_runs

runs = find_runs(read_table(snakemake.input.participants)["participant_id"], snakemake.input.denoised)
timecourses = participant_components(
    runs,
    snakemake.input.components,
    snakemake.input.mask,
    snakemake.output.maps,
    low_pass=snakemake.params.ica["low_pass"],
    n_jobs=snakemake.threads,
)
write_dataset(timecourses, snakemake.output.timecourses)
