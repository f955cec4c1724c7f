"""Draw the singular values of a model's layers over training."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.saving import save_figure
from gradspec.figures.spectra import COLUMNS, plot_spectra, summarise_spectra
from gradspec.spectra.file import open_spectra

with open_spectra(snakemake.input.spectra) as spectra:
    table = summarise_spectra(spectra)
figure = plot_spectra(table, snakemake.params.levels, snakemake.wildcards.model)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
