"""Time and memory of planning the workflow, against the number of participants.

A cohort of fMRIPrep derivatives is made of empty files, and Snakemake plans it (`-n`), which reads names only.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """
cohort: {{source: fmriprep, fmriprep: {{root: {root}, participants: {root}/participants.tsv}}}}
training: {{models: {{mlp: {{}}}}, folds: 5, repeats: 4}}
"""


def make_cohort(root: Path, n: int) -> None:
    """Write a participants table and the names of the files that fMRIPrep would leave; the files are empty."""
    rows = []
    for number in range(n):
        who = f"sub-{number:06d}"
        stem = root / who / "func" / f"{who}_task-rest"
        stem.parent.mkdir(parents=True)
        for part in ("desc-preproc_bold.nii.gz", "desc-preproc_bold.json", "desc-brain_mask.nii.gz"):
            Path(f"{stem}_space-MNI152NLin2009cAsym_{part}").touch()
        Path(f"{stem}_desc-confounds_timeseries.tsv").touch()
        rows.append(f"{who}\t{('control', 'patient')[number % 2]}\n")
    (root / "participants.tsv").write_text("participant_id\tgroup\n" + "".join(rows))


def plan(folder: Path, n: int) -> tuple[int, float, float]:
    """Plan a cohort of `n` participants; return the number of jobs, the seconds and the peak memory in MiB."""
    for name in ("Snakefile", "workflow", "config", "envs"):
        (folder / name).symlink_to(ROOT / name)
    make_cohort(folder / "derivatives", n)
    (folder / "scaling.yaml").write_text(CONFIG.format(root=folder / "derivatives"))
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--configfile", "scaling.yaml"]
    start = time.perf_counter()
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise RuntimeError(f"{n} participants cannot be planned:\n{text[-2000:]}")
    total = re.search(r"^total +(\d+)$", text, flags=re.MULTILINE)
    assert total is not None, text
    return int(total[1]), seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Print a row for each number of participants."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[20, 200, 2000], help="numbers of participants")
    print(f"{'participants':>12} {'jobs':>8} {'seconds':>8} {'MiB':>8}")
    for n in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory() as folder:
            jobs, seconds, memory = plan(Path(folder), n)
        print(f"{n:>12} {jobs:>8} {seconds:>8.1f} {memory:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
