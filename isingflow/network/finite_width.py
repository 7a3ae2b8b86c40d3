"""Leading corrections of mean-field theory at finite width: the coefficients of 1/width.

In a network of constant width ``N``, given layer l, the neurons of layer l + 1 are independent normal variables with
the covariance ``G_{l+1} = sigma_w^2/N sum_i phi(z_i) phi(z_i)^T + sigma_b^2`` between the inputs. So ``G`` is a Markov
chain: with ``F`` the map of mean-field theory, ``G_{l+1} = F(G_l)`` plus a fluctuation of mean zero and variance of
order 1/N, given ``G_l``. To first order in 1/N its covariance ``v/N`` and the shift ``d/N`` of its mean obey

    v' = F'(G) v F'(G)^T + sigma_w^4 Cov[phi phi^T],        d' = F'(G) d + F''(G) v / 2,

from ``v = d = 0`` at level 0, where ``G`` is known exactly; level 1 is the first to fluctuate.

Derivatives of Gaussian averages are averages with Hermite polynomials, so that ``phi`` needs none: at variance q,
``dE[f]/dq = E[f He_2] / 2q`` and ``d^2E[f]/dq^2 = E[f He_4] / 4q^2``.

A pair of inputs of equal variance is carried as half sum ``(z_1 + z_2)/2`` and half difference ``(z_1 - z_2)/2``,
independent in mean field with variances ``A = q (1 - gap/2)`` and ``B = q gap/2``; their covariance ``W`` fluctuates
about zero, and exchange of the inputs keeps it from mixing with ``A`` and ``B`` at this order, though its square shifts
their means. All is relative, to ``A``, ``B`` and ``sqrt(A B)``, and so keeps its digits however small the gap is.

A residual connection, ``z' = r z + g`` with ``g ~ N(0, G)``, gives neurons a memory. In mean field they stay
independent normal variables, of variance ``Q' = r^2 Q + G(Q)``, but a layer's departure from that law shows again in
the next one: the mean over neurons of the n-th Hermite polynomial departs by ``f_n/sqrt(N)``, of which ``rho^n f_n`` is
left one layer further, ``rho = r sqrt(Q/Q')``, beside new noise. The departure ``xi = sum_n a_n f_n`` of
``sigma_w^2 phi^2`` is thus correlated with what earlier layers have made of ``Q``. With ``p_n`` the covariance of ``Q``
and ``f_n``, times N,

    v' = J v J^T + J p a^T + a p^T J^T + sigma_w^4 Cov[phi phi^T],      p'_n = rho^n (J p_n + a_n),
    d' = J d + F'' v / 2 + sum_n (da_n/dQ) p_n,                         J = r^2 + F',

the last term because how ``Q`` moves ``xi`` is correlated with ``Q``. At r = 0 nothing is left of ``p``.

In networks of unequal widths the noise of layer l goes with ``1/N_l``. Coefficients are those of one over the first
width, the others in proportion.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from isingflow.errors import ParameterError
from isingflow.network.activations import named
from isingflow.parameters import NetworkParameters, finite

LARGEST_VARIANCE = 1e4

MODES = 64
"""Hermite polynomials of each variable by which a residual network remembers its layers."""

_SMALLEST = 1e-150
"""Variances between this and its inverse have ratios that do not overflow."""

_END = 12.0
"""Normal variables beyond weigh less than 1e-23, times any power that occurs."""

_NODES = np.polynomial.legendre.leggauss(64)
"""Exact to degree 127, as a normal density over the whole of (-12, 12) needs."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class InputCorrection:
    """One input through networks of width N, to first order in 1/N: mean field, and coefficients of 1/N.

    All arrays are float64 (depth + 1,), dimensionless unless said.

    Attributes
    ----------
    variance : array
        ``q_l``, of a pre-activation in mean field.
    variance_correction : array
        ``d_l``: averaged over networks the variance, and the layer's second moment ``sum_i z_i^2 / N``, is ``q + d/N``.
    variance_fluctuation : array
        ``v_l``: the variance that a layer's neurons have, given the layers before, varies by ``v/N`` over networks.
    second_moment_fluctuation : array
        Over networks a layer's measured ``sum_i z_i^2 / N`` varies by this, divided by N: ``v + 2 q^2`` without a
        residual connection, which adds what the neurons remember of those that made their variance.
    curve, reverse : array
        Mean field of ``D(p_0||p_l)`` and ``D(p_l||p_0)`` between normal laws of one pre-activation, nats.
    step : array
        Mean field of ``D(p_l||p_{l+1})``, nats; NaN at the last level.
    curve_correction, reverse_correction, step_correction : array
        Of the same with the variance averaged over networks, nats.
    """

    variance: np.ndarray
    variance_correction: np.ndarray
    variance_fluctuation: np.ndarray
    second_moment_fluctuation: np.ndarray
    curve: np.ndarray
    reverse: np.ndarray
    step: np.ndarray
    curve_correction: np.ndarray
    reverse_correction: np.ndarray
    step_correction: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PairCorrection(InputCorrection):
    """Two inputs of equal variance through networks of width N, to first order in 1/N.

    What has the name of an attribute of `InputCorrection` is the same of either input, but the curves are those of the
    joint law of both.

    Attributes
    ----------
    gap : float64 (depth + 1,)
        ``1 - c_l`` in mean field.
    gap_correction : float64 (depth + 1,)
        Of the gap of the covariance averaged over networks (which is not the average of the gap).
    fluctuation : float64 (depth + 1, 3, 3)
        Covariance over networks, times N, of ``A``, ``B`` and ``W`` of a layer, relative to the mean-field values of
        ``A``, ``B`` and ``sqrt(A B)``: variances of ``(z_1 + z_2)/2`` and ``(z_1 - z_2)/2`` and their covariance.
    """

    gap: np.ndarray
    gap_correction: np.ndarray
    fluctuation: np.ndarray


def input_correction(variance, network: NetworkParameters) -> InputCorrection:
    """Return mean field and its 1/width corrections for one input.

    Parameters
    ----------
    variance : float
        ``q_0``, dimensionless, in (1e-150, 2e4].
    network : NetworkParameters
        Weight and bias variance up to 1e4; of its widths only the ratios are used, and N is that of level 0.

    Returns
    -------
    InputCorrection

    Raises
    ------
    ParameterError
        If an argument is not finite or out of its range, or the variance leaves (1e-150, 1e150) at some level.

    Notes
    -----
    Where every layer multiplies by one more random factor, as in linear and relu networks, this is the first order in
    depth/width; where the variance settles with the depth, so do its corrections. In a residual network 64 Hermite
    polynomials carry the memory: for tanh at variances of order one enough for seven digits at r = 0.9, four at r = 1.

    References
    ----------
    Roberts, Yaida & Hanin, *The Principles of Deep Learning Theory* (arXiv:2106.10165), chapter 4; Yaida,
    arXiv:1910.00019; Grosvenor & Jefferson, arXiv:2109.13247.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.0, bias_variance=0.0, depth=3, width=8, activation="relu")
    >>> input_correction(1.0, network).variance_fluctuation.round(9).tolist()
    [0.0, 5.0, 10.0, 15.0]
    """
    start = finite("variance", variance, above=0.0, high=2 * LARGEST_VARIANCE)
    variances, corrections, fluctuations, measured = _levels([start], network)
    return InputCorrection(
        variance=variances[:, 0],
        variance_correction=variances[:, 0] * corrections[:, 0],
        variance_fluctuation=variances[:, 0] ** 2 * fluctuations[:, 0, 0],
        second_moment_fluctuation=variances[:, 0] ** 2 * measured[:, 0, 0],
        **_curves(variances, corrections),
    )


def pair_correction(variance, gap, network: NetworkParameters) -> PairCorrection:
    """Return mean field and its 1/width corrections for two inputs of the same variance at level 0.

    Parameters
    ----------
    variance : float
        ``q_0``, dimensionless, in (1e-150, 2e4].
    gap : float
        ``1 - c_0``, dimensionless, in (0, 2): equal or opposite inputs have no joint density.
    network : NetworkParameters
        Weight and bias variance up to 1e4, above 1e3 at seconds a level; of its widths only the ratios are used,
        and N is that of level 0.

    Returns
    -------
    PairCorrection

    Raises
    ------
    ParameterError
        If an argument is not finite or out of its range, or the variance of the inputs, or of half their difference or
        sum, leaves (1e-150, 1e150) at some level.

    Notes
    -----
    A gap that grows or shrinks is a product of random factors, one a layer: its relative fluctuation grows with the
    depth, and this is the first order in depth/width. Simulated, the curve of tanh at the edge of chaos
    (``bias_variance=0.05``, from ``q*`` and a gap of 0.4) lies 5.62(9) % above mean field at level 40 of width 512;
    here it is 5.70 %.

    References
    ----------
    As `input_correction`; two inputs: Roberts, Yaida & Hanin, chapter 5.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.5, bias_variance=0.05, depth=4, width=8)
    >>> found = pair_correction(1.0, 0.4, network)
    >>> found.gap[1:].round(4).tolist(), found.gap_correction[1:].round(4).tolist()
    ([0.4081, 0.417, 0.4259, 0.4345], [0.0, -0.014, -0.0547, -0.1262])
    """
    start = finite("variance", variance, above=0.0, high=2 * LARGEST_VARIANCE)
    gap = finite("gap", gap, above=0.0, high=math.nextafter(2.0, 0.0))
    start = [start * (1 - gap / 2), start * gap / 2]
    variances, corrections, fluctuations, measured = _levels(start, network)
    half_sum, half_difference = variances.T
    total = half_sum + half_difference
    gaps = 2 * half_difference / total
    share = variances / total[:, None]
    parts = np.concatenate([share, 2 * np.sqrt(share.prod(axis=1, keepdims=True))], axis=1)  # z_1^2 = (s + d)^2
    return PairCorrection(
        variance=total,
        variance_correction=np.sum(variances * corrections, axis=1),
        variance_fluctuation=total**2 * np.einsum("la,lab,lb->l", parts, fluctuations, parts),
        second_moment_fluctuation=total**2 * np.einsum("la,lab,lb->l", parts, measured, parts),
        gap=gaps,
        gap_correction=gaps * half_sum / total * (corrections[:, 1] - corrections[:, 0]),
        fluctuation=fluctuations,
        **_curves(variances, corrections),
    )


def _levels(start, network):
    """Return per level the variances, and of them relatively: corrections, fluctuations, those of measured moments."""
    phi = named(network.activation)
    finite("weight_variance", network.weight_variance, above=0.0, high=LARGEST_VARIANCE)
    finite("bias_variance", network.bias_variance, low=0.0, high=LARGEST_VARIANCE)
    count, levels = len(start), network.depth + 1
    own = np.array([2.0, 2.0, 1.0] if count == 2 else [2.0])  # of squares and products of independent normal variables
    noises = network.widths[0] / np.array(network.widths)
    variances, corrections = np.zeros((2, levels, count))
    fluctuations, measured = np.zeros((2, levels, len(own), len(own)))
    variances[0], measured[0] = _ordinary(start, 0), np.diag(own)
    orders = _orders(network)
    memory = np.zeros((len(own), orders, orders if count == 2 else 1))
    for level in range(network.depth):
        layer, noise = _expansion(phi, variances[level], network), noises[level]
        variances[level + 1] = _ordinary(layer.variances, level + 1)
        shift = np.einsum("abc,bc->a", layer.hessian, fluctuations[level]) / 2
        shift += np.einsum("banm,bnm->a", layer.slopes[:, :count], memory)
        corrections[level + 1] = layer.jacobian[:count, :count] @ corrections[level] + shift
        mixed = layer.jacobian @ np.einsum("bnm,anm->ba", memory, layer.modes)
        carried = layer.jacobian @ fluctuations[level] @ layer.jacobian.T
        fluctuations[level + 1] = carried + mixed + mixed.T + noise * layer.noise
        memory = layer.decay * (np.einsum("ab,bnm->anm", layer.jacobian, memory) + layer.modes)
        mixed = own * _derivatives(memory)[..., 0, 0].T
        measured[level + 1] = fluctuations[level + 1] + mixed + mixed.T + noises[level + 1] * np.diag(own)
    return variances, corrections, fluctuations, measured


def _orders(network):
    """How many Hermite polynomials of each variable are followed: as many as the second derivatives need, or memory."""
    return MODES if network.residual else 5


def _ordinary(variances, level):
    variances = np.asarray(variances)
    if not ((variances > _SMALLEST) & (variances < 1 / _SMALLEST)).all():
        raise ParameterError(
            f"variances, also of half the difference of two inputs, must stay between {_SMALLEST:g} and "
            f"{1 / _SMALLEST:g}, got {variances.min():g} to {variances.max():g} at level {level}"
        )
    return variances


def _curves(variances, corrections):
    """Relative entropies between normal laws of independent components, and their corrections, from relative ones."""
    shrunk, grown = variances[0] / variances, variances / variances[0]
    stepped = np.append(variances[:-1] / variances[1:], np.full((1, variances.shape[1]), np.nan), axis=0)
    changes = np.append(np.diff(corrections, axis=0), np.zeros((1, variances.shape[1])), axis=0)
    return {
        "curve": np.sum(excess(shrunk), axis=1) / 2,
        "reverse": np.sum(excess(grown), axis=1) / 2,
        "step": np.sum(excess(stepped), axis=1) / 2,
        "curve_correction": np.sum(corrections * (1 - shrunk), axis=1) / 2,
        "reverse_correction": np.sum(corrections * (grown - 1), axis=1) / 2,
        "step_correction": np.sum(changes * (1 - stepped), axis=1) / 2,
    }


def excess(ratio):
    """Return ``r - 1 - ln r`` of positive ratios, with its digits near one and far away."""
    change = ratio - 1
    return change - np.where(ratio < 0.5, np.log(ratio), np.log1p(np.maximum(change, -0.5)))


class _Layer(NamedTuple):
    """What leads to the next layer; but for the variances all is relative to them."""

    variances: np.ndarray
    """Of the next layer, (count,)."""
    jacobian: np.ndarray
    """(k, k), of A, B and W for two inputs."""
    hessian: np.ndarray
    """(count, k, k), of the variances."""
    noise: np.ndarray
    """(k, k): covariance of what the layer adds, times the width."""
    modes: np.ndarray
    """(k, n, m): coefficients of what the layer adds in Hermite polynomials of the two variables; m = 1 for one."""
    slopes: np.ndarray
    """(k, k, n, m): their derivatives by the quantity of the first index."""
    decay: np.ndarray
    """(n, m): what the residual connection leaves of a fluctuation of each product of polynomials."""


def _expansion(phi, variances, network):
    count, orders = len(variances), _orders(network)
    modes, square = (_averages_of_one, _averages_of_two)[count - 1](phi, variances, orders)
    strength, weight = network.residual**2, network.weight_variance
    after = (strength + weight * modes[:count, 0, 0]) * variances
    after[0] += network.bias_variance
    gains, kept = (_with_covariance(share * variances / after) for share in (weight, strength))
    modes = gains[:, None, None] * modes
    slopes = _derivatives(modes)
    hessian = _derivatives(slopes[:, :count])[..., 0, 0]
    mean = modes[:, 0, 0]
    first, second = np.sqrt([kept[0], kept[count - 1]])[:, None] ** np.arange(orders)
    decay = np.outer(first, second[: modes.shape[2]])
    decay[0, 0] = 0.0  # a mean does not fluctuate
    return _Layer(
        variances=after,
        jacobian=slopes[..., 0, 0].T + np.diag(kept),
        hessian=hessian.transpose(2, 0, 1),
        noise=np.outer(gains, gains) * square - np.outer(mean, mean),
        modes=modes,
        slopes=slopes,
        decay=decay,
    )


def _with_covariance(ratios):
    """Ratios of variances, and after those of two inputs that of their covariance."""
    return np.append(ratios, math.sqrt(ratios.prod())) if len(ratios) == 2 else ratios


def _averages_of_one(phi, variances, orders):
    """Return the Hermite coefficients of ``phi^2 / q``, (1, orders, 1), and the average of its square."""
    root = math.sqrt(variances[0])
    x, weights = _line(phi, root)
    values = (phi(root * x) / root) ** 2
    modes = (_hermite(x, orders) @ (weights * values))[None, :, None]
    if _smooth(phi):
        modes[:, 1::2] = 0.0
    return modes, np.array([[weights @ values**2]])


def _averages_of_two(phi, variances, orders):
    """Return the same of the squares of half sum and half difference and of their product, (3, orders, orders)."""
    roots = np.sqrt(variances)
    modes, square = np.zeros((3, orders, orders)), np.zeros((3, 3))
    for x, y, weights in _plane(phi, *roots):
        common, half = roots[0] * x, roots[1] * y
        total = (phi(common + half) + phi(common - half)) / (2 * roots[0])
        difference = phi.increment(common - half, 2 * half) / (2 * roots[1])
        values = np.stack([total**2, difference**2, total * difference])
        of_x, of_y = _hermite(x, orders), _hermite(y, orders)
        modes += [(of_x * weighted) @ of_y.T for weighted in weights * values]
        square += (values * weights) @ values.T
    square[2, :2] = square[:2, 2] = 0.0  # by exchange of the inputs
    for quantity, other in enumerate((1, 1, 0)):
        modes[quantity, :, other::2] = 0.0  # also by exchange
        if _smooth(phi):
            modes[quantity, other::2] = 0.0
    return modes, square


def _hermite(x, orders):
    """Return Hermite polynomials of norm one, (orders, n)."""
    found = [np.ones_like(x), x]
    for order in range(2, orders):
        found.append((x * found[-1] - math.sqrt(order - 1) * found[-2]) / math.sqrt(order))
    return np.stack(found)


def _derivatives(modes):
    """Return the modes of derivatives of averages by the variances and, of two inputs, the covariance: one axis more.

    ``q dE[f]/dq = q E[f''] / 2``, and a derivative of f lowers its Hermite polynomials.
    """
    root = np.sqrt(np.arange(1.0, modes.shape[-2]))
    twice = root[:-1] * root[1:] / 2
    found = np.zeros((1 if modes.shape[-1] == 1 else 3, *modes.shape))
    found[0, ..., :-2, :] = twice[:, None] * modes[..., 2:, :]
    if len(found) == 3:
        found[1, ..., :-2] = twice * modes[..., 2:]
        found[2, ..., :-1, :-1] = np.outer(root, root) * modes[..., 1:, 1:]
    return found


def _smooth(phi):
    return not (phi.kinks or phi.homogeneous)


def _line(phi, root):
    """Return nodes and weights of E[f(phi(root x))], f even."""
    return _half_line(root) if _smooth(phi) else _between(np.array(phi.kinks) / root)


def _plane(phi, common, half):
    """Yield nodes ``x``, ``y`` and weights of averages over ``common x +- half y``, symmetric in the inputs."""
    if _smooth(phi):  # and odd, which leaves one quadrant
        (x, x_weights), (y, y_weights) = _half_line(common), _half_line(half)
        for start in range(0, len(x), 64):  # at variance 1e4 the grid would not fit in memory
            rows = slice(start, start + 64)
            yield _flat(x[rows, None], y, x_weights[rows, None] * y_weights)
        return
    # The average over the wider variable, between kinks, is a function of the other that is smooth wherever kinks of
    # the two inputs do not cross, on a scale not below one.
    narrow, wide = sorted([common, half])
    kinks = np.array(phi.kinks)
    crossings = np.unique(np.subtract.outer(kinks, kinks)) / 2
    outer, outer_weights = _between(crossings / narrow)
    shift = narrow * outer[:, None]
    inner, inner_weights = _between(np.concatenate([kinks - shift, kinks + shift], axis=1) / wide)
    weights = outer_weights[:, None] * inner_weights
    yield _flat(outer[:, None], inner, weights) if half > common else _flat(inner, outer[:, None], weights)


def _flat(*arrays):
    return [array.ravel() for array in np.broadcast_arrays(*arrays)]


def _half_line(curvature):
    """Return abscissae x >= 0 and weights of E[f(x)], f even with no pole below ``Im x = pi/2 / curvature``.

    The trapezoid rule with step h errs by exp(a^2/2 - 2 pi a/h) for functions analytic in ``|Im x| < a``
    (Trefethen & Weideman 2014, Theorem 5.1); the step makes that e^-60: room for the poles of eighth order of tanh'^4.
    """
    strip = min(0.5 * math.pi / curvature, math.sqrt(120.0))
    step = 2 * math.pi * strip / (60 + strip**2 / 2)
    x = step * np.arange(int(_END / step) + 1)
    weights = np.exp(-(x**2) / 2)
    weights[0] /= 2
    return x, weights / weights.sum()


def _between(breaks):
    """Return nodes and weights (..., n) of E[f(x)], f smooth between the breaks (..., k), by Gauss's rule."""
    ends = np.broadcast_to([-_END, _END], (*breaks.shape[:-1], 2))
    edges = np.sort(np.concatenate([ends, np.clip(breaks, -_END, _END)], axis=-1), axis=-1)[..., None]
    low, half = edges[..., :-1, :], np.diff(edges, axis=-2) / 2
    nodes, weights = _NODES
    x = low + half * (1 + nodes)
    weights = half * weights * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    shape = (*breaks.shape[:-1], -1)
    return x.reshape(shape), weights.reshape(shape)
