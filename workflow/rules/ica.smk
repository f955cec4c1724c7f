"""ICA: components of the group, each participant's own maps and time courses, connectivity."""


# Apart from group_mask, whose mask every participant's job reads, for the reason given for examine_cohort.
rule count_masks:
    input:
        runs="<results>/selection/runs.tsv",
        denoised=collect("<results>/preprocess/denoised/{subject}", subject=subjects),
    output:
        counts="<results>/ica/mask_counts.nii.gz",
        sizes="<results>/ica/mask_sizes.tsv",
        sizes_sidecar="<results>/ica/mask_sizes.json",
    log:
        "<logs>/ica/count_masks.log",
    benchmark:
        "<benchmarks>/ica/count_masks.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        ica=ica_settings("grids"),
    script:
        "../scripts/ica/count_masks.py"


rule group_mask:
    input:
        counts="<results>/ica/mask_counts.nii.gz",
        sizes="<results>/ica/mask_sizes.tsv",
    output:
        mask="<results>/ica/mask.nii.gz",
    log:
        "<logs>/ica/group_mask.log",
    benchmark:
        "<benchmarks>/ica/group_mask.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        ica=ica_settings("mask_share"),
    script:
        "../scripts/ica/group_mask.py"


rule reduce_participant:
    input:
        runs="<results>/selection/runs.tsv",
        denoised="<results>/preprocess/denoised/{subject}",
        mask="<results>/ica/mask.nii.gz",
    output:
        reduced=temp(directory("<results>/ica/reduced/{subject}")),
    log:
        "<logs>/ica/reduce_participant/{subject}.log",
    benchmark:
        "<benchmarks>/ica/reduce_participant/{subject}.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=with_image(1500, images=1),
        runtime=with_files(20, each_mb=0.1),
    params:
        ica=ica_settings("n_subject_components", "merge", "grids"),
    script:
        "../scripts/ica/reduce_participant.py"


# A batch of participants; it bears the name of its first.
rule merge_participants:
    input:
        participants="<results>/selection/participants.tsv",
        reduced=get_batch,
    output:
        merged=temp("<results>/ica/merged/{subject}.npy"),
    log:
        "<logs>/ica/merge_participants/{subject}.log",
    benchmark:
        "<benchmarks>/ica/merge_participants/{subject}.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        ica=ica_settings("n_components", "merge"),
    script:
        "../scripts/ica/merge_participants.py"


rule group_ica:
    input:
        participants="<results>/selection/participants.tsv",
        reductions=get_reductions,
        mask="<results>/ica/mask.nii.gz",
    output:
        components="<results>/ica/components.nii.gz",
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
        gpu=1 if config["ica"]["device"].startswith("cuda") else 0,
    params:
        ica=config["ica"],
        seed=config["seed"],
    script:
        "../scripts/ica/group_ica.py"


rule group_ica_fold:
    input:
        splits="<results>/training/splits.tsv",
        reduced=collect("<results>/ica/reduced/{subject}", subject=subjects),
        mask="<results>/ica/mask.nii.gz",
    output:
        components="<results>/ica/folds/repeat-{repeat}_fold-{fold}/components.nii.gz",
        stability="<results>/ica/folds/repeat-{repeat}_fold-{fold}/stability.tsv",
        stability_sidecar="<results>/ica/folds/repeat-{repeat}_fold-{fold}/stability.json",
    log:
        "<logs>/ica/group_ica_fold/repeat-{repeat}_fold-{fold}.log",
    benchmark:
        "<benchmarks>/ica/group_ica_fold/repeat-{repeat}_fold-{fold}.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=1 if config["ica"]["device"].startswith("cuda") else 0,
    params:
        ica=config["ica"],
        seed=config["seed"],
    script:
        "../scripts/ica/group_ica_fold.py"


rule component_order:
    input:
        participants="<results>/selection/participants.tsv",
        runs="<results>/selection/runs.tsv",
        denoised=collect("<results>/preprocess/denoised/{subject}", subject=subjects),
        reductions=get_reductions,
        mask="<results>/ica/mask.nii.gz",
    output:
        order="<results>/ica/order.tsv",
        sidecar="<results>/ica/order.json",
    log:
        "<logs>/ica/component_order.log",
    benchmark:
        "<benchmarks>/ica/component_order.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        ica=config["ica"],
        seed=config["seed"],
    script:
        "../scripts/ica/component_order.py"


rule template_components:
    input:
        template=get_template,
        runs="<results>/selection/runs.tsv",
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
        runs="<results>/selection/runs.tsv",
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
        mem_mb=with_participants(3000, each=2),
        runtime=with_participants(120, each=0.05),
    params:
        ica=config["ica"],
        n_volumes=config["cohort"]["n_volumes"],
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
        mem_mb=with_participants(2000, each=2),
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        ica=config["ica"],
    script:
        "../scripts/ica/connectivity.py"


rule component_maps:
    input:
        maps="<results>/ica/participants",
        timecourses="<results>/ica/timecourses.nc",
        mask="<maps>/mask.nii.gz",
    output:
        maps="<results>/ica/maps.nc",
    log:
        "<logs>/ica/component_maps.log",
    benchmark:
        "<benchmarks>/ica/component_maps.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        shrink=config["ica"]["shrink_maps"],
    script:
        "../scripts/ica/component_maps.py"


rule alff_maps:
    input:
        runs="<results>/selection/runs.tsv",
        denoised=collect("<results>/preprocess/denoised/{subject}", subject=subjects),
        mask="<maps>/mask.nii.gz",
    output:
        maps="<results>/ica/alff.nc",
    log:
        "<logs>/ica/alff_maps.log",
    benchmark:
        "<benchmarks>/ica/alff_maps.tsv"
    conda:
        "../../envs/ica.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        shrink=config["ica"]["shrink_maps"],
        grids=config["ica"]["grids"],
    script:
        "../scripts/ica/alff_maps.py"


# With components of the training participants of a fold, the same steps for that fold alone.
use rule participant_components as participant_components_fold with:
    input:
        splits="<results>/training/splits.tsv",
        runs="<results>/selection/runs.tsv",
        denoised=collect("<results>/preprocess/denoised/{subject}", subject=subjects),
        components="<results>/ica/folds/repeat-{repeat}_fold-{fold}/components.nii.gz",
        mask="<results>/ica/mask.nii.gz",
    output:
        timecourses="<results>/ica/folds/repeat-{repeat}_fold-{fold}/timecourses.nc",
        artefacts="<results>/ica/folds/repeat-{repeat}_fold-{fold}/artefacts.tsv",
        artefacts_sidecar="<results>/ica/folds/repeat-{repeat}_fold-{fold}/artefacts.json",
        maps=temp(
            directory("<results>/ica/folds/repeat-{repeat}_fold-{fold}/participants")
        ),
    log:
        "<logs>/ica/participant_components_fold/repeat-{repeat}_fold-{fold}.log",
    benchmark:
        "<benchmarks>/ica/participant_components_fold/repeat-{repeat}_fold-{fold}.tsv"


use rule connectivity as connectivity_fold with:
    input:
        timecourses="<results>/ica/folds/repeat-{repeat}_fold-{fold}/timecourses.nc",
    output:
        fnc="<results>/ica/folds/repeat-{repeat}_fold-{fold}/fnc.nc",
    log:
        "<logs>/ica/connectivity_fold/repeat-{repeat}_fold-{fold}.log",
    benchmark:
        "<benchmarks>/ica/connectivity_fold/repeat-{repeat}_fold-{fold}.tsv"


use rule component_maps as component_maps_fold with:
    input:
        maps="<results>/ica/folds/repeat-{repeat}_fold-{fold}/participants",
        timecourses="<results>/ica/folds/repeat-{repeat}_fold-{fold}/timecourses.nc",
        mask="<results>/ica/mask.nii.gz",
    output:
        maps="<results>/ica/folds/repeat-{repeat}_fold-{fold}/maps.nc",
    log:
        "<logs>/ica/component_maps_fold/repeat-{repeat}_fold-{fold}.log",
    benchmark:
        "<benchmarks>/ica/component_maps_fold/repeat-{repeat}_fold-{fold}.tsv"


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
        mem_mb=with_participants(4000, each=10),
        runtime=with_participants(60, each=0.05),
    params:
        dynamic=config["ica"]["dynamic"],
        seed=config["seed"],
    script:
        "../scripts/ica/dynamic_connectivity.py"
