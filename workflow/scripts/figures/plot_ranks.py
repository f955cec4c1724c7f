"""Draw the ranks of a model's layers over training, against their bounds."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.ranks import COLUMNS, plot_ranks, summarise_ranks
from gradspec.figures.saving import save_figure
from gradspec.spectra.file import open_spectra

params, output = snakemake.params, snakemake.output
with open_spectra(snakemake.input.spectra) as spectra:
    table = summarise_ranks(spectra, params.hyperparameters, params.n_volumes)
figure = plot_ranks(table, snakemake.wildcards.model)
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
