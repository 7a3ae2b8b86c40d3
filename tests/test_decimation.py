"""Decimated lattices, their neighbours and windows, against dictionaries of sites and loops over them.

Nothing here is left to chance: the configurations are fixed, the equalities exact.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isingflow.errors import ParameterError
from isingflow.ising.decimation import (
    decimate,
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
    "function", [decimate, pair_correlation, lambda s: windows(s, (1, 2)), lambda s: window_counts(s, (1, 2))]
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
        (lambda: windows(UP, 2), r"shape must be a pair \(rows, columns\), got 2"),
        (lambda: windows(UP, (2, 2, 2)), "shape must be a pair"),
        (lambda: windows(UP, (0, 2)), "window rows must be at least 1"),
        (lambda: windows(UP, (1, 1.5)), "window columns must be a whole number"),
        (lambda: windows(np.ones((20, 20), np.int8), (1, 17)), "spins in a window must be between 1 and 16, got 17"),
        (lambda: windows(UP[:, :2], (3, 1)), "3 x 1 is larger than the lattice of 4 x 2"),
        (lambda: window_counts(UP[:, :2], (2, 2)), "on the original square lattice .* got a rotated one"),
        (lambda: window_counts(UP, (2, 2), level=5), "5 decimation steps need"),
        (lambda: window_counts(UP, (2, 2), level=-1), "steps must be at least 0"),
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
