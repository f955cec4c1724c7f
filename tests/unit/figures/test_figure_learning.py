"""Learning curves, and features over training."""

import numpy as np
import pandas as pd
import pytest
from figure_inputs import LEVELS, cluster_table, colours_of, texts

from gradspec.figures.learning_curves import plot_learning_curves, summarise_metrics
from gradspec.figures.style import COMPARISON_COLOUR, POOLED_COLOUR, REFERENCE_COLOUR
from gradspec.figures.trajectories import plot_trajectories, summarise_trajectories

NO_CLUSTERS = cluster_table("mlp", "a.weight", "effective_rank", 0, 0)[:0]
SCORES = pd.DataFrame(
    {"model": ["logistic"] * 3 + ["mlp"], "fold": [0, 1, np.nan, 0], "balanced_accuracy": [0.5, 0.7, 0.9, 0.1]}
).assign(roc_auc=lambda table: table["balanced_accuracy"] + 0.05)


def make_metrics(run: int) -> pd.DataFrame:
    rows = [
        {
            "epoch": epoch,
            "set": subset,
            "loss": 0.7 - 0.1 * epoch + run / 10,
            "loss_reference": 0.5,
            "loss_comparison": 0.6,
        }
        for subset in ("train", "test")
        for epoch in range(4)
    ]
    return pd.DataFrame(rows).assign(balanced_accuracy=0.6, roc_auc=0.7)


def make_features(layers: list[str], runs: int = 3, kinds: tuple[str, ...] = ("gradient",)) -> pd.DataFrame:
    rows = [
        (0, run, layer, kind, epoch, group, 1.0 + run + place, 2.0 + epoch, np.nan if layer == "last.weight" else 1.5)
        for run in range(runs)
        for layer in layers
        for kind in kinds
        for epoch in range(3)
        for place, group in enumerate([*LEVELS, "pooled"])
    ]
    names = ["repeat", "fold", "layer", "kind", "epoch", "group", "spectral_norm", "effective_rank", "stable_rank"]
    return pd.DataFrame(rows, columns=names).assign(model="mlp")


def test_metrics_are_averaged_over_runs():
    table = summarise_metrics([make_metrics(0), make_metrics(1), make_metrics(2)], SCORES, None)
    row = table.query("set == 'test' and metric == 'loss' and epoch == 1").iloc[0]
    assert (row["mean"], row["sd"], row["n_runs"]) == pytest.approx((0.7, 0.1, 3))


def test_learning_curves_draw_the_table_in_the_groups_colours():
    table = summarise_metrics([make_metrics(0), make_metrics(1)], SCORES, None)
    figure = plot_learning_curves(table, LEVELS, "mlp")
    loss, by_group, _, auc = figure.axes
    (line,) = (line for line in loss.lines if line.get_label() == "test")
    expected = table.query("set == 'test' and metric == 'loss'")
    np.testing.assert_allclose(line.get_xydata(), expected[["epoch", "mean"]])
    assert colours_of(by_group, "control, test") == {REFERENCE_COLOUR}
    assert colours_of(by_group, "patient, train") == {COMPARISON_COLOUR}
    assert loss.get_ylabel() == "Cross-entropy (nats)"
    assert auc.get_xlabel() == "Epoch"
    assert "chance" in texts(figure)
    assert figure.get_suptitle() == "mlp: learning curves, mean ± sd of 2 training runs"


def test_a_metric_that_is_never_defined_leaves_its_panel_empty():
    metrics = make_metrics(0).assign(roc_auc=np.nan)
    figure = plot_learning_curves(summarise_metrics([metrics], SCORES, None), LEVELS, "mlp")
    assert [line.get_label() for line in figure.axes[3].lines] == ["chance"]
    assert figure.get_suptitle().endswith("1 training run")


def test_features_are_averaged_over_runs_in_the_order_of_layers():
    table = summarise_trajectories(make_features(["z.weight", "a.weight"]), NO_CLUSTERS, 0.05)
    assert list(dict.fromkeys(table["layer"])) == ["z.weight", "a.weight"]
    row = table.query("layer == 'a.weight' and feature == 'spectral_norm' and group == 'patient' and epoch == 2")
    assert row[["mean", "sd", "n_runs"]].to_numpy().tolist() == [[3.0, 1.0, 3]]


def test_trajectories_draw_the_table_in_the_groups_colours():
    table = summarise_trajectories(make_features(["a.weight", "last.weight"]), NO_CLUSTERS, 0.05)
    figure = plot_trajectories(table, LEVELS, "lstm")
    assert len(figure.axes) == 6
    ax = figure.axes[1]
    assert [colours_of(ax, name) for name in ("control", "patient", "pooled")] == [
        {REFERENCE_COLOUR},
        {COMPARISON_COLOUR},
        {POOLED_COLOUR},
    ]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [2, 3, 4])
    assert ax.get_ylabel() == "Effective rank\n(dimensionless)"
    assert figure.axes[0].get_ylabel() == "Spectral norm\n(loss / weight)"
    assert figure.axes[0].get_title("left") == "a"
    assert "not defined" in texts(figure)
    assert figure.get_suptitle() == "lstm: gradient spectra over training, mean ± sd of 3 training runs"


@pytest.mark.parametrize(("n_layers", "n_panels"), [(1, 3), (14, 42)])
def test_trajectories_of_one_and_of_many_layers(n_layers, n_panels):
    features = make_features([f"layers.{i}.weight" for i in range(n_layers)], runs=1)
    figure = plot_trajectories(summarise_trajectories(features, NO_CLUSTERS, 0.05), LEVELS, "transformer")
    assert sum(ax.axison for ax in figure.axes) == n_panels


@pytest.mark.parametrize(
    ("kinds", "drawn"),
    [(("activation", "gradient"), "gradient"), (("delta",), "delta"), (("activation",), "activation")],
)
def test_the_gradient_is_drawn_or_else_what_there_is(kinds, drawn):
    table = summarise_trajectories(make_features(["a.weight"], kinds=kinds), NO_CLUSTERS, 0.05)
    assert set(table["kind"]) == {drawn}
    assert drawn in plot_trajectories(table, LEVELS, "mlp").get_suptitle()


def test_the_baseline_stands_beside_the_curves_by_its_mean_over_folds():
    table = summarise_metrics([make_metrics(0)], SCORES, "logistic")
    beside = table[table["set"] == "baseline"].set_index("metric")
    assert beside.loc["balanced_accuracy", "mean"] == pytest.approx(0.6)
    assert beside.loc["roc_auc", "n_runs"] == 2
    accuracy = plot_learning_curves(table, LEVELS, "mlp", "logistic").axes[2]
    (line,) = (line for line in accuracy.lines if line.get_label() == "logistic (baseline), test")
    assert line.get_ydata()[0] == pytest.approx(0.6)


def test_epochs_in_which_the_groups_differ_have_a_bar():
    clusters = cluster_table("mlp", "a.weight", "effective_rank", 1, 2)
    table = summarise_trajectories(make_features(["a.weight", "b.weight"]), clusters, 0.05)
    marked = table[table["significant"]]
    assert set(marked["epoch"]) == {1, 2}
    assert set(marked["layer"]) == {"a.weight"}
    assert set(marked["feature"]) == {"effective_rank"}
    figure = plot_trajectories(table, LEVELS, "mlp")
    bars = [[line.get_xdata() for line in ax.lines if line.get_label() == "_epochs that differ"] for ax in figure.axes]
    assert [len(found) for found in bars] == [0, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(bars[1][0], [0.6, 2.4])
    assert figure.get_suptitle().endswith("black bar: epochs that differ")


def test_the_pictures_are_those_that_were_approved(same_picture):
    curves = summarise_metrics([make_metrics(0), make_metrics(1)], SCORES, "logistic")
    same_picture(plot_learning_curves(curves, LEVELS, "mlp", "logistic"), "learning_curves")
    clusters = cluster_table("mlp", "a.weight", "effective_rank", 1, 2)
    trajectories = summarise_trajectories(make_features(["a.weight", "last.weight"]), clusters, 0.05)
    same_picture(plot_trajectories(trajectories, LEVELS, "mlp"), "trajectories")
