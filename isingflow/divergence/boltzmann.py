"""Relative entropy of samples with known energies: Boltzmann laws that share their statistics, not their couplings.

Between ``p ~ exp(K_p . s)`` and ``q ~ exp(K_q . s)`` everything depends on ``u = (K_q - K_p) . s`` and on one number,
``f = ln Z_q - ln Z_p``. The multistate Bennett acceptance ratio (MBAR) finds f from the samples of both, and with it
the weight of every pooled sample under p and under q; a divergence is then a sum over the pooled samples.
"""

import contextlib
import dataclasses
import functools
import itertools
import logging
import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from isingflow.errors import ConvergenceError, ParameterError
from isingflow.parameters import whole

FEWEST = 8
"""Samples in the shortest chain of which an autocorrelation time can be measured."""

NORMALIZED = 1e-9
"""How far the sums of the weights of a ladder may be from 1."""

MOST_ITERATIONS = 100
"""Newton steps after which pymbar gives up; from the pairwise free energies it takes about five."""

BRIDGED = 1e-9
"""Overlap below which not one sample in a thousand million is at home in both laws: no number then means anything."""


def _real(name, value):
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ParameterError(f"{name} must be an array of real numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise ParameterError(f"{name} must be integers or floats, got {array.dtype}")
    array = np.array(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ParameterError(f"{name} must be finite, got NaN or infinite entries")
    return array


@dataclasses.dataclass(frozen=True, eq=False)
class BoltzmannSamples:
    """Samples ``x`` of a law ``exp(couplings . statistics(x)) / Z`` with known couplings.

    Parameters
    ----------
    statistics : array_like of int or float
        (n,) or (n, s): what the couplings multiply, of the whole system (for instance the sum of ``s s'`` over all
        bonds), in the order in which it was recorded. Kept as a read-only float64 (n, s) copy.
    couplings : float or array_like of float
        Scalar or (s,), dimensionless. Kept as a read-only float64 (s,) copy.
    chains : int
        Independent Markov chains of equal length, one after the other along the first axis; at least 8 samples each.

    Raises
    ------
    ParameterError
        If the shapes do not fit, an entry is no finite real number, or a chain is too short.

    Examples
    --------
    >>> p = BoltzmannSamples([4, 0, 4, 8, 4, 4, 0, 8], 0.3)
    >>> p.statistics.shape, p.couplings.shape, len(p)
    ((8, 1), (1,), 8)
    """

    statistics: np.ndarray
    couplings: np.ndarray
    chains: int = 1

    def __post_init__(self):
        statistics, couplings = _real("statistics", self.statistics), _real("couplings", self.couplings)
        statistics = statistics[:, None] if statistics.ndim == 1 else statistics
        couplings = np.atleast_1d(couplings)
        if statistics.ndim != 2 or couplings.ndim != 1 or statistics.shape[1] != len(couplings) or not len(couplings):
            raise ParameterError(
                "statistics must be (n,) or (n, s), one column for each of the s couplings, "
                f"got {np.shape(self.statistics)} for couplings {np.shape(self.couplings)}"
            )
        chains = whole("chains", self.chains)
        if len(statistics) % chains or len(statistics) < FEWEST * chains:
            raise ParameterError(
                f"{chains} chain(s) of equal length need a multiple of {chains} samples, at least {FEWEST * chains}, "
                f"got {len(statistics)}"
            )
        for name, array in (("statistics", statistics), ("couplings", couplings)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "chains", chains)

    def __len__(self):
        return len(self.statistics)

    @property
    def influences(self) -> int:
        """Influence values: one for each sample."""
        return len(self)

    def merge(self, other):
        """Return the samples of both, where `other` continues the chains of this one.

        Raises
        ------
        ParameterError
            If the couplings or the numbers of chains differ.

        Examples
        --------
        >>> first, then = (BoltzmannSamples(np.full(16, s), 0.3, chains=2) for s in (0, 4))
        >>> first.merge(then).statistics[:, 0].reshape(2, 16)[:, 7:9].tolist()
        [[0.0, 4.0], [0.0, 4.0]]
        """
        if not isinstance(other, BoltzmannSamples) or not np.array_equal(other.couplings, self.couplings):
            raise ParameterError("only samples of one law can be merged: equal couplings of the same statistics")
        if other.chains != self.chains:
            raise ParameterError(f"samples to be merged must have as many chains, got {self.chains} and {other.chains}")
        per_chain = (one.statistics.reshape(self.chains, -1, len(self.couplings)) for one in (self, other))
        joined = np.concatenate(list(per_chain), axis=1)
        return BoltzmannSamples(joined.reshape(-1, len(self.couplings)), self.couplings, self.chains)

    def block_labels(self, blocks=20) -> np.ndarray:
        """Return the block of each sample: int64 (n,), values 0 to ``blocks - 1``, blocks that cross no chain.

        Parameters
        ----------
        blocks : int
            At least 2, a multiple of the number of chains, at most the number of samples.

        Raises
        ------
        ParameterError
            If they are none of these.

        Examples
        --------
        >>> BoltzmannSamples(np.zeros(9), 0.3).block_labels(3).tolist()
        [0, 0, 0, 1, 1, 1, 2, 2, 2]
        """
        blocks = whole("blocks", blocks, low=2)
        if blocks % self.chains or blocks > len(self):
            raise ParameterError(
                f"the number of blocks must be a multiple of the {self.chains} chain(s) and at most the number of "
                f"samples, {len(self)}, got {blocks}"
            )
        each, length = blocks // self.chains, len(self) // self.chains
        within = np.arange(length) * each // length
        return (np.arange(self.chains)[:, None] * each + within).ravel()


class Divergences(NamedTuple):
    """Divergences between p and q, nats: floats, or arrays of replicates."""

    value: float | np.ndarray
    reverse: float | np.ndarray
    jensen_shannon: float | np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class PooledEstimate:
    """Divergences between two Boltzmann laws from their pooled samples.

    Attributes
    ----------
    value, reverse, jensen_shannon : float
        ``D(p||q)``, ``D(q||p)`` and the Jensen-Shannon divergence with weights 1/2, nats, never negative.
    free_energy : float
        ``f = ln Z_q - ln Z_p``, nats.
    influence_p, influence_q : numpy.ndarray
        float64 (n,), (m,): influence of each sample on `value`, of zero mean in each sample. The variance of `value`
        is that of the mean of the one plus that of the mean of the other: see `isingflow.resampling.influence_error`.
    jensen_shannon_influence_p, jensen_shannon_influence_q : numpy.ndarray
        The same for `jensen_shannon`. Those of `reverse` are those of `value` with p and q exchanged.
    effective_p, effective_q : float
        Kish's effective number of pooled samples under p, and under q: from 1 to ``n + m``.
    overlap : float
        One minus the second eigenvalue of the overlap matrix, from 0 (disjoint) to 1 (the same law): below some 0.03
        values and errors are not to be trusted, and intermediate states are called for (`ladder`).
    """

    value: float
    reverse: float
    jensen_shannon: float
    free_energy: float
    influence_p: np.ndarray
    influence_q: np.ndarray
    jensen_shannon_influence_p: np.ndarray
    jensen_shannon_influence_q: np.ndarray
    effective_p: float
    effective_q: float
    overlap: float


def pooled(p, q) -> PooledEstimate:
    """Estimate the divergences between two Boltzmann laws from the samples of both.

    With ``r_i = exp(u_i - f)`` the pooled samples have weights ``w_i = 1/(n + m r_i)`` under p and ``r_i w_i`` under q,
    and f makes both sums 1. Then ``f - <u>_p = sum_i w_i (r_i - 1 - ln r_i)``: no term is negative, and none loses
    digits to a cancellation, however near the couplings are (for couplings ``dK`` apart, ``dK^2 Var(s)/2``). The other
    divergences are sums of the same kind. Equal couplings give exactly 0.

    Parameters
    ----------
    p, q : BoltzmannSamples
        With the same statistics; independent of each other. n and m may differ.

    Returns
    -------
    PooledEstimate

    Raises
    ------
    ParameterError
        If the statistics differ in number, ``u`` overflows, or the samples do not overlap.

    Notes
    -----
    The value is not clipped: it is a relative entropy itself, between the two sets of weights. Its bias is of order
    ``1/n``, near equal couplings the share ``-1/(n + m)`` of the value. A shift of the statistics changes nothing, an
    invertible linear map of them nothing if the couplings change inversely.

    References
    ----------
    Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008), eqs. (9) and (11); Bennett, J. Comput. Phys. 22, 245 (1976),
    for two states; Klimovich, Shirts & Mobley, J. Comput. Aided Mol. Des. 29, 397 (2015), for the overlap matrix.

    Examples
    --------
    Two-valued statistics, ``<s> = tanh K``; exact: 0.0353.

    >>> rng = np.random.default_rng(1)
    >>> p, q = (BoltzmannSamples(np.sign(rng.random(2000) - 1 / (1 + np.exp(2 * K))), K) for K in (0.6, 0.3))
    >>> found = pooled(p, q)
    >>> round(found.value, 4), round(found.overlap, 2)
    (0.0357, 0.98)
    """
    u = _log_ratios(p, q)
    n, m = len(p), len(q)
    f = _free_energy(u, n)
    x, w_p, w_q = _weigh(u - f, n)
    overlap = float((n + m) * np.sum(w_p * w_q))
    if overlap < BRIDGED:
        raise ParameterError(
            f"the samples of p and q do not overlap: u = (couplings of q - couplings of p) . statistics of p and of q "
            f"are up to {np.ptp(u):.3g} apart; insert samples at intermediate couplings and use a ladder"
        )
    terms, js_terms = _kl_terms(x, w_p, w_q), _js_terms(x, w_p, w_q)

    def influence(terms, slope):
        # f moves by minus the imbalance of the weights over its own slope, which is the overlap
        total = terms + slope / overlap * (w_q - w_p)
        return tuple(len(part) * (part - part.mean()) for part in (total[:n], total[n:]))

    # the derivatives by f; what is missing in the first one is the sum of w_p - w_q, which is zero
    psi_p, psi_q = influence(terms, m * np.sum(w_q * terms))
    js_psi_p, js_psi_q = influence(js_terms, m * np.sum(w_q * js_terms) - _from_mixture(x, w_q) / 2)
    return PooledEstimate(
        value=float(terms.sum()),
        reverse=float(_kl_terms(-x, w_q, w_p).sum()),
        jensen_shannon=float(js_terms.sum()),
        free_energy=f + _offset(p, q),
        influence_p=psi_p,
        influence_q=psi_q,
        jensen_shannon_influence_p=js_psi_p,
        jensen_shannon_influence_q=js_psi_q,
        effective_p=float(w_p.sum() ** 2 / (w_p @ w_p)),
        effective_q=float(w_q.sum() ** 2 / (w_q @ w_q)),
        overlap=overlap,
    )


def replicates(p, q, labels_p, labels_q, *, paired=False) -> tuple[Divergences, Divergences]:
    """Return what `pooled` gives without each block of p, and without each block of q, solved anew.

    Parameters
    ----------
    p, q : BoltzmannSamples
        As in `pooled`.
    labels_p, labels_q : array_like of int
        (n,) and (m,): the block of each sample, from 0, as `BoltzmannSamples.block_labels` gives them.
    paired : bool
        Whether equal blocks of p and q come from the same configurations and are to be deleted together.

    Returns
    -------
    tuple of Divergences
        float64 (blocks of p,) and (blocks of q,) arrays; the same twice where paired. The variance of an estimate is
        ``(blocks - 1) np.var(replicates)`` of the one plus that of the other.

    Raises
    ------
    ParameterError
        If the labels are not as said, or paired ones differ in number.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> p, q = (BoltzmannSamples(rng.normal(mean, size=1000), mean) for mean in (0.0, 0.5))  # exact: 0.125
    >>> without_p, without_q = replicates(p, q, p.block_labels(), q.block_labels())
    >>> without_p.value.shape, round(math.sqrt(19 * (np.var(without_p.value) + np.var(without_q.value))), 4)
    ((20,), 0.0036)
    """
    u = _log_ratios(p, q)
    n = len(p)
    labels_p, labels_q = _labels("labels_p", labels_p, n), _labels("labels_q", labels_q, len(q))
    blocks_p, blocks_q = labels_p.max() + 1, labels_q.max() + 1
    f = _free_energy(u, n)

    def without(kept_p, kept_q):
        rest, left = np.concatenate([u[:n][kept_p], u[n:][kept_q]]), np.count_nonzero(kept_p)
        return _divergences(*_weigh(rest - _free_energy(rest, left, near=f), left))

    if paired:
        if blocks_p != blocks_q:
            raise ParameterError(f"paired blocks must be equally many, got {blocks_p} and {blocks_q}")
        both = _stacked(without(labels_p != block, labels_q != block) for block in range(blocks_p))
        return both, both
    return (
        _stacked(without(labels_p != block, slice(None)) for block in range(blocks_p)),
        _stacked(without(np.ones(n, bool), labels_q != block) for block in range(blocks_q)),
    )


def _stacked(rows):
    return Divergences(*np.array(list(rows)).T)


def _labels(name, value, n):
    labels = np.asarray(value)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ParameterError(f"{name} must be integers ({n},), got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or len(np.unique(labels)) != labels.max() + 1 or labels.max() < 1:
        raise ParameterError(f"{name} must name at least 2 blocks, 0, 1, ..., none of them empty")
    return labels


def _check_pair(p, q):
    for name, one in (("p", p), ("q", q)):
        if not isinstance(one, BoltzmannSamples):
            raise ParameterError(f"{name} must be BoltzmannSamples, got {type(one).__name__}")
    if len(p.couplings) != len(q.couplings):
        raise ParameterError(
            f"p and q must have the same statistics, got {len(p.couplings)} and {len(q.couplings)} of them: "
            "give a law the couplings that it lacks as zeros"
        )


def _offset(p, q):
    """``u`` of the first sample of p: subtracted, so that f has the rounding of the spread of u, not of its size."""
    return float(p.statistics[0] @ (q.couplings - p.couplings))


def _log_ratios(p, q):
    """``u`` of the samples of p and then of q, (n + m,), less that of the first."""
    _check_pair(p, q)
    step = q.couplings - p.couplings
    with np.errstate(over="ignore", invalid="ignore"):
        u = np.concatenate([one.statistics @ step for one in (p, q)])
        u -= u[0]
        spread = np.ptp(u)
    if not np.isfinite(spread):
        raise ParameterError("the couplings of p and q are so far apart that the weights overflow")
    if spread == 0 and step.any():
        raise ParameterError(
            "all samples of p and q have the same energy, which cannot tell their laws apart: sample more, or at "
            "couplings where the states are not frozen"
        )
    return u


def _free_energy(u, n, near=None):
    """Solve for f: the samples' weights under p (or under q) add to 1.

    That is ``sum_i 1/(1 + (n/m) exp(f - u_i)) = m``. At ``f = min u`` every term is at least ``m/(n + m)``, at
    ``f = max u`` at most: the root lies between.
    """
    m = len(u) - n
    low, spread = float(u.min()), float(np.ptp(u))
    if spread == 0:
        return low

    @functools.cache
    def balance(share):
        f = low + share * spread
        if spread < 1:
            # of small ratios the excess over 1 has all the digits
            excess = np.expm1(u - f)
            return float(np.sum(excess / (n + m + m * excess))) / spread
        # of large ones Bennett's form, where samples on their own side cancel exactly
        y = u - (f - math.log(m / n))
        return _log_sum_sigmoid(y[:n]) - _log_sum_sigmoid(-y[n:])

    bracket = 0.0, 1.0
    if near is not None:
        guess = (near - low) / spread
        around = max(0.0, guess - 0.01), min(1.0, guess + 0.01)
        if balance(around[0]) >= 0 >= balance(around[1]):
            bracket = around
    return low + spread * brentq(balance, *bracket, xtol=1e-14)


def _sigmoid(y):
    # in place: for a million samples fresh memory costs more than arithmetic
    odds = np.negative(y)
    with np.errstate(over="ignore"):
        np.exp(odds, out=odds)
    odds += 1
    return np.reciprocal(odds, out=odds)


def _log_sum_sigmoid(y):
    # below the smallest float the sigmoid is its own exponential
    return math.log(_sigmoid(y).sum()) if y.max() > -700 else float(logsumexp(y))


def _weigh(x, n):
    """``x = ln r`` and the weights under p and q."""
    m = len(x) - n
    y = x + math.log(m / n)
    return x, _sigmoid(-y) / n, _sigmoid(y) / m


def _kl_terms(x, here, there):
    """``here (r - 1 - ln r)``, where ``there = r here``."""
    terms = there - here - here * x
    near = np.abs(x) < 0.03
    y = x[near]
    series = 1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720 + y * (1 / 5040 + y / 40320)))))
    terms[near] = here[near] * y * y * series
    return terms


def _js_terms(x, w_p, w_q):
    """``(w_p + w_q)/2 [z tanh z - ln cosh z]`` with ``z = x/2``."""
    tangent = np.tanh(x / 2)
    gap = x / 2 * tangent + np.log1p(-np.minimum(tangent**2, 0.99)) / 2
    far = np.abs(x) > 4
    y = np.abs(x[far])
    decay = np.exp(-y)
    gap[far] = math.log(2) - y * decay / (1 + decay) - np.log1p(decay)
    return (w_p + w_q) / 2 * gap


def _from_mixture(x, w_q):
    """``D(q||(p + q)/2)``."""
    return float(w_q @ (math.log(2) - np.maximum(-x, 0) - np.log1p(np.exp(-np.abs(x)))))


def _divergences(x, w_p, w_q):
    return Divergences(
        float(_kl_terms(x, w_p, w_q).sum()),
        float(_kl_terms(-x, w_q, w_p).sum()),
        float(_js_terms(x, w_p, w_q).sum()),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class LadderEstimate:
    """Divergences between two Boltzmann laws from their samples and those of states between them.

    Attributes
    ----------
    value, reverse, jensen_shannon : float
        As in `PooledEstimate`.
    stderr : float
        One standard error of `value`, nats.
    replicates : Divergences
        float64 (blocks,) arrays: the estimates without each block of all states at once.
    free_energies : numpy.ndarray
        float64 (states,): ``ln Z_k - ln Z_p``, nats, of p, of the states between as given, and of q.
    free_energy_replicates : numpy.ndarray
        float64 (blocks, states): the same without each block of all states at once.
    overlap : float
        One minus the second eigenvalue of the overlap matrix of all states, from 0 to 1: small where the ladder has a
        gap.
    """

    value: float
    reverse: float
    jensen_shannon: float
    stderr: float
    replicates: Divergences
    free_energies: np.ndarray
    free_energy_replicates: np.ndarray
    overlap: float


def ladder(p, q, between, *, blocks=20) -> LadderEstimate:
    """Estimate the divergences between two Boltzmann laws through samples of intermediate ones, with ``pymbar``.

    Parameters
    ----------
    p, q : BoltzmannSamples
        As in `pooled`.
    between : sequence of BoltzmannSamples
        Samples at other couplings of the same statistics, best in order from p to q; may be empty.
    blocks : int
        Blocks of consecutive samples for the delete-one-block jackknife, at least 4: block b of all states at once.

    Returns
    -------
    LadderEstimate

    Raises
    ------
    ParameterError
        If ``pymbar`` is not installed, the statistics differ in number, there are fewer samples than blocks, or the
        samples of neighbouring states do not overlap.
    ConvergenceError
        If the free energies are not found; it carries the nearest ones.

    Notes
    -----
    The first import of ``pymbar`` turns on the 64-bit mode of JAX, where that is installed.

    References
    ----------
    Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008), eqs. (9) and (11).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> p, middle, q = (BoltzmannSamples(rng.normal(mean, size=500), mean) for mean in (0.0, 2.0, 4.0))
    >>> found = ladder(p, q, [middle])  # doctest: +SKIP
    >>> round(found.value, 1), round(found.stderr, 1)  # exact: 8  # doctest: +SKIP
    (7.8, 0.1)
    """
    states = [p, *between, q]
    for state in states:
        _check_pair(p, state)
    blocks = whole("blocks", blocks, low=4)
    labels = np.concatenate([state.block_labels(blocks) for state in states])
    sizes = np.array([len(state) for state in states])
    owners = np.repeat(np.arange(len(states)), sizes)
    steps = np.array([state.couplings - p.couplings for state in states])
    origin = p.statistics[0]
    with np.errstate(over="ignore", invalid="ignore"):
        exponents = steps @ (np.concatenate([state.statistics for state in states]) - origin).T
    if not np.isfinite(exponents).all():
        raise ParameterError("the couplings of the states are so far apart that the weights overflow")
    pairs = itertools.pairwise(states)
    neighbours = [_free_energy(_log_ratios(a, b), len(a)) + _offset(a, b) for a, b in pairs]
    start = np.concatenate([[0.0], np.cumsum(neighbours)]) - steps @ origin

    found = _solve(exponents, sizes, start)
    weights = _log_weights(exponents, sizes, found)
    shares = np.sqrt(sizes)[:, None] * np.exp(weights)
    overlap = float(1 - np.linalg.eigvalsh(shares @ shares.T)[-2])
    if overlap < BRIDGED:
        raise ParameterError("the ladder has a gap that no samples bridge: insert states at couplings within it")

    def without(block):
        kept = labels != block
        rest, left = exponents[:, kept], np.bincount(owners[kept])
        free_energies = _solve(rest, left, found)
        return _ends(_log_weights(rest, left, free_energies)), free_energies

    ends, free_energies = zip(*map(without, range(blocks)), strict=True)
    all_replicates = _stacked(ends)
    return LadderEstimate(
        **_ends(weights)._asdict(),
        stderr=math.sqrt((blocks - 1) * np.var(all_replicates.value)),
        replicates=all_replicates,
        free_energies=found + steps @ origin,
        free_energy_replicates=np.array(free_energies) + steps @ origin,
        overlap=overlap,
    )


def _log_weights(exponents, sizes, free_energies):
    """Logarithms (states, samples) of the pooled samples' weights under every state."""
    logs = exponents - free_energies[:, None]
    return logs - logsumexp(logs, axis=0, b=sizes[:, None])


def _ends(weights):
    """Divergences between the first and the last state."""
    return _divergences(weights[-1] - weights[0], np.exp(weights[0]), np.exp(weights[-1]))


def _solve(exponents, sizes, start):
    """``ln Z_k - ln Z_0`` of all states, by pymbar."""
    with _quiet_pymbar():
        try:
            import pymbar
        except ImportError:
            raise ParameterError(
                "a ladder of states needs the package pymbar, which is not installed: pip install isingflow[mbar]"
            ) from None
        protocol = ({"method": "adaptive", "tol": 1e-10, "options": {"min_sc_iter": 0, "maxiter": MOST_ITERATIONS}},)
        settings = {"solver_protocol": protocol, "maximum_iterations": MOST_ITERATIONS}
        try:
            # without a seed pymbar would reseed numpy's global generator
            solved = pymbar.MBAR(-exponents, sizes, initial_f_k=-start, rseed=0, **settings)
        except (pymbar.utils.ParameterError, np.linalg.LinAlgError) as error:
            raise ConvergenceError(f"pymbar found no free energies: {error}", best=start) from error
    found = -np.asarray(solved.f_k)
    sums = np.exp(_log_weights(exponents, sizes, found)).sum(axis=1)
    if not (np.abs(sums - 1) < NORMALIZED).all():
        raise ConvergenceError(
            f"pymbar found no free energies: the weights add to {sums.min():.6g} to {sums.max():.6g} instead of 1; "
            "insert more intermediate states or sample more",
            best=found,
        )
    return found


@contextlib.contextmanager
def _quiet_pymbar():
    """Keep pymbar's log and warnings, which it also writes when it is imported, out of the caller's session."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
