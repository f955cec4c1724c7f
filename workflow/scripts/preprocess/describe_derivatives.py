"""Write dataset_description.json and .bidsignore of the derivatives."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.preprocess.derivatives import describe_derivatives

describe_derivatives(
    Path(snakemake.output.description),
    Path(snakemake.output.ignore),
    snakemake.params.preprocess,
    Path(snakemake.params.raw),
)
