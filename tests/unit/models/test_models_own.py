"""Networks of one's own: found before any job without being run, built by their class, refused with a sentence."""

import sys

import pytest
import torch

from gradspec.cohort.plan import learns_from
from gradspec.errors import ConfigError
from gradspec.models.own import check_own_models
from gradspec.models.registry import build_model

NETS = """
import torch
from torch import nn
from torch.nn import Identity as Reexported

class Linear(nn.Module):
    def __init__(self, data_shape, n_classes, *, scale=1.0):
        super().__init__()
        self.scale = scale
        self.readout = nn.Linear(data_shape[0] * data_shape[1], n_classes)

    def forward(self, timecourses):
        return self.scale * self.readout(timecourses.flatten(1))

def build():
    return None
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    (tmp_path / "ownnets" / "deep").mkdir(parents=True)
    (tmp_path / "ownnets" / "__init__.py").write_text("from ownnets.deep.nets import Linear")
    (tmp_path / "ownnets" / "deep" / "__init__.py").write_text("")
    (tmp_path / "ownnets" / "deep" / "nets.py").write_text(NETS)
    (tmp_path / "ownnets" / "broken.py").write_text("import nosuchpackage\nclass Net: ...")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "ownnets"]:
        del sys.modules[name]


def own(path, **args):
    return {"class": path, "input": "timecourses", "args": args}


@pytest.mark.parametrize("path", ["ownnets.Linear", "ownnets.deep.nets.Linear", "ownnets.deep.nets.Reexported"])
def test_a_class_is_found_without_being_imported(path):
    check_own_models({"mlp": {"hidden": [3]}, "net": own(path)})
    assert "ownnets" not in sys.modules


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nosuchnets.Net", r"models\.net\.class: there is no module 'nosuchnets'; install it, or set PYTHONPATH"),
        ("ownnets.shallow.Net", "there is no module 'ownnets.shallow'"),
        ("ownnets.broken.deeper.Net", "there is no module 'ownnets.broken.deeper'"),
        ("ownnets.deep.nets.Liner", r"nets\.py has no class 'Liner'; it has Linear, Reexported, build"),
    ],
)
def test_what_is_not_there_is_refused_at_the_start(path, words):
    with pytest.raises(ConfigError, match=words):
        check_own_models({"net": own(path)})


def test_the_class_gets_the_shape_the_classes_and_the_arguments():
    model = build_model("net", (4, 3), own("ownnets.Linear", scale=2.0))
    timecourses = torch.randn(5, 4, 3)
    torch.testing.assert_close(model(timecourses), 2 * model.readout(timecourses.flatten(1)))
    assert model(timecourses).shape == (5, 2)


@pytest.mark.parametrize(
    ("path", "args", "words"),
    [
        ("ownnets.broken.Net", {}, r"ownnets\.broken\.Net cannot be imported \(No module named 'nosuchpackage'\)"),
        ("ownnets.deep.nets.build", {}, r"is not a class derived from torch\.nn\.Module"),
        ("ownnets.Linear", {"width": 3}, r"models\.net\.args: .*shape \(4, 3\) .*\{'width': 3\}.*unexpected keyword"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_key(path, args, words):
    with pytest.raises(ConfigError, match=words):
        build_model("net", (4, 3), own(path, **args))


def test_a_further_network_of_a_kind_is_built_from_its_class():
    torch.manual_seed(0)
    args = {"hidden": [3], "dropout": 0.0, "negative_slope": 1.0}
    model = build_model("linear", (4,), {"class": "mlp", "args": args})
    torch.manual_seed(0)
    same = build_model("mlp", (4,), args)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))
    check_own_models({"linear": {"class": "mlp", "args": args}})
    assert learns_from("linear", {"class": "mlp"}) == "connectivity"
    assert learns_from("short", {"class": "lstm"}) == "timecourses"
