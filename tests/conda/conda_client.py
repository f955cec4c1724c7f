"""A stand-in for the conda client, as much of it as Snakemake calls, on py-rattler.

Environments are solved and linked as conda does it; packages come from the channel below CONDA_CHANNEL_ALIAS.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import yaml
from rattler import MatchSpec, install, solve


def main(arguments: list[str]) -> None:
    """Do what the command line asks for."""
    match arguments:
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": os.environ["CONDA_STAND_IN"], "platform": "linux-64"}))
        case ["--version"]:
            print("conda 25.1.0")
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *options]:
            file, prefix = (Path(options[options.index(name) + 1]) for name in ("--file", "--prefix"))
            asyncio.run(create(yaml.safe_load(file.read_text()), prefix))
        case ["env", "export" | "list", *_] | ["clean", *_] | ["list", *_]:
            pass
        case _:
            sys.exit(f"the stand-in for conda does not know: {arguments}")


async def create(environment: dict, prefix: Path) -> None:
    """Solve the environment of a file and link it into a prefix."""
    assert environment["channels"][-1] == "nodefaults"
    channels = [f"{os.environ['CONDA_CHANNEL_ALIAS']}/{name}" for name in environment["channels"][:-1]]
    specs = [MatchSpec(spec, strict=True) for spec in environment["dependencies"]]
    records = await solve(channels, specs, platforms=["linux-64", "noarch"])
    await install(
        records, target_prefix=prefix, cache_dir=Path(os.environ["CONDA_STAND_IN"]) / "pkgs", show_progress=False
    )


if __name__ == "__main__":
    main(sys.argv[1:])
