"""Gather the connectivity or feature vectors of the cohort, from files or made on the fly."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.fnc import read_fnc
from gradspec.cohort.numerical import numerical_features
from gradspec.files import read_table, write_dataset

cohort = snakemake.params.cohort
participants = read_table(snakemake.input.participants)
if cohort["source"] == "numerical":
    fnc = numerical_features(participants["participant_id"], cohort, snakemake.params.seed)
else:
    fnc = read_fnc(participants, read_table(snakemake.input.runs), cohort)
write_dataset(fnc, snakemake.output.fnc)
