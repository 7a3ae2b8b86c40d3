"""Corrections of order 1/width: exactly solvable networks, naive twins, and simulated networks of four widths.

Simulated coefficients must be within 5 %, seeds fixed; their standard errors, asserted below 2 %, are stated there.
"""

import functools
import itertools
import math

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.network import finite_width, meanfield
from isingflow.network.activations import named
from isingflow.network.finite_width import input_correction, pair_correction
from isingflow.network.propagation import propagate
from isingflow.parameters import NetworkParameters

ACTIVATIONS = ["tanh", "erf", "relu", "leaky_relu", "hard_tanh", "linear"]
POINTS = {"ordered": 1.5, "edge": 1.760954640, "chaotic": 2.5}


def network_of(weight=1.5, bias=0.05, depth=6, width=64, activation="tanh", residual=0.0):
    return NetworkParameters(
        weight_variance=weight, bias_variance=bias, depth=depth, width=width, activation=activation, residual=residual
    )


def test_linear_without_bias_is_a_product_of_wishart_matrices():
    found = pair_correction(0.7, 0.3, network_of(1.3, 0.0, 8, activation="linear"))
    levels = np.arange(9)
    # g_l / q_l is a product of l independent chi^2_N / N: mean 1, variance (1 + 2/N)^l - 1
    np.testing.assert_allclose(found.variance, 0.7 * 1.3**levels, rtol=1e-13)
    np.testing.assert_allclose(found.variance_fluctuation, 2 * levels * found.variance**2, rtol=1e-12)
    np.testing.assert_allclose(found.second_moment_fluctuation, 2 * (levels + 1) * found.variance**2, rtol=1e-12)
    np.testing.assert_allclose(found.fluctuation, levels[:, None, None] * np.diag([2, 2, 1]), atol=1e-12)
    np.testing.assert_allclose(found.variance_correction / found.variance, 0, atol=1e-12)
    np.testing.assert_allclose(found.gap_correction, 0, atol=1e-12)
    np.testing.assert_allclose(found.curve_correction, 0, atol=1e-12)
    np.testing.assert_allclose(found.gap, 0.3, rtol=1e-13)
    np.testing.assert_allclose(found.curve, np.log(1.3) * levels + 1 / 1.3**levels - 1, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(found.reverse, -np.log(1.3) * levels + 1.3**levels - 1, rtol=1e-11, atol=1e-15)


def test_linear_with_bias():
    network = network_of(0.9, 0.2, 8, activation="linear")
    for found in (input_correction(0.7, network), pair_correction(0.7, 1.6, network)):
        q, v = 0.7, 0.0
        for level in range(9):
            assert found.variance[level] == pytest.approx(q, rel=1e-13)
            assert found.variance_fluctuation[level] == pytest.approx(v, rel=1e-12)
            v = 0.9**2 * (v + 2 * q**2)  # exactly, 2 (q^2 + v/N)
            q = 0.9 * q + 0.2
        np.testing.assert_allclose(found.variance_correction, 0, atol=1e-13)


@pytest.mark.parametrize(("activation", "below"), [("relu", 0.0), ("leaky_relu", 0.01)])
def test_homogeneous_without_bias_is_a_product_of_independent_factors(activation, below):
    found = input_correction(1.3, network_of(2 / (1 + below**2), 0.0, 7, activation=activation))
    noise = 6 * (1 + below**4) / (1 + below**2) ** 2 - 1  # Var[phi^2] / E[phi^2]^2; 5 for relu
    np.testing.assert_allclose(found.variance, 1.3, rtol=1e-13)
    np.testing.assert_allclose(found.variance_fluctuation, noise * np.arange(8) * 1.3**2, rtol=1e-12)
    np.testing.assert_allclose(found.variance_correction, 0, atol=1e-13)


# (A, B, W): variances of half sum and half difference, and their covariance; relative ones to (A, B, sqrt(A B))


def scale_of(base):
    return np.stack([base[..., 0], base[..., 1], np.sqrt(base[..., 0] * base[..., 1])], axis=-1)


def next_covariance(covariance, network):
    """Mean-field map of (A, B, W), any W, from the closed forms."""
    phi, (a, b, w) = named(network.activation), np.moveaxis(covariance, -1, 0)
    first, second = a + b + 2 * w, a + b - 2 * w
    one, other, squared = phi.second_moment(first), phi.second_moment(second), phi.difference(first, second, 4 * b)
    averages = np.stack([(one + other) / 2 - squared / 4, squared / 4, (one - other) / 4], axis=-1)
    return network.weight_variance * averages + [network.bias_variance, 0, 0]


def finite_differences(function, base, step):
    """Relative Jacobian and Hessian of a function of arrays (..., 3), to fourth and second order."""
    steps = step * scale_of(base) * np.eye(len(base))
    scale = scale_of(function(base))
    plus, minus = function(base + steps), function(base - steps)
    wide = function(base + 2 * steps) - function(base - 2 * steps)
    jacobian = (8 * (plus - minus) - wide) / (12 * step)
    sums, differences = steps[:, None] + steps, steps[:, None] - steps
    mixed = function(base + sums) - function(base + differences) - function(base - differences) + function(base - sums)
    return jacobian.T / scale[:, None], np.moveaxis(mixed, -1, 0) / (4 * step**2) / scale[:, None, None]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("base", [(0.8, 0.2), (0.3, 0.9), (40.0, 10.0), (5.0, 1e-3)])
def test_derivatives_of_the_closed_forms(activation, base):
    network, base = network_of(activation=activation), np.array([*base, 0.0])
    found = finite_width._expansion(named(activation), base[:2], network)
    # of hard_tanh the closed form is an integral
    step, tolerance = (3e-3, 1e-6) if activation == "hard_tanh" else (1e-3, 1e-8)
    np.testing.assert_allclose(found.variances, next_covariance(base, network)[:2], rtol=1e-5 * tolerance, atol=2e-13)
    expected = finite_differences(lambda x: next_covariance(x, network), base, step)
    np.testing.assert_allclose(found.jacobian, expected[0], atol=tolerance)
    np.testing.assert_allclose(found.hessian, expected[1][:2], atol=10 * step**2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("base", [(0.8, 0.2), (0.3, 0.9)])
def test_noise_on_a_plain_grid(activation, base):
    phi, roots = named(activation), np.sqrt(base)
    found = finite_width._expansion(phi, np.array(base), network_of())
    x = np.linspace(-10, 10, 1001)
    s, d = np.meshgrid(roots[0] * x, roots[1] * x, indexing="ij")
    weights = np.exp(-(x**2) / 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    one, other = phi(s + d).ravel() / 2, phi(s - d).ravel() / 2
    values = 1.5 * np.stack([(one + other) ** 2, (one - other) ** 2, one**2 - other**2])
    expected = np.cov(values, aweights=weights, ddof=0) / np.outer(scale_of(found.variances), scale_of(found.variances))
    np.testing.assert_allclose(found.noise, expected, rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("variance", "gap"), [(1.0, 0.4), (0.06, 1e-9), (3.0, 1.9)])
def test_either_of_two_is_one(activation, variance, gap):
    network = network_of(activation=activation)
    one, two = input_correction(variance, network), pair_correction(variance, gap, network)
    for name in ("variance", "variance_fluctuation"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-12)
    np.testing.assert_allclose(two.variance_correction, one.variance_correction, rtol=1e-11, atol=1e-12)
    variances, gaps = meanfield.pair_levels(variance, gap, network)
    np.testing.assert_allclose(two.variance, variances, rtol=1e-12)
    np.testing.assert_allclose(two.gap, gaps, rtol=1e-11)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_small_gaps_keep_their_digits(activation):
    # kinks give the gap's map a power 3/2
    small, tiny = (pair_correction(0.9, gap, network_of(depth=12, activation=activation)) for gap in (1e-30, 1e-120))
    np.testing.assert_allclose(small.gap / 1e-30, tiny.gap / 1e-120, rtol=1e-11)
    for name in ("gap_correction", "curve_correction", "reverse_correction"):
        one, other = getattr(small, name), getattr(tiny, name)
        if name == "gap_correction":
            one, other = one / small.gap, other / tiny.gap
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(small.fluctuation, tiny.fluctuation, rtol=1e-10, atol=1e-10)


def naive_pair(variance, gap, network, nodes=48):
    """Kernel, its correction and covariance in the coordinates (G_11, G_12, G_22), from Gauss-Hermite averages."""
    x, weights = np.polynomial.hermite_e.hermegauss(nodes)
    first, second = np.meshgrid(x, x)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2

    def features(kernel):
        g11, g12, g22 = kernel
        lower = np.linalg.cholesky([[g11, g12], [g12, g22]])
        u, v = np.tanh(lower @ [first.ravel(), second.ravel()])
        return network.weight_variance * np.array([u * u, u * v, v * v])

    def forward(kernel):
        return features(kernel) @ weights + network.bias_variance

    kernel = variance * np.array([1.0, 1.0 - gap, 1.0])
    shift, covariance, h = np.zeros(3), np.zeros((3, 3)), 1e-3
    steps = h * np.eye(3)
    levels = [(kernel, shift, covariance)]
    for _ in range(network.depth):
        jacobian, hessian = np.zeros((3, 3)), np.zeros((3, 3, 3))
        for i in range(3):
            jacobian[:, i] = (forward(kernel + steps[i]) - forward(kernel - steps[i])) / (2 * h)
            for j in range(3):
                both, other = steps[i] + steps[j], steps[i] - steps[j]
                near = forward(kernel + both) + forward(kernel - both)
                hessian[:, i, j] = (near - forward(kernel + other) - forward(kernel - other)) / (4 * h**2)
        shift = jacobian @ shift + np.einsum("aij,ij->a", hessian, covariance) / 2
        covariance = jacobian @ covariance @ jacobian.T + np.cov(features(kernel), aweights=weights, ddof=0)
        kernel = forward(kernel)
        levels.append((kernel, shift, covariance))
    return (np.array(part) for part in zip(*levels, strict=True))


def relative_entropy(p, q):
    p, q = (np.array([[g[0], g[1]], [g[1], g[2]]]) for g in (p, q))
    change = np.linalg.solve(q, p)
    return (np.trace(change) - 2 - math.log(np.linalg.det(change))) / 2


@pytest.mark.parametrize("weight", POINTS.values(), ids=POINTS)
def test_naive_twin(weight):
    network = network_of(weight)
    found = pair_correction(0.8, 0.4, network)
    kernel, shift, covariance = naive_pair(0.8, 0.4, network)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    close(found.variance, kernel[:, 0])
    close(found.gap, 1 - kernel[:, 1] / kernel[:, 0])
    close(found.variance_correction, shift[:, 0])
    close(found.variance_fluctuation, covariance[:, 0, 0])
    close(found.gap_correction, (kernel[:, 1] * shift[:, 0] / kernel[:, 0] - shift[:, 1]) / kernel[:, 0])
    to_halves = np.array([[1, 2, 1], [1, -2, 1], [1, 0, -1]]) / 4
    scale = scale_of(kernel @ to_halves.T)
    close(found.fluctuation, to_halves @ covariance @ to_halves.T / (scale[:, :, None] * scale[:, None]), atol=1e-4)
    for level in range(network.depth + 1):
        near, far = (kernel[level] + sign * 1e-5 * shift[level] for sign in (1, -1))
        close(found.curve[level], relative_entropy(kernel[0], kernel[level]))
        close(found.reverse[level], relative_entropy(kernel[level], kernel[0]))
        slope = relative_entropy(kernel[0], near) - relative_entropy(kernel[0], far)
        close(found.curve_correction[level], slope / 2e-5)
        slope = relative_entropy(near, kernel[0]) - relative_entropy(far, kernel[0])
        close(found.reverse_correction[level], slope / 2e-5)
    moved = kernel + 1e-5 * shift, kernel, kernel - 1e-5 * shift
    steps = [[relative_entropy(p, q) for p, q in itertools.pairwise(levels)] for levels in moved]
    close(found.step, [*steps[1], math.nan])
    close(found.step_correction, [*(np.subtract(steps[0], steps[2]) / 2e-5), math.nan])


def test_the_curve_of_one_input():
    found = input_correction(0.8, network_of())
    shift = 1e-6 * found.variance_correction
    ratio, near = found.variance / 0.8, (found.variance + shift) / 0.8
    np.testing.assert_allclose(found.curve, (np.log(ratio) + 1 / ratio - 1) / 2, atol=1e-15)
    np.testing.assert_allclose(found.reverse, (ratio - 1 - np.log(ratio)) / 2, atol=1e-15)
    moved = (np.log(near / ratio) + 1 / near - 1 / ratio) / 2e-6
    np.testing.assert_allclose(found.curve_correction, moved, rtol=1e-4, atol=1e-9)
    moved = (near - ratio - np.log(near / ratio)) / 2e-6
    np.testing.assert_allclose(found.reverse_correction, moved, rtol=1e-4, atol=1e-9)
    assert found.step[0] == found.curve[1]
    assert found.step_correction[0] == pytest.approx(found.curve_correction[1], rel=1e-14)
    before, after = ratio[:-1] / ratio[1:], near[:-1] / near[1:]
    np.testing.assert_allclose(found.step, [*((before - 1 - np.log(before)) / 2), math.nan], atol=1e-15)
    moved = (after - before - np.log(after / before)) / 2e-6
    np.testing.assert_allclose(found.step_correction, [*moved, math.nan], rtol=1e-4, atol=1e-9)


WIDTHS = np.array([32, 64, 128, 256])
START = 1.0, 0.4
OBSERVED = ["variance", "fluctuation", "gap", "curve"]


def observables(theory, means, squares):
    """Relative coefficients of `OBSERVED` from relative means and second moments of (A, B, W)."""
    share = np.stack([1 - theory.gap / 2, theory.gap / 2], axis=-1)
    parts = np.concatenate([share, 2 * np.sqrt(share.prod(axis=-1, keepdims=True))], axis=-1)
    shrunk = np.stack([2 - START[1], START[1]]) * START[0] / (2 * theory.variance[:, None] * share) - 1
    return np.stack(
        [
            np.sum(share * means[..., :2], axis=-1),
            np.einsum("la,...lab,lb->...l", parts, squares, parts),
            share[:, 0] * (means[..., 1] - means[..., 0]),
            -np.sum(shrunk * means[..., :2], axis=-1) / 2,
        ],
        axis=-2,
    )


def predicted(network):
    theory = pair_correction(*START, network)
    return np.stack(
        [
            theory.variance_correction / theory.variance,
            theory.variance_fluctuation / theory.variance**2,
            theory.gap_correction / theory.gap,
            theory.curve_correction,
        ]
    )


def simulated(network, networks, seed):
    """Relative coefficients of `OBSERVED` times width, of every simulated network, (networks, 4, depth + 1).

    Control variates of mean exactly zero, whatever their coefficients: with ``F`` the map of mean field, ``e`` carries
    the innovations ``G_l - F(G_{l-1})`` on linearly, and ``T`` their products less an unbiased estimate of their
    covariance, from the neurons of the layer. What is left of the noise is of the order of the corrections themselves.
    """
    theory = pair_correction(*START, network)
    base = theory.variance[:, None] * np.stack([1 - theory.gap / 2, theory.gap / 2, 0 * theory.gap], axis=-1)
    scale = scale_of(base)
    weight, bias = network.weight_variance, network.bias_variance
    kernel = (START[0] * np.array([[1, 1 - START[1]], [1 - START[1], 1]]) - bias) / weight
    inputs = math.sqrt(2) * np.linalg.cholesky(kernel)
    z = propagate(inputs, network, networks=networks, rng=seed, keep="preactivations", workers=2)
    z = np.stack(z.preactivations, axis=1)
    e, k, t = np.zeros((networks, 3)), np.zeros((networks, 3)), np.zeros((networks, 3, 3))
    covariance = np.broadcast_to(base[0], (networks, 3))
    means, squares = np.zeros((networks, len(base), 3)), np.zeros((networks, len(base), 3, 3))
    for level in range(1, len(base)):
        jacobian, hessian = finite_differences(lambda x: next_covariance(x, network), base[level - 1], 1e-3)
        one, other = np.moveaxis(np.tanh(z[:, level - 1]) / 2, -1, 0)
        features = np.stack([(one + other) ** 2, (one - other) ** 2, one**2 - other**2], axis=1)
        features *= weight / scale[level][:, None]
        mean = features.mean(axis=-1)
        features -= mean[..., None]
        noise = features @ features.swapaxes(1, 2) / (network.width * (network.width - 1))
        measured = mean * scale[level] + np.array([bias, 0, 0])
        innovation = (measured - next_covariance(covariance, network)) / scale[level]
        carried = e @ jacobian.T
        k = k @ jacobian.T + np.einsum("abc,mbc->ma", hessian, t) / 2
        e = carried + innovation
        outer = e[:, :, None] * e[:, None] - carried[:, :, None] * carried[:, None]
        t = jacobian @ t @ jacobian.T + outer - noise
        covariance = measured
        change = (covariance - base[level]) / scale[level]
        means[:, level] = change - e - k
        squares[:, level] = change[:, :, None] * change[:, None] - t
    return network.width * observables(theory, means, squares)


def extrapolated(ensembles):
    """Coefficients and their errors at infinite width: lines in 1/width through the means of four widths."""
    values = np.array([one.mean(axis=0) for one in ensembles])
    errors = np.array([one.std(axis=0) / math.sqrt(len(one)) for one in ensembles])
    design = np.stack([np.ones(len(WIDTHS)), 1 / WIDTHS], axis=1)
    weights = 1 / np.maximum(errors, 1e-12).reshape(len(WIDTHS), -1).T ** 2
    covariance = np.linalg.inv(np.einsum("wi,nw,wj->nij", design, weights, design))
    lines = np.einsum("nij,wj,nw,wn->ni", covariance, design, weights, values.reshape(len(WIDTHS), -1))
    return lines[:, 0].reshape(values.shape[1:]), np.sqrt(covariance[:, 0, 0]).reshape(values.shape[1:])


@functools.cache
def ensembles_at(weight):
    sizes = zip(WIDTHS.tolist(), (300, 300, 700, 1100), strict=True)  # narrow networks leave more noise, and tell less
    return extrapolated([simulated(network_of(weight, depth=10, width=width), count, width) for width, count in sizes])


@pytest.mark.parametrize("weight", POINTS.values(), ids=POINTS)
def test_simulated_networks(weight):
    found, errors = ensembles_at(weight)
    expected = predicted(network_of(weight, depth=10))
    scale = np.abs(expected[:, -3:])
    assert (errors[:, -3:] / scale < 0.02).all()
    assert (np.abs(found - expected)[:, -3:] / scale < 0.05).all()
    # the levels before, where some coefficients are still small
    assert (np.abs(found - expected) < 5 * errors + 1e-10).all()


@pytest.mark.parametrize("weight", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("change", ["no W", "half the second derivative", "no noise of W", "fan-in late by a layer"])
def test_that_comparison_can_fail(weight, change, monkeypatch):
    exact, calls = finite_width._expansion, []

    def wrong(*arguments):
        layer = exact(*arguments)
        calls.append(arguments)
        if change == "no W":
            layer.hessian[:, 2, 2] = 0
        elif change == "half the second derivative":
            layer.hessian[:] /= 2
        elif change == "no noise of W":
            layer.noise[2, 2] = 0
        elif len(calls) == 1:
            layer.noise[:] = 0
        return layer

    found, errors = ensembles_at(weight)
    monkeypatch.setattr(finite_width, "_expansion", wrong)
    off = np.abs(found - predicted(network_of(weight, depth=10)))[:, -3:]
    assert (off > np.maximum(0.05 * np.abs(found[:, -3:]), 5 * errors[:, -3:])).any()


# residual networks: neurons remember, so that a layer's fluctuation and what made its variance go together


@pytest.mark.parametrize("residual", [0.5, 1.3])
def test_linear_residual_networks(residual):
    """``S' = r^2 S + 2 r z.g/N + g.g/N`` with ``g ~ N(0, w S + b)``: mean and variance of S close by themselves."""
    network = network_of(0.9, 0.2, 8, activation="linear", residual=residual)
    for found in (input_correction(0.7, network), pair_correction(0.7, 1.6, network)):
        q, v = 0.7, 2 * 0.7**2
        for level in range(9):
            assert found.variance[level] == pytest.approx(q, rel=1e-13)
            assert found.second_moment_fluctuation[level] == pytest.approx(v, rel=1e-9)
            fresh = 0.9 * q + 0.2
            v = (residual**2 + 0.9) ** 2 * v + 4 * residual**2 * q * fresh + 2 * fresh**2
            q = residual**2 * q + fresh
        np.testing.assert_allclose(found.variance_correction, 0, atol=1e-8 * q)


@pytest.mark.parametrize("activation", ["tanh", "erf", "relu", "hard_tanh"])
def test_either_of_two_is_one_in_residual_networks(activation):
    network = network_of(activation=activation, residual=0.5)
    one, two = input_correction(1.0, network), pair_correction(1.0, 0.4, network)
    for name in ("variance", "variance_correction", "variance_fluctuation", "second_moment_fluctuation"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-5, atol=1e-12)
    variances, gaps = meanfield.pair_levels(1.0, 0.4, network)
    np.testing.assert_allclose(two.variance, variances, rtol=1e-12)
    np.testing.assert_allclose(two.gap, gaps, rtol=1e-11)


@pytest.mark.parametrize(("activation", "close"), [("tanh", 1e-6), ("relu", 1e-9), ("hard_tanh", 1e-6)])
def test_more_polynomials_change_nothing(activation, close, monkeypatch):
    network = network_of(activation=activation, residual=0.8)
    few = input_correction(1.0, network)
    monkeypatch.setattr(finite_width, "MODES", 2 * finite_width.MODES)
    many = input_correction(1.0, network)
    np.testing.assert_allclose(few.variance_correction, many.variance_correction, rtol=close, atol=close)


def test_a_weak_residual_connection_changes_little():
    plain, residual = (pair_correction(1.0, 0.4, network_of(residual=r)) for r in (0.0, 1e-6))
    for name in ("curve_correction", "gap_correction", "second_moment_fluctuation"):
        np.testing.assert_allclose(getattr(residual, name), getattr(plain, name), rtol=1e-9, atol=1e-11)


def simulated_residual(network, networks, seed):
    """Relative means and errors of ``sum z^2 / N`` at the last level, and its variance, times width; one input.

    Control variates of mean zero, fitted: powers of z averaged over a layer, less their mean given the layer before.
    """
    rng, variance = np.random.default_rng(seed), 1.0
    strength, weight, bias = network.residual, network.weight_variance, network.bias_variance
    z = rng.normal(size=(networks, network.width))
    square = np.mean(z**2, axis=1)
    controls = [square - variance, np.mean(z**4, axis=1) - 3 * variance**2]
    for _ in range(network.depth):
        fresh = weight * np.mean(np.tanh(z) ** 2, axis=1) + bias
        kept = strength * z
        fourth = np.mean(kept**4, axis=1) + 6 * fresh * strength**2 * square + 3 * fresh**2
        second = strength**2 * square + fresh
        z = kept + np.sqrt(fresh)[:, None] * rng.normal(size=z.shape)
        square = np.mean(z**2, axis=1)
        controls += [square - second, np.mean(z**4, axis=1) - fourth]
    theory = input_correction(1.0, network).variance[-1]
    controls, change = np.stack(controls, axis=1), square / theory - 1
    rest = change - controls @ np.linalg.lstsq(controls, change, rcond=None)[0]
    scale = network.width
    return scale * rest.mean(), scale * rest.std() / math.sqrt(networks), scale * square.var()


@functools.cache
def residual_limits(residual, weight):
    """Coefficients at infinite width, lines in 1/N through three widths, and the error of the first."""
    widths = np.array([20, 40, 80])
    rows = [
        simulated_residual(network_of(weight, depth=10, width=width, residual=residual), 12_000, width)
        for width in widths.tolist()
    ]
    means, errors, variances = np.array(rows).T
    line = np.linalg.pinv(np.stack([np.ones(3), 1 / widths], axis=1))[0]
    return line @ means, math.sqrt(line**2 @ errors**2), line @ variances


RESIDUAL = [(0.5, 1.5), (0.9, 0.4)]


@pytest.mark.parametrize(("residual", "weight"), RESIDUAL)
def test_simulated_residual_networks(residual, weight):
    correction, error, fluctuation = residual_limits(residual, weight)
    theory = input_correction(1.0, network_of(weight, depth=10, residual=residual))
    expected = theory.variance_correction[-1] / theory.variance[-1]
    assert error < 0.065 * abs(expected)
    assert abs(correction - expected) < min(5 * error, 0.05 * abs(expected))  # both: the seeds are fixed
    assert fluctuation == pytest.approx(theory.second_moment_fluctuation[-1], rel=0.05)


@pytest.mark.parametrize(("residual", "weight"), RESIDUAL)
def test_that_comparison_can_fail_without_memory(residual, weight, monkeypatch):
    exact = finite_width._expansion
    monkeypatch.setattr(
        finite_width, "_expansion", lambda *given: (layer := exact(*given))._replace(decay=0 * layer.decay)
    )
    correction, error, fluctuation = residual_limits(residual, weight)
    theory = input_correction(1.0, network_of(weight, depth=10, residual=residual))
    off = abs(correction - theory.variance_correction[-1] / theory.variance[-1])
    assert off > max(5 * error, 0.05 * abs(correction))
    assert fluctuation != pytest.approx(theory.second_moment_fluctuation[-1], rel=0.05)


def test_unequal_widths():
    """Coefficients of one over the first width; the noise of each layer goes with the inverse of its own."""
    plain = network_of(0.9, 0.2, 3, activation="linear")
    found = input_correction(0.7, network_of(0.9, 0.2, 3, width=(10, 20, 5, 40), activation="linear"))
    q, v = 0.7, 0.0
    for level, ratio in enumerate((1.0, 0.5, 2.0, 0.25)):
        assert found.variance_fluctuation[level] == pytest.approx(v, rel=1e-12)
        assert found.second_moment_fluctuation[level] == pytest.approx(v + 2 * q**2 * ratio, rel=1e-12)
        v = 0.9**2 * (v + 2 * q**2 * ratio)
        q = 0.9 * q + 0.2
    np.testing.assert_array_equal(found.variance, input_correction(0.7, plain).variance)
    # where all layers after the first are wider alike, what they add shrinks alike
    one, half = (pair_correction(1.0, 0.4, network_of(width=(8, *6 * [width]))) for width in (8, 16))
    first = pair_correction(1.0, 0.4, network_of(width=(8, *6 * [8 * 10**9])))
    np.testing.assert_allclose(
        half.curve_correction - first.curve_correction,
        (one.curve_correction - first.curve_correction) / 2,
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "leaky_relu(-1)"])
def test_increments(activation):
    phi = named(activation)
    z, step = np.meshgrid(np.linspace(-4, 4, 161), [-3.0, -0.7, -0.11, -0.09, 1e-3, 0.099, 0.101, 1.0, 5.0])
    np.testing.assert_allclose(phi.increment(z, step), phi(z + step) - phi(z), rtol=1e-13, atol=4e-16)
    z = np.linspace(-4, 4, 160)  # at no kink
    np.testing.assert_allclose(phi.increment(z, 1e-200), 1e-200 * phi.slope(z), rtol=1e-12)
    np.testing.assert_allclose(phi.increment(z, 1e-5), 1e-5 * phi.slope(z + 5e-6), rtol=1e-9)


def test_increments_across_kinks():
    relu, hard_tanh = named("relu"), named("hard_tanh")
    assert relu.increment(-1e-20, 3e-20) == pytest.approx(2e-20, rel=1e-15)
    assert relu.increment(1e-20, -3e-20) == pytest.approx(-1e-20, rel=1e-15)
    assert relu.increment(0.0, 1e-20) == 1e-20
    assert relu.increment(-0.0, -1e-20) == 0
    edge = math.nextafter(1.0, 0.0)
    assert hard_tanh.increment(edge, 1e-10) == 1.0 - edge
    assert hard_tanh.increment(1.0, 1e-20) == 0
    assert hard_tanh.increment(1.0, -1e-20) == -1e-20
    assert hard_tanh.increment(1.5, -4.0) == -2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: input_correction(0.0, network_of()), "variance must be greater than 0, got 0"),
        (lambda: input_correction(math.nan, network_of()), "variance must be finite"),
        (lambda: pair_correction(3e4, 0.1, network_of()), "variance must lie in"),
        (lambda: pair_correction(1.0, 0.0, network_of()), "gap must be greater than 0, got 0"),
        (lambda: pair_correction(1.0, 2.0, network_of()), "gap must lie in"),
        (lambda: pair_correction(1.0, 0.1, network_of(2e4)), r"weight_variance must lie in .*, got 20000"),
        (lambda: pair_correction(1.0, 0.1, network_of(bias=2e4)), "bias_variance must lie in"),
        (lambda: pair_correction(1.0, 1e-160, network_of()), r"between 1e-150 and 1e\+150, got 5e-161 .* at level 0"),
        (lambda: pair_correction(1.0, 1e-149, network_of(0.01)), "at level 1"),
        (lambda: input_correction(1.0, network_of(1e4, depth=90, activation="relu")), "at level 4[01]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
