"""Kernels through the layers against those of neural-tangents, frozen, and against exact fractions."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from isingflow.network.gaussian_process import nngp_levels, ntk_levels
from isingflow.parameters import NetworkParameters

FROZEN = json.loads((Path(__file__).parent / "reference" / "neural_tangents.json").read_text())


def network_of(weight, bias, depth=20, activation="relu"):
    return NetworkParameters(weight_variance=weight, bias_variance=bias, depth=depth, width=1, activation=activation)


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
