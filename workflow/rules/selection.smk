"""Selection: the participants and runs that go on, once every stage before has had its say."""


rule select_participants:
    input:
        checked="<results>/cohort/checked.tsv",
        runs=get_runs,
        runs_sidecar=get_runs_sidecar,
    output:
        participants="<results>/selection/participants.tsv",
        participants_sidecar="<results>/selection/participants.json",
        excluded=report(
            "<results>/selection/excluded.tsv",
            category="2 Cohort",
            caption="../report/excluded.rst",
            labels={"table": "Participants left out"},
        ),
        excluded_sidecar="<results>/selection/excluded.json",
        runs="<results>/selection/runs.tsv",
        runs_sidecar="<results>/selection/runs.json",
    log:
        "<logs>/selection/select_participants.log",
    benchmark:
        "<benchmarks>/selection/select_participants.tsv"
    conda:
        "../../envs/selection.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        on_error=config["on_error"],
        levels=config["cohort"]["group"]["levels"],
        folds=training["folds"],
    script:
        "../scripts/selection/select_participants.py"


rule group_quality:
    input:
        runs="<results>/preprocess/runs.tsv",
        excluded="<results>/selection/excluded.tsv",
        methods="<results>/preprocess/methods.md",
    output:
        table=report(
            "<results>/selection/group_bold.tsv",
            category="3 Quality control",
            caption="../report/group_bold.rst",
            labels={"table": "Quality of each run"},
        ),
        sidecar="<results>/selection/group_bold.json",
        page="<results>/selection/group_bold.html",
    log:
        "<logs>/selection/group_quality.log",
    benchmark:
        "<benchmarks>/selection/group_quality.tsv"
    conda:
        "../../envs/selection.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        limits=config["preprocess"]["quality"],
    script:
        "../scripts/selection/group_quality.py"
