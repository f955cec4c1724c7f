"""A workflow of its own, which downloads the public data that a config names; nothing else uses the network:

snakemake --snakefile workflow/fetch.smk --cores 1 --configfile config/abide.yaml
"""

from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.fetch.plan import require_fetch
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")


try:
    config.update(resolve(config))
    source = require_fetch(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None


pathvars:
    results=config["results"],
    data=config["fetch"]["folder"],
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


rule fetch:
    default_target: True
    input:
        f"<results>/fetch/{source}.tsv",


include: "rules/fetch.smk"
