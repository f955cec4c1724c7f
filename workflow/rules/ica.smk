"""ICA: components of the group, each participant's own maps and time courses, connectivity."""


rule group_ica:
    input:
        participants="<results>/cohort/participants.tsv",
        denoised=collect("<results>/preprocess/denoised/{subject}", subject=subjects),
    output:
        components="<results>/ica/components.nii.gz",
        mask="<results>/ica/mask.nii.gz",
        stability="<results>/ica/stability.tsv",
        stability_sidecar="<results>/ica/stability.json",
        labels="<results>/ica/labels.tsv",
        labels_sidecar="<results>/ica/labels.json",
    log:
        "<logs>/ica/group_ica.log",
    benchmark:
        "<benchmarks>/ica/group_ica.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        ica=config["ica"],
        seed=config["seed"],
    script:
        "../scripts/ica/group_ica.py"


rule template_components:
    input:
        template=get_template,
        participants="<results>/cohort/participants.tsv",
        denoised=collect("<results>/preprocess/denoised/{subject}", subject=subjects),
    output:
        components="<results>/ica/template/components.nii.gz",
        mask="<results>/ica/template/mask.nii.gz",
        stability="<results>/ica/template/stability.tsv",
        stability_sidecar="<results>/ica/template/stability.json",
        labels="<results>/ica/template/labels.tsv",
        labels_sidecar="<results>/ica/template/labels.json",
    log:
        "<logs>/ica/template_components.log",
    benchmark:
        "<benchmarks>/ica/template_components.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        template=config["ica"]["template"],
    script:
        "../scripts/ica/template_components.py"


rule participant_components:
    input:
        participants="<results>/cohort/participants.tsv",
        denoised=collect("<results>/preprocess/denoised/{subject}", subject=subjects),
        components="<maps>/components.nii.gz",
        mask="<maps>/mask.nii.gz",
    output:
        timecourses="<results>/ica/timecourses.nc",
        artefacts="<results>/ica/artefacts.tsv",
        artefacts_sidecar="<results>/ica/artefacts.json",
        maps=directory("<results>/ica/participants"),
    log:
        "<logs>/ica/participant_components.log",
    benchmark:
        "<benchmarks>/ica/participant_components.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        ica=config["ica"],
    script:
        "../scripts/ica/participant_components.py"


rule connectivity:
    input:
        timecourses=get_timecourses,
    output:
        fnc="<results>/ica/fnc.nc",
    log:
        "<logs>/ica/connectivity.log",
    benchmark:
        "<benchmarks>/ica/connectivity.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        ica=config["ica"],
    script:
        "../scripts/ica/connectivity.py"


rule dynamic_connectivity:
    input:
        timecourses=get_timecourses,
    output:
        dfnc="<results>/ica/dfnc.nc",
        states="<results>/ica/states.tsv",
        states_sidecar="<results>/ica/states.json",
    log:
        "<logs>/ica/dynamic_connectivity.log",
    benchmark:
        "<benchmarks>/ica/dynamic_connectivity.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        dynamic=config["ica"]["dynamic"],
        seed=config["seed"],
    script:
        "../scripts/ica/dynamic_connectivity.py"
