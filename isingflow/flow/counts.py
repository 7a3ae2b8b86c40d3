"""Level curves from counts of spins: what chain and lattice share."""

import dataclasses
import itertools
import math

import numpy as np

from isingflow.divergence.discrete import Counts
from isingflow.divergence.estimate import kl_divergence
from isingflow.divergence.information import jensen_shannon
from isingflow.errors import ParameterError
from isingflow.ising import pair
from isingflow.resampling import block_sums

BLOCKS = 20

LOW_COVERAGE = 0.9
"""Share of a law whose symbols its sample shows, by Good and Turing, below which a curve is flagged."""

LEAST_COVERAGE = 0.5
"""The same, below which there is no curve."""


def counts_of_blocks(count, spins) -> np.ndarray:
    """Return the counts of each jackknife block of configurations: those of every one would fill the memory.

    Parameters
    ----------
    count : callable
        ``count(spins) -> int64 (samples, symbols)``.
    spins : PackedSpins
        Configurations, at least as many as blocks.

    Returns
    -------
    numpy.ndarray
        int64 (blocks, symbols).
    """
    ends = np.cumsum([0, *block_sums(np.ones(len(spins), np.int64), BLOCKS)])
    return np.array([count(spins[start:end]).sum(axis=0) for start, end in itertools.pairwise(ends.tolist())])


def _check_coverage(levels, samples):
    """Return flags for too few windows at some level, or raise `ParameterError` where they are far too few."""
    counts = max(levels, key=lambda counts: np.count_nonzero(counts.total == 1))
    total = counts.total
    windows = int(total.sum())
    coverage = 1 - np.count_nonzero(total == 1) / windows
    if coverage < LEAST_COVERAGE:
        # what n windows leave unseen, sum p (1 - p)^n, falls slower than it began to, and is at most symbols / (e n)
        most = len(total) / math.e / (1 - LOW_COVERAGE)
        least = min(windows * math.log(1 - LOW_COVERAGE) / math.log(1 - coverage), most) if coverage > 0 else windows
        least, most = (math.ceil(samples * count / windows) for count in (least, most))
        raise ParameterError(
            f"windows of {counts.dof} spins need more samples: those of {samples} configurations show {coverage:.0%} "
            f"of their law by Good and Turing's estimate, where {LEAST_COVERAGE:.0%} is the least; {LOW_COVERAGE:.0%} "
            f"take {least} configurations or more, {most} at most; or take a smaller window"
        )
    return (f"coverage below {LOW_COVERAGE:.0%}",) if coverage < LOW_COVERAGE else ()


def marginal_series(levels, *, shape, symmetry, samples, share=1.0, paired=True) -> dict:
    """Estimate forward, reverse, step and Jensen-Shannon curves from counts at every level.

    Windows of one configuration are no independent observations, nor are those of two levels of it: the bias differs
    from what the estimators take off, and so what the delete-one-block jackknife finds of it is taken off too.

    Parameters
    ----------
    levels : sequence of numpy.ndarray
        int64 (configurations or blocks of them, symbols), one a level.
    shape : pair of int
        Rows and columns of a window.
    symmetry : str
        Folding, as in `isingflow.divergence.discrete.Counts.fold`.
    samples : int
        Configurations.
    share : float
        Factor from a window's value to what the curve is per.
    paired : bool
        Whether all levels are those of the same configurations.

    Returns
    -------
    dict
        The series, and ``flags``.

    Raises
    ------
    ParameterError
        If the windows counted show less than half of their law.
    """
    counts = [Counts(level, math.prod(shape)).fold(symmetry, shape) for level in levels]
    flags = [*_check_coverage(counts, samples)]

    def against(p, q, divergence=kl_divergence):
        found = divergence(p, q, blocks=BLOCKS, paired=paired)
        replicates = [
            found.diagnostics[name] for name in (["replicates"] if paired else ["replicates_p", "replicates_q"])
        ]
        bias = (BLOCKS - 1) * sum(float(one.mean()) - found.value for one in replicates)
        return dataclasses.replace(found, value=found.value - bias)

    forward = [against(counts[0], level) for level in counts[1:]]
    reverse = [against(level, counts[0]) for level in counts[1:]]
    step = [forward[0], *(against(p, q) for p, q in itertools.pairwise(counts[1:]))]
    symmetric = [against(counts[0], level, jensen_shannon) for level in counts[1:]]

    def series(estimates, before=(), after=()):
        values = [*before, *(share * one.value for one in estimates), *after]
        errors = [*[0.0] * len(before), *(share * one.stderr for one in estimates), *[0.0] * len(after)]
        return np.array(values), np.array(errors)

    found = {}
    found["value"], found["error"] = series(forward, before=[0.0])
    found["reverse"], found["reverse_error"] = series(reverse, before=[0.0])
    found["step"], found["step_error"] = series(step, after=[np.nan])
    found["jensen_shannon"], found["jensen_shannon_error"] = series(symmetric, before=[0.0])
    flags += [flag for one in (*forward, *reverse, *step, *symmetric) for flag in one.flags]
    found["flags"] = tuple(flags)
    return found


def pair_series(correlations) -> dict:
    """Return the exact curves of pairs with these correlations; NaN where one is NaN."""
    c = np.asarray(correlations, dtype=np.float64)

    def between(p, q, divergence=pair.relative_entropy):
        return [divergence(a, b) if np.isfinite(a + b) else np.nan for a, b in zip(p, q, strict=True)]

    first = np.full(len(c), c[0])
    return {
        "exact": between(first, c),
        "exact_reverse": between(c, first),
        "exact_step": [*between(c[:-1], c[1:]), np.nan],
        "exact_jensen_shannon": between(first, c, pair.jensen_shannon),
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
