"""Files that a clock left in the future: they would count as newer than whatever is made of them."""

import os
import time
from pathlib import Path

from gradspec.files import PathLike


def bring_to_present(folder: PathLike) -> int:
    """Give the files below a folder that are dated in the future the time of now.

    Parameters
    ----------
    folder : path
        Results that nothing is writing to. What is dated in the past, and with it the order of files, stays.

    Returns
    -------
    int
        Number of files and folders that were dated anew.
    """
    now = time.time()
    n_changed = 0
    for path in Path(folder).rglob("*"):
        if path.lstat().st_mtime > now:
            os.utime(path, (now, now), follow_symlinks=False)
            n_changed += 1
    return n_changed
