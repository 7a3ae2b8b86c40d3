"""Inputs: shapes, normalisation, the exact covariance of level 0, and what is refused."""

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.network.inputs import digits, input_kernel, normalise, white_noise
from isingflow.parameters import NetworkParameters

NETWORK = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=1, width=4)


def test_white_noise_is_standard_normal():
    noise = white_noise(40, 1000, rng=3)
    assert noise.shape == (40, 1000)
    assert noise.dtype == np.float64
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)
    np.testing.assert_array_equal(noise, white_noise(40, 1000, rng=np.random.default_rng(3)))


def test_digits():
    images = digits([0, 1796])
    assert images.shape == (2, 64)
    assert images.dtype == np.float64
    assert images.min() == 0
    assert images.max() == 16
    np.testing.assert_array_equal(digits(1796), images[1:])


def test_normalised_rows_have_unit_norm_each():
    images = normalise(digits(range(5)) * [[1], [1e-3], [1e200], [7], [1]] + 3.0)
    np.testing.assert_allclose(images.mean(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(np.mean(images**2, axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(images[3], normalise(digits(3))[0], atol=1e-13)


def test_kernel_of_normalised_inputs():
    images = normalise(digits([0, 1, 2]))
    kernel = input_kernel(images, NETWORK)
    np.testing.assert_allclose(np.diag(kernel), 1.55, rtol=1e-14)
    np.testing.assert_allclose(kernel, 1.5 * (images @ images.T) / 64 + 0.05, rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normalise([[1.0, 2.0], [0.1, 0.1]]), r"constant image .* rows \[1\] of 2"),
        (lambda: normalise([[1.0, np.nan]]), "images must be finite"),
        (lambda: normalise([["a", "b"]]), "images must be an array of real numbers"),
        (lambda: normalise([[1.0], [1.0, 2.0]]), "images must be an array of real numbers"),
        (lambda: normalise([[1j, 2.0]]), "images must be an array of real numbers"),
        (lambda: normalise(np.empty((0, 4))), r"images must not be empty, got shape \(0, 4\)"),
        (
            lambda: input_kernel([1.0, 2.0], NETWORK),
            r"must have shape \(inputs, features\), got shape \(2,\)",
        ),
        (lambda: input_kernel([[1e200]], NETWORK), "covariance overflows"),
        (lambda: digits([0, 1797]), "index of a digit must be between 0 and 1796, got 1797"),
        (lambda: digits([]), "at least one index"),
        (lambda: digits([0.5]), "index of a digit must be a whole number"),
        (lambda: white_noise(0, 3, rng=1), "inputs must be at least 1"),
        (lambda: white_noise(3, 3, rng="seed"), "rng must be a numpy Generator"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
