"""Draw the spectra of a model's layers at chosen epochs."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.epoch_spectra import COLUMNS, choose_epochs, plot_epoch_spectra
from gradspec.figures.saving import save_figure
from gradspec.files import read_table

table = choose_epochs(read_table(snakemake.input.spectra))
figure = plot_epoch_spectra(table, snakemake.params.levels, snakemake.wildcards.model)
output = snakemake.output
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
