"""Score every fold, and the folds of every repeat together, of the networks and the baselines."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import read_table, write_table
from gradspec.training.predictions import SCORE_COLUMNS, score_predictions

predictions = pd.concat([read_table(file) for file in snakemake.input.predictions])
write_table(score_predictions(predictions, snakemake.params.levels), snakemake.output.scores, SCORE_COLUMNS)
