"""Measure on invented cohorts how often the tests reject."""

import gc

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import write_table
from gradspec.stats.calibration import COLUMNS, SIZES, measure

gc.freeze()  # statsmodels' correction collects garbage each time, which is quick where there is little to look at
write_table(measure(SIZES[snakemake.params.size]), snakemake.output.table, COLUMNS)
