"""Mean-field theory against reference values of 25-digit arithmetic, against limits, and against itself."""

import math

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.network import meanfield
from isingflow.parameters import NetworkParameters

BIAS = 0.05


def digits(value):
    return pytest.approx(value, rel=0, abs=5.1e-10)


@pytest.mark.parametrize(
    ("weight", "variance"), [(0.8, 0.138080277966312), (2.0, 0.721761872652071), (1.5, 0.418037201)]
)
def test_fixed_point_variance(weight, variance):
    assert meanfield.fixed_point_variance(weight, BIAS) == digits(variance)


@pytest.mark.parametrize(
    ("weight", "levels"),
    [
        (
            2.0,
            [0.597352615873478, 0.656422834670518, 0.688702617666399, 0.705359975867377, 0.713704655436344],
        ),
        (0.8, [0.268941046349391, 0.19623242255702, 0.166062138718255, 0.152037756251391, 0.14516457545579]),
    ],
)
def test_variance_map_to_thirteen_digits(weight, levels):
    network = NetworkParameters(weight_variance=weight, bias_variance=BIAS, depth=5, width=1)
    variances, _ = meanfield.pair_levels(0.5, 0.1, network)
    np.testing.assert_allclose(variances, [0.5, *levels], rtol=1e-13)


def test_ordered_phase():
    assert meanfield.susceptibility(1.5, BIAS) == digits(0.938636268)
    assert meanfield.fixed_point_correlation(1.5, BIAS) == 1.0
    xi_q, xi_c = meanfield.depth_scales(1.5, BIAS)
    assert xi_c == pytest.approx(15.790994, abs=5e-7)
    assert xi_q == pytest.approx(1.682828, abs=5e-7)


def test_chaotic_phase():
    assert meanfield.fixed_point_variance(2.5, BIAS) == digits(1.063958377)
    assert meanfield.fixed_point_correlation(2.5, BIAS) == digits(0.446804232)
    assert meanfield.depth_scales(2.5, BIAS).xi_c == pytest.approx(11.795598, abs=5e-7)


def test_edge_and_uniformity():
    edge = meanfield.critical_weight_variance(BIAS)
    assert edge == digits(1.760954640)
    assert meanfield.susceptibility(edge, BIAS) == pytest.approx(1.0, abs=1e-14)
    assert meanfield.uniformity_variance() == digits(0.764576007)
    assert meanfield.critical_weight_variance(0.09025) == pytest.approx(1.94866, abs=2e-5)
    assert meanfield.fixed_point_variance(1.94866, 0.09025) == pytest.approx(0.764576, abs=2e-5)


@pytest.mark.parametrize("bias", [1e-18, 1e-9, 1e-3, BIAS, 1.0, 10.0])
def test_scale_diverges_at_the_edge_and_only_there(bias):
    edge = meanfield.critical_weight_variance(bias)
    assert meanfield.depth_scales(edge, bias).xi_c == math.inf
    assert meanfield.fixed_point_correlation(edge, bias) == 1.0
    beside = meanfield.depth_scales(edge * (1 + np.array([-1e-4, 1e-4])), bias)
    for scale in beside:
        assert np.isfinite(scale).all()
        assert (scale > 0).all()
    assert meanfield.fixed_point_correlation(edge * 1.0001, bias) < 1.0


def test_scale_near_the_edge_halves_on_the_chaotic_side():
    # The gap map is eps chi - a eps^2: slopes chi below and 2 - chi above the edge.
    edge = meanfield.critical_weight_variance(BIAS)
    below, above = meanfield.depth_scales(edge * np.array([1 - 1e-5, 1 + 1e-5]), BIAS).xi_c
    assert below == pytest.approx(above, rel=1e-3)
    assert below > 1e4


@pytest.mark.parametrize("weight", [1e-3, 0.5, 1.0])
def test_no_bias_ordered(weight):
    expected = -1 / math.log(weight) if weight < 1 else math.inf
    assert meanfield.fixed_point_variance(weight, 0.0) == 0.0
    assert meanfield.fixed_point_correlation(weight, 0.0) == 1.0
    assert meanfield.susceptibility(weight, 0.0) == pytest.approx(weight, rel=1e-15)
    assert meanfield.depth_scales(weight, 0.0) == pytest.approx((expected, expected), rel=1e-14)
    assert meanfield.critical_weight_variance(0.0) == 1.0


def test_no_bias_chaotic():
    assert meanfield.fixed_point_correlation(1.5, 0.0) == 0.0
    # Exact at c* = 0, where u and v are independent: the slope is sigma_w^2 E[tanh']^2.
    x, weights = np.polynomial.hermite_e.hermegauss(150)
    root = math.sqrt(meanfield.fixed_point_variance(1.5, 0.0))
    slope = 1.5 * (weights @ np.cosh(root * x) ** -2 / weights.sum()) ** 2
    assert meanfield.depth_scales(1.5, 0.0).xi_c == pytest.approx(-1 / math.log(slope), rel=1e-9)


@pytest.mark.parametrize("variance", [0.2, 1.0])
@pytest.mark.parametrize("gap", [1e-3, 0.3, 1.0, 1.7])
def test_gap_map_against_gauss_hermite(variance, gap):
    x, weights = np.polynomial.hermite_e.hermegauss(150)
    weights = weights / weights.sum()
    c = 1 - gap
    u = math.sqrt(variance) * x[:, None]
    v = math.sqrt(variance) * (c * x[:, None] + math.sqrt(1 - c * c) * x)
    new = 1.5 * weights @ (np.tanh(u) * np.tanh(v)) @ weights + BIAS
    norm = 1.5 * weights @ np.tanh(u[:, 0]) ** 2 + BIAS
    assert meanfield.variance_map(variance, 1.5, BIAS) == pytest.approx(norm, rel=1e-9)
    assert meanfield.correlation_gap_map(gap, variance, 1.5, BIAS) == pytest.approx(1 - new / norm, rel=1e-6)


@pytest.mark.parametrize("gap", [1e-25, 1e-200])
def test_small_gaps_keep_their_digits(gap):
    # Away from the fixed point the gap grows by sigma_w^2 q E[tanh'^2] / q'.
    variance = 0.3
    x, weights = np.polynomial.hermite_e.hermegauss(150)
    growth = 1.5 * variance * (weights @ np.cosh(math.sqrt(variance) * x) ** -4) / weights.sum()
    growth /= meanfield.variance_map(variance, 1.5, BIAS)
    assert meanfield.correlation_gap_map(gap, variance, 1.5, BIAS) / gap == pytest.approx(growth, rel=1e-11)


def test_gap_map_at_its_ends():
    assert meanfield.correlation_gap_map(0.0, 0.5, 2.0, BIAS) == 0.0
    assert meanfield.correlation_gap_map(2.0, 0.5, 2.0, 0.0) == pytest.approx(2.0, rel=1e-14)
    assert meanfield.correlation_gap_map(1.0, 0.5, 2.0, 0.0) == pytest.approx(1.0, rel=1e-14)
    assert meanfield.correlation_gap_map(0.7, 0.0, 2.0, 0.0) == 0.7
    assert meanfield.correlation_gap_map(0.7, 0.0, 2.0, BIAS) == 0.0
    assert meanfield.variance_map(0.0, 2.0, BIAS) == BIAS


def test_pair_at_the_fixed_point_stays_there():
    correlation = meanfield.fixed_point_correlation(2.5, BIAS)
    network = NetworkParameters(weight_variance=2.5, bias_variance=BIAS, depth=30, width=1)
    variances, gaps = meanfield.pair_levels(meanfield.fixed_point_variance(2.5, BIAS), 1 - correlation, network)
    assert variances.shape == gaps.shape == (31,)
    np.testing.assert_allclose(variances, variances[0], rtol=1e-13)
    np.testing.assert_allclose(gaps, 1 - correlation, rtol=1e-13)


@pytest.mark.parametrize(
    ("weight", "table"),
    [
        (2.0, (0.0251, 0.0456, 0.0579, 0.0600)),
        (1.760955, (0.2686, 0.7802, 2.0410, 4.8849)),
        (1.5, (2.176, 16.867, 459.04, 260685)),
    ],
)
def test_relative_entropy_of_a_pair(weight, table):
    network = NetworkParameters(weight_variance=weight, bias_variance=BIAS, depth=200, width=1)
    variance, gap = meanfield.pair_levels(meanfield.fixed_point_variance(weight, BIAS), 0.4, network)
    # Sum and difference of the two components are independent, with variances q (2 - gap) and q gap.
    ratios = [modes[0] / modes for modes in (variance * (2 - gap), variance * gap)]
    divergence = sum(0.5 * (ratio - 1 - np.log(ratio)) for ratio in ratios)
    decimals = [len(str(value).partition(".")[2]) for value in table]
    for value, expected, places in zip(divergence[[25, 50, 100, 200]], table, decimals, strict=True):
        assert value == pytest.approx(expected, abs=0.5001 * 10.0**-places)


def test_large_and_small_variances():
    assert meanfield.fixed_point_variance(1e4, 0.0) == pytest.approx(1e4, rel=0.01)
    assert meanfield.variance_map(2e4, 1.0, 0.0) < 1.0
    assert meanfield.fixed_point_variance(1.0, 1e-20) == pytest.approx(math.sqrt(0.5e-20), rel=1e-4)
    assert meanfield.fixed_point_variance(0.5, 1e-30) == pytest.approx(2e-30, rel=1e-12)


def test_floats_in_floats_out_and_arrays_broadcast():
    assert type(meanfield.fixed_point_variance(2, 0)) is float
    assert all(type(scale) is float for scale in meanfield.depth_scales(1.5, BIAS))
    grid = meanfield.depth_scales(np.array([[1.2], [1.5]]), [0.0, BIAS, 0.1])
    assert grid.xi_q.shape == grid.xi_c.shape == (2, 3)
    assert grid.xi_c[1, 1] == meanfield.depth_scales(1.5, BIAS).xi_c
    assert meanfield.critical_weight_variance([0.0, BIAS]).shape == (2,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: meanfield.fixed_point_variance(math.nan, BIAS), "weight_variance must be finite, got nan"),
        (lambda: meanfield.fixed_point_variance([1.0, -1.0], BIAS), "weight_variance must be greater than 0"),
        (lambda: meanfield.susceptibility(1.0, math.inf), "bias_variance must be finite"),
        (lambda: meanfield.variance_map(-0.1, 1.0, BIAS), "variance must lie in"),
        (lambda: meanfield.correlation_gap_map(2.1, 1.0, 1.0, BIAS), r"gap must lie in \[0, 2\]"),
        (lambda: meanfield.critical_weight_variance(11.0), r"bias_variance must lie in \[0, 10\]"),
        (lambda: meanfield.fixed_point_variance([1.0, 2.0], [1.0, 2.0, 3.0]), "do not broadcast"),
        (
            lambda: meanfield.fixed_point_variance([[1.0], [1.0, 2.0]], BIAS),
            "weight_variance must be a number or an array of numbers",
        ),
        (lambda: meanfield.depth_scales(1.5, BIAS, activation="tahn"), "did you mean 'tanh'"),
        (lambda: meanfield.uniformity_variance(activation="relu"), "no variance has the largest entropy"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
