"""Say how far the groups of a model are apart, singular value by singular value, under every arrangement of them."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import write_dataset
from gradspec.spectra.retrained import summarise_retrained

write_dataset(summarise_retrained(snakemake.input.spectra), snakemake.output.ratios)
