"""A look at the cohort before a run: `make check`, or the target check."""


rule look_at_cohort:
    input:
        files=get_cohort_files,
    output:
        page="<results>/check.html",
        table="<results>/check.tsv",
        table_sidecar="<results>/check.json",
    log:
        "<logs>/look/look_at_cohort.log",
    benchmark:
        "<benchmarks>/look/look_at_cohort.tsv"
    conda:
        "../../envs/look.yaml"
    threads: 1
    resources:
        mem_mb=with_participants(2000, each=0.1),
        runtime=with_participants(60, each=0.05),
    params:
        config={
            key: config[key]
            for key in ("results", "seed", "cohort", "on_error", "training", "stats")
        },
        config_file=str(next(iter(workflow.configfiles), "config/config.yaml")),
    script:
        "../scripts/look/look_at_cohort.py"
