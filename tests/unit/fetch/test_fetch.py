"""Downloading from a stand-in server on this machine that answers as the real ones do."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from checking import examine_and_check
from stand_in_server import PAGE, Server, serving

from gradspec.cohort.plan import plan_cohort
from gradspec.cohort.timeseries import read_timecourses
from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.fetch.abide import fetch_abide
from gradspec.fetch.choose import choose_participants
from gradspec.fetch.openneuro import fetch_openneuro
from gradspec.fetch.plan import require_fetch
from gradspec.fetch.store import fetch_files, list_store
from gradspec.files import read_table


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving() as server:
        yield server


def config(source: str, folder: Path, cohort: dict, *, per_group: int | None = None, **section: object) -> dict:
    fetch = {"source": source, "folder": str(folder), "per_group": per_group, source: section}
    return resolve({"fetch": fetch, "cohort": {"source": "bids", **cohort}})


# --- ABIDE -----------------------------------------------------------------------------------------------------------

PHENOTYPE = """,Unnamed: 0,SUB_ID,X,subject,SITE_ID,FILE_ID,DX_GROUP,AGE_AT_SCAN,SEX,func_mean_fd,\
qc_rater_1,qc_notes_rater_1,qc_anat_rater_2,qc_func_rater_2,qc_anat_rater_3,qc_func_rater_3
0,1,50952,1,50952,NYU,NYU_0050952,1,8.74,2,0.3722,OK,,OK,OK,OK,OK
1,2,51036,2,51036,NYU,NYU_0051036,2,13.6,1,0.0649,OK,"a, b",OK,maybe,OK,OK
2,3,50003,3,50003,PITT,Pitt_0050003,1,24.45,1,0.1165,OK,,OK,OK,OK,OK
3,4,50030,4,50030,PITT,Pitt_0050030,2,25.12,1,0.0842,OK,,OK,OK,OK,OK
4,5,50002,5,50002,PITT,no_filename,1,16.77,1,,OK,,OK,OK,OK,OK
5,6,50031,6,50031,PITT,Pitt_0050031,2,12.92,1,0.2006,fail,,OK,OK,OK,OK
"""
ABIDE = {"group": {"column": "diagnosis", "levels": ["control", "autism"]}}


@pytest.fixture
def abide(server: Server) -> Server:
    server.files["/Phenotypic_V1_0b_preprocessed1.csv"] = PHENOTYPE.encode()
    for number, name in enumerate(re.findall(r"\w+_00\d{5}", PHENOTYPE)):
        series = "#1\t#2\n" + "\n".join(f"{number}.{row}\t{row}.5" for row in range(4)) + "\n"
        server.files[f"/Outputs/cpac/nofilt_noglobal/rois_cc200/{name}_rois_cc200.1D"] = series.encode()
    return server


def fetch_from(abide: Server, folder: Path, **changes: object) -> pd.DataFrame:
    per_group = changes.pop("per_group", None)
    settings = config("abide", folder, ABIDE, per_group=per_group, address=abide.address, **changes)
    return fetch_abide(settings["fetch"], settings["cohort"], folder / "participants.tsv")


def test_time_courses_and_the_table_of_abide_are_those_of_the_server(abide, tmp_path):
    files = fetch_from(abide, tmp_path)
    people = read_table(tmp_path / "participants.tsv")
    assert list(people["participant_id"]) == ["sub-0050952", "sub-0051036", "sub-0050003", "sub-0050030"]
    assert list(people["diagnosis"]) == ["autism", "control", "autism", "control"]
    assert list(people["sex"]) == ["F", "M", "M", "M"]
    assert people.loc[2, ["age", "site", "mean_fd"]].tolist() == [24.45, "PITT", 0.1165]
    for person, record in zip(people.itertuples(), files.itertuples(), strict=True):
        name = Path(person.timeseries).name
        content = abide.files[f"/Outputs/cpac/nofilt_noglobal/rois_cc200/{name}"]
        assert (tmp_path / person.timeseries).read_bytes() == content
        assert record.bytes == len(content)


def test_what_is_there_is_not_downloaded_again_and_what_failed_is_made_up(abide, tmp_path):
    missing = "/Outputs/cpac/nofilt_noglobal/rois_cc200/Pitt_0050003_rois_cc200.1D"
    content = abide.files.pop(missing)
    with pytest.raises(ConfigError, match=r"ABIDE cannot be downloaded .* run the same command again"):
        fetch_from(abide, tmp_path)
    assert not (tmp_path / "participants.tsv").exists()
    abide.files[missing] = content
    abide.asked.clear()
    fetch_from(abide, tmp_path)
    assert [Path(path).name for path in abide.downloads()] == [
        "Pitt_0050003_rois_cc200.1D",
        "Pitt_0050030_rois_cc200.1D",
    ]


def test_sites_and_numbers_of_participants_can_be_chosen(abide, tmp_path):
    assert list(fetch_from(abide, tmp_path, sites=["NYU"])["participant_id"]) == ["sub-0050952", "sub-0051036"]
    assert list(fetch_from(abide, tmp_path, per_group=1)["group"]) == ["autism", "control"]
    assert len(fetch_from(abide, tmp_path, quality_checked=False)) == 5


def test_a_page_of_error_instead_of_time_courses_is_named(abide, tmp_path):
    abide.files["/Outputs/cpac/nofilt_noglobal/rois_cc200/NYU_0051036_rois_cc200.1D"] = b"<html>busy</html>"
    with pytest.raises(ConfigError, match=r"participant \[51036\] are not a table of numbers.*delete"):
        fetch_from(abide, tmp_path)


@pytest.mark.real_data
def test_real_series_come_through_and_are_read(server, tmp_path, test_data):
    table = read_table(test_data / "abide-nyu" / "participants.tsv").groupby("diagnosis").head(3)
    rows = [
        f"{i},{i},{int(who[4:])},0,0,NYU,{Path(file).stem.removesuffix('_rois_cc200')},{1 + (dx == 'control')},{age},"
        f"1,{fd},OK,,OK,OK,OK,OK"
        for i, (who, dx, age, fd, file) in enumerate(
            table[["participant_id", "diagnosis", "age", "mean_fd", "timeseries"]].itertuples(index=False)
        )
    ]
    server.files["/Phenotypic_V1_0b_preprocessed1.csv"] = "\n".join([PHENOTYPE.splitlines()[0], *rows]).encode()
    for file in table["timeseries"]:
        content = (test_data / "abide-nyu" / file).read_bytes()
        server.files[f"/Outputs/cpac/nofilt_noglobal/rois_cc200/{Path(file).name}"] = content
    fetch_from(server, tmp_path)
    cohort = {**ABIDE, "source": "timeseries", "timeseries": {"participants": str(tmp_path / "participants.tsv")}}
    settings = resolve({"cohort": cohort, "training": {"folds": 3}})
    participants, runs = examine_and_check(settings)
    courses = read_timecourses(participants, runs, settings["cohort"])["timecourses"]
    assert list(participants["status"]) == ["included"] * 6
    for who, file in zip(table["participant_id"], table["timeseries"], strict=True):
        expected = pd.read_csv(test_data / "abide-nyu" / file, sep="\t").to_numpy()
        np.testing.assert_allclose(courses.sel(participant=who), expected, rtol=1e-5, atol=1e-3)


# --- OpenNeuro -------------------------------------------------------------------------------------------------------

CNP = {"group": {"column": "diagnosis", "levels": ["CONTROL", "SCHZ"]}}
PARTICIPANTS = """\
participant_id diagnosis age gender bart bht dwi pamenc pamret rest scap stopsignal T1w taskswitch ScannerSerialNumber \
ghost_NoGhost
sub-10159 CONTROL 30 F 1 n/a 1 n/a n/a 1 1 1 1 1 35343.0 No_ghost
sub-10171 CONTROL 24 M 1 1 1 n/a n/a 1 1 1 1 1 35343.0 No_ghost
sub-10193 CONTROL 40 M 1 n/a 1 n/a n/a n/a n/a n/a 1 n/a 35343.0 No_ghost
sub-10299 CONTROL 25 M n/a 1 n/a n/a n/a 1 1 1 n/a n/a 35343.0 ghost
sub-50004 SCHZ 37 M 1 1 1 1 1 1 1 1 1 1 35343.0 ghost
sub-60001 BIPOLAR 48 M 1 n/a 1 n/a n/a 1 1 1 1 1 35343.0 No_ghost
""".replace(" ", "\t")


def image(content: str) -> bytes:
    return gzip.compress(content.encode() * 50, mtime=0)


@pytest.fixture
def openneuro(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    import openneuro._download

    monkeypatch.setattr(openneuro._download, "gql_url", f"{server.address}/crn/graphql")
    description = {"Name": "CNP", "BIDSVersion": "1.0.2", "DatasetDOI": "10.18112/openneuro.ds000030.v1.0.0"}
    server.files["/raw/dataset_description.json"] = json.dumps(description).encode()
    server.files["/raw/participants.tsv"] = PARTICIPANTS.encode()
    server.files["/raw/task-rest_bold.json"] = b'{"RepetitionTime": 2.0}'
    root = "/store/fmriprep/ds000030-fmriprep/"
    server.files[f"{root}dataset_description.json"] = b'{"Name": "fMRIPrep"}'
    for who in ("sub-10159", "sub-10171", "sub-10193", "sub-10299", "sub-50004", "sub-60001"):
        server.files[f"/raw/{who}/anat/{who}_T1w.nii.gz"] = image(f"T1w {who}")
        server.files[f"/raw/{who}/anat/{who}_T1w.json"] = b"{}"
        server.files[f"/raw/{who}/func/{who}_task-rest_bold.json"] = b'{"RepetitionTime": 2}'
        server.files[f"/raw/{who}/func/{who}_task-rest_physio.tsv.gz"] = image(f"physio {who}")
        for task in ("rest", "bart"):
            server.files[f"/raw/{who}/func/{who}_task-{task}_bold.nii.gz"] = image(f"{task} {who}")
            stem = f"{root}{who}/func/{who}_task-{task}"
            for name in ("desc-preproc_bold.nii.gz", "desc-preproc_bold.json", "desc-brain_mask.nii.gz"):
                content = image(name) if name.endswith("gz") else b"{}"
                server.files[f"{stem}_space-MNI152NLin2009cAsym_res-2_{name}"] = content
            server.files[f"{stem}_desc-confounds_timeseries.tsv"] = b"csf\n1\n"
    return server


def fetch_cnp(folder: Path, **changes: object) -> pd.DataFrame:
    per_group, cohort = changes.pop("per_group", None), changes.pop("cohort", {})
    section = {"dataset": "ds000030", "tag": "1.0.0", "filled": ["rest", "T1w"], **changes}
    settings = config("openneuro", folder, {**CNP, **cohort}, per_group=per_group, **section)
    return fetch_openneuro(settings["fetch"], settings["cohort"])


def test_raw_images_of_the_groups_that_are_compared_are_those_of_the_server(openneuro, tmp_path):
    files = fetch_cnp(tmp_path)
    assert list(files["participant_id"].unique()) == ["sub-10159", "sub-10171", "sub-50004"]
    assert list(files.loc[files["participant_id"] == "sub-50004", "file"]) == [
        "sub-50004/anat/sub-50004_T1w.json",
        "sub-50004/anat/sub-50004_T1w.nii.gz",
        "sub-50004/func/sub-50004_task-rest_bold.json",
        "sub-50004/func/sub-50004_task-rest_bold.nii.gz",
        "sub-50004/func/sub-50004_task-rest_physio.tsv.gz",
    ]
    for file in [*files["file"], "task-rest_bold.json", "participants.tsv"]:
        assert (tmp_path / file).read_bytes() == openneuro.files[f"/raw/{file}"]
    assert not list(tmp_path.rglob("*bart*"))


def test_an_image_that_was_cut_short_is_continued_and_whole_ones_are_left(openneuro, tmp_path):
    files = fetch_cnp(tmp_path, cohort={"participants": ["sub-10159", "sub-50004"]})
    images = [file for file in files["file"] if file.endswith(("T1w.nii.gz", "bold.nii.gz"))]
    cut, whole = (tmp_path / file for file in images[:2])
    content = cut.read_bytes()
    cut.write_bytes(content[:20])
    openneuro.asked.clear()
    fetch_cnp(tmp_path, cohort={"participants": ["sub-10159", "sub-50004"]})
    assert cut.read_bytes() == content
    asked = [(path, part) for method, path, part in openneuro.asked if method == "GET"]
    assert (f"/raw/{images[0]}", "bytes=20-") in asked
    assert f"/raw/{whole.relative_to(tmp_path)}" not in [path for path, _ in asked]


def test_a_participant_without_the_files_and_a_version_that_is_not_there_are_named(openneuro, tmp_path):
    for ending in ("json", "nii.gz"):
        del openneuro.files[f"/raw/sub-50004/anat/sub-50004_T1w.{ending}"]
    with pytest.raises(ConfigError, match=r"cannot be downloaded from OpenNeuro .*sub-50004/anat/\*_T1w"):
        fetch_cnp(tmp_path)
    with pytest.raises(ConfigError, match=r'"9.9.9".*Existing tags: 1.0.0'):
        fetch_cnp(tmp_path / "other", tag="9.9.9")


def test_an_image_that_is_damaged_at_the_source_is_named(openneuro, tmp_path):
    openneuro.files["/raw/sub-50004/anat/sub-50004_T1w.nii.gz"] = image("T1w")[:-6]
    with pytest.raises(ConfigError, match=r"sub-50004_T1w.nii.gz is not whole .*delete it"):
        fetch_cnp(tmp_path)


def test_derivatives_come_from_the_store_and_only_those_asked_for(openneuro, tmp_path):
    files = fetch_cnp(tmp_path, derivatives="fmriprep", store=f"{openneuro.address}/store", per_group=1)
    assert list(files["participant_id"].unique()) == ["sub-10159", "sub-50004"]
    assert sorted(files["file"].str.replace(r".*task-rest_", "", regex=True).unique()) == [
        "desc-confounds_timeseries.tsv",
        "space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz",
        "space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.json",
        "space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz",
    ]
    assert not list(tmp_path.rglob("*bart*"))
    assert set(files["file"].str.split("/").str[:2].str.join("/")) == {"derivatives/fmriprep"}
    assert b"fMRIPrep" in (tmp_path / "derivatives/fmriprep/dataset_description.json").read_bytes()
    cohort = {"group": CNP["group"], "source": "fmriprep", "fmriprep": {"root": str(tmp_path / "derivatives/fmriprep")}}
    cohort["fmriprep"] |= {"participants": str(tmp_path / "participants.tsv"), "task": "rest"}
    chosen = {**cohort, "participants": ["sub-10159", "sub-50004"]}
    with pytest.raises(
        ConfigError, match=r"training.folds|participants"
    ):  # two are too few to train on, but they are found
        plan_cohort(resolve({"cohort": chosen}))


def test_a_store_without_derivatives_of_the_data_set_is_named(openneuro, tmp_path):
    del openneuro.files["/store/fmriprep/ds000030-fmriprep/dataset_description.json"]
    with pytest.raises(ConfigError, match=r"store has no derivatives fmriprep/ds000030-fmriprep/; take raw files"):
        fetch_cnp(tmp_path, derivatives="fmriprep", store=f"{openneuro.address}/store")


# --- the store -------------------------------------------------------------------------------------------------------


def test_a_listing_of_several_pages_is_read_to_its_end(openneuro):
    sizes = list_store(f"{openneuro.address}/store", "fmriprep/ds000030-fmriprep/sub-10159/")
    assert len(sizes) == 8 > PAGE
    assert all(len(openneuro.files[f"/store/{name}"]) == size for name, size in sizes.items())


def test_a_download_that_breaks_off_goes_on_from_there(server, tmp_path):
    server.files["/store/a/x.bin"] = bytes(range(256)) * 8
    server.cut["/store/a/x.bin"] = 700
    with pytest.raises(ConfigError, match="run the same command again"):
        fetch_files(f"{server.address}/store", "a/", ["x.bin"], tmp_path, sizes={"x.bin": 2048})
    assert not (tmp_path / "x.bin").exists()
    (path,) = fetch_files(f"{server.address}/store", "a/", ["x.bin"], tmp_path, sizes={"x.bin": 2048})
    assert path.read_bytes() == server.files["/store/a/x.bin"]
    assert server.asked[-1] == ("GET", "/store/a/x.bin", "bytes=700-")
    fetch_files(f"{server.address}/store", "a/", ["x.bin"], tmp_path, sizes={"x.bin": 2048})
    assert len(server.asked) == 2


def test_a_part_of_another_version_does_not_pass_for_the_file(server, tmp_path):
    server.files["/store/a/x.bin"] = bytes(1000)
    (tmp_path / ".partial-x.bin").write_bytes(b"old" * 100)
    with pytest.raises(ConfigError, match="checksum that the server names"):
        fetch_files(f"{server.address}/store", "a/", ["x.bin"], tmp_path, sizes={"x.bin": 1000})
    (path,) = fetch_files(f"{server.address}/store", "a/", ["x.bin"], tmp_path, sizes={"x.bin": 1000})
    assert path.read_bytes() == bytes(1000)


def test_a_name_that_leads_out_of_the_folder_is_refused(server, tmp_path):
    with pytest.raises(ConfigError, match="leads out of"):
        fetch_files(f"{server.address}/store", "a/", ["../x.bin"], tmp_path / "in", sizes={})


# --- who, and what the config says -----------------------------------------------------------------------------------


def test_who_is_fetched_is_told_by_the_cohort():
    table = pd.DataFrame({"participant_id": ["1", "sub-2", "3"], "dx": ["a", "b", "a"], "rest": [1, 1, None]})
    cohort = {"group": {"column": "dx", "levels": ["a", "b"], "values": {}}, "participants": []}
    assert list(choose_participants(table, cohort)["participant_id"]) == ["sub-1", "sub-2", "sub-3"]
    assert list(choose_participants(table, cohort, filled=["rest"])["participant_id"]) == ["sub-1", "sub-2"]
    with pytest.raises(ConfigError, match="no participant to fetch in group 'b'"):
        choose_participants(table, {**cohort, "participants": ["1", "3"]})
    with pytest.raises(ConfigError, match="no column 'fmri'; it has participant_id, dx, rest"):
        choose_participants(table, cohort, filled=["fmri"])


@pytest.mark.parametrize(
    ("fetch", "words"),
    [
        ({}, "fetch.source is 'none'"),
        ({"source": "abide"}, "fetch.folder is not set"),
        ({"source": "openneuro", "folder": "x"}, "fetch.openneuro.dataset is not set"),
        ({"source": "abide", "folder": "x"}, "the groups of ABIDE are"),
    ],
)
def test_a_config_that_cannot_be_fetched_is_refused(fetch, words):
    with pytest.raises(ConfigError, match=words):
        require_fetch(resolve({"cohort": {"source": "bids"}, "fetch": fetch}))
