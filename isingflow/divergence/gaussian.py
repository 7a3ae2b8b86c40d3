"""Relative entropy of samples modelled as normal, from their first and second moments."""

import dataclasses
import math

import numpy as np
from scipy.special import digamma

from isingflow.divergence.laws import Gaussian
from isingflow.errors import ParameterError


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Sums of samples and of their products, record by record: an additive statistic that merges over batches.

    Parameters
    ----------
    counts : array_like of int
        (records,): samples in each record.
    sums : array_like of float
        (records, d): sums of the samples.
    products : array_like of float
        (records, d, d): sums of their outer products.

    Raises
    ------
    ParameterError
        If the shapes do not fit or an entry is not finite.

    Examples
    --------
    >>> Moments.of(np.array([[0.0, 1.0], [2.0, 3.0]])).sums.tolist()
    [[2.0, 4.0]]
    """

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray

    def __post_init__(self):
        counts, sums, products = np.asarray(self.counts), np.asarray(self.sums), np.asarray(self.products)
        if sums.ndim != 2 or counts.shape != sums.shape[:1] or products.shape != (*sums.shape, sums.shape[1]):
            raise ParameterError(
                "moments must have shapes (records,), (records, d) and (records, d, d), "
                f"got {counts.shape}, {sums.shape} and {products.shape}"
            )
        if not (np.isfinite(sums).all() and np.isfinite(products).all()):
            raise ParameterError("moments must be finite, got NaN or infinite sums")
        for name, value in (("counts", counts), ("sums", sums), ("products", products)):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, samples):
        """Return the moments of one record of samples, float (n, d)."""
        samples = np.asarray(samples, dtype=np.float64)
        return cls(np.array([len(samples)]), samples.sum(axis=0)[None], (samples.T @ samples)[None])

    @property
    def dof(self) -> int:
        """Number of components."""
        return self.sums.shape[1]

    def merge(self, other):
        """Return the records of both, these first."""
        if not isinstance(other, Moments) or other.dof != self.dof:
            raise ParameterError("only moments of the same components can be merged")
        mine, theirs = (dataclasses.astuple(one) for one in (self, other))
        return Moments(*map(np.concatenate, zip(mine, theirs, strict=True)))

    def packed(self) -> np.ndarray:
        """Return float64 (records, 1 + d + d^2): counts, sums and products side by side."""
        return np.concatenate(
            [self.counts[:, None], self.sums, self.products.reshape(len(self.sums), -1)], axis=1, dtype=np.float64
        )


def covariance(one) -> tuple:
    """Return number, mean and unbiased covariance; a known law counts as infinitely many samples.

    Parameters
    ----------
    one : numpy.ndarray or Gaussian
        float64 (..., 1 + d + d^2), as `Moments.packed` gives them, summed; or the law.

    Returns
    -------
    tuple of numpy.ndarray
        float64 (...), (..., d) and (..., d, d).
    """
    if isinstance(one, Gaussian):
        return np.array(math.inf), one.mean, one.cov
    packed = np.asarray(one)
    d = (math.isqrt(4 * packed.shape[-1] - 3) - 1) // 2
    n = packed[..., 0]
    mean = packed[..., 1 : 1 + d] / n[..., None]
    products = packed[..., 1 + d :].reshape(*packed.shape[:-1], d, d)
    spread = products - n[..., None, None] * mean[..., :, None] * mean[..., None, :]
    return n, mean, spread / (n - 1)[..., None, None]


def unbiased(p, q) -> np.ndarray:
    """Return the exactly unbiased estimate of ``D`` between two normal laws from independent samples, in nats.

    With unbiased covariances ``S``, ``c = (m - d - 2)/(m - 1)`` and ``e(n)`` the mean of ``ln |S| - ln |Sigma|``,

    ``2 D = c [tr(S_q^-1 S_p) (1 - 1/n) + delta^T S_q^-1 delta] - d - d/m + ln |S_q| - e(m) - ln |S_p| + e(n)``.

    Unbiased for ``n >= d + 1`` and ``m >= d + 3``, of finite variance from ``m >= d + 5``; it may be negative. One of
    the two may be known: then its number of samples is infinite.

    Parameters
    ----------
    p, q : numpy.ndarray or Gaussian
        float64 (..., 1 + d + d^2), as `Moments.packed` gives them, summed; or a law.

    Returns
    -------
    numpy.ndarray
        float64 (...).

    References
    ----------
    Anderson, An Introduction to Multivariate Statistical Analysis (2003), sections 7.2, 7.5 and 7.7, for the moments
    of the Wishart law used.

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(2, 100000, 1)) * np.array([1.0, 2.0])[:, None, None]
    >>> p, q = (Moments.of(sample).packed()[0] for sample in x)
    >>> abs(unbiased(p, q) - (math.log(2) - 3 / 8)) < 0.01
    np.True_
    """
    n, mean_p, cov_p = covariance(p)
    m, mean_q, cov_q = covariance(q)
    d = mean_p.shape[-1]
    shrink = 1 - (d + 1) / (m - 1)
    delta = mean_q - mean_p
    inverse = np.linalg.inv(cov_q)
    trace = np.einsum("...ij,...ji->...", inverse, cov_p)
    distance = np.einsum("...i,...ij,...j->...", delta, inverse, delta)
    logs = _log_determinant(cov_q, m) - _log_determinant(cov_p, n)
    return (shrink * (trace * (1 - 1 / n) + distance) - d - d / m + logs) / 2


def _log_determinant(cov, n):
    """``ln |Sigma|``, unbiased, from an unbiased covariance of ``n`` samples."""
    log_determinant = np.linalg.slogdet(cov)[1]
    if np.isinf(n).all():
        return log_determinant
    d = cov.shape[-1]
    return log_determinant - digamma((n[..., None] - 1 - np.arange(d)) / 2).sum(axis=-1) - d * np.log(2 / (n - 1))
