"""Alignment of groups: how the gradient of one lies to that of the others, as the recorder takes it of kept steps."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AlignmentDefinition:
    """What a measure of alignment is, for tables and documentation.

    Attributes
    ----------
    name, formula, unit, source : str
        Name of the column, formula in terms of the gradients A of the group and B of all other groups, unit, and where
        it is defined.
    """

    name: str
    formula: str
    unit: str
    source: str


_ANGLE = "Björck & Golub 1973"
_OVERLAP = "Gur-Ari et al. 2018"

ALIGNMENT = {
    definition.name: definition
    for definition in (
        AlignmentDefinition(
            "gradient_cosine", "⟨A, B⟩ / (‖A‖ ‖B‖), Frobenius; from -1 to 1", "1", "Yu et al. 2020, definition 1"
        ),
        AlignmentDefinition(
            "output_overlap", "Σ_(i≤k) cos² θ_i / k, θ_i between the left singular vectors; from 0 to 1", "1", _OVERLAP
        ),
        AlignmentDefinition("output_angle", "largest θ_i of the left singular vectors", "degree", _ANGLE),
        AlignmentDefinition(
            "input_overlap", "Σ_(i≤k) cos² θ_i / k, θ_i between the right singular vectors; from 0 to 1", "1", _OVERLAP
        ),
        AlignmentDefinition("input_angle", "largest θ_i of the right singular vectors", "degree", _ANGLE),
    )
}

_NOTE = (
    "; A: gradient of the group, B: of all other groups together, θ_i: principal angles of the spaces of their k = 2 "
    "leading singular vectors (fewer where either has a lower rank). Of kept steps (training.groupings_every); with "
    "two groups it is the same for both"
)

ALIGNMENT_COLUMNS: dict[str, Any] = {
    name: {"Description": definition.formula + _NOTE, "Units": definition.unit, "Source": definition.source}
    for name, definition in ALIGNMENT.items()
}
