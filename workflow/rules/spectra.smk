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
