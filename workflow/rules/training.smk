"""Training: the partition into folds, the networks trained on them, and the baselines beside them."""


rule split_folds:
    input:
        participants="<results>/selection/participants.tsv",
    output:
        splits="<results>/training/splits.tsv",
        sidecar="<results>/training/splits.json",
    log:
        "<logs>/training/split_folds.log",
    benchmark:
        "<benchmarks>/training/split_folds.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        folds=training["folds"],
        repeats=training["repeats"],
        split=training["split"],
        site=training["site"],
        validation=training["validation"],
        equal_groups=training["equal_groups"],
        seed=config["seed"],
    script:
        "../scripts/training/split_folds.py"


# A job trains the fold of its wildcards or, with training.folds_per_job all, those of its repeat.
rule train_folds:
    input:
        data=get_training_data,
        network=get_own_network,
        participants="<results>/selection/participants.tsv",
        splits="<results>/training/splits.tsv",
    output:
        spectra=files_of_job("spectra.nc"),
        metrics=files_of_job("metrics.tsv"),
        metrics_sidecar=files_of_job("metrics.json"),
        predictions=files_of_job("predictions.tsv"),
        predictions_sidecar=files_of_job("predictions.json"),
        model=files_of_job("model.pt"),
        record=files_of_job("training.json"),
        groupings=files_of_job("spectra_by-{grouping}.nc"),
        permuted=files_of_job("spectra_by-{grouping}_permuted.nc") if regrouped else [],
        tensorboard=get_events_of_job(),
    log:
        "<logs>/training/train_folds/{model}/<job>.log",
    benchmark:
        "<benchmarks>/training/train_folds/{model}/<job>.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: get_training_memory(wildcards) * attempt,
        runtime=with_folds(40, each_fold=20, each=0.1),
        gpu=1 if training["device"].startswith("cuda") else 0,
    params:
        folds=get_job_folds,
        training=fold_settings,
        groupings=training["groupings"],
        n_permutations=permutation["regrouping"],
        hyperparameters=lambda wildcards: training["models"][wildcards.model],
        levels=config["cohort"]["group"]["levels"],
        seed=config["seed"],
    script:
        "../scripts/training/train_folds.py"


# A job trains its folds again under as many permutations as stats.permutation.per_job says.
rule retrain_folds:
    input:
        data=get_training_data,
        network=get_own_network,
        participants="<results>/selection/participants.tsv",
    output:
        permuted=files_of_job("spectra_permuted-{{part}}.nc"),
    log:
        "<logs>/training/retrain_folds/{model}/<job>-{part}.log",
    benchmark:
        "<benchmarks>/training/retrain_folds/{model}/<job>-{part}.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: get_training_memory(wildcards) * attempt,
        runtime=lambda wildcards, attempt: (
            60 + 2 * len(get_job_folds(wildcards)) * len(get_arrangements(wildcards))
        )
        * attempt,
        gpu=1 if training["device"].startswith("cuda") else 0,
    params:
        folds=get_job_folds,
        arrangements=get_arrangements,
        training=retrained_settings,
        n_permutations=permutation["retraining"],
        splitting={
            key: training[key]
            for key in ("folds", "split", "site", "validation", "equal_groups")
        },
        hyperparameters=lambda wildcards: training["models"][wildcards.model],
        levels=config["cohort"]["group"]["levels"],
        seed=config["seed"],
    script:
        "../scripts/training/retrain_folds.py"


rule fit_baselines:
    input:
        data=get_baseline_data,
        participants="<results>/selection/participants.tsv",
        splits="<results>/training/splits.tsv",
    output:
        predictions="<results>/training/baselines.tsv",
        sidecar="<results>/training/baselines.json",
    log:
        "<logs>/training/fit_baselines.log",
    benchmark:
        "<benchmarks>/training/fit_baselines.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=with_participants(2000, each=1),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        baselines=training["baselines"],
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/training/fit_baselines.py"


rule score_folds:
    input:
        predictions=get_all_predictions,
    output:
        scores="<results>/training/scores.tsv",
        sidecar="<results>/training/scores.json",
    log:
        "<logs>/training/score_folds.log",
    benchmark:
        "<benchmarks>/training/score_folds.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/training/score_folds.py"
