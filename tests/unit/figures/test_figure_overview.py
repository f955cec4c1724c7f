"""The overview counts participants rightly, tells the result, and reads no name as HTML."""

import base64
import re

import pandas as pd
from figure_inputs import HOSTILE_NAME, LEVELS

from gradspec.figures.environment import describe_environment
from gradspec.figures.overview import count_flow, write_overview

CHECKED = pd.DataFrame(
    {"participant_id": [f"sub-{i}" for i in range(7)], "group": ["control"] * 3 + ["patient"] * 3 + [None]}
)
LISTED = pd.DataFrame(
    {
        "participant_id": [f"sub-{i}" for i in range(9)],
        "value": ["control"] * 3 + ["strict", "strict", "broad", HOSTILE_NAME, HOSTILE_NAME, "n/a"],
        "group": ["control"] * 3 + ["patient"] * 3 + [None] * 3,
    }
)
EXCLUDED = pd.DataFrame(
    {
        "participant_id": ["sub-5", "sub-6"],
        "group": ["patient", None],
        "stage": ["preprocess", "cohort"],
        "reason": [f"sub-5.nii.gz: {HOSTILE_NAME}", "no group"],
    }
)
SPLITS = pd.DataFrame(
    {
        "repeat": [0] * 8,
        "fold": [0] * 4 + [1] * 4,
        "participant_id": ["sub-0", "sub-1", "sub-3", "sub-4"] * 2,
        "set": ["train", "train", "test", "none", "test", "train", "train", "train"],
    }
)


def make_flow(excluded=EXCLUDED):
    return count_flow(LISTED, CHECKED, CHECKED[:5], excluded, SPLITS, LEVELS)


def make_page(tmp_path, **changes):
    (tmp_path / "main.png").write_bytes(b"a picture")
    given = {
        "result": ["One sentence.", f"Another of {HOSTILE_NAME}."],
        "flow": make_flow(),
        "picture": tmp_path / "main.png",
        "methods": "Images of 5 participants.\n\nReferences. nipype.\n",
        "environment": describe_environment(tmp_path),
    }
    write_overview(tmp_path / "overview.html", **(given | changes))
    return (tmp_path / "overview.html").read_text(encoding="utf-8")


def test_participants_are_counted_by_group_before_and_after():
    flow = make_flow()
    assert flow.found == {"control": 3, "patient": 3, "of no group": 1}
    assert flow.analysed == {"control": 3, "patient": 2}
    assert flow.learned_from == (2, 3)


def test_it_begins_with_the_rows_of_the_table_by_value_of_the_group_column(tmp_path):
    assert make_flow().by_value.astype(object).fillna("none").values.tolist() == [
        ["control", "control", 3, 3],
        ["strict", "patient", 2, 2],
        ["broad", "patient", 1, 0],
        [HOSTILE_NAME, "none", 2, 0],
        ["n/a", "none", 1, 0],
    ]
    text = make_page(tmp_path)
    assert "<td>n/a</td><td>none</td><td>1</td><td>0</td>" in text
    assert text.index('class="values"') < text.index("7 found")


def test_the_page_says_who_was_left_out_where_and_why(tmp_path):
    text = make_page(tmp_path)
    assert "<strong>7 found</strong> (3 control, 3 patient, 1 of no group)" in text
    assert "<strong>2 left out, by stage</strong> (1 preprocess, 1 cohort)" in text
    assert "<strong>5 analysed</strong>" in text
    assert "<strong>2 to 3 learned from in a training run</strong>" in text
    assert "sub-6 (None), at cohort: no group" in text or "sub-6 (nan), at cohort: no group" in text


def test_names_are_never_read_as_html(tmp_path):
    text = make_page(tmp_path)
    assert HOSTILE_NAME not in text
    assert "onerror=alert(1)&gt;" in text


def test_the_main_figure_is_in_the_page_with_the_result_in_words(tmp_path):
    text = make_page(tmp_path)
    picture, words = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', text).groups()
    assert base64.b64decode(picture) == b"a picture"
    assert "One sentence." in words


def test_a_cohort_without_images_has_no_methods_of_preprocessing(tmp_path):
    assert "Methods of the preprocessing" in make_page(tmp_path)
    without = make_page(tmp_path, methods="")
    assert "Methods of the preprocessing" not in without
    assert "independent component analysis" not in without


def test_long_lists_of_reasons_are_cut_with_a_note(tmp_path):
    many = pd.concat([EXCLUDED[:1].assign(participant_id=f"sub-{i}") for i in range(25)])
    assert "and 5 more, in selection/excluded.tsv" in make_page(tmp_path, flow=make_flow(many))
    assert "Why they were left out" not in make_page(tmp_path, flow=make_flow(EXCLUDED[:0]))
