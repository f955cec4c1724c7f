"""What happens to every parameter of a model: recorded by which route, or skipped and why."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class ParameterReport:
    """One parameter, or one block of a parameter that has a spectrum of its own.

    Attributes
    ----------
    parameter : str
        Name of the node among the spectra, or of the parameter where it is skipped.
    status : str
        ``captured`` or ``skipped``; or ``missed``, where a gradient reached it that could not be recorded.
    layer : str
        Kind of the layer.
    shape : str
        Outputs × inputs of the matrix, or the parameter's shape.
    dtype : str
        Precision of the parameter; empty for a weight that a parametrisation computes.
    route : str
        ``sample side`` or ``parameter side``, once a step has been recorded.
    kinds : str
        What is recorded.
    note : str
        Why it is skipped, or how its gradient agrees with that of the bare module.
    """

    parameter: str
    status: str
    layer: str
    shape: str
    dtype: str = ""
    route: str = ""
    kinds: str = ""
    note: str = ""


@dataclass(frozen=True)
class Report:
    """A row per parameter; prints as a table.

    Attributes
    ----------
    rows : tuple of ParameterReport
        The rows.
    share : float
        Of the entries of the trained parameters with two and more dimensions, those that are captured; before a step
        has been recorded, those that are expected to be.
    """

    rows: tuple[ParameterReport, ...]
    share: float

    def __iter__(self) -> Iterator[ParameterReport]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, parameter: str) -> ParameterReport:
        for row in self.rows:
            if row.parameter == parameter:
                return row
        raise KeyError(parameter)

    def __str__(self) -> str:
        table = [tuple(field.name for field in fields(ParameterReport)), *map(astuple, self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        lines.append(f"recorded: {self.share:.1%} of the entries of trained weights")
        return "\n".join(line.rstrip() for line in lines)
