"""Fetch: public data sets, downloaded where a config asks for it; included by workflow/fetch.smk alone."""


rule fetch_abide:
    output:
        participants="<data>/participants.tsv",
        participants_sidecar="<data>/participants.json",
        files="<results>/fetch/abide.tsv",
        files_sidecar="<results>/fetch/abide.json",
    log:
        "<logs>/fetch/fetch_abide.log",
    benchmark:
        "<benchmarks>/fetch/fetch_abide.tsv"
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        fetch=config["fetch"],
        cohort=config["cohort"],
    script:
        "../scripts/fetch/fetch_abide.py"


rule fetch_openneuro:
    output:
        files="<results>/fetch/openneuro.tsv",
        files_sidecar="<results>/fetch/openneuro.json",
    log:
        "<logs>/fetch/fetch_openneuro.log",
    benchmark:
        "<benchmarks>/fetch/fetch_openneuro.tsv"
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        fetch=config["fetch"],
        cohort=config["cohort"],
    script:
        "../scripts/fetch/fetch_openneuro.py"
