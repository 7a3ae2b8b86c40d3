"""Decimated and blocked lattices, their neighbours and windows, against dictionaries of sites and loops over them.

The configurations are fixed and the equalities exact. Only of ties there are statistics, with false alarms at 5 sigma.
"""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isingflow.errors import ParameterError
from isingflow.ising.decimation import (
    block_majority,
    decimate,
    decimate_by,
    decimate_ring,
    pair_correlation,
    pair_counts,
    ring_window_counts,
    window_counts,
    windows,
)
from isingflow.ising.packing import PackedSpins, pack

law = settings(deadline=None, derandomize=True, max_examples=40)


def configurations(*shape, seed=1):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


def sites_of(array):
    """Spins by their site (x, y) in the lattice the array was cut from, and the side of that lattice."""
    rows, columns = array.shape
    if rows == columns:
        return {(x, y): int(array[y, x]) for y in range(rows) for x in range(columns)}, rows
    return {(2 * k + y % 2, y): int(array[y, k]) for y in range(rows) for k in range(columns)}, rows


def axes_of(array):
    """The displacements (x, y) along the rows and along the columns of its lattice."""
    return ((1, 0), (0, 1)) if array.shape[0] == array.shape[1] else ((1, 1), (-1, 1))


def naive_windows(array, shape):
    """Windows by walking from site to site, in the order of the array."""
    sites, side = sites_of(array)
    (ax, ay), (bx, by) = axes_of(array)
    return [
        [
            sites[(x + i * bx + j * ax) % side, (y + i * by + j * ay) % side]
            for i, j in itertools.product(range(shape[0]), range(shape[1]))
        ]
        for x, y in sites
    ]


def symbols(found, width):
    """Counts of windows (..., width) by their symbol."""
    codes = [sum(1 << j for j, spin in enumerate(window) if spin > 0) for window in np.reshape(found, (-1, width))]
    return np.bincount(codes, minlength=2**width)


@given(a=st.integers(0, 8), b=st.integers(0, 8), side=st.sampled_from([16, 48]))
@law
def test_steps_add_up(a, b, side):
    spins = configurations(2, side, side)
    if a + b <= 8:
        np.testing.assert_array_equal(decimate(decimate(spins, steps=a), steps=b), decimate(spins, steps=a + b))


@pytest.mark.parametrize("steps", range(7))
def test_kept_sites(steps):
    spins = configurations(3, 2, 8, 8)
    found = decimate(spins, steps=steps)
    reach = 2 ** (steps // 2)
    shape = (8 // reach, 8 // reach // (1 + steps % 2))
    assert found.shape == (3, 2, *shape)
    assert found.dtype == np.int8
    for lattice, original in zip(found.reshape(-1, *shape), spins.reshape(-1, 8, 8), strict=True):
        sites, _ = sites_of(lattice)
        assert len(sites) == 64 // 2**steps
        for (x, y), spin in sites.items():
            assert spin == original[reach * y, reach * x]
            assert steps % 2 == 0 or (x + y) % 2 == 0


def test_a_copy_is_returned():
    spins = configurations(4, 4)
    for steps in (0, 1, 2):
        kept = decimate(spins, steps=steps)
        assert not np.shares_memory(kept, spins)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("shift", [(1, 1), (1, -1), (2, 0), (0, 2), (3, 5), (7, 7), (-1, 5)])
def test_the_seam_of_the_rotated_torus_is_nowhere(steps, shift):
    spins = configurations(16, 16)
    reach = 2 ** (steps // 2)
    kept = decimate(spins, steps=steps)
    moved = decimate(np.roll(spins, [reach * s for s in shift], axis=(0, 1)), steps=steps)
    sites, side = sites_of(kept)
    shifted = {((x + shift[1]) % side, (y + shift[0]) % side): spin for (x, y), spin in sites.items()}
    assert sites_of(moved)[0] == shifted
    assert pair_correlation(moved) == pair_correlation(kept)
    for shape in ((1, 2), (2, 1), (2, 2), (2, 3)):
        width = shape[0] * shape[1]
        np.testing.assert_array_equal(symbols(windows(moved, shape), width), symbols(windows(kept, shape), width))


def test_neighbours_of_the_rotated_lattice():
    rows, columns = 8, 4
    for y, k in itertools.product(range(rows), range(columns)):
        spins = np.ones((rows, columns), np.int8)
        spins[y, k] = -1
        o = y % 2
        neighbours = {(y - 1, k - 1 + o), (y - 1, k + o), (y + 1, k - 1 + o), (y + 1, k + o)}
        neighbours = {(row % rows, column % columns) for row, column in neighbours}
        # the pairs that the marked spin is in, as windows that begin at it or at its neighbours
        begin = set()
        for shape in ((1, 2), (2, 1)):
            found = windows(spins, shape)
            begin |= {divmod(int(at), columns) for at in np.flatnonzero((found[:, 1] < 0) & (found[:, 0] > 0))}
        end = set()
        for row, column in neighbours:
            mirrored = np.ones((rows, columns), np.int8)
            mirrored[row, column] = -1
            if any(windows(mirrored, shape)[y * columns + k, 1] < 0 for shape in ((1, 2), (2, 1))):
                end.add((row, column))
        assert begin | end == neighbours
        assert len(begin) == len(end) == 2
        assert pair_correlation(spins) == 1 - 2 * 4 / (2 * rows * columns)


@pytest.mark.parametrize("size", [(3, 3), (4, 4), (5, 5), (4, 2), (8, 4), (12, 6)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (4, 4)])
def test_windows(size, shape):
    spins = configurations(2, *size)
    if max(shape) > size[1]:
        with pytest.raises(ParameterError, match="is larger than the lattice of"):
            windows(spins, shape)
        return
    found = windows(spins, shape)
    assert found.shape == (2, size[0] * size[1], shape[0] * shape[1])
    assert found.dtype == np.int8
    for lattice, rows in zip(spins, found, strict=True):
        np.testing.assert_array_equal(rows, naive_windows(lattice, shape))


@pytest.mark.parametrize("size", [(2, 2), (5, 5), (4, 2), (12, 6)])
def test_pair_correlation(size):
    spins = configurations(3, *size)
    for lattice, found in zip(spins, pair_correlation(spins), strict=True):
        pairs = [a * b for shape in ((1, 2), (2, 1)) for a, b in naive_windows(lattice, shape)]
        assert found == pytest.approx(np.mean(pairs), abs=1e-15)


def sublattices(spins, level):
    """The lattices of a level, cut in all the ways there are."""
    reach = 2 ** (level // 2)
    for i, j, half in itertools.product(range(reach), range(reach), range(1 + level % 2)):
        yield decimate(np.roll(spins, (-i, -j - half * reach), axis=(0, 1)), steps=level)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 3), (4, 4)])
@pytest.mark.parametrize("level", range(5))
def test_window_counts_are_those_of_all_sublattices(level, shape):
    spins = configurations(2, 16, 16)
    width = shape[0] * shape[1]
    found = window_counts(spins, shape, level=level)
    assert found.dtype == np.int64
    # a pair is counted along both axes
    shapes = [(1, 2), (2, 1)] if width == 2 else [shape]
    for lattice, counts in zip(spins, found, strict=True):
        cut = list(sublattices(lattice, level))
        assert len(cut) == 2**level
        expected = sum(symbols(naive_windows(one, way), width) for one in cut for way in shapes)
        np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("side", [2, 3, 5, 7])
@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (1, 3), (3, 3)])
def test_window_counts_of_odd_and_small_sides(side, shape):
    spins = configurations(3, side, side, seed=side)
    if max(shape) > side:
        return
    shapes = [(1, 2), (2, 1)] if shape == (1, 2) else [shape]
    width = shape[0] * shape[1]
    for lattice, counts in zip(spins, window_counts(spins, shape), strict=True):
        np.testing.assert_array_equal(counts, sum(symbols(naive_windows(lattice, way), width) for way in shapes))


@pytest.mark.parametrize("side", [1, 2, 5, 8])
@pytest.mark.parametrize("displacements", [[(0, 1)], [(1, 0), (0, 1)], [(1, -1), (0, 0), (1, 1)], [(-1, 1)]])
def test_pair_counts(side, displacements):
    spins = configurations(3, side, side, seed=side)
    found = pair_counts(spins, displacements)
    for lattice, counts in zip(spins.tolist(), found, strict=True):
        pairs = [
            (lattice[y][x], lattice[(y + dy) % side][(x + dx) % side])
            for dy, dx in displacements
            for y in range(side)
            for x in range(side)
        ]
        np.testing.assert_array_equal(counts, symbols(pairs, 2))


@pytest.mark.parametrize(
    ("sites", "width", "spacing"), [(2, 2, 1), (7, 2, 3), (7, 3, 1), (16, 4, 4), (9, 3, 3), (6, 6, 1)]
)
def test_ring_window_counts(sites, width, spacing):
    rings = configurations(4, sites)
    found = ring_window_counts(rings, width, spacing=spacing)
    assert found.dtype == np.int64
    for ring, counts in zip(rings.tolist(), found, strict=True):
        cut = [[ring[(x + spacing * j) % sites] for j in range(width)] for x in range(sites)]
        np.testing.assert_array_equal(counts, symbols(cut, width))


def test_decimated_rings_together():
    rings = configurations(1, 24)
    apart = sum(ring_window_counts(np.roll(rings, -start, axis=1)[:, ::3], 4) for start in range(3))
    np.testing.assert_array_equal(ring_window_counts(rings, 4, spacing=3), apart)


def rolled_counts(spins, offsets):
    """Counts of windows of rows (samples, rows, columns), spin by spin rolled to its window's site."""
    codes = sum((np.roll(spins, (-dy, -dx), axis=(1, 2)) > 0).astype(int) << j for j, (dy, dx) in enumerate(offsets))
    return np.array([np.bincount(one.ravel(), minlength=2 ** len(offsets)) for one in codes])


def window_offsets(shape, level):
    reach = 2 ** (level // 2)
    (ay, ax), (by, bx) = ((reach, reach), (reach, -reach)) if level % 2 else ((0, reach), (reach, 0))
    return [(i * by + j * ay, i * bx + j * ax) for i in range(shape[0]) for j in range(shape[1])]


def kept_spins(spins, steps, first=0):
    """The sites that `steps` leave of (samples, L, L), of row 0 from site `first` on."""
    reach, side = 2 ** (steps // 2), spins.shape[1]
    y, k = np.mgrid[: side // reach, : side // reach // (1 + steps % 2)]
    x = 2 * k + (y + first) % 2 if steps % 2 else k
    return spins[:, reach * y, reach * x]


def deepest(side):
    return 2 * ((side & -side).bit_length() - 1)


SIDES = sorted({*range(2, 20), 32, 48, 63, 64, 65, 66, 96, 100, 126, 127, 128, 129, 130})


@pytest.mark.parametrize("side", SIDES)
def test_packed_and_unpacked_counts_of_many_sides(side):
    spins = configurations(2, side, side, seed=side)
    spins[1] = np.where(spins[1] * np.roll(spins[1], 1) < 0, 1, spins[1])  # one that is mostly up
    packed = pack(spins)
    for level, shape in itertools.product(range(deepest(side) + 1), [(1, 1), (2, 2), (1, 5), (2, 3), (3, 3), (1, 10)]):
        if 2 ** ((level + 1) // 2) * max(shape) > side:
            continue
        expected = rolled_counts(spins, window_offsets(shape, level))
        for form in (spins, packed):
            np.testing.assert_array_equal(window_counts(form, shape, level=level), expected)
        if shape == (2, 3):
            # and the twin would see rows that are rotated the wrong way
            wrong = rolled_counts(spins, [(dy, -dx) for dy, dx in window_offsets(shape, level)])
            assert not np.array_equal(expected, wrong)


@given(
    side=st.integers(2, 200),
    level=st.integers(0, 9),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    up=st.floats(0, 1),
    seed=st.integers(0, 999),
)
@law
def test_packed_windows(side, level, height, width, up, seed):
    level = min(level, deepest(side))
    while 2 ** ((level + 1) // 2) * max(height, width) > side or height * width > 12 or height * width == 2:
        level, height, width = max(level - 1, 0), max(height - 1, 1), max(width - 1, 1)
    rng = np.random.default_rng(seed)
    spins = np.where(rng.random((3, side, side)) < up, 1, -1).astype(np.int8)
    found = window_counts(pack(spins), (height, width), level=level)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, rolled_counts(spins, window_offsets((height, width), level)))


@given(side=st.integers(1, 200), down=st.integers(-200, 200), right=st.integers(-200, 200), seed=st.integers(0, 999))
@law
def test_packed_pairs(side, down, right, seed):
    down, right = (max(-side, min(side, d)) for d in (down, right))
    spins = configurations(2, side, side, seed=seed)
    expected = rolled_counts(spins, [(0, 0), (down, right)])
    for form in (spins, pack(spins)):
        np.testing.assert_array_equal(pair_counts(form, [(down, right)]), expected)


@given(sites=st.integers(2, 1000), width=st.integers(2, 12), spacing=st.integers(1, 500), seed=st.integers(0, 999))
@law
def test_packed_rings(sites, width, spacing, seed):
    width = min(width, sites)
    spacing = min(spacing, sites // width)
    rings = configurations(2, sites, seed=seed)
    expected = rolled_counts(rings[:, None], [(0, spacing * j) for j in range(width)])
    for form in (rings, pack(rings[:, None])):
        np.testing.assert_array_equal(ring_window_counts(form, width, spacing=spacing), expected)


@pytest.mark.parametrize("side", [*range(2, 20, 2), 48, 62, 64, 66, 96, 126, 128, 130, 192, 256, 260])
def test_packed_decimation(side):
    spins = configurations(2, side, side, seed=side)
    packed = pack(spins)
    for steps in range(deepest(side) + 1):
        expected = kept_spins(spins, steps)
        found = decimate(packed, steps=steps)
        assert isinstance(found, PackedSpins)
        assert found.shape == expected.shape
        assert not np.shares_memory(found.words, packed.words)
        np.testing.assert_array_equal(found.words, pack(expected).words)
        np.testing.assert_array_equal(decimate(spins, steps=steps), expected)
        if steps % 2:
            np.testing.assert_array_equal(decimate(found).words, decimate(packed, steps=steps + 1).words)


@pytest.mark.parametrize("side", [64, 66, 260])
def test_the_other_sublattice_would_be_seen(side):
    spins = configurations(2, side, side)
    found = decimate(pack(spins)).spins()
    assert np.array_equal(found, kept_spins(spins, 1))
    assert not np.array_equal(found, kept_spins(spins, 1, first=1))


def naive_decimation(lattice, factor):
    """Rows of a lattice by a dictionary of its sites."""
    sites, side = sites_of(lattice)
    kept = range(0, side, factor)
    return [[sites[x, y] for x in kept] for y in kept]


def divisors(number):
    return [factor for factor in range(1, number + 1) if number % factor == 0]


@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 12, 30, 60, 63, 64, 65, 70, 72, 96, 126, 128, 129, 130, 192, 195, 210])
def test_every_factor(side):
    spins = configurations(2, side, side, seed=side)
    packed = pack(spins)
    for factor in divisors(side):
        expected = [naive_decimation(lattice, factor) for lattice in spins]
        found, bits = decimate_by(spins, factor), decimate_by(packed, factor)
        assert found.dtype == np.int8
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(bits.spins(), expected)
        assert not np.shares_memory(found, spins)
        assert not np.shares_memory(bits.words, packed.words)


@pytest.mark.parametrize("sites", [1, 2, 7, 12, 63, 64, 65, 128, 192, 210, 1000, 1155, 4096])
def test_every_factor_of_a_ring(sites):
    rings = configurations(2, 3, sites, seed=sites)
    packed = pack(rings.reshape(6, 1, sites))
    for factor in divisors(sites):
        expected = [[[ring[x] for x in range(0, sites, factor)] for ring in some] for some in rings.tolist()]
        found, bits = decimate_ring(rings, factor), decimate_ring(packed, factor)
        assert found.dtype == np.int8
        assert bits.shape == (6, 1, sites // factor)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(bits.spins().reshape(found.shape), expected)
        np.testing.assert_array_equal(decimate_ring(rings[0, 0], factor), expected[0][0])


@given(a=st.integers(1, 12), b=st.integers(1, 12), rest=st.integers(1, 5), seed=st.integers(0, 999))
@law
def test_factors_multiply(a, b, rest, seed):
    spins = configurations(2, a * b * rest, a * b * rest, seed=seed)
    for form in (spins, pack(spins)):
        twice, once = decimate_by(decimate_by(form, a), b), decimate_by(form, a * b)
        np.testing.assert_array_equal(np.asarray(twice), np.asarray(once))
    rings = spins[:, 0]
    for form in (rings, pack(rings[:, None])):
        twice, once = decimate_ring(decimate_ring(form, a), b), decimate_ring(form, a * b)
        np.testing.assert_array_equal(np.asarray(twice), np.asarray(once))


@pytest.mark.parametrize("side", [2, 6, 64, 72, 136])
def test_two_steps_are_a_factor_of_two(side):
    spins = configurations(2, side, side, seed=side)
    for form in (spins, pack(spins)):
        for steps in range(2, deepest(side) + 1, 2):
            found = decimate_by(form, 2 ** (steps // 2))
            np.testing.assert_array_equal(np.asarray(decimate(form, steps=steps)), np.asarray(found))
            # and from the rotated lattice in between
            rotated = decimate(form, steps=steps - 1)
            np.testing.assert_array_equal(np.asarray(decimate(rotated)), np.asarray(found))


@pytest.mark.parametrize(("side", "factor"), [(12, 3), (66, 6), (70, 5), (128, 4)])
def test_the_seam_of_a_decimated_torus_is_nowhere(side, factor):
    spins = configurations(2, side, side)
    for down, right in ((0, factor), (2 * factor, -factor), (side - factor, 2 * factor)):
        moved = np.roll(spins, (down, right), axis=(1, 2))
        for one, form in ((spins, moved), (pack(spins), pack(moved))):
            expected = np.roll(np.asarray(decimate_by(one, factor)), (down // factor, right // factor), axis=(1, 2))
            np.testing.assert_array_equal(np.asarray(decimate_by(form, factor)), expected)
        rings, turned = spins[:, 1], np.roll(spins[:, 1], right, axis=1)
        expected = np.roll(decimate_ring(rings, factor), right // factor, axis=1)
        np.testing.assert_array_equal(decimate_ring(turned, factor), expected)
    # a displacement that is no multiple brings in other spins
    found = decimate_by(spins, factor)
    other = decimate_by(np.roll(spins, 1, axis=2), factor)
    assert not any(np.array_equal(other, np.roll(found, shift, axis=2)) for shift in range(side // factor))


@pytest.mark.parametrize("level", [1, 3])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 3)])
def test_windows_at_the_seam_of_the_rotated_lattice(level, shape):
    spins = configurations(1, 24, 24)[0]
    reach = 2 ** (level // 2)
    offsets = window_offsets(shape, level)
    kept = decimate(spins, steps=level)
    rows, columns = kept.shape
    found = windows(kept, shape)
    at_the_seam = 0
    for site, window in enumerate(found.tolist()):
        y, k = divmod(site, columns)
        y, x = reach * y, reach * (2 * k + y % 2)
        at_the_seam += not all(0 <= y + dy < 24 and 0 <= x + dx < 24 for dy, dx in offsets)
        assert window == [spins[(y + dy) % 24, (x + dx) % 24] for dy, dx in offsets]
    assert 0 < at_the_seam < rows * columns


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_windows_of_all_the_shifted_lattices(factor):
    spins = configurations(2, 24, 24)
    shifts = list(itertools.product(range(factor), repeat=2))
    cut = [decimate_by(np.roll(spins, (-i, -j), axis=(1, 2)), factor) for i, j in shifts]
    for shape in ((1, 2), (2, 2), (2, 3)):
        together = sum(window_counts(one, shape) for one in cut)
        offsets = [(factor * i, factor * j) for i in range(shape[0]) for j in range(shape[1])]
        pairs = [(0, factor), (factor, 0)]
        found = pair_counts(spins, pairs) if shape == (1, 2) else rolled_counts(spins, offsets)
        np.testing.assert_array_equal(found, together)
        if factor in (2, 4):
            np.testing.assert_array_equal(window_counts(spins, shape, level=factor.bit_length() * 2 - 2), together)


def naive_blocks(spins, size, ties):
    """Majority of each block of (samples, L, L); of ties what an iterator of rows of spins says."""
    side = spins.shape[1] // size
    found = np.zeros((len(spins), side, side), int)
    for sample in range(len(spins)):
        for y in range(side):
            row = next(ties)
            for x in range(side):
                total = sum(int(spins[sample, size * y + i, size * x + j]) for i in range(size) for j in range(size))
                found[sample, y, x] = row[x] if total == 0 else (1 if total > 0 else -1)
    return found


def tie_spins(side, seed):
    """Spins from the bits of numpy's words, the lowest first, a row beginning with a new word."""
    rng = np.random.default_rng(seed)
    while True:
        bits = [
            bit == "1" for _ in range(-(-side // 64)) for bit in reversed(f"{rng.integers(2**64, dtype='u8'):064b}")
        ]
        yield [1 if bit else -1 for bit in bits[:side]]


@pytest.mark.parametrize(
    ("side", "size"),
    [
        *[(2, 2), (3, 3), (6, 2), (6, 3), (12, 4), (20, 5), (66, 2), (66, 3), (66, 66), (70, 7), (72, 36), (128, 2)],
        *[(132, 2), (192, 3), (198, 3), (130, 10), (129, 43), (140, 70)],
    ],
)
def test_majority_of_blocks(side, size):
    spins = configurations(3, side, side, seed=side)
    spins[1] = np.where(configurations(side, side, seed=size) > 0, spins[1], spins[1, ::-1, ::-1])
    expected = naive_blocks(spins, size, tie_spins(side // size, 5))
    found, bits = block_majority(spins, size, rng=5), block_majority(pack(spins), size, rng=5)
    assert found.dtype == np.int8
    assert isinstance(bits, PackedSpins)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(bits.spins(), expected)
    leading = spins.reshape(3, 1, side, side)[:, ::-1]
    np.testing.assert_array_equal(block_majority(leading, size, rng=5)[:, 0], expected)


@given(size=st.integers(2, 9), blocks=st.integers(1, 30), up=st.floats(0, 1), seed=st.integers(0, 999))
@law
def test_packed_and_unpacked_blocks(size, blocks, up, seed):
    side = size * blocks
    spins = np.where(np.random.default_rng(seed).random((2, side, side)) < up, 1, -1).astype(np.int8)
    found, bits = block_majority(spins, size, rng=seed), block_majority(pack(spins), size, rng=seed)
    np.testing.assert_array_equal(bits.spins(), found)
    sums = spins.reshape(2, blocks, size, blocks, size).sum(axis=(2, 4), dtype=int)
    np.testing.assert_array_equal(np.where(sums == 0, 0, found), np.sign(sums))
    assert (sums != 0).all() or size % 2 == 0
    flipped = block_majority(-spins, size, rng=seed)
    # ties are decided by the same bits, whatever the spins
    np.testing.assert_array_equal(flipped, np.where(sums == 0, found, -found))
    if size % 2:
        np.testing.assert_array_equal(block_majority(spins, size), found)
        np.testing.assert_array_equal(block_majority(pack(-spins), size).spins(), -found)


def fair(ups, ties):
    """Whether so many of the ties turned up are within five standard deviations of half of them."""
    return abs(ups - ties / 2) < 5 * np.sqrt(ties) / 2


def test_ties_are_fair():
    checkerboard = np.where(np.add.outer(np.arange(200), np.arange(200)) % 2 == 0, 1, -1).astype(np.int8)
    spins = np.stack([checkerboard] * 20)
    found = block_majority(spins, 2, rng=1) > 0
    assert found.size == 200_000
    assert fair(found.sum(), found.size)
    # neighbours in a row, in a column, and blocks of different lattices are decided independently
    for axis in range(3):
        assert fair((found == np.roll(found, 1, axis=axis)).sum(), found.size)
    # what prefers a direction by 2 % would be seen
    assert not fair(0.51 * found.size, found.size)
    # a seed and a generator of it are the same, another seed is not, and a generator moves on
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(block_majority(spins, 2, rng=rng) > 0, found)
    again = block_majority(pack(spins), 2, rng=rng).spins() > 0
    assert fair((again == found).sum(), found.size)
    assert not np.array_equal(block_majority(spins, 2, rng=2) > 0, found)


def test_odd_blocks_draw_nothing():
    rng = np.random.default_rng(1)
    state = rng.bit_generator.state
    block_majority(configurations(9, 9), 3, rng=rng)
    assert rng.bit_generator.state == state


@pytest.mark.parametrize("order", ["read-only", "strided", "fortran"])
def test_arrays_of_any_strides(order):
    spins = configurations(2, 3, 12, 12)
    if order == "read-only":
        form = spins.copy()
        form.setflags(write=False)
    elif order == "strided":
        form = np.repeat(np.repeat(spins, 2, axis=3), 3, axis=1)[:, ::3, :, ::2]
    else:
        form = np.asfortranarray(spins)
    assert np.array_equal(form, spins)
    np.testing.assert_array_equal(decimate(form), decimate(spins))
    np.testing.assert_array_equal(decimate_by(form, 3), decimate_by(spins, 3))
    np.testing.assert_array_equal(decimate_ring(form, 4), decimate_ring(spins, 4))
    np.testing.assert_array_equal(block_majority(form, 2, rng=1), block_majority(spins, 2, rng=1))


def test_nothing_but_the_result_takes_memory():
    # as numpy allocates it: what compiled loops set aside, a lattice at most, is not seen
    spins = configurations(64, 256, 256)
    packed = pack(spins)
    calls = [
        (lambda one: decimate(one), 2),
        (lambda one: decimate(one, steps=2), 4),
        (lambda one: decimate_by(one, 4), 16),
        (lambda one: block_majority(one, 2, rng=1), 4),
    ]
    for (call, share), form in itertools.product(calls, (spins, packed)):
        whole = spins.nbytes if form is spins else packed.words.nbytes
        call(form)
        tracemalloc.start()
        found = call(form)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < whole / share * 1.15 + 2**15
        del found


@pytest.mark.parametrize("side", [*range(2, 20), 64, 65, 126, 128, 130, 200])
def test_packed_pair_correlation(side):
    spins = configurations(3, side, side, seed=side)
    pairs = [(spins * np.roll(spins, 1, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
    for form in (spins, pack(spins)):
        np.testing.assert_allclose(pair_correlation(form), (pairs[0] + pairs[1]) / 2, rtol=0, atol=1e-15)
    if side % 2 == 0 and side > 2:
        kept = decimate(spins)
        # of the pairs along diagonals, those between even sites
        even = np.add.outer(np.arange(side), np.arange(side)) % 2 == 0
        sums = [(spins * np.roll(spins, (-1, way), axis=(1, 2)))[:, even].sum(axis=1) for way in (1, -1)]
        for form in (kept, pack(kept)):
            np.testing.assert_allclose(pair_correlation(form), (sums[0] + sums[1]) / side**2, rtol=0, atol=1e-15)


@pytest.mark.parametrize("size", [(5, 5), (8, 4), (66, 33)])
def test_windows_of_packed_spins(size):
    spins = configurations(2, *size)
    np.testing.assert_array_equal(windows(pack(spins), (2, 3)), windows(spins, (2, 3)))


UP = np.ones((4, 4), np.int8)
RINGS = np.ones((2, 12), np.int8)


@pytest.mark.parametrize(
    "function",
    [
        decimate,
        pair_correlation,
        lambda s: windows(s, (1, 2)),
        lambda s: window_counts(s, (1, 2)),
        lambda s: decimate_by(s, 2),
        lambda s: block_majority(s, 2, rng=1),
    ],
)
@pytest.mark.parametrize(
    ("spins", "message"),
    [
        (UP.astype(float), "spins must be int8 with values -1 and \\+1, got float64; convert with astype"),
        (UP * 0, "spins must have values -1 and \\+1 only"),
        (UP * 2, "spins must have values -1 and \\+1 only"),
        (UP * -2, "spins must have values -1 and \\+1 only"),
        (UP[0], r"spins must have shape \(..., rows, columns\), got \(4,\)"),
        (UP[:, :3], "square lattice .* or a rotated one .*, got rows=4, columns=3"),
        (UP[:2], "got rows=2, columns=4"),
        (UP[:0], r"spins must not be empty, got shape \(0, 4\)"),
        (np.ones((0, 4, 4), np.int8), "spins must not be empty"),
    ],
)
def test_what_is_no_lattice(function, spins, message):
    with pytest.raises(ParameterError, match=message):
        function(spins)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decimate(UP, steps=-1), "steps must be at least 0, got -1"),
        (lambda: decimate(UP, steps=1.0), "steps must be a whole number"),
        (lambda: decimate(UP, steps=5), "5 decimation steps need a side divisible by 8, got side=4; .* at most 4"),
        (lambda: decimate(np.ones((6, 6), np.int8), steps=3), "divisible by 4, got side=6; .* at most 2"),
        (lambda: decimate(np.ones((3, 3), np.int8)), "divisible by 2, got side=3; this side admits at most 0"),
        (lambda: decimate(np.ones((6, 3), np.int8), steps=2), "divisible by 4, got side=6"),
        (lambda: decimate_by(UP, 0), "factor must be at least 1, got 0"),
        (lambda: decimate_by(UP, 1.0), "factor must be a whole number"),
        (lambda: decimate_by(UP, 3), "factor 3 needs a side divisible by it, got 4"),
        (lambda: decimate_by(pack(UP), 8), "factor 8 needs a side divisible by it, got 4"),
        (lambda: decimate_by(UP[:, :2], 2), "original square lattice .* got a rotated one"),
        (lambda: decimate_by(pack(UP[:, :2]), 2), "original square lattice .* got a rotated one"),
        (lambda: decimate_ring(RINGS, 0), "factor must be at least 1, got 0"),
        (lambda: decimate_ring(RINGS, 5), "factor 5 needs a number of sites divisible by it, got 12"),
        (lambda: decimate_ring(RINGS * 0, 2), "values -1 and \\+1 only"),
        (lambda: decimate_ring(np.int8(1), 1), r"spins must have shape \(..., sites\), got \(\)"),
        (lambda: decimate_ring(pack(RINGS), 2), r"packed rings must have shape \(samples, 1, sites\)"),
        (lambda: decimate_ring(RINGS[:, :0], 1), "must not be empty"),
        (lambda: block_majority(UP, 2), "even size have ties, .* got size=2 and rng=None; pass rng, .* or take an odd"),
        (lambda: block_majority(pack(UP), 4), "even size have ties"),
        (lambda: block_majority(UP, 2, rng="dice"), "rng must be a numpy Generator or a non-negative integer"),
        (lambda: block_majority(UP[:3, :3], 3, rng=-1), "rng must be a numpy Generator or a non-negative integer"),
        (lambda: block_majority(UP, 3), "size 3 needs a side divisible by it, got 4"),
        (lambda: block_majority(UP, 1, rng=1), "size must be at least 2, got 1"),
        (lambda: block_majority(UP, 8, rng=1), "size 8 needs a side divisible by it, got 4"),
        (lambda: block_majority(UP[:, :2], 2, rng=1), "original square lattice .* got a rotated one"),
        (lambda: windows(UP, 2), r"shape must be a pair \(rows, columns\), got 2"),
        (lambda: windows(UP, (2, 2, 2)), "shape must be a pair"),
        (lambda: windows(UP, (0, 2)), "window rows must be at least 1"),
        (lambda: windows(UP, (1, 1.5)), "window columns must be a whole number"),
        (lambda: windows(np.ones((20, 20), np.int8), (1, 17)), "spins in a window must be between 1 and 16, got 17"),
        (lambda: windows(UP[:, :2], (3, 1)), "3 x 1 is larger than the lattice of 4 x 2"),
        (lambda: window_counts(UP[:, :2], (2, 2)), "on the original square lattice .* got a rotated one"),
        (lambda: window_counts(UP, (2, 2), level=5), "5 decimation steps need"),
        (lambda: window_counts(UP, (2, 2), level=-1), "steps must be between 0 and 60"),
        (lambda: window_counts(UP, (2, 3), level=2), "2 x 3 at level 2 needs a side of 6, got 4"),
        (lambda: window_counts(UP, (5, 1)), "5 x 1 at level 0 needs a side of 5, got 4"),
        (lambda: pair_counts(UP[:, :2], [(0, 1)]), "got a rotated one"),
        (lambda: pair_counts(UP, [(0, 0.5)]), "displacement must be a whole number"),
        (lambda: pair_counts(UP, [(0, 5)]), "displacement must be between -4 and 4, got 5"),
        (lambda: pair_counts(UP, []), r"displacements must be pairs \(y, x\), got \[\]"),
        (lambda: pair_counts(UP, [(1, 2, 3)]), "displacements must be pairs"),
        (lambda: pair_counts(UP, [(1, 2), (3,)]), "displacements must be pairs"),
        (lambda: pair_counts(UP, (0, 1)), "displacements must be pairs"),
        (lambda: ring_window_counts(RINGS[0], 2), r"spins must have shape \(samples, sites\), got \(12,\)"),
        (lambda: ring_window_counts(RINGS * 3, 2), "values -1 and \\+1 only"),
        (lambda: ring_window_counts(RINGS.astype(int), 2), "spins must be int8"),
        (lambda: ring_window_counts(RINGS[:0], 2), "must not be empty"),
        (
            lambda: ring_window_counts(pack(RINGS), 2),
            r"packed rings must have shape \(samples, 1, sites\), got \(1, 2, 12",
        ),
        (lambda: window_counts(pack(UP[:, :2]), (2, 2)), "got a rotated one"),
        (lambda: decimate(pack(UP[:, :3])), "got rows=4, columns=3"),
        (lambda: pair_correlation(UP[:2, :1]), "a window of 1 x 2 is larger than the lattice of 2 x 1"),
        (lambda: ring_window_counts(RINGS, 1), "width must be between 2 and 16, got 1"),
        (lambda: ring_window_counts(RINGS, 17), "width must be between 2 and 16, got 17"),
        (lambda: ring_window_counts(RINGS, 2, spacing=0), "spacing must be at least 1"),
        (lambda: ring_window_counts(RINGS, 4, spacing=4), "4 spins 4 apart need 16 sites, got 12"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
