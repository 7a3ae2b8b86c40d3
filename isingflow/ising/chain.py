"""The Ising chain, exact everywhere: thermodynamics, decimation, laws of windows and rings, sampling.

Conventions: ``p(s) ~ exp(K sum_i s_i s_{i+1} + H sum_i s_i)`` with dimensionless coupling ``K`` and field
``H``, both in [-100, 100]. The transfer matrix ``T(s, s') = exp(K s s' + H (s + s')/2)`` has the larger
eigenvalue ``e^K (cosh H + R)`` with ``R = sqrt(sinh^2 H + e^{-4K})`` and the ratio of eigenvalues
``rho = (1 - e^{-4K}) / (cosh H + R)^2``; in its eigenbasis a spin is ``[[a, b], [b, -a]]`` with
``a = sinh H / R`` and ``b = e^{-2K} / R``. Written in ``rho``, ``a`` and ``b`` the formulas below lose no
digits at weak coupling, strong coupling or strong field.

References: Maris & Kadanoff, Am. J. Phys. 46, 652 (1978); Baxter, Exactly Solved Models, chapter 2.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from isingflow.errors import ParameterError
from isingflow.parameters import choice, whole, within_memory
from isingflow.parameters import coupling as checked_coupling
from isingflow.seeding import generator


class _Spectrum(NamedTuple):
    log_eigenvalue: float  # ln of the larger eigenvalue
    log_ratio: float  # ln |rho|
    negative: bool  # rho < 0: an antiferromagnet
    diagonal: float  # a
    off_diagonal: float  # b
    transitions: np.ndarray  # float64 (2, 2): probability of the next spin (column) given this one; index 1 is up

    def powers(self, exponents):
        """Return ``rho^n``, ``1 - rho^n`` and ``1 + rho^n`` of an array of n, each to full relative precision."""
        exponents = np.asarray(exponents)
        # rho = 0 has no logarithm to multiply 0 with
        logarithm = np.where(exponents == 0, 0.0, np.maximum(exponents, 1) * self.log_ratio)
        size, missing = np.exp(logarithm), -np.expm1(logarithm)
        alternates = self.negative & (exponents % 2 == 1)
        return np.where(alternates, -size, size), *(
            np.where(alternates, *pair) for pair in ((1 + size, missing), (missing, 1 + size))
        )

    def power(self, exponent):
        """Return the same of one n."""
        return tuple(float(one) for one in self.powers(exponent))

    def returns(self, exponents):
        """Return the diagonal of ``2 T^n`` over the larger eigenvalue's power (down, up), as sums of positive terms."""
        odd = np.asarray(self.negative & (np.asarray(exponents) % 2 == 1))
        power, missing, _ = self.powers(exponents - odd.astype(np.int64))
        more = 1 + abs(self.diagonal)
        less = self.off_diagonal**2 / more
        down, up = less + power * more, more + power * less
        if self.diagonal < 0:
            down, up = up, down
        # odd powers of an antiferromagnet: T times an even power
        flips = math.sqrt(self.transitions[0, 1] * self.transitions[1, 0]) * self.off_diagonal * missing
        down = np.where(odd, self.transitions[0, 0] * down + flips, down)
        return down, np.where(odd, self.transitions[1, 1] * up + flips, up)

    def ways(self, exponents):
        """Return ``2 T^n`` over the larger eigenvalue's power: float64 (n, 2, 2); index 1 is up."""
        found = np.empty((len(exponents), 2, 2))
        found[:, 0, 0], found[:, 1, 1] = self.returns(exponents)
        found[:, 0, 1] = found[:, 1, 0] = self.off_diagonal * self.powers(exponents)[1]
        return found

    @property
    def marginal(self):
        """Probabilities of one spin of the infinite chain: down, up."""
        rare = self.off_diagonal**2 / (1 + abs(self.diagonal)) / 2
        return np.array([rare, 1 - rare] if self.diagonal >= 0 else [1 - rare, rare])


def _spectrum(coupling, field):
    small = math.exp(-2 * coupling)
    root = math.hypot(math.sinh(field), small)
    total = math.cosh(field) + root
    ratio = -math.expm1(-4 * coupling) / total**2
    if abs(ratio) < 0.5:
        log_ratio = math.log(abs(ratio)) if ratio else -math.inf
    else:
        log_ratio = math.log1p(-2 * min(root, math.cosh(field)) / total)
    wrong_way = small**2 / (root + abs(math.sinh(field)))  # R - |sinh H|
    right_way = root + abs(math.sinh(field))
    up, down = (right_way, wrong_way) if field >= 0 else (wrong_way, right_way)
    transitions = np.array([[math.exp(-field), up], [down, math.exp(field)]]) / total
    return _Spectrum(
        coupling + math.log(total), log_ratio, ratio < 0, math.sinh(field) / root, small / root, transitions
    )


def _checked(coupling, field):
    return checked_coupling("coupling", coupling), checked_coupling("field", field)


def _checked_pair(name, pair):
    try:
        coupling, field = pair
    except (TypeError, ValueError):
        raise ParameterError(f"{name} must be a pair (coupling, field), got {pair!r}") from None
    return _checked(coupling, field)


def _relative_entropy(p, q):
    """Relative entropy of two probability vectors as a sum of non-negative terms: small values keep their digits."""
    u = q / p - 1
    small = np.abs(u) < 1e-3
    v = np.where(small, u, 0.0)
    series = v * v * (1 / 2 - v * (1 / 3 - v * (1 / 4 - v * (1 / 5 - v * (1 / 6 - v / 7)))))
    logarithm = np.where(u > -0.5, np.log1p(np.maximum(u, -0.5)), np.log(q / p))
    return float(np.sum(p * np.where(small, series, u - logarithm)))


def log_partition(coupling, field=0.0, *, sites=None) -> float:
    """Return ``ln Z`` per site, in nats.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].
    sites : int, optional
        Sites of a periodic ring, at least 1 (two sites share two bonds, one site is bound to itself);
        the infinite chain without it.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> round(log_partition(0.5, 0.2) - log_partition(0.5, -0.2), 15)
    0.0
    >>> round(log_partition(1.0, sites=3) * 3, 9)  # 2 e^3 + 6 e^-1 states
    3.74663763
    """
    spectrum = _spectrum(*_checked(coupling, field))
    if sites is None:
        return spectrum.log_eigenvalue
    sites = whole("sites", sites)
    return spectrum.log_eigenvalue + math.log(spectrum.power(sites)[2]) / sites


def decimate_couplings(coupling, field=0.0, *, factor=2) -> tuple[float, float]:
    """Return the couplings of the chain that keeps every `factor`-th spin; exact.

    ``T' = T^factor`` up to a scalar, ``K' = 1/4 ln(T'_{++} T'_{--} / T'_{+-}^2)``,
    ``H' = 1/2 ln(T'_{++} / T'_{--})``. Without a field ``tanh K' = tanh^factor K``: an even factor loses the
    sign of a negative coupling.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].
    factor : int
        At least 1.

    Returns
    -------
    tuple of float
        ``(K', H')``.

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    References
    ----------
    Maris & Kadanoff (1978), section II.

    Examples
    --------
    >>> coupling, field = decimate_couplings(0.8, 0.1)
    >>> round(coupling, 9), round(field, 9)
    (0.471284521, 0.192120559)
    """
    coupling, field = _checked(coupling, field)
    spectrum = _spectrum(coupling, abs(field))
    power, missing, _ = spectrum.power(whole("factor", factor))
    down, up = (float(one) for one in spectrum.returns(factor))
    apart = spectrum.off_diagonal * missing
    excess = 4 * power / apart**2
    decimated = 0.25 * (math.log1p(excess) if excess > -0.5 else math.log(up / apart) + math.log(down / apart))
    return decimated, math.copysign(0.5 * math.log1p(2 * spectrum.diagonal * missing / down), field) if field else 0.0


def magnetization(coupling, field=0.0) -> float:
    """Return ``<s>`` of the infinite chain, ``sinh H / sqrt(sinh^2 H + e^{-4K})``.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> magnetization(0.7)
    0.0
    """
    return _spectrum(*_checked(coupling, field)).diagonal


def correlation(coupling, distance, field=0.0) -> float:
    """Return ``<s_0 s_r>`` of the infinite chain, ``a^2 + b^2 rho^r``; not the connected one.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].
    distance : int
        ``r``, in lattice constants, at least 0.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> round(correlation(0.5, 3) - math.tanh(0.5) ** 3, 15)
    0.0
    """
    spectrum = _spectrum(*_checked(coupling, field))
    power, _, _ = spectrum.power(whole("distance", distance, low=0))
    return spectrum.diagonal**2 + spectrum.off_diagonal**2 * power


def correlation_length(coupling, field=0.0) -> float:
    """Return ``-1/ln |rho|`` in lattice constants; without a field ``-1/ln tanh |K|``, and 0 at ``K = 0``.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> round(correlation_length(1.2), 6)
    5.496435
    """
    return -1 / _spectrum(*_checked(coupling, field)).log_ratio


def relative_entropy_per_site(p, q, *, sites=None) -> float:
    """Return ``D(p||q)`` per site between two chains, in nats; exact.

    Parameters
    ----------
    p, q : pair of float
        ``(coupling, field)`` of each, dimensionless, in [-100, 100].
    sites : int, optional
        Sites of a periodic ring, at least 1; the infinite chain without it.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> round(relative_entropy_per_site((0.6, 0.0), (0.3, 0.0)), 9)
    0.035320353
    """
    p, q = _checked_pair("p", p), _checked_pair("q", q)
    first, second = _spectrum(*p), _spectrum(*q)
    if sites is None:
        return math.fsum(
            weight * _relative_entropy(*rows)
            for weight, *rows in zip(first.marginal, first.transitions, second.transitions, strict=True)
        )
    sites = whole("sites", sites)
    _, missing, total = first.power(sites)
    # rho + rho^(N-1) without cancellation, where an antiferromagnet does not fit on the ring
    neighbour = first.power(1)[0] * first.power(sites - 2)[2] if sites > 1 else total
    bond = first.diagonal**2 + first.off_diagonal**2 * neighbour / total
    spin = first.diagonal * missing / total
    return (p[0] - q[0]) * bond + (p[1] - q[1]) * spin + log_partition(*q, sites=sites) - log_partition(*p, sites=sites)


@dataclasses.dataclass(frozen=True)
class ChainWindow:
    """The law of consecutive spins of the infinite chain: a stationary Markov chain.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].
    width : int
        Spins in the window, at least 1.

    Raises
    ------
    ParameterError
        If a parameter is not finite or out of range.

    Examples
    --------
    >>> round(ChainWindow(0.6, width=8).relative_entropy_to(ChainWindow(0.3, width=8)), 12)
    0.247242472731
    """

    coupling: float
    field: float = 0.0
    width: int = dataclasses.field(kw_only=True)

    def __post_init__(self):
        _checked(self.coupling, self.field)
        whole("width", self.width)

    @property
    def dof(self) -> int:
        """Number of spins."""
        return self.width

    def relative_entropy_to(self, other) -> float:
        """Return ``D(self||other)`` in nats, ``D_1 + (w - 1) d``; `other` is a window of the same width."""
        if not isinstance(other, ChainWindow) or other.width != self.width:
            raise ParameterError(f"a window of {self.width} spins can only be compared with another, got {other!r}")
        here = (self.coupling, self.field)
        there = (other.coupling, other.field)
        single = _relative_entropy(_spectrum(*here).marginal, _spectrum(*there).marginal)
        return single + (self.width - 1) * relative_entropy_per_site(here, there)

    def probabilities(self) -> np.ndarray:
        """Return float64 (2**width,); bit ``j`` of the index is set where spin ``j`` is up (width at most 20)."""
        whole("width", self.width, high=20)
        spectrum = _spectrum(self.coupling, self.field)
        spins = (np.arange(2**self.width)[:, None] >> np.arange(self.width)) & 1
        steps = spectrum.transitions[spins[:, :-1], spins[:, 1:]]
        return spectrum.marginal[spins[:, 0]] * steps.prod(axis=1)


@dataclasses.dataclass(frozen=True)
class ChainRing:
    """The law of a whole periodic ring.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].
    sites : int
        At least 1.

    Raises
    ------
    ParameterError
        If a parameter is not finite or out of range.

    Examples
    --------
    >>> round(ChainRing(0.6, sites=16).relative_entropy_to(ChainRing(0.3, sites=16)), 12)
    0.565382317272
    """

    coupling: float
    field: float = 0.0
    sites: int = dataclasses.field(kw_only=True)

    def __post_init__(self):
        _checked(self.coupling, self.field)
        whole("sites", self.sites)

    @property
    def dof(self) -> int:
        """Number of spins."""
        return self.sites

    def relative_entropy_to(self, other) -> float:
        """Return ``D(self||other)`` of the whole ring, in nats; `other` is a ring of the same size."""
        if not isinstance(other, ChainRing) or other.sites != self.sites:
            raise ParameterError(f"a ring of {self.sites} sites can only be compared with another, got {other!r}")
        here = (self.coupling, self.field)
        there = (other.coupling, other.field)
        return self.sites * relative_entropy_per_site(here, there, sites=self.sites)


BOUNDARIES = ("periodic", "open")

STRETCH = 1024
"""Sites of a long chain between two that are drawn beforehand: a power of two, at least 64."""


def sample(coupling, field=0.0, *, sites, samples, rng, boundary="periodic") -> np.ndarray:
    """Draw independent configurations of a ring or an open chain, exactly.

    The spins at both ends are drawn from their law, then the one in the middle given these, those in the middle of the
    halves, and so on: ``P(s | left, right) ~ T^m(left, s) T^n(s, right)``, to 2^-64 or 2^-53 of itself.

    Parameters
    ----------
    coupling, field : float
        ``K`` and ``H``, dimensionless, in [-100, 100].
    sites : int
        Sites, at least 1.
    samples : int
        Number of configurations, at least 1.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    boundary : {"periodic", "open"}
        A ring of as many bonds as sites, or a chain with free ends and one bond less; the field acts on all sites.

    Returns
    -------
    numpy.ndarray
        int8 (samples, sites), values -1 and +1.

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range, or memory would not suffice.

    Examples
    --------
    >>> sample(20.0, 0.5, sites=4, samples=2, rng=1)
    array([[1, 1, 1, 1],
           [1, 1, 1, 1]], dtype=int8)
    """
    from isingflow.ising import _chain, _random

    coupling, field = _checked(coupling, field)
    sites, samples = whole("sites", sites), whole("samples", samples)
    closed = choice("boundary", boundary, BOUNDARIES) == "periodic"
    within_memory(f"{samples} configurations of {sites} sites", samples * sites)
    spectrum = _spectrum(coupling, field)
    state = _random.generator_state(generator(rng))

    length = sites if closed else sites - 1
    stretches = max(1, -(-length // STRETCH))
    ends = np.empty((-(-samples // 512), stretches + 1, 8), np.uint64)
    first, last = _ends(spectrum, field, length, closed)
    _chain.draw_ends(state, first, last, _middles(spectrum, STRETCH, length), closed, ends)

    spins = np.empty((samples, sites), np.int8)
    rows = np.empty((STRETCH + 64, 8), np.uint64)

    def fill(lefts, rights, steps, places, count):
        levels = _middles(spectrum, 1, steps)
        _chain.fill_stretches(state, levels, lefts, rights, steps, places, STRETCH, count, rows, spins)

    # the last stretch of every chain first: see fill_stretches
    rest = length - (stretches - 1) * STRETCH
    fill(ends[:, -2].ravel(), ends[:, -1].ravel(), rest, (stretches - 1, 1), rest + (not closed))
    if stretches > 1:
        cuts = _unpacked(ends, samples)
        fill(_packed(cuts[:, :-2]), _packed(cuts[:, 1:-1]), STRETCH, (0, stretches - 1), STRETCH)
    return spins


def _middles(spectrum, spacing, length):
    """Bounds of the spins between two `length` apart, at multiples of `spacing`: uint64 (levels, 2, 64, 4).

    Level by level, from the one spin at the largest ``spacing 2^k`` on: those between spins twice as far apart, and
    that before the end; given the spins on either side, ``2 left + right``.
    """
    levels = (max(1, -(-length // spacing)) - 1).bit_length()
    if not levels:
        return np.empty((0, 2, 64, 4), np.uint64)
    halves = np.array([spacing << level for level in reversed(range(levels))])
    rest = (length - 1) % (2 * halves) + 1 - halves  # not positive: there is no spin before the end
    near, last = spectrum.ways(np.stack([halves, np.where(rest > 0, rest, halves)]).ravel()).reshape(2, levels, 2, 2)
    far = np.stack([near, last], axis=1)
    return _bounds(near[:, None, :, None, :] * far[:, :, None, :, :])


def _ends(spectrum, field, length, closed):
    """Bounds of a spin at one end and, of an open chain, of that at the other given it: uint64 (64, 4) each."""
    around = spectrum.ways(np.array([length]))[0]
    half = np.exp(np.array([-field, field]) / 2)  # the part of the field that is not in T
    one = np.diag(around) if closed else half * (around @ half)
    other = half * around
    return _bounds(np.array([[one, one], [one, one]])), _bounds(np.stack([other, other], axis=1))


def _bounds(weights):
    """Write weights (..., left, right, down or up) as what a random number must be below: uint64 (..., 64, 4)."""
    down, up = weights[..., 0], weights[..., 1]
    rare = (2.0**64 * (np.minimum(down, up) / (down + up))).astype(np.uint64)
    bounds = np.where(up < down, rare, -np.maximum(rare, np.uint64(1))).reshape(*weights.shape[:-3], 1, 4)
    return -(bounds >> np.arange(63, -1, -1, dtype=np.uint64)[:, None] & np.uint64(1))


def _unpacked(ends, samples):
    """Bits of uint64 (n, m, 8), sample by sample: uint8 (samples, m)."""
    each = ends.astype("<u8").view(np.uint8)
    bits = np.unpackbits(each, axis=2, count=samples if len(ends) == 1 else None, bitorder="little")
    return bits.transpose(0, 2, 1).reshape(-1, ends.shape[1])[:samples]


def _packed(spins):
    """Bits of an array in flat order, as whole vectors of words: uint64 (n,), n a multiple of 8."""
    packed = np.packbits(spins, bitorder="little")
    words = np.zeros(-(-len(packed) // 64) * 8, "<u8")
    words.view(np.uint8)[: len(packed)] = packed
    return words.astype(np.uint64)
