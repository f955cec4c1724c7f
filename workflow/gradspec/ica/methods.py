"""The ways from maps of a group, or of a template, to the time courses and maps of a run; which is which by name.

A method looks at a run once or twice. Where it needs something of all runs (a prior), `first` keeps what the
second look needs, `learn` gathers it run by run, in the order of the runs, and `second` finishes a run.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float

from gradspec.ica.back_reconstruction import back_reconstruct
from gradspec.ica.empirical_bayes import MapPrior, template_ica
from gradspec.ica.gig_ica import gig_ica
from gradspec.ica.participant import RunMaps, spatial_regression, temporal_regression

Signal: TypeAlias = Float[np.ndarray, "time voxel"]
Maps: TypeAlias = Float[np.ndarray, "component voxel"]
Estimate: TypeAlias = tuple[Float[np.ndarray, "time component"], Maps]
Kept: TypeAlias = Mapping[str, np.ndarray]


class Method:
    """What all methods have in common.

    Parameters
    ----------
    components : array, (component, voxel)
        Maps of the group or of a template, each of mean 0.
    n_directions : int, optional
        Principal components kept of a run, where the method reduces it.

    Attributes
    ----------
    units : str
        What a value of its maps means.
    looks_twice : bool
        Whether a run's maps depend on the other runs, so that `learn` and `second` are called.
    """

    units: ClassVar[str]
    looks_twice: ClassVar[bool] = False

    def __init__(self, components: Maps, n_directions: int | None = None) -> None:
        self.components = components
        self.n_directions = n_directions

    def first(self, signal: Signal) -> Kept:
        """Look at a run: its ``timecourses`` and ``maps``, or what `second` makes them from."""
        raise NotImplementedError

    def learn(self, kept: Kept) -> None:
        """Gather what `second` needs of all runs."""

    def second(self, kept: Kept, read: Callable[[], Signal]) -> Estimate:
        """Return time courses and maps of a run; `read` gives its signal once more."""
        return kept["timecourses"], kept["maps"]


class DualRegression(Method):
    """Spatial, then temporal regression (`gradspec.ica.participant`)."""

    units = "standard deviations of the voxel for one of the time course"

    def first(self, signal: Signal) -> Kept:
        timecourses = spatial_regression(signal, self.components)
        maps = temporal_regression(signal, timecourses)
        return {"timecourses": timecourses, "maps": maps.maps, "noise": maps.noise, "leverage": maps.leverage}


class EmpiricalBayes(DualRegression):
    """Maps of dual regression drawn towards the cohort's, its time courses (`gradspec.ica.empirical_bayes`)."""

    looks_twice = True

    def __init__(self, components: Maps, n_directions: int | None = None) -> None:
        super().__init__(components, n_directions)
        self.prior = MapPrior()

    def learn(self, kept: Kept) -> None:
        self.prior.add(_run_maps(kept))

    def second(self, kept: Kept, read: Callable[[], Signal]) -> Estimate:
        return kept["timecourses"], self.prior.shrink(_run_maps(kept))


class TemplateICA(EmpiricalBayes):
    """The same prior with a model of the whole run (`gradspec.ica.empirical_bayes.template_ica`)."""

    def second(self, kept: Kept, read: Callable[[], Signal]) -> Estimate:
        found = template_ica(read(), kept["timecourses"], self.prior.mean, self.prior.variance)
        return found.timecourses, found.maps


class BackReconstruction(Method):
    """GICA1 (`gradspec.ica.back_reconstruction`)."""

    units = "z of the group map"

    def first(self, signal: Signal) -> Kept:
        timecourses, maps = back_reconstruct(signal, self.components, self.n_directions)
        return {"timecourses": timecourses, "maps": maps}


class GuidedICA(Method):
    """GIG-ICA: nothing of other runs enters (`gradspec.ica.gig_ica`)."""

    units = "z"

    def first(self, signal: Signal) -> Kept:
        found = gig_ica(signal, self.components)
        return {"timecourses": found.timecourses, "maps": found.maps}


METHODS: dict[str, type[Method]] = {
    "dual-regression": DualRegression,
    "back-reconstruction": BackReconstruction,
    "gig-ica": GuidedICA,
    "empirical-bayes": EmpiricalBayes,
    "template-ica": TemplateICA,
}


def choose_method(name: str, has_template: bool) -> str:
    """Return the method that ``auto`` stands for: GIG-ICA for maps of a template, else empirical Bayes."""
    return name if name != "auto" else "gig-ica" if has_template else "empirical-bayes"


def _run_maps(kept: Kept) -> RunMaps:
    return RunMaps(kept["maps"], kept["noise"], kept["leverage"])
