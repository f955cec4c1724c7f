"""Seeds that depend on what is run and on nothing else: not on the order of jobs, not on the process."""

import zlib

import numpy as np


def derive_seed(seed: int, *parts: str | int) -> int:
    """Mix the seed of the config with what the random numbers are for.

    Parameters
    ----------
    seed : int
        Seed of the config.
    *parts : str or int
        For example the model's name, repeat and fold. Other parts, or the same in another order, give another seed.

    Returns
    -------
    int
        A seed below 2³², fit for scikit-learn, numpy and PyTorch.
    """
    # crc32 rather than hash(): Python salts the hash of a text anew in every process.
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in parts]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1)[0])
