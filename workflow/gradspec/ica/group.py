"""The estimator: group independent component analysis of runs in a common space."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float
from scipy.stats import skew
from sklearn.base import BaseEstimator, TransformerMixin
from threadpoolctl import threadpool_limits

from gradspec.errors import ConfigError
from gradspec.files import PathLike
from gradspec.ica.decomposition import ALGORITHMS, Solution, solve
from gradspec.ica.halves import merge_parts, reproducibility, shuffled
from gradspec.ica.images import Image, load, maps_to_image, read_run, signal_mask
from gradspec.ica.mask import count_masks, group_mask, warn_of_cover
from gradspec.ica.participant import spatial_regression
from gradspec.ica.reduced import FORMS, at_once, kept_directions, load_reduction, reduce_run
from gradspec.ica.reduction import merge, whiten_group
from gradspec.ica.stability import RESAMPLINGS, compare_starts, is_bootstrap
from gradspec.progress import track

logger = logging.getLogger(__name__)


class GroupICA(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Independent components that a group of participants shares.

    Each run is reduced to whitened principal components, these are merged over runs (`gradspec.ica.reduction`), the
    strongest directions of the group are unmixed from several random starts (`gradspec.ica.decomposition`) and the most
    typical start is kept (`gradspec.ica.stability`). Halves of the participants show which components are real
    (`gradspec.ica.halves`).

    Components have mean zero and unit variance over the voxels of the mask, positive skewness (the active side is
    positive), and come in the order of the variance that they explain in the merged data, largest first: about the
    number of runs in which a component is found.

    Parameters
    ----------
    n_components : int
        Number of components.
    n_subject_components : int, optional
        Principal components kept of each run; half its volumes by default.
    form : {'whitened', 'migp'}
        Scale of the components of a run in the merge: unit variance, so that each participant counts the same and the
        group keeps what participants share; or their own variance, as MIGP was published.
    algorithm : {'infomax', 'fastica', 'runica'}
        Infomax contrast by a quasi-Newton solver, FastICA (logcosh), or infomax by the stochastic rule that GIFT calls.
    n_starts : int
        Number of starts that are compared (ICASSO).
    resampling : {'starts', 'bootstrap', 'both'}
        What differs between the starts: the random start itself, the sample of voxels, or one half each.
    n_splits : int
        Number of splits of the participants in halves; 0 for none.
    min_stability : float
        Stability index Iq below which a component is flagged.
    min_reproducibility : float
        Correlation between halves below which a component is flagged.
    mask_share : float
        Share of the runs in whose brain mask a voxel must lie.
    resample : bool
        Whether masks and runs on another grid than the first mask are resampled, or refused.
    seed : int
        Seed of the order of the merge, of starts and splits.
    n_jobs : int
        Number of threads that read and reduce runs, and run the starts.
    device : str
        ``cpu``, or a device of torch (``cuda``) that the starts run on. Results agree to rounding.

    Attributes
    ----------
    mask_img_ : Nifti1Image
        Group mask.
    components_ : array, (component, voxel)
        Maps, z-scored over voxels.
    components_img_ : Nifti1Image
        The maps as a 4-D image.
    stability_ : array, (component,)
        Stability index Iq over the starts; NaN for a single start.
    reproducibility_ : array, (component,)
        Correlation of the component between halves of the participants; NaN without splits.
    stable_ : array, (component,)
        Whether neither index is below its limit.
    n_found_ : array, (component,)
        Number of starts that found the component.
    explained_variance_ : array, (component,)
        Share of the variance of the reduced group data that a component explains.
    converged_ : bool
        Whether the start that was kept converged.
    n_converged_ : int
        Number of starts that did.

    Examples
    --------
    >>> ica = GroupICA(n_components=20).fit(images, masks)  # doctest: +SKIP
    >>> timecourses = ica.transform(images)  # doctest: +SKIP
    """

    mask_img_: nib.Nifti1Image
    components_: Float[np.ndarray, "component voxel"]
    components_img_: nib.Nifti1Image
    stability_: Float[np.ndarray, " component"]
    reproducibility_: Float[np.ndarray, " component"]
    stable_: np.ndarray
    n_found_: np.ndarray
    explained_variance_: Float[np.ndarray, " component"]
    converged_: bool
    n_converged_: int

    def __init__(
        self,
        n_components: int = 20,
        *,
        n_subject_components: int | None = None,
        form: str = "whitened",
        algorithm: str = "infomax",
        n_starts: int = 10,
        resampling: str = "starts",
        n_splits: int = 10,
        min_stability: float = 0.8,
        min_reproducibility: float = 0.3,
        mask_share: float = 0.9,
        resample: bool = False,
        seed: int = 0,
        n_jobs: int = 1,
        device: str = "cpu",
    ) -> None:
        self.n_components = n_components
        self.n_subject_components = n_subject_components
        self.form = form
        self.algorithm = algorithm
        self.n_starts = n_starts
        self.resampling = resampling
        self.n_splits = n_splits
        self.min_stability = min_stability
        self.min_reproducibility = min_reproducibility
        self.mask_share = mask_share
        self.resample = resample
        self.seed = seed
        self.n_jobs = n_jobs
        self.device = device

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, seed: int, n_jobs: int) -> "GroupICA":
        """Make the estimator that section ``ica`` of the configuration describes."""
        names = (
            "n_components n_subject_components algorithm n_starts resampling n_splits min_stability "
            "min_reproducibility mask_share device"
        )
        return cls(
            **{name: settings[name] for name in names.split()},
            form=settings["merge"],
            resample=settings["grids"] == "resample",
            seed=seed,
            n_jobs=n_jobs,
        )

    def fit(
        self,
        images: Sequence[Image],
        masks: Sequence[Image] | None = None,
        participants: Sequence[str] | None = None,
    ) -> "GroupICA":
        """Estimate the components.

        Parameters
        ----------
        images : sequence of path or image
            4-D denoised runs in one space.
        masks : sequence of path or image, optional
            Brain mask of each run; by default the voxels of a run that vary over time.
        participants : sequence of str, optional
            Participant of each run, so that all runs of one go to the same half; by default each run is another's.

        Returns
        -------
        GroupICA
            Itself.

        Raises
        ------
        ParticipantError
            If a run or mask cannot be used; the error names the file.
        ConfigError
            If there are fewer than two participants, the masks hardly overlap, or the data do not support that many
            components.
        """
        order, n_runs = _order(images, participants, self.seed)
        if masks is not None and len(masks) != len(images):
            raise ConfigError(f"{len(images)} runs but {len(masks)} masks; give one mask a run")
        masks = masks or [signal_mask(image) for image in images]
        self.mask_img_ = group_mask(*count_masks(masks, resample=self.resample), self.mask_share)
        for mask in masks:
            warn_of_cover(mask, self.mask_img_, resample=self.resample)
        with threadpool_limits(1):  # one thread a run in the pool; also makes the sums the same on any machine
            self._fit(self._reduced([images[i] for i in order]), n_runs)
        return self

    def fit_reduced(
        self,
        reductions: Sequence[PathLike | Float[np.ndarray, "_ voxel"]],
        mask: Image,
        participants: Sequence[str] | None = None,
    ) -> "GroupICA":
        """Estimate the components from runs that were reduced before, or from merges of some of them.

        Parameters
        ----------
        reductions : sequence of path or array, (component, voxel)
            Reductions of the runs within the mask, see `gradspec.ica.reduced`; files are read one at a time.
        mask : path or image
            Mask within which they were reduced.
        participants : sequence of str, optional
            Participant (or batch) of each, so that all of one go to the same half; by default each is another's.

        Returns
        -------
        GroupICA
            Itself.

        Raises
        ------
        ConfigError
            If there are fewer than two participants, the data do not support that many components, or one was made
            within another mask.
        """
        order, n_runs = _order(reductions, participants, self.seed)
        self.mask_img_ = load(mask, 3)
        n_voxels = int((np.asanyarray(self.mask_img_.dataobj) > 0).sum())
        loaded = _loaded([reductions[i] for i in order], n_voxels)
        with threadpool_limits(1):
            self._fit(track(loaded, "Merging", total=len(order)), n_runs)
        return self

    def transform(self, images: Sequence[Image]) -> list[Float[np.ndarray, "time component"]]:
        """Time courses of the components in each run, by spatial regression.

        Parameters
        ----------
        images : sequence of path or image
            4-D runs on the grid of the mask.

        Returns
        -------
        list of arrays, (time, component)
            Time courses, not filtered.
        """
        return [
            spatial_regression(read_run(image, self.mask_img_, resample=self.resample), self.components_)
            for image in images
        ]

    def _reduced(self, images: Sequence[Image]) -> Iterator[Float[np.ndarray, "_ voxel"]]:
        """Yield the principal components of one run after the other; a few are read ahead."""

        def reduce(image: Image) -> Float[np.ndarray, "_ voxel"]:
            return reduce_run(image, self.mask_img_, self.n_subject_components, form=self.form, resample=self.resample)

        with ThreadPoolExecutor(self.n_jobs) as pool:
            queue = iter(images)
            ahead: deque[Future[np.ndarray]] = deque(pool.submit(reduce, image) for image in islice(queue, self.n_jobs))
            for _ in track(images, "Reducing runs"):
                following = next(queue, None)
                reduction = ahead.popleft().result()
                if following is not None:
                    ahead.append(pool.submit(reduce, following))
                yield reduction

    def _fit(self, reductions: Iterable[Float[np.ndarray, "_ voxel"]], n_runs: Sequence[int]) -> None:
        """Merge, decompose from several starts, choose one of them, and compare halves."""
        if self.form not in FORMS or self.algorithm not in ALGORITHMS or self.resampling not in RESAMPLINGS:
            raise ConfigError(
                f"form must be one of {', '.join(FORMS)}, algorithm of {', '.join(ALGORITHMS)}, resampling of "
                f"{', '.join(RESAMPLINGS)}; found {self.form}, {self.algorithm}, {self.resampling}"
            )
        n_keep = kept_directions(self.n_components)
        batch = at_once(self.form)
        if self.n_splits:
            basis, parts = merge_parts(reductions, n_runs, n_keep, batch=batch)
        else:
            basis, parts = merge(reductions, n_keep, batch=batch), []
        whitened, variances = whiten_group(basis, self.n_components)

        def run(start: int) -> Solution:
            rng = np.random.default_rng([self.seed, 1, start])
            return solve(whitened, rng, self.algorithm, self.device, bootstrap=is_bootstrap(start, self.resampling))

        with ThreadPoolExecutor(self.n_jobs if self.device == "cpu" else 1) as pool:
            solutions = list(track(pool.map(run, range(self.n_starts)), "ICA starts", total=self.n_starts))
        self._settle(solutions, whitened, variances)
        self.reproducibility_ = np.full(self.n_components, np.nan)
        if self.n_splits:
            self.reproducibility_ = reproducibility(
                parts,
                self.components_,
                self.n_splits,
                seed=self.seed,
                algorithm=self.algorithm,
                device=self.device,
                n_jobs=self.n_jobs if self.device == "cpu" else 1,
            )
        self.stable_ = ~((self.stability_ < self.min_stability) | (self.reproducibility_ < self.min_reproducibility))
        if not self.stable_.all():
            logger.warning(
                "%d of %d components are not stable (column `stable` of the table): fewer components may describe the "
                "group better",
                (~self.stable_).sum(),
                self.n_components,
            )

    def _settle(
        self,
        solutions: Sequence[Solution],
        whitened: Float[np.ndarray, "component voxel"],
        variances: Float[np.ndarray, " component"],
    ) -> None:
        """Choose a start, bring its components into order, sign and scale, and say how well it went."""
        agreement = compare_starts([solution.unmixing for solution in solutions])
        chosen = solutions[agreement.best_start]
        if is_bootstrap(agreement.best_start, self.resampling):  # its components, on all voxels
            chosen = ALGORITHMS[self.algorithm](whitened, np.random.default_rng([self.seed, 4]), start=chosen.unmixing)
        self.converged_ = chosen.converged
        self.n_converged_ = sum(solution.converged for solution in solutions)
        if self.n_converged_ < len(solutions):
            logger.warning(
                "ICA: %d of %d starts did not converge (the start that was kept %s; its gradient is %.1e). Fewer "
                "components (ica.n_components) are better determined",
                len(solutions) - self.n_converged_,
                len(solutions),
                "did" if chosen.converged else "did NOT",
                chosen.gradient,
            )
        # Row k of the sources has variance |w_k|²; its mixing column in the merged data is Λ^½ W^-1.
        mixing = np.sqrt(variances)[:, None] * np.linalg.inv(chosen.unmixing)
        explained = np.square(mixing * np.linalg.norm(chosen.unmixing, axis=1)).sum(axis=0) / variances.sum()
        order = np.argsort(-explained)
        maps = (chosen.unmixing[order] @ whitened).astype(np.float64)
        maps -= maps.mean(axis=1, keepdims=True)
        maps /= maps.std(axis=1, keepdims=True)
        maps *= np.where(skew(maps, axis=1) < 0, -1, 1)[:, None]
        self.components_ = maps.astype(np.float32)
        self.components_img_ = maps_to_image(self.components_, self.mask_img_)
        self.explained_variance_ = explained[order]
        self.stability_ = agreement.stability[order]
        self.n_found_ = agreement.n_found[order]


def _order(runs: Sequence[object], participants: Sequence[str] | None, seed: int) -> tuple[list[int], list[int]]:
    """Return the order in which runs are merged, and how many each participant has; see `shuffled`."""
    if participants is not None and len(participants) != len(runs):
        raise ConfigError(f"{len(runs)} runs but {len(participants)} participants; name the participant of each run")
    order, n_runs = shuffled(participants or [str(run) for run in range(len(runs))], seed)
    if len(n_runs) < 2:
        raise ConfigError(
            f"group ICA needs the runs of at least two participants, found {len(runs)} run(s) of {len(n_runs)}"
        )
    return order, n_runs


def _loaded(
    reductions: Sequence[PathLike | Float[np.ndarray, "_ voxel"]], n_voxels: int
) -> Iterator[Float[np.ndarray, "_ voxel"]]:
    """Give the reductions one by one, those in files read when their turn comes."""
    for reduction in reductions:
        rows = reduction if isinstance(reduction, np.ndarray) else load_reduction(reduction)
        if rows.shape[1] != n_voxels:
            raise ConfigError(
                f"{'a reduction' if rows is reduction else reduction} has {rows.shape[1]} voxels, but the mask has "
                f"{n_voxels}: it was made within another mask; make it again"
            )
        yield rows
