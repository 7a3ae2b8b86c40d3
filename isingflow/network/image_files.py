"""Arrays from files that others wrote: IDX (the MNIST family), numpy's .npy and .npz, HDF5.

The format is told from the first bytes, not from the name. A header is believed only as far as its file can hold what
it promises; nothing in a file is unpickled, and no link out of it is followed.
"""

import contextlib
import gzip
import math
import struct
import zipfile
from pathlib import Path

import numpy as np

from isingflow.errors import ArchiveError, IsingflowError, ParameterError
from isingflow.parameters import chosen_indices, within_memory

IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_GZIP, _ZIP, _NPY, _HDF5 = b"\x1f\x8b", b"PK\x03\x04", b"\x93NUMPY", b"\x89HDF\r\n\x1a\n"
_DEFLATED = 1032
"""Bytes that one byte of a gzip file can stand for, at most."""
_PIECE = 2**20


def idx(path):
    """Read an IDX file, the format of MNIST and its relatives, compressed by gzip or not.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    uint8, int8, int16, int32, float32 or float64 array
        Of the file's own type and shape, of any rank, in the byte order of the machine; nothing is scaled or checked.

    Raises
    ------
    ArchiveError
        If there is no such file, or it is no IDX file, truncated, too long, or corrupt.
    ParameterError
        If `path` is none, or the array would not fit into the machine's memory.

    References
    ----------
    LeCun, Cortes & Burges, The MNIST database of handwritten digits, "File formats".

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "labels")
    >>> path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 9, 2, 1]))
    11
    >>> idx(path)
    array([9, 2, 1], dtype=uint8)
    """
    with _reading(path) as file:
        return _idx(file)


def grey_values(path, indices=None, *, dataset=None):
    """Read images from a file, one a row.

    Parameters
    ----------
    path : str or path
        IDX, compressed by gzip or not, .npy, .npz or HDF5, with an array (images, ...) of real numbers.
    indices : int or sequence of int, optional
        Which images, from 0 on; without it all.
    dataset : str, optional
        Which array of an .npz or HDF5 file, if there are several.

    Returns
    -------
    values : float64 (m, n_in)
        Pixels in the order of the file, the last axis fastest, in its own unit.
    indices : tuple of int
        Which images these are.

    Raises
    ------
    ArchiveError
        If there is no such file, it is none of these, truncated, too long or corrupt, or holds no images.
    ParameterError
        If an argument is wrong, or the images would not fit into the machine's memory.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "images.npy")
    >>> np.save(path, np.arange(12).reshape(3, 2, 2))
    >>> grey_values(path, [2, 0])
    (array([[ 8.,  9., 10., 11.],
           [ 0.,  1.,  2.,  3.]]), (2, 0))
    """
    with _reading(path) as file, _opened(file, dataset) as stored:
        if len(stored.shape) < 2 or 0 in stored.shape:
            raise ValueError(f"images need an array (images, ...) of rank 2 or more, not empty, got {stored.shape}")
        wanted = tuple(range(len(stored))) if indices is None else indices
        wanted = chosen_indices(f"index of an image in {path}", wanted, len(stored))
        first, end, features = min(wanted), max(wanted) + 1, math.prod(stored.shape[1:])
        size = features * (8 * len(wanted) + stored.dtype.itemsize * (end - first))
        within_memory(f"{len(wanted)} images of {path}", size)
        values = stored[first:end][np.array(wanted) - first].reshape(len(wanted), features).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("there are NaN or infinite values in the images")
        return values, wanted


@contextlib.contextmanager
def _reading(path):
    """Open a file; whatever makes it unreadable is an `ArchiveError` with its name."""
    try:
        path = Path(path)
    except TypeError as error:
        raise ParameterError(f"a path of a file is required, got {path!r}") from error
    try:
        if not path.is_file():
            raise ArchiveError(f"{path} does not exist" if not path.exists() else f"{path} is not a regular file")
        with path.open("rb") as file:
            yield file
    except IsingflowError:
        raise
    except Exception as error:  # each of the libraries below has kinds of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArchiveError(f"{path} cannot be read: {reason}") from error


@contextlib.contextmanager
def _opened(file, dataset):
    """Give the one array of a file, or the dataset of that name; of HDF5 no more is read than is asked for."""
    start = _start(file)
    if start == _HDF5:
        import h5py

        with h5py.File(file.name, "r") as hdf5:
            yield _hdf5_dataset(hdf5, dataset)
    elif start.startswith(_ZIP):
        with zipfile.ZipFile(file) as members:
            yield _npz_member(members, dataset)
    elif dataset is not None:
        raise ParameterError(f"dataset= is for HDF5 and .npz files, {file.name} is neither: leave it out")
    elif start.startswith(_NPY):
        yield _npy(file, _size(file))
    else:
        yield _idx(file)


def _start(file):
    start = file.read(len(_HDF5))
    file.seek(0)
    return start


def _size(file):
    return Path(file.name).stat().st_size


def _idx(file):
    most = _size(file)
    if _start(file).startswith(_GZIP):
        file, most = gzip.GzipFile(fileobj=file), _DEFLATED * most
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:
        known = "IDX, gzip of IDX, .npy, .npz, HDF5"
        raise ValueError(f"it starts with {magic!r}, which is none of the known formats ({known})")
    dtype, rank = np.dtype(IDX_DTYPES[magic[2]]), magic[3]
    shape = struct.unpack(f">{rank}I", file.read(4 * rank))
    return _rest(file, shape, dtype, most)


def _npy(file, most):
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"version {version} of the .npy format, which is for records: images have version (1, 0)")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    _check_real(dtype)
    array = _rest(file, shape[::-1] if by_columns else shape, dtype, most)
    return array.T if by_columns else array


def _npz_member(members, dataset):
    infos = {name[: -len(".npy")]: members.getinfo(name) for name in members.namelist() if name.endswith(".npy")}
    info = infos[_chosen(infos, dataset, members.fp.name)]
    with members.open(info) as file:
        return _npy(file, info.file_size)


def _hdf5_dataset(hdf5, dataset):
    import h5py

    datasets = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            datasets[name] = item

    hdf5.visititems(note)
    name = dataset.strip("/") if isinstance(dataset, str) else dataset
    found = datasets[_chosen(datasets, name, hdf5.filename)]
    if found.shape is None or found.is_virtual or found.external:
        raise ValueError(f"the data of {found.name} do not lie in the file")
    _check_real(found.dtype)
    if found.chunks:
        needed = math.prod(-(-length // chunk) for length, chunk in zip(found.shape, found.chunks, strict=True))
        whole = found.id.get_num_chunks() == needed
    else:
        whole = found.id.get_storage_size() == found.nbytes
    if not whole:
        raise ValueError(f"{found.name} promises {found.shape}, which was never wholly written")
    return found


def _chosen(names, dataset, path):
    names = sorted(names)
    if not names:
        raise ValueError("it holds no arrays")
    if dataset is None and len(names) == 1:
        return names[0]
    if dataset not in names:
        given = "none was named" if dataset is None else f"got {dataset!r}"
        raise ParameterError(f"dataset= must name one of the arrays in {path}, {', '.join(names)}; {given}")
    return dataset


def _check_real(dtype):
    if dtype.hasobject:
        raise ValueError("it holds objects, not numbers, and nothing is ever unpickled")
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"real numbers of at most 64 bits are required, got {dtype}")


def _rest(file, shape, dtype, most):
    """Read an array that must end where its file does, which holds no more than `most` bytes."""
    size = dtype.itemsize * math.prod(shape)
    promise = f"its header promises shape {shape} of {dtype.name}, {size} bytes"
    if min(shape, default=0) < 0 or size > most:
        raise ValueError(f"{promise}, more than the file can hold")
    within_memory(f"an array of shape {shape} in {file.name}", size)
    array = np.empty(shape, dtype)
    content, filled = memoryview(array.reshape(-1).view(np.uint8)), 0
    while filled < size and (count := file.readinto(content[filled : filled + _PIECE])):
        filled += count
    if filled < size:
        raise ValueError(f"{promise}; {filled} follow: it is truncated")
    if file.read(1):  # only at its end a compressed stream compares its checksum
        raise ValueError(f"{promise}; more follow: it is too long")
    return array.astype(dtype.newbyteorder("="), copy=False)
