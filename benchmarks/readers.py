"""How long text files of time courses take to read, beside pandas' C reader on the same files, and in what memory.

Files as tools write them: C-PAC (six decimals), XCP-D (all digits, some regions missing), AFNI (numbers beside labels)
and NumPy (19 digits). Here it is found out, too, which line names the columns and which columns are labels. Both take
each file in turn, CPU time. Run from the root of the project: ``python -m benchmarks.readers``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from gradspec.cohort.arrays import read_array
from gradspec.cohort.text import MISSING

N_VOLUMES, N_REGIONS = 176, 200
N_DIFFERENT = 20  # files that are written; the others are links to them


def draw(seed: int) -> np.ndarray:
    """Time courses of a participant."""
    return 100 * np.random.default_rng(seed).standard_normal((N_VOLUMES, N_REGIONS))


def write_cpac(path: Path, values: np.ndarray) -> None:
    """Write a commented line of names, and numbers with six decimals."""
    names = "\t#".join(str(at) for at in range(1, values.shape[1] + 1))
    np.savetxt(path, values, fmt="%.6f", delimiter="\t", header=names, comments="#")


def write_xcpd(path: Path, values: np.ndarray) -> None:
    """Write names and all digits, and n/a for regions that are not covered."""
    table = pd.DataFrame(values, columns=[f"Region_{at}" for at in range(values.shape[1])])
    table.iloc[:, ::40] = np.nan
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def write_afni(path: Path, values: np.ndarray) -> None:
    """Write two columns of labels before the numbers."""
    table = pd.DataFrame(values, columns=[f"Mean_{at}" for at in range(values.shape[1])])
    table.insert(0, "Sub-brick", [f"{at}[?]" for at in range(len(values))])
    table.insert(0, "File", "rest.nii.gz")
    table.to_csv(path, sep="\t", index=False, float_format="%.6f")


def write_numpy(path: Path, values: np.ndarray) -> None:
    """Write numbers alone, with 19 digits."""
    np.savetxt(path, values, delimiter=",")


KINDS: dict[str, tuple[str, Callable[[Path, np.ndarray], None], dict[str, Any]]] = {
    "C-PAC": (".1D", write_cpac, {"sep": "\t"}),
    "XCP-D": (".tsv", write_xcpd, {"sep": "\t", "na_values": sorted(MISSING)}),
    "AFNI": (".1D", write_afni, {"sep": "\t"}),
    "NumPy": (".csv", write_numpy, {"header": None}),
}


def make_files(folder: Path, kind: str, n_files: int) -> list[Path]:
    """Write the files of a cohort."""
    suffix, write, _ = KINDS[kind]
    files = [folder / f"{at:05d}{suffix}" for at in range(n_files)]
    for at, file in enumerate(files):
        if at < N_DIFFERENT:
            write(file, draw(at))
        else:
            file.hardlink_to(files[at % N_DIFFERENT])
    return files


def compare(files: Sequence[Path], kind: str) -> tuple[float, float]:
    """CPU seconds that the two readers take, file by file in turn."""
    options = KINDS[kind][2]
    spent = np.zeros(2)
    for file in files:
        start = time.process_time()
        found = read_array(file, None, None, "").values
        middle = time.process_time()
        table = pd.read_csv(file, **options)
        spent += middle - start, time.process_time() - middle
    expected = table.select_dtypes("number").to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    return float(spent[0]), float(spent[1])


def peak_memory(folder: Path, kind: str, n_files: int) -> float:
    """Peak memory of a process that reads the first files of a folder, in MiB."""
    command = [sys.executable, "-m", "benchmarks.readers", "--peak", str(folder), kind, str(n_files)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read_all(folder: Path, kind: str, n_files: int) -> None:
    """Read the first files of a folder and print the peak memory."""
    for file in sorted(folder.glob(f"*{KINDS[kind][0]}"))[:n_files]:
        read_array(file, None, None, "")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3, help="how often each file is read; medians are printed")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        read_all(Path(arguments.peak[0]), arguments.peak[1], int(arguments.peak[2]))
        return
    few = max(arguments.participants // 10, 1)
    rows = []
    counts = (few, arguments.participants)
    print(f"{'files':<8}{'here, s':>9}{'pandas, s':>11}{'ratio':>7}" + "".join(f"{f'MiB, {n}':>11}" for n in counts))
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name:
            files = make_files(Path(name), kind, arguments.participants)
            compare(files[:N_DIFFERENT], kind)
            times = np.array([compare(files, kind) for _ in range(arguments.repeats)])
            memory = [peak_memory(Path(name), kind, count) for count in counts]
        here, pandas = np.median(times, axis=0)
        ratio = float(np.median(times[:, 0] / times[:, 1]))
        rows.append({"files": kind, "seconds": here, "pandas": pandas, "ratio": ratio, "mib": memory})
        print(f"{kind:<8}{here:>9.2f}{pandas:>11.2f}{ratio:>7.2f}{memory[0]:>11.0f}{memory[1]:>11.0f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
