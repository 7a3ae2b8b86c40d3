"""What spins that decimation removes know of those that it keeps: mutual information of sampled lattices.

Windows hold spins of both kinds: what is kept has an even ``row + column``. Of whole sublattices only a mean over sites
is sampled, that of `isingflow.ising.information`: nothing has to be counted.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from scipy.special import entr

from isingflow.divergence.discrete import entropy
from isingflow.errors import ParameterError
from isingflow.flow.counts import BLOCKS
from isingflow.ising import square
from isingflow.ising.decimation import LARGEST_WINDOW, level_axes, weighted_counts
from isingflow.ising.information import spin_entropy
from isingflow.ising.packing import PackedSpins, pack, turned_up
from isingflow.parameters import PHASES, choice, decimation_steps, finite, whole

CROSS = ((0, 0), (-1, 0), (0, -1), (0, 1), (1, 0))
"""A spin and its four neighbours, ``(row, column)``: it is removed, they are kept."""

LEAST_COVERAGE = 0.99
"""Share of the windows' law that a sample has to show, by Good and Turing: the information is high by the rest."""


NEAR = 0.93
"""Share of the largest value from which on points tell where the maximum is."""


class Information(NamedTuple):
    """Mutual information in nats, its standard error, and the share of the law that the sample shows."""

    value: float
    error: float
    coverage: float


def _window(window, names="'cross'"):
    """Return where a window's spins are, int64 (spins, 2), and which are kept."""
    if isinstance(window, str) and window == "cross":
        return np.array(CROSS), np.arange(len(CROSS)) > 0
    try:
        rows, columns = () if isinstance(window, str) else window
    except (TypeError, ValueError):
        raise ParameterError(f"window must be {names} or a pair (rows, columns), got {window!r}") from None
    rows, columns = whole("window rows", rows), whole("window columns", columns)
    whole("spins in a window", rows * columns, low=2, high=LARGEST_WINDOW)
    offsets = np.array(list(itertools.product(range(rows), range(columns))))
    return offsets, offsets.sum(axis=1) % 2 == 0


def _tables(counts, kept):
    """Tables of kept and removed symbols, (..., kept, removed), from counts (..., symbols) of windows."""
    spins = len(kept)
    bits = counts.reshape(*counts.shape[:-1], *[2] * spins)
    # the first axis of the symbols is their highest bit
    order = [spins - 1 - spin for spin in (*np.flatnonzero(kept), *np.flatnonzero(~kept))]
    lead = counts.ndim - 1
    ordered = bits.transpose(*range(lead), *(lead + axis for axis in order))
    return ordered.reshape(*counts.shape[:-1], 2 ** int(kept.sum()), -1)


def _known(tables, entropy):
    """Return the mutual information in tables (..., kept, removed), by an estimator of entropies."""
    joint = tables.reshape(*tables.shape[:-2], -1)
    return entropy(tables.sum(axis=-1)) + entropy(tables.sum(axis=-2)) - entropy(joint)


def _jackknifed(rows):
    """Return value and standard error from an estimate and those without each block, less the bias these show."""
    value, without = rows[0], rows[1:]
    blocks = len(without)
    spread = without - without.mean()
    return value + (blocks - 1) * (value - without.mean()), np.sqrt((blocks - 1) / blocks * spread @ spread)


def _but_one(blocks):
    """Totals, and those without each block: (1 + blocks, ...)."""
    total = blocks.sum(axis=0)
    return np.concatenate([total[None], total - blocks])


def _configurations(spins, phase):
    packed = spins if isinstance(spins, PackedSpins) else pack(spins)
    samples, rows, columns = packed.shape
    if rows != columns:
        raise ParameterError(f"spins must be square lattices (samples, L, L), got {packed.shape}")
    if samples < BLOCKS:
        raise ParameterError(f"errors need at least {BLOCKS} configurations, got {samples}")
    return turned_up(packed) if choice("phase", phase, PHASES) == "up" else packed


def window_information(spins, window="cross", *, level=0, phase="up") -> Information:
    """Estimate the mutual information of the spins of a window that decimation keeps, and of those that it removes.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (samples, L, L), at least 20 samples, values -1 and +1, periodic; consecutive ones may be correlated.
    window : "cross" or pair of int
        A spin that is removed and its four neighbours, or rows and columns of a window of 2 to 16 spins, in which
        those with an even ``row + column`` are kept.
    level : int
        Decimation steps, at least 0: the window is one of the lattice of that level, counted on all its sublattices.
    phase : {"up", "symmetric"}
        Configurations turned so that their magnetization is not negative, or as they are, in the ordered phase of two
        kinds, which a spin tells apart.

    Returns
    -------
    Information
        From bias-reduced entropies, less the bias that a jackknife over 20 blocks finds. Near zero it may be negative.

    Raises
    ------
    ParameterError
        If there are no such configurations, the window does not fit their lattice, or they show less than 0.99 of the
        window's law.

    Examples
    --------
    >>> from isingflow.ising.sampling import sample_square
    >>> found = window_information(sample_square(0.3, side=64, samples=200, rng=1).packed)
    >>> abs(found.value - 0.181691) < 3 * found.error
    True
    """
    offsets, kept = _window(window)
    packed = _configurations(spins, phase)
    side = packed.columns
    axes = np.array(level_axes(decimation_steps(level, side)))
    placed = offsets @ axes[::-1]
    if len(np.unique(placed % side, axis=0)) < len(placed):
        raise ParameterError(
            f"the window {window!r} at level {level} does not fit a torus of side {side}: spins of it are the same"
        )
    counts = weighted_counts(packed, placed, 2 ** np.arange(len(placed)), blocks=BLOCKS)
    total = counts.sum(axis=0)
    coverage = 1 - np.count_nonzero(total == 1) / total.sum()
    if coverage < LEAST_COVERAGE:
        raise ParameterError(
            f"a window of {len(kept)} spins needs more samples: those of {len(packed)} configurations show "
            f"{coverage:.1%} of its law by Good and Turing's estimate, and {LEAST_COVERAGE:.0%} is the least; pass "
            "more, or take a smaller window"
        )
    value, error = _jackknifed(_known(_tables(_but_one(counts), kept), entropy))
    return Information(float(value), float(error), float(coverage))


def torus_information(spins, coupling) -> Information:
    """Estimate the mutual information of the two sublattices of a torus, per site.

    Of nearest-neighbour models: ``s - <h(K S)>``, with the exact entropy per site of Kaufman's torus, which holds ln 2
    of the symmetry in all, and the sampled mean of the entropy of a spin between its neighbours.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (samples, L, L) with even L, at least 20 samples, values -1 and +1, periodic, of the law with `coupling`.
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in (0, 100].

    Returns
    -------
    Information
        Nats per site; `coverage` is 1.

    Raises
    ------
    ParameterError
        If there are no such configurations or an argument is out of range.

    Examples
    --------
    >>> from isingflow.ising.sampling import sample_square
    >>> found = torus_information(sample_square(0.3, side=64, samples=200, rng=1).packed, 0.3)
    >>> abs(found.value - 0.067753) < 3 * found.error  # the infinite lattice
    True
    """
    coupling = finite("coupling", coupling, above=0.0, high=100.0)
    packed = _configurations(spins, "symmetric")
    side = packed.columns
    if side % 2:
        raise ParameterError(f"a torus has two sublattices if its side is even, got {side}")
    counts = weighted_counts(packed, CROSS[1:], [1, 1, 1, 1], blocks=BLOCKS)
    means = _but_one(counts) @ spin_entropy(coupling * np.arange(-4, 5, 2)) / _but_one(counts).sum(axis=1)
    exact = square.log_partition(coupling, side=side) - 2 * coupling * square.bond_correlation(coupling, side=side)
    value, error = _jackknifed(exact - means)
    return Information(float(value), float(error), 1.0)


def enumerated_information(coupling, *, side=4, window="cross", phase="up") -> float:
    """Return the exact mutual information of a small torus: of a window's spins, or of its two sublattices.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in [-100, 100].
    side : int
        2 to 4.
    window : "cross", "sublattices" or pair of int
        As for `window_information`; or all spins of an even torus, by the parity of ``row + column``.
    phase : {"up", "symmetric"}
        As for `window_information`; configurations without magnetization are left as they are.

    Returns
    -------
    float
        Nats, of the whole window.

    Raises
    ------
    ParameterError
        If an argument is out of range or the window does not fit.

    Examples
    --------
    >>> round(enumerated_information(0.44, window="sublattices", phase="symmetric") / 16, 6)  # per site
    0.067897
    """
    probabilities = square.boltzmann_probabilities(coupling, side=side)
    if isinstance(window, str) and window == "sublattices":
        window = (side, side)
        if side % 2:
            raise ParameterError(f"a torus has two sublattices if its side is even, got {side}")
    offsets, kept = _window(window, "'cross', 'sublattices'")
    if len(np.unique(offsets % side, axis=0)) < len(offsets):
        raise ParameterError(f"the window {window!r} does not fit a torus of side {side}: spins of it are the same")
    symbols = _enumerated_symbols(side, tuple(map(tuple, offsets.tolist())), choice("phase", phase, PHASES))
    law = np.bincount(symbols, weights=probabilities, minlength=2 ** len(offsets))
    return float(_known(_tables(law, kept), lambda law: entr(law).sum(axis=-1)))


@functools.lru_cache(maxsize=4)
def _enumerated_symbols(side, offsets, phase):
    """Symbols of the window at the first site of every configuration of a torus, by which spins are up."""
    spins = square.configurations(side)
    if phase == "up":
        spins = turned_up(pack(spins)).spins()
    up = np.stack([spins[:, y % side, x % side] > 0 for y, x in offsets], axis=1)
    return up @ 2 ** np.arange(len(offsets))


class Maximum(NamedTuple):
    """Where a curve is largest, the standard error, and how large it is there."""

    place: float
    error: float
    value: float


def located_maximum(couplings, values, errors) -> Maximum:
    """Locate the maximum of a sampled curve: that of a cubic through the points above 0.93 of the largest.

    Parameters
    ----------
    couplings, values, errors : array_like of float
        (points,): ascending couplings, and independent values with their standard errors.

    Returns
    -------
    Maximum
        The error is enlarged where the cubic misses the points by more than their errors.

    Raises
    ------
    ParameterError
        If the arrays differ in length, couplings do not ascend, values are not finite or errors not positive; if fewer
        than six points are that near to the largest, or the largest lies at the end.

    Examples
    --------
    >>> couplings = np.linspace(0.3, 0.5, 21)
    >>> found = located_maximum(couplings, 1 - 30 * (couplings - 0.42) ** 2, np.full(21, 1e-3))
    >>> round(found.place, 6)
    0.42
    """
    couplings, values, errors = (np.asarray(one, dtype=np.float64) for one in (couplings, values, errors))
    if couplings.ndim != 1 or not couplings.size or not couplings.shape == values.shape == errors.shape:
        raise ParameterError(
            f"couplings, values and errors must be as many, at least one, got shapes {couplings.shape}, {values.shape} "
            f"and {errors.shape}"
        )
    if not (np.isfinite(values).all() and (np.diff(couplings) > 0).all() and (errors > 0).all()):
        raise ParameterError("couplings must ascend, values be finite, and errors positive")
    near = values >= NEAR * values.max()
    if near.sum() < 6 or near[0] or near[-1]:
        raise ParameterError(
            f"a maximum is located by six points or more above {NEAR} of it, within the range of the couplings, got "
            f"{near.sum()}; pass couplings nearer to it or over a wider range"
        )
    middle, width = couplings[near].mean(), np.ptp(couplings[near]) / 2
    x, scale = (couplings[near] - middle) / width, errors[near]
    design = np.vander(x, 4, increasing=True) / scale[:, None]
    covariance = np.linalg.inv(design.T @ design)
    found = covariance @ design.T @ (values[near] / scale)
    misfit = np.sum((design @ found - values[near] / scale) ** 2) / (near.sum() - 4)
    _, a, b, c = found
    # of the two points without slope that where the curve is concave
    root = np.sqrt(b**2 - 3 * a * c)
    place = a / (-b + root)
    moved = -np.array([0.0, 1.0, 2 * place, 3 * place**2]) / (2 * b + 6 * c * place)
    error = np.sqrt(moved @ covariance @ moved * max(misfit, 1.0))
    return Maximum(float(middle + width * place), float(width * error), float(np.polyval(found[::-1], place)))
