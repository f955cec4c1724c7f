"""Write the page on which the features of all models can be explored."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.explore import describe_layers, summarise_for_page, write_page
from gradspec.files import read_table
from gradspec.spectra.file import open_spectra

features, layers = {}, {}
for model, table, path in zip(snakemake.params.models, snakemake.input.features, snakemake.input.spectra, strict=True):
    features[model] = read_table(table)
    with open_spectra(path) as spectra:
        layers[model] = describe_layers(spectra)
differences = read_table(snakemake.input.differences)
data = summarise_for_page(features, layers, differences, snakemake.params.levels, snakemake.params.alpha)
write_page(data, snakemake.output.page)
