"""Activations of random networks, and their averages over Gaussian pre-activations.

Mean-field theory asks four averages of an activation ``phi``, over a pair ``(u, v)`` of centred normal variables with
variances ``q_1``, ``q_2`` and ``E[(u - v)^2] = d``; here they are, in closed form wherever there is one:

- ``second_moment(q)``: ``E[phi(u)^2]``, and ``second_moment_slope(q)``, its derivative;
- ``difference(q_1, q_2, d)``: ``E[(phi(u) - phi(v))^2]``, with all its digits however small ``d`` is;
- ``slope_product(q_1, q_2, d)``: ``E[phi'(u) phi'(v)]``.

`relu`, `leaky_relu` and `linear` have the arc-cosine kernels (Cho & Saul 2009), `erf` the arcsine kernel (Williams 1997),
`hard_tanh` one integral over the angle between the inputs (Plackett 1954).

`tanh` is an average of error functions, ``tanh z = E[erf(z / (sqrt(2) s))]``, for the logistic density is a mixture of
normal ones: its standard deviation ``s`` follows Kolmogorov's law (Andrews & Mallows, J. R. Stat. Soc. B 36, 99
(1974)). Gauss's rule for that law in the variable ``ln s`` needs no more than twelve of them for averages right to 1e-14 at every
variance; and those of error functions are closed.

Arrays in, arrays out: the methods take float64 arrays that broadcast, checked by whoever calls.
"""

import functools
import math
import re

import numpy as np
from scipy import special

from isingflow.errors import ParameterError
from isingflow.parameters import ACTIVATIONS, choice, finite

LEAKY_SLOPE = 0.01
"""Slope of `leaky_relu` below zero, unless its name says another."""

_KOLMOGOROV = np.array(
    [
        (0.27742390338042257, 6.515686399676817e-6),
        (0.33887484494846302, 0.00063468969194390482),
        (0.41141821108008934, 0.011054560381193747),
        (0.50207366329508298, 0.06680359139714917),
        (0.61812325671515578, 0.18634620490848934),
        (0.76771950549309994, 0.28258267830094211),
        (0.95873661469098095, 0.25666119286146376),
        (1.196452839737909, 0.14306434548266153),
        (1.4834573626368167, 0.04549770989870683),
        (1.8240636790121747, 0.0069637656335712068),
        (2.2308254295579904, 0.00038094132478774427),
        (2.7442657476829209, 3.8044326909891163e-6),
    ]
).T
"""Nodes ``s`` and weights of the Gauss rule for Kolmogorov's law in the variable ``ln s``."""


class Mixture:
    """``phi(z) = sum_i w_i erf(z / (sqrt(2) s_i))``: error functions themselves, and tanh.

    With ``X = (s_i^2 + q_1)(s_j^2 + q_2)`` and ``k = E[u v]``, ``E[phi(u) phi(v)]`` is a sum of
    ``(2/pi) arcsin(k / sqrt(X))`` (Williams, NIPS 9, Eq. 11).
    """

    homogeneous = False
    kinks = ()

    def __init__(self, name, nodes, weights):
        self.name = name
        self.nodes, self.weights = np.asarray(nodes), np.asarray(weights)
        self.origin_slope = float(math.sqrt(2 / math.pi) * np.sum(self.weights / self.nodes))
        first, second = np.meshgrid(self.nodes**2, self.nodes**2, indexing="ij")
        self._ordered = first.ravel(), second.ravel(), 2 / math.pi * np.outer(weights, weights).ravel()
        upper = np.triu_indices(len(self.nodes))
        twice = np.where(upper[0] == upper[1], 2, 4) / math.pi
        self._unordered = first[upper], second[upper], twice * self.weights[upper[0]] * self.weights[upper[1]]

    def __call__(self, z):
        return np.tanh(z) if self.name == "tanh" else special.erf(z)

    def slope(self, z):
        """Return ``phi'(z)``."""
        if self.name == "tanh":
            decay = np.exp(-2 * np.abs(z))
            return 4 * decay / (1 + decay) ** 2
        return 2 / math.sqrt(math.pi) * np.exp(-np.square(z))

    def second_moment(self, variance):
        def angle(s, t):
            return np.arctan2(variance, np.sqrt(s * t + variance * (s + t)))

        return _total(self._unordered, angle, variance)

    def second_moment_slope(self, variance):
        def slope(s, t):
            alone = s * t + variance * (s + t) / 2
            return alone / ((s + variance) * (t + variance) * np.sqrt(s * t + variance * (s + t)))

        return _total(self._unordered, slope, variance)

    def difference(self, first, second, squared):
        product = (first + second - squared) / 2
        if first is second:
            return 2 * _total(self._unordered, _fall(first, second, squared, product), squared)
        fall = _fall(first, second, squared, product)
        back = _fall(second, first, squared, product)
        return _total(self._ordered, lambda s, t: fall(s, t) + back(s, t), squared)

    def slope_product(self, first, second, squared):
        determinant = _determinant(first, second, squared)

        def slope(s, t):
            return 1 / np.sqrt(s * t + s * second + t * first + determinant)

        return _total(self._unordered if first is second else self._ordered, slope, squared)

    def log_slope_curvature(self, variance):
        """Return ``E[(ln phi')'']``, which for tanh is ``-2 E[phi']`` and for erf -2."""
        if self.name == "erf":
            return np.full(np.shape(variance), -2.0)
        spread = np.sqrt(np.square(self.nodes) + np.asarray(variance)[..., None])
        return -2 * math.sqrt(2 / math.pi) * np.sum(self.weights / spread, axis=-1)

    def hermite(self, variance, orders):
        found = np.zeros((*variance.shape, orders))
        ratio = variance[..., None] / (np.square(self.nodes) + variance[..., None])
        power = math.sqrt(2 / math.pi) * self.weights * np.sqrt(ratio)
        for k in range(orders // 2):
            # sqrt of the coefficient of x^(2k+1) in arcsin x
            order = 2 * k + 1
            found[..., order] = (-1) ** k * np.sum(power, axis=-1) / math.sqrt(order)
            power = power * ratio * math.sqrt(order / (2 * k + 2))
        return found


class PiecewiseLinear:
    """``phi(z) = z`` above zero and ``slope z`` below: relu (0), leaky relu, linear (1).

    ``phi(z) = (1 + slope) z / 2 + (1 - slope) |z| / 2``, and the two parts do not mix in any of the averages.
    """

    homogeneous = True
    origin_slope = math.nan

    def __init__(self, name, below):
        self.name, self.below = name, below
        self.gain = (1 + below**2) / 2
        self.kinks = () if below == 1 else (0.0,)

    def __call__(self, z):
        return np.where(z > 0, z, self.below * z)

    def slope(self, z):
        """Return ``phi'(z)``; at zero the mean of both sides."""
        return np.where(z > 0, 1.0, np.where(z < 0, self.below, (1 + self.below) / 2))

    def second_moment(self, variance):
        return self.gain * variance

    def second_moment_slope(self, variance):
        return np.full(np.shape(variance), self.gain)

    def difference(self, first, second, squared):
        # d/2 - (sin t - t cos t) sqrt(q_1 q_2) / pi for relu, t the angle; the bracket is t^2 j_1(t)
        angle = self._angle(first, second, squared)
        lost = np.square(angle) * special.spherical_jn(1, angle) * np.sqrt(first * second) / math.pi
        return self.gain * squared - (1 - self.below) ** 2 * lost

    def slope_product(self, first, second, squared):
        angle = self._angle(first, second, squared)
        return self.gain - (1 - self.below) ** 2 * angle / (2 * math.pi)

    @staticmethod
    def _angle(first, second, squared):
        return np.arctan2(np.sqrt(_determinant(first, second, squared)), (first + second - squared) / 2)

    def hermite(self, variance, orders):
        found = np.zeros((*variance.shape, orders))
        modulus = np.zeros(orders)
        modulus[0] = math.sqrt(2 / math.pi)
        if orders > 2:
            modulus[2] = modulus[0] / math.sqrt(2)
        for order in range(4, orders, 2):
            modulus[order] = -modulus[order - 2] * (order - 3) / math.sqrt(order * (order - 1))
        found[:] = (1 - self.below) / 2 * modulus
        if orders > 1:
            found[..., 1] = (1 + self.below) / 2
        return found * np.sqrt(variance)[..., None]


class HardTanh:
    """``phi(z) = z`` in [-1, 1], and -1 or 1 beyond.

    The derivative of ``E[phi'(u) phi'(v)] = P(|u| < 1, |v| < 1)`` in the correlation is a sum over the corners of the
    square (Plackett, Biometrika 41, 351 (1954)); it is integrated over the angle whose cosine is the correlation, twice
    for ``E[phi(u) phi(v)]``, by the double-exponential rule, which takes the steep rise at small angles as it is.
    """

    name = "hard_tanh"
    homogeneous = False
    kinks = (-1.0, 1.0)
    origin_slope = 1.0

    def __call__(self, z):
        return np.clip(z, -1.0, 1.0)

    def slope(self, z):
        """Return ``phi'(z)``; at the kinks one half."""
        return np.where(np.abs(z) < 1, 1.0, np.where(np.abs(z) == 1, 0.5, 0.0))

    def second_moment(self, variance):
        bound = _bound(variance)
        return variance * self.second_moment_slope(variance) + special.erfc(bound / math.sqrt(2))

    def second_moment_slope(self, variance):
        return special.gammainc(1.5, _bound(variance) ** 2 / 2)  # E[x^2; |x| < bound]

    def difference(self, first, second, squared):
        first, second, squared = np.broadcast_arrays(first, second, squared)
        # the other way round it is that of u and -v
        opposite = squared > first + second
        near = np.where(opposite, 2 * (first + second) - squared, squared)
        fall = self._parallel(first, second)
        rest = near - (np.sqrt(first) - np.sqrt(second)) ** 2  # 2 sqrt(q_1 q_2) (1 - c)
        rest = np.maximum(rest, 0.0)  # rounding, where c = 1
        both = special.erf(np.minimum(_bound(first), _bound(second)) / math.sqrt(2))
        _, moment = self._corners(first, second, near)
        found = fall + rest * both - 2 * np.sqrt(first * second) * moment
        whole = 2 * (self.second_moment(first) + self.second_moment(second))
        return np.where(opposite, whole - found, found)

    def slope_product(self, first, second, squared):
        first, second, squared = np.broadcast_arrays(first, second, squared)
        near = np.where(squared > first + second, 2 * (first + second) - squared, squared)
        both = special.erf(np.minimum(_bound(first), _bound(second)) / math.sqrt(2))
        return both - self._corners(first, second, near)[0]

    @staticmethod
    def _parallel(first, second):
        """Return ``E[(phi(u) - phi(v))^2]`` for ``u`` and ``v`` of correlation one."""
        low, high = np.minimum(first, second), np.maximum(first, second)
        inner, outer = _bound(high), _bound(low)
        central = (np.sqrt(high) - np.sqrt(low)) ** 2 * special.gammainc(1.5, inner**2 / 2)
        x, weights = special.roots_legendre(40)
        width = np.minimum(outer, np.maximum(inner, 9.0)) - inner
        at = inner[..., None] + width[..., None] * (x + 1) / 2
        values = (1 - np.sqrt(low)[..., None] * at) ** 2 * np.exp(-np.square(at) / 2)
        middle = width / math.sqrt(2 * math.pi) * np.sum(weights * values, axis=-1)
        return central + middle

    @staticmethod
    def _corners(first, second, squared):
        """Integrals of Plackett's corner densities from the angle 0, where c = 1, to that of c; with weights 1 and x - c."""
        h, k = _bound(first)[..., None], _bound(second)[..., None]
        angle = PiecewiseLinear._angle(first, second, squared)[..., None]
        share, weights = _double_exponential()
        at = angle * share
        versed = 2 * np.sin(at / 2) ** 2  # y = 1 - x
        other = 2 * np.cos(at / 2) ** 2  # 1 + x
        square = 2 * versed * other
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            same = np.exp(-((h - k) ** 2) / square - h * k / other)
            cross = np.exp(-((h + k) ** 2) / square + h * k / other)
        density = np.where(versed > 0, same - cross, 0.0) * weights * angle / math.pi
        return density.sum(axis=-1), np.sum(density * (2 * np.sin(angle / 2) ** 2 - versed), axis=-1)

    def log_slope_curvature(self, variance):
        raise ParameterError("uniformity needs an activation that is invertible: hard_tanh has atoms at -1 and 1")

    def hermite(self, variance, orders):
        found = np.zeros((*variance.shape, orders))
        bound, root = _bound(variance), np.sqrt(variance)
        if orders > 1:
            found[..., 1] = root * special.erf(bound / math.sqrt(2))
        before, now = np.zeros_like(bound), np.exp(-np.square(bound) / 2) / math.sqrt(2 * math.pi)
        for order in range(2, orders):  # now: normalised Hermite polynomial of order - 2, times the density
            if order % 2:
                found[..., order] = -2 * root * now / math.sqrt(order * (order - 1))
            before, now = now, (bound * now - math.sqrt(order - 2) * before) / math.sqrt(order - 1)
        return found


def named(activation):
    """Return an activation by its name.

    Parameters
    ----------
    activation : str
        ``"tanh"``; ``"erf"``, which is ``erf(z)`` with slope ``2/sqrt(pi)`` at zero; ``"relu"``; ``"leaky_relu"``, with
        slope 0.01 below zero, or ``"leaky_relu(0.2)"`` with another in [-1, 1]; ``"hard_tanh"``; ``"linear"``.

    Returns
    -------
    Mixture, PiecewiseLinear or HardTanh
        Callable on arrays, with ``slope``, the averages of this module and ``hermite``, the coefficients of
        ``phi(sqrt(q) x)`` in normalised Hermite polynomials.

    Raises
    ------
    ParameterError
        If there is none of that name.

    Examples
    --------
    >>> named("leaky_relu(0.2)")(np.array([-1.0, 2.0])).tolist()
    [-0.2, 2.0]
    """
    return _named(activation) if isinstance(activation, str) else choice("activation", activation, ACTIVATIONS)


@functools.lru_cache(maxsize=64)
def _named(activation):
    base, slope = activation, LEAKY_SLOPE
    if match := re.fullmatch(r"leaky_relu\((.*)\)", activation):
        try:
            slope = float(match[1])
        except ValueError:
            raise ParameterError(f"the slope of leaky_relu must be a number, got {activation!r}") from None
        base, slope = "leaky_relu", finite("slope of leaky_relu", slope, low=-1.0, high=1.0)
    choice("activation", base, ACTIVATIONS)
    if base == "tanh":
        return Mixture("tanh", *_KOLMOGOROV)
    if base == "erf":
        return Mixture("erf", [math.sqrt(0.5)], [1.0])
    if base == "hard_tanh":
        return HardTanh()
    return PiecewiseLinear(activation, {"relu": 0.0, "leaky_relu": slope, "linear": 1.0}[base])


def _total(pairs, term, like):
    """Sum of weighted terms over pairs of error functions, one at a time: arrays stay in the cache."""
    total = np.zeros(np.shape(like))
    for s, t, weight in zip(*pairs, strict=True):
        total += weight * term(s, t)
    return total


def _determinant(first, second, squared):
    """``q_1 q_2 - k^2`` from ``d``, without cancellation where ``u`` and ``v`` are close; rounding may make it negative."""
    return np.maximum(2 * (first + second) * squared - squared**2 - (first - second) ** 2, 0.0) / 4


def _fall(first, second, squared, product):
    """Difference of two angles: ``arcsin`` of ``q_1/sqrt((s+q_1)(t+q_1))`` less that of ``k/sqrt((s+q_1)(t+q_2))``."""
    determinant = _determinant(first, second, squared)
    # q_1^2 - k^2, as q_1 - k = (q_1 - q_2 + d)/2
    apart = (first - second + squared) / 2 * (first + product)

    def fall(s, t):
        x = np.sqrt(s * t + first * (s + t))
        y = np.sqrt(s * t + s * second + t * first + determinant)
        close = (s + first) * (t * apart + first * determinant)
        with np.errstate(divide="ignore", invalid="ignore"):
            sine = np.where(product > 0, close / (first * y + product * x), first * y - product * x)
        return np.arctan2(sine, x * y + first * product)

    return fall


def _bound(variance):
    """``1/sqrt(q)``; beyond 1e150 nothing changes."""
    return 1 / np.sqrt(np.maximum(variance, 1e-300))


@functools.lru_cache(maxsize=1)
def _double_exponential():
    """Nodes and weights for an integral over (0, 1) (Takahasi & Mori 1974)."""
    t = np.arange(-52, 53) / 16
    share = special.expit(math.pi * np.sinh(t))
    weights = math.pi * np.cosh(t) * share * special.expit(-math.pi * np.sinh(t)) / 16
    return share, weights
