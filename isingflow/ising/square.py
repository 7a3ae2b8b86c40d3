"""The square-lattice Ising model, exact: Onsager on the plane, Kaufman on the torus, enumeration when small.

Conventions: ``p(s) ~ exp(K sum_<ij> s_i s_j)`` with dimensionless nearest-neighbour coupling ``K`` in
[-100, 100], ``2 N`` bonds on a torus of ``N = side**2`` sites (counted with multiplicity, which matters for
side 2). Thermodynamics is even in ``K`` on the plane and on tori of even side; formulas that need a
ferromagnet refuse a negative coupling.

References: Onsager, Phys. Rev. 65, 117 (1944); Kaufman, Phys. Rev. 76, 1232 (1949); McCoy & Wu, The
Two-Dimensional Ising Model (1973), chapters V and VIII.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import toeplitz
from scipy.special import ellipe, ellipkm1

from isingflow.errors import ParameterError
from isingflow.parameters import choice, finite, whole
from isingflow.parameters import coupling as checked_coupling

CRITICAL_COUPLING = math.log1p(math.sqrt(2)) / 2
"""``K_c = ln(1 + sqrt 2)/2``, where ``sinh 2K = 1``."""

LARGEST_ENUMERATION = 4
"""Side of the largest torus whose configurations are enumerated: 2**16 of them."""


def coupling_from_temperature(temperature) -> float:
    """Return ``K = 1/T`` for a temperature in units of ``J/k_B``, at least 0.01.

    Raises
    ------
    ParameterError
        If `temperature` is not finite or below 0.01.

    Examples
    --------
    >>> coupling_from_temperature(2.0)
    0.5
    """
    return 1 / finite("temperature", temperature, low=0.01)


@functools.cache
def _double_exponential(step):
    """Nodes and weights on (0, 1) of the tanh-sinh rule: exact also where the integrand is sharp or singular at 0."""
    t = np.arange(-4.5, 4.5 + step / 2, step)
    node = 1 / (1 + np.exp(-np.pi * np.sinh(t)))
    weight = step * np.pi * np.cosh(t) * node / (1 + np.exp(np.pi * np.sinh(t)))
    return node, weight


def _onsager_average(coupling, integrand):
    """Average over the angle of ``integrand(S, cos^2)``, ``S = sqrt(1 - kappa^2 cos^2)``; sharp at 0 near ``K_c``."""
    node, weight = _double_exponential(1 / 32)
    angle = node * (np.pi / 2)
    tanh = math.tanh(2 * coupling)
    root = np.hypot(np.sin(angle), (2 * tanh**2 - 1) * np.cos(angle))
    return float(weight @ integrand(root, np.cos(angle) ** 2))


def _dual(coupling):
    """The dual coupling ``K* = -1/2 ln tanh K``."""
    return -math.log(math.tanh(coupling)) / 2 if coupling < 0.5 else math.atanh(math.exp(-2 * coupling))


def _lowest_energy(coupling):
    """``e_0 = 2 K + ln tanh K = 2 (K - K*)``: negative below ``K_c``, zero there."""
    return 0.0 if coupling == CRITICAL_COUPLING else 2 * (coupling - _dual(coupling))


@dataclasses.dataclass(frozen=True)
class _Sector:
    """One of Kaufman's two sectors of momenta: odd (``q = (2k + 1) pi / L``) or even (``q = 2 k pi / L``)."""

    momenta: np.ndarray
    energies: np.ndarray  # e_q, at q = 0 with its sign
    slopes: np.ndarray  # d e_q / dK

    @classmethod
    def of(cls, coupling, side, parity):
        q = np.pi * (2 * np.arange(side) + parity) / side
        lowest = _lowest_energy(coupling)
        sinh, cosh = math.sinh(2 * coupling), math.cosh(2 * coupling)
        half = np.hypot(math.sinh(lowest / 2), np.sin(q / 2))  # sinh(e_q / 2)
        energies = 2 * np.arcsinh(half)
        if parity:
            slopes = cosh * (1 - 1 / sinh**2) / (half * np.sqrt(1 + half**2))
        else:
            energies[0] = lowest
            slopes = np.empty(side)
            slopes[0] = 2 + 2 / sinh
            slopes[1:] = cosh * (1 - 1 / sinh**2) / (half * np.sqrt(1 + half**2))[1:]
        return cls(q, energies, slopes)


class _Kaufman(NamedTuple):
    """Kaufman's four products ``Z_X`` over their largest; ``2 sinh(L e_0 / 2)`` of the fourth, 0 at ``K_c``, apart."""

    odd: _Sector
    even: _Sector
    log_scale: float
    factors: np.ndarray  # float64 (4,): odd cosh, even cosh, odd sinh, even sinh without its q = 0
    sinh: float  # 2 sinh(L e_0 / 2) and 2 cosh(L e_0 / 2), both over exp(|L e_0 / 2|)
    cosh: float

    @classmethod
    def of(cls, coupling, side):
        odd, even = (_Sector.of(coupling, side, parity) for parity in (1, 0))
        x, y = side * odd.energies / 2, side * even.energies / 2
        lowest, rest = y[0], y[1:]
        logs = np.array(
            [
                np.sum(x + np.log1p(np.exp(-2 * x))),
                np.sum(np.abs(y) + np.log1p(np.exp(-2 * np.abs(y)))),
                np.sum(x + np.log1p(-np.exp(-2 * x))),
                np.sum(rest + np.log1p(-np.exp(-2 * rest))) + abs(lowest),
            ]
        )
        sinh, cosh = -math.expm1(-2 * abs(lowest)), 1 + math.exp(-2 * abs(lowest))
        return cls(odd, even, float(logs.max()), np.exp(logs - logs.max()), math.copysign(sinh, lowest), cosh)

    def total(self, odd_cosh=1.0, even_cosh=1.0, odd_sinh=1.0, even_sinh=None):
        """Sum of the products, each times a number; the fourth number replaces the split-off factor too."""
        last = self.sinh if even_sinh is None else even_sinh
        return float(self.factors @ [odd_cosh, even_cosh, odd_sinh, last])

    def log_slope(self):
        """Derivative in ``K`` of the logarithm of the sum."""
        odd, even, half = self.odd, self.even, (len(self.odd.energies)) / 2
        x, y = half * odd.energies, half * even.energies
        coth = half * even.slopes[1:] @ (1 / np.tanh(y[1:]))
        return (
            self.total(
                half * odd.slopes @ np.tanh(x),
                half * even.slopes @ np.tanh(y),
                half * odd.slopes @ (1 / np.tanh(x)),
                self.sinh * coth + self.cosh * half * even.slopes[0],
            )
            / self.total()
        )


def _even(coupling, side):
    """The coupling's size, for quantities even in ``K``; an odd torus has no such symmetry."""
    coupling = checked_coupling("coupling", coupling)
    if side is not None:
        side = whole("side", side, low=2)
        if coupling < 0 and side % 2:
            raise ParameterError(f"a negative coupling needs a torus of even side, got side={side}")
    return abs(coupling), side


def log_partition(coupling, *, side=None) -> float:
    """Return ``ln Z`` per site, in nats.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in [-100, 100].
    side : int, optional
        ``L`` of the ``L x L`` torus, at least 2 (even, where the coupling is negative); the infinite plane
        without it.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    References
    ----------
    Onsager (1944), eq. (109); Kaufman (1949), eq. (80).

    Examples
    --------
    >>> round(log_partition(CRITICAL_COUPLING), 9)
    0.929695398
    >>> round(16 * log_partition(0.4, side=4), 9)
    14.561093024
    """
    coupling, side = _even(coupling, side)
    if coupling < 1e-9:  # the rest, of order K^2, is below the last digit
        return math.log(2)
    if side is None:
        log_2cosh = 2 * coupling + math.log1p(math.exp(-4 * coupling))
        return log_2cosh + _onsager_average(coupling, lambda root, _: np.log1p((root - 1) / 2)) / 2
    kaufman = _Kaufman.of(coupling, side)
    log_2sinh = 2 * coupling + math.log(-math.expm1(-4 * coupling))
    return log_2sinh / 2 + (kaufman.log_scale + math.log(kaufman.total() / 2)) / side**2


def bond_correlation(coupling, *, side=None) -> float:
    """Return ``<s s'>`` of a nearest-neighbour bond, half the derivative of `log_partition` in ``K``.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in [-100, 100].
    side : int, optional
        ``L`` of the torus, at least 2 (even, where the coupling is negative); the infinite plane without it.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> round(bond_correlation(0.3), 9)
    0.352249535
    >>> abs(bond_correlation(CRITICAL_COUPLING) - math.sqrt(0.5)) < 1e-14
    True
    """
    size, side = _even(coupling, side)
    if size == 0:
        return 0.0
    if side is None:
        sinh, cosh, tanh = math.sinh(2 * size), math.cosh(2 * size), math.tanh(2 * size)
        # d(kappa^2)/dK / 2, with kappa = 2 sinh 2K / cosh^2 2K
        slope = 0.0 if size == CRITICAL_COUPLING else 8 * tanh * (1 - sinh**2) / cosh**2 / cosh**2
        average = _onsager_average(size, lambda root, cos2: cos2 / (root * (1 + root)))
        bond = tanh - slope * average / 4
    elif size < 1e-4:  # the terms below, of order 1/K, cancel
        bond = _weak_bond(size, side)
    else:
        bond = (1 / math.tanh(2 * size) + _Kaufman.of(size, side).log_slope() / side**2) / 2
    return math.copysign(bond, coupling)


def _weak_bond(coupling, side):
    """The bond correlation of a torus at weak coupling, from the shortest paths between neighbours."""
    if side == 2:  # a ring of four double bonds
        double = math.tanh(2 * coupling)
        return (double + double**3) / (1 + double**4)
    t = math.tanh(coupling)
    return t + 2 * t**3 + {3: t**2, 4: t**3, 5: t**4}.get(side, 0.0)


def specific_heat(coupling) -> float:
    """Return the specific heat per site of the plane in units of ``k_B``, ``K^2 d^2 ln z / dK^2``.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in [-100, 100].

    Returns
    -------
    float
        ``inf`` at ``K_c``.

    Raises
    ------
    ParameterError
        If `coupling` is not finite or out of range.

    References
    ----------
    Onsager (1944), eq. (117).

    Examples
    --------
    >>> round(specific_heat(0.4), 9)
    0.861698357
    """
    coupling = abs(checked_coupling("coupling", coupling))
    if coupling == CRITICAL_COUPLING:
        return math.inf
    t = math.tanh(coupling)
    if coupling < 0.02:  # ln z = ln 2 + 2 ln cosh K + t^4 + 2 t^6 + 9/2 t^8 + ...; the closed form cancels here
        dt, d2t = 1 - t * t, -2 * t * (1 - t * t)
        first, second = 4 * t**3 + 12 * t**5 + 36 * t**7, 12 * t**2 + 60 * t**4 + 252 * t**6
        return coupling**2 * (2 * dt + second * dt**2 + first * d2t)
    tanh = math.tanh(2 * coupling)
    gap = 2 * tanh**2 - 1  # 1 - kappa^2 = gap^2
    first, second = ellipkm1(gap**2), ellipe((1 - gap) * (1 + gap))
    bracket = 2 * (first - second) - 2 * (1 - tanh**2) * (math.pi / 2 + gap * first)
    return float(2 / math.pi * (coupling / tanh) ** 2 * bracket)


def magnetization(coupling) -> float:
    """Return the spontaneous magnetization of the plane, ``(1 - sinh^-4 2K)^(1/8)`` above ``K_c``, else 0.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in [0, 100].

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If `coupling` is not finite or out of range.

    References
    ----------
    Yang, Phys. Rev. 85, 808 (1952), eq. (96).

    Examples
    --------
    >>> round(magnetization(0.5), 9)
    0.911319378
    """
    coupling = checked_coupling("coupling", coupling, low=0.0)
    if coupling <= CRITICAL_COUPLING:
        return 0.0
    return (-math.expm1(-4 * math.log(math.sinh(2 * coupling)))) ** 0.125


def correlation_length(coupling, *, direction="row") -> float:
    """Return the correlation length of the plane in lattice constants.

    Along a row ``1/|2K + ln tanh K|`` below ``K_c``, along a diagonal ``sqrt 2 / (2 |ln sinh 2K|)``; above
    ``K_c`` half of that.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in [0, 100].
    direction : {"row", "diagonal"}
        Direction in which the correlation decays.

    Returns
    -------
    float
        ``inf`` at ``K_c``, 0 at ``K = 0``.

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    References
    ----------
    McCoy & Wu (1973), chapter XI.

    Examples
    --------
    >>> round(correlation_length(0.4), 6)
    5.962377
    """
    coupling = checked_coupling("coupling", coupling, low=0.0)
    direction = choice("direction", direction, ("row", "diagonal"))
    if coupling == 0:
        return 0.0
    if coupling == CRITICAL_COUPLING:
        return math.inf
    if direction == "row":
        rate = abs(_lowest_energy(coupling))
    else:
        rate = math.sqrt(2) * abs(math.log(math.sinh(2 * coupling)))
    return float((1 if coupling < CRITICAL_COUPLING else 0.5) / rate)


def _phase(radius, missing, angle):
    """The phase of ``1 - radius e^{i angle}``, with ``missing = 1 - radius`` known without cancellation."""
    value = missing + 2 * radius * np.sin(angle / 2) ** 2 - 1j * radius * np.sin(angle)
    return np.exp(1j * np.angle(value))


def _row_radii(coupling):
    """``a1``, ``1 - a1``, ``a2``, ``1 - a2`` of the symbol of the row correlation."""
    lowest = _lowest_energy(coupling)
    first = math.tanh(coupling) * math.exp(-2 * coupling)
    return first, 1 - first, math.exp(-lowest), -math.expm1(-lowest)


def _plane_symbol(coupling, direction, angle):
    if direction == "row":
        first, first_missing, second, second_missing = _row_radii(coupling)
        return _phase(first, first_missing, angle) * _phase(second, second_missing, -angle)
    sinh = math.sinh(2 * coupling)
    excess = math.sqrt(2 * sinh) * math.sinh(_lowest_energy(coupling) / 2)  # sinh 2K - 1
    return _phase(1 / sinh**2, excess * (sinh + 1) / sinh**2, -angle)


def _plane_correlation(coupling, distance, direction):
    orders = np.arange(-distance + 1, distance)
    node, weight = _double_exponential(min(1 / 32, 1 / (2 * distance)))
    angle = np.pi * node
    waves = np.exp(-1j * np.outer(orders, angle))
    entries = (waves @ (weight * _plane_symbol(coupling, direction, angle))).real
    return float(np.linalg.det(toeplitz(entries[distance - 1 :], entries[distance - 1 :: -1])))


def _torus_correlation(coupling, distance, side):
    """Sum over Kaufman's products of ``Z_X det a^X``.

    In the fourth the matrix is ``A + coth(L e_0 / 2) / L`` times a matrix of ones: its ``Z det``, finite at
    ``K_c``, is ``2 sinh det A + 2 cosh (det(A + ones) - det A) / L`` times the rest of the product.
    """
    first, first_missing, second, second_missing = _row_radii(coupling)
    orders = np.arange(-distance + 1, distance)
    kaufman = _Kaufman.of(coupling, side)

    def matrix(sector, factors):
        symbol = _phase(first, first_missing, sector.momenta) * _phase(second, second_missing, -sector.momenta)
        symbol[sector.momenta == 0] = 1  # the sign of 1 - a2 is in e_0
        waves = np.exp(-1j * np.outer(orders, sector.momenta))
        entries = (waves @ (symbol * factors)).real / side
        return toeplitz(entries[distance - 1 :], entries[distance - 1 :: -1])

    determinant = np.linalg.det
    odd, even = kaufman.odd, kaufman.even
    odd_tanh, even_tanh = (np.tanh(side * sector.energies / 2) for sector in (odd, even))
    regular = matrix(even, np.append(0.0, 1 / even_tanh[1:]))
    plain = determinant(regular)
    last = kaufman.sinh * plain + kaufman.cosh * (determinant(regular + 1) - plain) / side
    dets = (determinant(matrix(odd, odd_tanh)), determinant(matrix(even, even_tanh)))
    return kaufman.total(*dets, determinant(matrix(odd, 1 / odd_tanh)), last) / kaufman.total()


def correlation(coupling, distance, *, direction, side=None) -> float:
    """Return ``<s_0 s_r>``, a Toeplitz determinant; not the connected correlation.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in [0, 100].
    distance : int
        Steps along the direction, 0 to 1024: displacement ``(0, distance)`` along a row,
        ``(distance, distance)`` along a diagonal.
    direction : {"row", "diagonal"}
        Direction of the displacement.
    side : int, optional
        ``L`` of the torus, at least 2, rows only; the infinite plane without it (above ``K_c`` the mixture of
        its two phases).

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range, or a diagonal is asked for on a torus.

    References
    ----------
    McCoy & Wu (1973), chapter VIII.

    Examples
    --------
    >>> round(correlation(CRITICAL_COUPLING, 1, direction="diagonal") - 2 / math.pi, 12)
    0.0
    >>> round(correlation(0.3, 4, direction="row"), 9)
    0.02839736
    >>> round(correlation(CRITICAL_COUPLING, 16, direction="row", side=256), 6)
    0.362454
    """
    coupling = checked_coupling("coupling", coupling, low=0.0)
    distance = whole("distance", distance, low=0, high=1024)
    direction = choice("direction", direction, ("row", "diagonal"))
    if side is not None:
        side = whole("side", side, low=2)
        if direction == "diagonal":
            raise ParameterError("on a torus only row correlations are known: direction must be 'row' with a side")
        distance = min(distance % side, -distance % side)
    if distance == 0:
        return 1.0
    if coupling < 1e-100:  # where powers of sinh 2K underflow
        return 0.0
    if side is None:
        return _plane_correlation(coupling, distance, direction)
    return _torus_correlation(coupling, distance, side)


def relative_entropy_per_site(p, q, *, side=None) -> float:
    """Return ``D(p||q)`` per site between two square lattices, ``2 (K_p - K_q) <s s'>_p + ln z_q - ln z_p``, in nats.

    Parameters
    ----------
    p, q : float
        Couplings, dimensionless, in [-100, 100].
    side : int, optional
        ``L`` of the torus, at least 2 (even, where a coupling is negative); the infinite plane without it.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> round(16 * relative_entropy_per_site(0.4407, 0.3, side=4), 9)
    0.787929213
    """
    p, q = checked_coupling("p", p), checked_coupling("q", q)
    bond = bond_correlation(p, side=side)
    return 2 * (p - q) * bond + log_partition(q, side=side) - log_partition(p, side=side)


@dataclasses.dataclass(frozen=True)
class SquareTorus:
    """The law of a whole ``side x side`` torus.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in [-100, 100].
    side : int
        At least 2; even, where the coupling is negative.

    Raises
    ------
    ParameterError
        If a parameter is not finite or out of range.

    Examples
    --------
    >>> round(SquareTorus(0.3, side=4).relative_entropy_to(SquareTorus(0.4407, side=4)), 9)
    0.83658843
    """

    coupling: float
    side: int = dataclasses.field(kw_only=True)

    def __post_init__(self):
        _even(self.coupling, self.side)

    @property
    def dof(self) -> int:
        """Number of spins."""
        return self.side**2

    def relative_entropy_to(self, other) -> float:
        """Return ``D(self||other)`` of the whole torus, in nats; `other` is a torus of the same side."""
        if not isinstance(other, SquareTorus) or other.side != self.side:
            raise ParameterError(f"a torus of side {self.side} can only be compared with another, got {other!r}")
        return self.dof * relative_entropy_per_site(self.coupling, other.coupling, side=self.side)


def configurations(side) -> np.ndarray:
    """Return every configuration of a small torus.

    Parameters
    ----------
    side : int
        1 to 4.

    Returns
    -------
    numpy.ndarray
        int8 (2**(side**2), side, side), values -1 and +1; bit ``j`` of the index is set where site ``j``, counted
        row by row, is up.

    Raises
    ------
    ParameterError
        If `side` is out of range.

    Examples
    --------
    >>> configurations(2)[1].tolist()
    [[1, -1], [-1, -1]]
    """
    sites = whole("side", side, high=LARGEST_ENUMERATION) ** 2
    bits = (np.arange(2**sites)[:, None] >> np.arange(sites)) & 1
    return (2 * bits - 1).astype(np.int8).reshape(-1, side, side)


def statistics(spins) -> np.ndarray:
    """Return the sums that the general couplings multiply: nearest pairs, diagonal pairs, plaquettes, spins.

    Parameters
    ----------
    spins : array_like of int
        (..., side, side), values -1 and +1, periodic.

    Returns
    -------
    numpy.ndarray
        int64 (..., 4): sums over the ``2N`` nearest pairs, ``2N`` diagonal pairs, ``N`` plaquettes and ``N`` spins
        of the torus, with multiplicity where a side is so short that some of them coincide.

    Examples
    --------
    >>> statistics(configurations(2)[-1]).tolist()
    [8, 8, 4, 4]
    """
    spins = np.asarray(spins, dtype=np.int64)
    right, down = np.roll(spins, -1, axis=-1), np.roll(spins, -1, axis=-2)
    across = np.roll(down, -1, axis=-1)
    sums = (spins * (right + down), spins * across + right * down, spins * right * down * across, spins)
    return np.stack([term.sum(axis=(-2, -1)) for term in sums], axis=-1)


@functools.lru_cache(maxsize=LARGEST_ENUMERATION)
def _enumerated_statistics(side):
    return statistics(configurations(side))


def boltzmann_probabilities(coupling, *, side, diagonal=0.0, plaquette=0.0, field=0.0) -> np.ndarray:
    """Return the probability of every configuration of a small torus with general couplings.

    Parameters
    ----------
    coupling, diagonal, plaquette, field : float
        ``K1``, ``K2``, ``K3`` and ``H``, dimensionless, in [-100, 100].
    side : int
        1 to 4.

    Returns
    -------
    numpy.ndarray
        float64 (2**(side**2),), in the order of `configurations`.

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> boltzmann_probabilities(0.0, side=2).tolist() == [1 / 16] * 16
    True
    """
    named = {"coupling": coupling, "diagonal": diagonal, "plaquette": plaquette, "field": field}
    couplings = [checked_coupling(name, value) for name, value in named.items()]
    exponents = _enumerated_statistics(side) @ couplings
    weights = np.exp(exponents - exponents.max())
    return weights / weights.sum()
