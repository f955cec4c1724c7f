"""Test when in training the groups differ, and whether their difference changes, in every network."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.stats.runs import pair_groups
from gradspec.stats.trajectories import (
    describe_clusters,
    describe_mixed_models,
    find_differing_epochs,
    model_trajectories,
)

stats, levels = snakemake.params.stats, snakemake.params.levels
alpha, correction, cluster = stats["alpha"], stats["correction"], stats["cluster"]
n_participants = read_table(snakemake.input.splits)["participant_id"].nunique()
clusters, models = [], []
for file in snakemake.input.features:
    trajectories = pair_groups(read_table(file), levels, stats["features"])
    clusters.append(find_differing_epochs(trajectories, n_participants, seed=snakemake.params.seed, **cluster))
    models.append(model_trajectories(trajectories, correction=correction, alpha=alpha))
output = snakemake.output
write_table(pd.concat(clusters), output.clusters, describe_clusters(levels, **cluster))
write_table(pd.concat(models), output.models, describe_mixed_models(levels, correction, alpha))
