"""Configurations with one bit a spin.

Spin ``(y, x)`` of a sample is bit ``x % 64`` of word ``x // 64`` of row ``y``: set where the spin is up.
"""

import dataclasses

import numpy as np

from isingflow.errors import ParameterError
from isingflow.parameters import whole


@dataclasses.dataclass(frozen=True, eq=False)
class PackedSpins:
    """Configurations of a lattice, packed: an eighth of the memory of int8 spins.

    Attributes
    ----------
    words : numpy.ndarray
        uint64 (samples, rows, ceil(columns / 64)), C-contiguous, not empty. Bit ``x % 64`` of word ``x // 64`` of a row
        is set where its spin ``x`` is up; the bits beyond the columns, in the last word, are zero.
    columns : int
        Spins of a row, at least 1.

    Raises
    ------
    ParameterError
        If the words are not such an array.

    Notes
    -----
    A slice, as ``packed[3:7]``, holds those samples and shares their memory; ``len`` is the number of samples.
    ``numpy.asarray`` unpacks, so that functions of int8 spins take packed ones too, with eight times the memory.

    Examples
    --------
    >>> packed = PackedSpins(np.array([[[0b011], [0b100]]], np.uint64), columns=3)
    >>> packed.shape
    (1, 2, 3)
    >>> packed.spins().tolist()
    [[[1, 1, -1], [-1, -1, 1]]]
    """

    words: np.ndarray
    columns: int

    def __post_init__(self):
        words = self.words
        if not isinstance(words, np.ndarray) or words.dtype != np.uint64 or not words.dtype.isnative:
            given = words.dtype if isinstance(words, np.ndarray) else type(words).__name__
            raise ParameterError(f"words must be an array of uint64 in the machine's byte order, got {given}")
        object.__setattr__(self, "columns", whole("columns", self.columns))
        if words.ndim != 3 or words.size == 0 or words.shape[2] != -(-self.columns // 64):
            raise ParameterError(
                f"words of {self.columns} columns must have shape (samples, rows, {-(-self.columns // 64)}) and not be "
                f"empty, got {words.shape}"
            )
        if not words.flags.c_contiguous:
            raise ParameterError("words must be C-contiguous, got strides; make them so with numpy.ascontiguousarray")
        if self.columns % 64 and (words[:, :, -1] >> np.uint64(self.columns % 64)).any():
            raise ParameterError(f"bits of words beyond the {self.columns} columns must be zero, got some that are set")

    @property
    def shape(self) -> tuple:
        """Samples, rows and columns."""
        return (*self.words.shape[:2], self.columns)

    def __len__(self):
        return len(self.words)

    def __getitem__(self, samples):
        if not isinstance(samples, slice):
            raise ParameterError(f"packed spins are sliced by samples, as in packed[3:7], got [{samples!r}]")
        return PackedSpins(np.ascontiguousarray(self.words[samples]), self.columns)

    def spins(self) -> np.ndarray:
        """Return the spins, int8 (samples, rows, columns), values -1 and +1."""
        # byte by byte: the order of the bytes in memory is that of the columns on every machine
        octets = self.words.astype("<u8", copy=False).view(np.uint8)
        spins = np.unpackbits(octets, axis=-1, count=self.columns, bitorder="little").view(np.int8)
        spins *= 2
        spins -= 1
        return spins

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ParameterError("packed spins become an array of int8 only by a copy, got copy=False")
        return self.spins().astype(np.int8 if dtype is None else dtype, copy=False)


def checked_spins(spins, *, axes=("rows", "columns")) -> np.ndarray:
    """Return configurations as an array, or raise if they are no spins.

    Parameters
    ----------
    spins : array_like of int8
        (..., `axes`), values -1 and +1.
    axes : tuple of str
        What the message calls the last axes.

    Returns
    -------
    numpy.ndarray
        int8 (..., `axes`); `spins` itself, if it is an array.

    Raises
    ------
    ParameterError
        If the array is empty, has fewer axes, is not of int8, or has values that are not -1 or +1.

    Examples
    --------
    >>> checked_spins(np.array([1, -1], np.int8), axes=("sites",)).tolist()
    [1, -1]
    """
    from isingflow.ising import _packing

    spins = np.asarray(spins)
    if spins.ndim < len(axes):
        raise ParameterError(f"spins must have shape (..., {', '.join(axes)}), got {spins.shape}")
    if spins.dtype != np.int8:
        raise ParameterError(f"spins must be int8 with values -1 and +1, got {spins.dtype}; convert with astype")
    if spins.size == 0:
        raise ParameterError(f"spins must not be empty, got shape {spins.shape}")
    rows = np.atleast_2d(spins)
    if not _packing.only_signs(rows.reshape(-1, *rows.shape[-2:])):
        raise ParameterError("spins must have values -1 and +1 only")
    return spins


def pack(spins) -> PackedSpins:
    """Pack configurations, one bit a spin.

    Parameters
    ----------
    spins : array_like of int8
        (..., rows, columns), values -1 and +1.

    Returns
    -------
    PackedSpins
        With all leading axes as one: (samples, rows, columns).

    Raises
    ------
    ParameterError
        If the array is empty, not of int8, or has values that are not -1 or +1.

    Examples
    --------
    >>> pack(np.array([[1, 1, -1], [-1, -1, 1]], np.int8)).words.tolist()
    [[[3], [4]]]
    """
    from isingflow.ising import _packing

    spins = checked_spins(spins)
    rows, columns = spins.shape[-2:]
    spins = np.ascontiguousarray(spins).reshape(-1, columns)
    words = np.empty((len(spins), -(-columns // 64)), np.uint64)
    _packing.pack_rows(spins, words)
    return PackedSpins(words.reshape(-1, rows, words.shape[1]), columns)


def unpack(packed) -> np.ndarray:
    """Return the spins of packed configurations.

    Parameters
    ----------
    packed : PackedSpins
        The configurations.

    Returns
    -------
    numpy.ndarray
        int8 (samples, rows, columns), values -1 and +1.

    Raises
    ------
    ParameterError
        If `packed` is something else.

    Examples
    --------
    >>> unpack(pack(np.array([[1, -1]], np.int8))).tolist()
    [[[1, -1]]]
    """
    if not isinstance(packed, PackedSpins):
        raise ParameterError(f"packed must be PackedSpins, got {type(packed).__name__}; int8 spins need no unpacking")
    return packed.spins()


def turned_up(packed) -> PackedSpins:
    """Turn every configuration with more spins down than up: all are then of the ordered phase that is up.

    Parameters
    ----------
    packed : PackedSpins
        The configurations.

    Returns
    -------
    PackedSpins
        A copy; those with as many up as down as they were.

    Raises
    ------
    ParameterError
        If `packed` is something else.

    Examples
    --------
    >>> turned_up(pack(np.array([[[1, -1, -1]], [[1, -1, 1]]], np.int8))).spins().tolist()
    [[[-1, 1, 1]], [[1, -1, 1]]]
    """
    if not isinstance(packed, PackedSpins):
        raise ParameterError(f"packed must be PackedSpins, got {type(packed).__name__}; pack int8 spins first")
    _, rows, columns = packed.shape
    every = pack(np.ones((1, columns), np.int8)).words
    ups = np.bitwise_count(packed.words).sum(axis=(1, 2), dtype=np.int64)
    turn = (2 * ups < rows * columns)[:, None, None]
    return PackedSpins(np.where(turn, packed.words ^ every, packed.words), columns)
