"""Every kind of cohort gives the whole graph before any job runs; bad input gives a sentence instead."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from makers import make_bids, make_fmriprep, make_fnc, make_timeseries
from running import ROOT, snakemake, write_config

N_REPEATS = 3
N_RUNS = 2 * N_REPEATS


def ready(name: str, **section: Any) -> dict[str, Any]:
    """Read a ready config and point it at the data of a test: 2 folds, 3 repeats, no covariates but age."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    source = config["cohort"]["source"]
    config["cohort"].setdefault(source, {}).update(section)
    config["cohort"]["covariates"] = []
    config["cohort"]["group"] = {"column": "group", "levels": ["control", "patient"]}
    config["training"].update(folds=2, repeats=3)
    return config


def count_jobs(output: str) -> dict[str, int]:
    """Read the table of jobs that a dry run prints."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)}


def dry_run(workdir: Path, config: dict[str, Any], *arguments: str) -> dict[str, int]:
    done = snakemake(workdir, "-n", "--quiet", "rules", "--configfile", write_config(workdir, config), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return count_jobs(done.stdout + done.stderr)


def refusal(workdir: Path, config: dict[str, Any]) -> str:
    done = snakemake(workdir, "-n", "--configfile", write_config(workdir, config))
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("entry", [[], ["-s", "workflow/Snakefile"]], ids=["root", "workflow"])
def test_the_demo_is_planned_whole_from_both_entries(workdir: Path, entry: list[str]) -> None:
    done = snakemake(workdir, "-n", "--quiet", "rules", *entry)
    jobs = count_jobs(done.stdout + done.stderr)
    assert jobs["simulate_participant"] == jobs["preprocess_participant"] == jobs["denoise_participant"] == 20
    assert jobs["train_folds"] == 3 * 2
    assert jobs["plot_recovery"] == 1


def test_raw_bids_with_sessions_and_runs_in_a_folder_with_spaces(workdir: Path) -> None:
    root = make_bids(workdir / "Daten für alle", 4, sessions=["1", "2"], runs=["1", "2"], extension=".nii")
    jobs = dry_run(workdir, ready("bids", root=str(root)))
    assert jobs["preprocess_participant"] == 4
    assert jobs["train_folds"] == 3 * N_REPEATS
    assert "simulate_participant" not in jobs
    assert "plot_recovery" not in jobs


def test_fmriprep_derivatives_skip_preprocessing(workdir: Path) -> None:
    root = make_fmriprep(workdir / "derivatives", 4)
    jobs = dry_run(workdir, ready("fmriprep", root=str(root), participants=str(root / "participants.tsv")))
    assert "preprocess_participant" not in jobs
    assert jobs["denoise_participant"] == 4
    assert jobs["group_ica"] == 1


def with_template(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Name a template in a configuration; what is in the file does not matter before any job runs."""
    file = folder / "NeuroMark Vorlage.nii.gz"
    file.write_bytes(b"a template")
    config["ica"] = {"template": {"path": str(file), "sha256": hashlib.sha256(b"a template").hexdigest()}}
    return config


@pytest.mark.parametrize("source", ["simulated", "fmriprep"])
def test_with_a_template_no_group_is_decomposed(workdir: Path, source: str) -> None:
    if source == "simulated":
        config: dict[str, Any] = {"cohort": {"source": "simulated"}}
    else:
        root = make_fmriprep(workdir / "derivatives", 4)
        config = ready("fmriprep", root=str(root), participants=str(root / "participants.tsv"))
    jobs = dry_run(workdir, with_template(config, workdir))
    assert "group_ica" not in jobs
    assert jobs["template_components"] == jobs["participant_components"] == jobs["plot_components"] == 1
    assert jobs.get("plot_recovery", 0) == (source == "simulated")


def test_dynamic_connectivity_is_made_when_asked_for(workdir: Path) -> None:
    config = ready("timeseries", participants=str(make_timeseries(workdir / "series")))
    config["ica"] = {"dynamic": {"enabled": True}}
    jobs = dry_run(workdir, config)
    assert jobs["dynamic_connectivity"] == jobs["plot_dynamic_connectivity"] == 1
    table = str(make_fnc(workdir / "fnc"))
    assert "dynamic_connectivity" not in dry_run(workdir, {**ready("fnc", participants=table), "ica": config["ica"]})


def test_a_template_that_is_missing_or_another_is_refused_before_any_job_runs(workdir: Path) -> None:
    config = with_template({"cohort": {"source": "simulated"}}, workdir)
    file = Path(config["ica"]["template"]["path"])
    file.write_bytes(b"another version")
    assert "is it another version, or damaged?" in refusal(workdir, config)
    file.unlink()
    assert "ica.template.path: there is no file" in refusal(workdir, config)


def test_time_courses_skip_preprocessing_and_ica(workdir: Path) -> None:
    jobs = dry_run(workdir, ready("timeseries", participants=str(make_timeseries(workdir / "series"))))
    assert not {"preprocess_participant", "denoise_participant", "group_ica", "plot_components"} & set(jobs)
    assert jobs["read_timeseries"] == jobs["connectivity"] == 1
    assert jobs["train_folds"] == 3 * N_REPEATS


def test_connectivity_goes_straight_to_training(workdir: Path) -> None:
    jobs = dry_run(workdir, ready("fnc", participants=str(make_fnc(workdir / "fnc"))))
    assert "connectivity" not in jobs
    assert jobs["train_folds"] == N_REPEATS


def test_numerical_data_needs_no_files(workdir: Path) -> None:
    assert dry_run(workdir, ready("numerical"))["train_folds"] == 3 * N_REPEATS


def test_folds_are_trained_apart_where_asked(workdir: Path) -> None:
    config = ready("numerical")
    config["training"].update(folds_per_job=1, tensorboard=True)
    assert dry_run(workdir, config)["train_folds"] == 3 * N_RUNS
    config["training"]["folds_per_job"] = 3
    assert "training.folds_per_job: 3 is not one of [1, 'all']" in refusal(workdir, config)


def test_maps_are_made_for_the_networks_that_learn_from_them(workdir: Path) -> None:
    root = make_fmriprep(workdir / "derivatives", 4)
    config = ready("fmriprep", root=str(root), participants=str(root / "participants.tsv"))
    assert not {"component_maps", "alff_maps"} & set(dry_run(workdir, config))
    own = {"class": "torch.nn.Linear", "input": "alff"}
    config["training"]["models"] = {"cnn3d": {}, "net": own}
    jobs = dry_run(workdir, config)
    assert jobs["component_maps"] == jobs["alff_maps"] == 1
    config.setdefault("ica", {})["per_fold"] = True
    jobs = dry_run(workdir, config)
    assert jobs["component_maps_fold"] == N_RUNS and jobs["alff_maps"] == 1
    config = ready("numerical")
    config["training"]["models"] = {"cnn3d": {}}
    assert "cnn3d learns from maps of the brain, but cohort.source 'numerical'" in refusal(workdir, config)


def test_kinds_are_drawn_beside_each_other_where_there_are_several(workdir: Path) -> None:
    config = ready("numerical")
    assert "plot_kinds" not in dry_run(workdir, config)
    config["training"]["kinds"] = ["gradient", "activation", "delta"]
    assert dry_run(workdir, config)["plot_kinds"] == len(config["training"]["models"])


def test_further_groupings_and_calibration_bring_their_jobs(workdir: Path) -> None:
    config = ready("fnc", participants=str(make_fnc(workdir / "fnc")))
    config["cohort"]["covariates"] = ["age"]
    config["training"]["groupings"] = {"age": {"column": "age", "quantiles": 2}}
    jobs = dry_run(workdir, config)
    assert jobs["extract_groupings"] == jobs["summarise_permuted"] == jobs["test_permutations"] == 1
    assert jobs["retrain_folds"] == N_REPEATS and jobs["test_omnibus"] == jobs["summarise_retrained"] == 1
    assert jobs["read_tests"] == jobs["plot_permutations"] == 1
    assert "calibrate_tests" not in jobs
    config["training"]["groupings"]["all"] = {"column": "age", "quantiles": 99}
    assert "training.groupings.all: column 'age' has the values" in refusal(workdir, config)
    del config["training"]["groupings"]["all"]
    config["stats"] = {"permutation": {"regrouping": 0, "retraining": 9, "per_job": 5}, "calibration": "quick"}
    jobs = dry_run(workdir, config)
    assert jobs["retrain_folds"] == 2 * N_REPEATS
    assert jobs["summarise_permuted"] == jobs["calibrate_tests"] == jobs["plot_rejection_rates"] == 1
    config["stats"] = {"permutation": {"regrouping": 0, "retraining": 0}}
    jobs = dry_run(workdir, config)
    assert not {"retrain_folds", "test_omnibus", "test_permutations", "plot_permutations"} & set(jobs)
    assert jobs["read_tests"] == 1
    config["stats"] = {"permutation": {"regrouping": 0}, "plan": {"old": {"grouping": "age"}}}
    assert "stats.plan.old.grouping: age is not in training.groupings, as permuted" in refusal(workdir, config)


def test_a_network_of_ones_own_is_planned_and_one_that_is_not_there_refused(workdir: Path) -> None:
    config = ready("fnc", participants=str(make_fnc(workdir / "fnc")))
    config["training"]["models"] = {"net": {"class": "torch.nn.Linear", "input": "connectivity"}}
    assert dry_run(workdir, config)["train_folds"] == N_REPEATS
    config["training"]["models"]["net"] |= {"class": "torch.nn.modules.Linear", "args": {"width": 3}}
    assert "Linear(data_shape, n_classes, **args) does not take the arguments {'width': 3}" in refusal(workdir, config)
    config["training"]["models"]["net"]["class"] = "nosuchnets.Net"
    assert "training.models.net.class: there is no module 'nosuchnets'; install it" in refusal(workdir, config)


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("preprocess", "group_quality"),
        ("ica", "connectivity"),
        ("train", "merge_spectra"),
        ("stats", "test_groups"),
        ("figures", "plot_group_differences"),
    ],
)
def test_a_stage_can_be_asked_for_by_name(workdir: Path, target: str, last: str) -> None:
    done = snakemake(workdir, target, "-n", "--quiet", "rules")
    jobs = count_jobs(done.stdout + done.stderr)
    assert last in jobs
    assert ("train_folds" in jobs) == (target in ("train", "stats", "figures"))


def test_two_configs_are_never_mixed(workdir: Path) -> None:
    config = {"cohort": {"source": "numerical"}, "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1}}
    assert dry_run(workdir, config)["train_folds"] == 1


def test_single_keys_are_laid_over_the_demo(workdir: Path) -> None:
    done = snakemake(workdir, "-n", "--config", "results=elsewhere")
    assert done.returncode == 0, done.stderr
    assert "elsewhere/figures/recovery.png" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cohort": {"source": "bids"}}, "cohort.bids.root"),
        ({"cohort": {"source": "bids", "bids": {"root": "nowhere"}}}, "nowhere"),
        ({"cohort": {"source": "timeseries"}}, "cohort.timeseries.participants is not set"),
        ({"cohort": {"source": "numerical"}, "training": {"foldz": 3}}, "did you mean 'folds'"),
        ({"cohort": {"source": "simulated", "simulated": {"n_participants": 6}}}, "training.folds"),
        ({"cohort": {"source": "simulated"}, "training": {"split": "leave-site-out"}}, "training.site"),
        ({"cohort": {"source": "simulated"}, "preprocess": {"motion": "none"}}, "preprocess.denoise.strategy 'simple'"),
    ],
)
def test_a_config_that_cannot_work_is_refused_in_words(workdir: Path, change: dict, message: str) -> None:
    assert message in refusal(workdir, change)


def test_a_missing_group_level_is_named_before_any_job_runs(workdir: Path) -> None:
    table = make_timeseries(workdir / "series")
    config = ready("timeseries", participants=str(table))
    config["cohort"]["group"]["levels"] = ["control", "autism"]
    text = refusal(workdir, config)
    assert str(table) in text
    assert "'autism'" in text
    assert "patient" in text


def test_double_and_unsafe_ids_are_named_before_any_job_runs(workdir: Path) -> None:
    table = make_timeseries(workdir / "series")
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows, rows[1]]) + "\n")
    assert "sub-01" in refusal(workdir, ready("timeseries", participants=str(table)))
    table.write_text("\n".join([*rows, rows[1].replace("sub-01", "sub-../01")]) + "\n")
    assert "not a BIDS label" in refusal(workdir, ready("timeseries", participants=str(table)))


def read_graph() -> dict[str, set[str]]:
    """Rules of the demo, and those that read what each makes."""
    done = snakemake(ROOT, "--rulegraph", "mermaid-js", "--forceall")
    assert done.returncode == 0, done.stderr
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", done.stdout))
    return {
        name: {names[b] for a, b in re.findall(r"(id\d+) --> (id\d+)", done.stdout) if names[a] == name} - {"all"}
        for name in names.values()
        if name != "all"
    }


def draw_rules() -> str:
    """Draw the rules of the demo by stage as mermaid; an arrow that a longer way implies is left out."""
    graph = read_graph()

    def reach(name: str) -> set[str]:
        return graph[name].union(*(reach(child) for child in graph[name]))

    lines = ["flowchart LR"]
    for stage in ("cohort", "preprocess", "selection", "ica", "training", "spectra", "stats", "figures"):
        rules = [
            path.stem for path in sorted((ROOT / "workflow" / "scripts" / stage).glob("*.py")) if path.stem in graph
        ]
        lines += [f"  subgraph {stage}", *(f"    {rule}" for rule in rules), "  end"]
    for name in sorted(graph):
        implied = set().union(*(reach(child) for child in graph[name]))
        lines += [f"  {name} --> {child}" for child in sorted(graph[name] - implied)]
    return "\n".join(lines)


def test_no_way_leaves_a_group_of_the_slurm_profile_and_comes_back() -> None:
    """Else a Slurm job would wait for a rule outside it that waits for the job."""
    graph = read_graph()

    def reach(name: str) -> set[str]:
        return graph[name].union(*(reach(child) for child in graph[name]))

    groups = yaml.safe_load((ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text())["groups"]
    for rule, group in groups.items():
        members = {name for name, each in groups.items() if each == group}
        for outside in graph.get(rule, set()) - members:
            assert not reach(outside) & members, f"{rule} is read by {outside}, which others of {group} wait for"


def test_components_of_each_fold_are_estimated_on_its_training_participants(workdir: Path) -> None:
    root = make_fmriprep(workdir / "fmriprep", 8)
    config = ready("fmriprep", root=str(root), participants=str(root / "participants.tsv"))
    config.setdefault("ica", {})["per_fold"] = True
    jobs = dry_run(workdir, config)
    for rule in ("group_ica_fold", "participant_components_fold", "connectivity_fold"):
        assert jobs[rule] == N_RUNS
    assert jobs["group_ica"] == jobs["participant_components"] == 1  # for the figures
    config["training"]["models"] = {"lstm": {}}
    assert dry_run(workdir, config)["connectivity_fold"] == N_RUNS  # which the baseline learns from


def test_a_large_cohort_is_merged_in_batches_and_orders_are_compared_where_asked(workdir: Path) -> None:
    root = make_fmriprep(workdir / "fmriprep", 12)
    config = ready("fmriprep", root=str(root), participants=str(root / "participants.tsv"))
    plain = dry_run(workdir, config)
    assert plain["reduce_participant"] == 12
    assert not {"merge_participants", "component_order", "group_ica_fold"} & set(plain)
    config.setdefault("ica", {}).update(merge_at_once=4, orders=[10, 20])
    jobs = dry_run(workdir, config)
    assert jobs["merge_participants"] == 8
    assert jobs["component_order"] == 1


def test_the_picture_of_the_rules_in_the_readme_is_the_graph() -> None:
    assert f"```mermaid\n{draw_rules()}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
