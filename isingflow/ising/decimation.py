"""Decimated configurations of the square lattice, and the windows that are compared between levels.

One decimation step keeps the sublattice ``x + y`` even: the lattice turns by 45 degrees and its constant grows by
sqrt(2). The next step keeps ``x`` and ``y`` even. After an odd number of steps a torus of side ``L`` has become a
tilted torus of ``L^2 / 2`` spins, stored as an array of ``L`` rows and ``L/2`` columns: row ``y`` holds the spins at
``x = 2 k + (y mod 2)`` of the lattice it was cut from, column ``k``. The four neighbours of ``(y, k)`` are
``(y - 1, k - 1 + o)``, ``(y - 1, k + o)``, ``(y + 1, k - 1 + o)`` and ``(y + 1, k + o)`` with ``o = y mod 2``, all
periodic. An array with twice as many rows as columns is always read that way.

On the lattice of level ``n`` neighbours have displacement ``2^{n/2}`` along a row or column of the original lattice
(``n`` even) or ``2^{(n-1)/2}`` along a diagonal (``n`` odd).
"""

import numpy as np

from isingflow.errors import ParameterError
from isingflow.parameters import decimation_steps, whole

LARGEST_WINDOW = 16
"""Spins in the largest window that is counted."""


def _lattices(spins):
    """Check an array of configurations; return it as (samples, rows, columns), and whether it is rotated."""
    spins = np.asarray(spins)
    if spins.ndim < 2:
        raise ParameterError(f"spins must have shape (..., rows, columns), got {spins.shape}")
    spins = _spins(spins)
    rows, columns = spins.shape[-2:]
    if rows not in (columns, 2 * columns):
        raise ParameterError(
            f"spins must be a square lattice (L, L) or a rotated one (L, L/2), got rows={rows}, columns={columns}"
        )
    return spins.reshape(-1, rows, columns), rows != columns


def _spins(spins):
    if spins.dtype != np.int8:
        raise ParameterError(f"spins must be int8 with values -1 and +1, got {spins.dtype}; convert with astype")
    if spins.size == 0:
        raise ParameterError(f"spins must not be empty, got shape {spins.shape}")
    if spins.min() < -1 or spins.max() > 1 or np.count_nonzero(spins) < spins.size:
        raise ParameterError("spins must have values -1 and +1 only")
    return spins


def _square(spins):
    flat, rotated = _lattices(spins)
    if rotated:
        raise ParameterError("windows are counted on the original square lattice (samples, L, L), got a rotated one")
    return flat


def decimate(spins, *, steps=1) -> np.ndarray:
    """Keep every other spin, `steps` times.

    Parameters
    ----------
    spins : array_like of int8
        (..., L, L), or (..., L, L/2) for a rotated lattice; values -1 and +1, periodic.
    steps : int
        Steps of length sqrt(2), at least 0. The side must be divisible by two for every second step.

    Returns
    -------
    numpy.ndarray
        int8; a copy. From a square lattice (..., L/2^{n/2}, L/2^{n/2}) after an even number ``n`` of steps, and a
        rotated lattice (..., L/2^{(n-1)/2}, L/2^{(n+1)/2}) after an odd one: the layout stands at the module's top.

    Raises
    ------
    ParameterError
        If the array is no lattice of spins, or its side cannot be decimated that often.

    Examples
    --------
    >>> decimate(np.arange(4 * 4).reshape(4, 4).astype(np.int8) % 3 % 2 * 2 - 1).tolist()
    [[-1, -1], [-1, 1], [-1, 1], [1, -1]]
    """
    flat, rotated = _lattices(spins)
    side = flat.shape[1]
    steps = decimation_steps(whole("steps", steps, low=0) + rotated, side) - rotated
    for _ in range(steps):
        if rotated:
            flat = flat[:, ::2, :]
        else:
            kept = np.empty((len(flat), flat.shape[1], flat.shape[2] // 2), flat.dtype)
            kept[:, ::2] = flat[:, ::2, ::2]
            kept[:, 1::2] = flat[:, 1::2, 1::2]
            flat = kept
        rotated = not rotated
    return flat.reshape(np.shape(spins)[:-2] + flat.shape[1:]).copy()


def _axes(level):
    """Displacements (y, x) of the two neighbours that span the lattice of a level."""
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
    spins : array_like of int8
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
    flat, rotated = _lattices(spins)
    height, width = _checked_shape(shape)
    _, rows, columns = flat.shape
    if max(height, width) > columns:
        raise ParameterError(f"a window of {height} x {width} is larger than the lattice of {rows} x {columns}")
    y, k = np.mgrid[:rows, :columns]
    offsets = _offsets((height, width), _axes(1 if rotated else 0))
    x = 2 * k + y % 2 if rotated else k
    at_y = (y.ravel()[:, None] + offsets[:, 0]) % rows
    at_x = (x.ravel()[:, None] + offsets[:, 1]) % (2 * columns if rotated else columns)
    found = flat[:, at_y, at_x // 2 if rotated else at_x]
    return found.reshape(np.shape(spins)[:-2] + found.shape[1:])


def pair_correlation(spins) -> np.ndarray:
    """Return the mean of ``s s'`` over the neighbouring pairs of each square or rotated lattice.

    Parameters
    ----------
    spins : array_like of int8
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
    pairs = [windows(spins, shape).prod(axis=-1).mean(axis=-1) for shape in ((1, 2), (2, 1))]
    return (pairs[0] + pairs[1]) / 2


def window_counts(spins, shape, *, level=0) -> np.ndarray:
    """Count the windows of the lattice of a level, over all its equivalent sublattices.

    The lattice of level ``n`` can be cut from the original one in ``2^n`` ways that have the same law. Counting
    windows with its spacing at every site of the original lattice counts them on all of these, for less noise.
    A window of two spins is counted along both axes of its lattice: a site has two neighbours.

    Parameters
    ----------
    spins : array_like of int8
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
    from isingflow.ising import _kernels

    flat = _square(spins)
    height, width = _checked_shape(shape)
    side = flat.shape[1]
    level = decimation_steps(level, side)
    reach = 2 ** ((level + 1) // 2) * max(height, width)
    if reach > side:
        raise ParameterError(f"a window of {height} x {width} at level {level} needs a side of {reach}, got {side}")
    if height * width == 2:
        return pair_counts(flat, _axes(level))
    counts = np.zeros((len(flat), 2 ** (height * width)), np.int64)
    _kernels.count_windows(flat, _offsets((height, width), _axes(level)) % side, counts)
    return counts


def pair_counts(spins, displacements) -> np.ndarray:
    """Count pairs of spins at given displacements, over all positions and all the displacements.

    Parameters
    ----------
    spins : array_like of int8
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
    flat = _square(spins)
    side = flat.shape[1]
    try:
        pairs = [(down, right) for down, right in displacements]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        raise ParameterError(f"displacements must be pairs (y, x), got {displacements!r}")
    offsets = np.array([[whole("displacement", d, low=-side, high=side) for d in pair] for pair in pairs])
    return _pair_counts(flat, offsets % side)


def _pair_counts(lattices, offsets):
    from isingflow.ising import _kernels

    products = np.zeros(len(lattices), np.int64)
    for down, right in offsets:
        _kernels.pair_sums(lattices, down, right, products)
    # the four counts follow from the sums of s s' and of s, which by translation is also that of s'
    pairs = lattices[0].size * len(offsets)
    magnetizations = lattices.reshape(len(lattices), -1).sum(axis=1, dtype=np.int32) * len(offsets)
    equal, unequal = pairs + products, pairs - products
    return np.stack([equal - 2 * magnetizations, unequal, unequal, equal + 2 * magnetizations], axis=1) // 4


def ring_window_counts(spins, width, *, spacing=1) -> np.ndarray:
    """Count windows of every `spacing`-th spin of a ring, at every position: on all equivalent sublattices.

    Parameters
    ----------
    spins : array_like of int8
        (samples, sites), values -1 and +1, periodic.
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
    from isingflow.ising import _kernels

    rings = np.asarray(spins)
    if rings.ndim != 2:
        raise ParameterError(f"spins must have shape (samples, sites), got {rings.shape}")
    rings = _spins(rings)[:, None, :]
    width, spacing = whole("width", width, low=2, high=LARGEST_WINDOW), whole("spacing", spacing)
    if width * spacing > rings.shape[2]:
        raise ParameterError(f"{width} spins {spacing} apart need {width * spacing} sites, got {rings.shape[2]}")
    offsets = np.stack([np.zeros(width, np.int64), spacing * np.arange(width)], axis=1)
    if width == 2:
        return _pair_counts(rings, offsets[1:])
    counts = np.zeros((len(rings), 2**width), np.int64)
    _kernels.count_windows(rings, offsets, counts)
    return counts
