"""Error bars from correlated data: blocks, the delete-one-block jackknife, autocorrelation times.

Everything here works on additive block statistics: arrays whose first axis counts blocks and whose sum over it is
the statistic of the whole sample (counts of symbols, sums of moments). An estimator is then a function of totals,
and deleting a block is a subtraction.
"""

import math
from typing import NamedTuple

import numpy as np

from isingflow.errors import ParameterError
from isingflow.parameters import whole


def block_sums(statistics, blocks=20) -> np.ndarray:
    """Add consecutive records up to blocks of as nearly equal length as possible.

    Parameters
    ----------
    statistics : array_like
        (records, ...), in the order in which they were recorded.
    blocks : int
        At least 2, at most the number of records.

    Returns
    -------
    numpy.ndarray
        (blocks, ...).

    Raises
    ------
    ParameterError
        If there are fewer records than blocks.

    Examples
    --------
    >>> block_sums(np.arange(6.0), 3).tolist()
    [1.0, 5.0, 9.0]
    """
    statistics = np.asarray(statistics)
    blocks = whole("blocks", blocks, low=2)
    if statistics.ndim == 0 or len(statistics) < blocks:
        found = len(statistics) if statistics.ndim else 1
        raise ParameterError(
            f"{blocks} blocks need at least {blocks} records, got {found}: sample more or ask for fewer"
        )
    starts = np.arange(blocks) * len(statistics) // blocks
    return np.add.reduceat(statistics, starts, axis=0)


class Jackknife(NamedTuple):
    """What deleting blocks tells.

    Attributes
    ----------
    value : float
        The estimate from all blocks.
    error : float
        Its standard error.
    replicates_p, replicates_q : numpy.ndarray
        float64 (blocks,): the estimate without each block of p, and of q; the same array where they are paired.
    curvature_error : float
        The part of the standard error that is quadratic in the data, and all of it where p and q agree.
    """

    value: float
    error: float
    replicates_p: np.ndarray
    replicates_q: np.ndarray
    curvature_error: float


def jackknife(estimator, blocks_p, blocks_q, *, paired=False) -> Jackknife:
    """Estimate a function of two totals, and its standard error by deleting blocks.

    The delete-one-block jackknife overestimates the variance of an estimate's quadratic part twice, and where the
    linear part vanishes, as for a relative entropy near zero, it is also wildly uncertain. The second differences,
    from deleting two blocks, estimate the quadratic part ``V_2`` by itself; the variance returned is
    ``max(V_1 - V_2, V_2)`` with the delete-one variance ``V_1``. Away from zero it is ``V_1``.

    Parameters
    ----------
    estimator : callable
        ``estimator(totals_p, totals_q) -> float64 (...)`` on arrays of totals (..., k_p) and (..., k_q); the leading
        axes broadcast.
    blocks_p, blocks_q : numpy.ndarray
        (blocks_p, k_p) and (blocks_q, k_q): additive statistics; at least 4 blocks each.
    paired : bool
        Whether block ``i`` of p and block ``i`` of q come from the same configurations, inputs or networks: then
        they are deleted together.

    Returns
    -------
    Jackknife

    Raises
    ------
    ParameterError
        If there are fewer than 4 blocks, or paired blocks differ in number.

    References
    ----------
    Efron & Stein, Ann. Statist. 9, 586 (1981), section 2 (the overestimate); Hinkley, Biometrika 65, 13 (1978)
    (second differences).

    Examples
    --------
    >>> blocks = np.array([[4.0, 1.0], [6.0, 1.0], [5.0, 1.0], [7.0, 1.0]])
    >>> mean = lambda p, q: p[..., 0] / p[..., 1]
    >>> result = jackknife(mean, blocks, blocks, paired=True)
    >>> result.value, round(result.error, 6) == round(np.std([4, 6, 5, 7], ddof=1) / 2, 6)
    (5.5, np.True_)
    """
    blocks_p, blocks_q = np.asarray(blocks_p), np.asarray(blocks_q)
    n_p, n_q = len(blocks_p), len(blocks_q)
    whole("blocks of p", n_p, low=4)
    whole("blocks of q", n_q, low=4)
    if paired and n_p != n_q:
        raise ParameterError(f"paired blocks must be equally many, got {n_p} and {n_q}")
    total_p, total_q = blocks_p.sum(axis=0), blocks_q.sum(axis=0)
    value = float(estimator(total_p, total_q))

    each_p, each_q = (_without(blocks, np.arange(len(blocks))) for blocks in (blocks_p, blocks_q))
    if paired:
        ones = estimator(each_p, each_q)
        first, second = np.triu_indices(n_p, 1)
        twos = estimator(_without(blocks_p, first, second), _without(blocks_q, first, second))
        linear = _delete_one_variance(ones)
        quadratic = _same_sample_curvature(value, ones, twos, n_p)
        return _combined(value, linear, quadratic, ones, ones)

    ones_p, ones_q = estimator(each_p, total_q), estimator(total_p, each_q)
    quadratic = 0.0
    for blocks, ones, without in (
        (blocks_p, ones_p, lambda rest: estimator(rest, total_q)),
        (blocks_q, ones_q, lambda rest: estimator(total_p, rest)),
    ):
        first, second = np.triu_indices(len(blocks), 1)
        twos = without(_without(blocks, first, second))
        quadratic += _same_sample_curvature(value, ones, twos, len(blocks))
    twos = estimator(each_p[:, None], each_q[None, :])
    kernel = (
        n_p * n_q * value - (n_p - 1) * n_q * ones_p[:, None] - n_p * (n_q - 1) * ones_q + (n_p - 1) * (n_q - 1) * twos
    )
    kernel = kernel - kernel.mean(axis=0) - kernel.mean(axis=1, keepdims=True) + kernel.mean()
    quadratic += float(np.sum(kernel**2)) / ((n_p - 1) * (n_q - 1)) / (n_p * n_q)
    linear = _delete_one_variance(ones_p) + _delete_one_variance(ones_q)
    return _combined(value, linear, quadratic, ones_p, ones_q)


def _without(blocks, *deleted):
    """Totals without blocks: floats are summed anew, since a difference keeps the rounding of what is gone."""
    if blocks.dtype.kind != "f":
        return blocks.sum(axis=0) - sum(blocks[one] for one in deleted)
    kept = np.ones((len(deleted[0]), len(blocks)))
    for one in deleted:
        kept[np.arange(len(one)), one] = 0.0
    return kept @ blocks


def _delete_one_variance(ones):
    return float((len(ones) - 1) * np.var(ones))


def _same_sample_curvature(value, ones, twos, n):
    """Variance of the quadratic part in one sample: ``1/(2 n^2)`` times the mean square of its pair kernel."""
    first, second = np.triu_indices(n, 1)
    kernel = np.zeros((n, n))
    kernel[first, second] = n**2 * value - (n - 1) ** 2 * (ones[first] + ones[second]) + (n - 2) ** 2 * twos
    kernel += kernel.T
    # Hoeffding: subtract what depends on one block only; the diagonal is not there
    rows = kernel.sum(axis=1) / (n - 2)
    centred = kernel - rows[:, None] - rows + kernel.sum() / ((n - 1) * (n - 2))
    pairs = centred[first, second]
    return float(np.sum(pairs**2)) / (n * (n - 3) / 2) / (2 * n**2)


def _combined(value, linear, quadratic, ones_p, ones_q):
    error = np.sqrt(max(linear - quadratic, quadratic))
    return Jackknife(value, float(error), np.asarray(ones_p), np.asarray(ones_q), float(np.sqrt(quadratic)))


class AutocorrelationTime(NamedTuple):
    """Integrated autocorrelation time in units of the recording interval, 1/2 for independent data.

    ``2 time`` is the statistical inefficiency. `enough` tells whether the record is at least 50 times as long.
    """

    time: float
    error: float
    window: int
    enough: bool


def autocorrelation_time(series, *, window_factor=5.0) -> AutocorrelationTime:
    """Return the integrated autocorrelation time of a record, with an automatic window.

    Parameters
    ----------
    series : array_like of float
        (n,) or (chains, n), equally spaced, n at least 8; chains are independent.
    window_factor : float
        The sum ends at the first lag ``W >= window_factor * time(W)``.

    Returns
    -------
    AutocorrelationTime
        For a constant record the time is 1/2.

    Raises
    ------
    ParameterError
        If the record is too short or not finite.

    References
    ----------
    Sokal, Monte Carlo Methods in Statistical Mechanics (1996), section 3; Madras & Sokal, J. Stat. Phys. 50, 109
    (1988), eq. (E11), for the error.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(size=(4, 5000))
    >>> abs(autocorrelation_time(noise).time - 0.5) < 0.05
    True
    """
    try:
        record = np.atleast_2d(np.asarray(series, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"an autocorrelation time needs records of real numbers: {error}") from error
    if record.ndim != 2 or record.shape[1] < 8:
        raise ParameterError(f"an autocorrelation time needs (chains, n) records with n >= 8, got {record.shape}")
    if not np.isfinite(record).all():
        raise ParameterError("an autocorrelation time needs finite records, got NaN or infinite ones")
    chains, n = record.shape
    if np.ptp(record) <= 1e-14 * np.abs(record).max():  # constant, but for rounding
        return AutocorrelationTime(0.5, 0.0, 0, True)
    record = record - record.mean()
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(record, size, axis=1)) ** 2
    covariance = np.fft.irfft(spectrum.mean(axis=0), size)[:n] / np.arange(n, 0, -1)
    times = 0.5 + np.cumsum(covariance[1:] / covariance[0])
    closed = np.flatnonzero(np.arange(1, n) >= window_factor * times)
    window = int(closed[0]) + 1 if len(closed) else n - 1
    time = max(float(times[window - 1]), 0.5)
    error = time * np.sqrt((4 * window + 2) / (n * chains))
    return AutocorrelationTime(time, float(error), window, bool(len(closed)) and n * chains >= 50 * time)


class InfluenceError(NamedTuple):
    """A standard error from influence values.

    Attributes
    ----------
    error : float
        One standard error of the mean of the influence values.
    autocorrelation : AutocorrelationTime
        Measured on the influence values, in samples.
    degrees : float
        Degrees of freedom of Student's law for an interval: the error itself is known to one in ``sqrt(2 degrees)``.
    """

    error: float
    autocorrelation: AutocorrelationTime
    degrees: float


def influence_error(influence, *, chains=1) -> InfluenceError:
    """Return the standard error of an estimate from the influence of each sample on it: ``sqrt(2 tau variance / n)``.

    The influence value of a sample is ``n`` times the derivative of the estimate by its weight, so that the estimate's
    deviation is the mean of the influence values. The autocorrelation time ``tau`` that matters is theirs, and is
    measured on them. The errors that two independent samples contribute to one estimate add in quadrature.

    Parameters
    ----------
    influence : array_like of float
        (n,), in the order of the samples.
    chains : int
        Independent chains of equal length, one after the other, at least 8 samples each.

    Returns
    -------
    InfluenceError

    Raises
    ------
    ParameterError
        If the chains are too short or not of equal length.

    References
    ----------
    Wolff, Comput. Phys. Commun. 156, 143 (2004), section 3.

    Examples
    --------
    >>> result = influence_error(np.random.default_rng(1).normal(size=10000))
    >>> round(result.error, 3)
    0.01
    """
    influence = np.asarray(influence, dtype=np.float64)
    chains = whole("chains", chains)
    if influence.ndim != 1 or len(influence) % chains:
        raise ParameterError(f"{chains} chains of equal length need a multiple of {chains} values: {influence.shape}")
    found = autocorrelation_time(influence.reshape(chains, -1))
    error = math.sqrt(2 * found.time * np.var(influence) / len(influence))
    return InfluenceError(error, found, len(influence) / (2 * found.window + 1))


ALIKE = 0.75
"""Correlation of neighbouring blocks beyond which they are too short: by chance once in 400,000 with 20 blocks."""


def neighbours_alike(replicates) -> float:
    """Return the correlation of neighbouring blocks' replicates: near 1 where blocks are shorter than correlations.

    The error from twice as long blocks tells less: its expected ratio to the first is at most the square root of 2.

    Parameters
    ----------
    replicates : array_like of float
        (blocks,): an estimate without each block, or from each.

    Returns
    -------
    float
        Compare it with `ALIKE`. 0 where all are equal.

    Examples
    --------
    >>> neighbours_alike(np.arange(20.0)) > ALIKE, neighbours_alike(np.resize([0, 1], 20)) > ALIKE
    (True, False)
    """
    replicates = np.asarray(replicates, dtype=np.float64)
    whole("replicates", replicates.size, low=2)
    if np.ptp(replicates) <= 1e-13 * np.abs(replicates).max():  # equal, but for rounding
        return 0.0
    deviations = replicates - replicates.mean()
    return float(deviations[1:] @ deviations[:-1] / (deviations @ deviations))
