"""Relative entropy from counts of symbols."""

import dataclasses

import numpy as np
from scipy.special import digamma

from isingflow.errors import ParameterError
from isingflow.parameters import choice

SYMMETRIES = ("none", "flip", "flip+reflect")


@dataclasses.dataclass(frozen=True, eq=False)
class Counts:
    """Counts of symbols, record by record: an additive statistic that merges over batches.

    Parameters
    ----------
    records : array_like of int
        (records, symbols), non-negative; in the order in which they were recorded, for instance one row for each
        configuration of a Markov chain.
    dof : int
        Variables in a symbol, for instance the spins of a window.

    Raises
    ------
    ParameterError
        If the counts are no non-negative integers or there are none.

    Examples
    --------
    >>> Counts([[5, 3], [4, 4]]).total.tolist()
    [9, 7]
    """

    records: np.ndarray
    dof: int = 1

    def __post_init__(self):
        try:
            records = np.asarray(self.records)
        except ValueError as error:
            raise ParameterError(f"counts must be integers (records, symbols): {error}") from error
        if records.ndim != 2 or not np.issubdtype(records.dtype, np.integer) or records.size == 0:
            raise ParameterError(f"counts must be integers (records, symbols), got {records.dtype} {records.shape}")
        if records.min() < 0 or records.sum() == 0:
            raise ParameterError("counts must be non-negative and not all zero")
        object.__setattr__(self, "records", records.astype(np.int64, copy=False))

    @property
    def total(self) -> np.ndarray:
        """int64 (symbols,): counts of all records together."""
        return self.records.sum(axis=0)

    def merge(self, other):
        """Return the records of both, these first."""
        if not isinstance(other, Counts) or other.records.shape[1] != self.records.shape[1] or other.dof != self.dof:
            raise ParameterError("only counts of the same symbols can be merged")
        return Counts(np.concatenate([self.records, other.records]), self.dof)

    def fold(self, symmetry):
        """Return the counts of the classes of symbols that a symmetry of windows of spins maps on each other.

        Parameters
        ----------
        symmetry : {"none", "flip", "flip+reflect"}
            "flip" turns every spin; "reflect" also reverses the order of a window's spins. Legal only where both
            laws have the symmetry: not with a field, nor for a sample stuck in one ordered phase.
        """
        choice("symmetry", symmetry, SYMMETRIES)
        if symmetry == "none":
            return self
        symbols = self.records.shape[1]
        if symbols != 2**self.dof:
            raise ParameterError(f"folding needs all 2**{self.dof} symbols of {self.dof} spins, got {symbols}")
        codes = np.arange(symbols)
        images = [codes, symbols - 1 - codes]
        if symmetry == "flip+reflect":
            reverse = sum(((codes >> bit) & 1) << (self.dof - 1 - bit) for bit in range(self.dof))
            images += [reverse, symbols - 1 - reverse]
        classes, members = np.unique(np.min(images, axis=0), return_inverse=True)
        folded = np.zeros((len(self.records), len(classes)), np.int64)
        np.add.at(folded.T, members, self.records.T)
        return Counts(folded, self.dof)


def zhang_grabchak(counts_p, counts_q) -> np.ndarray:
    """Return the bias-reduced estimate ``sum_i (a_i/n) [psi(m+1) - psi(b_i+1) - psi(n) + psi(a_i)]``, in nats.

    It is finite for symbols that q has not shown, and may be negative.

    Parameters
    ----------
    counts_p, counts_q : array_like of int
        (..., symbols): ``a`` with sum ``n``, ``b`` with sum ``m``.

    Returns
    -------
    numpy.ndarray
        float64 (...).

    References
    ----------
    Zhang & Grabchak, Neural Comput. 26, 2570 (2014), eq. (1.5), in digamma form.

    Examples
    --------
    >>> round(float(zhang_grabchak([5, 3, 0, 12, 1], [4, 0, 7, 9, 2])), 12)
    0.345021645022
    """
    a, b = np.asarray(counts_p), np.asarray(counts_q)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    terms = digamma(m + 1) - digamma(b + 1) - digamma(n) + digamma(np.maximum(a, 1))
    return np.sum(a / n * terms, axis=-1)


def plugin(counts_p, counts_q) -> np.ndarray:
    """Return the relative entropy of the observed frequencies, in nats: biased upward, ``inf`` if q misses a symbol.

    Parameters
    ----------
    counts_p, counts_q : array_like of int
        (..., symbols).

    Returns
    -------
    numpy.ndarray
        float64 (...).

    Examples
    --------
    >>> round(float(plugin([50, 30, 20], [20, 30, 50])), 12)
    0.274887219562
    """
    a, b = np.broadcast_arrays(counts_p, counts_q)
    p, q = a / a.sum(axis=-1, keepdims=True), b / b.sum(axis=-1, keepdims=True)
    ratio = np.divide(p, q, out=np.full(p.shape, np.inf), where=q > 0)
    return np.sum(p * np.log(ratio, out=np.zeros(p.shape), where=p > 0), axis=-1)
