"""The file of a template: it is there, and it is the one that was meant.

Looked at when the workflow is planned, so nothing heavy is imported here.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gradspec.errors import ConfigError


def require_template(template: Mapping[str, str | bool]) -> None:
    """Check that the template, where one is named, exists and has the checksum that was written down.

    Parameters
    ----------
    template : mapping
        The section ``ica.template`` of the configuration: ``path``, ``sha256`` and ``names``.

    Raises
    ------
    ConfigError
        If a file is missing, or the checksum is not given or another.
    """
    if not template["path"]:
        return
    path = Path(str(template["path"])).expanduser()
    if not path.is_file():
        raise ConfigError(f"ica.template.path: there is no file {path}; name the 4-D NIfTI image of the template")
    if template["names"] and not Path(str(template["names"])).expanduser().is_file():
        raise ConfigError(f"ica.template.names: there is no file {template['names']}; give a table or leave it empty")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    stated = str(template["sha256"]).lower()
    if not stated:
        raise ConfigError(
            f"ica.template.sha256 is not set: the components would change unnoticed with the file. That of {path} is "
            f"{found}"
        )
    if stated != found:
        raise ConfigError(
            f"ica.template.path: {path} has the SHA-256 {found}, but ica.template.sha256 says {stated}; is it another "
            "version, or damaged?"
        )
