"""Inputs: shapes, correlations, normalisation, the exact covariance of level 0, and what is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isingflow import mean_field_flow
from isingflow.errors import ParameterError
from isingflow.network.inputs import (
    Inputs,
    correlated_noise,
    digits,
    input_kernel,
    normalise,
    white_noise,
)
from isingflow.network.propagation import propagate
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


def gaps_of(inputs):
    """Half the mean squares of all differences, one pair at a time."""
    return np.array([[np.mean((one - other) ** 2) / 2 for other in inputs] for one in inputs])


@given(st.integers(1, 6), st.integers(0, 4), st.floats(0, 1), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_correlations_are_as_prescribed(count, more, share, seed):
    lowest = -1 / (count - 1) if count > 1 else -1
    correlation = lowest + share * (1 - lowest)
    inputs = correlated_noise(count, count + more, correlation=correlation, rng=seed)
    wanted = np.full((count, count), correlation)
    np.fill_diagonal(wanted, 1.0)
    np.testing.assert_allclose(inputs @ inputs.T / (count + more), wanted, rtol=0, atol=1e-13)


@given(st.integers(2, 5), st.floats(-20, 0), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_small_gaps_keep_their_digits(count, exponent, seed):
    gap = 10**exponent
    found = gaps_of(correlated_noise(count, 784, gap=gap, rng=seed))
    np.testing.assert_allclose(found[np.triu_indices(count, 1)], gap, rtol=1e-14 + 1e-16 / np.sqrt(gap))


def test_correlation_within_rounding_of_one():
    correlation = 1 - 1e-12  # the nearest double is 9e-5 further off: 1 - correlation is what was asked for
    assert 1e-5 < abs((1 - correlation) / 1e-12 - 1) < 1e-4
    matrix = np.full((3, 3), correlation)
    np.fill_diagonal(matrix, 1.0)
    for given_as in (correlation, matrix):
        found = gaps_of(correlated_noise(3, 784, correlation=given_as, rng=1))
        np.testing.assert_allclose(found[np.triu_indices(3, 1)], 1 - correlation, rtol=1e-10)
    equal = correlated_noise(3, 8, gap=[[0, 0, 0.5], [0, 0, 0.5], [0.5, 0.5, 0]], rng=1)
    np.testing.assert_array_equal(equal[0], equal[1])


def test_close_inputs_far_from_the_first():
    """And Cholesky's factor of the correlations themselves has lost their gap."""
    gap = 1 - (1 - 1e-12)
    wanted = np.array([[0, 0.5, 0.5], [0.5, 0, gap], [0.5, gap, 0]])
    for given_as in ({"gap": wanted}, {"correlation": 1 - wanted}):
        found = gaps_of(correlated_noise(3, 784, **given_as, rng=1))
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=0)
    rows = np.linalg.cholesky(1 - wanted)
    assert abs(np.sum((rows[1] - rows[2]) ** 2) / 2 / gap - 1) > 1e-6


@given(st.integers(2, 8), st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_matrices_of_any_rank_and_of_close_inputs(count, rank, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, rank + 1))
    for index in range(1, count, 2):  # close to one before it
        vectors[index] = vectors[index - 1] + 10.0 ** -rng.integers(1, 6) * rng.standard_normal(rank + 1)
    vectors /= np.sqrt(np.sum(vectors**2, axis=1, keepdims=True))
    wanted = vectors @ vectors.T
    assume((1 - wanted[np.triu_indices(count, 1)]).min() > 2e-13)
    inputs = correlated_noise(count, 30, correlation=wanted, rng=rng)
    np.testing.assert_allclose(inputs @ inputs.T / 30, wanted, rtol=0, atol=1e-12)


def test_a_tiny_circle_of_inputs():
    angles = 1e-8 * np.arange(20)
    wanted = 2 * np.sin((angles[:, None] - angles) / 2) ** 2  # of rank two
    found = gaps_of(correlated_noise(20, 100, gap=wanted, rng=3))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=0)


def test_orientation_is_uniform():
    """First components of 4000 pairs in three dimensions: uniform in [-1, 1] each, the sign of a frame unbiased."""
    drawn = np.array([correlated_noise(2, 3, correlation=0.0, rng=seed) for seed in range(4000)]) / np.sqrt(3)
    components = np.concatenate([drawn, np.cross(drawn[:, 0], drawn[:, 1])[:, None]], axis=1).reshape(4000, 9)
    assert np.abs(components.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / 4000)
    assert np.abs(np.mean(components**2, axis=0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / 4000)
    np.testing.assert_array_equal(drawn[5], correlated_noise(2, 3, correlation=0.0, rng=5) / np.sqrt(3))


def test_mean_field_of_correlated_noise_is_that_of_its_gap():
    from isingflow.network.meanfield import pair_levels

    network = dataclasses.replace(NETWORK, depth=12)
    inputs = correlated_noise(2, 50, gap=1e-10, rng=2)
    variance = network.weight_variance + network.bias_variance
    gap = network.weight_variance * 1e-10 / variance
    gaps = pair_levels(variance, gap, network)[1]
    curve = mean_field_flow(inputs, network)
    ratio = gaps[12] / gaps[0]
    total = pair_levels(variance, gap, network)[0]
    sums = total[12] / total[0]
    first = (np.log(sums) + 1 / sums - 1) / 2
    second = (np.log(sums * ratio) + 1 / (sums * ratio) - 1) / 2
    np.testing.assert_allclose(curve.value[12], first + second, rtol=1e-6)


def test_record_of_inputs():
    inputs = Inputs(digits([0, 1, 2, 7, 8]), "digits", [0, 1, 2, 7, 8])
    assert inputs.description == "digits [0-2, 7, 8]; not normalised"
    normalised = normalise(inputs)
    assert normalised.description == "digits [0-2, 7, 8]; each centred, of unit norm"
    np.testing.assert_array_equal(normalised.values, normalise(inputs.values))
    assert Inputs(correlated_noise(2, 9, gap=0.5, rng=1), "noise").description == "noise; each of unit norm"
    assert Inputs([[1e200, 1e-200]], "extreme").normalisation == "not normalised"
    assert Inputs(1.0001 * normalised.values, "scaled").normalisation == "not normalised"
    with pytest.raises(ValueError, match="read-only"):
        inputs.values[0] = 1.0


def test_record_passes_for_an_array():
    inputs = Inputs(normalise(digits([0, 1])), "digits", (0, 1))
    np.testing.assert_array_equal(input_kernel(inputs, NETWORK), input_kernel(inputs.values, NETWORK))
    np.testing.assert_array_equal(np.array(inputs, dtype=np.float32), inputs.values.astype(np.float32))
    curves = [mean_field_flow(one, NETWORK).value for one in (inputs, inputs.values)]
    np.testing.assert_array_equal(*curves)
    sums = [propagate(one, NETWORK, networks=3, rng=1).sums for one in (inputs, inputs.values)]
    np.testing.assert_array_equal(*sums)


NOT_POSITIVE = [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of correlation= and gap= is required, got none"),
        ({"correlation": 0.5, "gap": 0.5}, "one of correlation= and gap= is required, got both"),
        ({"correlation": 1.1}, r"correlation must lie in \[-1, 1\], got 1.1"),
        ({"gap": -1e-3}, r"gap must lie in \[0, 2\], got -0.001"),
        ({"gap": 1e-21}, "must be 0 or at least 1e-20, got 1e-21"),
        ({"correlation": np.full((3, 3), 1 - 1e-15) + 1e-15 * np.eye(3)}, "at least 1e-13, got .* gap= takes it"),
        ({"correlation": np.nan}, "correlation must be finite"),
        ({"correlation": "half"}, "correlation must be an array of real numbers"),
        ({"correlation": [[1, 0.5], [0.5, 1]]}, r"have shape \(3, 3\), got shape \(2, 2\)"),
        ({"correlation": np.eye(3) * 2}, r"correlation must lie in \[-1, 1\], got 0 to 2"),
        ({"correlation": np.eye(3) / 2}, "correlation must be symmetric with a diagonal of 1"),
        ({"correlation": np.eye(3) + np.eye(3, k=1)}, "correlation must be symmetric with a diagonal of 1"),
        ({"gap": np.eye(3)}, "symmetric with a diagonal of 0"),
        ({"correlation": NOT_POSITIVE}, "positive semidefinite matrix, got a smallest eigenvalue of -0.8;"),
        ({"correlation": -0.6}, "positive semidefinite matrix, got a smallest eigenvalue of -0.2;"),
        ({"gap": 1e-12 * np.array([[0, 1, 1], [1, 0, 9], [1, 9, 0]])}, "positive semidefinite matrix"),
        (
            {"gap": 1e-18 * np.array([[0, 1, 1], [1, 0, 9], [1, 9, 0]])},
            "if that is zero but for rounding, .* their gaps",
        ),
        ({"correlation": 0.5, "features": 2}, "3 inputs need as many features or more, got 2"),
        ({"correlation": 0.5, "features": 10**15}, "correlated inputs of 1000000000000000 features need"),
        ({"correlation": 0.5, "rng": -1}, "rng must be a numpy Generator or a non-negative integer"),
    ],
)
def test_correlations_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        correlated_noise(3, **({"features": 8, "rng": 1} | arguments))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Inputs([[1.0]], "two", (0, 1)), "1 inputs need as many indices, or none, got 2"),
        (lambda: Inputs([[1.0]], "half", (0.5,)), "index must be a whole number"),
        (lambda: Inputs([[np.nan]], "nothing"), "values must be finite"),
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
