"""Figures: one rule a picture, with the table of what it shows, and a record of what was run."""


rule plot_main:
    input:
        features=collect("<results>/features/{model}.tsv", model=models),
        spectra=collect("<results>/spectra/{model}.nc", model=models),
        readings="<results>/stats/readings.tsv",
        clusters="<results>/stats/clusters.tsv",
        performance="<results>/stats/performance.tsv",
    output:
        png=report(
            "<results>/figures/main.png",
            category="1 Overview",
            caption="../report/main.rst",
            labels={"figure": "Main figure"},
        ),
        svg="<results>/figures/main.svg",
        data="<results>/figures/main.tsv",
        data_sidecar="<results>/figures/main.json",
    log:
        "<logs>/figures/plot_main.log",
    benchmark:
        "<benchmarks>/figures/plot_main.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        models=models,
        levels=config["cohort"]["group"]["levels"],
        alpha=config["stats"]["alpha"],
    script:
        "../scripts/figures/plot_main.py"


rule write_overview:
    input:
        listed="<results>/cohort/listed.tsv",
        checked="<results>/cohort/checked.tsv",
        participants="<results>/selection/participants.tsv",
        excluded="<results>/selection/excluded.tsv",
        splits="<results>/training/splits.tsv",
        readings="<results>/stats/readings.tsv",
        performance="<results>/stats/performance.tsv",
        omnibus=get_omnibus_tests,
        curves=collect("<results>/figures/{model}/learning_curves.tsv", model=models),
        picture="<results>/figures/main.png",
        permutations="<results>/figures/permutations.png" if parts else [],
        recovery="<results>/figures/recovery.tsv" if source == "simulated" else [],
        methods=get_methods,
        environment="<results>/environment.json",
    output:
        page=report(
            "<results>/figures/overview.html",
            category="1 Overview",
            caption="../report/overview.rst",
            labels={"figure": "Main result, cohort, methods, references, environment"},
        ),
    log:
        "<logs>/figures/write_overview.log",
    benchmark:
        "<benchmarks>/figures/write_overview.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        models=models,
        levels=config["cohort"]["group"]["levels"],
        stats=config["stats"],
    script:
        "../scripts/figures/write_overview.py"


rule plot_quality_control:
    input:
        quality="<results>/selection/group_bold.tsv",
        participants="<results>/selection/participants.tsv",
        excluded="<results>/selection/excluded.tsv",
    output:
        png=report(
            "<results>/figures/quality_control.png",
            category="3 Quality control",
            caption="../report/quality_control.rst",
            labels={"figure": "Head motion, temporal SNR and overlap"},
        ),
        svg="<results>/figures/quality_control.svg",
        data="<results>/figures/quality_control.tsv",
        data_sidecar="<results>/figures/quality_control.json",
    log:
        "<logs>/figures/plot_quality_control.log",
    benchmark:
        "<benchmarks>/figures/plot_quality_control.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
        limits=config["preprocess"]["quality"],
    script:
        "../scripts/figures/plot_quality_control.py"


rule plot_components:
    input:
        components="<maps>/components.nii.gz",
        stability="<maps>/stability.tsv",
        labels="<maps>/labels.tsv",
        artefacts="<results>/ica/artefacts.tsv",
        timecourses="<results>/ica/timecourses.nc",
    output:
        png=report(
            "<results>/figures/components.png",
            category="4 Components",
            caption="../report/components.rst",
            labels={"figure": "Component maps"},
        ),
        svg="<results>/figures/components.svg",
        data="<results>/figures/components.tsv",
        data_sidecar="<results>/figures/components.json",
    log:
        "<logs>/figures/plot_components.log",
    benchmark:
        "<benchmarks>/figures/plot_components.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    script:
        "../scripts/figures/plot_components.py"


rule plot_connectivity:
    input:
        fnc=get_fnc,
        participants="<results>/selection/participants.tsv",
        labels=get_labels,
    output:
        png=report(
            "<results>/figures/connectivity.png",
            category="5 Connectivity",
            caption="../report/connectivity.rst",
            labels={"figure": "Connectivity by group"},
        ),
        svg="<results>/figures/connectivity.svg",
        data="<results>/figures/connectivity.tsv",
        data_sidecar="<results>/figures/connectivity.json",
    log:
        "<logs>/figures/plot_connectivity.log",
    benchmark:
        "<benchmarks>/figures/plot_connectivity.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
        alpha=config["stats"]["alpha"],
    script:
        "../scripts/figures/plot_connectivity.py"


rule plot_dynamic_connectivity:
    input:
        dfnc="<results>/ica/dfnc.nc",
        states="<results>/ica/states.tsv",
        participants="<results>/selection/participants.tsv",
        labels=get_labels,
    output:
        png=report(
            "<results>/figures/dynamic_connectivity.png",
            category="5 Connectivity",
            caption="../report/dynamic_connectivity.rst",
            labels={"figure": "States of dynamic connectivity"},
        ),
        svg="<results>/figures/dynamic_connectivity.svg",
        data="<results>/figures/dynamic_connectivity.tsv",
        data_sidecar="<results>/figures/dynamic_connectivity.json",
    log:
        "<logs>/figures/plot_dynamic_connectivity.log",
    benchmark:
        "<benchmarks>/figures/plot_dynamic_connectivity.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/figures/plot_dynamic_connectivity.py"


rule plot_recovery:
    input:
        components="<maps>/components.nii.gz",
        timecourses="<results>/ica/timecourses.nc",
        fnc="<results>/ica/fnc.nc",
        participants="<results>/selection/participants.tsv",
        true_components="<results>/ground_truth/components.nii.gz",
        design="<results>/ground_truth/design.nc",
        truth=collect("<results>/ground_truth/{subject}.nc", subject=subjects),
    output:
        png=report(
            "<results>/figures/recovery.png",
            category="9 Ground truth",
            caption="../report/recovery.rst",
            labels={"figure": "Recovered against true components and connectivity"},
        ),
        svg="<results>/figures/recovery.svg",
        data="<results>/figures/recovery.tsv",
        data_sidecar="<results>/figures/recovery.json",
    log:
        "<logs>/figures/plot_recovery.log",
    benchmark:
        "<benchmarks>/figures/plot_recovery.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/figures/plot_recovery.py"


rule plot_learning_curves:
    input:
        metrics=get_folds("metrics.tsv"),
        scores="<results>/training/scores.tsv",
    output:
        png=report(
            "<results>/figures/{model}/learning_curves.png",
            category="6 Training",
            caption="../report/learning_curves.rst",
            labels={"model": "{model}", "figure": "Learning curves"},
        ),
        svg="<results>/figures/{model}/learning_curves.svg",
        data="<results>/figures/{model}/learning_curves.tsv",
        data_sidecar="<results>/figures/{model}/learning_curves.json",
    log:
        "<logs>/figures/plot_learning_curves/{model}.log",
    benchmark:
        "<benchmarks>/figures/plot_learning_curves/{model}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
        baseline=baseline,
    script:
        "../scripts/figures/plot_learning_curves.py"


rule plot_calibration:
    input:
        predictions=get_all_predictions,
    output:
        png=report(
            "<results>/figures/calibration.png",
            category="6 Training",
            caption="../report/calibration.rst",
            labels={"model": "all", "figure": "Calibration"},
        ),
        svg="<results>/figures/calibration.svg",
        data="<results>/figures/calibration.tsv",
        data_sidecar="<results>/figures/calibration.json",
    log:
        "<logs>/figures/plot_calibration.log",
    benchmark:
        "<benchmarks>/figures/plot_calibration.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
        models=models,
        baseline=baseline,
        alpha=config["stats"]["alpha"],
    script:
        "../scripts/figures/plot_calibration.py"


rule plot_spectra:
    input:
        spectra="<results>/spectra/{model}.nc",
    output:
        png=report(
            "<results>/figures/{model}/spectra.png",
            category="7 Spectra",
            caption="../report/spectra.rst",
            labels={"model": "{model}", "figure": "Singular values over training"},
        ),
        svg="<results>/figures/{model}/spectra.svg",
        data="<results>/figures/{model}/spectra.tsv",
        data_sidecar="<results>/figures/{model}/spectra.json",
    log:
        "<logs>/figures/plot_spectra/{model}.log",
    benchmark:
        "<benchmarks>/figures/plot_spectra/{model}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/figures/plot_spectra.py"


rule plot_epoch_spectra:
    input:
        spectra="<results>/figures/{model}/spectra.tsv",
    output:
        png=report(
            "<results>/figures/{model}/epoch_spectra.png",
            category="7 Spectra",
            caption="../report/epoch_spectra.rst",
            labels={"model": "{model}", "figure": "Spectra at chosen epochs"},
        ),
        svg="<results>/figures/{model}/epoch_spectra.svg",
        data="<results>/figures/{model}/epoch_spectra.tsv",
        data_sidecar="<results>/figures/{model}/epoch_spectra.json",
    log:
        "<logs>/figures/plot_epoch_spectra/{model}.log",
    benchmark:
        "<benchmarks>/figures/plot_epoch_spectra/{model}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/figures/plot_epoch_spectra.py"


rule plot_kinds:
    input:
        features="<results>/features/{model}.tsv",
    output:
        png=report(
            "<results>/figures/{model}/kinds.png",
            category="7 Spectra",
            caption="../report/kinds.rst",
            labels={"model": "{model}", "figure": "Gradient, activation and delta"},
        ),
        svg="<results>/figures/{model}/kinds.svg",
        data="<results>/figures/{model}/kinds.tsv",
        data_sidecar="<results>/figures/{model}/kinds.json",
    log:
        "<logs>/figures/plot_kinds/{model}.log",
    benchmark:
        "<benchmarks>/figures/plot_kinds/{model}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/figures/plot_kinds.py"


rule plot_alignment:
    input:
        features="<results>/features/{model}.tsv",
    output:
        png=report(
            "<results>/figures/{model}/alignment.png",
            category="7 Spectra",
            caption="../report/alignment.rst",
            labels={"model": "{model}", "figure": "Alignment of the groups"},
        ),
        svg="<results>/figures/{model}/alignment.svg",
        data="<results>/figures/{model}/alignment.tsv",
        data_sidecar="<results>/figures/{model}/alignment.json",
    log:
        "<logs>/figures/plot_alignment/{model}.log",
    benchmark:
        "<benchmarks>/figures/plot_alignment/{model}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/figures/plot_alignment.py"


rule plot_trajectories:
    input:
        features="<results>/features/{model}.tsv",
        clusters="<results>/stats/clusters.tsv",
    output:
        png=report(
            "<results>/figures/{model}/trajectories.png",
            category="7 Spectra",
            caption="../report/trajectories.rst",
            labels={"model": "{model}", "figure": "Features over training"},
        ),
        svg="<results>/figures/{model}/trajectories.svg",
        data="<results>/figures/{model}/trajectories.tsv",
        data_sidecar="<results>/figures/{model}/trajectories.json",
    log:
        "<logs>/figures/plot_trajectories/{model}.log",
    benchmark:
        "<benchmarks>/figures/plot_trajectories/{model}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
        alpha=config["stats"]["alpha"],
    script:
        "../scripts/figures/plot_trajectories.py"


rule plot_ranks:
    input:
        spectra="<results>/spectra/{model}.nc",
    output:
        png=report(
            "<results>/figures/{model}/ranks.png",
            category="7 Spectra",
            caption="../report/ranks.rst",
            labels={
                "model": "{model}",
                "figure": "Ranks over training, and their bounds",
            },
        ),
        svg="<results>/figures/{model}/ranks.svg",
        data="<results>/figures/{model}/ranks.tsv",
        data_sidecar="<results>/figures/{model}/ranks.json",
    log:
        "<logs>/figures/plot_ranks/{model}.log",
    benchmark:
        "<benchmarks>/figures/plot_ranks/{model}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        hyperparameters=lambda wildcards: training["models"][wildcards.model],
        n_volumes=config["cohort"]["numerical"]["n_volumes"],
    script:
        "../scripts/figures/plot_ranks.py"


rule plot_rank_bounds:
    input:
        ranks=collect("<results>/figures/{model}/ranks.tsv", model=models),
    output:
        png=report(
            "<results>/figures/rank_bounds.png",
            category="7 Spectra",
            caption="../report/rank_bounds.rst",
            labels={"model": "all", "figure": "Ranks against their bounds"},
        ),
        svg="<results>/figures/rank_bounds.svg",
        data="<results>/figures/rank_bounds.tsv",
        data_sidecar="<results>/figures/rank_bounds.json",
    log:
        "<logs>/figures/plot_rank_bounds.log",
    benchmark:
        "<benchmarks>/figures/plot_rank_bounds.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        models=models,
    script:
        "../scripts/figures/plot_rank_bounds.py"


rule plot_group_differences:
    input:
        readings="<results>/stats/readings.tsv",
    output:
        png=report(
            "<results>/figures/group_differences.png",
            category="8 Group statistics",
            caption="../report/group_differences.rst",
            labels={"figure": "Group differences by layer and feature"},
        ),
        svg="<results>/figures/group_differences.svg",
        data="<results>/figures/group_differences.tsv",
        data_sidecar="<results>/figures/group_differences.json",
    log:
        "<logs>/figures/plot_group_differences.log",
    benchmark:
        "<benchmarks>/figures/plot_group_differences.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
        alpha=config["stats"]["alpha"],
    script:
        "../scripts/figures/plot_group_differences.py"


rule plot_permutations:
    input:
        ratios=collect("<results>/features/{model}_retrained.nc", model=models),
        features=collect("<results>/features/{model}_permuted.tsv", model=models),
        omnibus="<results>/stats/omnibus.tsv",
        readings="<results>/stats/readings.tsv",
    output:
        png=report(
            "<results>/figures/permutations.png",
            category="8 Group statistics",
            caption="../report/permutation_distributions.rst",
            labels={"figure": "What lot makes of the spectra"},
        ),
        svg="<results>/figures/permutations.svg",
        data="<results>/figures/permutations.tsv",
        data_sidecar="<results>/figures/permutations.json",
    log:
        "<logs>/figures/plot_permutations.log",
    benchmark:
        "<benchmarks>/figures/plot_permutations.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        levels=config["cohort"]["group"]["levels"],
        alpha=config["stats"]["alpha"],
    script:
        "../scripts/figures/plot_permutations.py"


rule plot_rejection_rates:
    input:
        table="<results>/stats/calibration.tsv",
        sidecar="<results>/stats/calibration.json",
    output:
        png=report(
            "<results>/figures/rejection_rates.png",
            category="8 Group statistics",
            caption="../report/rejection_rates.rst",
            labels={"figure": "How often the tests reject"},
        ),
        svg="<results>/figures/rejection_rates.svg",
        data="<results>/figures/rejection_rates.tsv",
        data_sidecar="<results>/figures/rejection_rates.json",
    log:
        "<logs>/figures/plot_rejection_rates.log",
    benchmark:
        "<benchmarks>/figures/plot_rejection_rates.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    script:
        "../scripts/figures/plot_rejection_rates.py"


rule write_explorer:
    input:
        features=collect("<results>/features/{model}.tsv", model=models),
        spectra=collect("<results>/spectra/{model}.nc", model=models),
        readings="<results>/stats/readings.tsv",
        groupings=collect(
            "<results>/features/{model}_groupings.tsv",
            model=models if training["groupings"] else [],
        ),
        permutations="<results>/stats/permutations.tsv" if regrouped else [],
    output:
        page=report(
            "<results>/figures/explore.html",
            category="7 Spectra",
            caption="../report/explorer.rst",
            labels={"model": "all", "figure": "Explore the spectra"},
        ),
    log:
        "<logs>/figures/write_explorer.log",
    benchmark:
        "<benchmarks>/figures/write_explorer.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        models=models,
        column=config["cohort"]["group"]["column"],
        levels=config["cohort"]["group"]["levels"],
        alpha=config["stats"]["alpha"],
    script:
        "../scripts/figures/write_explorer.py"


rule record_run:
    input:
        participants="<results>/selection/participants.tsv",
    output:
        config="<results>/config.json",
        environment="<results>/environment.json",
    log:
        "<logs>/figures/record_run.log",
    benchmark:
        "<benchmarks>/figures/record_run.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        config=config,
    script:
        "../scripts/figures/record_run.py"
