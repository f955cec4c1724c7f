"""The configuration: defaults, messages, and a page that documents every key."""

from pathlib import Path

import pytest
import yaml
from running import ROOT

from gradspec.config import load_schema, resolve
from gradspec.config_docs import describe_keys
from gradspec.errors import ConfigError

READY = sorted((ROOT / "config").glob("*.yaml"))


def keys(config: dict, path: str = "") -> set[str]:
    found = set()
    for name, value in config.items():
        found |= keys(value, f"{path}{name}.") if isinstance(value, dict) and value else {f"{path}{name}"}
    return found


# Ready configs that are named after a cohort or a study, and its kind of source.
NAMED = {
    "config": "simulated",
    "paper-numerical": "numerical",
    "abide": "timeseries",
    "ds000030": "bids",
    "cobre": "bids",
}


@pytest.mark.parametrize("file", READY, ids=lambda file: file.name)
def test_ready_configs_are_valid(file: Path) -> None:
    resolved = resolve(yaml.safe_load(file.read_text()))
    assert resolved["cohort"]["source"] == NAMED.get(file.stem, file.stem)


def test_missing_keys_get_the_defaults_of_the_schema() -> None:
    resolved = resolve({"cohort": {"source": "simulated"}})
    assert resolved["training"]["folds"] == 5
    assert resolved["preprocess"]["denoise"]["strategy"] == "simple"
    assert resolved["training"]["models"]["mlp"] == {
        "hidden": [64, 32],
        "negative_slope": 0,
        "dropout": 0.1,
    }


def test_models_that_are_not_named_are_not_trained() -> None:
    resolved = resolve({"cohort": {"source": "fnc"}, "training": {"models": {"mlp": {"hidden": [8]}}}})
    assert resolved["training"]["models"] == {"mlp": {"hidden": [8], "negative_slope": 0, "dropout": 0.1}}


def test_a_network_of_ones_own_gets_its_defaults() -> None:
    models = {"net": {"class": "nets.Net"}, "mlp": {}}
    resolved = resolve({"cohort": {"source": "fnc"}, "training": {"models": models}})["training"]["models"]
    assert resolved["net"] == {"class": "nets.Net", "input": "timecourses", "args": {}}
    assert list(resolved) == ["net", "mlp"]


def test_a_network_under_another_name_gets_the_defaults_of_its_class() -> None:
    config = {
        "cohort": {"source": "fnc"},
        "training": {"models": {"linear": {"class": "mlp", "args": {"negative_slope": 1}}}},
    }
    resolved = resolve(config)
    args = {"hidden": [64, 32], "negative_slope": 1, "dropout": 0.1}
    assert resolved["training"]["models"] == {"linear": {"class": "mlp", "args": args}}
    assert resolve(resolved) == resolved
    assert resolve({**config, "training": {"models": {"linear": {"class": "mlp"}}}})["training"]["models"]["linear"][
        "args"
    ]


def test_resolving_leaves_the_input_alone_and_is_idempotent() -> None:
    config = {"cohort": {"source": "simulated"}}
    resolved = resolve(config)
    assert config == {"cohort": {"source": "simulated"}}
    assert resolve(resolved) == resolved


def test_the_demo_config_names_every_key_that_applies_to_it() -> None:
    demo = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    missing = {key for key in keys(resolve(demo)) - keys(demo) if not key.startswith("training.models.")}
    other_sources = (
        "cohort.bids.",
        "cohort.fmriprep.",
        "cohort.timeseries.",
        "cohort.fnc.",
        "cohort.numerical.",
        "fetch.",
    )
    assert {key for key in missing if not key.startswith(other_sources)} == set()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"cohort": {"source": "simulated"}, "trainig": {}},
            "top level: unknown key 'trainig' .did you mean 'training'",
        ),
        (
            {"cohort": {"source": "simulated"}, "training": {"fold": 3}},
            "training: unknown key 'fold' .did you mean 'folds'",
        ),
        ({"cohort": {"source": "dicom"}}, "cohort.source: 'dicom' is not one of"),
        ({}, "'cohort' is a required property"),
        ({"cohort": {"source": "bids"}, "training": {"folds": 1}}, "training.folds: 1 is less than the minimum of 2"),
        ({"cohort": {"source": "bids", "group": {"levels": ["a"]}}}, "cohort.group.levels: .* too short"),
        (
            {"cohort": {"source": "bids"}, "training": {"models": {"resnet": {}}}},
            "training.models.resnet: there is no network of that name.*; known are: mlp, cnn2d, .*class: mypackage",
        ),
        (
            {"cohort": {"source": "bids"}, "training": {"models": {"my_net": {"class": "nets.Net"}}}},
            "training.models: 'my_net' does not match .* .Letters, digits and hyphens",
        ),
        (
            {"cohort": {"source": "bids"}, "training": {"models": {"net": {"class": "Net"}}}},
            "training.models.net.class: 'Net' does not match .* .Name of a network above",
        ),
        (
            {"cohort": {"source": "bids"}, "training": {"models": {"net": {"class": "mpl"}}}},
            "training.models.net.class: 'mpl' is neither a dotted path nor one of mlp, cnn2d",
        ),
        (
            {"cohort": {"source": "bids"}, "training": {"models": {"net": {"class": "mlp", "args": {"hiden": [3]}}}}},
            "training.models.net.args: top level: unknown key 'hiden' .did you mean 'hidden'",
        ),
        (
            {"cohort": {"source": "bids"}, "training": {"models": {"net": {"class": "mlp", "input": "timecourses"}}}},
            "training.models.net.input: .* follows from class: mlp; take the key out",
        ),
        (
            {"cohort": {"source": "bids"}, "training": {"models": {"lsmt": {}}}},
            "training.models.lsmt: there is no network of that name .did you mean 'lstm'",
        ),
        ({"cohort": {"source": "bids"}, "training": {"device": "gpu"}}, "training.device: 'gpu' does not match"),
        (
            {"cohort": {"source": "bids", "group": {"levels": [False, True]}}},
            'cohort.group.levels.0: text is needed, but YAML reads no, off or false as a truth value: .* "no"',
        ),
        (
            {"cohort": {"source": "bids", "covariates": [41]}},
            "cohort.covariates.0: text is needed, but YAML reads 41 as a number .* in quotes, with any leading zeros",
        ),
        (
            {"cohort": {"source": "bids", "bids": {"root": "x", "sessions": [0o10]}}},
            'cohort.bids.sessions.0: YAML reads both 8 and 010 as 8: write what is meant in quotes, as "8" or "010"',
        ),
        (
            {"cohort": {"source": "bids", "bids": {"root": "x", "filters": {"acquisition": [12]}}}},
            "cohort.bids.filters.acquisition.0: YAML reads both 12 and 014 as 12",
        ),
        (
            {"cohort": {"source": "bids", "bids": {"root": "x", "task": 1}}},
            "cohort.bids.task: text is needed, but YAML reads 1 as a number .* in quotes",
        ),
        (
            {"cohort": {"source": "bids", "bids": {"root": "x", "sessions": [True]}}},
            'cohort.bids.sessions.0: text is needed, but YAML reads yes, on or true as a truth value: .* "yes"',
        ),
        (
            {"cohort": {"source": "bids"}, "training": {"learning_rate": "fast"}},
            "training.learning_rate: 'fast' is not of type 'number'",
        ),
    ],
)
def test_errors_name_the_key_and_the_remedy(config: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(config)


def test_the_order_of_keys_and_defaults_that_are_written_out_change_nothing() -> None:
    """Snakemake compares parameters as text: {'a': 1, 'b': 2} and {'b': 2, 'a': 1} are two."""
    demo = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    turned = {name: dict(reversed(part.items())) if isinstance(part, dict) else part for name, part in demo.items()}
    turned["training"]["models"] = demo["training"]["models"]
    whole = resolve(demo)
    assert repr(resolve(turned)) == repr(whole) == repr(resolve(whole))
    assert repr(resolve({"cohort": {"source": "fnc"}, "training": {"models": {"mlp": {}}}})) == repr(
        resolve({"training": {"epochs": 30, "models": {"mlp": {"dropout": 0.1}}}, "cohort": {"source": "fnc"}})
    )


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ({"weight_decay": 0}, {"weight_decay": 0.0}),
        ({"epochs": 5.0}, {"epochs": 5}),
        ({"models": {"mlp": {"negative_slope": 1}}}, {"models": {"mlp": {"negative_slope": 1.0}}}),
        ({"learning_rate": "1e-3"}, {"learning_rate": 0.001}),
        ({"epochs": "5", "deterministic": "True"}, {"epochs": 5, "deterministic": True}),
        ({"models": {"lstm": {"truncate": "null"}}}, {"models": {"lstm": {"truncate": None}}}),
        (
            {"models": {"wide": {"class": "mlp", "args": {"hidden": ["128", "64"]}}}},
            {"models": {"wide": {"class": "mlp", "args": {"hidden": [128, 64]}}}},
        ),
    ],
)
def test_a_value_that_can_be_read_in_one_way_only_is_the_same_however_it_is_written(written: dict, same: dict) -> None:
    """``1e-3`` is text to YAML 1.1, and so is all within ``--config 'training={epochs: 5}'`` to Snakemake."""
    cohort = {"source": "fnc"}
    assert repr(resolve({"cohort": cohort, "training": written})) == repr(resolve({"cohort": cohort, "training": same}))


def test_text_stays_text_where_text_is_allowed() -> None:
    config = {"results": "5", "cohort": {"source": "bids", "group": {"levels": ["1", "2"]}, "participants": ["007"]}}
    resolved = resolve(config)
    assert resolved["results"] == "5"
    assert resolved["cohort"]["group"]["levels"] == ["1", "2"]
    assert resolved["cohort"]["participants"] == ["007"]


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"cohort": {"source": "dicom"}, "training": {"folds": 1}})
    assert "cohort.source" in str(caught.value)
    assert "training.folds" in str(caught.value)


def test_the_page_of_keys_is_up_to_date_and_complete() -> None:
    page = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert page == describe_keys(), "run `make docs`"
    assert all(f"`{key}`" in page for key in keys(resolve({"cohort": {"source": "simulated"}})))


def test_every_key_of_the_schema_has_a_description() -> None:
    def undescribed(part: dict, path: str) -> list[str]:
        missing = [] if "description" in part or "$ref" in part else [path]
        for name, child in part.get("properties", {}).items():
            missing += undescribed(child, f"{path}.{name}")
        return missing

    assert undescribed(load_schema(), "config") == []
