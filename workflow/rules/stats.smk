"""Stats: what differs between the groups, and how well the networks tell them apart."""


rule test_groups:
    input:
        features=collect("<results>/features/{model}.tsv", model=models),
        splits="<results>/training/splits.tsv",
    output:
        table=report(
            "<results>/stats/group_differences.tsv",
            category="Statistics",
            caption="../report/group_differences_table.rst",
            labels={"table": "Group differences of the spectra"},
        ),
        sidecar="<results>/stats/group_differences.json",
    log:
        "<logs>/stats/test_groups.log",
    benchmark:
        "<benchmarks>/stats/test_groups.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/stats/test_groups.py"


rule score_models:
    input:
        predictions=get_all_predictions,
        splits="<results>/training/splits.tsv",
    output:
        table=report(
            "<results>/stats/performance.tsv",
            category="Statistics",
            caption="../report/performance.rst",
            labels={"table": "Performance of the networks"},
        ),
        sidecar="<results>/stats/performance.json",
    log:
        "<logs>/stats/score_models.log",
    benchmark:
        "<benchmarks>/stats/score_models.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
        seed=config["seed"],
    script:
        "../scripts/stats/score_models.py"
