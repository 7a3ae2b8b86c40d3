"""Kernels through the layers against those of neural-tangents, frozen, and against exact fractions."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.network import meanfield
from isingflow.network.activations import named
from isingflow.network.gaussian_process import nngp_levels, ntk_levels
from isingflow.network.inputs import input_kernel
from isingflow.parameters import NetworkParameters

FROZEN = json.loads((Path(__file__).parent / "reference" / "neural_tangents.json").read_text())


def network_of(weight, bias, depth=20, activation="relu", residual=0.0):
    return NetworkParameters(
        weight_variance=weight, bias_variance=bias, depth=depth, width=1, activation=activation, residual=residual
    )


@pytest.mark.parametrize(
    "frozen", FROZEN["records"], ids=lambda one: f"{one['activation']}-{one['weight_variance']}-{one['bias_variance']}"
)
def test_kernels_of_inputs_of_different_norms_are_those_of_neural_tangents(frozen):
    network = network_of(frozen["weight_variance"], frozen["bias_variance"], activation=frozen["activation"])
    nngp, ntk = nngp_levels(frozen["kernel"], network).kernels, ntk_levels(frozen["kernel"], network)
    assert list(frozen["nngp"]) == list(frozen["ntk"]) == ["1", "5", "20"]
    for level in (1, 5, 20):
        their_nngp, their_ntk = (np.array(frozen[name][str(level)]) for name in ("nngp", "ntk"))
        np.testing.assert_allclose(nngp[level], their_nngp, rtol=1e-12)
        # they take the angle of an input with itself from the root of a rounding error, which shows in relu's slope
        between = ~np.eye(len(their_ntk), dtype=bool)
        np.testing.assert_allclose(ntk[level][between], their_ntk[between], rtol=1e-12)
        np.testing.assert_allclose(ntk[level], their_ntk, rtol=1e-8)


def test_relu_kernels_of_one_input_are_rational():
    weight, bias, depth = Fraction(5, 2), Fraction(1, 8), 20
    variances, tangents = [Fraction(3, 4)], [Fraction(3, 4)]
    for _ in range(depth):
        variances.append(weight / 2 * variances[-1] + bias)
        tangents.append(variances[-1] + weight / 2 * tangents[-1])
    network = network_of(float(weight), float(bias))
    np.testing.assert_allclose(nngp_levels([[0.75]], network).kernels.ravel(), [*map(float, variances)], rtol=1e-14)
    np.testing.assert_allclose(ntk_levels([[0.75]], network).ravel(), [*map(float, tangents)], rtol=1e-14)


@pytest.mark.parametrize(("activation", "residual"), [("relu", 0.0), ("tanh", 0.7)])
def test_tangent_kernel_of_a_wide_network(activation, residual):
    """Gradients of 60 networks of width 400, by hand; within five standard errors and 4/width."""
    phi, width, weight, bias = named(activation), 400, 1.7, 0.2
    rng = np.random.default_rng(5)
    x = np.array([[1.0, 0.5, -1.0], [2.0, 0.0, 1.0]])
    found = []
    for _ in range(60):
        scales = [math.sqrt(weight / 3), *2 * [math.sqrt(weight / width)]]
        matrices = [scale * rng.normal(size=(width, n)) for scale, n in zip(scales, (3, width, width), strict=True)]
        z = [x @ matrices[0].T + math.sqrt(bias) * rng.normal(size=width)]
        for matrix in matrices[1:]:
            z.append(residual * z[-1] + phi(z[-1]) @ matrix.T + math.sqrt(bias) * rng.normal(size=width))
        back = np.zeros((2, width))
        back[:, 0] = 1.0  # the first neuron of level 2
        tangent = 0.0
        for level in (2, 1, 0):
            inner = weight * phi(z[level - 1]) @ phi(z[level - 1]).T / width if level else weight * x @ x.T / 3
            tangent = tangent + (back @ back.T) * (inner + bias)
            if level:
                back = residual * back + phi.slope(z[level - 1]) * (back @ matrices[level])
        found.append(tangent)
    network = network_of(weight, bias, depth=2, activation=activation, residual=residual)
    expected = ntk_levels(input_kernel(x, network), network)[-1]
    error = np.std(found, axis=0, ddof=1) / math.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - expected) < 5 * error + 4 / width * expected).all()
    assert (error < 0.03 * expected).all()


def test_one_pair_is_that_of_the_maps():
    network = network_of(1.5, 0.05, depth=200, activation="tanh")
    levels = nngp_levels([[1.0, 0.4], [0.4, 1.0]], network)
    variances, gaps = meanfield.pair_levels(1.0, 0.6, network)
    np.testing.assert_allclose(levels.variances, np.stack([variances, variances], axis=1), rtol=1e-13)
    # 1 - c falls to 1e-6 with all its digits
    np.testing.assert_allclose(levels.distances[:, 0, 1] / (2 * variances), gaps, rtol=1e-12)
    assert gaps[-1] < 1e-5
    differences = levels.difference_kernels
    np.testing.assert_allclose(differences[:, 1, 1], 2 * variances * gaps, rtol=1e-12)


def test_distances_where_the_kernel_has_lost_them():
    network = network_of(1.5, 0.05, depth=5, activation="erf")
    lost = nngp_levels(np.ones((2, 2)), network)
    assert (lost.distances == 0).all()
    near = nngp_levels(np.ones((2, 2)), network, distances=[[0.0, 1e-30], [1e-30, 0.0]])
    gaps = meanfield.pair_levels(1.0, 0.5e-30, network)[1]
    np.testing.assert_allclose(near.distances[:, 0, 1] / (2 * near.variances[:, 0]), gaps, rtol=1e-12)


def test_kernels_stay_covariances():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(8, 5)) * np.geomspace(0.1, 10, 8)[:, None]
    for activation in ("tanh", "erf", "relu", "leaky_relu(0.3)", "hard_tanh", "linear"):
        network = network_of(1.3, 0.1, depth=10, activation=activation, residual=0.3)
        levels = nngp_levels(input_kernel(x, network), network)
        for kernel in (*levels.kernels, *levels.difference_kernels, *ntk_levels(levels.kernels[0], network)):
            assert np.linalg.eigvalsh(kernel).min() > -1e-12 * np.trace(kernel)


@pytest.mark.parametrize(
    ("kernel", "options", "message"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], {}, "correlation beyond one"),
        ([[1.0, 0.0]], {}, r"kernel must be square, of shape \(m, m\), got shape \(1, 2\)"),
        ([[1.0, 0.1], [0.2, 1.0]], {}, "kernel must be symmetric"),
        ([[math.nan]], {}, "kernel must be finite"),
        ([["a"]], {}, "square array of real numbers"),
        ([[-1.0]], {}, "a variance is negative"),
        (np.eye(2), {"distances": np.zeros((2, 2))}, "distances must be those of the kernel"),
        (np.eye(2), {"distances": np.zeros((1, 1))}, r"of shape \(2, 2\), got shape \(1, 1\)"),
    ],
)
def test_refused(kernel, options, message):
    with pytest.raises(ParameterError, match=message):
        nngp_levels(kernel, network_of(1.0, 0.0, depth=100), **options)


def test_variances_that_leave_the_range_of_numbers():
    with pytest.raises(ParameterError, match=r"must stay between 1e-150 and 1e150, got .* at level 75"):
        nngp_levels(np.eye(1), network_of(1.0, 0.0, depth=100, residual=10.0))
