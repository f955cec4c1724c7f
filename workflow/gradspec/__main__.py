"""The command ``gradspec``: Snakemake with the workflow that lies in the package, so that a user needs no clone.

It only calls what is there: each command below is what `make` does in the clone.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gradspec.errors import ConfigError
from gradspec.places import ROOT

_WORKFLOW = ROOT / "workflow"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and do what it says.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``gradspec``; those of the process if left out.

    Returns
    -------
    int
        Exit status; that of Snakemake where it was called.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    # What follows gift or design is for its own parser, options included, which REMAINDER does not give where they come
    # first.
    options = _parser().parse_args(words[:1] if words[:1] in (["gift"], ["design"]) else words)
    options.rest = words[1:]
    if find_spec("snakemake") is None:
        print('Error: the workflow is not installed; write: pip install "gradspec[workflow]"', file=sys.stderr)
        return 1
    os.environ.update(NO_ET="1", NIPYPE_NO_ET="1")
    try:
        status: int = options.do(options)
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradspec", description="How deep networks learn from two groups of people.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(do=does)
        return made

    demo = command("demo", _demo, "run the whole workflow on the demo cohort, from raw BIDS to the report")
    run = command("run", _run, "run the workflow on a configuration; results go into the folder that it names")
    check = command("check", _check, "look at the cohort of a configuration: who would be used, and why not")
    report = command("report", _report, "write the report of the results of a configuration")
    crate = command("crate", _crate, "write the provenance of the results of a configuration, as an RO-Crate")
    figures = command("figures", _figures, "draw all figures again from a folder of results, and nothing else")
    command("design", _design, "say what a study will find, by its people, folds, repeats and permutations")
    command("gift", _gift, "make a cohort from an analysis of GIFT; `gradspec gift --help` says of what")
    for each in (demo, check, run, figures):
        each.add_argument("--cores", default=None, metavar="N", help="cores to use; all of the machine if left out")
    run.add_argument("--profile", help="gpu-workstation, slurm, sge, htcondor, or a folder with a profile of Snakemake")
    ready = ", ".join(sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
    for each in (check, run, report, crate):
        each.add_argument("config", help=f"a YAML file, or the name of a ready one: {ready}")
    run.add_argument("snakemake", nargs=argparse.REMAINDER, help="what else Snakemake gets: targets, -n, …")
    figures.add_argument("results", type=Path, help="folder of results; it may have been copied here")
    return parser


def _demo(options: argparse.Namespace) -> int:
    options.config, options.profile, options.snakemake = "config", None, []
    return _run(options)


def _check(options: argparse.Namespace) -> int:
    options.profile, options.snakemake = None, ["check"]
    status = _run(options)
    if not status:
        print(f"Open {_find_results(options.config) / 'check.html'}")
    return status


def _run(options: argparse.Namespace) -> int:
    arguments = ["--configfile", str(_find_config(options.config)), "--rerun-incomplete"]
    if options.profile:
        inside = _WORKFLOW / "profiles" / options.profile
        arguments += ["--profile", str(inside if inside.is_dir() else options.profile)]
    if options.cores or not options.profile:
        arguments += ["--cores", options.cores or "all"]
    return _snakemake("Snakefile", *arguments, *options.snakemake)


def _report(options: argparse.Namespace) -> int:
    from gradspec.figures.report import finish_report
    from gradspec.files import atomic_path

    config, results = _find_config(options.config), _find_results(options.config)
    with atomic_path(results / "report.html") as partial:
        style = str(_WORKFLOW / "report" / "report.css")
        arguments = ["--configfile", str(config), "--report", str(partial), "--report-stylesheet", style]
        if _snakemake("Snakefile", *arguments, "--cores", "1"):
            raise ConfigError(f"{results}: Snakemake could not write the report; what it said stands above")
        finish_report(partial)
    print(f"The report is at {results / 'report.html'}")
    return 0


def _crate(options: argparse.Namespace) -> int:
    from gradspec.crate import read_summary, write_crate
    from gradspec.files import scratch_folder

    config, results = _find_config(options.config), _find_results(options.config)
    with scratch_folder(results / "ro-crate-metadata.json") as scratch:
        summary = scratch / "summary.tsv"
        with summary.open("w", encoding="utf-8") as stream:
            if status := _snakemake("Snakefile", "--configfile", str(config), "--detailed-summary", stdout=stream):
                return status
        write_crate(results, read_summary(summary))
    return 0


def _figures(options: argparse.Namespace) -> int:
    config = options.results / "config.json"
    if not config.is_file():
        raise ConfigError(f"{options.results}: has no config.json, so it is no folder of results; copy one whole")
    arguments = ["--configfile", str(config), "--config", f"results={options.results}", "--forceall"]
    return _snakemake("redraw.smk", *arguments, "--cores", options.cores or "all")


def _gift(options: argparse.Namespace) -> int:
    from gradspec.ica.gift import main as import_from_gift

    import_from_gift(options.rest)
    return 0


def _design(options: argparse.Namespace) -> int:
    from gradspec.stats.design import main as tabulate_designs

    tabulate_designs(options.rest)
    return 0


def _find_config(name: str) -> Path:
    """Return the file of that name, or the ready configuration."""
    ready = ROOT / "config" / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    if Path(name).name == name and ready.is_file():
        return ready
    names = ", ".join(sorted(path.stem for path in ready.parent.glob("*.yaml")))
    raise ConfigError(
        f"{name}: there is no such file; write the path of a YAML file, or the name of a ready one: {names}"
    )


def _find_results(name: str) -> Path:
    """Return the folder of results that a configuration names, which must be there."""
    import yaml

    from gradspec.config import resolve

    try:
        config = yaml.safe_load(_find_config(name).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not YAML in UTF-8 ({error})") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{name}: holds no settings; docs/reference/config.md names them")
    results = Path(resolve(config)["results"])
    if not results.is_dir():
        raise ConfigError(f"{results}: there are no results yet; write: gradspec run {name}")
    return results


def _snakemake(snakefile: str, *arguments: str, stdout: Any = None) -> int:
    """Run Snakemake in this folder; signals are its own to handle, since it ends its jobs in order."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(_WORKFLOW / snakefile), *arguments]
    with subprocess.Popen(command, stdout=stdout) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # which Snakemake got too
                continue


if __name__ == "__main__":
    sys.exit(main())
