"""Stats: what differs between the groups, and how well the networks tell them apart."""


rule test_groups:
    input:
        features=collect("<results>/features/{model}.tsv", model=models),
        splits="<results>/training/splits.tsv",
    output:
        table=report(
            "<results>/stats/group_differences.tsv",
            category="8 Group statistics",
            caption="../report/group_differences_table.rst",
            labels={"table": "Group differences of the spectra"},
        ),
        sidecar="<results>/stats/group_differences.json",
    log:
        "<logs>/stats/test_groups.log",
    benchmark:
        "<benchmarks>/stats/test_groups.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/stats/test_groups.py"


rule test_trajectories:
    input:
        features=collect("<results>/features/{model}.tsv", model=models),
        splits="<results>/training/splits.tsv",
    output:
        clusters=report(
            "<results>/stats/clusters.tsv",
            category="8 Group statistics",
            caption="../report/clusters.rst",
            labels={"table": "Epochs in which the groups differ"},
        ),
        clusters_sidecar="<results>/stats/clusters.json",
        models=report(
            "<results>/stats/mixed_models.tsv",
            category="8 Group statistics",
            caption="../report/mixed_models.rst",
            labels={"table": "Mixed models of the trajectories"},
        ),
        models_sidecar="<results>/stats/mixed_models.json",
    log:
        "<logs>/stats/test_trajectories.log",
    benchmark:
        "<benchmarks>/stats/test_trajectories.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
        seed=config["seed"],
    script:
        "../scripts/stats/test_trajectories.py"


rule test_permutations:
    input:
        features=collect("<results>/features/{model}_permuted.tsv", model=models),
    output:
        table=report(
            "<results>/stats/permutations.tsv",
            category="8 Group statistics",
            caption="../report/permutations.rst",
            labels={"table": "Groups among groups drawn by lot"},
        ),
        sidecar="<results>/stats/permutations.json",
    log:
        "<logs>/stats/test_permutations.log",
    benchmark:
        "<benchmarks>/stats/test_permutations.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        stats=config["stats"],
    script:
        "../scripts/stats/test_permutations.py"


rule test_omnibus:
    input:
        ratios=collect("<results>/features/{model}_retrained.nc", model=models),
    output:
        table=report(
            "<results>/stats/omnibus.tsv",
            category="8 Group statistics",
            caption="../report/omnibus.rst",
            labels={"table": "Do the spectra of the groups differ at all?"},
        ),
        sidecar="<results>/stats/omnibus.json",
    log:
        "<logs>/stats/test_omnibus.log",
    benchmark:
        "<benchmarks>/stats/test_omnibus.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    script:
        "../scripts/stats/test_omnibus.py"


rule read_tests:
    input:
        differences="<results>/stats/group_differences.tsv",
        participants="<results>/selection/participants.tsv",
        permutations=get_permutation_tests,
        omnibus=get_omnibus_tests,
    output:
        table=report(
            "<results>/stats/readings.tsv",
            category="8 Group statistics",
            caption="../report/readings.rst",
            labels={"table": "What may be said of each feature"},
        ),
        sidecar="<results>/stats/readings.json",
    log:
        "<logs>/stats/read_tests.log",
    benchmark:
        "<benchmarks>/stats/read_tests.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/stats/read_tests.py"


rule match_losses:
    input:
        features=collect("<results>/features/{model}.tsv", model=models),
        spectra=collect("<results>/spectra/{model}.nc", model=models),
        splits="<results>/training/splits.tsv",
    output:
        table=report(
            "<results>/stats/equal_loss.tsv",
            category="8 Group statistics",
            caption="../report/equal_loss.rst",
            labels={"table": "Group differences at equal loss"},
        ),
        sidecar="<results>/stats/equal_loss.json",
    log:
        "<logs>/stats/match_losses.log",
    benchmark:
        "<benchmarks>/stats/match_losses.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/stats/match_losses.py"


rule score_models:
    input:
        predictions=get_all_predictions,
        splits="<results>/training/splits.tsv",
    output:
        table=report(
            "<results>/stats/performance.tsv",
            category="8 Group statistics",
            caption="../report/performance.rst",
            labels={"table": "Performance of the networks"},
        ),
        sidecar="<results>/stats/performance.json",
    log:
        "<logs>/stats/score_models.log",
    benchmark:
        "<benchmarks>/stats/score_models.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
        seed=config["seed"],
    script:
        "../scripts/stats/score_models.py"


rule adjust_scores:
    input:
        predictions=get_predictions,
        participants="<results>/selection/participants.tsv",
    output:
        table=report(
            "<results>/stats/scores.tsv",
            category="8 Group statistics",
            caption="../report/scores.rst",
            labels={"table": "Scores of the networks beside covariates"},
        ),
        sidecar="<results>/stats/scores.json",
    log:
        "<logs>/stats/adjust_scores.log",
    benchmark:
        "<benchmarks>/stats/adjust_scores.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
        covariates=config["cohort"]["covariates"],
    script:
        "../scripts/stats/adjust_scores.py"


rule calibrate_tests:
    output:
        table=report(
            "<results>/stats/calibration.tsv",
            category="8 Group statistics",
            caption="../report/calibration_table.rst",
            labels={"table": "How often the tests reject"},
        ),
        sidecar="<results>/stats/calibration.json",
    log:
        "<logs>/stats/calibrate_tests.log",
    benchmark:
        "<benchmarks>/stats/calibrate_tests.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        size=config["stats"]["calibration"],
    script:
        "../scripts/stats/calibrate_tests.py"


rule summarise_tests:
    input:
        readings="<results>/stats/readings.tsv",
        splits="<results>/training/splits.tsv",
        equal_loss="<results>/stats/equal_loss.tsv",
        clusters="<results>/stats/clusters.tsv",
        performance="<results>/stats/performance.tsv",
        scores="<results>/stats/scores.tsv",
        permutations=get_permutation_tests,
        omnibus=get_omnibus_tests,
    output:
        summary=report(
            "<results>/stats/summary.html",
            category="8 Group statistics",
            caption="../report/summary.rst",
            labels={"table": "Summary in plain language"},
        ),
    log:
        "<logs>/stats/summarise_tests.log",
    benchmark:
        "<benchmarks>/stats/summarise_tests.tsv"
    conda:
        "../../envs/stats.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        stats=config["stats"],
        levels=config["cohort"]["group"]["levels"],
    script:
        "../scripts/stats/summarise_tests.py"
