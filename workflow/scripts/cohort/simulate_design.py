"""Write what the simulated participants have in common: the data set's own files, network maps and connectivity."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.simulate import simulate_design
from gradspec.cohort.simulate_design import (
    dataset_description,
    dataset_readme,
    participants_columns,
    participants_table,
)
from gradspec.files import atomic_path, write_dataset, write_json, write_table

simulated, seed = snakemake.params.simulated, snakemake.params.seed
column, levels = snakemake.params.group["column"], snakemake.params.group["levels"]

participants = participants_table(simulated["n_participants"], column, levels, seed)
design, components = simulate_design(simulated, levels, seed)

write_json(dataset_description(), snakemake.output.description)
write_table(participants, snakemake.output.participants, participants_columns(column, levels))
with atomic_path(snakemake.output.readme) as partial:
    partial.write_text(dataset_readme(simulated, levels, seed), encoding="utf-8")
with atomic_path(snakemake.output.components) as partial:
    components.to_filename(partial)
write_dataset(design, snakemake.output.design)
