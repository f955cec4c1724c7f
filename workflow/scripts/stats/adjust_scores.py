"""Regress the scores of every network on the group, without and with covariates."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.stats.covariates import describe_scores, regress_scores

levels, covariates = snakemake.params.levels, snakemake.params.covariates
correction, alpha = snakemake.params.stats["correction"], snakemake.params.stats["alpha"]
table = regress_scores(
    pd.concat([read_table(file) for file in snakemake.input.predictions]),
    read_table(snakemake.input.participants),
    levels=levels,
    covariates=covariates,
    correction=correction,
    alpha=alpha,
)
write_table(table, snakemake.output.table, describe_scores(levels, covariates, correction, alpha))
