"""Write the overview of the report's first page."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from pathlib import Path

from gradspec.figures.findings import name_window
from gradspec.figures.overview import count_flow, tell_result, write_overview
from gradspec.files import read_json, read_table

given, params = snakemake.input, snakemake.params
tables = [read_table(path) for path in (given.listed, given.checked, given.participants, given.excluded, given.splits)]
write_overview(
    snakemake.output.page,
    result=tell_result(
        read_table(given.readings),
        read_table(given.performance),
        params.models,
        params.levels,
        params.stats["alpha"],
        omnibus=read_table(given.omnibus) if given.omnibus else None,
        curves=dict(zip(params.models, map(read_table, given.curves), strict=True)),
        window=name_window(params.stats),
        recovery=read_table(given.recovery) if given.recovery else None,
    ),
    flow=count_flow(*tables, params.levels),
    picture=given.picture,
    permutations=given.permutations or None,
    methods=Path(given.methods).read_text(encoding="utf-8") if given.methods else "",
    environment=read_json(given.environment),
)
