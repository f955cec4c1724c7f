"""The plan: which tests were declared before a look at the results, and in which family each is corrected.

A family of the plan is confirmatory: its tests were named in the configuration, and are corrected for their own number
alone. Every other test is exploratory, written as such, and corrected among the exploratory tests of its network and
kind of spectrum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

CONFIRMATORY, EXPLORATORY = "confirmatory", "exploratory"


@dataclass(frozen=True)
class Family:
    """Tests that were declared together.

    Attributes
    ----------
    name, question : str
        Name of the family, and what it asks.
    models, layers, kinds, features : sequence of str
        What it holds; layers are patterns (``*`` for any text), and an empty list of models, layers or features stands
        for all.
    correction : str
        Correction for the number of its tests.
    grouping : str
        Further grouping that it is about; empty for the groups that are learnt.
    """

    name: str
    question: str
    models: Sequence[str]
    layers: Sequence[str]
    kinds: Sequence[str]
    features: Sequence[str]
    correction: str
    grouping: str = ""

    def holds(self, tests: "pd.DataFrame") -> Bool[np.ndarray, "test"]:
        """Whether each test, a row with model, layer, kind and feature, belongs to the family."""
        layers = [not self.layers or any(fnmatchcase(layer, one) for one in self.layers) for layer in tests["layer"]]
        member: Bool[np.ndarray, test] = np.array(layers, dtype=bool) & tests["kind"].isin(self.kinds).to_numpy()
        for column, wanted in (("model", self.models), ("feature", self.features)):
            member = member & tests[column].isin(wanted or tests[column]).to_numpy()
        return member


def read_plan(plan: Mapping[str, Mapping[str, Any]]) -> list[Family]:
    """Families of ``stats.plan`` of a resolved configuration."""
    return [Family(name=name, **entry) for name, entry in plan.items()]


def get_tested_groupings(config: Mapping[str, Any]) -> list[str]:
    """Further groupings of a resolved configuration that are tested, by permuting their labels."""
    return list(config["training"]["groupings"]) if config["stats"]["permutation"]["regrouping"] else []


def check_plan(
    plan: Mapping[str, Mapping[str, Any]],
    *,
    models: Sequence[str],
    kinds: Sequence[str],
    features: Sequence[str],
    groupings: Sequence[str] = (),
) -> None:
    """Check, before anything is trained, that the plan speaks of what will be there.

    Parameters
    ----------
    plan : mapping
        ``stats.plan`` of a resolved configuration.
    models, kinds, features : sequence of str
        Networks that are trained, kinds of spectra that are recorded, and features that are tested.
    groupings : sequence of str
        Further groupings that are tested by permutation.

    Raises
    ------
    ConfigError
        Naming the family, and what it asks for in vain.
    """
    for family in read_plan(plan):
        for what, wanted, known, key in (
            ("models", family.models, models, "training.models"),
            ("kinds", family.kinds, kinds, "training.kinds"),
            ("features", family.features, features, "stats.features"),
            (
                "grouping",
                [family.grouping] * bool(family.grouping),
                groupings,
                "training.groupings, as permuted",
            ),
        ):
            absent = [name for name in wanted if name not in known]
            if absent:
                raise ConfigError(
                    f"stats.plan.{family.name}.{what}: {', '.join(absent)} is not in {key}, which has "
                    f"{', '.join(known) or 'none'}; add it there, or take it out of the plan"
                )


def assign_families(tests: "pd.DataFrame", families: Sequence[Family], correction: str) -> "pd.DataFrame":
    """Say of every test whether it was declared, and with which others it is corrected.

    Parameters
    ----------
    tests : DataFrame
        A row a test: model, layer, kind, feature.
    families : sequence of Family
        The plan.
    correction : str
        Correction of the exploratory tests.

    Returns
    -------
    DataFrame
        The rows with the columns status, family and correction in addition.

    Raises
    ------
    ConfigError
        If a family holds no test, or shares one with another.
    """
    import pandas as pd

    table = tests.assign(
        status=EXPLORATORY,
        family=[f"model {model}, kind {kind}" for model, kind in zip(tests["model"], tests["kind"], strict=True)],
        correction=correction,
    )
    declared = pd.Series("", index=table.index, dtype=object)
    for family in families:
        member = family.holds(tests)
        if not member.any():
            raise ConfigError(
                f"stats.plan.{family.name} holds no test; check its layers ({', '.join(family.layers) or 'all'}). "
                f"There are {', '.join(sorted(set(tests['layer'])))}"
            )
        shared = member & (declared != "").to_numpy()
        if shared.any():
            row = tests[shared].iloc[0]
            raise ConfigError(
                f"stats.plan: {row['feature']} of {row['layer']} ({row['model']}) is in the families "
                f"{declared[shared].iloc[0]} and {family.name}; leave it in one"
            )
        declared[member] = family.name
        table.loc[member, ["status", "family", "correction"]] = [CONFIRMATORY, family.name, family.correction]
    return table
