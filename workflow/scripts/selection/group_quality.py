"""Say how good the runs are in one table, and on a page with the Methods section."""

from pathlib import Path

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table, write_text
from gradspec.preprocess.pages import PAGE, render_group
from gradspec.selection.quality import COLUMNS, tabulate_quality

limits, runs = snakemake.params.limits, read_table(snakemake.input.runs)
table = tabulate_quality(runs, read_table(snakemake.input.excluded), limits)
pages = {name: f"../preprocess/{name}/{PAGE}" for name in runs.loc[runs["normalized"].notna(), "participant_id"]}
methods = Path(snakemake.input.methods).read_text(encoding="utf-8").strip()
write_table(table, snakemake.output.table, COLUMNS)
write_text(render_group(table, limits, pages, methods.split("\n\n") if methods else []), snakemake.output.page)
