"""Look at the cohort before a run: write one page and one table."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import write_table
from gradspec.look.design import plan_design
from gradspec.look.page import write_page
from gradspec.look.people import describe_look, look_at_cohort

config = snakemake.params.config
look = look_at_cohort(config)
write_table(look.people, snakemake.output.table, describe_look(look.covariates))
write_page(
    look,
    plan_design(look, config),
    snakemake.output.page,
    levels=config["cohort"]["group"]["levels"],
    config_file=snakemake.params.config_file,
)
