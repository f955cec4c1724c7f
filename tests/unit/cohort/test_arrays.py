"""Arrays are read from every format, and what cannot be read is named."""

import struct
import zlib

import h5py
import nibabel as nib
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from makers import save_array, save_matlab_73

from gradspec.cohort.arrays import read_array
from gradspec.cohort.matlab import read_matlab
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


def numbers(n_rows=12, n_columns=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n_rows, n_columns))


def as_text(values, separator="\t", form="%.6f"):
    return "".join(separator.join(form % value for value in row) + "\n" for row in values)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("x.tsv", "0\t1\t2\t3"),
        ("x.tsv", "1\t2\t3\t4"),
        ("x.csv", "0,1,2,3"),
        ("x.tsv", "2001\t2101\t2002\t2102"),
        ("x.txt", "7 12 5 2"),
        ("x.csv", "101;102;103;104"),
    ],
)
def test_names_that_are_whole_numbers_are_no_volume(tmp_path, name, line):
    separator = next((each for each in "\t,;" if each in line), " ")
    (tmp_path / name).write_text(f"{line}\n" + as_text(numbers(), separator))
    values, names = read(tmp_path / name)
    np.testing.assert_allclose(values, numbers(), atol=1e-6)
    assert names == tuple(line.split(separator))


def whole_numbers():
    return np.random.default_rng(0).integers(900, 1100, (12, 4))


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("2001\t2101\t2002\t2102", as_text(whole_numbers(), form="%d")),  # unlike the rest in size alone
        ("1\t1\t2\t2", as_text(numbers())),  # networks, each with several regions
        ("1.1\t1.2\t2.1\t2.2", as_text(numbers())),
        ("1\t2", as_text(numbers(n_columns=2))),  # a short format may write two numbers so
        ("-4\t7\t2\t1", as_text(numbers())),
    ],
)
def test_a_first_line_that_may_be_names_or_numbers_is_refused_with_the_key_that_settles_it(tmp_path, line, rest):
    path = tmp_path / "x.tsv"
    path.write_text(f"{line}\n{rest}")
    reason = refuse(path)
    assert f"may name the columns or hold numbers: {line!r}" in reason
    assert "cohort.timeseries.header: true (names) or false (numbers)" in reason
    n_columns = line.count("\t") + 1
    assert [name.partition(" (")[0] for name in read(path, header=True)[1]] == line.split("\t")
    values, names = read(path, header=False)
    assert (values.shape, names) == ((13, n_columns), ())


@pytest.mark.parametrize(
    "text",
    [
        as_text(whole_numbers(), form="%d"),
        "0\t0\t0\t0\n" + as_text(numbers()),  # a volume that was blanked
        as_text(numbers(), form="%.2f"),
        "1.0e+00\t2.0e+00\t3.0e+00\t4.0e+00\n" + as_text(numbers(), form="%.1e"),
        as_text(1000 + 40 * (np.arange(12) == 0)[:, None] + numbers(), form="%.3f"),  # not yet in steady state
    ],
)
def test_a_first_volume_is_no_header(tmp_path, text):
    (tmp_path / "x.tsv").write_text(text)
    values, names = read(tmp_path / "x.tsv")
    assert len(values) == text.count("\n")
    assert names == ()


@pytest.mark.parametrize(
    ("name", "text", "left_out"),
    [
        ("x.1D", "#1,#2\n1.5,2.5\n3.5,4.5\n", []),  # C-PAC
        (
            "x.1D",
            "File\tSub-brick\tMean_1 \tMean_2 \nx.nii\t0[?]\t1.5\t2.5\nx.nii\t1[?]\t3.5\t4.5\n",
            ["File", "Sub-brick"],
        ),
        (
            "x.1D",
            "#File\tSub-brick\n\t\t#Mean_1 \t#Mean_2 \n#x.nii 0[?]\n\t\t1.5\t2.5\n#x.nii 1[?]\n\t\t3.5\t4.5\n",
            [],
        ),
        ("x.1D", "# <matrix ni_type = 'double*2'>\n 1.5 2.5\n 3.5 4.5\n# </matrix>\n", []),
        ("x.txt", "1.5,2.5\n3.5,4.5\n", []),
        ("x.txt", "  1.5000000000000000e+00\t  2.5\n  3.5\t  4.5\n", []),  # MATLAB's -ascii -tabs
        ("melodic_mix", "1.5  2.5  \n3.5  4.5  \n", []),
        ("x.csv", '"Left, a","Right, b"\n1.5,2.5\n3.5,4.5\n', []),
        ("x.csv", "A;B\n1,5;2,5\n3,5;4,5\n", []),  # of a spreadsheet, with decimal commas
        ("x.tsv", "1.5\t2.5\t\n3.5\t4.5\t\n", []),
        ("x.txt", '"A" "B"\n"1" 1.5 2.5\n"2" 3.5 4.5\n', [1]),  # of R
        ("x.tsv", "Node\tA\tB\nA\t1.5\t2.5\nB\t3.5\t4.5\n", ["Node"]),
        ("x.tsv", "A\tB\r1.5\t2.5\r3.5\t4.5\r", []),
    ],
)
def test_tables_as_programs_write_them_are_read(tmp_path, name, text, left_out):
    (tmp_path / name).write_text(text)
    found = read_file(tmp_path / name)
    np.testing.assert_array_equal(found.values, [[1.5, 2.5], [3.5, 4.5]])
    assert list(found.notes) == [f"column {column!r} left out: it labels the rows" for column in left_out]


@pytest.mark.parametrize("missing", ["n/a", "", "NaN", "NA", "nan", "NULL"])
def test_every_spelling_of_a_missing_value_is_missing(tmp_path, missing):
    (tmp_path / "x.tsv").write_text(f"A\tB\n1\t{missing}\n3\t4\n")
    np.testing.assert_array_equal(read(tmp_path / "x.tsv")[0], [[1, np.nan], [3, 4]])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A,B\n1,2,3\n3,4,5\n5,6,7\n", "its first line has 2 names, but the rows have 3 columns"),
        ("0,5\t1,5\n0,3\t2,5\n", "numbers need a decimal point"),
        ("A\tB\n1\t2\n3\tleft\n", "has 'left' in column 2"),
        ('A,B\n1,"2\n3,4\n5,6\n', "cannot be read"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path, text, reason):
    (tmp_path / "x.csv").write_text(text)
    assert reason in refuse(tmp_path / "x.csv")


def test_names_that_stand_twice_are_numbered(tmp_path):
    (tmp_path / "x.tsv").write_text("Vis\tVis\tDMN\n1\t2\t3\n")
    assert read(tmp_path / "x.tsv")[1] == ("Vis", "Vis (2)", "DMN")


NESTED = {"Results": {"roi": {"data": numbers(), "name": "made up"}}}


@pytest.mark.parametrize("save", [scipy.io.savemat, save_matlab_73])
def test_fields_of_structures_and_cells_of_columns_are_read_from_matlab_of_every_level(tmp_path, save):
    path = tmp_path / "x.mat"
    save(path, NESTED)
    np.testing.assert_array_equal(read(path)[0], numbers())
    np.testing.assert_array_equal(read(path, "Results.roi.data")[0], numbers())
    cells = [numbers()[:, [at]] for at in range(4)]
    names = ["Left a", "Left b", "Right a", "Right b"]
    save(path, {"data": as_cell(cells, save), "names": as_cell(names, save)})
    found = read_file(path)
    np.testing.assert_array_equal(found.values, numbers())
    assert found.columns == tuple(names)
    cells[1] = np.ones((12, 16))  # as CONN keeps components of white matter beside regions
    save(path, {"data": as_cell(cells, save), "names": as_cell(names, save), "crop": 1.0})
    found = read_file(path, "data")
    np.testing.assert_array_equal(found.values, numbers()[:, [0, 2, 3]])
    assert found.columns == ("Left a", "Right a", "Right b")
    assert found.notes == ("cell 'Left b' left out: it has several columns",)
    save(path, {"a": NESTED, "b": {"c": np.eye(3)}})
    assert "holds 2 arrays (a.Results.roi.data, b.c); name one" in refuse(path)
    assert "has no array 'b.d', set by cohort.timeseries.variable; its arrays are b.c" in refuse(path, "b.d")


def as_cell(values, save):
    if save is save_matlab_73:
        return values
    cell = np.empty((1, len(values)), object)
    for at, value in enumerate(values):
        cell[0, at] = value
    return cell


@given(
    st.recursive(
        st_numpy.arrays(st.sampled_from([np.float64, np.float32, np.int16, np.uint8]), (2, 3))
        | st.text("abc", min_size=1),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, min_size=1)
        ),
        max_leaves=6,
    ),
    st.booleans(),
)
def test_whatever_scipy_writes_is_read_as_it_reads_it(tmp_path_factory, value, compressed):
    path = tmp_path_factory.mktemp("mat") / "x.mat"

    def to_matlab(each):
        if isinstance(each, list):
            return as_cell([to_matlab(inner) for inner in each], scipy.io.savemat)
        return {name: to_matlab(inner) for name, inner in each.items()} if isinstance(each, dict) else each

    def compare(found, wanted):
        if isinstance(wanted, dict):
            assert list(found) == list(wanted)
            return [compare(found[name], wanted[name]) for name in wanted]
        if isinstance(wanted, list):
            assert len(found) == len(wanted)
            return [compare(*pair) for pair in zip(found, wanted, strict=True)]
        assert isinstance(found, str) == isinstance(wanted, str)
        return np.testing.assert_array_equal(found, wanted)

    scipy.io.savemat(path, {"a": to_matlab(value), "other": 1.0}, do_compression=compressed)
    compare(read_matlab(path, ParticipantError, "a")["a"], value)


def test_matlab_7_3_is_turned_as_matlab_stores_it_and_plain_hdf5_is_not(tmp_path):
    save_matlab_73(tmp_path / "x.mat", {"ROISignals": numbers(), "TR": 2.0, "label": "text", "none": np.zeros((0, 0))})
    np.testing.assert_array_equal(read(tmp_path / "x.mat")[0], numbers())
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["group/data"] = numbers()
    np.testing.assert_array_equal(read(tmp_path / "x.h5", "group.data")[0], numbers())
    np.testing.assert_array_equal(read(tmp_path / "x.h5")[0], numbers())


def test_a_sparse_array_is_refused_with_advice(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"data": scipy.sparse.eye_array(3).tocsc()})
    assert "its variable data is sparse; save full(data)" in refuse(tmp_path / "x.mat")


def test_links_that_lead_out_of_an_hdf5_file_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = numbers()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["link"] = h5py.ExternalLink("secret.h5", "/data")
    assert "holds 0 arrays (none)" in refuse(tmp_path / "x.h5")


def test_groups_that_go_in_circles_end(tmp_path, monkeypatch):
    monkeypatch.setattr("gradspec.cohort.hdf5._MOST_MEMBERS", 1000)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        inner = file.create_group("inner")
        for name in "abcdefgh":
            inner[name] = inner
    assert "they go in circles" in refuse(tmp_path / "x.h5")


def save_cifti(path, values, second_axis, step=0.72):
    axes = nib.cifti2.SeriesAxis(0, step, len(values)), second_axis
    nib.save(nib.Cifti2Image(values.astype(np.float32), nib.Cifti2Header.from_axes(axes)), path)


def test_cifti_says_regions_time_and_repetition_time_itself(tmp_path):
    voxels = nib.cifti2.BrainModelAxis.from_mask(np.ones((2, 2, 1)), affine=np.eye(4), name="thalamus_left")
    parcels = nib.cifti2.ParcelsAxis.from_brain_models([(f"parcel{at}", voxels[[at]]) for at in range(4)])
    save_cifti(tmp_path / "x.ptseries.nii", numbers(), parcels)
    found = read_file(tmp_path / "x.ptseries.nii")
    np.testing.assert_allclose(found.values, numbers(), rtol=1e-6)
    assert (found.columns[:2], found.time_axis, found.repetition_time) == (("parcel0", "parcel1"), 0, 0.72)
    save_cifti(tmp_path / "x.dtseries.nii", numbers(), voxels)
    assert read_file(tmp_path / "x.dtseries.nii").columns[0] == "THALAMUS_LEFT-1"
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "x.nii")
    assert "is an image of voxels, not a table of time courses" in refuse(tmp_path / "x.nii")
