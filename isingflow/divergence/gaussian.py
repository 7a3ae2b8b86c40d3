"""Relative entropy of samples modelled as normal, from their first and second moments."""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
from scipy.special import digamma
from threadpoolctl import ThreadpoolController

from isingflow.divergence.laws import Gaussian
from isingflow.errors import ParameterError
from isingflow.parameters import whole
from isingflow.resampling import block_sums

ROUNDING = 100 * np.finfo(np.float64).eps
"""Of a sum of squares."""


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Sums of samples and of their products, record by record: an additive statistic that merges over batches.

    Parameters
    ----------
    counts : array_like of int
        (records,): samples in each record, positive.
    sums : array_like of float
        (records, d): sums of the samples.
    products : array_like of float
        (records, d, d): sums of their outer products.
    origin : array_like of float, optional
        (d,): what was subtracted from the samples before they were summed, zero if not given. Anything near the mean
        saves digits; p and q must share it.

    Raises
    ------
    ParameterError
        If the shapes do not fit, an entry is not finite, or a count is not a positive whole number.

    Examples
    --------
    >>> Moments.of(np.array([[0.0, 1.0], [2.0, 3.0]])).sums.tolist()
    [[2.0, 4.0]]
    """

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    origin: np.ndarray | None = None

    def __post_init__(self):
        counts, sums, products = np.asarray(self.counts), np.asarray(self.sums), np.asarray(self.products)
        if sums.ndim != 2 or counts.shape != sums.shape[:1] or products.shape != (*sums.shape, sums.shape[1]):
            raise ParameterError(
                "moments must have shapes (records,), (records, d) and (records, d, d), "
                f"got {counts.shape}, {sums.shape} and {products.shape}"
            )
        if not (_all_finite(sums) and _all_finite(products)):
            raise ParameterError("moments must be finite, got NaN or infinite sums")
        origin = np.zeros(sums.shape[1]) if self.origin is None else np.array(self.origin, dtype=np.float64)
        if origin.shape != sums.shape[1:] or not np.isfinite(origin).all():
            raise ParameterError(f"origin must be finite, of shape {sums.shape[1:]} like a sample, got {self.origin!r}")
        fields = {"counts": _positive_counts(counts), "sums": sums, "products": products, "origin": origin}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, samples, origin=None):
        """Return the moments of one record of samples about an origin.

        Parameters
        ----------
        samples : array_like of float
            (n, d), n at least 1.
        origin : array_like of float, optional
            (d,), zero if not given.

        Raises
        ------
        ParameterError
            If there are no samples, or they are not finite or of another dimension than the origin.

        Examples
        --------
        >>> Moments.of(np.array([[5.0], [7.0]]), origin=[6.0]).products.tolist()
        [[[2.0]]]
        """
        return cls.of_blocks([samples], origin)

    @classmethod
    def of_blocks(cls, blocks, origin=None):
        """Return the moments of several records, each float (n, d), about one origin.

        The bits do not depend on the number of threads that BLAS may use: it uses one.

        Parameters
        ----------
        blocks : sequence of array_like of float
            (n, d) each, at least one; n may differ.
        origin : array_like of float, optional
            (d,), zero if not given.

        Raises
        ------
        ParameterError
            As for `of`.
        """
        blocks = [np.asarray(block, dtype=np.float64) for block in blocks]
        if not blocks or any(one.ndim != 2 or one.size == 0 or one.shape[1:] != blocks[0].shape[1:] for one in blocks):
            raise ParameterError(
                "samples must be (n, d) with n and d at least 1 and equal d, got "
                f"{', '.join(str(one.shape) for one in blocks) or 'none'}"
            )
        d = blocks[0].shape[1]
        if origin is not None and np.shape(origin) != (d,):
            raise ParameterError(f"origin must have shape {(d,)} like a sample, got {np.shape(origin)}")
        sums, products = np.empty((len(blocks), d)), np.empty((len(blocks), d, d))
        with one_blas_thread(), np.errstate(invalid="ignore", over="ignore"):
            for block, its_sum, its_products in zip(blocks, sums, products, strict=True):
                shifted = block if origin is None else block - origin
                shifted.sum(axis=0, out=its_sum)
                np.matmul(shifted.T, shifted, out=its_products)
        return cls(np.array([len(block) for block in blocks]), sums, products, origin)

    @property
    def dof(self) -> int:
        """Number of components."""
        return self.sums.shape[1]

    def merge(self, other):
        """Return the records of both, these first; their origins must be equal."""
        if not isinstance(other, Moments) or other.dof != self.dof:
            raise ParameterError("only moments of the same components can be merged")
        check_origins(self, other)
        parts = ((getattr(one, name) for one in (self, other)) for name in ("counts", "sums", "products"))
        return Moments(*(np.concatenate(list(part)) for part in parts), self.origin)

    def blocked(self, blocks):
        """Return the same moments in fewer records: sums of consecutive ones, as many in each as possible alike.

        Parameters
        ----------
        blocks : int
            Records wanted, at least 2 and at most those there are.

        Raises
        ------
        ParameterError
            If there are fewer records.
        """
        if blocks == len(self.counts):
            return self
        return Moments(*(block_sums(part, blocks) for part in (self.counts, self.sums, self.products)), self.origin)

    def packed(self) -> np.ndarray:
        """Return float64 (records, 1 + d + d^2): counts, sums and products side by side."""
        return np.concatenate(
            [self.counts[:, None], self.sums, self.products.reshape(len(self.sums), -1)], axis=1, dtype=np.float64
        )

    def squares(self) -> np.ndarray:
        """Return float64 (records, 1 + 2d): counts, sums and sums of squares side by side."""
        squares = np.einsum("rii->ri", self.products)
        return np.concatenate([self.counts[:, None], self.sums, squares], axis=1, dtype=np.float64)


def check_origins(one, other) -> None:
    """Raise `ParameterError` if two `Moments` were summed about different origins."""
    if not np.array_equal(one.origin, other.origin):
        raise ParameterError("moments must be about equal origins: sum both with one Moments.of(samples, origin)")


def _positive_counts(counts):
    if counts.dtype.kind not in "iuf" or not np.isfinite(counts).all() or (counts != np.floor(counts)).any():
        raise ParameterError(f"counts must be whole numbers, got {counts.dtype} {counts[:5].tolist()}")
    if (counts < 1).any():
        raise ParameterError(f"counts must be at least 1, got {counts.min()}: leave out empty records")
    return counts.astype(np.int64)


def _all_finite(array):
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()  # a single pass without a mask; only a sum that is not finite asks for a second look
    return bool(np.isfinite(total)) or bool(np.isfinite(array).all())


@functools.cache
def _thread_pools():
    return ThreadpoolController()  # finding the libraries takes a millisecond, limiting them microseconds


def one_blas_thread():
    """Return a context in which BLAS uses one thread: threaded products differ in their last bits."""
    return _thread_pools().limit(limits=1)


def checked_root(name, cov) -> np.ndarray:
    """Return the lower Cholesky factor of a covariance, or raise if a component is a combination of those before it.

    Parameters
    ----------
    name : str
        Whose covariance messages call it.
    cov : numpy.ndarray
        float64 (d, d).

    Raises
    ------
    ParameterError
        If of some component no more is left, given those before it, than rounding leaves.
    """
    # LAPACK reads columns: the transpose of a symmetric matrix costs no copy
    root, failed = lapack.dpotrf(cov.T, lower=1, clean=1)
    left = np.diag(root) ** 2 > 10 * len(cov) * np.finfo(float).eps * np.diag(cov)
    if failed or not left.all():
        raise ParameterError(
            f"the covariance of {name} is singular: drop constant or linearly dependent components, or, of moments far "
            "from their origin, subtract one nearer the mean"
        )
    return root


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
    places = np.arange(d)
    lost = constant(products[..., places, places], spread[..., places, places])
    if lost.any():  # such components have no covariance, and the estimate none without them
        spread = np.where(lost[..., :, None] | lost[..., None, :], np.nan, spread)
    return n, mean, spread / (n - 1)[..., None, None]


def constant(second_moments, spreads):
    """Return where sums of squares about the mean are no more than the rounding of those about the origin."""
    return ~(spreads > ROUNDING * second_moments)


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
    return log_determinant if np.isinf(n).all() else log_determinant - mean_log_determinant(n, cov.shape[-1])


def mean_log_determinant(n, d):
    """``e(n)``: the mean of ``ln |S| - ln |Sigma|`` for the unbiased covariance of ``n`` samples in d dimensions."""
    return digamma((n[..., None] - 1 - np.arange(d)) / 2).sum(axis=-1) + d * np.log(2 / (n - 1))


def diagonal(squares_p, squares_q) -> np.ndarray:
    """Return the exactly unbiased estimate of ``D`` between normal laws of independent components, in nats.

    The sum over components of the one-dimensional `unbiased`: with unbiased variances ``u`` of p and ``v`` of q,
    ``c = (m - 3)/(m - 1)`` and ``e(nu) = psi(nu/2) + ln(2/nu)``,

    ``2 D = sum_i c [u_i (1 - 1/n) + delta_i^2] / v_i - 1 - 1/m + ln v_i - e(m - 1) - ln u_i + e(n - 1)``.

    Unbiased for ``n >= 2`` and ``m >= 4``, of finite variance from ``m >= 6``. Of dependent components it estimates the
    sum of the relative entropies of the marginals, which may be more or less than that of the joint laws.

    Parameters
    ----------
    squares_p, squares_q : numpy.ndarray
        float64 (..., 1 + 2d), as `Moments.squares` gives them, summed.

    Returns
    -------
    numpy.ndarray
        float64 (...).

    References
    ----------
    Anderson, An Introduction to Multivariate Statistical Analysis (2003), sections 7.2 and 7.7, in one dimension.

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(2, 100000, 2)) * np.array([1.0, 2.0])[:, None, None]
    >>> p, q = (Moments.of(sample).squares()[0] for sample in x)
    >>> abs(diagonal(p, q) - 2 * (math.log(2) - 3 / 8)) < 0.02
    np.True_
    """
    n, mean_p, variance_p = _variances(squares_p)
    m, mean_q, variance_q = _variances(squares_q)
    n, m = n[..., None], m[..., None]
    each = _of_one_variance(n, m, variance_p, variance_q, (mean_q - mean_p) ** 2, n - 1, m - 1)
    return each.sum(axis=-1)


def isotropic(squares_p, squares_q) -> np.ndarray:
    """Return the exactly unbiased estimate of ``D`` between laws ``N(mu, s^2 I)``, in nats.

    The pooled variance ``u`` of p, the mean over components of the unbiased ones, is ``s^2 chi^2 / nu`` with
    ``nu = d (n - 1)`` degrees of freedom, that of q, ``v``, has ``kappa = d (m - 1)``. With the mean of ``1/v``,
    ``kappa/(kappa - 2) / s^2``, that of ``|delta|^2``, ``|mu_q - mu_p|^2 + d s_p^2/n + d s_q^2/m``,
    ``c = (kappa - 2)/kappa`` and ``e(nu) = psi(nu/2) + ln(2/nu)``,

    ``2 D = c [d u (1 - 1/n) + |delta|^2] / v - d - d/m + d [ln v - e(kappa) - ln u + e(nu)]``.

    Unbiased for ``n >= 2`` and ``kappa > 2``, of finite variance from ``kappa > 4``.

    Parameters
    ----------
    squares_p, squares_q : numpy.ndarray
        float64 (..., 1 + 2d), as `Moments.squares` gives them, summed.

    Returns
    -------
    numpy.ndarray
        float64 (...).

    References
    ----------
    As for `diagonal`; the pooled variance is a chi-squared variable (Cochran's theorem).

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(2, 100000, 2)) * np.array([1.0, 2.0])[:, None, None]
    >>> p, q = (Moments.of(sample).squares()[0] for sample in x)
    >>> abs(isotropic(p, q) - 2 * (math.log(2) - 3 / 8)) < 0.02
    np.True_
    """
    n, mean_p, variance_p = _variances(squares_p)
    m, mean_q, variance_q = _variances(squares_q)
    d = mean_p.shape[-1]
    pooled_p, pooled_q = variance_p.mean(axis=-1), variance_q.mean(axis=-1)
    shift = np.mean((mean_q - mean_p) ** 2, axis=-1)
    return d * _of_one_variance(n, m, pooled_p, pooled_q, shift, d * (n - 1), d * (m - 1))


def _variances(squares):
    """Number, means and unbiased variances, from packed squares."""
    squares = np.asarray(squares)
    d = squares.shape[-1] // 2
    n = squares[..., 0]
    mean = squares[..., 1 : 1 + d] / n[..., None]
    spreads = squares[..., 1 + d :] - n[..., None] * mean**2
    spreads = np.where(constant(squares[..., 1 + d :], spreads), np.nan, spreads)
    return n, mean, spreads / (n - 1)[..., None]


def _of_one_variance(n, m, variance_p, variance_q, squared_shift, degrees_p, degrees_q):
    """``D`` of one component, unbiased, from variances of so many degrees of freedom."""
    trace = _shrunk(degrees_q) * (variance_p * (1 - 1 / n) + squared_shift) / variance_q
    logs = np.log(variance_q) - _mean_log(degrees_q) - np.log(variance_p) + _mean_log(degrees_p)
    return (trace - 1 - 1 / m + logs) / 2


def _shrunk(degrees):
    """One over the mean of an inverse variance, in units of the law's."""
    return 1 - 2 / degrees


def _mean_log(degrees):
    """The mean of ``ln s^2 - ln sigma^2`` for an unbiased variance."""
    return digamma(degrees / 2) + np.log(2 / degrees)


def entropy(packed) -> np.ndarray:
    """Return the exactly unbiased estimate of a normal law's differential entropy, in nats.

    ``2 h = d (1 + ln 2 pi) + ln |S| - e(n)`` with ``e(n)`` the mean of ``ln |S| - ln |Sigma|``, for ``n >= d + 1``.

    Parameters
    ----------
    packed : numpy.ndarray
        float64 (..., 1 + d + d^2), as `Moments.packed` gives them, summed.

    Returns
    -------
    numpy.ndarray
        float64 (...). It changes with the unit of the samples, unlike a relative entropy.

    References
    ----------
    Ahmed & Gokhale, IEEE Trans. Inf. Theory 35, 688 (1989), section II; Anderson (2003), section 7.5.

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(100000, 1))
    >>> abs(entropy(Moments.of(x).packed()[0]) - (1 + math.log(2 * math.pi)) / 2) < 0.01
    np.True_
    """
    n, _, cov = covariance(packed)
    return (cov.shape[-1] * (1 + math.log(2 * math.pi)) + _log_determinant(cov, n)) / 2


def mutual_information(packed, split) -> np.ndarray:
    """Return the exactly unbiased estimate of the mutual information of components of a normal law, in nats.

    ``2 I = ln |S_1| + ln |S_2| - ln |S|``, each logarithm unbiased by itself; it may be negative. For ``n >= d + 1``.

    Parameters
    ----------
    packed : numpy.ndarray
        float64 (..., 1 + d + d^2), as `Moments.packed` gives them, summed.
    split : int
        The first so many components against the others, from 1 to d - 1.

    Returns
    -------
    numpy.ndarray
        float64 (...).

    Raises
    ------
    ParameterError
        If one side has no component.

    References
    ----------
    Cover & Thomas, Elements of Information Theory (2006), eqs. (8.34) and (8.48); for the bias as for `entropy`.

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(100000, 2)) @ [[1.0, 0.6], [0.0, 0.8]]
    >>> abs(mutual_information(Moments.of(x).packed()[0], 1) + math.log(0.8)) < 0.01
    np.True_
    """
    n, _, cov = covariance(packed)
    split = whole("split", split, low=1, high=cov.shape[-1] - 1)
    parts = cov[..., :split, :split], cov[..., split:, split:]
    return (sum(_log_determinant(part, n) for part in parts) - _log_determinant(cov, n)) / 2


class Quadratic(NamedTuple):
    """The influence of a sample on an estimate: ``y^T A y + linear . y - constant`` with ``y = x - mean``.

    It is the derivative of the estimate as weight moves to the sample at ``x`` from all samples alike: the values
    average to zero over the samples, and the estimate's deviation is, to first order, the mean of the values.

    Attributes
    ----------
    mean : numpy.ndarray
        float64 (d,): where the quadratic form is centred, about the origin of the moments it came from.
    linear : numpy.ndarray
        float64 (d,).
    curvature : numpy.ndarray
        float64 (d, d), symmetric; or (d,), where it is diagonal.
    constant : float
        The mean of the quadratic form, nats.
    """

    mean: np.ndarray
    linear: np.ndarray
    curvature: np.ndarray
    constant: float

    def of_points(self, x) -> np.ndarray:
        """Return the influence of each sample.

        Parameters
        ----------
        x : array_like of float
            (n, d), about the origin of the moments.

        Returns
        -------
        numpy.ndarray
            float64 (n,), nats.

        Raises
        ------
        ParameterError
            If the samples have another dimension.
        """
        x = np.asarray(x, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ParameterError(f"samples must be (n, {len(self.mean)}), got {x.shape}")
        y = x - self.mean
        with one_blas_thread():
            bent = y * self.curvature if self.curvature.ndim == 1 else y @ self.curvature
            return np.einsum("ni,ni->n", bent, y) + y @ self.linear - self.constant

    def of_totals(self, packed) -> np.ndarray:
        """Return the summed influence of the samples of each record.

        Parameters
        ----------
        packed : array_like of float
            (records, 1 + d + d^2) as of `Moments.packed`, or, where the curvature is diagonal, (records, 1 + 2d) as of
            `Moments.squares`.

        Returns
        -------
        numpy.ndarray
            float64 (records,), nats.

        Raises
        ------
        ParameterError
            If the records have another shape.
        """
        packed, d = np.asarray(packed, dtype=np.float64), len(self.mean)
        of_squares = self.curvature.ndim == 1 and packed.shape[-1:] == (1 + 2 * d,)
        if packed.ndim != 2 or not (of_squares or packed.shape[1] == 1 + d + d * d):
            also = f" or {1 + 2 * d}" if self.curvature.ndim == 1 else ""
            raise ParameterError(f"records must be (records, {1 + d + d * d}{also}), got {packed.shape}")
        counts, sums, second = packed[:, 0], packed[:, 1 : 1 + d], packed[:, 1 + d :]
        if self.curvature.ndim == 1 and not of_squares:
            second = second[:, :: d + 1]
        return self.of_sums(counts, sums, second)

    def of_sums(self, counts, sums, second):
        """`of_totals`, from the parts of records: counts, sums, and sums of squares or of products, flat."""
        with one_blas_thread():
            turned = self.curvature * self.mean if self.curvature.ndim == 1 else self.curvature @ self.mean
            # y^T A y summed: x^T A x - 2 mean^T A x + mean^T A mean
            at_zero = self.mean @ turned - self.linear @ self.mean - self.constant
            return second @ self.curvature.ravel() + sums @ (self.linear - 2 * turned) + counts * at_zero


def unbiased_gradient(p, q) -> tuple:
    """Return the influence of a sample of p, and of one of q, on `unbiased`.

    With covariances ``S`` divided by n and m, not by one less, ``Q = S_q^-1``, ``P = S_p^-1``,
    ``B = S_p + delta delta^T`` and ``c = (m - d - 2)/m``, which makes `unbiased` ``c tr(Q B)/2`` and logarithms,

    - of p: ``A = (c Q - P)/2``, ``linear = -c Q delta``;
    - of q: ``A = (Q - c Q B Q)/2``, ``linear = c Q delta``.

    Parameters
    ----------
    p, q : numpy.ndarray or Gaussian
        float64 (1 + d + d^2,), as `Moments.packed` gives them, summed; one of them may be a law.

    Returns
    -------
    tuple of Quadratic
        None in the place of a known law.

    References
    ----------
    Hampel, J. Am. Stat. Assoc. 69, 383 (1974), section 2 (the influence curve).

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(2, 1000, 3))
    >>> of_p, of_q = unbiased_gradient(*(Moments.of(sample).packed()[0] for sample in x))
    >>> bool(abs(of_p.of_points(x[0]).mean()) < 1e-12)
    True
    """
    with one_blas_thread():
        n, mean_p, cov_p = _divided_by_all(p)
        m, mean_q, cov_q = _divided_by_all(q)
        precision_p, precision_q = np.linalg.inv(cov_p), np.linalg.inv(cov_q)
        shrink = 1.0 if np.isinf(m) else 1 - (len(mean_p) + 2) / m
        # a known p has no mean to be subtracted, a known q no shrinkage: covariance() counts both as infinitely many
        of_p, of_q = gradients(mean_p, cov_p, precision_p, mean_q, precision_q, shrink)
    return (None if np.isinf(n) else of_p), (None if np.isinf(m) else of_q)


def _divided_by_all(one):
    n, mean, cov = covariance(one)
    return n, mean, cov if np.isinf(n) else cov * (1 - 1 / n)


def gradients(mean_p, cov_p, precision_p, mean_q, precision_q, shrink) -> tuple:
    """Return the influence of a sample of p, and of one of q, as a `Quadratic` each.

    Parameters
    ----------
    mean_p, mean_q : numpy.ndarray
        float64 (d,).
    cov_p, precision_p, precision_q : numpy.ndarray
        float64 (d, d): covariance of p, and inverse covariances.
    shrink : float
        Factor of ``precision_q`` that makes the estimate unbiased; 1 for laws.
    """
    d, delta = len(mean_p), mean_q - mean_p
    pulled = precision_q @ delta
    turned = precision_q @ cov_p
    scattered = turned @ precision_q + np.outer(pulled, pulled)
    trace = np.trace(turned)
    of_p = Quadratic(mean_p, -shrink * pulled, (shrink * precision_q - precision_p) / 2, (shrink * trace - d) / 2)
    # tr(Q S_q) = d and tr(Q B Q S_q) = tr(Q B)
    constant = (d - shrink * (trace + delta @ pulled)) / 2
    return of_p, Quadratic(mean_q, shrink * pulled, (precision_q - shrink * scattered) / 2, constant)


def diagonal_gradient(squares_p, squares_q) -> tuple:
    """Return the influence of a sample of p, and of one of q, on `diagonal`: as `unbiased_gradient`, by components.

    Parameters
    ----------
    squares_p, squares_q : numpy.ndarray
        float64 (1 + 2d,), as `Moments.squares` gives them, summed.

    Returns
    -------
    tuple of Quadratic
        Their curvature is (d,).
    """
    n, mean_p, variance_p = _variances(squares_p)
    m, mean_q, variance_q = _variances(squares_q)
    return _gradients_of_variances(n, m, mean_p, mean_q, variance_p, variance_q, (mean_q - mean_p) ** 2, m - 1)


def isotropic_gradient(squares_p, squares_q) -> tuple:
    """Return the influence of a sample of p, and of one of q, on `isotropic`, as `diagonal_gradient` does.

    Parameters
    ----------
    squares_p, squares_q : numpy.ndarray
        float64 (1 + 2d,), as `Moments.squares` gives them, summed.

    Returns
    -------
    tuple of Quadratic
        Their curvature is (d,), all alike.
    """
    n, mean_p, variance_p = _variances(squares_p)
    m, mean_q, variance_q = _variances(squares_q)
    d = len(mean_p)
    pooled_p, pooled_q = (np.full(d, one.mean()) for one in (variance_p, variance_q))
    shift = np.full(d, np.mean((mean_q - mean_p) ** 2))
    return _gradients_of_variances(n, m, mean_p, mean_q, pooled_p, pooled_q, shift, d * (m - 1))


def _gradients_of_variances(n, m, mean_p, mean_q, variance_p, variance_q, squared_shift, degrees_q):
    shrink = _shrunk(degrees_q)
    pulled = shrink * (mean_q - mean_p) / variance_q
    spread = shrink * (variance_p * (1 - 1 / n) + squared_shift) / variance_q**2
    # moving weight to x changes an unbiased variance by y^2 n/(n - 1) less itself
    of_p = (shrink * (1 - 1 / n) / variance_q - 1 / variance_p) / 2 * (n / (n - 1))
    of_q = (1 / variance_q - spread) / 2 * (m / (m - 1))
    return (
        Quadratic(mean_p, -pulled, of_p, float(of_p @ variance_p * (n - 1) / n)),
        Quadratic(mean_q, pulled, of_q, float(of_q @ variance_q * (m - 1) / m)),
    )


def entropy_gradient(packed) -> Quadratic:
    """Return the influence of a sample on `entropy`: ``(y^T S^-1 y - d)/2`` with the covariance divided by n.

    Parameters
    ----------
    packed : numpy.ndarray
        float64 (1 + d + d^2,), as `Moments.packed` gives them, summed.
    """
    with one_blas_thread():
        _, mean, cov = _divided_by_all(packed)
        return Quadratic(mean, np.zeros_like(mean), np.linalg.inv(cov) / 2, len(mean) / 2)


def mutual_information_gradient(packed, split) -> Quadratic:
    """Return the influence of a sample on `mutual_information`: that on the parts' entropies less that on the whole's.

    Parameters
    ----------
    packed : numpy.ndarray
        float64 (1 + d + d^2,), as `Moments.packed` gives them, summed.
    split : int
        As for `mutual_information`.

    Raises
    ------
    ParameterError
        If one side has no component.
    """
    with one_blas_thread():
        _, mean, cov = _divided_by_all(packed)
        split = whole("split", split, low=1, high=len(mean) - 1)
        curvature = -np.linalg.inv(cov)
        for part in (slice(None, split), slice(split, None)):
            curvature[part, part] += np.linalg.inv(cov[part, part])
        return Quadratic(mean, np.zeros_like(mean), curvature / 2, 0.0)
