"""Mean-field theory of the random tanh network: the limit of infinite width.

In that limit a layer's pre-activations are Gaussian, and two numbers say everything about a pair of inputs
of equal norm: the variance ``q`` and the correlation ``c``, which obey closed maps from layer to layer
(Poole et al., arXiv:1606.05340, Eqs. 3 and 5; Schoenholz et al., arXiv:1611.01232, Section 3). All functions
take scalars or arrays, which broadcast: floats in give floats out, arrays give float64 arrays.

Correlations are carried as the *gap* ``1 - c``: in the ordered phase ``c`` itself is soon 1 to all digits.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from isingflow.errors import ParameterError
from isingflow.parameters import ACTIVATIONS, NetworkParameters, choice, finite

LARGEST_VARIANCE = 1e4
# Rates nearer to one than this are one: the averages and the fixed points are not known better.
RESOLUTION = 1e-13

_RANGES = {
    "variance": {"low": 0.0, "high": 2 * LARGEST_VARIANCE},
    "gap": {"low": 0.0, "high": 2.0},
    "weight_variance": {"above": 0.0, "high": LARGEST_VARIANCE},
    "bias_variance": {"low": 0.0, "high": LARGEST_VARIANCE},
}


class DepthScales(NamedTuple):
    """Depths, in layers, over which a network forgets its input.

    Attributes
    ----------
    xi_q : float or float64 array
        Of the variance, in ``(0, inf]``.
    xi_c : float or float64 array
        Of the correlation, in ``(0, inf]``; infinite at the edge of chaos.
    """

    xi_q: float
    xi_c: float


def variance_map(variance, weight_variance, bias_variance, *, activation="tanh"):
    """Return the variance one layer further, ``sigma_w^2 E[tanh(sqrt(q) x)^2] + sigma_b^2``, x ~ N(0, 1).

    Parameters
    ----------
    variance : float or array
        ``q``, dimensionless, in [0, 2e4].
    weight_variance : float or array
        ``sigma_w^2``, dimensionless, in (0, 1e4]; above 1e3 pairs of inputs take seconds a value.
    bias_variance : float or array
        ``sigma_b^2``, dimensionless, in [0, 1e4].
    activation : str
        ``"tanh"``.

    Returns
    -------
    float or float64 array
        Dimensionless; relative accuracy 1e-13.

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range, shapes do not broadcast, or the activation is unknown.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eq. 3.

    Examples
    --------
    >>> round(variance_map(0.5, 2.0, 0.05), 12)
    0.597352615873
    """
    return _elementwise(
        _next_variance,
        activation,
        variance=variance,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
    )


def correlation_gap_map(gap, variance, weight_variance, bias_variance, *, activation="tanh"):
    """Return ``1 - c`` one layer further, for two inputs of common variance ``q`` and correlation ``c``.

    ``q`` need not be the fixed point: the new gap is ``sigma_w^2 E[(tanh u - tanh v)^2] / (2 q')`` with
    ``q'`` the new variance. Relative accuracy is kept however small the gap is.

    Parameters
    ----------
    gap : float or array
        ``1 - c``, dimensionless, in [0, 2].
    variance, weight_variance, bias_variance, activation
        As for `variance_map`.

    Returns
    -------
    float or float64 array
        Dimensionless, in [0, 2].

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eq. 5, rewritten for the gap.

    Examples
    --------
    In the ordered phase small gaps shrink by chi a layer:

    >>> q = fixed_point_variance(1.5, 0.05)
    >>> round(correlation_gap_map(1e-25, q, 1.5, 0.05) / 1e-25, 9)
    0.938636268
    """
    return _elementwise(
        _next_gap,
        activation,
        gap=gap,
        variance=variance,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
    )


def fixed_point_variance(weight_variance, bias_variance, *, activation="tanh"):
    """Return the variance ``q*`` that a deep network settles at.

    It is attracting and unique: zero for ``sigma_b = 0, sigma_w^2 <= 1``, else positive.

    Parameters
    ----------
    weight_variance, bias_variance, activation
        As for `variance_map`.

    Returns
    -------
    float or float64 array
        Dimensionless, in [0, sigma_w^2 + sigma_b^2].

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eq. 3 at its fixed point.

    Examples
    --------
    >>> round(fixed_point_variance(1.5, 0.05), 9)
    0.418037201
    """
    return _elementwise(_fixed_variance, activation, weight_variance=weight_variance, bias_variance=bias_variance)


def fixed_point_correlation(weight_variance, bias_variance, *, activation="tanh"):
    """Return the correlation ``c*`` that two different inputs settle at.

    It is 1 in the ordered phase and at the edge of chaos, less in the chaotic phase, 0 there without bias.

    Parameters
    ----------
    weight_variance, bias_variance, activation
        As for `variance_map`.

    Returns
    -------
    float or float64 array
        Dimensionless, in [0, 1].

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eq. 5 at its fixed point.

    Examples
    --------
    >>> round(fixed_point_correlation(2.5, 0.05), 9)
    0.446804232
    """
    return _elementwise(
        lambda weight, bias: 1.0 - _fixed_gap(weight, bias),
        activation,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
    )


def susceptibility(weight_variance, bias_variance, *, activation="tanh"):
    """Return ``chi = sigma_w^2 E[tanh'(sqrt(q*) x)^2]``, the growth of a small gap ``1 - c`` in one layer.

    Below 1 the phase is ordered, above 1 it is chaotic.

    Parameters
    ----------
    weight_variance, bias_variance, activation
        As for `variance_map`.

    Returns
    -------
    float or float64 array
        Dimensionless, positive.

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eq. 6.

    Examples
    --------
    >>> round(susceptibility(1.5, 0.05), 9)
    0.938636268
    """
    return _elementwise(_growth, activation, weight_variance=weight_variance, bias_variance=bias_variance)


def depth_scales(weight_variance, bias_variance, *, activation="tanh"):
    """Return the depths over which variance and correlation forget where they started.

    ``xi = -1 / ln(slope of the map at its fixed point)``. ``xi_c`` is infinite at the edge of chaos, and both
    are at ``(sigma_w^2, sigma_b^2) = (1, 0)``: a slope within 1e-13 of one counts as one.

    Parameters
    ----------
    weight_variance, bias_variance, activation
        As for `variance_map`.

    Returns
    -------
    DepthScales
        ``(xi_q, xi_c)`` in layers, each a float or a float64 array, in ``(0, inf]``.

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Schoenholz et al., arXiv:1611.01232, Section 3.

    Examples
    --------
    >>> [round(scale, 6) for scale in depth_scales(1.5, 0.05)]
    [1.682828, 15.790994]
    """
    arguments = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    return DepthScales(
        _elementwise(lambda *network: _scale(_variance_slope(*network)), activation, **arguments),
        _elementwise(lambda *network: _scale(_gap_slope(*network)), activation, **arguments),
    )


def critical_weight_variance(bias_variance, *, activation="tanh"):
    """Return the weight variance of the edge of chaos, where ``chi = 1``.

    Parameters
    ----------
    bias_variance : float or array
        ``sigma_b^2``, dimensionless, in [0, 10].
    activation : str
        ``"tanh"``.

    Returns
    -------
    float or float64 array
        ``sigma_w^2``, dimensionless, at least 1; absolute accuracy 1e-11 (1e-7 for ``0 < sigma_b^2 < 1e-15``,
        where the edge is ill-conditioned: ``sigma_w^2 - 1 ~ sigma_b^(2/3)``).

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eq. 6 with chi_1 = 1.

    Examples
    --------
    >>> round(critical_weight_variance(0.05), 9)
    1.76095464
    """
    bias_variance = _checked("bias_variance", bias_variance, low=0.0, high=10.0)
    return _elementwise(_edge, activation, bias_variance=bias_variance)


def uniformity_variance(*, activation="tanh"):
    """Return the variance ``q`` at which the entropy of ``tanh(z)``, ``z ~ N(0, q)``, is largest.

    The line of uniformity is where ``q*`` has this value.

    Parameters
    ----------
    activation : str
        ``"tanh"``.

    Returns
    -------
    float
        The root of ``2 q E[sech^2(sqrt(q) x)] = 1``, dimensionless.

    Raises
    ------
    ParameterError
        If the activation is unknown.

    References
    ----------
    Bukva et al., arXiv:2304.04784: stationary point of ``ln(q)/2 + E[ln sech^2(sqrt(q) x)]``.

    Examples
    --------
    >>> round(uniformity_variance(), 9)
    0.764576007
    """
    choice("activation", activation, ACTIVATIONS)

    def slope(variance):
        return 1.0 - 2.0 * variance * _average(lambda y, x: _sech_squared(y), variance)

    return _root(slope, 0.1, 2.0)


def pair_levels(variance, gap, network: NetworkParameters):
    """Return variance and correlation gap through the layers, for two inputs of the same variance at level 0.

    Parameters
    ----------
    variance : float
        ``q_0``, dimensionless, in [0, 2e4].
    gap : float
        ``1 - c_0``, dimensionless, in [0, 2].
    network : NetworkParameters
        Its width is not used: this is the limit of infinite width.

    Returns
    -------
    variances, gaps : float64 (depth + 1,)
        ``q_l`` and ``1 - c_l``, levels 0 to depth, dimensionless.

    Raises
    ------
    ParameterError
        If an argument is not finite or out of its range.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eqs. 3 and 5.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=2, width=8)
    >>> pair_levels(0.5, 0.4, network)[0].round(9).tolist()
    [0.5, 0.597352616, 0.656422835]
    """
    weight = finite("weight_variance", network.weight_variance, **_RANGES["weight_variance"])
    bias = finite("bias_variance", network.bias_variance, **_RANGES["bias_variance"])
    variances, gaps = np.empty((2, network.depth + 1))
    variances[0] = finite("variance", variance, **_RANGES["variance"])
    gaps[0] = finite("gap", gap, **_RANGES["gap"])
    for level in range(network.depth):
        variances[level + 1] = _next_variance(variances[level], weight, bias)
        gaps[level + 1] = _next_gap(gaps[level], variances[level], weight, bias)
    return variances, gaps


def _checked(name, value, **allowed):
    """Return `value`, a number or an array, as float64, every element checked."""
    return np.vectorize(functools.partial(finite, name, **allowed), otypes=[float])(value)


def _elementwise(function, activation, **arguments):
    """Check the arguments, apply a function of scalars to them with broadcasting; floats in, float out."""
    choice("activation", activation, ACTIVATIONS)
    arrays = [_checked(name, value, **_RANGES[name]) for name, value in arguments.items()]
    try:
        result = np.vectorize(function, otypes=[float])(*arrays)
    except ValueError as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(arguments, arrays, strict=True))
        raise ParameterError(f"the shapes do not broadcast: {shapes}") from error
    return result if result.ndim else float(result)


def _half_line(curvature):
    """Return abscissae x >= 0 and weights of E[f(x)], f even with no pole below ``Im x = pi/2 / curvature``.

    The trapezoid rule with step h errs by exp(a^2/2 - 2 pi a/h) for functions analytic in ``|Im x| < a``
    (Trefethen & Weideman 2014, Theorem 5.1); the step makes that e^-44: room for poles of fourth order.
    """
    strip = min(0.5 * math.pi / curvature, math.sqrt(88.0)) if curvature > 0 else math.sqrt(88.0)
    step = 2.0 * math.pi * strip / (44.0 + 0.5 * strip**2)
    x = step * np.arange(int(9.0 / step) + 1)
    weights = np.exp(-0.5 * x**2)
    weights[0] *= 0.5
    return x, weights / weights.sum()


def _average(function, variance):
    """Return E[f(sqrt(q) x, x)] for f even under a change of sign of both."""
    root = math.sqrt(variance)
    x, weights = _half_line(root)
    return float(np.sum(weights * function(root * x, x)))


def _pair_average(function, variance, gap):
    """Return E[f(u, v, u - v)], f even and symmetric; u, v of common variance q and correlation 1 - gap."""
    root = math.sqrt(variance)
    cosine, sine = math.sqrt(1.0 - 0.5 * gap), math.sqrt(0.5 * gap)
    x, x_weights = _half_line(root * cosine)
    y, y_weights = _half_line(root * sine)
    total = 0.0
    # Row by row, for at variance 1e4 the grid would not fit in memory.
    for start in range(0, len(x), 64):
        common = root * cosine * x[start : start + 64, None]
        half = root * sine * y
        values = function(common + half, common - half, 2.0 * half)
        total += float(np.sum(x_weights[start : start + 64, None] * (y_weights * values)))
    return total


def _sech_squared(y):
    decay = np.exp(-2.0 * np.abs(y))
    return 4.0 * decay / (1.0 + decay) ** 2


def _squared_difference(u, v, difference):
    # tanh u - tanh v in the form that does not cancel.
    return (np.tanh(difference) * (1.0 - np.tanh(u) * np.tanh(v))) ** 2


def _activity(variance):
    """Return E[tanh^2]."""
    return _average(lambda y, x: np.tanh(y) ** 2, variance)


def _squared_slope(variance):
    """Return E[tanh'^2]."""
    return _average(lambda y, x: _sech_squared(y) ** 2, variance)


def _next_variance(variance, weight, bias):
    return weight * _activity(variance) + bias


def _next_gap(gap, variance, weight, bias):
    if gap == 0.0 or variance == 0.0:
        # At q = 0 tanh is linear: only a bias, the same for both inputs, changes the correlation.
        return gap if bias == 0.0 else 0.0
    spread = _pair_average(_squared_difference, variance, gap)
    return min(0.5 * weight * spread / _next_variance(variance, weight, bias), 2.0)


def _root(function, low, high):
    """Return the root of a falling function; an end of the bracket if rounding puts the root outside."""
    if function(low) <= 0.0:
        return low
    if function(high) >= 0.0:
        return high
    return brentq(function, low, high, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=500)


def _fixed_variance(weight, bias):
    if bias == 0.0 and weight <= 1.0:
        return 0.0
    # E[tanh^2] >= q - 2 q^2 bounds q* from below; the map over q falls, since tanh(sqrt y)^2 is concave.
    low = max(bias, 0.5 * (weight - 1.0) / weight)
    return _root(lambda variance: _next_variance(variance, weight, bias) / variance - 1.0, low, weight + bias)


def _growth(weight, bias):
    return weight * _squared_slope(_fixed_variance(weight, bias))


def _fixed_gap(weight, bias):
    if bias == 0.0:
        return 1.0 if weight > 1.0 else 0.0
    if _growth(weight, bias) <= 1.0 + RESOLUTION:
        return 0.0
    variance = _fixed_variance(weight, bias)

    def excess(log_gap):
        gap = math.exp(log_gap)
        return _next_gap(gap, variance, weight, bias) / gap - 1.0

    return math.exp(_root(excess, math.log(RESOLUTION), 0.0))


def _variance_slope(weight, bias):
    variance = _fixed_variance(weight, bias)
    if variance == 0.0:
        return weight
    slope = _average(lambda y, x: x * np.tanh(y) * _sech_squared(y), variance)
    return weight * slope / math.sqrt(variance)


def _gap_slope(weight, bias):
    gap = _fixed_gap(weight, bias)
    if gap == 0.0:
        return _growth(weight, bias)
    return weight * _pair_average(
        lambda u, v, difference: _sech_squared(u) * _sech_squared(v), _fixed_variance(weight, bias), gap
    )


def _scale(slope):
    return math.inf if slope >= 1.0 - RESOLUTION else -1.0 / math.log(slope)


def _edge(bias):
    if bias == 0.0:
        return 1.0

    # Along the edge sigma_w^2 = 1 / E[tanh'^2], so sigma_b^2 is a rising function of q*.
    def excess(variance):
        return bias - variance + _activity(variance) / _squared_slope(variance)

    return 1.0 / _squared_slope(_root(excess, bias, 2 * LARGEST_VARIANCE))
