"""Paths, wildcards, and functions that say what a rule needs; with plan.smk the only place that reads the config."""

import os

from gradspec.code import hash_code
from gradspec.cohort.plan import learns_from
from gradspec.ica.batches import part_into_batches
from gradspec.models.own import find_own_source
from gradspec.stats.plan import get_tested_groupings
from gradspec.training.plan import count_epochs, part_permutations

# Maps that go back to the participants: those of the group, or of a template.
template = config["ica"]["template"]["path"]

folds_together = config["training"]["folds_per_job"] == "all"


pathvars:
    results=config["results"],
    maps="<results>/ica/template" if template else "<results>/ica",
    job="repeat-{repeat}" if folds_together else "repeat-{repeat}_fold-{fold}",
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


# A workflow that imports this one may name the folder by a pathvar of its own, which wins.
config["results"] = workflow.pathvars.apply("<results>")

source = config["cohort"]["source"]
training = config["training"]
stop_on_error = config["on_error"] == "stop"
subjects = cohort.participants
has_raw_images = source in ("simulated", "bids")
has_images = has_raw_images or source == "fmriprep"
has_timecourses = has_images or source == "timeseries" or cohort.has_series
has_components_of_folds = has_images and config["ica"]["per_fold"] and not template
has_dynamics = has_timecourses and config["ica"]["dynamic"]["enabled"]
models = list(training["models"])
permutation = config["stats"]["permutation"]
regrouped = get_tested_groupings(config)
fold_settings = {
    key: training[key]
    for key in (
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "patience",
        "device",
        "deterministic",
        "amp",
        "kinds",
        "record_every",
        "checkpoint_every",
        "groupings_every",
        "alignment",
        "tensorboard",
    )
}
# Permuted trainings: the first epochs, recorded as often as their test asks for.
retrained_settings = fold_settings | {
    "epochs": count_epochs(permutation["epochs"], training["epochs"]),
    "record_every": permutation["record_every"],
    "alignment": False,
    "tensorboard": False,
}
parts = part_permutations(permutation["retraining"], permutation["per_job"])
# The baseline that stands beside the networks in figures: the dummy is but chance.
baseline = next((name for name in training["baselines"] if name != "dummy"), None)
batches = (
    part_into_batches(subjects, config["ica"]["merge_at_once"]) if has_images else {}
)


wildcard_constraints:
    subject=r"sub-[A-Za-z0-9]+",
    model="|".join(models),
    repeat=r"\d+",
    fold=r"\d+",
    part=r"\d+",


def stay_here(files):
    """Files of the user, which planning reads: where results go into a bucket, these do not lie in it."""
    return [local(str(file)) for file in files]


def get_raw_files(wildcards):
    """Raw images and sidecars of a participant, so that a changed file is seen."""
    if source == "simulated":
        return collect(
            "<results>/bids/{subject}/{part}",
            subject=wildcards.subject,
            part=[
                name.format(subject=wildcards.subject)
                for name in cohort.simulated_files
            ],
        )
    return stay_here(cohort.files[wildcards.subject])


def get_cohort_files(wildcards):
    """Everything the cohort check reads."""
    if source == "simulated":
        raw = collect(
            "<results>/bids/{subject}/func/{subject}_task-rest_bold.nii.gz",
            subject=subjects,
        )
        return ["<results>/bids/participants.tsv", *raw]
    return stay_here(
        [
            *cohort.tables,
            *(file for files in cohort.files.values() for file in files),
        ]
    )


def get_participants_tables(wildcards):
    """The tables that say who the participants are."""
    if source == "simulated":
        return "<results>/bids/participants.tsv"
    return stay_here(cohort.tables)


def get_runs_to_denoise(wildcards):
    """Runs of a participant in template space: our own, or the derivatives that were given."""
    if has_raw_images:
        return f"<results>/preprocess/status/{wildcards.subject}.json"
    return "<results>/cohort/runs.tsv"


def get_images_to_denoise(wildcards):
    """Their images, so that a changed file is seen."""
    if has_raw_images:
        return f"<results>/preprocess/{wildcards.subject}"
    return stay_here(cohort.files[wildcards.subject])


def get_runs(wildcards):
    """Table of runs of the last stage before the selection."""
    return f"<results>/{'preprocess' if has_images else 'cohort'}/runs.tsv"


def get_runs_sidecar(wildcards):
    """What the columns of that table are."""
    return f"<results>/{'preprocess' if has_images else 'cohort'}/runs.json"


def get_timecourses(wildcards):
    """Time courses of the cohort, from the stage that makes them."""
    return (
        "<results>/ica/timecourses.nc"
        if has_images
        else "<results>/cohort/timecourses.nc"
    )


def get_template(wildcards):
    """Image of the template that the config names."""
    return local(os.path.expanduser(template))


def get_labels(wildcards):
    """Labels and domains of the components, for cohorts that come as images."""
    return "<maps>/labels.tsv" if has_images else []


def get_methods(wildcards):
    """Methods of the preprocessing, for cohorts that come as images."""
    return "<results>/preprocess/methods.md" if has_images else []


def ica_settings(*keys):
    """The settings of ICA that a rule depends on, so that others do not make it run again."""
    return {key: config["ica"][key] for key in keys}


def get_batch(wildcards):
    """Reductions of the participants of a batch, which is named after its first."""
    return collect(
        "<results>/ica/reduced/{subject}", subject=batches[wildcards.subject]
    )


def get_reductions(wildcards):
    """What the group merges: its participants, or batches of them where they are many."""
    if batches:
        return collect("<results>/ica/merged/{subject}.npy", subject=batches)
    return collect("<results>/ica/reduced/{subject}", subject=subjects)


def get_fnc(wildcards):
    """Connectivity (or feature vectors) of the cohort, from the stage that makes them."""
    computed = has_timecourses and not cohort.has_features
    return "<results>/ica/fnc.nc" if computed else "<results>/cohort/fnc.nc"


def get_job_folds(wildcards):
    """Folds that a job trains: one, or all of its repeat."""
    one = "fold" in wildcards.keys()
    return [int(wildcards.fold)] if one else list(range(training["folds"]))


def get_arrangements(wildcards):
    """Permutations that a job trains; the labels as they are (0) are in the first part."""
    return parts[int(wildcards.part)]


def files_of_job(name):
    """Files of a name that a job of training writes: of each of its folds (and groupings)."""
    return collect(
        os.path.join(
            "<results>/training/{{model}}/repeat-{{repeat}}_fold-{fold}", name
        ),
        fold=range(training["folds"]) if folds_together else ["{fold}"],
        grouping=training["groupings"],
    )


def get_events_of_job():
    """Folders of the events for TensorBoard, where they are asked for."""
    folders = files_of_job("tensorboard") if training["tensorboard"] else []
    return [directory(folder) for folder in folders]


def get_training_data(wildcards):
    """Input of a model for each fold of a job; of components of its own fold where asked."""
    kind = learns_from(wildcards.model, training["models"][wildcards.model])
    folds = get_job_folds(wildcards)
    if has_components_of_folds and kind != "alff":
        return collect(
            "<results>/ica/folds/repeat-{repeat}_fold-{fold}/{name}.nc",
            repeat=wildcards.repeat,
            fold=folds,
            name="fnc" if kind == "connectivity" else kind,
        )
    shared = {
        "timecourses": get_timecourses(wildcards),
        "connectivity": get_fnc(wildcards),
        "maps": "<results>/ica/maps.nc",
        "alff": "<results>/ica/alff.nc",
    }[kind]
    return [shared] * len(folds)


def get_baseline_data(wildcards):
    """Connectivity (or feature vectors) that the baselines learn from, of each fold: that of its own components where asked."""
    if not has_components_of_folds:
        return [get_fnc(wildcards)] * training["repeats"] * training["folds"]
    return collect(
        "<results>/ica/folds/repeat-{repeat}_fold-{fold}/fnc.nc",
        repeat=range(training["repeats"]),
        fold=range(training["folds"]),
    )


def get_own_network(wildcards):
    """File of a network of one's own, which is trained again when that changes."""
    file = find_own_source(training["models"][wildcards.model])
    return [] if file is None else local(str(file))


def get_training_memory(wildcards):
    """Memory of a job of training in MB: maps are many times larger than what others learn from; all are held at once."""
    kind = learns_from(wildcards.model, training["models"][wildcards.model])
    return (8000 if kind == "maps" else 4000) + 2 * len(subjects)


def get_folds(file):
    """Input function that collects one file of every fold of a model."""

    def files(wildcards):
        return collect(
            "<results>/training/{model}/repeat-{repeat}_fold-{fold}/{file}",
            model=wildcards.model,
            repeat=range(training["repeats"]),
            fold=range(training["folds"]),
            file=file,
        )

    return files


def get_grouping_spectra(wildcards):
    """Spectra of every fold of a model by each further grouping, grouping by grouping."""
    return [
        file
        for grouping in training["groupings"]
        for file in get_folds(f"spectra_by-{grouping}.nc")(wildcards)
    ]


def get_permuted_spectra(wildcards):
    """Spectra of permuted groups of every fold of a model, by regrouping and by retraining, where asked for."""
    names = [f"spectra_by-{grouping}_permuted.nc" for grouping in regrouped]
    files = [file for name in names for file in get_folds(name)(wildcards)]
    return files + get_retrained_spectra(wildcards)


def get_retrained_spectra(wildcards):
    """Spectra of every fold of a model trained again under permuted groups, where asked for."""
    return [
        file
        for part in range(len(parts))
        for file in get_folds(f"spectra_permuted-{part}.nc")(wildcards)
    ]


def get_omnibus_tests(wildcards):
    """The table of whole networks and layers, where networks are trained under permuted groups."""
    return "<results>/stats/omnibus.tsv" if parts else []


def get_permutation_tests(wildcards):
    """The table of permutation tests, where there is anything to permute."""
    return (
        "<results>/stats/permutations.tsv"
        if regrouped or permutation["retraining"]
        else []
    )


def get_predictions(wildcards):
    """Predictions of every fold of every network."""
    return collect(
        "<results>/training/{model}/repeat-{repeat}_fold-{fold}/predictions.tsv",
        model=models,
        repeat=range(training["repeats"]),
        fold=range(training["folds"]),
    )


def get_all_predictions(wildcards):
    """Those of the networks, and those of the baselines."""
    return get_predictions(wildcards) + (
        ["<results>/training/baselines.tsv"] if training["baselines"] else []
    )


def get_preprocess_targets(wildcards):
    targets = ["<results>/selection/participants.tsv"]
    if has_raw_images:
        targets += ["<results>/preprocess/dataset_description.json"]
    if has_images:
        targets += [
            "<results>/selection/group_bold.tsv",
            "<results>/figures/quality_control.png",
        ]
    return targets


def get_ica_targets(wildcards):
    targets = [get_fnc(wildcards)]
    if has_timecourses:
        targets += [get_timecourses(wildcards)]
    if has_dynamics:
        targets += ["<results>/ica/dfnc.nc"]
    if has_images and (config["ica"]["orders"] or config["ica"]["mdl"]):
        targets += ["<results>/ica/order.tsv"]
    return targets


def get_training_targets(wildcards):
    return [
        *collect("<results>/spectra/{model}.nc", model=models),
        *collect(
            "<results>/features/{model}_groupings.tsv",
            model=models if training["groupings"] else [],
        ),
        "<results>/training/scores.tsv",
    ]


def get_stats_targets(wildcards):
    return collect(
        "<results>/stats/{table}.tsv",
        table=[
            "group_differences",
            "clusters",
            "mixed_models",
            "performance",
            "scores",
        ],
    ) + ["<results>/stats/summary.html"]


def get_figures(wildcards):
    """Every figure that this kind of cohort can have."""
    names = ["main", "group_differences", "connectivity", "calibration"]
    names += collect(
        "{model}/{figure}",
        model=models,
        figure=["spectra", "epoch_spectra", "trajectories", "learning_curves"],
    )
    if len(training["kinds"]) > 1:
        names += collect("{model}/kinds", model=models)
    if training["alignment"]:
        names += collect("{model}/alignment", model=models)
    if has_images:
        names += ["quality_control", "components"]
    if has_dynamics:
        names += ["dynamic_connectivity"]
    if source == "simulated":
        names += ["recovery"]
    if source == "numerical":
        names += ["rank_bounds", *collect("{model}/ranks", model=models)]
    if parts:
        names += ["permutations"]
    if config["stats"]["calibration"] != "none":
        names += ["rejection_rates"]
    return [
        *collect("<results>/figures/{name}.png", name=names),
        "<results>/figures/overview.html",
        "<results>/figures/explore.html",
    ]


def depend_on_code(step):
    """Have what a script and its imports do among the parameters, so that jobs run again when that changes."""
    if step.script and step.script.endswith(".py"):
        script = step.basedir.join(step.script).get_path_or_uri(secret_free=True)
        step.set_params(code=lambda wildcards: hash_code(script))
