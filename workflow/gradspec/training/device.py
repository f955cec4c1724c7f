"""Where to train, and arithmetic that gives the same bytes every time."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gradspec.errors import ConfigError

_log = logging.getLogger(__name__)

_REFUSED = "does not have a deterministic implementation"  # in the words of PyTorch


def choose_device(name: str) -> torch.device:
    """Turn the config's ``training.device`` into a device that exists.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``cuda:<index>``, or ``auto`` for a CUDA device where there is one.

    Raises
    ------
    ConfigError
        If a CUDA device is asked for that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= n_devices:
            build = torch.version.cuda or "none (a CPU build)"
            raise ConfigError(
                f"training.device is {name!r}, but PyTorch {torch.__version__} finds {n_devices} CUDA device(s) here "
                f"(CUDA of this build: {build}): use 'auto' or 'cpu', or run on a machine with a GPU"
            )
    return device


def place_inputs(inputs: Tensor, device: torch.device) -> Tensor:
    """Bring the whole cohort to the device where it fits, or leave it where batches are taken from.

    Parameters
    ----------
    inputs : Tensor
        Scaled samples on the CPU.
    device : torch.device
        Where is trained.

    Returns
    -------
    Tensor
        On a CUDA device if the samples fill at most half of its free memory, which leaves the rest to the network.
    """
    if device.type == "cuda" and inputs.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        _log.warning("The cohort (%.1f GiB) stays on the CPU, since it would fill %s", inputs.nbytes / 2**30, device)
        return inputs
    return inputs.to(device)


@contextmanager
def reproducible(seed: int, device: torch.device, *, deterministic: bool = True) -> Iterator[None]:
    """Seed PyTorch and hold it to deterministic algorithms for a block; everything is set back afterwards.

    Also switches off the fused inference path of attention, which rounds differently from training and is left as
    soon as a module has a hook, so that metrics do not depend on whether spectra are recorded.

    Parameters
    ----------
    seed : int
        Of PyTorch's random numbers.
    device : torch.device
        Where is trained.
    deterministic : bool
        Whether operations that may give other bytes each time are refused.

    Raises
    ------
    ConfigError
        If there is such an operation in the block.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    mode = torch.get_deterministic_debug_mode()
    fused = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.set_deterministic_debug_mode("error" if deterministic else "default")
            torch.backends.mha.set_fastpath_enabled(False)
            torch.manual_seed(seed)
            yield
        except (RuntimeError, ConfigError) as error:
            if _REFUSED not in str(error):
                raise
            raise ConfigError(
                f"The network has an operation that PyTorch may not repeat to the same bytes on {device} ({error}): "
                "use another operation or training.device, or set training.deterministic to false"
            ) from error
        finally:
            torch.set_deterministic_debug_mode(mode)
            torch.backends.mha.set_fastpath_enabled(fused)
