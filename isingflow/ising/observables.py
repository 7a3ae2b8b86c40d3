"""Observables of sampled square lattices, with error bars that know of autocorrelation.

Every quantity is a function of means over configurations. Its error comes from the influence of each configuration on
it, so that curvature and correlations between the means are accounted for, to first order.
"""

import dataclasses
import math
import warnings
from typing import NamedTuple

import numpy as np

from isingflow.errors import ParameterError, ShortRunWarning
from isingflow.ising.decimation import pair_counts
from isingflow.ising.packing import PackedSpins, pack
from isingflow.ising.sampling import SquareSample
from isingflow.ising.square import statistics
from isingflow.parameters import coupling as checked_coupling
from isingflow.parameters import whole
from isingflow.resampling import autocorrelation_time

BATCH = 2**26
"""Spins that are unpacked at a time."""

SHORTEST = 8
"""Configurations of a chain from which on its own autocorrelation time is looked for."""

MANY = 20
"""Chains from which on their means tell the error where the chains are too short to do so."""


ROUNDING = 1e-12
"""A structure factor smaller than this, relative to that at zero wave vector, is rounding."""


class Measured(NamedTuple):
    """A value and one standard error."""

    value: float
    error: float


@dataclasses.dataclass(frozen=True, eq=False)
class SquareObservables:
    """What `observables` found.

    ``N = side**2``, ``m = sum_i s_i / N``; ``<>`` is the mean over configurations.

    Attributes
    ----------
    bond : Measured
        ``<s s'>`` of nearest neighbours.
    energy : Measured
        ``u = -(K1 sum s s' + K2 sum s s'' + K3 sum ssss + H sum s) / N``, the energy per site in units of ``k_B T``.
    specific_heat : Measured
        ``N (<u^2> - <u>^2)`` per site, in units of ``k_B``.
    magnetization, absolute_magnetization : Measured
        ``<m>`` and ``<|m|>``.
    susceptibility : Measured
        ``N (<m^2> - <|m|>^2)``, in units of ``1 / k_B T``: for the ordered phase, where m has either sign.
    structure_factor : Measured
        ``S(0) = N <m^2>``: the susceptibility of the disordered phase.
    binder_cumulant : Measured
        ``1 - <m^4> / (3 <m^2>^2)``: 0 far above the critical temperature, 2/3 far below (Binder, Z. Phys. B 43, 119
        (1981)).
    correlation_length : Measured
        Second moment, ``sqrt(S(0) / S(k) - 1) / (2 sin(pi / side))`` with the smallest wave vector k along an axis
        (Cooper, Freedman & Preston, Nucl. Phys. B 210, 210 (1982)), in lattice constants. In the ordered phase it is no
        correlation length and grows with the side; NaN where ``S(0) <= S(k)`` or ``S(k) = 0``.
    distance : numpy.ndarray
        int64 (side // 2 + 1,): 0, 1, ..., in lattice constants.
    correlation, correlation_error : numpy.ndarray
        float64 (side // 2 + 1,): ``<s_0 s_r>`` at these distances along rows and columns, not the connected one, and
        its standard error.
    samples, chains : int
        Configurations, and independent chains they came from.
    """

    bond: Measured
    energy: Measured
    specific_heat: Measured
    magnetization: Measured
    absolute_magnetization: Measured
    susceptibility: Measured
    structure_factor: Measured
    binder_cumulant: Measured
    correlation_length: Measured
    distance: np.ndarray
    correlation: np.ndarray
    correlation_error: np.ndarray
    samples: int
    chains: int


def observables(sample, coupling, *, diagonal=0.0, plaquette=0.0, field=0.0, chains=None) -> SquareObservables:
    """Measure a sample of the square lattice.

    Parameters
    ----------
    sample : SquareSample, PackedSpins, or array_like of int8
        Of shape (samples, side, side), values -1 and +1, periodic; at least 8 configurations, chain after chain, each
        in the order of its updates.
    coupling, diagonal, plaquette, field : float
        ``K1``, ``K2``, ``K3`` and ``H`` it was sampled with, dimensionless, in [-100, 100].
    chains : int, optional
        Independent chains that share the configurations evenly, as `isingflow.ising.sampling.sample_square` does. Those
        of the sample without it, or 1.

    Returns
    -------
    SquareObservables

    Raises
    ------
    ParameterError
        If the array is no sample of square lattices, there are fewer than 8 of them, or an argument is out of range.

    Warns
    -----
    ShortRunWarning
        If the chains are too short to know their autocorrelation time, and too few to do without it.

    Notes
    -----
    Squares of means and variances have a bias of the order of their error squared, ``2 tau / samples`` relative.

    References
    ----------
    Newman & Barkema, Monte Carlo Methods in Statistical Physics (1999), chapter 3; Wolff, Comput. Phys. Commun. 156,
    143 (2004), for the errors.

    Examples
    --------
    >>> from isingflow.ising.sampling import sample_square
    >>> found = observables(sample_square(0.3, side=32, samples=2000, rng=1), 0.3)
    >>> print(f"{found.bond.value:.3f} +- {found.bond.error:.3f}")  # exact: 0.352
    0.353 +- 0.001
    """
    couplings = {"coupling": coupling, "diagonal": diagonal, "plaquette": plaquette, "field": field}
    k1, k2, k3, h = (checked_coupling(name, value) for name, value in couplings.items())
    packed, chains = _checked(sample, chains)
    samples, side, _ = packed.shape
    sites = side * side

    counts = pair_counts(packed, ((0, 1), (1, 0)))
    bonds = counts @ [1, -1, -1, 1]
    m = (counts @ [-1, 0, 0, 1]) / (2 * sites)  # a spin begins two pairs, and is their first one as often as the second
    exponent = k1 * bonds + h * sites * m
    wave = np.empty(samples)
    for batch in _batches(packed):
        spins = packed[batch].spins()
        wave[batch] = _smallest_wave(spins)
        if k2 or k3:
            exponent[batch] += statistics(spins)[:, 1:3] @ [k2, k3]
    u = -exponent / sites

    def measured(columns, function):
        return _measured(np.stack(columns, axis=1), function, chains)

    def correlation_length(means):
        zero, smallest = means
        ratio = zero / smallest - 1 if smallest > ROUNDING * zero else math.nan
        return math.sqrt(ratio) / (2 * math.sin(math.pi / side)) if ratio > 0 else math.nan

    pairs = [np.full(samples, 2.0 * sites)]
    pairs += [pair_counts(packed, ((0, r), (r, 0))) @ [1.0, -1.0, -1.0, 1.0] for r in range(1, side // 2 + 1)]
    correlation = np.array([measured([one / (2 * sites)], lambda x: x[0]) for one in pairs])
    return SquareObservables(
        bond=measured([bonds / (2 * sites)], lambda x: x[0]),
        energy=measured([u], lambda x: x[0]),
        specific_heat=measured([u - u.mean(), (u - u.mean()) ** 2], lambda x: sites * (x[1] - x[0] ** 2)),
        magnetization=measured([m], lambda x: x[0]),
        absolute_magnetization=measured([np.abs(m)], lambda x: x[0]),
        susceptibility=measured([np.abs(m), m**2], lambda x: sites * (x[1] - x[0] ** 2)),
        structure_factor=measured([m**2], lambda x: sites * x[0]),
        binder_cumulant=measured([m**2, m**4], lambda x: 1 - x[1] / (3 * x[0] ** 2) if x[0] else math.nan),
        correlation_length=measured([sites * m**2, wave], correlation_length),
        distance=np.arange(side // 2 + 1),
        correlation=correlation[:, 0],
        correlation_error=correlation[:, 1],
        samples=samples,
        chains=chains,
    )


def _checked(sample, chains):
    if isinstance(sample, SquareSample):
        packed, chains = sample.packed, sample.chains if chains is None else chains
    else:
        packed = sample if isinstance(sample, PackedSpins) else pack(sample)
    samples, rows, columns = packed.shape
    if rows != columns or rows < 2:
        raise ParameterError(f"a sample of square lattices is needed, got rows={rows}, columns={columns}")
    if samples < SHORTEST:
        raise ParameterError(f"an error bar needs at least {SHORTEST} configurations, got {samples}: sample more")
    return packed, whole("chains", 1 if chains is None else chains, high=samples)


def _batches(packed):
    samples, side, _ = packed.shape
    size = max(1, BATCH // side**2)
    return [slice(first, min(first + size, samples)) for first in range(0, samples, size)]


def _smallest_wave(spins):
    """``|sum_j s_j exp(i k r_j)|^2 / N`` at the smallest wave vector, mean of both axes; int8 spins (samples, L, L)."""
    side = spins.shape[1]
    wave = np.exp(2j * np.pi * np.arange(side) / side)
    along, down = (np.abs(spins.sum(axis=axis, dtype=np.int32) @ wave) ** 2 for axis in (1, 2))
    return (along + down) / (2 * side**2)


def _measured(columns, function, chains):
    """Evaluate a function of the means of float64 `columns` (samples, k), and its error from their influence on it."""
    means = columns.mean(axis=0)
    value = function(means)
    if math.isnan(value):
        return Measured(math.nan, math.nan)
    # the derivative by each mean: a step of a thousandth of its spread, small against curvature, far from rounding
    steps = 1e-3 * columns.std(axis=0)
    influence = np.zeros(len(columns))
    for k in np.flatnonzero(steps):
        step = np.zeros_like(means)
        step[k] = steps[k] / math.sqrt(len(columns))
        slope = (function(means + step) - function(means - step)) / (2 * step[k])
        influence += slope * (columns[:, k] - means[k])
    return Measured(float(value), _error(influence, chains))


def _error(influence, chains):
    """Standard error of the mean of influence values of chains that share them evenly."""
    n = len(influence)
    bounds = [n * chain // chains for chain in range(chains + 1)]
    if np.ptp(influence) == 0:
        return 0.0
    shortest, time, enough = n // chains, 0.5, False
    if shortest >= SHORTEST:
        found = autocorrelation_time([influence[start : start + shortest] for start in bounds[:-1]])
        time, enough = found.time, found.enough
    if not enough and chains >= MANY:
        sums = np.add.reduceat(influence, bounds[:-1])
        return math.sqrt(chains / (chains - 1) * np.sum(sums**2)) / n
    if not enough:
        warnings.warn(
            f"{n} configurations of {chains} chains are too few to know their autocorrelation time: error bars may be "
            "too small; sample more",
            ShortRunWarning,
            stacklevel=5,
        )
    return math.sqrt(2 * time * np.var(influence) / n)
