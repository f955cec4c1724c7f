"""Cohort: make or index the data, check it, and gather what comes as time courses or connectivity."""


rule simulate_design:
    output:
        description="<results>/bids/dataset_description.json",
        participants="<results>/bids/participants.tsv",
        sidecar="<results>/bids/participants.json",
        readme="<results>/bids/README.md",
        components="<results>/ground_truth/components.nii.gz",
        design="<results>/ground_truth/design.nc",
    log:
        "<logs>/cohort/simulate_design.log",
    benchmark:
        "<benchmarks>/cohort/simulate_design.tsv"
    conda:
        "../../envs/cohort.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        simulated=config["cohort"]["simulated"],
        group=config["cohort"]["group"],
        seed=config["seed"],
    script:
        "../scripts/cohort/simulate_design.py"


rule simulate_participant:
    input:
        participants="<results>/bids/participants.tsv",
        components="<results>/ground_truth/components.nii.gz",
        design="<results>/ground_truth/design.nc",
    output:
        t1w="<results>/bids/{subject}/anat/{subject}_T1w.nii.gz",
        t1w_sidecar="<results>/bids/{subject}/anat/{subject}_T1w.json",
        bold="<results>/bids/{subject}/func/{subject}_task-rest_bold.nii.gz",
        bold_sidecar="<results>/bids/{subject}/func/{subject}_task-rest_bold.json",
        truth="<results>/ground_truth/{subject}.nc",
    log:
        "<logs>/cohort/simulate_participant/{subject}.log",
    benchmark:
        "<benchmarks>/cohort/simulate_participant/{subject}.tsv"
    conda:
        "../../envs/cohort.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        simulated=config["cohort"]["simulated"],
        seed=config["seed"],
    script:
        "../scripts/cohort/simulate_participant.py"


rule list_participants:
    input:
        tables=get_participants_tables,
    output:
        listed="<results>/cohort/listed.tsv",
        listed_sidecar="<results>/cohort/listed.json",
    log:
        "<logs>/cohort/list_participants.log",
    benchmark:
        "<benchmarks>/cohort/list_participants.tsv"
    conda:
        "../../envs/cohort.yaml"
    threads: 1
    resources:
        mem_mb=with_participants(1000, each=0.1),
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        config={key: config[key] for key in ("results", "cohort")},
    script:
        "../scripts/cohort/list_participants.py"


# Apart from check_cohort, whose tables every participant's jobs read: for each of them Snakemake looks through all
# inputs of the job that makes the tables.
rule examine_cohort:
    input:
        files=get_cohort_files,
    output:
        findings="<results>/cohort/findings.json",
    log:
        "<logs>/cohort/examine_cohort.log",
    benchmark:
        "<benchmarks>/cohort/examine_cohort.tsv"
    conda:
        "../../envs/cohort.yaml"
    threads: 1
    resources:
        mem_mb=with_participants(2000, each=0.1),
        runtime=with_participants(60, each=0.05),
    params:
        config={key: config[key] for key in ("results", "cohort")},
    script:
        "../scripts/cohort/examine_cohort.py"


rule check_cohort:
    input:
        findings="<results>/cohort/findings.json",
    output:
        participants="<results>/cohort/checked.tsv",
        participants_sidecar="<results>/cohort/checked.json",
        runs="<results>/cohort/runs.tsv",
        runs_sidecar="<results>/cohort/runs.json",
    log:
        "<logs>/cohort/check_cohort.log",
    benchmark:
        "<benchmarks>/cohort/check_cohort.tsv"
    conda:
        "../../envs/cohort.yaml"
    threads: 1
    resources:
        mem_mb=with_participants(1000, each=0.1),
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        config={key: config[key] for key in ("on_error", "cohort")},
    script:
        "../scripts/cohort/check_cohort.py"


rule read_timeseries:
    input:
        participants="<results>/cohort/checked.tsv",
        runs="<results>/cohort/runs.tsv",
        files=get_cohort_files,
    output:
        timecourses="<results>/cohort/timecourses.nc",
    log:
        "<logs>/cohort/read_timeseries.log",
    benchmark:
        "<benchmarks>/cohort/read_timeseries.tsv"
    conda:
        "../../envs/cohort.yaml"
    threads: 1
    resources:
        mem_mb=with_participants(2000, each=2),
        runtime=with_participants(20, each=0.01),
    params:
        cohort=config["cohort"],
        seed=config["seed"],
    script:
        "../scripts/cohort/read_timeseries.py"


rule read_fnc:
    input:
        participants="<results>/cohort/checked.tsv",
        runs="<results>/cohort/runs.tsv",
        files=get_cohort_files,
    output:
        fnc="<results>/cohort/fnc.nc",
    log:
        "<logs>/cohort/read_fnc.log",
    benchmark:
        "<benchmarks>/cohort/read_fnc.tsv"
    conda:
        "../../envs/cohort.yaml"
    threads: 1
    resources:
        mem_mb=with_participants(2000, each=0.5),
        runtime=with_participants(20, each=0.01),
    params:
        cohort=config["cohort"],
        seed=config["seed"],
    script:
        "../scripts/cohort/read_fnc.py"
