"""Activations of random networks, and their averages over Gaussian pre-activations.

Mean-field theory asks four averages of an activation ``phi``, over a pair ``(u, v)`` of centred normal variables with
variances ``q_1``, ``q_2`` and ``E[(u - v)^2] = d``; here they are, in closed form wherever there is one:

- ``second_moment(q)``: ``E[phi(u)^2]``, and ``second_moment_slope(q)``, its derivative;
- ``difference(q_1, q_2, d)``: ``E[(phi(u) - phi(v))^2]``, with all its digits however small ``d`` is;
- ``slope_product(q_1, q_2, d)``: ``E[phi'(u) phi'(v)]``.

`relu`, `leaky_relu` and `linear` have the arc-cosine kernels (Cho & Saul 2009), `erf` the arcsine kernel (Williams
1997), `hard_tanh` one integral over the angle between the inputs (Plackett 1954).

`tanh` is an average of error functions, ``tanh z = E[erf(z / (sqrt(2) s))]``, for the logistic density is a mixture of
normal ones: its standard deviation ``s`` follows Kolmogorov's law (Andrews & Mallows, J. R. Stat. Soc. B 36, 99
(1974)). Gauss's rule for that law in the variable ``ln s`` needs twelve of them for averages right to 1e-13 at every
variance (their slopes to 1e-12); and those of error functions are closed.

The methods take float64 arrays, checked by whoever calls; one array given as both variances saves half of the work.
"""

import functools
import math

import numpy as np
from scipy import special

from isingflow import parameters

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


class Activation:
    """An activation: callable on arrays, with its averages.

    A kind has ``slope(z)``, which is ``phi'(z)``, and ``increment(z, step)``, ``phi(z + step) - phi(z)``;
    ``moment(q)``, the second moment and its slope; ``pair(q_1, q_2, d)``, the difference and the slope product; and
    ``hermite(q, orders)``, the coefficients of ``phi(sqrt(q) x)`` in normalised Hermite polynomials, (..., orders).
    """

    name: str
    homogeneous = False
    """Whether ``phi(a z) = a phi(z)`` for positive a."""
    kinks = ()
    """Where the slope jumps."""
    origin_slope = math.nan
    """``phi'(0)``, where there is one."""

    def second_moment(self, variance):
        """Return ``E[phi(u)^2]``."""
        return self.moment(variance)[0]

    def second_moment_slope(self, variance):
        """Return the derivative of ``E[phi(u)^2]``."""
        return self.moment(variance)[1]

    def difference(self, first, second, squared):
        """Return ``E[(phi(u) - phi(v))^2]``."""
        return self.pair(first, second, squared)[0]

    def slope_product(self, first, second, squared):
        """Return ``E[phi'(u) phi'(v)]``."""
        return self.pair(first, second, squared)[1]

    def squared_slope(self, variance):
        """Return ``E[phi'(u)^2]``."""
        return self.slope_product(variance, variance, np.zeros_like(variance))


class OddActivation(Activation):
    """``phi(-z) = -phi(z)``: a pair of negative correlation is reduced to ``(u, -v)``."""

    def pair(self, first, second, squared):
        opposite = squared > first + second
        if not np.any(opposite):
            return self._pair(first, second, squared)
        difference, slopes = self._pair(first, second, np.where(opposite, 2 * (first + second) - squared, squared))
        whole = 2 * (self.second_moment(first) + self.second_moment(second))
        return np.where(opposite, whole - difference, difference), slopes


class Mixture(OddActivation):
    """``phi(z) = sum_i w_i erf(z / (sqrt(2) s_i))``: error functions themselves, and tanh.

    With ``X = (s_i^2 + q_1)(s_j^2 + q_2)`` and ``k = E[u v]``, ``E[phi(u) phi(v)]`` is a sum of
    ``(2/pi) arcsin(k / sqrt(X))`` (Williams, NIPS 9, Eq. 11).
    """

    def __init__(self, name, nodes, weights, origin_slope):
        self.name, self.origin_slope = name, origin_slope
        self.nodes, self.weights = np.asarray(nodes), np.asarray(weights)
        first, second = np.meshgrid(self.nodes**2, self.nodes**2, indexing="ij")
        ordered = first, second, 2 / math.pi * np.outer(weights, weights)
        self._ordered = [array.ravel().tolist() for array in ordered]
        upper = np.triu_indices(len(self.nodes))
        twice = np.where(upper[0] == upper[1], 1.0, 2.0)
        self._unordered = [(array[upper] * times).tolist() for array, times in zip(ordered, (1, 1, twice), strict=True)]

    def __call__(self, z):
        return np.tanh(z) if self.name == "tanh" else special.erf(z)

    def slope(self, z):
        if self.name == "tanh":
            decay = np.exp(-2 * np.abs(z))
            return 4 * decay / (1 + decay) ** 2
        return 2 / math.sqrt(math.pi) * np.exp(-np.square(z))

    def increment(self, z, step):
        if self.name == "tanh":
            return np.tanh(step) * (1 - np.tanh(z) * np.tanh(z + step))
        # over a step below 0.1 five nodes give the mean slope of erf to 1e-16
        mean_slope = sum(weight * self.slope(z + share * step) for share, weight in _gauss(5))
        return np.where(np.abs(step) < 0.1, step * mean_slope, self(z + step) - self(z))

    def moment(self, variance):
        square = variance * variance
        total, slope = np.zeros((2, *np.shape(variance)))
        for s, t, weight in zip(*self._unordered, strict=True):
            alone = s * t + (s + t) / 2 * variance
            rest = alone + (s + t) / 2 * variance  # (s + q)(t + q) - q^2
            root = np.sqrt(rest)
            total += weight * np.arctan2(variance, root)
            slope += weight * alone / ((rest + square) * root)
        return total, slope

    def _pair(self, first, second, squared):
        product = (first + second - squared) / 2
        determinant = _determinant(first, second, squared)
        falls = [_Fall(first, second, squared, product, determinant)]
        if first is not second:
            falls.append(_Fall(second, first, squared, product, determinant))
        total, slopes = np.zeros((2, *np.shape(determinant)))
        for s, t, weight in zip(*(self._unordered if first is second else self._ordered), strict=True):
            for fall in falls:
                angle, root = fall(s, t)
                total += weight * angle
            slopes += weight / root
        return total * (2 if first is second else 1), slopes

    def log_slope(self, z):
        """Return ``ln phi'(z)``, with its digits where ``phi'`` underflows."""
        if self.name == "erf":
            return math.log(self.origin_slope) - np.square(z)
        decay = np.abs(z)
        return 2 * (math.log(2) - decay - np.log1p(np.exp(-2 * decay)))

    def mean_log_slope(self, variance):
        """Return ``E[ln phi'(u)]``: for erf ``ln phi'(0) - q``, for tanh half the integral of `log_slope_curvature`."""
        if self.name == "erf":
            return math.log(self.origin_slope) - variance
        fall = sum(
            weight / (np.sqrt(node**2 + variance) + node) for node, weight in zip(self.nodes, self.weights, strict=True)
        )
        return -2 * math.sqrt(2 / math.pi) * variance * fall

    def log_slope_curvature(self, variance):
        """Return ``E[(ln phi')'']``, which for tanh is ``-2 E[phi']`` and for erf -2."""
        if self.name == "erf":
            return -2.0
        return -2 * math.sqrt(2 / math.pi) * float(np.sum(self.weights / np.sqrt(np.square(self.nodes) + variance)))

    def hermite(self, variance, orders):
        found = np.zeros((*np.shape(variance), orders))
        ratio = variance[..., None] / (np.square(self.nodes) + variance[..., None])
        power = math.sqrt(2 / math.pi) * self.weights * np.sqrt(ratio)
        for order in range(1, orders, 2):  # power: with the root of the coefficient of x^order in x arcsin'(x)
            found[..., order] = (-1) ** (order // 2) * np.sum(power, axis=-1) / math.sqrt(order)
            power = power * ratio * math.sqrt(order / (order + 1))
        return found


class PiecewiseLinear(Activation):
    """``phi(z) = z`` above zero and ``slope z`` below: relu (0), leaky relu, linear (1).

    ``phi(z) = (1 + slope) z / 2 + (1 - slope) |z| / 2``, and the two parts do not mix in any of the averages.
    """

    homogeneous = True

    def __init__(self, name, below):
        self.name, self.below = name, below
        self.gain = (1 + below**2) / 2
        self.kinks = () if below == 1 else (0.0,)

    def __call__(self, z):
        return np.where(np.asarray(z) > 0, z, self.below * np.asarray(z))

    def slope(self, z):
        """Return ``phi'(z)``; at zero the mean of both sides."""
        return np.where(np.asarray(z) > 0, 1.0, np.where(np.asarray(z) < 0, self.below, (1 + self.below) / 2))

    def increment(self, z, step):
        outward = np.copysign(1.0, z) * step
        modulus = np.maximum(outward, -2 * np.abs(z) - outward)  # |z + step| - |z|
        return (1 + self.below) / 2 * step + (1 - self.below) / 2 * modulus

    def moment(self, variance):
        return self.gain * variance, np.full(np.shape(variance), self.gain)

    def pair(self, first, second, squared):
        angle = _angle(first, second, squared)
        share = (1 - self.below) ** 2 / math.pi
        # sin t - t cos t = t^2 j_1(t), t the angle
        lost = np.square(angle) * special.spherical_jn(1, angle) * np.sqrt(first * second)
        return self.gain * squared - share * lost, self.gain - share * angle / 2

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


class HardTanh(OddActivation):
    """``phi(z) = z`` in [-1, 1], and -1 or 1 beyond.

    The derivative of ``E[phi'(u) phi'(v)] = P(|u| < 1, |v| < 1)`` in the correlation is a sum over the corners of the
    square (Plackett, Biometrika 41, 351 (1954)); it is integrated over the angle whose cosine is the correlation, twice
    for ``E[phi(u) phi(v)]``. Relative accuracy 1e-12 up to variances of 10, and 3e-13 in all beyond.
    """

    name = "hard_tanh"
    kinks = (-1.0, 1.0)
    origin_slope = 1.0

    def __call__(self, z):
        return np.clip(z, -1.0, 1.0)

    def slope(self, z):
        """Return ``phi'(z)``; at the kinks one half."""
        return np.where(np.abs(z) < 1, 1.0, np.where(np.abs(z) == 1, 0.5, 0.0))

    def increment(self, z, step):
        inside = self(z)
        return np.clip(step + (z - inside), -1 - inside, 1 - inside)

    def moment(self, variance):
        bound = _bound(variance)
        inside = special.gammainc(1.5, bound**2 / 2)  # E[x^2; |x| < bound]
        return variance * inside + special.erfc(bound / math.sqrt(2)), inside

    def squared_slope(self, variance):
        return special.erf(_bound(variance) / math.sqrt(2))

    def _pair(self, first, second, squared):
        # 2 sqrt(q_1 q_2) (1 - c), which rounding may take below zero
        apart = np.maximum(squared - (np.sqrt(first) - np.sqrt(second)) ** 2, 0.0)
        both = self.squared_slope(np.maximum(first, second))  # E[phi' phi'] where c = 1
        lost, moment = self._corners(first, second, squared)
        difference = self._parallel(first, second) + apart * both - 2 * np.sqrt(first * second) * moment
        return difference, both - lost

    @staticmethod
    def _parallel(first, second):
        """Return ``E[(phi(u) - phi(v))^2]`` for ``u`` and ``v`` of correlation one."""
        low, high = np.minimum(first, second), np.maximum(first, second)
        inner, outer = _bound(high), _bound(low)
        central = (np.sqrt(high) - np.sqrt(low)) ** 2 * special.gammainc(1.5, inner**2 / 2)
        width = np.minimum(outer, np.maximum(inner, 9.0)) - inner
        for share, weight in _gauss(40):
            at = inner + share * width
            central += weight * width * (1 - np.sqrt(low) * at) ** 2 * np.sqrt(2 / math.pi) * np.exp(-np.square(at) / 2)
        return central

    @staticmethod
    def _corners(first, second, squared):
        """Integrals of Plackett's corner densities over correlations x from c to 1, with weights 1 and x - c."""
        h, k = _bound(first), _bound(second)
        half = np.maximum(np.sin(_angle(first, second, squared) / 2), 1e-120)  # at zero there is nothing
        integral, moment = np.zeros((2, *np.shape(half)))
        for corner, sign in ((h - k, 1), (h + k, -1)):
            # sin(angle/2) = scale sinh(t): where the angle is about the scale the density rises
            smooth = first is second and sign == 1
            scale = 1.0 if smooth else np.maximum(np.abs(corner) / 2, 1e-12)
            top = np.arcsinh(half / scale)
            square, product = scale**2, sign * h * k / 2
            for share, weight in _gauss(24 if smooth else 80):  # one node at a time: arrays stay in the cache
                sine = scale * np.sinh(share * top)
                away = 1 - sine**2
                density = np.exp(-((corner / sine) ** 2 / 8 + product) / away) * np.sqrt((square + sine**2) / away)
                density *= sign * 2 * weight / math.pi * top
                integral += density
                moment += density * 2 * (half**2 - sine**2)
        return integral, moment

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
    Activation
        Callable on arrays, with ``slope``, the averages of this module and ``hermite``.

    Raises
    ------
    ParameterError
        If there is none of that name.

    Examples
    --------
    >>> named("leaky_relu(0.2)")(np.array([-1.0, 2.0])).tolist()
    [-0.2, 2.0]
    """
    return _named(*parameters.activation(activation))


@functools.lru_cache(maxsize=64)
def _named(kind, below):
    if kind == "tanh":
        return Mixture("tanh", *_KOLMOGOROV, origin_slope=1.0)
    if kind == "erf":
        return Mixture("erf", [math.sqrt(0.5)], [1.0], origin_slope=2 / math.sqrt(math.pi))
    return HardTanh() if kind == "hard_tanh" else PiecewiseLinear(kind, below)


@functools.lru_cache(maxsize=8)
def _gauss(count):
    """Nodes and weights of Gauss's rule on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return tuple(zip(((1 + nodes) / 2).tolist(), (weights / 2).tolist(), strict=True))


def _determinant(first, second, squared):
    """``q_1 q_2 - k^2`` from ``d``: without cancellation where ``u`` and ``v`` are close, never below 0."""
    return np.maximum(2 * (first + second) * squared - squared**2 - (first - second) ** 2, 0.0) / 4


def _angle(first, second, squared):
    """Return the angle whose cosine is the correlation."""
    return np.arctan2(np.sqrt(_determinant(first, second, squared)), (first + second - squared) / 2)


class _Fall:
    """Angle ``arcsin`` of ``q_1/sqrt((s+q_1)(t+q_1))`` less that of ``k/sqrt((s+q_1)(t+q_2))``, k not negative."""

    def __init__(self, first, second, squared, product, determinant):
        self.first, self.second, self.product, self.determinant = first, second, product, determinant
        # q_1^2 - k^2, as q_1 - k = (q_1 - q_2 + d)/2
        self.apart = (first - second + squared) / 2 * (first + product)
        self.along = first * product
        self.zero = np.asarray(first == 0, dtype=float)  # there the angle is 0/1, not 0/0

    def __call__(self, s, t):
        """Return it with the root of ``(s+q_1)(t+q_2) - k^2``."""
        x = np.sqrt(s * t + (s + t) * self.first)
        y = np.sqrt(s * t + s * self.second + t * self.first + self.determinant)
        sine = (s + self.first) * (t * self.apart + self.first * self.determinant)
        return np.arctan2(sine / (self.first * y + self.product * x + self.zero), x * y + self.along), y


def _bound(variance):
    """``1/sqrt(q)``, up to a thousand: beyond that many standard deviations there is nothing."""
    return 1 / np.sqrt(np.maximum(variance, 1e-6))
