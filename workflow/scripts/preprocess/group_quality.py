"""Gather the quality of all runs in one table, with its page and the Methods section."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_json, read_table, write_table, write_text
from gradspec.preprocess.derivatives import PAGE
from gradspec.preprocess.group import COLUMNS, tabulate_quality
from gradspec.preprocess.methods import describe_methods
from gradspec.preprocess.pages import render_group

settings = snakemake.params.preprocess
statuses = [read_json(path) for path in snakemake.input.statuses]
table = tabulate_quality(statuses, read_table(snakemake.input.excluded), settings["quality"])
methods = describe_methods(statuses, settings)
pages = {
    status["participant_id"]: f"{status['participant_id']}/{PAGE}"
    for status in statuses
    if status["stage"] == "preprocess" and status["runs"]
}
write_table(table, snakemake.output.table, COLUMNS)
write_text(render_group(table, settings["quality"], pages, methods), snakemake.output.page)
write_text("\n\n".join(methods) + "\n", snakemake.output.methods)
