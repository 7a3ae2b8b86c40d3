"""The error of a Gaussian relative entropy, expanded in its blocks: for many components, or few samples of each."""

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack, solve_triangular
from scipy.special import polygamma

from isingflow.divergence.gaussian import (
    check_origins,
    checked_root,
    mean_log_determinant,
    one_blas_thread,
)
from isingflow.divergence.gaussian import gradients as gaussian_gradients
from isingflow.errors import ParameterError
from isingflow.parameters import whole
from isingflow.resampling import Jackknife

LARGE = 64
"""Components beyond which `expanded_jackknife` is preferred to deleting blocks one by one and two by two."""

FEW = 5
"""Samples a component below which it is preferred too: deleting blocks then gives errors up to six times too large."""

PROBES = 64
"""Random vectors that traces are estimated with in more dimensions than that; in fewer they are exact."""


def expanded_jackknife(p, q, *, paired) -> Jackknife:
    """Return `unbiased` and the error that deleting blocks would find of a large sample, without deleting any.

    The estimate is expanded to second order in the blocks' deviations from the whole (von Mises): `unbiased_gradient`
    gives the linear part of each block, and pairs of blocks have the kernels below, with the covariances divided by n
    and m, the block deviations ``A_b`` and ``C_b`` of p's and q's second moments, those ``a_b`` and ``c_b`` of their
    means, and all other letters as for `unbiased_gradient`:

    - ``K_pp(b, b') = tr(P A_b P A_b')/2 + a_b^T P a_b'``
    - ``K_qq(b, b') = tr([c Q B Q - Q/2] (C_b Q C_b' + C_b' Q C_b))/2 + c [c_b^T Q B Q c_b' - delta^T Q (C_b Q c_b'
      + C_b' Q c_b)]``
    - ``K_pq(b, b') = c [delta^T Q C_b' Q a_b - tr(Q C_b' Q A_b)/2 - a_b^T Q c_b']``

    The variance is put together as in `isingflow.resampling.jackknife`. Its quadratic part, a sum of squared kernels,
    needs ``10 blocks^2`` traces; in more than `PROBES` dimensions they are estimated (Hutchinson) with that many fixed
    random signs, and their products over pairs of different probes, whose mean is the square of the trace. What is
    left is noise, partly common to all data since the signs are fixed: measured on normal samples with p = q, 20 blocks
    and 10 samples a component, 0.12 of the quadratic part of the variance at d = 200 and 0.3 at d = 1000, and half of
    that of the error. Where p and q differ the error feels less of it. That part is not taken smaller than Cauchy and
    Schwarz allow given the diagonals of ``K_pp`` and ``K_qq``.

    Beyond the second order the variance is taken to grow as that of ``ln |S|`` does for normal samples, by
    `beyond_linear`, the larger of p's and q's. Error over standard deviation, n = m, ``N(0, 1)`` against itself or
    ``N(0, 1.5)``, 150 to 600 seeds: 0.89 to 1.05 from 1.25 to 1.5 samples a component, 0.98 to 1.08 from 2 to 3, 0.88
    to 1.11 from 5 to 10 (d = 5 to 100), without that growth 0.62 to 0.81 at the fewest; where only one of the two
    samples is so small 0.76 to 1.26; at d = 800 and 1000 samples, where the probes' noise adds, 0.79 (24 seeds).

    BLAS uses one thread; the result does not depend on the machine's.

    Parameters
    ----------
    p, q : Moments
        At least 4 records each, about one origin; each record is a block, and they should be about equally long.
        At least d + 1 samples of p and d + 5 of q.
    paired : bool
        Whether record ``i`` of p and of q come from the same configurations, inputs or networks.

    Returns
    -------
    Jackknife
        The replicates are those of the linear part.

    Raises
    ------
    ParameterError
        If p and q differ in dimension or origin, have too few records or samples, a singular covariance, or, paired,
        different numbers of records.

    References
    ----------
    von Mises, Ann. Math. Stat. 18, 309 (1947), part II; Hutchinson, Commun. Stat. Simul. Comput. 19, 433 (1990);
    Efron & Stein, Ann. Stat. 9, 586 (1981), for the variance.

    Examples
    --------
    >>> from isingflow import Moments
    >>> x = np.random.default_rng(1).normal(size=(2, 20, 100, 5))
    >>> found = expanded_jackknife(*map(Moments.of_blocks, x), paired=False)
    >>> bool(abs(found.value) < 4 * found.error)
    True
    """
    if p.dof != q.dof:
        raise ParameterError(f"p and q must have equal dimensions, got {p.dof} and {q.dof}: compare equal windows")
    check_origins(p, q)
    blocks_p, blocks_q = len(p.counts), len(q.counts)
    whole("blocks of p", blocks_p, low=4)
    whole("blocks of q", blocks_q, low=4)
    if paired and blocks_p != blocks_q:
        raise ParameterError(f"paired blocks must be equally many, got {blocks_p} and {blocks_q}")
    for name, one, needed in (("p", p, p.dof + 1), ("q", q, p.dof + 5)):
        if one.counts.sum() < needed:
            raise ParameterError(
                f"{p.dof} components need at least {needed} samples of {name}, got {one.counts.sum()}: sample more or "
                "compare fewer components"
            )
    with one_blas_thread():
        return _expanded(_Whole.of("p", p), _Whole.of("q", q), p, q, paired)


class _Whole(NamedTuple):
    """All blocks together."""

    n: int
    mean: np.ndarray
    second: np.ndarray
    cov: np.ndarray
    precision: np.ndarray
    root: np.ndarray
    log_determinant: float

    @classmethod
    def of(cls, name, moments):
        n, d = int(moments.counts.sum()), moments.dof
        mean, second = moments.sums.sum(axis=0) / n, moments.products.sum(axis=0) / n
        cov = second - np.outer(mean, mean)
        root = checked_root(name, cov)
        precision, _ = lapack.dpotri(root, lower=1)
        precision[np.diag_indices(d)] /= 2  # only the lower half is there, and zeros
        precision = precision + precision.T
        log_determinant = 2 * np.sum(np.log(np.diag(root))) + d * math.log(n / (n - 1))
        log_determinant -= float(mean_log_determinant(np.array(n), d))
        return cls(n, mean, second, cov, precision, root, log_determinant)

    def deviations(self, moments, vectors):
        """Deviations of the blocks' means (blocks, d), and of their second moments times vectors (k, d)."""
        counts = moments.counts[:, None]
        shifts = moments.sums - counts * self.mean
        turned = np.matmul(vectors, moments.products)
        turned -= (vectors @ self.mean)[:, None] * shifts[:, None, :]
        turned -= (shifts @ vectors.T)[:, :, None] * self.mean
        turned -= counts[:, :, None] * (vectors @ self.second)
        turned /= self.n
        return shifts / self.n, turned


def _expanded(whole_p, whole_q, p, q, paired):
    d, m = p.dof, whole_q.n
    shrink = 1 - (d + 2) / m
    gradients = gaussian_gradients(
        whole_p.mean, whole_p.cov, whole_p.precision, whole_q.mean, whole_q.precision, shrink
    )
    delta = whole_q.mean - whole_p.mean
    # twice the constant is d - c tr(Q B)
    value = float((-2 * gradients[1].constant - d / m + whole_q.log_determinant - whole_p.log_determinant) / 2)
    linear_p, linear_q = (
        gradient.of_sums(one.counts, one.sums, one.products.reshape(len(one.sums), -1)) / total.n
        for gradient, one, total in zip(gradients, (p, q), (whole_p, whole_q), strict=True)
    )
    of_pp, of_qq, of_pq = _kernels(whole_p, whole_q, p, q, shrink, delta, gradients[1].curvature)
    exact, parameters = d <= PROBES, d * (d + 3) / 2
    if paired:
        of_pairs = of_pp + of_qq + of_pq + of_pq.swapaxes(1, 2)
        quadratic, least = _within(of_pairs, exact), _least(of_pairs, 2 * parameters)
        linear = _Linear.of(linear_p + linear_q)
        first, replicates = linear.variance, (value - linear.deleted,) * 2
    else:
        quadratic = _within(of_pp, exact) + _within(of_qq, exact) + _across(of_pq, exact)
        least = _least(of_pp, parameters) + _least(of_qq, parameters)
        parts = _Linear.of(linear_p), _Linear.of(linear_q)
        first, replicates = sum(part.variance for part in parts), [value - part.deleted for part in parts]
    if not exact:
        quadratic = max(quadratic, least)
    growth = max(beyond_linear(one.n, d) for one in (whole_p, whole_q))
    error = math.sqrt(growth * max(first - quadratic, quadratic))
    return Jackknife(value, error, *replicates, math.sqrt(quadratic))


def beyond_linear(n, d) -> float:
    """Return by what the variance of ``ln |S|`` exceeds its linear part ``2 d/(n - 1)``, for n normal samples.

    Parameters
    ----------
    n : int
        Samples, more than `d`.
    d : int
        Components.

    References
    ----------
    Anderson, An Introduction to Multivariate Statistical Analysis (2003), section 7.5.

    Examples
    --------
    >>> round(beyond_linear(10000, 1), 3), round(beyond_linear(200, 100), 3)
    (1.0, 1.394)
    """
    return float(np.sum(polygamma(1, (n - 1 - np.arange(d)) / 2))) * (n - 1) / (2 * d)


class _Linear(NamedTuple):
    """What deleting each block takes from a mean of blocks, and the variance of that mean."""

    deleted: np.ndarray
    variance: float

    @classmethod
    def of(cls, parts):
        blocks = len(parts)
        return cls(blocks / (blocks - 1) * parts, float(parts @ parts) * blocks / (blocks - 1))


def _kernels(whole_p, whole_q, p, q, shrink, delta, curvature_q):
    """Kernels of pairs of blocks, float64 (probes, blocks, blocks): within p, within q, and across."""
    d = p.dof
    signs = _probes(d)
    probes = signs.shape[1]
    pulled = whole_q.precision @ delta
    whitened_p, whitened_q = (
        solve_triangular(one.root, signs, lower=True, trans="T", check_finite=False).T for one in (whole_p, whole_q)
    )
    shift_p, turned_p = whole_p.deviations(p, np.concatenate([whitened_p, whitened_q]))
    shift_q, turned_q = whole_q.deviations(q, np.concatenate([whitened_q, pulled[None]]))
    by_p, by_pq, by_q = turned_p[:, :probes], turned_p[:, probes:], turned_q[:, :probes]
    along = turned_q[:, probes]  # C_b Q delta
    scattered = whole_q.precision - 2 * curvature_q  # c Q B Q
    steps_p, steps_q = shift_p @ whole_q.precision, shift_q @ whole_q.precision

    of_pp = _probed(by_p, by_p, whole_p.precision) / 2 + shift_p @ whole_p.precision @ shift_p.T
    bent = shrink * along @ steps_q.T
    of_qq = _probed(by_q, by_q, scattered - whole_q.precision / 2)
    of_qq += shift_q @ scattered @ shift_q.T - bent - bent.T
    of_pq = _probed(by_pq, by_q, -shrink / 2 * whole_q.precision)
    of_pq += shrink * (steps_p @ along.T - steps_p @ shift_q.T)
    return of_pp, of_qq, of_pq


def _probes(d):
    """Vectors whose outer products average to the unit matrix: all of its columns where they are few."""
    if d <= PROBES:
        return math.sqrt(d) * np.eye(d)
    return np.random.default_rng(0).choice([-1.0, 1.0], size=(d, PROBES))


def _probed(left, right, form):
    """``left[b, k]^T form right[c, k]`` for each probe k and a symmetric form, float64 (k, b, c)."""
    turned = (right.reshape(-1, len(form)) @ form).reshape(right.shape)
    return np.matmul(left.transpose(1, 0, 2), turned.transpose(1, 2, 0))


def _within(kernels, exact):
    """Variance of the quadratic part in one sample, as the jackknife finds it from second differences."""
    blocks = kernels.shape[1]
    first, second = np.triu_indices(blocks, 1)
    kernels = (kernels + kernels.swapaxes(1, 2)) / 2
    kernels[:, np.arange(blocks), np.arange(blocks)] = 0.0
    # Hoeffding: subtract what depends on one block only; the diagonal is not there
    rows = kernels.sum(axis=2) / (blocks - 2)
    total = kernels.sum(axis=(1, 2)) / ((blocks - 1) * (blocks - 2))
    centred = kernels - rows[:, :, None] - rows[:, None, :] + total[:, None, None]
    return _mean_square(centred[:, first, second], exact) * blocks / (blocks - 3)


def _least(kernels, parameters):
    """The least variance of a quadratic part with such a diagonal.

    Cauchy and Schwarz: the sum of the squares of as many eigenvalues as there are parameters, against the square of
    their sum, which is the mean of the diagonal.
    """
    blocks = kernels.shape[1]
    trace = np.einsum("kbb->", kernels) / len(kernels) / (blocks - 1)
    return float((blocks * trace) ** 2 / (2 * parameters))


def _across(kernels, exact):
    """Variance of the part bilinear in both samples."""
    centred = kernels - kernels.mean(axis=1, keepdims=True)
    centred -= centred.mean(axis=2, keepdims=True)
    _, blocks_p, blocks_q = kernels.shape
    correction = blocks_p * blocks_q / ((blocks_p - 1) * (blocks_q - 1))
    return correction * _mean_square(centred.reshape(len(kernels), -1), exact)


def _mean_square(kernels, exact):
    """Sum of squared means over probes; for random probes unbiased, from pairs of different ones."""
    k = len(kernels)
    squared = float(np.sum(kernels.sum(axis=0) ** 2))
    return squared / k**2 if exact else (squared - float(np.sum(kernels**2))) / (k * (k - 1))
