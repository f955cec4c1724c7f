"""Features under permuted groups: a number a network, grouping, arrangement, layer and group."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradspec.files import PathLike
from gradspec.spectra.file import POOLED, open_spectra
from gradspec.spectra.table import FEATURE_COLUMNS, tabulate_runs
from gradspec.spectra.window import select_epochs

if TYPE_CHECKING:
    import pandas as pd

_KEYS = ["model", "grouping", "by", "permutation", "layer", "kind", "group"]
_FEATURES = [
    name for name in FEATURE_COLUMNS if name not in ("model", "repeat", "fold", "epoch", "layer", "kind", "group")
]

PERMUTED_COLUMNS: dict[str, Any] = {
    "model": FEATURE_COLUMNS["model"],
    "grouping": "Grouping of the participants (training.groupings), or the column of the groups that are learnt",
    "by": {
        "Description": "How the spectra of permuted groups were found",
        "Levels": {
            "regrouping": "From the same training, whose steps were kept",
            "retraining": "By training again on permuted groups",
        },
    },
    "permutation": "Arrangement of the labels over participants: 0 as they are, the others by lot",
    "layer": FEATURE_COLUMNS["layer"],
    "kind": FEATURE_COLUMNS["kind"],
    "group": FEATURE_COLUMNS["group"],
    "n_runs": "Training runs (repeat × fold) that are averaged",
    **{name: FEATURE_COLUMNS[name] for name in _FEATURES},
}


def summarise_permuted(files: Sequence[PathLike], window: Sequence[float], *, learnt: str) -> "pd.DataFrame":
    """Average the features of permuted groups over the window and over the runs of a network.

    Parameters
    ----------
    files : sequence of path
        Stacked arrangements of every fold, of any number of groupings; those by retraining may be shared out over
        files.
    window : (float, float)
        Part of training that is averaged over, as shares of the epochs; by retraining it is all that was trained.
    learnt : str
        Name of the grouping that is learnt, for those by retraining.

    Returns
    -------
    DataFrame
        Columns as in `PERMUTED_COLUMNS`; a feature that is undefined in a run is NaN.
    """
    import pandas as pd

    means = []
    for file in files:
        with open_spectra(file) as tree:
            by, number = tree.attrs["by"], tree["arrangement"].values
            table = tabulate_runs(tree).assign(grouping=tree.attrs.get("grouping", learnt), by=by)
        # Permuted trainings run as long as their test looks, and no longer.
        of_file = (0.0, 1.0) if by == "retraining" else window
        inside = table["epoch"].isin(select_epochs(table["epoch"].unique().tolist(), of_file))
        table = table[inside & (table["group"] != POOLED)]
        table = table.assign(permutation=number[table["run_index"].to_numpy()])
        means.append(table.groupby([*_KEYS, "repeat", "fold"], sort=False)[_FEATURES].mean())  # of epochs with a value
    runs = pd.concat(means).groupby(_KEYS, sort=False)
    defined = runs.count() == runs.size().to_numpy()[:, None]
    summary = runs.mean().where(defined).assign(n_runs=runs.size())
    return summary.reset_index()[list(PERMUTED_COLUMNS)]
