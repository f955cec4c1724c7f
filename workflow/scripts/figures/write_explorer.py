"""Write the page on which the features of all models can be explored."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.figures.explore import describe_layers, show_further, show_learnt, summarise_for_page, write_page
from gradspec.files import read_table
from gradspec.spectra.file import open_spectra

models, levels = snakemake.params.models, snakemake.params.levels
features = dict(zip(models, map(read_table, snakemake.input.features), strict=True))
layers = {}
for model, path in zip(models, snakemake.input.spectra, strict=True):
    with open_spectra(path) as spectra:
        layers[model] = describe_layers(spectra)
groupings = {f"{snakemake.params.column} (learnt)": show_learnt(features, read_table(snakemake.input.readings), levels)}
if snakemake.input.groupings:
    by_further = dict(zip(models, map(read_table, snakemake.input.groupings), strict=True))
    permutations = read_table(snakemake.input.permutations) if snakemake.input.permutations else None
    groupings |= show_further(by_further, permutations)
write_page(summarise_for_page(groupings, layers, snakemake.params.alpha), snakemake.output.page)
