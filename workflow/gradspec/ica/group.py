"""The estimator: group independent component analysis of runs in a common space."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
from jaxtyping import Float
from scipy.stats import skew
from sklearn.base import BaseEstimator, TransformerMixin
from threadpoolctl import threadpool_limits

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.decomposition import Solution, infomax
from gradspec.ica.images import Image, group_mask, load, maps_to_image, name_of, read_run, signal_mask
from gradspec.ica.participant import spatial_regression
from gradspec.ica.reduction import merge, whiten_group, whitened_components
from gradspec.ica.stability import compare_starts
from gradspec.progress import track

logger = logging.getLogger(__name__)

_BATCH = 8  # runs that are merged at a time; memory grows with it, not with the number of runs
_KEEP = 100  # directions that the running basis of the merge keeps at least


class GroupICA(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Independent components that a group of participants shares.

    Each run is reduced to whitened principal components, these are merged over runs (`gradspec.ica.reduction`), the
    strongest directions of the group are unmixed from several random starts (`gradspec.ica.decomposition`) and the most
    typical start is kept (`gradspec.ica.stability`).

    Components have mean zero and unit variance over the voxels of the mask, positive skewness (the active side is
    positive), and come in the order of the variance that they explain in the merged data, largest first: about the
    number of runs in which a component is found.

    Parameters
    ----------
    n_components : int
        Number of components.
    n_subject_components : int, optional
        Principal components kept of each run; half its volumes by default.
    n_starts : int
        Number of random starts.
    mask_share : float
        Share of the runs in whose brain mask a voxel must lie.
    seed : int
        Seed of the order of the merge and of the random starts.
    n_jobs : int
        Number of threads that read and reduce runs, and run the random starts.

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
    n_found_: np.ndarray
    explained_variance_: Float[np.ndarray, " component"]
    converged_: bool
    n_converged_: int

    def __init__(
        self,
        n_components: int = 20,
        *,
        n_subject_components: int | None = None,
        n_starts: int = 10,
        mask_share: float = 0.9,
        seed: int = 0,
        n_jobs: int = 1,
    ) -> None:
        self.n_components = n_components
        self.n_subject_components = n_subject_components
        self.n_starts = n_starts
        self.mask_share = mask_share
        self.seed = seed
        self.n_jobs = n_jobs

    def fit(self, images: Sequence[Image], masks: Sequence[Image] | None = None) -> "GroupICA":
        """Estimate the components.

        Parameters
        ----------
        images : sequence of path or image
            4-D denoised runs in one space.
        masks : sequence of path or image, optional
            Brain mask of each run; by default the voxels of a run that vary over time.

        Returns
        -------
        GroupICA
            Itself.

        Raises
        ------
        ParticipantError
            If a run or mask cannot be used; the error names the file.
        ConfigError
            If there are fewer than two runs, the masks hardly overlap, or the data do not support that many components.
        """
        if len(images) < 2:
            raise ConfigError(f"group ICA needs the runs of at least two participants, found {len(images)} run(s)")
        if masks is not None and len(masks) != len(images):
            raise ConfigError(f"{len(images)} runs but {len(masks)} masks; give one mask a run")
        self.mask_img_ = group_mask(masks or [signal_mask(image) for image in images], self.mask_share)
        with threadpool_limits(1):  # one thread a run in the pool; also makes the sums the same on any machine
            basis = merge(self._reduced(images), max(_KEEP, 2 * self.n_components))
            whitened, variances = whiten_group(basis, self.n_components)
            rngs = [np.random.default_rng([self.seed, 1, start]) for start in range(self.n_starts)]
            with ThreadPoolExecutor(self.n_jobs) as pool:
                starts = pool.map(lambda rng: infomax(whitened, rng), rngs)
                solutions = list(track(starts, "ICA starts", total=self.n_starts))
            self._settle(solutions, whitened, variances)
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
        return [spatial_regression(read_run(image, self.mask_img_), self.components_) for image in images]

    def _reduced(self, images: Sequence[Image]) -> Iterator[list[Float[np.ndarray, "_ voxel"]]]:
        """Yield the whitened components of a batch of runs at a time, in random order."""
        order = np.random.default_rng([self.seed, 0]).permutation(len(images))
        batches = [[images[i] for i in order[first : first + _BATCH]] for first in range(0, len(order), _BATCH)]
        with ThreadPoolExecutor(self.n_jobs) as pool:
            for batch in track(batches, "Reducing runs"):
                yield list(pool.map(self._reduce, batch))

    def _reduce(self, image: Image) -> Float[np.ndarray, "_ voxel"]:
        n_volumes = load(image, 4).shape[3]
        try:
            return whitened_components(
                read_run(image, self.mask_img_), self.n_subject_components or max(n_volumes // 2, 1)
            )
        except ParticipantError as error:
            raise ParticipantError(error.reason, file=error.file or name_of(image)) from error

    def _settle(
        self,
        solutions: Sequence[Solution],
        whitened: Float[np.ndarray, "component voxel"],
        variances: Float[np.ndarray, " component"],
    ) -> None:
        """Choose a start, bring its components into order, sign and scale, and say how well it went."""
        agreement = compare_starts([solution.unmixing for solution in solutions])
        chosen = solutions[agreement.best_start]
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
