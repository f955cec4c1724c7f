"""Features of the spectra by further groupings of the participants, all in one table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradspec.files import PathLike
from gradspec.spectra.merge import merge_folds
from gradspec.spectra.table import FEATURE_COLUMNS, extract_features

if TYPE_CHECKING:
    import pandas as pd

GROUPING_COLUMNS: dict[str, Any] = {
    "grouping": "Grouping of the participants (training.groupings); its groups are in the column group",
    **FEATURE_COLUMNS,
}


def extract_by_grouping(files: Mapping[str, Sequence[PathLike]]) -> "pd.DataFrame":
    """Compute the features of one network by each further grouping.

    Parameters
    ----------
    files : mapping
        By grouping, a ``spectra_by-<name>.nc`` a fold.

    Returns
    -------
    DataFrame
        Columns as in `GROUPING_COLUMNS`. Norms over the loss are missing: the loss of these groups is not known.
    """
    import pandas as pd

    tables = [extract_features(merge_folds(of_grouping)).assign(grouping=name) for name, of_grouping in files.items()]
    return pd.concat(tables, ignore_index=True)[list(GROUPING_COLUMNS)]
