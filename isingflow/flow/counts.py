"""Level curves from counts of spins: what chain and lattice share."""

import itertools

import numpy as np

from isingflow.divergence.discrete import Counts
from isingflow.divergence.estimate import kl_divergence
from isingflow.ising import pair
from isingflow.resampling import block_sums

BLOCKS = 20


def marginal_series(levels, *, dof, symmetry, share=1.0, paired=True) -> dict:
    """Estimate forward, reverse and step curves from counts at every level.

    Parameters
    ----------
    levels : sequence of numpy.ndarray
        int64 (configurations, symbols), one a level.
    dof : int
        Spins of a window.
    symmetry : str
        Folding, as in `isingflow.divergence.discrete.Counts.fold`.
    share : float
        Factor from a window's value to what the curve is per.
    paired : bool
        Whether all levels are those of the same configurations.

    Returns
    -------
    dict
        The series, and ``flags``.
    """
    counts = [Counts(level, dof).fold(symmetry) for level in levels]

    def against(p, q):
        return kl_divergence(p, q, blocks=BLOCKS, paired=paired)

    forward = [against(counts[0], level) for level in counts[1:]]
    reverse = [against(level, counts[0]) for level in counts[1:]]
    step = [forward[0], *(against(p, q) for p, q in itertools.pairwise(counts[1:]))]

    def series(estimates, before=(), after=()):
        values = [*before, *(share * one.value for one in estimates), *after]
        errors = [*[0.0] * len(before), *(share * one.stderr for one in estimates), *[0.0] * len(after)]
        return np.array(values), np.array(errors)

    found = {}
    found["value"], found["error"] = series(forward, before=[0.0])
    found["reverse"], found["reverse_error"] = series(reverse, before=[0.0])
    found["step"], found["step_error"] = series(step, after=[np.nan])
    found["flags"] = tuple(flag for one in (*forward, *reverse, *step) for flag in one.flags)
    return found


def pair_series(correlations) -> dict:
    """Return the exact forward, reverse and step curves of pairs with these correlations; NaN where one is NaN."""
    c = np.asarray(correlations, dtype=np.float64)

    def between(p, q):
        return [pair.relative_entropy(a, b) if np.isfinite(a + b) else np.nan for a, b in zip(p, q, strict=True)]

    first = np.full(len(c), c[0])
    return {
        "exact": between(first, c),
        "exact_reverse": between(c, first),
        "exact_step": [*between(c[:-1], c[1:]), np.nan],
    }


def correlations_of_pairs(levels) -> tuple[np.ndarray, np.ndarray]:
    """Return ``<s s'>`` at every level, and its delete-one-block replicates.

    Parameters
    ----------
    levels : sequence of numpy.ndarray
        int64 (configurations, 4): pairs, one array a level.

    Returns
    -------
    values : numpy.ndarray
        float64 (levels,).
    replicates : numpy.ndarray
        float64 (blocks, levels).
    """
    rows = []
    for counts in levels:
        blocks = block_sums(counts, BLOCKS)
        totals = np.vstack([blocks.sum(axis=0), blocks.sum(axis=0) - blocks])
        rows.append(totals @ [1, -1, -1, 1] / totals.sum(axis=1))
    found = np.array(rows).T
    return found[0], found[1:]
