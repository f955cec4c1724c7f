"""Record the configuration and the environment of the run."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.figures.environment import describe_environment
from gradspec.files import write_json

write_json(snakemake.params.config, snakemake.output.config)
write_json(describe_environment(Path.cwd()), snakemake.output.environment)
