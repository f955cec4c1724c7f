"""Say in plain language what was tested, on how many runs, and what was found."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import atomic_path, read_table
from gradspec.stats.plan import read_plan
from gradspec.stats.runs import count_learners
from gradspec.stats.summary import render_summary, summarise_tests

stats, tables = snakemake.params.stats, snakemake.input
sections = summarise_tests(
    read_table(tables.readings),
    read_table(tables.equal_loss),
    read_table(tables.clusters),
    read_table(tables.performance),
    read_table(tables.scores),
    families=read_plan(stats["plan"]),
    levels=snakemake.params.levels,
    alpha=stats["alpha"],
    margin=stats["equivalence_margin"],
    learned_from=count_learners(read_table(tables.splits)),
    permutations=read_table(tables.permutations) if tables.permutations else None,
    omnibus=read_table(tables.omnibus) if tables.omnibus else None,
)
with atomic_path(snakemake.output.summary) as partial:
    partial.write_text(render_summary(sections), encoding="utf-8")
