"""Decimated and blocked configurations, and the windows that are compared between levels.

Configurations are arrays of int8, or `isingflow.ising.packing.PackedSpins`. Both are decimated and blocked as they are,
and only the result takes memory; int8 ones are packed to be counted: whoever counts the same ones several times packs
them once.

One decimation step keeps the sublattice ``x + y`` even: the lattice turns by 45 degrees and its constant grows by
sqrt(2). The next step keeps ``x`` and ``y`` even. After an odd number of steps a torus of side ``L`` has become a
tilted torus of ``L^2 / 2`` spins, stored as an array of ``L`` rows and ``L/2`` columns: row ``y`` holds the spins at
``x = 2 k + (y mod 2)`` of the lattice it was cut from, column ``k``. The four neighbours of ``(y, k)`` are
``(y - 1, k - 1 + o)``, ``(y - 1, k + o)``, ``(y + 1, k - 1 + o)`` and ``(y + 1, k + o)`` with ``o = y mod 2``, all
periodic. An array with twice as many rows as columns is always read that way.

On the lattice of level ``n`` neighbours have displacement ``2^{n/2}`` along a row or column of the original lattice
(``n`` even) or ``2^{(n-1)/2}`` along a diagonal (``n`` odd).
"""

import functools
import math

import numpy as np

from isingflow.errors import ParameterError
from isingflow.ising.packing import PackedSpins, checked_spins, pack
from isingflow.parameters import decimation_steps, whole
from isingflow.seeding import generator

LARGEST_WINDOW = 16
"""Spins in the largest window that is counted."""

LARGEST_BY_SUBSETS = 5
"""Spins in the largest window that is counted sooner by its subsets than by its symbols."""

LARGEST_SYMBOL = 2**16 - 1

LARGEST_LATTICE = 2**33
"""Spins of the largest lattice whose symbols are counted: in four tables of 32 bits."""


def _checked(spins, **axes):
    """Return packed spins as they are, others as a checked array."""
    return spins if isinstance(spins, PackedSpins) else checked_spins(spins, **axes)


def _is_rotated(shape):
    """Check the shape of a lattice; return whether it is a rotated one."""
    rows, columns = shape[-2:]
    if rows not in (columns, 2 * columns):
        raise ParameterError(
            f"spins must be a square lattice (L, L) or a rotated one (L, L/2), got rows={rows}, columns={columns}"
        )
    return rows != columns


def _side(shape, purpose):
    """Return the side of a lattice, or raise if it is no square one."""
    if _is_rotated(shape):
        raise ParameterError(f"{purpose} on the original square lattice (samples, L, L), got a rotated one")
    return shape[-1]


def _lattices(spins):
    """Check configurations; return them packed, whether they are rotated, and the axes before rows and columns."""
    packed = spins if isinstance(spins, PackedSpins) else pack(spins)
    rotated = _is_rotated(packed.shape)
    return packed, rotated, packed.shape[:1] if packed is spins else np.shape(spins)[:-2]


def _square(spins):
    packed, _, _ = _lattices(spins)
    _side(packed.shape, "windows are counted")
    return packed


@functools.lru_cache(maxsize=64)
def _rounds(spacing, rounds):
    """Return how bits of a word that are `spacing` apart come side by side, in rounds that join neighbouring groups.

    By how much each round closes the gap, and the groups before the first and after each: tuples of uint64.
    """
    needed = min(rounds, (-(-64 // spacing) - 1).bit_length())
    gaps = [(spacing - 1) << n if n < needed else 0 for n in range(rounds)]
    sizes = [min(n, needed) for n in range(rounds + 1)]
    groups = [sum((2**2**n - 1) << first for first in range(0, 64, spacing << n)) % 2**64 for n in sizes]
    return tuple(map(np.uint64, gaps)), tuple(map(np.uint64, groups))


def _kept(spins, down, right, stagger=0):
    """Keep every `down`-th row and `right`-th column, in odd rows of the result `stagger` columns further on."""
    from isingflow.ising import _decimation

    if isinstance(spins, PackedSpins):
        samples, rows, columns = spins.shape
        columns //= right
        words = np.empty((samples, rows // down, -(-columns // 64)), np.uint64)
        _decimation.keep_bits(spins.words, down, right, stagger, *_rounds(right, _decimation.ROUNDS), words)
        return PackedSpins(words, columns)
    *leading, rows, columns = spins.shape
    kept = np.empty((*leading, rows // down, columns // right), np.int8)
    lattices, theirs = (one.reshape(-1, *one.shape[-2:]) for one in (spins, kept))
    _decimation.keep_spins(lattices, down, right, stagger, theirs)
    return kept


def decimate(spins, *, steps=1):
    """Keep every other spin, `steps` times.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (..., L, L), or (..., L, L/2) for a rotated lattice; values -1 and +1, periodic.
    steps : int
        Steps of length sqrt(2), at least 0. The side must be divisible by two for every second step.

    Returns
    -------
    numpy.ndarray or PackedSpins
        As `spins`, int8 or packed; a copy. From a square lattice (..., L/2^{n/2}, L/2^{n/2}) after an even number ``n``
        of steps, and a rotated lattice (..., L/2^{(n-1)/2}, L/2^{(n+1)/2}) after an odd one: the layout stands at the
        module's top.

    Raises
    ------
    ParameterError
        If there is no lattice of spins, or its side cannot be decimated that often.

    Examples
    --------
    >>> decimate(np.arange(4 * 4).reshape(4, 4).astype(np.int8) % 3 % 2 * 2 - 1).tolist()
    [[-1, -1], [-1, 1], [-1, 1], [1, -1]]
    """
    spins = _checked(spins)
    rotated = _is_rotated(spins.shape)
    steps = decimation_steps(whole("steps", steps, low=0) + rotated, spins.shape[-2]) - rotated
    # the first step on a rotated lattice keeps every other of its rows, which makes it a square one
    turned = int(rotated and steps > 0)
    reach, odd = 2 ** ((steps - turned) // 2), (steps - turned) % 2
    return _kept(spins, reach * (1 + turned), reach * (1 + odd), reach * odd)


def _divisor(name, value, sites, what, *, low=1):
    value = whole(name, value, low=low)
    if sites % value:
        raise ParameterError(f"{name} {value} needs {what} divisible by it, got {sites}")
    return value


def decimate_by(spins, factor):
    """Keep every `factor`-th row and column of a square lattice.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (..., L, L), values -1 and +1.
    factor : int
        Spacing of what is kept, at least 1; a divisor of the side. By 2 are two steps of `decimate`.

    Returns
    -------
    numpy.ndarray or PackedSpins
        (..., L/factor, L/factor), as `spins`, int8 or packed; a copy.

    Raises
    ------
    ParameterError
        If there is no square lattice of spins, or the factor does not divide its side.

    Examples
    --------
    >>> decimate_by(np.where(np.arange(36).reshape(6, 6) < 18, 1, -1).astype(np.int8), 3).tolist()
    [[1, 1], [-1, -1]]
    """
    spins = _checked(spins)
    factor = _divisor("factor", factor, _side(spins.shape, "decimation by a factor is defined"), "a side")
    return _kept(spins, factor, factor)


def decimate_ring(spins, factor):
    """Keep every `factor`-th spin of a ring.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (..., sites), values -1 and +1; packed (samples, 1, sites), rings of one row.
    factor : int
        Spacing of what is kept, at least 1; a divisor of the sites.

    Returns
    -------
    numpy.ndarray or PackedSpins
        (..., sites/factor), as `spins`, int8 or packed; a copy.

    Raises
    ------
    ParameterError
        If there are no rings of spins, or the factor does not divide their sites.

    Examples
    --------
    >>> decimate_ring(np.array([1, -1, -1, -1, -1, 1], np.int8), 3).tolist()
    [1, -1]
    """
    spins = _checked(spins, axes=("sites",))
    if isinstance(spins, PackedSpins):
        spins = _rings(spins)
        return _kept(spins, 1, _divisor("factor", factor, spins.columns, "a number of sites"))
    factor = _divisor("factor", factor, spins.shape[-1], "a number of sites")
    return _kept(spins[..., None, :], 1, factor)[..., 0, :]


def block_majority(spins, size, *, rng=None):
    """Replace every block of `size` x `size` spins by one, with the sign of the majority.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (..., L, L), values -1 and +1.
    size : int
        Rows and columns of a block, at least 2; a divisor of the side.
    rng : numpy.random.Generator or int, optional
        Decides ties, up or down with equal probability, by one bit for each block. Required for even sizes; odd ones
        have no ties and draw nothing.

    Returns
    -------
    numpy.ndarray or PackedSpins
        (..., L/size, L/size), as `spins`, int8 or packed; with one `rng` the same spins.

    Raises
    ------
    ParameterError
        If there is no square lattice of spins, the size does not divide its side, or is even and there is no `rng`.

    Notes
    -----
    Block spins are not decimated ones: their law is another, and has a fixed point at the critical coupling.

    Examples
    --------
    >>> block_majority(np.array([[1, 1, -1], [1, -1, -1], [1, 1, -1]], np.int8), 3).tolist()
    [[1]]
    >>> block_majority(np.array([[1, -1], [-1, 1]], np.int8), 2, rng=1).tolist()
    [[1]]
    """
    from isingflow.ising import _decimation

    spins = _checked(spins)
    size = _divisor("size", size, _side(spins.shape, "blocks are formed"), "a side", low=2)
    *leading, side, _ = spins.shape
    side //= size
    words = _tie_bits(rng, size, (math.prod(leading), side, -(-side // 64)))
    if isinstance(spins, PackedSpins):
        _decimation.majority_bits(spins.words, size, *_rounds(size, _decimation.ROUNDS), words)
        return PackedSpins(words, side)
    blocks = np.empty((*leading, side, side), np.int8)
    lattices, theirs = (one.reshape(-1, *one.shape[-2:]) for one in (spins, blocks))
    _decimation.majority_spins(lattices, size, words, theirs)
    return blocks


def _tie_bits(rng, size, shape):
    """Draw one bit for each block, in words: uint64; zeros where there are no ties."""
    if size % 2 == 0 and rng is None:
        raise ParameterError(
            f"blocks of an even size have ties, which need random bits: got size={size} and rng=None; pass rng, a "
            "numpy Generator or a non-negative integer, or take an odd size"
        )
    rng = None if rng is None else generator(rng)
    return np.zeros(shape, np.uint64) if size % 2 else rng.integers(0, 2**64, shape, np.uint64)


def level_axes(level) -> tuple:
    """Return the displacements of the two neighbours that span the lattice of a level.

    Parameters
    ----------
    level : int
        Decimation steps, at least 0.

    Returns
    -------
    tuple of tuple of int
        ``(y, x)`` along a row of the lattice of that level and along a column, in constants of the original one.

    Raises
    ------
    ParameterError
        If the level is out of range.

    Examples
    --------
    >>> level_axes(2), level_axes(3)
    (((0, 2), (2, 0)), ((2, 2), (2, -2)))
    """
    level = whole("level", level, low=0)
    reach = 2 ** (level // 2)
    return ((reach, reach), (reach, -reach)) if level % 2 else ((0, reach), (reach, 0))


def _offsets(shape, axes):
    (ay, ax), (by, bx) = axes
    return np.array([(i * by + j * ay, i * bx + j * ax) for i in range(shape[0]) for j in range(shape[1])])


def _checked_shape(shape):
    try:
        height, width = shape
    except (TypeError, ValueError):
        raise ParameterError(f"shape must be a pair (rows, columns), got {shape!r}") from None
    height, width = whole("window rows", height), whole("window columns", width)
    whole("spins in a window", height * width, high=LARGEST_WINDOW)
    return height, width


def windows(spins, shape) -> np.ndarray:
    """Return the windows of a square or rotated lattice at every position.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (..., L, L) or, rotated, (..., L, L/2); values -1 and +1, periodic.
    shape : pair of int
        Rows and columns of the window, at most 16 spins and not larger than the lattice. On a rotated lattice its
        rows and columns run along the diagonals of the lattice it was cut from.

    Returns
    -------
    numpy.ndarray
        int8 (..., positions, rows * columns).

    Raises
    ------
    ParameterError
        If the array is no lattice of spins or the window does not fit.

    Examples
    --------
    >>> windows(np.ones((4, 2), np.int8), (2, 2)).shape
    (8, 4)
    """
    packed, rotated, leading = _lattices(spins)
    height, width = _checked_shape(shape)
    _check_fit(height, width, packed)
    _, rows, columns = packed.shape
    flat = packed.spins()
    y, k = np.mgrid[:rows, :columns]
    offsets = _offsets((height, width), level_axes(1 if rotated else 0))
    x = 2 * k + y % 2 if rotated else k
    at_y = (y.ravel()[:, None] + offsets[:, 0]) % rows
    at_x = (x.ravel()[:, None] + offsets[:, 1]) % (2 * columns if rotated else columns)
    found = flat[:, at_y, at_x // 2 if rotated else at_x]
    return found.reshape(leading + found.shape[1:])


def _check_fit(height, width, packed):
    _, rows, columns = packed.shape
    if max(height, width) > columns:
        raise ParameterError(f"a window of {height} x {width} is larger than the lattice of {rows} x {columns}")


def pair_correlation(spins) -> np.ndarray:
    """Return the mean of ``s s'`` over the neighbouring pairs of each square or rotated lattice.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (..., L, L) or, rotated, (..., L, L/2); values -1 and +1, periodic.

    Returns
    -------
    numpy.ndarray
        float64 (...).

    Raises
    ------
    ParameterError
        If the array is no lattice of spins.

    Examples
    --------
    >>> float(pair_correlation(np.ones((8, 8), np.int8)))
    1.0
    """
    packed, rotated, leading = _lattices(spins)
    _check_fit(1, 2, packed)
    _, rows, columns = packed.shape
    if rotated:
        # a spin of an odd row (y, k) has its neighbours in columns k and k + 1 of the rows above and below
        even, odd = (np.ascontiguousarray(packed.words[:, parity::2]) for parity in (0, 1))
        unequal = _unequal(odd, even, columns, [(0, 0), (0, 1), (1, 0), (1, 1)])
    else:
        unequal = _unequal(packed.words, packed.words, columns, [(0, 1), (1, 0)])
    pairs = 2 * rows * columns
    return ((pairs - 2 * unequal) / pairs).reshape(leading)[()]


def window_counts(spins, shape, *, level=0) -> np.ndarray:
    """Count the windows of the lattice of a level, over all its equivalent sublattices.

    The lattice of level ``n`` can be cut from the original one in ``2^n`` ways that have the same law. Counting
    windows with its spacing at every site of the original lattice counts them on all of these, for less noise.
    A window of two spins is counted along both axes of its lattice: a site has two neighbours.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (samples, L, L), values -1 and +1, periodic: the original configurations.
    shape : pair of int
        Rows and columns of the window on the lattice of that level, at most 16 spins.
    level : int
        Decimation steps, at least 0, as many as the side admits.

    Returns
    -------
    numpy.ndarray
        int64 (samples, 2**(rows*columns)); bit ``j`` of the symbol is set where spin ``j`` of the window, counted row
        by row, is up.

    Raises
    ------
    ParameterError
        If the array is no square lattice, cannot be decimated that often, or is smaller than the window.

    Examples
    --------
    >>> window_counts(np.ones((1, 8, 8), np.int8), (1, 2), level=3).tolist()
    [[0, 0, 0, 128]]
    """
    packed = _square(spins)
    height, width = _checked_shape(shape)
    side = packed.columns
    level = decimation_steps(level, side)
    reach = 2 ** ((level + 1) // 2) * max(height, width)
    if reach > side:
        raise ParameterError(f"a window of {height} x {width} at level {level} needs a side of {reach}, got {side}")
    if height * width == 2:
        return pair_counts(packed, level_axes(level))
    return _window_counts(packed, _offsets((height, width), level_axes(level)))


def _window_counts(packed, offsets):
    from isingflow.ising import _windows

    samples = len(packed)
    if len(offsets) > LARGEST_BY_SUBSETS:
        return weighted_counts(packed, offsets, 2 ** np.arange(len(offsets)), blocks=samples)
    counts = np.zeros((samples, 2 ** len(offsets)), np.int64)
    _windows.count_all_up(packed.words, packed.columns, *_placed(packed, offsets), counts)
    for spin in range(len(offsets)):
        without, with_it = counts.reshape(samples, -1, 2, 2**spin).transpose(2, 0, 1, 3)
        without -= with_it
    return counts


def _placed(packed, offsets):
    """Columns by which rows are rotated, which of these a spin of the window takes, and its rows below the site."""
    _, rows, columns = packed.shape
    whole("spins of a lattice", rows * columns, high=LARGEST_LATTICE)
    # a window may begin anywhere: at its smallest column the rows are rotated by less
    down, right = np.ascontiguousarray((offsets - offsets.min(axis=0)).T)
    shifts, copy_of = np.unique(right % columns, return_inverse=True)
    return shifts, copy_of, down


def weighted_counts(packed, offsets, weights, *, blocks) -> np.ndarray:
    """Count windows by the sum of the weights of their spins that are up, at every site.

    Spins of equal weight are counted together: symbols tell how many of them are up, not which.

    Parameters
    ----------
    packed : PackedSpins
        (samples, rows, columns), periodic.
    offsets : array_like of int
        (spins, 2): where the window's spins are, ``(y, x)``.
    weights : array_like of int
        (spins,), from 0 on; their sum at most 65535.
    blocks : int
        Blocks of consecutive samples, as equal as can be, that are counted apart; 1 to samples.

    Returns
    -------
    numpy.ndarray
        int64 (blocks, sum of the weights + 1).

    Raises
    ------
    ParameterError
        If weights or blocks are out of range.

    Examples
    --------
    >>> lattice = pack(np.array([[[1, 1, -1], [1, -1, -1], [-1, -1, -1]]], np.int8))
    >>> weighted_counts(lattice, [(0, 0), (0, 1), (1, 0)], [1, 2, 2], blocks=1).tolist()
    [[2, 2, 4, 0, 0, 1]]
    """
    from isingflow.ising import _windows

    offsets, weights = np.asarray(offsets, np.int64), np.asarray(weights, np.int64)
    whole("smallest weight", int(weights.min()), low=0)
    largest = whole("sum of the weights", int(weights.sum()), high=LARGEST_SYMBOL)
    counts = np.zeros((whole("blocks", blocks, high=len(packed)), largest + 1), np.int64)
    placed = _placed(packed, offsets)
    _windows.count_symbols(packed.words, packed.columns, *placed, weights.astype(np.uint16), counts)
    return counts


def pair_counts(spins, displacements) -> np.ndarray:
    """Count pairs of spins at given displacements, over all positions and all the displacements.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (samples, L, L), values -1 and +1, periodic.
    displacements : sequence of pair of int
        ``(y, x)`` in lattice constants; for the neighbours after decimation by ``b``, ``((0, b), (b, 0))``.

    Returns
    -------
    numpy.ndarray
        int64 (samples, 4), symbols as in `window_counts`.

    Raises
    ------
    ParameterError
        If the array is no square lattice or a displacement is not a pair of whole numbers.

    Examples
    --------
    >>> pair_counts(np.ones((1, 6, 6), np.int8), ((0, 3), (3, 0))).tolist()
    [[0, 0, 0, 72]]
    """
    packed = _square(spins)
    side = packed.columns
    try:
        pairs = [(down, right) for down, right in displacements]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        raise ParameterError(f"displacements must be pairs (y, x), got {displacements!r}")
    return _pair_counts(packed, [tuple(whole("displacement", d, low=-side, high=side) for d in pair) for pair in pairs])


def _pair_counts(packed, offsets):
    _, rows, columns = packed.shape
    unequal = _unequal(packed.words, packed.words, columns, offsets)
    ups = np.bitwise_count(packed.words).sum(axis=(1, 2), dtype=np.int64) * len(offsets)
    # by translation, as many pairs have their first spin alone up as their second
    one_up, both_up = unequal // 2, ups - unequal // 2
    both_down = rows * columns * len(offsets) - unequal - both_up
    return np.stack([both_down, one_up, one_up, both_up], axis=1)


def _unequal(ones, others, columns, displacements):
    """Unequal pairs of each sample; of one lattice with itself, a pair is as often found the other way round."""
    from isingflow.ising import _windows

    found = np.zeros(len(ones), np.int64)
    for down, right in displacements:
        if ones is others and 2 * (right % columns) > columns:
            down, right = -down, -right
        _windows.count_unequal(ones, others, columns, down % ones.shape[1], right % columns, found)
    return found


def ring_window_counts(spins, width, *, spacing=1) -> np.ndarray:
    """Count windows of every `spacing`-th spin of a ring, at every position: on all equivalent sublattices.

    Parameters
    ----------
    spins : array_like of int8
        (samples, sites), values -1 and +1, periodic; or PackedSpins (samples, 1, sites), of one row.
    width : int
        Spins in a window, 2 to 16; ``width * spacing`` must not exceed the sites.
    spacing : int
        Distance of neighbours in the window, at least 1: ``factor**n`` after ``n`` decimations.

    Returns
    -------
    numpy.ndarray
        int64 (samples, 2**width); bit ``j`` of the symbol is set where spin ``j`` of the window is up.

    Raises
    ------
    ParameterError
        If the array holds no rings of spins or the window does not fit.

    Examples
    --------
    >>> ring_window_counts(np.array([[1, 1, -1, 1]], np.int8), 2).tolist()
    [[0, 1, 1, 2]]
    """
    packed = _rings(spins)
    sites = packed.columns
    width, spacing = whole("width", width, low=2, high=LARGEST_WINDOW), whole("spacing", spacing)
    if width * spacing > sites:
        raise ParameterError(f"{width} spins {spacing} apart need {width * spacing} sites, got {sites}")
    if width == 2:
        return _pair_counts(packed, [(0, spacing)])
    return _window_counts(packed, np.stack([np.zeros(width, np.int64), spacing * np.arange(width)], axis=1))


def _rings(spins):
    if isinstance(spins, PackedSpins):
        if spins.shape[1] != 1:
            raise ParameterError(f"packed rings must have shape (samples, 1, sites), got {spins.shape}")
        return spins
    rings = np.asarray(spins)
    if rings.ndim != 2:
        raise ParameterError(f"spins must have shape (samples, sites), got {rings.shape}")
    return pack(rings[:, None, :])
