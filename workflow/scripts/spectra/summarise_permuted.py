"""Average the features of a model under permuted groups."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import write_table
from gradspec.spectra.permuted import PERMUTED_COLUMNS, summarise_permuted

params = snakemake.params
table = summarise_permuted(snakemake.input.spectra, params.window, learnt=params.learnt)
write_table(table, snakemake.output.features, PERMUTED_COLUMNS)
