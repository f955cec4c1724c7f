"""Arrays are read from every format, and what cannot be read is named."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from makers import save_array

from gradspec.cohort.arrays import read_array
from gradspec.errors import ParticipantError

NAMES = ("left", "right", "middle")


def read_file(path, variable=None, **options):
    return read_array(path, "sub-01", variable, "cohort.timeseries.variable", **options)


def read(path, variable=None, **options):
    found = read_file(path, variable, **options)
    return found.values, found.columns


def refuse(path, variable=None, **options):
    with pytest.raises(ParticipantError) as caught:
        read(path, variable, **options)
    assert str(caught.value).startswith(f"sub-01: {path}: ")
    return caught.value.reason


@pytest.mark.parametrize("suffix", [".1D", ".tsv", ".csv", ".npy", ".mat"])
def test_every_format_gives_the_same_array(tmp_path, suffix):
    values = np.random.default_rng(0).standard_normal((7, 3))
    found, names = read(save_array(tmp_path / f"data{suffix}", values, NAMES))
    np.testing.assert_allclose(found, values, rtol=1e-9)
    assert found.dtype == np.float64
    assert names == (NAMES if suffix in (".1D", ".tsv", ".csv") else ())


@given(st_numpy.arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-1e6, 1e6)))
def test_a_text_without_header_keeps_its_first_row(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("text") / "data.csv"
    np.savetxt(path, values, delimiter=",")
    found, names = read(path)
    np.testing.assert_array_equal(found, np.atleast_2d(np.loadtxt(path, delimiter=",", ndmin=2)))
    assert names == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", ",left,right\n0,1,2\n1,3,4\n"),
        ("x.csv", '"","left","right"\n"a",1,2\n"b",3,4\n'),
        ("x.tsv", "\tleft\tright\nleft\t1\t2\nright\t3\t4\n"),
        ("x.tsv", "\ufeffleft\tright\r\n1\t2\r\n3\t4\r\n"),
        ("x.1D", "# a comment\n#left\t#right\n1\t2\n\n3  4\n"),
        ("x.1D", "# left right\n1 2\n3 4\n"),
    ],
)
def test_headers_row_labels_and_comments_are_understood(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    values, names = read(path)
    np.testing.assert_array_equal(values, [[1, 2], [3, 4]])
    assert names == ("left", "right")


def test_an_array_of_a_matlab_file_is_chosen_by_name_or_is_the_only_one(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"a": np.eye(3), "b": np.ones((2, 2)), "TR": 2.0, "label": "text"})
    np.testing.assert_array_equal(read(path, "b")[0], np.ones((2, 2)))
    assert "holds 2 arrays (a, b); name one in cohort.timeseries.variable" in refuse(path)
    assert "has no array 'c', set by cohort.timeseries.variable; its arrays are a, b" in refuse(path, "c")


@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.uint8, np.int16])
def test_matlab_files_of_every_kind_are_read(tmp_path, options, kind):
    values = np.arange(6).reshape(2, 3).astype(kind)
    scipy.io.savemat(tmp_path / "x.mat", {"n": 3.0, "a_long_name_of_an_array": values, "label": "text"}, **options)
    np.testing.assert_array_equal(read(tmp_path / "x.mat")[0], values)


def test_a_complex_matlab_array_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"data": np.eye(3) + 1j})
    assert "holds complex numbers; real numbers are expected" in refuse(tmp_path / "x.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_that_are_stored_as_a_type_of_text_are_refused(tmp_path, compressed):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"data": np.eye(3)})
    content = path.read_bytes().replace(b"data\x09\x00\x00\x00", b"data\x10\x00\x00\x00")  # of double UTF-8
    if compressed:
        element = zlib.compress(content[128:])
        content = content[:128] + struct.pack("<II", 15, len(element)) + element
    path.write_bytes(content)
    assert "damaged (numbers of type 16, which no array of numbers is stored as)" in refuse(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.tsv", b"", "is empty"),
        ("x.1D", b"#1\t#2\n", "has no line of numbers"),
        ("x.csv", b"a,b\n1,2\n3,oops\n", "row 2 of the numbers has 'oops' in column 2, which is not a number"),
        ("x.csv", b"a,b\n1,2\n3\n", "row 2 of the numbers has 1 columns, the first has 2"),
        ("x.npy", b"\x93NUMPY", "cannot be read"),
        ("x.mat", b"MATLAB 5.0 no", "cannot be read"),
        ("x.xlsx", b"PK", "the format '.xlsx' is not known; .1D, .txt, .tsv, .csv, .npy, .mat, .h5, .hdf5 and CIFTI"),
        ("x.tsv", b"\xff\xfe1\t2\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert reason in refuse(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    assert "is missing; correct the path in the participants table" in refuse(tmp_path / "x.tsv")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.ones((2, 2, 2)), "holds an array of shape (2, 2, 2); two dimensions are expected"),
        (np.ones((0, 3)), "holds no numbers"),
        (np.ones((2, 2), complex), "holds complex numbers; real numbers are expected"),
        (np.array([["a", "b"]]), "real numbers are expected"),
    ],
)
def test_an_array_that_is_no_real_matrix_is_refused(tmp_path, values, reason):
    np.save(tmp_path / "x.npy", values)
    assert reason in refuse(tmp_path / "x.npy")


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "Python objects" in refuse(tmp_path / "x.npy")
