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
        participants="<results>/cohort/checked.tsv",
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
        unpack(get_denoise_input),
        runs="<results>/cohort/runs.tsv",
        participants="<results>/cohort/checked.tsv",
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


rule group_quality:
    input:
        statuses=get_statuses,
        excluded="<results>/cohort/excluded.tsv",
    output:
        table=report(
            "<results>/preprocess/group_bold.tsv",
            category="3 Quality control",
            caption="../report/group_bold.rst",
            labels={"table": "Quality of each run"},
        ),
        sidecar="<results>/preprocess/group_bold.json",
        page="<results>/preprocess/group_bold.html",
        methods=report(
            "<results>/preprocess/methods.md",
            category="3 Quality control",
            caption="../report/methods.rst",
            labels={"table": "Methods section of the preprocessing"},
        ),
    log:
        "<logs>/preprocess/group_quality.log",
    benchmark:
        "<benchmarks>/preprocess/group_quality.tsv"
    conda:
        "../../envs/preprocess.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        preprocess=config["preprocess"],
    script:
        "../scripts/preprocess/group_quality.py"
