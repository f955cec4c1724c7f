"""Spectra: the folds of a model merged, and the features of every spectrum and their trajectories."""


rule merge_spectra:
    input:
        spectra=get_folds("spectra.nc"),
    output:
        spectra="<results>/spectra/{model}.nc",
    log:
        "<logs>/spectra/merge_spectra/{model}.log",
    benchmark:
        "<benchmarks>/spectra/merge_spectra/{model}.tsv"
    conda:
        "../../envs/spectra.yaml"
    threads: 1
    resources:
        mem_mb=with_steps(2000, each=0.05),
        runtime=lambda wildcards, attempt: 20 * attempt,
    script:
        "../scripts/spectra/merge_spectra.py"


rule extract_features:
    input:
        spectra="<results>/spectra/{model}.nc",
    output:
        features="<results>/features/{model}.tsv",
        sidecar="<results>/features/{model}.json",
        trajectories="<results>/features/{model}_trajectories.tsv",
        trajectories_sidecar="<results>/features/{model}_trajectories.json",
    log:
        "<logs>/spectra/extract_features/{model}.log",
    benchmark:
        "<benchmarks>/spectra/extract_features/{model}.tsv"
    conda:
        "../../envs/spectra.yaml"
    threads: 1
    resources:
        mem_mb=with_steps(2000, each=0.05),
        runtime=with_steps(20, each=0.0005),
    script:
        "../scripts/spectra/extract_features.py"


rule extract_groupings:
    input:
        spectra=get_grouping_spectra,
    output:
        features="<results>/features/{model}_groupings.tsv",
        sidecar="<results>/features/{model}_groupings.json",
        trajectories="<results>/features/{model}_groupings_trajectories.tsv",
        trajectories_sidecar="<results>/features/{model}_groupings_trajectories.json",
    log:
        "<logs>/spectra/extract_groupings/{model}.log",
    benchmark:
        "<benchmarks>/spectra/extract_groupings/{model}.tsv"
    conda:
        "../../envs/spectra.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        groupings=list(training["groupings"]),
    script:
        "../scripts/spectra/extract_groupings.py"


rule summarise_permuted:
    input:
        spectra=get_permuted_spectra,
    output:
        features="<results>/features/{model}_permuted.tsv",
        sidecar="<results>/features/{model}_permuted.json",
    log:
        "<logs>/spectra/summarise_permuted/{model}.log",
    benchmark:
        "<benchmarks>/spectra/summarise_permuted/{model}.tsv"
    conda:
        "../../envs/spectra.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        window=config["stats"]["window"],
        learnt=config["cohort"]["group"]["column"],
    script:
        "../scripts/spectra/summarise_permuted.py"


rule summarise_retrained:
    input:
        spectra=get_retrained_spectra,
    output:
        ratios="<results>/features/{model}_retrained.nc",
    log:
        "<logs>/spectra/summarise_retrained/{model}.log",
    benchmark:
        "<benchmarks>/spectra/summarise_retrained/{model}.tsv"
    conda:
        "../../envs/spectra.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    script:
        "../scripts/spectra/summarise_retrained.py"
