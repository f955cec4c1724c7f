"""What is checked before any job runs: the config, what it names, and the cohort."""

from gradspec.advice import advise_on_settings
from gradspec.cohort.plan import plan_cohort
from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.fetch.plan import describe_fetch
from gradspec.ica.template_file import require_template
from gradspec.models.own import check_own_models
from gradspec.preprocess.steps import check_steps
from gradspec.stats.plan import check_plan, get_tested_groupings
from gradspec.storage import check_storage
from gradspec.training.plan import check_columns, check_training
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

try:
    config.update(
        resolve(config)
    )  # in place: the report's front page reads the same dictionary
    check_storage(workflow.storage_settings.default_storage_provider, config)
    check_own_models(config["training"]["models"])
    check_training(config)
    if config["cohort"]["source"] in ("simulated", "bids"):
        check_steps(config["preprocess"])
    cohort = plan_cohort(config)
    check_columns(config["training"], cohort.rows)
    require_template(config["ica"]["template"])
    check_plan(
        config["stats"]["plan"],
        models=list(config["training"]["models"]),
        kinds=config["training"]["kinds"],
        features=config["stats"]["features"],
        groupings=get_tested_groupings(config),
    )
except ConfigError as error:
    raise WorkflowError(f"{error}{describe_fetch(config)}") from None

# Jobs read this file as well.
if workflow.is_main_process:
    for remark in cohort.remarks:
        logger.warning(remark)
    if cohort.remarks and cohort.tables:
        logger.warning(
            "The target check writes a page of who is used, who is not, and why."
        )
    if advice := advise_on_settings(config["results"], config):
        logger.warning(advice)
