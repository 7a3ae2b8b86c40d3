"""Images from files: every format and type, the real Fashion-MNIST, and every kind of bad file."""

import gzip
import hashlib
import itertools
import os
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from isingflow.errors import ArchiveError, ParameterError
from isingflow.network.image_files import idx
from isingflow.network.inputs import FASHION_MNIST, fashion_mnist, images, normalise

REAL = Path(__file__).parent / "reference" / "fashion-mnist-32-images-idx3-ubyte.gz"
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
IMAGES = np.arange(24, dtype=np.int16).reshape(3, 2, 4)


def as_idx(array):
    """An IDX file, written number by number."""
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[array.dtype.str[1:]], array.ndim, *array.shape)
    letter = {"u1": "B", "i1": "b", "i2": "h", "i4": "i", "f4": "f", "f8": "d"}[array.dtype.str[1:]]
    return header + b"".join(struct.pack(f">{letter}", number) for number in array.ravel().tolist())


def as_npy(array, path, **settings):
    np.save(path, array, **settings)
    return path.read_bytes()


@pytest.fixture
def bad(tmp_path):
    """Write bytes and return what is said about them as images."""

    def told(content, **arguments):
        path = tmp_path / "bad file"
        path.write_bytes(content)
        with pytest.raises(ArchiveError) as refused:
            images(path, **arguments)
        assert str(refused.value).startswith(str(path))
        return str(refused.value).removeprefix(str(path))

    return told


@pytest.fixture
def hdf5(tmp_path):
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        yield file
    assert path.exists()


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    ),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_idx_round_trip(tmp_path_factory, array, compressed):
    path = tmp_path_factory.getbasetemp() / "round-trip"
    content = as_idx(array)
    path.write_bytes(gzip.compress(content) if compressed else content)
    found = idx(path)
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


def test_the_real_fashion_mnist():
    """Against the bytes of the file, read as what they are."""
    raw = gzip.decompress(REAL.read_bytes())
    assert raw[:16] == bytes.fromhex("00000803 00000020 0000001c 0000001c")
    assert hashlib.sha256(raw).hexdigest().startswith("05219e2d5f1fd670")
    found = images(REAL)
    assert found.values.shape == (32, 784)
    assert found.values.dtype == np.float64
    assert found.values.ravel().tolist() == list(raw[16:])
    assert found.values[0].sum() == 33456  # an ankle boot
    assert found.description == f"{REAL.name} [0-31]; not normalised"
    assert normalise(found).description == f"{REAL.name} [0-31]; each centred, of unit norm"


@pytest.mark.parametrize("compressed", [True, False])
def test_fashion_mnist_in_a_directory(tmp_path, compressed):
    name = "train-images-idx3-ubyte"
    content = REAL.read_bytes()
    (tmp_path / f"{name}{'.gz' * compressed}").write_bytes(content if compressed else gzip.decompress(content))
    pair = fashion_mnist([7, 3], part="train", directory=tmp_path)
    assert pair.description == "fashion-mnist train images [7, 3]; not normalised"
    np.testing.assert_array_equal(pair.values, images(REAL).values[[7, 3]])
    with pytest.raises(
        ArchiveError, match=r"has no t10k-images.*\(apt-get install dataset-fashion-mnist\).* directory="
    ):
        fashion_mnist([0], directory=tmp_path)
    with pytest.raises(ParameterError, match="part must be one of 'test', 'train', got 'tset'; did you mean 'test'"):
        fashion_mnist([0], part="tset", directory=tmp_path)


@pytest.mark.skipif(not Path(FASHION_MNIST).exists(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_of_the_package():
    np.testing.assert_array_equal(fashion_mnist(range(32)).values, images(REAL).values)
    with pytest.raises(ParameterError, match=r"between 0 and 9999, got 10000"):
        fashion_mnist(10000)
    assert fashion_mnist(59999, part="train").values.shape == (1, 784)


@pytest.mark.parametrize("indices", [None, [2, 0, 2], 1])
def test_every_format_gives_the_same(tmp_path, hdf5, indices):
    hdf5["set/of/images"] = IMAGES
    hdf5.create_dataset("packed", data=IMAGES, chunks=(2, 2, 2), compression="gzip", fletcher32=True)
    hdf5.flush()
    paths = [tmp_path / name for name in ("a", "a.gz", "a.npy", "fortran.npy", "big.npy", "a.npz", "small.npz")]
    paths[0].write_bytes(as_idx(IMAGES))
    paths[1].write_bytes(gzip.compress(as_idx(IMAGES)[:20]) + gzip.compress(as_idx(IMAGES)[20:]))
    np.save(paths[2], IMAGES)
    np.save(paths[3], np.asfortranarray(IMAGES))
    np.save(paths[4], IMAGES.astype(">f4"))
    np.savez(paths[5], images=IMAGES)
    np.savez_compressed(paths[6], other=IMAGES[0], images=IMAGES)
    wanted = IMAGES.reshape(3, 8).astype(float)[[0, 1, 2] if indices is None else np.atleast_1d(indices)]
    read = [images(path, indices, dataset="images" if path == paths[6] else None) for path in paths]
    hdf5.close()
    read += [images(tmp_path / "images.h5", indices, dataset=name) for name in ("set/of/images", "/packed")]
    for found in read:
        assert found.values.dtype == np.float64
        np.testing.assert_array_equal(found.values, wanted)
        assert len(found.indices) == len(wanted)
    assert read[-1].source == "images.h5 /packed"


def test_one_dataset_needs_no_name(tmp_path, hdf5):
    hdf5["group/only"] = IMAGES
    hdf5.close()
    np.testing.assert_array_equal(images(tmp_path / "images.h5").values, IMAGES.reshape(3, 8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read: it starts with b'', which is none of the known formats"),
        (b"\0\0\x08", "none of the known formats"),
        (b"\0\0\x0a\x03" + bytes(12), "none of the known formats"),
        (b"\1\0\x08\x03" + bytes(12), "none of the known formats"),
        (pickle.dumps([1, 2]), "none of the known formats"),
        (b"\x80\x05not a pickle", "none of the known formats"),
        (b"\0\0\x08\x03\0\0", "cannot be read: unpack requires"),
        (as_idx(IMAGES)[:-1], "promises shape (3, 2, 4) of int16, 48 bytes; 47 follow: it is truncated"),
        (as_idx(IMAGES) + b"\0", "promises shape (3, 2, 4) of int16, 48 bytes; more follow: it is too long"),
        (gzip.compress(as_idx(IMAGES)[:-1]), "47 follow: it is truncated"),
        (gzip.compress(as_idx(IMAGES) + b"\0"), "more follow: it is too long"),
        (gzip.compress(as_idx(IMAGES))[:-4], "end-of-stream"),
        (gzip.compress(as_idx(IMAGES))[:-20], "end-of-stream"),
        (gzip.compress(as_idx(IMAGES))[:5], "end-of-stream"),
        (gzip.compress(as_idx(IMAGES))[:-8] + bytes(4) + struct.pack("<I", 64), "CRC check failed"),
        (gzip.compress(as_idx(IMAGES)) + b"more", "Not a gzipped file"),
        (gzip.compress(b"\x93NUMPY"), "none of the known formats"),
        (struct.pack(">HBB3I", 0, 0x0E, 3, *[2**32 - 1] * 3), "more than the file can hold"),
        (gzip.compress(struct.pack(">HBB3I", 0, 0x0E, 3, *[2**32 - 1] * 3)), "more than the file can hold"),
        (struct.pack(">HBB70I", 0, 0x08, 70, *[1] * 70) + b"\0", "maximum supported dimension"),
        (as_idx(np.arange(9, dtype=np.uint8)), "images need an array (images, ...) of rank 2 or more"),
        (as_idx(np.array(9, dtype=np.uint8)), "images need an array (images, ...) of rank 2 or more"),
        (as_idx(np.empty((0, 28, 28), dtype=np.uint8)), "not empty, got (0, 28, 28)"),
        (as_idx(np.full((2, 2), np.nan)), "NaN or infinite"),
        (as_idx(np.array([[1, np.inf]], dtype="f4")), "NaN or infinite"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",  # gzip puts the time into the content
)
def test_bad_idx(bad, content, message):
    assert message in bad(content)


def test_bad_npy(bad, tmp_path):
    whole = as_npy(IMAGES, tmp_path / "a.npy")
    assert "47 follow: it is truncated" in bad(whole[:-1])
    assert "more follow: it is too long" in bad(whole + b"\0")
    assert "cannot be read" in bad(whole[:20])
    assert "version (3, 0)" in bad(b"\x93NUMPY\3\0" + whole[8:])
    assert "cannot be read" in bad(whole.replace(b"'descr'", b"'dscr' "))
    assert "more than the file can hold" in bad(whole.replace(b"(3, 2, 4)", b"(3, 2**9)").replace(b"2**9", b"9999"))
    assert "promises shape (-3, 2, 4)" in bad(whole.replace(b"(3, 2, 4), ", b"(-3, 2, 4),"))
    objects = as_npy(np.array([[1, None]], dtype=object), tmp_path / "b.npy", allow_pickle=True)
    assert "nothing is ever unpickled" in bad(objects)
    assert "real numbers of at most 64 bits are required, got complex128" in bad(
        as_npy(1j * IMAGES, tmp_path / "c.npy")
    )
    assert "got [('x', '<i4')]" in bad(as_npy(np.zeros((2, 2), dtype=[("x", "i4")]), tmp_path / "d.npy"))
    assert "are required, got <U1" in bad(as_npy(np.array([["a", "b"]]), tmp_path / "e.npy"))
    assert "rank 2 or more" in bad(as_npy(np.arange(3), tmp_path / "f.npy"))
    assert "NaN or infinite" in bad(as_npy(np.full((2, 2), np.nan, dtype="f2"), tmp_path / "g.npy"))


def test_nothing_is_unpickled(bad, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    content = as_npy(np.array([[Trap(), None]], dtype=object), tmp_path / "trap.npy", allow_pickle=True)
    bad(content)
    with zipfile.ZipFile(tmp_path / "trap.npz", "w") as members:
        members.writestr("images.npy", content)
    with pytest.raises(ArchiveError, match="unpickled"):
        images(tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()
    np.load(tmp_path / "trap.npy", allow_pickle=True)  # it is a trap
    assert (tmp_path / "sprung").exists()


def test_bad_npz(bad, tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=np.tile(IMAGES, (1, 1, 99)))
    whole = path.read_bytes()
    assert "cannot be read" in bad(whole[:-30])
    middle = len(whole) // 2 - 60
    assert "cannot be read" in bad(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("images.npy", as_npy(IMAGES, tmp_path / "b.npy").replace(b"(3, 2, 4)", b"(3, 2, 9)"))
    assert "it is truncated" in bad(path.read_bytes()) or "more than the file can hold" in bad(path.read_bytes())
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("readme.txt", "no arrays")
    assert "it holds no arrays" in bad(path.read_bytes())


def test_bad_hdf5(bad, tmp_path):
    path = tmp_path / "a.h5"

    def written(**datasets):
        with h5py.File(path, "w") as file:
            for name, settings in datasets.items():
                file.create_dataset(name, **settings)
        return path.read_bytes()

    whole = written(images={"data": IMAGES})
    assert "cannot be read" in bad(whole[:-10])
    assert "cannot be read" in bad(whole[:100])
    assert "it holds no arrays" in bad(written())
    assert "images promises (10000000, 9), which was never wholly" in bad(
        written(images={"shape": (10**7, 9), "dtype": "f8"})
    )
    assert "never wholly written" in bad(written(images={"shape": (10**7, 9), "chunks": (100, 9), "dtype": "f8"}))
    assert "nothing is ever unpickled" in bad(written(images={"data": [["a", "b"]], "dtype": h5py.string_dtype()}))
    assert "got complex128" in bad(written(images={"data": 1j * IMAGES}))
    assert "rank 2 or more" in bad(written(labels={"data": np.arange(3)}))
    assert "do not lie in the file" in bad(written(images={"data": h5py.Empty("f8")}))
    outside = [(str(tmp_path / "raw"), 0, 48)]
    assert "do not lie in the file" in bad(written(images={"shape": (3, 8), "dtype": "i2", "external": outside}))
    assert "NaN" in bad(written(images={"data": np.full((2, 2), np.nan)}))
    packed = written(images={"data": np.tile(IMAGES, (1, 1, 99)), "compression": "gzip", "fletcher32": True})
    assert "cannot be read" in bad(packed[:-40] + bytes(8) + packed[-32:])


def test_links_are_not_followed(tmp_path, hdf5):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["images"] = IMAGES
    hdf5["images"] = h5py.ExternalLink("other.h5", "/images")
    hdf5.close()
    with pytest.raises(ArchiveError, match="holds no arrays"):
        images(tmp_path / "images.h5")


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_which_dataset(tmp_path, hdf5, suffix):
    hdf5["one"], hdf5["two"] = IMAGES, IMAGES
    hdf5.close()
    np.savez(tmp_path / "images.npz", one=IMAGES, two=IMAGES)
    path = tmp_path / f"images.{suffix}"
    for dataset, told in ((None, "none was named"), ("three", "got 'three'"), (3, "got 3")):
        with pytest.raises(ParameterError, match=rf"one of the arrays in .*images.{suffix}, one, two; {told}"):
            images(path, dataset=dataset)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"indices": [0, 32]}, ParameterError, "index of an image in .* must be between 0 and 31, got 32"),
        ({"indices": -1}, ParameterError, "must be between 0 and 31, got -1"),
        ({"indices": [0.5]}, ParameterError, "must be a whole number, got 0.5"),
        ({"indices": []}, ParameterError, "at least one index of an image"),
        ({"dataset": "images"}, ParameterError, "dataset= is for HDF5 and .npz files"),
        ({"path": 3}, ParameterError, "a path of a file is required, got 3"),
        ({"path": "no such file"}, ArchiveError, "no such file does not exist"),
        ({"path": "."}, ArchiveError, "not a regular file"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        images(**({"path": REAL} | arguments))


def test_more_than_the_memory(tmp_path, monkeypatch):
    """A file of zeros that is as long as its header says, on a machine with half as much memory."""
    path = tmp_path / "large"
    path.write_bytes(as_idx(np.zeros((64, 4), dtype="f8")))
    page = os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(os, "sysconf", lambda name: page if name == "SC_PAGE_SIZE" else 1024 / page)
    with pytest.raises(ParameterError, match=r"an array of shape \(64, 4\) in .* of memory"):
        images(path)


@pytest.mark.parametrize("kind", ["idx", "gz", "npy", "npz", "h5"])
def test_no_wrong_byte_escapes_as_a_traceback(tmp_path, kind):
    """One byte of a header turned over or a file cut short: read or refused, and nothing else."""
    path = tmp_path / "file"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            file["images"] = IMAGES
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez_compressed(file, images=IMAGES)
    elif kind == "npy":
        path.write_bytes(as_npy(IMAGES, tmp_path / "a.npy"))
    else:
        path.write_bytes(as_idx(IMAGES) if kind == "idx" else gzip.compress(as_idx(IMAGES)))
    whole = path.read_bytes()
    reach = len(whole) if kind != "h5" else 8  # in wrong structures of its own the HDF5 library may search for ever
    turned = (whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :] for at in range(reach) for flip in (1, 255))
    cut = (whole[:length] for length in range(0, len(whole), 1 + len(whole) // 100))
    refused = 0
    for content in itertools.chain(turned, cut):
        path.write_bytes(content)
        try:
            images(path)
        except (ArchiveError, ParameterError):
            refused += 1
    assert refused > min(len(whole) // 10, 50)
