"""Packed spins against bits set one by one."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isingflow.errors import ParameterError
from isingflow.ising.packing import PackedSpins, pack, unpack

law = settings(deadline=None, derandomize=True, max_examples=60)


def configurations(*shape, seed=1):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


def naive_words(spins):
    """Words of (samples, rows, columns), a bit at a time."""
    samples, rows, columns = spins.shape
    words = [[[0] * ((columns + 63) // 64) for _ in range(rows)] for _ in range(samples)]
    for sample, y, x in np.argwhere(spins == 1).tolist():
        words[sample][y][x // 64] |= 1 << (x % 64)
    return words


@given(samples=st.integers(1, 3), rows=st.integers(1, 5), columns=st.integers(1, 200), seed=st.integers(0, 99))
@law
def test_every_spin_is_its_bit(samples, rows, columns, seed):
    spins = configurations(samples, rows, columns, seed=seed)
    packed = pack(spins)
    assert packed.words.tolist() == naive_words(spins)
    assert packed.shape == spins.shape
    assert packed.words.dtype == np.uint64
    found = unpack(packed)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, spins)
    if columns > 1:
        # the order of the columns matters: mirrored bits are seen
        assert (pack(spins[:, :, ::-1]).words.tolist() == naive_words(spins)) == bool(
            (spins[:, :, ::-1] == spins).all()
        )


@pytest.mark.parametrize("columns", [1, 63, 64, 65, 128])
def test_padding_is_zero(columns):
    packed = pack(np.ones((2, 3, columns), np.int8))
    assert int(np.bitwise_count(packed.words).sum()) == 6 * columns
    assert packed.words.flags.c_contiguous


def test_leading_axes_become_samples():
    spins = configurations(2, 3, 4, 70)
    np.testing.assert_array_equal(pack(spins).spins(), spins.reshape(6, 4, 70))
    assert pack(spins[0, 0]).shape == (1, 4, 70)
    # any strides
    np.testing.assert_array_equal(pack(spins[0, ::-1, :, ::3]).spins(), spins[0, ::-1, :, ::3])


def test_samples_are_sliced():
    spins = configurations(9, 5, 65)
    packed = pack(spins)
    assert len(packed) == 9
    for part in (slice(3, 7), slice(None), slice(-2, None), slice(None, None, 3), slice(None, None, -1)):
        np.testing.assert_array_equal(packed[part].spins(), spins[part])
    assert np.shares_memory(packed[3:7].words, packed.words)
    for wrong in (3, (slice(2), slice(2)), [1, 2]):
        with pytest.raises(ParameterError, match=r"sliced by samples, as in packed\[3:7\], got"):
            packed[wrong]
    with pytest.raises(ParameterError, match="not be empty"):
        packed[4:4]


def test_usable_as_an_array():
    spins = configurations(2, 4, 4)
    packed = pack(spins)
    assert np.asarray(packed).dtype == np.int8
    np.testing.assert_array_equal(packed, spins)
    assert np.asarray(packed, dtype=float).dtype == np.float64
    with pytest.raises(ParameterError, match="only by a copy"):
        np.asarray(packed, copy=False)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        pack(configurations(2, 2)).columns = 3


WORDS = np.zeros((2, 3, 2), np.uint64)


@pytest.mark.parametrize(
    ("words", "columns", "message"),
    [
        ([[[0]]], 3, "words must be an array of uint64 in the machine's byte order, got list"),
        (WORDS.astype(np.int64), 70, "got int64"),
        (WORDS.astype(WORDS.dtype.newbyteorder()), 70, "in the machine's byte order, got"),
        (WORDS[0], 70, r"must have shape \(samples, rows, 2\) and not be empty, got \(3, 2\)"),
        (WORDS, 64, r"words of 64 columns must have shape \(samples, rows, 1\)"),
        (WORDS, 129, r"words of 129 columns must have shape \(samples, rows, 3\)"),
        (WORDS[:0], 70, r"not be empty, got \(0, 3, 2\)"),
        (WORDS[:, :0], 70, r"not be empty, got \(2, 0, 2\)"),
        (WORDS[:, ::2], 70, "C-contiguous, got strides; .* numpy.ascontiguousarray"),
        (WORDS, 0, "columns must be at least 1, got 0"),
        (WORDS, 70.0, "columns must be a whole number"),
        (WORDS + np.uint64(64), 70, "bits of words beyond the 70 columns must be zero"),
        (~WORDS, 127, "bits of words beyond the 127 columns must be zero"),
    ],
)
def test_bad_words(words, columns, message):
    with pytest.raises(ParameterError, match=message):
        PackedSpins(words, columns)


def test_allowed_bits():
    assert PackedSpins(WORDS + np.uint64(63), 70).spins().max() == 1
    assert PackedSpins(~WORDS, 128).spins().min() == 1


@pytest.mark.parametrize(
    ("spins", "message"),
    [
        (np.ones(4, np.int8), r"shape \(..., rows, columns\), got \(4,\)"),
        (np.ones((4, 4)), "spins must be int8 .* got float64; convert with astype"),
        (np.ones((0, 4, 4), np.int8), "must not be empty"),
        (np.zeros((4, 4), np.int8), "values -1 and \\+1 only"),
        (np.full((4, 4), 3, np.int8), "values -1 and \\+1 only"),
        (np.full((4, 4), -128, np.int8), "values -1 and \\+1 only"),
    ],
)
def test_bad_spins(spins, message):
    with pytest.raises(ParameterError, match=message):
        pack(spins)


def test_only_packed_spins_are_unpacked():
    with pytest.raises(ParameterError, match="packed must be PackedSpins, got ndarray; int8 spins need no unpacking"):
        unpack(np.ones((2, 2), np.int8))
