r"""The sums over voxels that solvers of independent component analysis need: all their work, on a processor or on CUDA.

Solvers (`gradspec.ica.decomposition`) see only small matrices of components × components, in float64. Voxels are passed
over in blocks that stay in the cache, which makes a pass three times as fast as one over whole arrays.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from gradspec.errors import ConfigError

Square = Float[np.ndarray, "component component"]

_BLOCK = 2048
_ROWS = 64  # factors between 1 and 2 that are multiplied before a logarithm is taken; float32 holds up to 2^127


@dataclass(frozen=True)
class Infomax:
    r"""What the infomax contrast needs of the sources :math:`Y = W Z`.

    Attributes
    ----------
    log_cosh : float
        :math:`\sum_i E[\log\cosh y_i]`.
    score : array, (component, component)
        :math:`E[\tanh(Y) Y^\top]`.
    curvature : array, (component, component), optional
        :math:`h_{ij} = E[(1 - \tanh^2 y_i) y_j^2]`; None where it was not asked for.
    """

    log_cosh: float
    score: Square
    curvature: Square | None


@runtime_checkable
class Moments(Protocol):
    """Whitened data, and sums over its voxels."""

    n_components: int
    n_voxels: int

    def infomax(self, unmixing: Square, curvature: bool = True) -> Infomax:
        """Return what the infomax contrast needs at an unmixing."""

    def fastica(self, unmixing: Square) -> tuple[Square, Float[np.ndarray, " component"]]:
        r"""Return :math:`E[\tanh(Y) Z^\top]` and :math:`E[1 - \tanh^2 y_i]`, what a step of FastICA needs."""

    def thinned(self, step: int) -> "Moments":
        """Return the same with every `step`-th voxel only."""


class ArrayMoments:
    """Sums by numpy, in the precision of the data.

    Parameters
    ----------
    whitened : array, (component, voxel)
        Whitened data; float32 halves the time.
    """

    def __init__(self, whitened: Float[np.ndarray, "component voxel"]) -> None:
        self.whitened = whitened
        self.n_components, self.n_voxels = whitened.shape
        self._blocks = [whitened[:, first : first + _BLOCK] for first in range(0, self.n_voxels, _BLOCK)]

    def infomax(self, unmixing: Square, curvature: bool = True) -> Infomax:
        weights = unmixing.astype(self.whitened.dtype)
        score, bend = np.zeros((2, self.n_components, self.n_components))
        log_cosh = 0.0
        for block in self._blocks:
            sources = weights @ block
            slope = np.tanh(sources)
            score += slope @ sources.T
            if curvature:
                np.subtract(1, np.square(slope, out=slope), out=slope)
                bend += slope @ np.square(sources).T
            # log cosh y = |y| - log 2 + log(1 + exp(-2|y|)), the last over products of many factors
            np.abs(sources, out=sources)
            log_cosh += sources.sum(dtype=np.float64)
            factor = np.exp(np.multiply(sources, -2, out=sources), out=sources)
            factor += 1
            for row in range(0, self.n_components, _ROWS):
                log_cosh += np.log(np.multiply.reduce(factor[row : row + _ROWS], axis=0)).sum(dtype=np.float64)
        log_cosh = float(log_cosh) / self.n_voxels - self.n_components * np.log(2)
        return Infomax(log_cosh, score / self.n_voxels, bend / self.n_voxels if curvature else None)

    def fastica(self, unmixing: Square) -> tuple[Square, Float[np.ndarray, " component"]]:
        weights = unmixing.astype(self.whitened.dtype)
        product = np.zeros((self.n_components, self.n_components))
        squares = np.zeros(self.n_components)
        for block in self._blocks:
            slope = np.tanh(weights @ block)
            product += slope @ block.T
            squares += np.einsum("cv,cv->c", slope, slope)
        return product / self.n_voxels, 1 - squares / self.n_voxels

    def thinned(self, step: int) -> "ArrayMoments":
        return ArrayMoments(np.ascontiguousarray(self.whitened[:, ::step]))


class TorchMoments:
    """The same sums by torch, on any of its devices; the data are copied there once.

    Parameters
    ----------
    whitened : array, (component, voxel)
        Whitened data.
    device : str
        Such as ``cuda`` or ``cuda:1``.
    """

    def __init__(self, whitened: Float[np.ndarray, "component voxel"], device: str) -> None:
        import torch

        self._place(torch.from_numpy(np.ascontiguousarray(whitened)).to(device))

    def _place(self, whitened: Any) -> None:
        self._whitened = whitened
        self.n_components, self.n_voxels = whitened.shape

    def infomax(self, unmixing: Square, curvature: bool = True) -> Infomax:
        import torch

        sources = self._weights(unmixing) @ self._whitened
        slope = torch.tanh(sources)
        size = sources.abs()
        log_cosh = (size + torch.log1p(torch.exp(-2 * size))).sum(dtype=torch.float64)
        return Infomax(
            float(log_cosh) / self.n_voxels - self.n_components * float(np.log(2)),
            self._mean(slope @ sources.T),
            self._mean((1 - slope.square()) @ sources.square().T) if curvature else None,
        )

    def fastica(self, unmixing: Square) -> tuple[Square, Float[np.ndarray, " component"]]:
        import torch

        slope = torch.tanh(self._weights(unmixing) @ self._whitened)
        return self._mean(slope @ self._whitened.T), 1 - self._mean(slope.square().sum(dim=1))

    def thinned(self, step: int) -> "TorchMoments":
        thinner = TorchMoments.__new__(TorchMoments)
        thinner._place(self._whitened[:, ::step].contiguous())
        return thinner

    def _weights(self, unmixing: Square) -> Any:
        import torch

        return torch.from_numpy(unmixing).to(self._whitened.device, self._whitened.dtype)

    def _mean(self, total: Any) -> np.ndarray:
        return np.asarray(total.double().cpu().numpy() / self.n_voxels)


def moments_of(whitened: Float[np.ndarray, "component voxel"], device: str = "cpu") -> Moments:
    """Choose what computes the sums.

    Parameters
    ----------
    whitened : array, (component, voxel)
        Whitened data.
    device : str
        ``cpu`` for numpy; ``cuda`` (or any device of torch, such as ``cuda:1``) for torch.

    Raises
    ------
    ConfigError
        If torch is not installed, or has no such device.
    """
    if device == "cpu":
        return ArrayMoments(whitened)
    try:
        return TorchMoments(whitened, device)
    except ImportError as error:
        raise ConfigError(f"ica.device is {device}, which needs torch; install pytorch, or set it to cpu") from error
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"ica.device is {device}, which torch cannot use ({error}); set it to cpu") from error
