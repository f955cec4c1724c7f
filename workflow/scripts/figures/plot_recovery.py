"""Draw what the analysis found of the simulated truth."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

import nibabel as nib
import xarray as xr
from nilearn.datasets import load_mni152_template

from gradspec.figures.recovery import COLUMNS, compare_with_truth, plot_recovery
from gradspec.figures.saving import save_figure
from gradspec.files import read_table
from gradspec.ica.matching import match_component_images

levels = snakemake.params.levels
given = snakemake.input
match = match_component_images(given.components, given.true_components)
timecourses, fnc, design = (
    xr.load_dataset(path, engine="h5netcdf") for path in (given.timecourses, given.fnc, given.design)
)
truth = {Path(path).stem: xr.load_dataset(path, engine="h5netcdf") for path in given.truth}
table = compare_with_truth(match, timecourses, fnc, read_table(given.participants), design, truth, levels)
true_maps, maps = nib.load(given.true_components), nib.load(given.components)
figure = plot_recovery(table, true_maps, maps, match, load_mni152_template(resolution=1), levels)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
