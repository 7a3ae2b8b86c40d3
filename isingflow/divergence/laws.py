"""Known laws. A law is any object with ``relative_entropy_to(other)``; lattices bring their own."""

import dataclasses
import math

import numpy as np

from isingflow.errors import ParameterError


def _real_array(name, value, dimensions):
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must hold real numbers in an array: {error}") from error
    if array.ndim != dimensions or array.size == 0:
        raise ParameterError(f"{name} must have {dimensions} dimension(s) and not be empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ParameterError(f"{name} must be finite, got NaN or infinite entries")
    array.setflags(write=False)
    return array


@dataclasses.dataclass(frozen=True, eq=False)
class Gaussian:
    """A normal law.

    Parameters
    ----------
    mean : array_like of float
        (d,).
    cov : array_like of float
        (d, d), symmetric and positive definite.

    Raises
    ------
    ParameterError
        If the shapes do not fit, an entry is not finite, or the covariance is not positive definite.

    Examples
    --------
    >>> Gaussian([0.0], [[1.0]]).relative_entropy_to(Gaussian([1.0], [[4.0]]))
    0.4431471805599453
    """

    mean: np.ndarray
    cov: np.ndarray

    def __post_init__(self):
        mean, cov = _real_array("mean", self.mean, 1), _real_array("cov", self.cov, 2)
        if cov.shape != (len(mean), len(mean)):
            raise ParameterError(f"cov must have shape {(len(mean), len(mean))} like the mean, got {cov.shape}")
        size = np.sqrt(np.abs(np.diag(cov)))
        if (np.abs(cov - cov.T) > 1e-10 * np.outer(size, size)).any():
            raise ParameterError("cov must be symmetric to ten digits")
        cov = (cov + cov.T) / 2
        cov.setflags(write=False)
        try:
            np.linalg.cholesky(cov)
        except np.linalg.LinAlgError:
            raise ParameterError("cov must be positive definite") from None
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "cov", cov)

    @property
    def dof(self) -> int:
        """Number of components."""
        return len(self.mean)

    def relative_entropy_to(self, other) -> float:
        """Return ``D(self||other)`` in nats; `other` is a `Gaussian` of the same dimension."""
        if not isinstance(other, Gaussian) or other.dof != self.dof:
            raise ParameterError(
                f"a Gaussian in {self.dof} dimensions can only be compared with another, got {other!r}"
            )
        here, there = np.linalg.cholesky(self.cov), np.linalg.cholesky(other.cov)
        ratio = np.linalg.solve(there, here)
        shift = np.linalg.solve(there, other.mean - self.mean)
        log_ratio = 2 * np.sum(np.log(np.diag(there) / np.diag(here)))
        return float((np.sum(ratio**2) - self.dof + shift @ shift + log_ratio) / 2)

    def entropy(self) -> float:
        """Return the differential entropy ``[d ln(2 pi e) + ln |cov|]/2`` in nats, of either sign.

        Examples
        --------
        >>> Gaussian([0.0], [[1.0]]).entropy()
        1.4189385332046727
        """
        log_determinant = 2 * math.fsum(np.log(np.diag(np.linalg.cholesky(self.cov))))
        return (self.dof * math.log(2 * math.pi * math.e) + log_determinant) / 2


@dataclasses.dataclass(frozen=True, eq=False)
class Categorical:
    """A law on finitely many symbols.

    Parameters
    ----------
    probs : array_like of float
        (k,), non-negative, sum 1 within 1e-9.

    Raises
    ------
    ParameterError
        If `probs` is not a probability vector.

    Examples
    --------
    >>> round(Categorical([0.5, 0.5]).relative_entropy_to(Categorical([0.25, 0.75])), 9)
    0.143841036
    """

    probs: np.ndarray

    def __post_init__(self):
        probs = _real_array("probs", self.probs, 1)
        if probs.min() < 0 or abs(math.fsum(probs) - 1) > 1e-9:
            raise ParameterError(f"probs must be non-negative with sum 1, got sum {math.fsum(probs):.12g}")
        object.__setattr__(self, "probs", probs)

    @property
    def dof(self) -> int:
        """One variable."""
        return 1

    def relative_entropy_to(self, other) -> float:
        """Return ``D(self||other)`` in nats, ``inf`` where q excludes what p does not; same symbols."""
        if not isinstance(other, Categorical) or len(other.probs) != len(self.probs):
            raise ParameterError(f"a law on {len(self.probs)} symbols can only be compared with another, got {other!r}")
        p, q = self.probs[self.probs > 0], other.probs[self.probs > 0]
        return math.inf if (q == 0).any() else math.fsum(p * (np.log(p) - np.log(q)))

    def entropy(self) -> float:
        """Return ``-sum p ln p`` in nats, from 0 to ``ln k``.

        Examples
        --------
        >>> Categorical([0.5, 0.5, 0.0]).entropy() == math.log(2)
        True
        """
        seen = self.probs[self.probs > 0]
        return 0.0 - math.fsum(seen * np.log(seen))
