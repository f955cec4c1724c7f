"""Draw the groups as they are among permuted groups, by the statistic of the main test."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.figures.omnibus import COLUMNS, plot_omnibus, summarise_statistics
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

given, output = snakemake.input, snakemake.output
trees = [xr.load_datatree(file, engine="h5netcdf") for file in given.ratios]
table = summarise_statistics(dict(zip(snakemake.params.models, trees, strict=True)))
figure = plot_omnibus(table, read_table(given.tests))
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
