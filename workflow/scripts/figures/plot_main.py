"""Draw the main figure: where the groups differ most surely, and all results beside it."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.main_figure import COLUMNS, find_leading_model, plot_main, summarise_main
from gradspec.figures.saving import save_figure
from gradspec.files import read_table
from gradspec.spectra.file import open_spectra

given, output = snakemake.input, snakemake.output
models, alpha = snakemake.params.models, snakemake.params.alpha
readings, clusters, performance = (read_table(path) for path in (given.readings, given.clusters, given.performance))
place = models.index(find_leading_model(readings, alpha))
with open_spectra(given.spectra[place]) as spectra:
    features = read_table(given.features[place])
    table = summarise_main(spectra, features, readings, clusters, performance, alpha)
figure = plot_main(table, snakemake.params.levels, models, alpha)
save_figure(figure, table, COLUMNS, png=output.png, svg=output.svg, tsv=output.data)
