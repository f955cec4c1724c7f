"""Networks of one's own: found before any job without being run, built by their class, refused with a sentence."""

import sys

import pytest
import torch

from gradspec.cohort.plan import learns_from
from gradspec.errors import ConfigError
from gradspec.models.own import check_own_models, find_own_source
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

class Plain:
    pass

class Wide(Linear):
    def forward(self, timecourses):
        return super().forward(timecourses).repeat(1, 2)

class Deaf(Linear):
    def forward(self, timecourses):
        return self.readout(timecourses)

class Inner(Linear):
    def forward(self, timecourses):
        return super().forward(timecourses), None

class Noisy(Linear):
    def forward(self, timecourses):
        return super().forward(timecourses) + torch.rand(1)

if __name__ == "__main__":
    build()
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    (tmp_path / "ownnets" / "deep").mkdir(parents=True)
    (tmp_path / "ownnets" / "__init__.py").write_text("from ownnets.deep.nets import Linear")
    (tmp_path / "ownnets" / "deep" / "__init__.py").write_text("")
    (tmp_path / "ownnets" / "deep" / "nets.py").write_text(NETS)
    (tmp_path / "ownnets" / "broken.py").write_text("import nosuchpackage\nclass Net(nosuchpackage.Net): ...")
    (tmp_path / "ownnets" / "near.py").write_text("from .deep import nets\nfrom .deep.nets import Linear as Near")
    (tmp_path / "ownnets" / "half.py").write_text("class Net(")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "ownnets"]:
        del sys.modules[name]


def own(path, **args):
    return {"class": path, "input": "timecourses", "args": args}


@pytest.mark.parametrize(
    "path",
    [
        "ownnets.Linear",
        "ownnets.near.Near",
        "ownnets.deep.nets.Linear",
        "ownnets.deep.nets.Reexported",
        "ownnets.broken.Net",
    ],
)
def test_a_class_is_found_without_being_imported(path):
    check_own_models({"mlp": {"hidden": [3]}, "net": own(path)})
    assert "ownnets" not in sys.modules


def test_the_file_of_a_class_is_found_by_way_of_modules_that_import_it(tmp_path):
    for path in ("ownnets.Linear", "ownnets.near.Near", "ownnets.deep.nets.Wide"):
        assert find_own_source(own(path)) == tmp_path / "ownnets" / "deep" / "nets.py"
    assert find_own_source({"class": "mlp", "args": {}}) is None
    assert find_own_source({"hidden": [3]}) is None
    assert "ownnets" not in sys.modules


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nosuchnets.Net", r"models\.net\.class: there is no module 'nosuchnets'; install it, or set PYTHONPATH"),
        ("ownnets.shallow.Net", "there is no module 'ownnets.shallow'"),
        ("ownnets.broken.deeper.Net", "there is no module 'ownnets.broken.deeper'"),
        ("ownnets.deep.Liner", r"deep/__init__\.py has no class 'Liner'"),
        ("ownnets.half.Net", r"models\.net\.class: .*half\.py is no Python: '\(' was never closed"),
        ("ownnets.deep.nets.build", r"nets\.build is not a class derived from torch\.nn\.Module"),
        ("ownnets.deep.nets.Plain", r"nets\.Plain is not a class derived from torch\.nn\.Module"),
    ],
)
def test_what_is_not_there_is_refused_at_the_start(path, words):
    with pytest.raises(ConfigError, match=words):
        check_own_models({"net": own(path)})
    assert "ownnets" not in sys.modules


CONSTRUCTORS = {
    "(self, data_shape, n_classes)": [{}],
    "(self, data_shape, n_classes, width=3)": [{}, {"width": 4}],
    "(self, data_shape, n_classes, /, width)": [{"width": 4}],
    "(self, *args, width, depth=2)": [{"width": 4}, {"width": 4, "depth": 3}],
    "(self, data_shape, n_classes, **others)": [{}, {"width": 4}, {"width": 4, "depth": 3}, {"any": 1}],
}


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
def test_arguments_are_held_against_the_constructor_at_the_start(constructor, tmp_path):
    (tmp_path / "ownnets" / "made.py").write_text(f"class Net(nn.Module):\n    def __init__{constructor}: ...")
    refusal = r"models\.net\.args: ownnets\.made\.Net\(.*its constructor is \(self"
    for args in ({}, {"width": 4}, {"width": 4, "depth": 3}, {"any": 1}):
        if args in CONSTRUCTORS[constructor]:
            check_own_models({"net": own("ownnets.made.Net", **args)})
        else:
            with pytest.raises(ConfigError, match=refusal):
                check_own_models({"net": own("ownnets.made.Net", **args)})


def test_a_decorated_constructor_may_take_what_it_likes(tmp_path):
    (tmp_path / "ownnets" / "made.py").write_text("class Net(Base):\n    @wrapped\n    def __init__(self): ...")
    check_own_models({"net": own("ownnets.made.Net", width=4)})


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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Wide", r"gives shape \(2, 4\) for a batch of shape \(2, 4, 3\); it must give logits of shape \(2, 2\)"),
        ("Inner", r"gives tuple for a batch of shape \(2, 4, 3\)"),
        ("Deaf", r"does not work on a batch of shape \(2, 4, 3\), samples first \(.*shapes cannot"),
    ],
)
def test_outputs_that_are_no_logits_are_refused_before_training(name, words):
    with pytest.raises(ConfigError, match=rf"training\.models\.net\.class: ownnets\.deep\.nets\.{name} {words}"):
        build_model("net", (4, 3), own(f"ownnets.deep.nets.{name}"))


def test_the_trial_of_a_network_leaves_no_trace():
    torch.manual_seed(0)
    noisy, after = build_model("net", (4, 3), own("ownnets.deep.nets.Noisy")), torch.rand(3)
    torch.manual_seed(0)
    plain = torch.nn.Linear(12, 2)
    assert torch.equal(after, torch.rand(3)) and torch.equal(noisy.readout.weight, plain.weight)
    assert noisy.training


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
