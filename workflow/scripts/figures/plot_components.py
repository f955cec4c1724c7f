"""Draw the components of the group."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

import nibabel as nib
import pandas as pd
import xarray as xr
from nilearn.datasets import load_mni152_template

from gradspec.figures.components import COLUMNS, describe_components, describe_spectra, plot_components
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

given, output = snakemake.input, snakemake.output
maps = nib.load(given.components)
with xr.open_dataset(given.timecourses, engine="h5netcdf") as timecourses:
    spectra = describe_spectra(timecourses)
table = describe_components(maps, *(read_table(path) for path in (given.stability, given.labels, given.artefacts)))
figure = plot_components(maps, table, load_mni152_template(resolution=1), spectra)
save_figure(figure, pd.concat([table, spectra]), COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
