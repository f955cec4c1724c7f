"""How many spectra a minute the features take, together and one by one, beside a loop of NumPy over the spectra.

The spectra are of random matrices with a decaying spectrum, as many singular values as a batch of 8, 16, 32 and 64
samples gives. One core, CPU time. Run from the root of the project: ``python -m benchmarks.features``.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from gradspec.spectra.features import FEATURES, N_LEADING, drop_rounding
from gradspec.spectra.power_law import FEWEST_IN_TAIL

LENGTHS = [8, 16, 32, 64]
TOLERANCE = 1e-5
N_LOOP = 300  # spectra that the loop is timed on


def draw_spectra(n_spectra: int, length: int) -> np.ndarray:
    """Singular values, descending, of n random matrices whose rows have variances that fall."""
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(min(n_spectra, 2000), length, 64)) / np.arange(1, length + 1)[:, None]
    spectra = np.linalg.svd(matrices, compute_uv=False)[:, :length]
    return np.resize(spectra, (n_spectra, length))


def vectorised(spectra: np.ndarray) -> dict[str, np.ndarray]:
    """All features of all spectra, as the workflow computes them."""
    spectra = drop_rounding(spectra, TOLERANCE)
    return {name: definition.function(spectra) for name, definition in FEATURES.items()}


def loop(spectra: np.ndarray) -> list[dict[str, float]]:
    """All features, spectrum by spectrum."""
    return [one_spectrum(spectrum) for spectrum in spectra]


def one_spectrum(spectrum: np.ndarray) -> dict[str, float]:
    """All features of a spectrum, in plain NumPy."""
    sigma = spectrum[spectrum > TOLERANCE * spectrum[0]]
    share = sigma / sigma.sum()
    energy = (sigma / sigma[0]) ** 2
    nats = -(share * np.log(share)).sum()
    exponent, distance = one_power_law(sigma)
    return {
        "spectral_norm": sigma[0],
        "nuclear_norm": sigma.sum(),
        "frobenius_norm": np.sqrt((sigma**2).sum()),
        "effective_rank": np.exp(nats),
        "stable_rank": energy.sum(),
        "entropy": nats / np.log(len(spectrum)),
        "condition_number": sigma[0] / sigma[-1],
        "log_condition_number": np.log10(sigma[0] / sigma[-1]),
        "numerical_rank": len(sigma),
        "participation_ratio": energy.sum() ** 2 / (energy**2).sum(),
        "leading_energy": energy[:N_LEADING].sum() / energy.sum(),
        "power_law_exponent": exponent,
        "power_law_distance": distance,
    }


def one_power_law(sigma: np.ndarray) -> tuple[float, float]:
    """Exponent and distance of the closest power law, for values without ties."""
    best = np.nan, np.nan
    for t in range(max(FEWEST_IN_TAIL, (len(sigma) + 1) // 2), len(sigma) + 1):
        ratio = sigma[:t] / sigma[t - 1]
        exponent = 1 + t / np.log(ratio).sum()
        distance = np.abs(np.arange(1, t + 1) / t - ratio ** (1 - exponent)).max()
        if not distance >= best[1]:
            best = exponent, distance
    return best


def seconds(function: Callable[[np.ndarray], object], spectra: np.ndarray, repeats: int = 3) -> float:
    """Least CPU time of some calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function(spectra)
        times.append(time.process_time() - start)
    return min(times)


def check(spectra: np.ndarray) -> None:
    """Both ways must give the same."""
    together, alone = vectorised(spectra), loop(spectra)
    for name, values in together.items():
        np.testing.assert_allclose(values, [features[name] for features in alone], rtol=1e-9, err_msg=name)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spectra", type=int, default=100_000, help="spectra that the vectorised features are timed on"
    )
    parser.add_argument("--each", action="store_true", help="print the time of every feature, too")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        print(f"{'values':>6}  {'spectra a minute':>16}  {'loop':>12}  {'faster':>6}")
        for length in LENGTHS:
            spectra = draw_spectra(arguments.spectra, length)
            check(spectra[:N_LOOP])
            rate = 60 * len(spectra) / seconds(vectorised, spectra)
            slow = 60 * N_LOOP / seconds(loop, spectra[:N_LOOP])
            print(f"{length:>6}  {rate:>16,.0f}  {slow:>12,.0f}  {rate / slow:>5.0f}×")
            for name, definition in FEATURES.items() if arguments.each else ():
                micro = 1e6 * seconds(definition.function, spectra) / len(spectra)
                print(f"        {name:<22} {micro:6.2f} µs a spectrum")


if __name__ == "__main__":
    main()
