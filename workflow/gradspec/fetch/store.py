"""Files of a public store (Amazon S3) over plain HTTP: listed, downloaded, continued, checked."""

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradspec.errors import ConfigError

_TIMEOUT = 60  # s
_CHUNK = 2**20
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


def list_store(store: str, prefix: str) -> dict[str, int]:
    """List the files whose name begins with a prefix.

    Parameters
    ----------
    store : str
        Address of the bucket.
    prefix : str
        Beginning of the names.

    Returns
    -------
    dict of str to int
        Size in bytes by name.
    """
    sizes: dict[str, int] = {}
    following = ""
    while True:
        address = f"{store}?list-type=2&prefix={quote(prefix)}{following}"
        text = _get(address).text
        for entry in re.findall(r"<Contents>(.*?)</Contents>", text, re.DOTALL):
            sizes[html.unescape(_tag(entry, "Key"))] = int(_tag(entry, "Size"))
        if _tag(text, "IsTruncated") != "true":
            return sizes
        following = f"&continuation-token={quote(html.unescape(_tag(text, 'NextContinuationToken')), safe='')}"


def fetch_files(store: str, root: str, names: Sequence[str], folder: Path, *, sizes: Mapping[str, int]) -> list[Path]:
    """Download files that are not there, or not whole.

    Parameters
    ----------
    store : str
        Address of the bucket.
    root : str
        What comes before each name there.
    names : sequence of str
        Names, which the files keep below `folder`.
    folder : path
        Where they go.
    sizes : mapping
        Size in bytes by name, where it is known.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ConfigError
        If the server cannot be reached, or sends something else than it announced.
    """
    paths = []
    for name in names:
        target = folder / name
        if folder.resolve() not in target.resolve().parents:
            raise ConfigError(f"{store}: the name {name!r} leads out of {folder}; nothing is written there")
        if not target.is_file() or target.stat().st_size != sizes.get(name, target.stat().st_size):
            _fetch(f"{store}/{quote(root + name)}", target)
        paths.append(target)
    return paths


def _fetch(address: str, target: Path) -> None:
    """Download a file to a name of its own, going on where it was cut short, and move it when it is checked."""
    import requests

    partial = target.with_name(f".partial-{target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    done = partial.stat().st_size if partial.is_file() else 0
    with _get(address, headers={"Range": f"bytes={done}-"} if done else {}, stream=True) as response:
        resumed = response.status_code == 206
        with partial.open("ab" if resumed else "wb") as stream, suppress(requests.RequestException):
            for chunk in response.iter_content(_CHUNK):
                stream.write(chunk)
        size = (done if resumed else 0) + int(response.headers.get("Content-Length", -1))
        announced = _MD5.fullmatch(response.headers.get("ETag", ""))
    found = partial.stat().st_size
    if found != size:
        raise ConfigError(f"{address}: {found} of {size} bytes came; run the same command again: it goes on from there")
    if announced and announced[1] != _md5(partial):
        partial.unlink()
        raise ConfigError(
            f"{address}: the file does not have the checksum that the server names; run the command again"
        )
    partial.replace(target)


def _get(address: str, **options: Any) -> Any:
    import requests

    try:
        response = requests.get(address, timeout=_TIMEOUT, **options)
        response.raise_for_status()
    except requests.RequestException as error:
        raise ConfigError(
            f"{address} cannot be read ({error}); see whether this machine reaches the network and run the same "
            "command again: it goes on with what is missing"
        ) from error
    return response


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return found[1] if found else ""


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
