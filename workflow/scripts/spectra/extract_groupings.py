"""Compute the features of a model by each further grouping, and summarise each over the epochs."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import pandas as pd

from gradspec.files import write_table
from gradspec.spectra.groupings import GROUPING_COLUMNS, extract_by_grouping
from gradspec.spectra.trajectories import TRAJECTORY_COLUMNS, summarise_trajectories

files, names = list(snakemake.input.spectra), snakemake.params.groupings
n_runs = len(files) // len(names)
features = extract_by_grouping({name: files[i * n_runs : (i + 1) * n_runs] for i, name in enumerate(names)})
trajectories = [summarise_trajectories(part).assign(grouping=name) for name, part in features.groupby("grouping")]
columns = {"grouping": GROUPING_COLUMNS["grouping"], **TRAJECTORY_COLUMNS}
write_table(features, snakemake.output.features, GROUPING_COLUMNS)
write_table(pd.concat(trajectories)[list(columns)], snakemake.output.trajectories, columns)
