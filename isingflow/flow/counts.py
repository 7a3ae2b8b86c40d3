"""Level curves from counts of spins: what chain and lattice share."""

import itertools

import numpy as np

from isingflow.divergence.discrete import Counts
from isingflow.divergence.estimate import kl_divergence
from isingflow.ising import pair

BLOCKS = 20


def marginal_series(levels, *, dof, symmetry, share=1.0) -> dict:
    """Estimate forward, reverse and step curves from counts at every level of the same configurations.

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

    Returns
    -------
    dict
        The series, ``flags``, and float64 (blocks, levels) ``replicates`` of the forward values.
    """
    counts = [Counts(level, dof).fold(symmetry) for level in levels]

    def against(p, q):
        return kl_divergence(p, q, blocks=BLOCKS, paired=True)

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
    replicates = [np.zeros(BLOCKS), *(share * one.diagnostics["replicates"] for one in forward)]
    return found | {"replicates": np.stack(replicates, axis=1)}


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


def correlations_from_pairs(series, counts) -> tuple[np.ndarray, np.ndarray]:
    """Read ``<s s'>`` at every level off a curve of pairs, by inverting ``D(c_0 || c_n)``, and its replicates.

    Parameters
    ----------
    series : dict
        From `marginal_series` on pairs.
    counts : numpy.ndarray
        int64 (configurations, 4): pairs of level 0, for ``c_0``.

    Returns
    -------
    values : numpy.ndarray
        float64 (levels,).
    replicates : numpy.ndarray
        float64 (blocks, levels).
    """
    blocks = np.add.reduceat(counts, np.arange(BLOCKS) * len(counts) // BLOCKS, axis=0)
    totals = np.vstack([counts.sum(axis=0), counts.sum(axis=0) - blocks])
    nearest = totals @ [1, -1, -1, 1] / totals.sum(axis=1)

    def inverse(values, first):
        return [first, *(pair.correlation_from_relative_entropy(max(v, 0.0), first) for v in values[1:])]

    rows = [series["value"], *series["replicates"]]
    found = np.array([inverse(row, first) for row, first in zip(rows, nearest, strict=True)])
    return found[0], found[1:]
