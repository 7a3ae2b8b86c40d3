"""Mean-field theory of random networks: the limit of infinite width.

In that limit a layer's pre-activations are Gaussian, and two numbers say everything about a pair of inputs
of equal norm: the variance ``q`` and the correlation ``c``, which obey closed maps from layer to layer
(Poole et al., arXiv:1606.05340, Eqs. 3 and 5; Schoenholz et al., arXiv:1611.01232, Section 3). All functions
take scalars or arrays, which broadcast: floats in give floats out, arrays give float64 arrays.

Correlations are carried as the *gap* ``1 - c``: in the ordered phase ``c`` itself is soon 1 to all digits.

A residual network of strength ``r``, ``z^l = r z^{l-1} + W phi(z^{l-1}) + b``, adds ``r^2`` times the identity to both
maps (Yang & Schoenholz, arXiv:1712.08969). So its ``q*`` and its edge of chaos are those of the plain network with both
variances divided by ``1 - r^2``, and it forgets more slowly: slopes of its maps are ``r^2`` plus ``1 - r^2`` times the
plain ones.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.optimize.elementwise import find_root

from isingflow.errors import ConvergenceError, ParameterError
from isingflow.network.activations import named
from isingflow.parameters import NetworkParameters, finite, whole

LARGEST_VARIANCE = 1e4
# Rates nearer to one than this are one: the averages and the fixed points are not known better.
RESOLUTION = 1e-13
CHUNK = 16384
ITERATIONS = 2000

_RANGES = {
    "variance": {"low": 0.0, "high": 2 * LARGEST_VARIANCE},
    "gap": {"low": 0.0, "high": 2.0},
    "weight_variance": {"above": 0.0, "high": LARGEST_VARIANCE},
    "bias_variance": {"low": 0.0, "high": LARGEST_VARIANCE},
    "start": {"above": 0.0, "high": 2 * LARGEST_VARIANCE},
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


class MeanField(NamedTuple):
    """What a deep network settles at, and how fast; floats or float64 arrays.

    Attributes
    ----------
    variance : float or float64 array
        ``q*``, as from `fixed_point_variance`.
    susceptibility : float or float64 array
        ``chi``, as from `susceptibility`.
    correlation : float or float64 array
        ``c*``, as from `fixed_point_correlation`.
    gap : float or float64 array
        ``1 - c*``, with the digits that ``c*`` loses near the edge of chaos.
    xi_q, xi_c : float or float64 array
        Layers, as from `depth_scales`.
    """

    variance: float
    susceptibility: float
    correlation: float
    gap: float
    xi_q: float
    xi_c: float


class FixedPoint(NamedTuple):
    """A fixed point of a map.

    Attributes
    ----------
    value : float
        Variance or correlation, dimensionless.
    slope : float
        Of the map there.
    stability : str
        ``"attracting"``, ``"repelling"``, or ``"neutral"``: of slope one.
    """

    value: float
    slope: float
    stability: str


class FixedPoints(NamedTuple):
    """All fixed points of the maps of a network, in ascending order.

    Attributes
    ----------
    variances : tuple of FixedPoint
        Of ``q``; empty if the variance grows without bound. Where every variance is fixed, zero stands for all.
    correlations : tuple of FixedPoint
        Of ``c``, at the attracting variance. Where that is zero or infinite, or every variance is fixed, only one is
        given, neutral: it stands for all where all are fixed, and else attracts as a power of the depth.
    """

    variances: tuple
    correlations: tuple


def variance_map(variance, weight_variance, bias_variance, *, activation="tanh", residual=0.0):
    """Return the variance one layer further, ``sigma_w^2 E[phi(sqrt(q) x)^2] + sigma_b^2 + r^2 q``, x ~ N(0, 1).

    Parameters
    ----------
    variance : float or array
        ``q``, dimensionless, in [0, 2e4].
    weight_variance : float or array
        ``sigma_w^2``, dimensionless, in (0, 1e4].
    bias_variance : float or array
        ``sigma_b^2``, dimensionless, in [0, 1e4].
    activation : str
        As in `isingflow.network.activations.named`.
    residual : float
        ``r``, dimensionless, in [0, 10].

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
        residual,
        False,
        variance=variance,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
    )


def correlation_gap_map(gap, variance, weight_variance, bias_variance, *, activation="tanh", residual=0.0):
    """Return ``1 - c`` one layer further, for two inputs of common variance ``q`` and correlation ``c``.

    ``q`` need not be the fixed point: the new gap is ``sigma_w^2 E[(phi(u) - phi(v))^2] / (2 q')`` with
    ``q'`` the new variance. Relative accuracy is kept however small the gap is, as long as ``q`` and ``q`` times the
    square root of the gap are above 1e-150.

    Parameters
    ----------
    gap : float or array
        ``1 - c``, dimensionless, in [0, 2].
    variance, weight_variance, bias_variance, activation, residual
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
        residual,
        False,
        gap=gap,
        variance=variance,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
    )


def correlation_series(variance, orders, *, activation="tanh"):
    """Return the coefficients of ``E[phi(u) phi(v)] = sum_n a_n^2 c^n``, u, v of variance ``q`` and correlation ``c``.

    ``a_n`` are the coefficients of ``phi(sqrt(q) x)`` in Hermite polynomials normalised to one. With different
    variances the coefficients are ``a_n(q_1) a_n(q_2)``. At c = 1 the terms left out sum to ``E[phi^2]`` less those
    kept; they fall geometrically for tanh and erf, as powers for activations with kinks.

    Parameters
    ----------
    variance : float or array (...)
        ``q``, dimensionless, in [0, 2e4].
    orders : int
        Terms, n = 0 ... orders - 1; at least 1.
    activation : str
        As in `isingflow.network.activations.named`.

    Returns
    -------
    float64 (..., orders)
        ``a_n^2``, dimensionless.

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Daniely, Frostig & Singer, arXiv:1602.05897, Section 4 (dual activation).

    Examples
    --------
    >>> series = correlation_series(0.5, 60)
    >>> round(float(series @ 0.3 ** np.arange(60)), 12) == round(
    ...     variance_map(0.5, 1.0, 0.0) * (1.0 - correlation_gap_map(0.7, 0.5, 1.0, 0.0)), 12
    ... )
    True
    """
    return np.square(named(activation).hermite(_checked("variance", variance), whole("orders", orders)))


def fixed_point_variance(weight_variance, bias_variance, *, activation="tanh", residual=0.0, start=1.0):
    """Return the variance ``q*`` that a deep network settles at.

    For tanh, erf and hard_tanh it is attracting and unique: zero where ``sigma_b = 0`` and
    ``sigma_w^2 phi'(0)^2 <= 1 - r^2``, else positive. For relu, leaky_relu and linear it is finite where
    ``sigma_w^2 E[phi'^2] < 1 - r^2``. Beyond, the variance grows without bound and ``q*`` is infinite; but for equality
    and ``sigma_b = 0`` every variance is a fixed point, and the network stays where it started.

    Parameters
    ----------
    weight_variance, bias_variance, activation
        As for `variance_map`.
    residual : float
        ``r``, dimensionless, in [0, 1): from one on the variance grows without bound.
    start : float or array
        Variance at level 0, dimensionless, positive; it matters only where every variance is a fixed point.

    Returns
    -------
    float or float64 array
        Dimensionless, in [0, inf]; relative accuracy 1e-13, fewer digits where the slope of the map is close to one.

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
    >>> [fixed_point_variance(weight, 0.1, activation="relu") for weight in (1.0, 2.0)]
    [0.2, inf]
    """
    return _elementwise(
        _settled,
        activation,
        residual,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        start=start,
    )


def solve(weight_variance, bias_variance, *, activation="tanh", residual=0.0):
    """Return all that a deep network settles at, in one pass: 40,000 points in about a second.

    Parameters
    ----------
    weight_variance, bias_variance, activation, residual
        As for `fixed_point_variance`.

    Returns
    -------
    MeanField
        ``q*``, ``chi``, ``c*``, ``1 - c*``, ``xi_q`` and ``xi_c``.

    Raises
    ------
    ParameterError
        As for `variance_map`.

    Examples
    --------
    >>> [round(value, 6) for value in solve(2.5, 0.05)]
    [1.063958, 1.133516, 0.446804, 0.553196, 1.179873, 11.795598]
    """

    def everything(phi, strength, weight, bias):
        variance = _settled(phi, strength, weight, bias)
        growth = _growth(phi, strength, weight, variance)
        gap = _settled_gap(phi, strength, weight, bias, variance, growth)
        slopes = (
            _variance_slope(phi, strength, weight, variance),
            _gap_slope(phi, strength, weight, variance, gap, growth),
        )
        return np.stack([variance, growth, 1.0 - gap, gap, *map(_scale, slopes)])

    found = _elementwise(everything, activation, residual, weight_variance=weight_variance, bias_variance=bias_variance)
    return MeanField(*(found if found.ndim > 1 else map(float, found)))


def fixed_point_correlation(weight_variance, bias_variance, *, activation="tanh", residual=0.0):
    """Return the correlation ``c*`` that two different inputs settle at.

    It is 1 in the ordered phase and at the edge of chaos, less in the chaotic phase, 0 there without bias. It is 1,
    too, where none attracts and the inputs decide: in a linear network that grows, and where the variance goes to zero,
    for which any small bias would make it 1. `fixed_points` tells these cases apart.

    Parameters
    ----------
    weight_variance, bias_variance, activation, residual
        As for `fixed_point_variance`.

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
    return solve(weight_variance, bias_variance, activation=activation, residual=residual).correlation


def susceptibility(weight_variance, bias_variance, *, activation="tanh", residual=0.0):
    """Return ``chi = r^2 + sigma_w^2 E[phi'(sqrt(q*) x)^2]``, the growth of a small difference in one layer.

    Below 1 the phase is ordered, above 1 it is chaotic. For relu it is ``sigma_w^2 / 2`` everywhere.

    Parameters
    ----------
    weight_variance, bias_variance, activation, residual
        As for `fixed_point_variance`.

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
    return _elementwise(
        lambda phi, strength, weight, bias: _growth(phi, strength, weight, _settled(phi, strength, weight, bias)),
        activation,
        residual,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
    )


def depth_scales(weight_variance, bias_variance, *, activation="tanh", residual=0.0):
    """Return the depths over which variance and correlation forget where they started.

    ``xi = -1 / ln(slope of the map at its fixed point)``. ``xi_c`` is infinite at the edge of chaos; both are at its
    end without bias, and where the variance grows without bound. A slope within 1e-13 of one counts as one. Where the
    variance goes to zero, ``xi_c`` is that of an infinitesimal bias.

    Parameters
    ----------
    weight_variance, bias_variance, activation, residual
        As for `fixed_point_variance`.

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
    found = solve(weight_variance, bias_variance, activation=activation, residual=residual)
    return DepthScales(found.xi_q, found.xi_c)


def fixed_points(weight_variance, bias_variance, *, activation="tanh", residual=0.0):
    """Return all fixed points of the maps of variance and correlation, attracting or not.

    Parameters
    ----------
    weight_variance, bias_variance : float
        As for `variance_map`; one network at a time.
    activation, residual
        As for `fixed_point_variance`.

    Returns
    -------
    FixedPoints

    Raises
    ------
    ParameterError
        As for `variance_map`.

    References
    ----------
    Poole et al., arXiv:1606.05340, Figures 1 and 2.

    Examples
    --------
    In the chaotic phase equal inputs stay equal, but that does not attract:

    >>> [(round(c, 6), kind) for c, slope, kind in fixed_points(2.5, 0.05).correlations]
    [(0.446804, 'attracting'), (1.0, 'repelling')]
    >>> fixed_points(2.5, 0.05, activation="relu").variances
    ()
    """
    weight = finite("weight_variance", weight_variance, **_RANGES["weight_variance"])
    bias = finite("bias_variance", bias_variance, **_RANGES["bias_variance"])
    found = solve(weight, bias, activation=activation, residual=residual)
    phi, strength = named(activation), residual**2
    variances = {found.variance} if np.isfinite(found.variance) and not (phi.homogeneous and bias == 0) else set()
    if bias == 0:
        variances.add(0.0)

    def variance_point(value):
        return _point(value, _variance_slope(phi, strength, weight, np.array([value]))[0])

    growing = not np.isfinite(found.variance)
    neutral = found.variance == 0 or growing or (phi.homogeneous and bias == 0)
    if neutral:
        correlations = (FixedPoint(1.0, 1.0, "neutral"),)
    else:
        gaps = {0.0, found.gap} | ({2.0} if bias == 0 else set())

        def correlation_point(gap):
            given = (np.array([number]) for number in (weight, found.variance, gap, found.susceptibility))
            slope = _gap_slope(phi, strength, *given)[0]
            return _point(1.0 - gap, slope)

        correlations = tuple(map(correlation_point, sorted(gaps, reverse=True)))
    return FixedPoints(tuple(map(variance_point, sorted(variances))), correlations)


def critical_weight_variance(bias_variance, *, activation="tanh", residual=0.0):
    """Return the weight variance of the edge of chaos, where ``chi = 1``.

    For relu it is 2 whatever the bias; but only at ``(2, 0)`` is there a finite variance to settle at.

    Parameters
    ----------
    bias_variance : float or array
        ``sigma_b^2``, dimensionless, in [0, 10].
    activation, residual
        As for `fixed_point_variance`.

    Returns
    -------
    float or float64 array
        ``sigma_w^2``, dimensionless, positive; absolute accuracy 1e-11 (1e-7 for ``0 < sigma_b^2 < 1e-15``,
        where the edge is ill-conditioned: for tanh ``sigma_w^2 - 1 ~ sigma_b^(2/3)``).

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
    >>> critical_weight_variance(0.0, activation="relu")
    2.0
    """
    bias_variance = _checked("bias_variance", bias_variance, low=0.0, high=10.0)
    return _elementwise(_edge, activation, residual, bias_variance=bias_variance)


def uniformity_variance(*, activation="tanh"):
    """Return the variance ``q`` at which the entropy of ``phi(z)``, ``z ~ N(0, q)``, is largest.

    The line of uniformity is where ``q*`` has this value. For erf it is 1/2, and the law is uniform indeed.

    Parameters
    ----------
    activation : str
        ``"tanh"`` or ``"erf"``: the entropy has to have a largest value.

    Returns
    -------
    float
        The root of ``1 + q E[(ln phi')''(sqrt(q) x)] = 0``, for tanh ``2 q E[sech^2(sqrt(q) x)] = 1``; dimensionless.

    Raises
    ------
    ParameterError
        If the activation is unknown, or is not one of these.

    References
    ----------
    Bukva et al., arXiv:2304.04784: stationary point of ``ln(q)/2 + E[ln phi'(sqrt(q) x)]``.

    Examples
    --------
    >>> round(uniformity_variance(), 9)
    0.764576007
    """
    phi = _bounded_and_invertible(activation)
    return brentq(lambda variance: 1.0 + variance * phi.log_slope_curvature(variance), 0.1, 2.0, xtol=1e-15)


def activation_entropy(variance, *, activation="tanh"):
    """Return the differential entropy of ``phi(z)``, ``z ~ N(0, q)``: ``ln(2 pi e q)/2 + E[ln phi'(z)]``.

    It is largest at `uniformity_variance`, and never above ln 2, that of the uniform law on (-1, 1).

    Parameters
    ----------
    variance : float or array
        ``q``, dimensionless, in (0, 2e4].
    activation : str
        ``"tanh"`` or ``"erf"``: images of the others have atoms or no bound.

    Returns
    -------
    float or float64 array
        Nats.

    Raises
    ------
    ParameterError
        As for `uniformity_variance`, or if the variance is out of its range.

    References
    ----------
    Bukva et al., arXiv:2304.04784.

    Examples
    --------
    >>> round(activation_entropy(0.5, activation="erf"), 12) == round(math.log(2), 12)
    True
    >>> round(activation_entropy(uniformity_variance()), 6)
    0.683636
    """
    phi = _bounded_and_invertible(activation)
    variance = _checked("variance", variance, above=0.0, high=2 * LARGEST_VARIANCE)
    found = np.log(2 * math.pi * math.e * variance) / 2 + phi.mean_log_slope(variance)
    return found if found.ndim else float(found)


def uniformity_weight_variance(bias_variance, *, activation="tanh", residual=0.0):
    """Return the weight variance of the line of uniformity, where ``q*`` is `uniformity_variance`.

    Parameters
    ----------
    bias_variance : float or array
        ``sigma_b^2``, dimensionless, in [0, ``(1 - r^2) uniformity_variance()``): the line ends there, at zero weights.
    activation : str
        ``"tanh"`` or ``"erf"``.
    residual : float
        ``r``, dimensionless, in [0, 1).

    Returns
    -------
    float or float64 array
        ``sigma_w^2``, dimensionless, positive.

    Raises
    ------
    ParameterError
        As for `variance_map` and `uniformity_variance`, or beyond the end of the line.

    References
    ----------
    Bukva et al., arXiv:2304.04784.

    Examples
    --------
    >>> round(uniformity_weight_variance(0.05), 9)
    2.064993257
    """
    variance = uniformity_variance(activation=activation)

    def line(phi, strength, bias):
        rest = (1.0 - strength) * variance - bias
        if (rest <= 0.0).any():
            raise ParameterError(
                f"the line of uniformity ends at bias_variance {(1.0 - strength) * variance:.9g}, got {bias.max():g}"
            )
        return rest / phi.second_moment(np.array([variance]))

    return _elementwise(line, activation, residual, bias_variance=bias_variance)


def uniformity_crossing(*, activation="tanh", residual=0.0):
    """Return the point where the edge of chaos crosses the line of uniformity.

    Parameters
    ----------
    activation : str
        ``"tanh"`` or ``"erf"``.
    residual : float
        ``r``, dimensionless, in [0, 1).

    Returns
    -------
    weight_variance, bias_variance : float
        Dimensionless.

    Raises
    ------
    ParameterError
        As for `uniformity_variance`.

    References
    ----------
    Bukva et al., arXiv:2304.04784, Section 3.

    Examples
    --------
    >>> [round(value, 6) for value in uniformity_crossing()]
    [1.948664, 0.090255]
    """
    variance = np.array([uniformity_variance(activation=activation)])
    phi, strength = named(activation), _strength(residual)
    weight = (1.0 - strength) / phi.squared_slope(variance)
    bias = (1.0 - strength) * variance - weight * phi.second_moment(variance)
    return float(weight[0]), float(bias[0])


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
        If an argument is not finite or out of its range, or the variance overflows.

    References
    ----------
    Poole et al., arXiv:1606.05340, Eqs. 3 and 5; with a residual connection Yang & Schoenholz, arXiv:1712.08969.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=2, width=8)
    >>> pair_levels(0.5, 0.4, network)[0].round(9).tolist()
    [0.5, 0.597352616, 0.656422835]
    """
    phi, strength = named(network.activation), network.residual**2
    weight, bias = (_checked(name, [getattr(network, name)]) for name in ("weight_variance", "bias_variance"))
    variances, gaps = np.empty((2, network.depth + 1, 1))
    variances[0] = finite("variance", variance, **_RANGES["variance"])
    gaps[0] = finite("gap", gap, **_RANGES["gap"])
    for level in range(network.depth):
        variances[level + 1] = _next_variance(phi, strength, variances[level], weight, bias)
        gaps[level + 1] = _next_gap(phi, strength, gaps[level], variances[level], weight, bias)
        within_range(level + 1, variances[level + 1])
    return variances[:, 0], gaps[:, 0]


def within_range(level, variances) -> None:
    """Raise `ParameterError` if a variance, not zero, has left (1e-150, 1e150): its square would not be a number."""
    variances = np.asarray(variances)
    if not ((variances == 0.0) | ((variances > 1e-150) & (variances < 1e150))).all():
        raise ParameterError(
            f"variances must stay between 1e-150 and 1e150, got {variances.min():.3g} to {variances.max():.3g} at "
            f"level {level}: take fewer levels, or other variances of weights and biases"
        )


def _checked(name, value, **allowed):
    """Return `value`, a number or an array, as float64, every element checked."""
    allowed = allowed or _RANGES[name]
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ParameterError(f"{name} must be a number or an array of numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        array = np.reshape([finite(name, item, **allowed) for item in array.ravel().tolist()], array.shape)
    array = array.astype(np.float64)
    legal = np.isfinite(array) & (array > allowed.get("above", -np.inf))
    legal &= (array >= allowed.get("low", -np.inf)) & (array <= allowed["high"])
    if not legal.all():
        finite(name, array[~legal].flat[0], **allowed)
    return array


def _bounded_and_invertible(activation):
    phi = named(activation)
    if not hasattr(phi, "log_slope_curvature"):
        raise ParameterError(
            "the line of uniformity needs an invertible activation with a bounded image, tanh or erf: "
            f"for {activation!r} no variance has the largest entropy"
        )
    return phi


def _strength(residual, settling=True):
    """Return ``r^2``."""
    residual = finite("residual", residual, low=0.0, high=10.0)
    if settling and residual >= 1.0:
        raise ParameterError(
            f"residual must be below 1, got {residual:g}: the variance grows without bound from there on"
        )
    return residual**2


def _elementwise(function, activation, residual, settling=True, /, **arguments):
    """Check the arguments and apply a function of flat arrays to them, piece by piece; floats in, float out."""
    phi, strength = named(activation), _strength(residual, settling)
    arrays = [_checked(name, value) for name, value in arguments.items()]
    try:
        arrays = np.broadcast_arrays(*arrays)
    except ValueError as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(arguments, arrays, strict=True))
        raise ParameterError(f"the shapes do not broadcast: {shapes}") from error
    shape, flat = arrays[0].shape, [array.ravel() for array in arrays]
    pieces = [
        function(phi, strength, *(array[start : start + CHUNK] for array in flat))
        for start in range(0, max(flat[0].size, 1), CHUNK)
    ]
    result = np.concatenate(pieces, axis=-1)
    result = result.reshape(result.shape[:-1] + shape)
    return result if result.ndim else float(result)


def _next_variance(phi, strength, variance, weight, bias):
    return strength * variance + weight * phi.second_moment(variance) + bias


def _next_gap(phi, strength, gap, variance, weight, bias):
    squared = weight * phi.difference(variance, variance, 2.0 * variance * gap) / 2.0 + strength * variance * gap
    new = _next_variance(phi, strength, variance, weight, bias)
    # At q = 0 activations are linear: only a bias, the same for both inputs, changes the correlation.
    with np.errstate(invalid="ignore"):
        return np.where(new > 0.0, np.minimum(squared / new, 2.0), gap)


def _from_the_right(function, x, *others):
    """Return the larger root of concave functions, from points to the right of it: there Newton never overshoots.

    Where rounding takes it below the root, one step back is the last.
    """
    x, active = x.copy(), np.arange(len(x))
    for _ in range(ITERATIONS):
        now = x[active]
        value, slope = function(now, *(other[active] for other in others))
        with np.errstate(divide="ignore", invalid="ignore"):
            new = now - value / slope
        # the root is positive: where rounding takes the step beyond zero, it is far below
        new = np.where((value < 0.0) & (slope < 0.0) & (new <= 0.0), 1e-3 * now, new)
        falls = (new < now * (1.0 - 4e-16)) & (new > 0.0)
        x[active] = np.where(falls | ((new > now) & (new < 2.0 * now)), new, now)
        active = active[falls]
        if not active.size:
            return x
    raise ConvergenceError("the fixed point is approached too slowly", x)


def _settled(phi, strength, weight, bias, start=1.0):
    weight, bias = weight / (1.0 - strength), bias / (1.0 - strength)
    if phi.homogeneous:
        missing = 1.0 - weight * phi.gain
        with np.errstate(divide="ignore", invalid="ignore"):
            settled = np.where(missing > RESOLUTION, bias / missing, np.inf)
        return np.where((np.abs(missing) <= RESOLUTION) & (bias == 0.0), start, settled)

    def excess(variance, weight, bias):
        # concave, for phi(sqrt(y))^2 is
        moment, slope = phi.moment(variance)
        return weight * moment + bias - variance, weight * slope - 1.0

    silent = (bias == 0.0) & (weight * phi.origin_slope**2 <= 1.0)
    found = np.zeros_like(weight)
    found[~silent] = _from_the_right(excess, (weight + bias)[~silent], weight[~silent], bias[~silent])
    return found


def _growth(phi, strength, weight, variance):
    """Return chi."""
    return strength + weight * phi.squared_slope(np.where(np.isfinite(variance), variance, 1.0))


def _settled_gap(phi, strength, weight, bias, variance, growth):
    """Return 1 - c*."""
    gap = np.zeros_like(weight)
    if phi.homogeneous:
        return gap
    chaotic = growth > 1.0 + RESOLUTION

    def excess(gap, variance, weight):
        # concave: a mean of 1 - (1 - g)^n
        difference, slopes = phi.pair(variance, variance, 2.0 * variance * gap)
        value = (strength - 1.0) * gap + weight * difference / (2.0 * variance)
        return value, strength + weight * slopes - 1.0

    found = _from_the_right(excess, np.ones(chaotic.sum()), variance[chaotic], weight[chaotic])
    gap[chaotic] = np.minimum(found, 1.0)  # beyond is rounding, for c* is not negative
    gap[chaotic & (bias == 0.0)] = 1.0
    return gap


def _variance_slope(phi, strength, weight, variance):
    return strength + weight * phi.second_moment_slope(np.where(np.isfinite(variance), variance, 1.0))


def _gap_slope(phi, strength, weight, variance, gap, growth):
    # that of a gap of zero is chi; but a network that grows divides by what it grows by
    slope = np.where(np.isfinite(variance), growth, 1.0)
    apart = gap > 0.0
    settled = variance[apart]
    slope[apart] = strength + weight[apart] * phi.slope_product(settled, settled, 2.0 * settled * gap[apart])
    return slope


def _scale(slope):
    with np.errstate(divide="ignore"):
        return np.where(slope < 1.0 - RESOLUTION, -1.0 / np.log(np.minimum(slope, 1.0)), np.inf)


def _edge(phi, strength, bias):
    if phi.homogeneous:
        return np.full_like(bias, (1.0 - strength) / phi.gain)
    bias = bias / (1.0 - strength)

    # Along the edge sigma_w^2 = 1 / E[phi'^2], so sigma_b^2 is a rising function of q*.
    def excess(variance, bias):
        return bias - variance + phi.second_moment(variance) / phi.squared_slope(variance)

    some = bias > 0.0
    growth = np.full_like(bias, phi.origin_slope**2)
    variance = find_root(excess, (bias[some], 4.0 * bias[some] + 16.0), args=(bias[some],)).x
    growth[some] = phi.squared_slope(variance)
    return (1.0 - strength) / growth


def _point(value, slope):
    if abs(slope - 1.0) <= RESOLUTION:
        return FixedPoint(float(value), 1.0, "neutral")
    return FixedPoint(float(value), float(slope), "attracting" if slope < 1.0 else "repelling")
