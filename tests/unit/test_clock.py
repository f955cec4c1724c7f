"""Files from the future come to the present; the past stays as it is."""

import os
import time
from pathlib import Path

from gradspec.clock import bring_to_present


def test_only_what_lies_in_the_future_is_dated_anew(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    old, ahead = tmp_path / "old", tmp_path / "deep" / "ahead"
    for path, moment in ((old, time.time() - 1000), (ahead, time.time() + 1000)):
        path.touch()
        os.utime(path, (moment, moment))
    before = old.stat().st_mtime
    assert bring_to_present(tmp_path) == 1
    assert old.stat().st_mtime == before
    assert abs(ahead.stat().st_mtime - time.time()) < 100
    assert bring_to_present(tmp_path) == 0


def test_a_folder_that_is_not_there_yet_has_no_files(tmp_path: Path) -> None:
    assert bring_to_present(tmp_path / "results") == 0
