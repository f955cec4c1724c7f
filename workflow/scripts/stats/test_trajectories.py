"""Test when in training the groups differ, and whether their difference changes, in every network."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.stats.runs import has_one_partition, pair_groups
from gradspec.stats.trajectories import (
    describe_clusters,
    describe_mixed_models,
    find_differing_epochs,
    model_trajectories,
)

stats, levels = snakemake.params.stats, snakemake.params.levels
alpha, correction, cluster = stats["alpha"], stats["correction"], stats["cluster"]
splits = read_table(snakemake.input.splits)
n_participants, one_partition = splits["participant_id"].nunique(), has_one_partition(splits)
clusters, models = [], []
for file in snakemake.input.features:
    trajectories = pair_groups(read_table(file), levels, stats["features"])
    options = {"seed": snakemake.params.seed, "one_partition": one_partition, **cluster}
    clusters.append(find_differing_epochs(trajectories, n_participants, **options))
    models.append(model_trajectories(trajectories, splits, test=stats["test"], correction=correction, alpha=alpha))
output = snakemake.output
write_table(pd.concat(clusters), output.clusters, describe_clusters(levels, **cluster))
write_table(pd.concat(models), output.models, describe_mixed_models(levels, correction, alpha))
