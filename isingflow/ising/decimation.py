"""Decimated configurations of the square lattice, and the windows that are compared between levels.

Configurations are arrays of int8, or `isingflow.ising.packing.PackedSpins`, which are decimated and counted as they
are: whoever counts the same ones several times packs them once.

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
from isingflow.ising.packing import PackedSpins, pack
from isingflow.parameters import decimation_steps, whole

LARGEST_WINDOW = 16
"""Spins in the largest window that is counted."""

LARGEST_BY_SUBSETS = 5
"""Spins in the largest window that is counted sooner by its subsets than by its symbols."""

LARGEST_LATTICE = 2**33
"""Spins of the largest lattice whose symbols are counted: in four tables of 32 bits."""


def _lattices(spins):
    """Check configurations; return them packed, whether they are rotated, and the axes before rows and columns."""
    packed = spins if isinstance(spins, PackedSpins) else pack(spins)
    samples, rows, columns = packed.shape
    if rows not in (columns, 2 * columns):
        raise ParameterError(
            f"spins must be a square lattice (L, L) or a rotated one (L, L/2), got rows={rows}, columns={columns}"
        )
    return packed, rows != columns, (samples,) if packed is spins else np.shape(spins)[:-2]


def _square(spins):
    packed, rotated, _ = _lattices(spins)
    if rotated:
        raise ParameterError("windows are counted on the original square lattice (samples, L, L), got a rotated one")
    return packed


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
    from isingflow.ising import _windows

    packed, rotated, leading = _lattices(spins)
    steps = decimation_steps(whole("steps", steps, low=0) + rotated, packed.shape[1]) - rotated
    words, columns = packed.words, packed.columns
    for _ in range(steps):
        if rotated:
            words = np.ascontiguousarray(words[:, ::2])
        else:
            columns //= 2
            kept = np.empty((*words.shape[:2], -(-columns // 64)), np.uint64)
            _windows.decimate_rows(words, kept)
            words = kept
        rotated = not rotated
    found = PackedSpins(words if steps else words.copy(), columns)
    return found if packed is spins else found.spins().reshape(leading + found.shape[1:])


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
    offsets = _offsets((height, width), _axes(1 if rotated else 0))
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
        return pair_counts(packed, _axes(level))
    return _window_counts(packed, _offsets((height, width), _axes(level)))


def _window_counts(packed, offsets):
    from isingflow.ising import _windows

    samples, rows, columns = packed.shape
    whole("spins of a lattice", rows * columns, high=LARGEST_LATTICE)
    # a window may begin anywhere: at its smallest column the rows are rotated by less
    down, right = (offsets - offsets.min(axis=0)).T
    shifts, copy_of = np.unique(right, return_inverse=True)
    counts = np.zeros((samples, 2 ** len(offsets)), np.int64)
    window = shifts, copy_of, np.ascontiguousarray(down), counts
    if len(offsets) > LARGEST_BY_SUBSETS:
        _windows.count_symbols(packed.words, columns, *window)
        return counts
    _windows.count_all_up(packed.words, columns, *window)
    for spin in range(len(offsets)):
        without, with_it = counts.reshape(samples, -1, 2, 2**spin).transpose(2, 0, 1, 3)
        without -= with_it
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
