"""Relative entropy from counts of symbols."""

import dataclasses

import numpy as np
from scipy.special import digamma, polygamma

from isingflow.errors import ParameterError
from isingflow.parameters import choice, whole
from isingflow.resampling import block_sums

SYMMETRIES = ("none", "flip", "flip+reflect")

LONGEST_WINDOW = 20
"""Spins in the longest window whose symbols are counted: a million of them."""

_DIGAMMA = digamma(np.arange(2**12, dtype=np.float64))
"""Digamma of small counts, which most counts are; that of 0 is minus infinity, and not used."""


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
        total = records.sum(dtype=np.float64)
        if records.min() < 0 or not 0 < total < 2**62:
            raise ParameterError(f"counts must be non-negative, not all zero and in all below 2**62, got {total:.4g}")
        records = records.astype(np.int64)
        records.setflags(write=False)
        object.__setattr__(self, "records", records)
        object.__setattr__(self, "dof", whole("dof", self.dof))

    @property
    def total(self) -> np.ndarray:
        """int64 (symbols,): counts of all records together."""
        return self.records.sum(axis=0)

    def merge(self, other):
        """Return the records of both, these first."""
        if not isinstance(other, Counts) or other.records.shape[1] != self.records.shape[1] or other.dof != self.dof:
            raise ParameterError("only counts of the same symbols can be merged")
        return Counts(np.concatenate([self.records, other.records]), self.dof)

    @classmethod
    def of(cls, windows, *, values=(-1, 1)):
        """Return the counts of one record of windows of spins: a batch of a stream, to be merged with others.

        Parameters
        ----------
        windows : array_like of int or bool
            (n, w), spins of two values, w at most 20. The symbol of a window has bit ``i`` set where spin ``i`` is the
            second of `values`.
        values : tuple
            The two values: stated, since one batch may not show both.

        Raises
        ------
        ParameterError
            If there are other values, or windows too long for counting.

        Examples
        --------
        >>> Counts.of([[-1, -1], [1, -1], [1, 1]]).records.tolist()
        [[1, 1, 0, 1]]
        """
        try:
            windows = np.asarray(windows)
            down, up = values
        except (TypeError, ValueError) as error:
            raise ParameterError(f"windows must be an array (n, w), and values two: {error}") from error
        if windows.ndim != 2 or windows.size == 0 or down == up:
            raise ParameterError(f"windows (n, w) of two different values are needed, got {windows.shape}, {values}")
        if not ((windows == up) | (windows == down)).all():
            raise ParameterError(f"windows must hold spins of the values {down} and {up} only")
        up = windows == up
        return cls(np.bincount(window_symbols(up), minlength=2 ** up.shape[1])[None], up.shape[1])

    def blocked(self, blocks):
        """Return the same counts in fewer records: sums of consecutive ones, as long as possible alike.

        Parameters
        ----------
        blocks : int
            Records wanted, at most those there are.
        """
        return Counts(block_sums(self.records, blocks), self.dof)

    def fold(self, symmetry, shape=None):
        """Return the counts of the classes of symbols that a symmetry of windows of spins maps on each other.

        Parameters
        ----------
        symmetry : {"none", "flip", "flip+reflect"}
            "flip" turns every spin; "reflect" adds the symmetries of the window's rectangle: the order of its rows
            reversed, that of its columns, and for a square window rows and columns exchanged. Legal only where both
            laws have the symmetry: "flip" not with a field, nor for a sample stuck in one ordered phase.
        shape : pair of int, optional
            Rows and columns of the window, `dof` spins in all, counted row by row. Without it: one row.

        Raises
        ------
        ParameterError
            If there are other symbols than those of all windows of `dof` spins, or of another shape.

        Examples
        --------
        >>> windows = Counts(np.ones((1, 2**9), np.int64), dof=9)
        >>> len(windows.fold("flip+reflect", shape=(3, 3)).total)
        51
        """
        symbols = self.records.shape[1]
        if choice("symmetry", symmetry, SYMMETRIES) != "none" and symbols != 2**self.dof:
            raise ParameterError(f"folding needs all 2**{self.dof} symbols of {self.dof} spins, got {symbols}")
        shape = _window_shape(self.dof, shape)
        if symmetry == "none":
            return self
        members = symmetry_classes(self.dof, symmetry, shape)
        folded = np.zeros((len(self.records), members.max() + 1), np.int64)
        np.add.at(folded.T, members, self.records.T)
        return Counts(folded, self.dof)


def _window_shape(spins, shape):
    if shape is None:
        return 1, spins
    try:
        rows, columns = shape
    except (TypeError, ValueError):
        raise ParameterError(f"shape must be a pair (rows, columns), got {shape!r}") from None
    rows, columns = whole("window rows", rows), whole("window columns", columns)
    if rows * columns != spins:
        raise ParameterError(f"shape must be that of windows of {spins} spins, got {rows} x {columns}")
    return rows, columns


def window_symbols(up) -> np.ndarray:
    """Return int64 (n,): the symbols of bool windows (n, w), bit ``i`` that of spin ``i``."""
    width = up.shape[1]
    if width > LONGEST_WINDOW:
        raise ParameterError(
            f"windows of {width} spins are too long for counting: at most {LONGEST_WINDOW}; for stationary chains take "
            "method='markov'"
        )
    return up @ (2 ** np.arange(width))


def symmetry_classes(spins, symmetry, shape=None) -> np.ndarray:
    """Return int64 (2**spins,): the class of each symbol under a symmetry, as in `Counts.fold`.

    Examples
    --------
    >>> symmetry_classes(2, "flip").tolist()
    [0, 1, 1, 0]
    """
    codes = np.arange(2**spins)
    window = np.arange(spins).reshape(_window_shape(spins, shape))
    images = [window]
    if symmetry == "flip+reflect":
        images = [window[::down, ::right] for down in (1, -1) for right in (1, -1)]
        if window.shape[0] == window.shape[1]:
            images += [image.T for image in images]
    # an image has spin `spin` of the window at `place`
    moved = [sum(((codes >> spin) & 1) << place for place, spin in enumerate(image.flat)) for image in images]
    if symmetry != "none":
        moved += [codes[-1] - image for image in moved]
    return np.unique(np.min(moved, axis=0), return_inverse=True)[1]


def _digamma(counts):
    """Digamma of whole numbers."""
    counts = np.asarray(counts)
    small = counts < len(_DIGAMMA)
    found = _DIGAMMA[np.where(small, counts, 1)]
    if not small.all():
        found = np.where(small, found, digamma(np.where(small, 1, counts)))
    return found


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
    return np.sum(a / a.sum(axis=-1, keepdims=True) * _bias_reduced_logs(a, b), axis=-1)


def _bias_reduced_logs(a, b):
    """``ln p/q`` of every symbol, as far as a sum over the samples of p is concerned."""
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    return _digamma(m + 1) - _digamma(b + 1) - _digamma(n) + _digamma(np.maximum(a, 1))


def zhang_grabchak_gradient(counts_p, counts_q) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of `zhang_grabchak` by the counts, but for terms of order ``1/n^2``.

    Parameters
    ----------
    counts_p, counts_q : array_like of int
        (..., symbols).

    Returns
    -------
    tuple of numpy.ndarray
        float64 (..., symbols) each. Their inner products with the counts vanish, but for such terms.
    """
    a, b = np.asarray(counts_p), np.asarray(counts_q)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    logs, frequencies = _bias_reduced_logs(a, b), a / n
    by_p = (logs - np.sum(frequencies * logs, axis=-1, keepdims=True)) / n
    by_q = polygamma(1, m + 1.0) - frequencies * polygamma(1, b + 1.0)
    return by_p, by_q


def markov(pairs_p, pairs_q) -> np.ndarray:
    """Return the relative entropy of windows of Markov chains, in nats, by the chain rule from `zhang_grabchak`.

    ``D = sum_i D(pair i) - sum_i D(spin i)``, over the w - 1 pairs of neighbours and the w - 2 inner spins.

    Parameters
    ----------
    pairs_p, pairs_q : array_like of int
        (..., 4 (w - 1)): for every pair of neighbours counts of (first, second) = (0, 0), (0, 1), (1, 0), (1, 1).

    Returns
    -------
    numpy.ndarray
        float64 (...).

    References
    ----------
    Cover & Thomas, Elements of Information Theory (2006), theorem 2.5.3.
    """
    tables_p, tables_q = _tables(pairs_p), _tables(pairs_q)
    pairs = zhang_grabchak(tables_p, tables_q).sum(axis=-1)
    return pairs - zhang_grabchak(_inner_spins(tables_p), _inner_spins(tables_q)).sum(axis=-1)


def markov_gradient(pairs_p, pairs_q) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of `markov` by the counts, as `zhang_grabchak_gradient` does."""
    tables_p, tables_q = _tables(pairs_p), _tables(pairs_q)
    inner = zhang_grabchak_gradient(_inner_spins(tables_p), _inner_spins(tables_q))
    gradients = []
    for of_pairs, of_spins in zip(zhang_grabchak_gradient(tables_p, tables_q), inner, strict=True):
        of_pairs[..., 1:, :2] -= of_spins[..., :1]
        of_pairs[..., 1:, 2:] -= of_spins[..., 1:]
        gradients.append(of_pairs.reshape(*of_pairs.shape[:-2], -1))
    return tuple(gradients)


def _tables(pairs):
    pairs = np.asarray(pairs)
    return pairs.reshape(*pairs.shape[:-1], -1, 4)


def _inner_spins(tables):
    """Counts (..., w - 2, 2) of the first spins of all pairs but the first."""
    return tables[..., 1:, :].reshape(*tables.shape[:-2], -1, 2, 2).sum(axis=-1)


def pair_places(width) -> np.ndarray:
    """Return int64 (2**width, width - 1): where each symbol of `window_symbols` counts in the tables of `markov`."""
    bits = np.arange(2**width)[:, None] >> np.arange(width) & 1
    return pair_codes(bits)


def pair_codes(up) -> np.ndarray:
    """Return int64 (n, w - 1): where the pairs of neighbours of windows (n, w) count in the tables of `markov`."""
    up = np.asarray(up, dtype=np.int64)
    return 4 * np.arange(up.shape[1] - 1) + 2 * up[:, :-1] + up[:, 1:]


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


def plugin_gradient(counts_p, counts_q) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of `plugin` by the counts, where it is finite."""
    a, b = np.asarray(counts_p), np.asarray(counts_q)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    seen = a > 0
    ratio = np.divide(a * m, n * b, out=np.ones(seen.shape), where=seen)
    logs = np.log(ratio)
    return (logs - np.sum(a / n * logs, axis=-1, keepdims=True)) / n, (1 - np.where(seen, ratio, 0.0)) / m


def entropy(counts) -> np.ndarray:
    """Return Zhang's bias-reduced estimate of the entropy, ``sum_i (a_i/n) [psi(n) - psi(a_i)]``, in nats.

    It is low by what the symbols not yet seen hold, which falls exponentially with n for each of them.

    Parameters
    ----------
    counts : array_like of int
        (..., symbols).

    Returns
    -------
    numpy.ndarray
        float64 (...).

    References
    ----------
    Zhang, Neural Comput. 24, 1368 (2012); Schuermann, Neural Comput. 27, 2097 (2015), for the digamma form.

    Examples
    --------
    >>> round(float(entropy([50, 50])), 6)  # of the observed frequencies ln 2 = 0.693147, low on average
    0.698172
    """
    a = np.asarray(counts)
    n = a.sum(axis=-1, keepdims=True)
    return np.sum(a / n * (_digamma(n) - _digamma(np.maximum(a, 1))), axis=-1)


def entropy_gradient(counts) -> np.ndarray:
    """Return the derivatives of `entropy` by the counts, but for terms of order ``1/n^2``."""
    a = np.asarray(counts)
    n = a.sum(axis=-1, keepdims=True)
    surprise = _digamma(n) - _digamma(np.maximum(a, 1))
    return (surprise - np.sum(a / n * surprise, axis=-1, keepdims=True)) / n


def jensen_shannon(counts_p, counts_q) -> np.ndarray:
    """Return the Jensen-Shannon divergence with weights 1/2, in nats, its bias removed to order ``1/n``.

    The plug-in value is corrected by the jackknife over single observations of p and of q, in closed form; it may
    become negative.

    Parameters
    ----------
    counts_p, counts_q : array_like of int
        (..., symbols), at least two observations each.

    Returns
    -------
    numpy.ndarray
        float64 (...).

    References
    ----------
    Quenouille, Biometrika 43, 353 (1956) (the correction); Lin, IEEE Trans. Inf. Theory 37, 145 (1991), eq. (4.1).

    Examples
    --------
    >>> round(float(jensen_shannon([50, 30, 20], [20, 30, 50])), 4)
    0.061
    >>> round(float(jensen_shannon([40, 0], [0, 50])), 9)  # disjoint: ln 2
    0.693147181
    """
    a, b = np.broadcast_arrays(counts_p, counts_q)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    value = np.sum(_js_terms(a / n, b / m), axis=-1)
    return value + _single_deletions(a, n, b / m, value) + _single_deletions(b, m, a / n, value)


def _single_deletions(a, n, other, value):
    """Minus the bias that the observations of one sample tell: ``(n - 1) (value - mean without one)``."""
    without = _js_terms(a / (n - 1), other)
    one_less = _js_terms(np.maximum(a - 1, 0) / (n - 1), other)
    mean = np.sum(without, axis=-1) + np.sum(a / n * (one_less - without), axis=-1)
    return (n[..., 0] - 1) * (value - mean)


def _js_terms(p, q):
    """``[p ln(p/m) + q ln(q/m)]/2`` with ``m = (p + q)/2``, of every symbol."""
    middle = (p + q) / 2
    logs = [np.log(np.divide(one, middle, out=np.ones_like(middle), where=one > 0)) for one in (p, q)]
    return (p * logs[0] + q * logs[1]) / 2


def jensen_shannon_gradient(counts_p, counts_q) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of the Jensen-Shannon divergence of the observed frequencies by the counts."""
    a, b = np.broadcast_arrays(counts_p, counts_q)
    p, q = a / a.sum(axis=-1, keepdims=True), b / b.sum(axis=-1, keepdims=True)
    gradients = []
    for one, counts in ((p, a), (q, b)):
        logs = np.log(np.divide(one, (p + q) / 2, out=np.ones_like(one), where=one > 0)) / 2
        gradients.append((logs - np.sum(one * logs, axis=-1, keepdims=True)) / counts.sum(axis=-1, keepdims=True))
    return tuple(gradients)
