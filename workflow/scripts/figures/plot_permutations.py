"""Draw what permuted groups give, and the groups as they are among it."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import xarray as xr

from gradspec.figures.permutations import COLUMNS, plot_permutations, summarise_permutations
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

given, output, levels = snakemake.input, snakemake.output, snakemake.params.levels
table = summarise_permutations(
    [xr.load_datatree(file, engine="h5netcdf") for file in given.ratios],
    [read_table(file) for file in given.features],
    read_table(given.omnibus),
    read_table(given.readings),
    levels,
    snakemake.params.alpha,
)
save_figure(plot_permutations(table, levels), table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
