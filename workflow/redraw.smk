"""The figures alone, drawn again from results that may have been copied from elsewhere: `make figures`.

Neither the cohort nor the stages before are asked for: of those only what lies in the folder of results is read.
"""

from gradspec.cohort.recall import recall_cohort
from gradspec.config import resolve
from gradspec.errors import ConfigError
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")


try:
    config.update(resolve(config))
    cohort = recall_cohort(config["results"])
except ConfigError as error:
    raise WorkflowError(str(error)) from None


include: "rules/common.smk"


rule figures:
    default_target: True
    input:
        get_figures,


include: "rules/figures.smk"


for step in workflow.rules:
    depend_on_code(step)
