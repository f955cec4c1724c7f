"""What the arguments of a recorder may be."""

from collections.abc import Mapping, Sequence

from gradspec.capture._discovery import EXTRAS
from gradspec.capture._distributed import check_initialised
from gradspec.capture._leading import SPECTRA
from gradspec.capture.errors import CaptureError

KINDS = ("gradient", "activation", "delta")
POOLED = "pooled"


def check_arguments(
    groups: Sequence[str],
    kinds: Sequence[str],
    every: int | str,
    budget: float,
    extras: Sequence[str],
    flush_every: int,
    spectrum: str,
    leading: int,
) -> None:
    if isinstance(groups, str) or not groups or len({*groups, POOLED}) != len(groups) + 1:
        raise CaptureError(f"groups must be different names, none of them '{POOLED}', not {groups!r}")
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(KINDS):
        raise CaptureError(f"kinds must be some of {list(KINDS)}, not {kinds!r}")
    if isinstance(every, str) and every != "auto":
        raise CaptureError(f"every must be a number or 'auto', not {every!r}")
    if not isinstance(every, str) and every < 1:
        raise CaptureError(f"every must be at least 1, not {every}")
    if not 0 < budget <= 1:
        raise CaptureError(f"budget must be a share of the time of training, above 0 and at most 1, not {budget}")
    if isinstance(extras, str) or not set(extras) <= set(EXTRAS):
        raise CaptureError(f"extras must be some of {list(EXTRAS)}, not {extras!r}")
    if spectrum not in SPECTRA:
        raise CaptureError(f"spectrum must be one of {list(SPECTRA)}, not {spectrum!r}")
    if leading < 1:
        raise CaptureError(f"leading must be at least 1, not {leading}")
    if spectrum != "exact" and "gradient" not in kinds:
        raise CaptureError(f"spectrum={spectrum!r} is of gradients: kinds must have 'gradient', not only {list(kinds)}")
    if flush_every < 1:
        raise CaptureError(f"flush_every must be at least 1, not {flush_every}")


def check_choices(
    definition: str,
    check_rows: str,
    rows: object,
    processes: str,
    kinds: Sequence[str],
    keep_grams: bool | int,
    every: int | str,
    solve_on: str,
) -> None:
    if definition not in ("rows", "loss"):
        raise CaptureError(f"definition must be 'rows' or 'loss', not {definition!r}")
    for each in rows.values() if isinstance(rows, Mapping) else [rows]:
        if each not in ("samples", "sample-major"):
            raise CaptureError(f"rows must be 'samples' or 'sample-major', or a dict of them, not {rows!r}")
    if check_rows not in ("first", "every", "never"):
        raise CaptureError(f"check_rows must be 'first', 'every' or 'never', not {check_rows!r}")
    if processes not in ("own", "all"):
        raise CaptureError(f"processes must be 'own' or 'all', not {processes!r}")
    if solve_on not in ("host", "device"):
        raise CaptureError(f"solve_on must be 'host' or 'device', not {solve_on!r}")
    if keep_grams < 0:
        raise CaptureError(f"keep_grams must be True, False, or one step in how many, not {keep_grams}")
    if definition == "loss" and keep_grams:
        raise CaptureError("steps of definition='loss' cannot be regrouped: each grouping needs its own backward")
    if processes == "all":
        check_initialised()
        if tuple(kinds) != ("gradient",) or keep_grams:
            raise CaptureError("processes='all' records kinds=('gradient',) only, and cannot keep steps for regrouping")
        if every == "auto":
            raise CaptureError(
                "processes='all' needs every=k: with a budget the processes, each by its own clock, would record "
                "different steps and wait for each other for ever"
            )
