"""Preprocess: raw images to denoised images in template space, one job a participant."""


rule describe_derivatives:
    output:
        description="<results>/preprocess/dataset_description.json",
        ignore="<results>/preprocess/.bidsignore",
    log:
        "<logs>/preprocess/describe_derivatives.log",
    benchmark:
        "<benchmarks>/preprocess/describe_derivatives.tsv"
    conda:
        "../../envs/preprocess.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        preprocess=config["preprocess"],
        raw=(
            f"{config['results']}/bids"
            if source == "simulated"
            else config["cohort"]["bids"]["root"]
        ),
    script:
        "../scripts/preprocess/describe_derivatives.py"


rule preprocess_participant:
    input:
        runs="<results>/cohort/runs.tsv",
        files=get_raw_files,
    output:
        derivatives=directory("<results>/preprocess/{subject}"),
        status="<results>/preprocess/status/{subject}.json",
    log:
        "<logs>/preprocess/preprocess_participant/{subject}.log",
    benchmark:
        "<benchmarks>/preprocess/preprocess_participant/{subject}.tsv"
    conda:
        "../../envs/preprocess.yaml"
    threads: 1  # with two, ANTs differs from run to run by up to 2.4 mm
    resources:
        mem_mb=with_image(4000, images=3),
        runtime=with_files(120, each_mb=0.5),
    params:
        preprocess=config["preprocess"],
        on_error=config["on_error"],
        seed=config["seed"],
    script:
        "../scripts/preprocess/preprocess_participant.py"


rule denoise_participant:
    input:
        runs=get_runs_to_denoise,
        images=get_images_to_denoise,
    output:
        denoised=directory("<results>/preprocess/denoised/{subject}"),
        status="<results>/preprocess/denoised/status/{subject}.json",
    log:
        "<logs>/preprocess/denoise_participant/{subject}.log",
    benchmark:
        "<benchmarks>/preprocess/denoise_participant/{subject}.tsv"
    conda:
        "../../envs/preprocess.yaml"
    threads: 1
    resources:
        mem_mb=with_image(2000, images=2),
        runtime=with_files(30, each_mb=0.2),
    params:
        preprocess=config["preprocess"],
        on_error=config["on_error"],
    script:
        "../scripts/preprocess/denoise_participant.py"


rule gather_runs:
    input:
        statuses=collect(
            "<results>/preprocess/denoised/status/{subject}.json", subject=subjects
        ),
    output:
        runs="<results>/preprocess/runs.tsv",
        runs_sidecar="<results>/preprocess/runs.json",
        methods=report(
            "<results>/preprocess/methods.md",
            category="3 Quality control",
            caption="../report/methods.rst",
            labels={"table": "Methods section of the preprocessing"},
        ),
    log:
        "<logs>/preprocess/gather_runs.log",
    benchmark:
        "<benchmarks>/preprocess/gather_runs.tsv"
    conda:
        "../../envs/preprocess.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        preprocess=config["preprocess"],
    script:
        "../scripts/preprocess/gather_runs.py"
