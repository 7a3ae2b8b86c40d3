"""Archives: what is written is read, by anybody; whole or not at all; and what is no archive is refused in one line."""

import dataclasses
import itertools
import math
import os
import random
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ROOT, chart, contents, curve

from isingflow import archive
from isingflow.archive import SERIES, SUMMARY, Archive
from isingflow.errors import ArchiveError, ParameterError

WINDOWS = "chain/window_marginal"
RECORDS = ("diagrams", "maps", "histograms")


@pytest.fixture
def path(written, tmp_path):
    return shutil.copyfile(written, tmp_path / "a.h5")


@pytest.fixture
def charted(tmp_path):
    archive.write(tmp_path / "c.h5", chart())
    return tmp_path / "c.h5"


def refused(path, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        archive.read(path)
    assert len(str(caught.value).splitlines()) == 1
    assert path.name in str(caught.value)


def test_round_trip_of_every_field(path, by_hand):
    found = archive.read(path)
    assert [contents(c) for c in found.curves] == [contents(c) for c in by_hand.curves]
    assert [contents(line) for line in found.lines] == [contents(line) for line in by_hand.lines]
    assert found.provenance == by_hand.provenance
    assert list(found.provenance) == list(by_hand.provenance)
    assert list(found.families()) == list(by_hand.families())


@pytest.mark.parametrize("extreme", [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.7976931348623157e308])
def test_round_trip_of_extremes(tmp_path, extreme):
    record = curve(
        "square",
        "pair marginal",
        0.3,
        **dict.fromkeys(SERIES, extreme),
        **dict.fromkeys(SUMMARY, extreme),
        flags=("é",),
    )
    archive.write(tmp_path / "a.h5", Archive((record,)))
    assert contents(archive.read(tmp_path / "a.h5").curves[0]) == contents(record)


def test_round_trip_of_a_study(tmp_path, tiny_study):
    archive.write(tmp_path / "a.h5", Archive(tiny_study))
    found = archive.read(tmp_path / "a.h5")
    by_family = itertools.chain.from_iterable(Archive(tiny_study).families().values())
    assert [contents(c) for c in found.curves] == [contents(c) for c in by_family]


def test_round_trip_of_phase_diagrams(charted):
    found, expected = archive.read(charted), chart()
    for name in RECORDS:
        assert [contents(one) for one in getattr(found, name)] == [contents(one) for one in getattr(expected, name)]
        assert len(getattr(found, name)) == {"diagrams": 1, "maps": 4, "histograms": 2}[name]
    assert (found.curves, found.lines, found.provenance) == ((), (), expected.provenance)


def test_more_records_than_digits_keep_their_order(tmp_path):
    histograms = tuple(dataclasses.replace(chart().histograms[0], layer=layer) for layer in range(12))
    archive.write(tmp_path / "a.h5", Archive(histograms=histograms))
    assert [one.layer for one in archive.read(tmp_path / "a.h5").histograms] == list(range(12))


def test_archives_of_the_first_schema_are_read():
    """The chain's windows and the network's pairs of the first ``data/compare.h5``, against mean field."""
    path = ROOT / "tests" / "reference" / "schema1.h5"
    with h5py.File(path) as file:
        assert file.attrs["schema"] == 1
        values = file["network/two_inputs/value"][()]
    found = archive.read(path)
    families = {family: {one.reference for one in curves} for family, curves in found.families().items()}
    assert families == {"chain/window marginal": {"exact"}, "network/two inputs": {"mean field"}}
    np.testing.assert_array_equal([one.value for one in found.families()["network/two inputs"]], values)
    assert [line.reference for line in found.lines] == ["exact", "exact", "mean field"]
    assert [getattr(found, name) for name in RECORDS] == [(), (), ()]


def test_archives_of_the_second_schema_are_read():
    path = ROOT / "tests" / "reference" / "schema2.h5"
    with h5py.File(path) as file:
        assert file.attrs["schema"] == 2
    found = archive.read(path)
    assert [len(getattr(found, name)) for name in RECORDS] == [1, 6, 3]


def test_archives_of_the_fourth_schema_are_read():
    """Two lattices of an earlier ``data/compare.h5``."""
    path = ROOT / "tests" / "reference" / "schema4.h5"
    with h5py.File(path) as file:
        assert file.attrs["schema"] == 4
        assert "jensen_shannon" not in file["square/pair_marginal"]
    curves = archive.read(path).families()["square/pair marginal"]
    assert [curve.regime for curve in curves] == ["saturating", "critical"]
    assert np.isnan([curve.jensen_shannon for curve in curves]).all()
    assert [curve.fit for curve in curves] == ["", ""]


def test_the_comparison_is_read_and_written_again(tmp_path):
    path = ROOT / "data" / "compare.h5"
    found = archive.read(path)
    assert found.entropies == ()
    assert not any("residual" in one.parameters for one in found.curves)
    archive.write(tmp_path / "again.h5", found)
    again = archive.read(tmp_path / "again.h5")
    assert [one.parameters for one in again.curves] == [one.parameters for one in found.curves]


def test_the_comparison_has_corrected_references():
    found = archive.read(ROOT / "data" / "compare.h5")
    assert len(found.curves) == 57
    networks = [one for one in found.curves if one.system == "network"]
    assert {one.reference for one in networks} == {"mean field, 1/width"}
    curves = {(one.quantity, one.control_value): one for one in networks}
    for name in (("two inputs", 2.5), ("two inputs, deep", 2.0)):  # up to 3.3 and 4.5 standard errors from mean field
        assert np.abs(curves[name].distance()[1:]).max() < 3


def test_the_corrected_reference_round_trips(path, tmp_path):
    kept = archive.read(path)
    corrected = [
        dataclasses.replace(one, reference="mean field, 1/width") for one in kept.families()["network/two inputs"]
    ]
    archive.write(tmp_path / "b.h5", Archive(tuple(corrected)))
    found = archive.read(tmp_path / "b.h5").curves
    assert [contents(one) for one in found] == [contents(one) for one in corrected]
    assert found[0].reference == "mean field, 1/width"


def test_nothing_in_it(tmp_path):
    archive.write(tmp_path / "a.h5", Archive())
    assert archive.read(tmp_path / "a.h5") == Archive()


def test_plain_h5py_reads_it(path, by_hand):
    with h5py.File(path) as file:
        group = file[WINDOWS]
        value, control, level = group["value"], group["coupling"], group["level"]
        np.testing.assert_array_equal(value[0], by_hand.curves[0].value)
        np.testing.assert_array_equal(value[1], [*by_hand.curves[1].value, math.nan, math.nan])
        assert [axis[0] for axis in value.dims] == [control, level]
        assert value.attrs["units"] == "nat"
        assert value.attrs["long_name"] == "D(p_0||p_n)"
        assert group["length"].attrs["units"] == "lattice constant"
        assert group["scale"].dims[0][0] == control
        for estimate in ("value", "reverse", "step", "asymptote", "scale", "exponent"):
            assert group[f"{estimate}_error"].shape == group[estimate].shape
        everything = []
        file.visititems(lambda _, member: everything.append(member))
        datasets = [member for member in everything if isinstance(member, h5py.Dataset)]
        assert all(d.fletcher32 and d.dtype.kind in "ifS" and "units" in d.attrs for d in datasets)
        assert file["scale_lines/square/scale"].dims[0][0] == file["scale_lines/square/coupling"]


@pytest.mark.parametrize(("group", "control"), [(WINDOWS, "coupling"), ("network/two_inputs", "weight_variance")])
def test_xarray_reads_it(path, group, control):
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(path, engine="h5netcdf", group=group) as data:
        assert data["value"].dims == (control, "level")
        assert data["value"].attrs["units"] == "nat"
        assert data["value_error"].shape == data["value"].shape
        assert data["parameter_sites"].values.tolist() == [64] * data.sizes[control]
        assert data.attrs["parameter_kind"] == "Bézier"
        assert data.attrs["quantity"] == group.split("/")[1].replace("_", " ")


def test_xarray_reads_phase_diagrams(charted):
    xarray = pytest.importorskip("xarray")
    (diagram,) = chart().diagrams
    with xarray.open_dataset(charted, engine="h5netcdf", group="phase_diagrams/1") as data:
        assert data["variance"].dims == ("bias_variance", "weight_variance")
        np.testing.assert_array_equal(data["variance"], diagram.variance)
        assert data["xi_c"].sel(weight_variance=2.0, bias_variance=0.1) == diagram.xi_c[1, 3]
        assert (data["xi_c"].attrs["units"], data["variance"].attrs["units"]) == ("layer", "1")
        assert data["edge"].dims == data["uniformity"].dims == ("bias_variance",)
        assert (data.attrs["activation"], data.attrs["residual"]) == ("tanh", 0.25)
        np.testing.assert_array_equal(data.attrs["crossing"], diagram.crossing)
        assert all(data[name].attrs["long_name"] for name in data.variables)
    with xarray.open_dataset(charted, engine="h5netcdf", group="maps/2") as data:
        assert dict(data.sizes) == {"x": 5, "fixed": 0}
    with xarray.open_dataset(charted, engine="h5netcdf", group="histograms/2") as data:
        assert data["density"].dims == data["density_error"].dims == ("centre",)
        assert data["centre"].values.tolist() == [-0.75, 0.0, 0.75]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["archive._write_line", "os.fsync", "os.replace"])
@pytest.mark.parametrize("old", [None, b"old"])
def test_whole_or_not_at_all(tmp_path, monkeypatch, by_hand, error, where, old):
    target = tmp_path / "a.h5"
    if old:
        target.write_bytes(old)

    def fail(*_):
        raise error

    monkeypatch.setattr(f"isingflow.{where}" if where.startswith("archive") else where, fail)
    with pytest.raises(error):
        archive.write(target, by_hand, overwrite=True)
    assert [item.read_bytes() for item in tmp_path.iterdir()] == ([old] if old else [])


def test_overwrite(path):
    with pytest.raises(ArchiveError, match=r"a\.h5 exists: choose another name, or overwrite it with --force"):
        archive.write(path, Archive())
    assert archive.read(path).curves
    archive.write(path, Archive(), overwrite=True)
    assert not archive.read(path).curves
    assert list(path.parent.iterdir()) == [path]


def test_file_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch, by_hand):
    target, sync = tmp_path / "a.h5", os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (sync(handle), target.write_text("theirs")))
    with pytest.raises(ArchiveError, match="exists"):
        archive.write(target, by_hand)
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_are_those_of_any_new_file(tmp_path):
    archive.write(tmp_path / "a.h5", Archive())
    (tmp_path / "other").touch()
    assert (tmp_path / "a.h5").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "is a directory: name a file"),
        ("none/a.h5", "the directory .*none does not exist"),
        ("n" * 300, "cannot write n*: File name too long"),
        ("/proc/a.h5", "cannot write into /proc: "),
        ("/dev/null", "/dev/null is not a regular file"),
    ],
)
def test_unwritable_targets(tmp_path, monkeypatch, by_hand, name, message):
    monkeypatch.chdir(tmp_path)
    for attempt in (archive.check_target, lambda path, overwrite: archive.write(path, by_hand, overwrite=overwrite)):
        with pytest.raises(ArchiveError, match=message):
            attempt(name, overwrite=True)
    assert not list(tmp_path.iterdir())


def test_read_only_directory(tmp_path, monkeypatch, by_hand):
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(archive.tempfile, "TemporaryFile", deny)
    with pytest.raises(ArchiveError, match=r"cannot write into .*: Permission denied"):
        archive.write(tmp_path / "a.h5", by_hand)


@pytest.mark.parametrize("name", ["n" * 255, "\N{GREEK SMALL LETTER SIGMA}" * 127])
def test_longest_legal_name(tmp_path, by_hand, name):
    target = tmp_path / name
    archive.write(target, by_hand)
    assert archive.read(target).curves


@pytest.mark.parametrize("limit", [0, 100, 10_000])
def test_full_disk(tmp_path, limit):
    pytest.importorskip("resource")
    code = f"""if True:
        import resource, sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        from conftest import comparison
        from isingflow import archive
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            archive.write({str(tmp_path / "a.h5")!r}, comparison())
        except archive.ArchiveError as error:
            print(error)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"cannot write {tmp_path / 'a.h5'}: File too large\n"
    assert not list(tmp_path.iterdir())


def test_texts_that_curves_do_not_share(tmp_path):
    first = curve("chain", "x", 0.4)
    others = {"coupling": 0.5, "sites": 1, "field": 0.0, "kind": "ü"}
    curves = (first, dataclasses.replace(first, per="site", flags=("doubt",), fit="a line", parameters=others))
    archive.write(tmp_path / "a.h5", Archive(curves))
    assert [contents(c) for c in archive.read(tmp_path / "a.h5").curves] == [contents(c) for c in curves]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"coupling": 0.5}}, "differ in their parameters"),
        ({"levels": np.arange(6) + 1}, "have different levels"),
    ],
)
def test_curves_that_do_not_fit_side_by_side(tmp_path, changes, message):
    first = curve("chain", "x", 0.4)
    with pytest.raises(ParameterError, match=message):
        archive.write(tmp_path / "a.h5", Archive((first, dataclasses.replace(first, **changes))))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is not a file"),
        (lambda path: path.write_bytes(b""), "no readable isingflow archive"),
        (lambda path: path.write_text("a,b\n1,2\n"), "no readable isingflow archive"),
        (lambda path: h5py.File(path, "w").close(), "is an HDF5 file of something else"),
    ],
)
def test_no_archive(path, make, message):
    make(path)
    refused(path, message)


def replace(name, **settings):
    def edit(file):
        del file[name]
        file.create_dataset(name, **settings)

    return edit


def link(name, target):
    def edit(file):
        file.copy(name, "kept")
        del file[name]
        file[name] = target

    return edit


def virtual(file):
    del file[f"{WINDOWS}/value"]
    layout = h5py.VirtualLayout((2, 6), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2, 6))
    file[WINDOWS].create_virtual_dataset("value", layout)


def through_control(file):
    file[f"{WINDOWS}/out"] = h5py.ExternalLink("other.h5", "/")
    file[WINDOWS].attrs["control"] = "out/x"


def attribute(group, name, value):
    return lambda file: file[group].attrs.__setitem__(name, value)


def number(name, value):
    return lambda file: file[f"{WINDOWS}/{name}"].__setitem__(0, value)


VALUE = f"{WINDOWS}/value"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (attribute("/", "format", "netcdf"), "is an HDF5 file of something else"),
        (attribute("/", "schema", 7), "has schema 7; this version reads up to 6: update isingflow"),
        (attribute("/", "schema", 0), "has schema 0"),
        (attribute("/", "schema", "new"), "no readable"),
        (attribute("/", "note", h5py.Empty("f8")), "neither text nor a number"),
        (lambda file: attribute("/", "note", file.ref)(file), "neither text nor a number but Reference"),
        (attribute(WINDOWS, "control", "nothing"), "holds no nothing"),
        (attribute(WINDOWS, "reference", "hearsay"), "reference must be one of"),
        (lambda file: file[WINDOWS].attrs.__delitem__("per"), f"{WINDOWS} holds no per"),
        (lambda file: file.__delitem__(VALUE), f"{WINDOWS} holds no value"),
        (lambda file: file.__delitem__("scale_lines/square/scale"), "holds no scale"),
        (link(VALUE, h5py.SoftLink("/kept")), "value is a link out of its group"),
        (link(VALUE, h5py.ExternalLink("other.h5", "x")), "value is a link out of its group"),
        (link("chain", h5py.SoftLink("/kept")), "chain is a link out of its group"),
        (link(WINDOWS, h5py.ExternalLink("other.h5", "/")), "is a link out of its group"),
        (through_control, "holds no out/x"),
        (virtual, "lies in another file"),
        (replace(VALUE, shape=(2, 6), dtype="f8", external=[("raw.bin", 0, 96)]), "lies in another file"),
        (replace(VALUE, data=[["a"] * 6] * 2, dtype=h5py.string_dtype()), "does not hold numbers"),
        (replace(VALUE, shape=(2, 6), dtype=h5py.ref_dtype), "does not hold numbers"),
        (replace(VALUE, data=np.zeros((2, 6), complex)), "does not hold numbers"),
        (replace(VALUE, data=np.zeros((2, 3))), "value must have 6 values"),
        (replace(VALUE, data=np.zeros(6)), "no readable"),
        (replace(VALUE, shape=(2, 10**13), dtype="f8", chunks=(1, 100)), "GiB of memory"),
        (replace("chain", data=[1.0]), "no readable"),
        (number("regime", -1), "a number of levels or a regime there is none of"),
        (number("regime", 9), "a number of levels or a regime there is none of"),
        (number("level_count", -1), "a number of levels or a regime there is none of"),
        (number("level_count", 7), "a number of levels or a regime there is none of"),
    ],
)
def test_foreign_contents(path, edit, message):
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["x"] = np.zeros((2, 6))
    with h5py.File(path, "r+") as file:
        edit(file)
    refused(path, message)


def text(name, value):
    def edit(file):
        file[name.rpartition("/")[0]].attrs[name.rpartition("/")[2]] = value

    return edit


PLANE = "phase_diagrams/1/variance"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.__delitem__(PLANE), "phase_diagrams/1 holds no variance"),
        (lambda file: file["maps/2"].attrs.__delitem__("stability"), "no readable"),
        (lambda file: file["phase_diagrams/1"].attrs.__delitem__("crossing"), "no readable"),
        (replace(PLANE, data=np.zeros((8, 6))), r"variance must have shape \(6, 8\), along .*, got \(8, 6\)"),
        (replace(PLANE, data=np.zeros(48)), "variance must have shape"),
        (replace(PLANE, data=[["a"] * 8] * 6, dtype=h5py.string_dtype()), "does not hold numbers"),
        (replace(PLANE, shape=(6, 10**13), dtype="f8", chunks=(1, 100)), "GiB of memory"),
        (link(PLANE, h5py.SoftLink("/kept")), "variance is a link out of its group"),
        (link("phase_diagrams/1", h5py.ExternalLink("other.h5", "/")), "is a link out of its group"),
        (replace("histograms", data=[1.0]), "no readable"),
        (lambda file: file["phase_diagrams/1/weight_variance"].__setitem__(0, 9.0), "each larger than the one before"),
        (lambda file: file["maps/1/x"].__setitem__(0, math.nan), "x must be at least two finite numbers"),
        (text("phase_diagrams/1/activation", 3), "activation must be a name, got 3"),
        (text("phase_diagrams/1/residual", "much"), "residual must be a real number, got 'much'"),
        (text("phase_diagrams/1/crossing", [1.0]), "crossing must be two numbers"),
        (text("phase_diagrams/1/crossing", 1.0), "crossing must be two numbers"),
        (text("maps/1/quantity", "entropy"), "quantity must be one of 'variance', 'correlation'"),
        (text("maps/1/stability", "attracting"), "2 fixed points need as many stabilities, got 1"),
        (text("maps/1/stability", "attracting, odd"), "stability must be one of"),
        (text("histograms/2/layer", 1.5), "layer must be a whole number"),
        (text("histograms/2/width", -1), "width must be at least 0"),
    ],
)
def test_foreign_contents_of_records(charted, edit, message):
    h5py.File(charted.with_name("other.h5"), "w").close()
    with h5py.File(charted, "r+") as file:
        edit(file)
    refused(charted, message)


def test_truncated_at_any_length(path):
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 48, 512, len(whole) - 1, *range(0, len(whole), len(whole) // 100)}:
        path.write_bytes(whole[:length])
        refused(path, "no readable isingflow archive")


def test_wrong_bits_are_found_or_do_not_matter(tmp_path, by_hand):
    path = tmp_path / "a.h5"
    archive.write(path, dataclasses.replace(by_hand, curves=by_hand.curves[:2]))
    whole, rng = path.read_bytes(), random.Random(1)
    expected = [contents(c) for c in by_hand.curves[:2]]
    found = 0
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            curves = archive.read(path).curves
        except ArchiveError:
            found += 1
        else:
            assert [contents(c) for c in curves] == expected
    assert found > 100


def test_wrong_bits_in_a_chart_are_found_or_do_not_matter(charted):
    whole, rng = charted.read_bytes(), random.Random(1)
    expected = chart()
    found = 0
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        charted.write_bytes(damaged)
        try:
            read = archive.read(charted)
        except ArchiveError:
            found += 1
        else:
            for name in RECORDS:
                assert [contents(one) for one in getattr(read, name)] == [contents(o) for o in getattr(expected, name)]
    assert found > 60


@pytest.mark.parametrize(
    ("name", "derived"),
    [(WINDOWS, set()), ("phase_diagrams/1", set()), ("maps/1", set()), ("histograms/1", {"centre"})],
)
def test_wrong_bit_in_every_dataset_that_is_read(written, charted, name, derived):
    path = charted.with_name("a.h5")
    shutil.copyfile(written if name == WINDOWS else charted, path)
    with h5py.File(path) as file:
        group = file[name]
        offsets = [group[item].id.get_chunk_info(0).byte_offset for item in group if item not in derived]
    for offset in offsets:
        shutil.copy(path, path.with_name("b.h5"))
        with open(path.with_name("b.h5"), "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 64]))
        refused(path.with_name("b.h5"), "no readable isingflow archive")
