"""Gather the time courses of the cohort, from files or made on the fly."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.numerical import numerical_timecourses
from gradspec.cohort.timeseries import read_timecourses
from gradspec.files import read_table, write_dataset

cohort = snakemake.params.cohort
participants = read_table(snakemake.input.participants)
if cohort["source"] == "numerical":
    timecourses = numerical_timecourses(participants["participant_id"], cohort, snakemake.params.seed)
else:
    timecourses = read_timecourses(participants, read_table(snakemake.input.runs), cohort)
write_dataset(timecourses, snakemake.output.timecourses)
