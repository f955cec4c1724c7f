"""Measure how well each network tells the groups apart."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.stats.performance import describe_performance, score_model

params = snakemake.params
levels, alpha = params.levels, params.stats["alpha"]
splits = read_table(snakemake.input.splits)
predictions = pd.concat([read_table(file) for file in snakemake.input.predictions])
tables = [
    score_model(model, splits, levels=levels, alpha=alpha, seed=params.seed)
    for _, model in predictions.groupby("model", sort=False)
]
write_table(pd.concat(tables), snakemake.output.table, describe_performance(levels, alpha))
