"""Mean-field theory against reference values of 25-digit arithmetic, against limits, and against itself."""

import math

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.network import meanfield
from isingflow.parameters import NetworkParameters

BIAS = 0.05
SHALLOW = NetworkParameters(weight_variance=1.5, bias_variance=BIAS, depth=2, width=1)


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
        (lambda: meanfield.solve(True, BIAS), "weight_variance must be a real number, got True"),
        (lambda: meanfield.solve(1.5, [0.1, None]), "bias_variance must be a real number, got None"),
        (lambda: meanfield.solve(np.array([1 + 1j]), BIAS), "weight_variance must be a real number"),
        (lambda: meanfield.pair_levels([1.0, 2.0], 0.1, SHALLOW), "variance must be a real number"),
        (lambda: meanfield.pair_levels(1.0, 2.1, SHALLOW), r"gap must lie in \[0, 2\]"),
        (lambda: meanfield.correlation_series(1.0, 0), "orders must be at least 1"),
        (lambda: meanfield.uniformity_variance(activation="relu"), "no variance has the largest entropy"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


ACTIVATIONS = ("tanh", "erf", "relu", "leaky_relu(0.2)", "hard_tanh", "linear")
BENDING = ("tanh", "erf", "hard_tanh")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [0.0, 0.5])
def test_fixed_points_are_where_the_maps_lead(activation, residual):
    """Five hundred layers from elsewhere: variance and gap of every activation, away from the edge of chaos."""
    kind = {"activation": activation, "residual": residual}
    network = np.array([0.3, 0.5, 2.5, 3.0]), np.array([0.4, 0.05, 0.0, 0.1])
    found = meanfield.solve(*network, **kind)
    settles = np.isfinite(found.variance)
    assert settles[0]
    variance, gap = np.full(4, 1.7), np.full(4, 0.3)
    for _ in range(500):
        gap = meanfield.correlation_gap_map(gap, variance, *network, **kind)
        variance = np.minimum(meanfield.variance_map(variance, *network, **kind), 2e4)
    assert (variance[~settles] == 2e4).all()
    np.testing.assert_allclose(variance[settles], found.variance[settles], rtol=1e-12, atol=1e-14)
    forgets = settles & (found.variance > 0)
    np.testing.assert_allclose(gap[forgets], 1 - found.correlation[forgets], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", BENDING)
@pytest.mark.parametrize(("weight", "bias"), [(1.0, 0.3), (3.0, 0.05)])
def test_scales_are_those_of_the_approach(activation, weight, bias):
    """The last two steps of a hundred from nearby shrink as the scales say."""
    xi_q, xi_c = meanfield.depth_scales(weight, bias, activation=activation)
    fixed = meanfield.solve(weight, bias, activation=activation)
    variance = fixed.variance * (1 + 1e-6)
    shrunk = meanfield.variance_map(variance, weight, bias, activation=activation) - fixed.variance
    assert shrunk / (variance - fixed.variance) == pytest.approx(math.exp(-1 / xi_q), rel=1e-5)
    gap = 1 - fixed.correlation
    away = gap * (1 + 1e-6) if gap else 1e-12
    further = meanfield.correlation_gap_map(away, fixed.variance, weight, bias, activation=activation)
    assert (further - gap) / (away - gap) == pytest.approx(math.exp(-1 / xi_c), rel=1e-5)


def test_relu():
    """Critical at (2, 0); chi is half the weight variance whatever the bias."""
    for bias in (0.0, 0.1):
        assert meanfield.critical_weight_variance(bias, activation="relu") == 2.0
        assert meanfield.susceptibility(1.3, bias, activation="relu") == 0.65
    assert meanfield.fixed_point_variance(1.5, 0.1, activation="relu") == pytest.approx(0.4, rel=1e-15)
    assert meanfield.fixed_point_variance(2.0, 0.1, activation="relu") == math.inf
    assert meanfield.depth_scales(3.0, 0.1, activation="relu") == (math.inf, math.inf)
    # at the critical point every variance stays
    assert meanfield.fixed_point_variance(2.0, 0.0, activation="relu", start=0.7) == 0.7
    assert meanfield.depth_scales(2.0, 0.0, activation="relu") == (math.inf, math.inf)
    assert meanfield.variance_map(0.7, 2.0, 0.0, activation="relu") == 0.7
    assert meanfield.solve(2.0, 0.0, activation="relu").correlation == 1.0


def test_all_fixed_points():
    def kinds(points):
        return [(round(value, 9), stability) for value, _, stability in points]

    chaotic = meanfield.fixed_points(1.5, 0.0)
    assert kinds(chaotic.variances) == [(0.0, "repelling"), (digits(chaotic.variances[1].value), "attracting")]
    assert kinds(chaotic.correlations) == [(-1.0, "repelling"), (0.0, "attracting"), (1.0, "repelling")]
    assert chaotic.variances[0].slope == pytest.approx(1.5, rel=1e-14)
    assert chaotic.correlations[0].slope == chaotic.correlations[2].slope == meanfield.susceptibility(1.5, 0.0)
    ordered = meanfield.fixed_points(1.5, BIAS)
    assert kinds(ordered.correlations) == [(1.0, "attracting")]
    edge = meanfield.critical_weight_variance(BIAS)
    assert kinds(meanfield.fixed_points(edge, BIAS).correlations) == [(1.0, "neutral")]
    assert kinds(meanfield.fixed_points(0.5, 0.0).variances) == [(0.0, "attracting")]
    assert kinds(meanfield.fixed_points(0.5, 0.0).correlations) == [(1.0, "neutral")]
    assert meanfield.fixed_points(2.5, BIAS, activation="relu").variances == ()
    assert kinds(meanfield.fixed_points(2.0, 0.0, activation="relu").variances) == [(0.0, "neutral")]
    # each is one: the map leads it to itself, and its slope is the derivative of the map there
    for weight, bias, activation in [
        (2.5, BIAS, "tanh"),
        (3.0, 0.0, "erf"),
        (2.0, 0.1, "hard_tanh"),
        (1.2, 0.3, "relu"),
    ]:
        variances, correlations = meanfield.fixed_points(weight, bias, activation=activation)
        where = {"weight_variance": weight, "bias_variance": bias, "activation": activation}
        for value, slope, _ in variances:
            assert meanfield.variance_map(value, **where) == pytest.approx(value, rel=1e-13)
            rise = meanfield.variance_map(value + 1e-7, **where) - value
            assert rise / 1e-7 == pytest.approx(slope, rel=1e-5)
        for value, slope, _ in correlations:
            gap = 1 - value
            assert meanfield.correlation_gap_map(gap, variances[-1].value, **where) == pytest.approx(gap, rel=1e-12)
            step = 1e-6 if gap < 1 else -1e-6
            rise = meanfield.correlation_gap_map(gap + step, variances[-1].value, **where) - gap
            assert rise / step == pytest.approx(slope, rel=2e-3 if activation != "tanh" else 1e-5)


@pytest.mark.parametrize("activation", ["tanh", "erf"])
def test_scale_diverges_with_the_first_power_on_both_sides(activation):
    """The gap map ``chi g - a g^2``: as ``1 - c*``, the inverse scale is linear in the distance from the edge."""
    edge = meanfield.critical_weight_variance(BIAS, activation=activation)
    away = np.array([1e-5, 1e-4, 1e-3])
    below = meanfield.solve(edge * (1 - away), BIAS, activation=activation)
    above = meanfield.solve(edge * (1 + away), BIAS, activation=activation)
    for scale in (below.xi_c, above.xi_c):
        assert np.diff(np.log(scale)) == pytest.approx(-math.log(10), rel=2e-3)
    assert above.xi_c == pytest.approx(below.xi_c, rel=2e-2)
    assert np.diff(np.log(above.gap)) == pytest.approx(math.log(10), rel=2e-3)
    # closer than the digits of c* tell
    near = meanfield.solve(edge * (1 + 1e-12), BIAS, activation=activation)
    assert near.gap == pytest.approx(1e-7 * above.gap[0], rel=0.05)


def test_scale_of_an_activation_with_kinks_is_twice_as_long_above():
    """There the map is ``chi g - a g^(3/2)``: the gap grows with the square, and the slope is ``1 - (chi - 1)/2``."""
    edge = meanfield.critical_weight_variance(BIAS, activation="hard_tanh")
    away = np.array([1e-5, 1e-4])
    below = meanfield.solve(edge * (1 - away), BIAS, activation="hard_tanh")
    above = meanfield.solve(edge * (1 + away), BIAS, activation="hard_tanh")
    assert above.xi_c == pytest.approx(2 * below.xi_c, rel=1e-3)
    assert np.diff(np.log(above.gap)) == pytest.approx(2 * math.log(10), rel=1e-3)


@pytest.mark.parametrize("activation", BENDING)
def test_a_residual_network_is_a_plain_one_that_forgets_slower(activation):
    residual, weight, bias = 0.6, 1.3, 0.07
    left = 1 - residual**2
    found = meanfield.solve(weight, bias, activation=activation, residual=residual)
    plain = meanfield.solve(weight / left, bias / left, activation=activation)
    assert found.variance == pytest.approx(plain.variance, rel=1e-13)
    assert found.correlation == pytest.approx(plain.correlation, rel=1e-12)
    for scale, other in ((found.xi_q, plain.xi_q), (found.xi_c, plain.xi_c)):
        assert math.exp(-1 / scale) == pytest.approx(residual**2 + left * math.exp(-1 / other), rel=1e-12)
    edge = meanfield.critical_weight_variance(bias, activation=activation, residual=residual)
    assert edge == pytest.approx(
        left * meanfield.critical_weight_variance(bias / left, activation=activation), rel=1e-12
    )


def test_residual_connections_alone_change_nothing():
    """Of strength one, with next to no weights: the maps are the identity; from there on there is no fixed point."""
    assert meanfield.variance_map(0.7, 1e-300, 0.0, residual=1.0) == 0.7
    assert meanfield.correlation_gap_map(0.3, 0.7, 1e-300, 0.0, residual=1.0) == pytest.approx(0.3, rel=1e-15)
    network = NetworkParameters(weight_variance=1.0, bias_variance=0.0, depth=4, width=1, residual=1.0)
    variances, _ = meanfield.pair_levels(0.5, 0.4, network)
    grown = 0.5 + np.cumsum(meanfield.variance_map(variances[:-1], 1.0, 0.0))
    np.testing.assert_allclose(variances[1:], grown, rtol=1e-14)
    with pytest.raises(ParameterError, match="residual must be below 1, got 1: the variance grows without bound"):
        meanfield.fixed_point_variance(1.0, 0.0, residual=1.0)


def test_line_of_uniformity():
    weight, bias = meanfield.uniformity_crossing()
    assert weight == pytest.approx(1.948664194366779, rel=1e-13)
    assert bias == pytest.approx(0.09025483214092344, rel=1e-12)
    assert meanfield.critical_weight_variance(bias) == pytest.approx(weight, rel=1e-12)
    assert meanfield.uniformity_weight_variance(bias) == pytest.approx(weight, rel=1e-12)
    line = meanfield.uniformity_weight_variance([0.0, 0.05, 0.7])
    settled = meanfield.fixed_point_variance(line, [0.0, 0.05, 0.7])
    np.testing.assert_allclose(settled, meanfield.uniformity_variance(), rtol=1e-13)
    # of error functions the activations are uniform: variance 1/2
    assert meanfield.uniformity_variance(activation="erf") == pytest.approx(0.5, rel=1e-14)
    weight, bias = meanfield.uniformity_crossing(activation="erf")
    assert weight == pytest.approx(math.pi / 4 * math.sqrt(3), rel=1e-13)  # 1 / E[phi'^2]
    assert bias == pytest.approx(0.5 - weight / 3, rel=1e-13)  # E[phi^2] = 1/3 of a uniform law
    residual = meanfield.uniformity_crossing(residual=0.5)
    np.testing.assert_allclose(residual, 0.75 * np.array(meanfield.uniformity_crossing()), rtol=1e-13)
    with pytest.raises(ParameterError, match=r"ends at bias_variance 0.764576007, got 0.8"):
        meanfield.uniformity_weight_variance([0.1, 0.8])


def test_entropy_is_largest_at_uniformity():
    """By quadrature of ``ln(q)/2 + E[ln tanh']`` beside it."""
    x = np.linspace(-9, 9, 2001)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()

    def entropy(variance):
        return math.log(variance) / 2 - 2 * np.sum(weights * np.log(np.cosh(math.sqrt(variance) * x)))

    best = meanfield.uniformity_variance()
    assert entropy(best) > max(entropy(best * 1.001), entropy(best / 1.001))


def test_series_of_the_correlation_map():
    series = meanfield.correlation_series([0.3, 1.1], 80)
    assert series.shape == (2, 80)
    assert (series >= 0).all()
    assert (series[:, ::2] == 0).all()
    gap = meanfield.correlation_gap_map(0.4, 1.1, 2.0, BIAS)
    variance = meanfield.variance_map(1.1, 2.0, BIAS)
    assert 2.0 * series[1] @ 0.6 ** np.arange(80) + BIAS == pytest.approx(variance * (1 - gap), rel=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "hard_tanh"])
@pytest.mark.parametrize("bias", [1e-16, 1e-30, 1e-100, 1e-300])
def test_small_biases_keep_their_digits(activation, bias):
    weight = np.array([0.3, 0.5, 0.9])
    found = meanfield.fixed_point_variance(weight, bias, activation=activation)
    np.testing.assert_allclose(found, bias / (1 - weight), rtol=1e-13)


def test_variances_that_leave_the_range_of_numbers():
    silent = NetworkParameters(weight_variance=0.5, bias_variance=0.0, depth=600, width=1)
    with pytest.raises(ParameterError, match=r"must stay between 1e-150 and 1e150, got .* at level 49"):
        meanfield.pair_levels(1.0, 0.3, silent)


def swept(points, activation, residual):
    """All that the theory gives over random parameters, spread over eight decades and dense where it matters."""
    rng = np.random.default_rng(7)
    weight = 10 ** rng.uniform(-4, 4, points)
    bias = np.where(rng.random(points) < 0.1, 0.0, 10 ** rng.uniform(-12, 4, points))
    near = points // 4
    weight[:near], bias[:near] = rng.uniform(0.3, 4, near), rng.uniform(0, 0.5, near)
    return weight, bias, meanfield.solve(weight, bias, activation=activation, residual=residual)


def check_sweep(points, activation, residual):
    weight, bias, found = swept(points, activation, residual)
    for values in found:
        assert not np.isnan(values).any()
        assert (values >= 0).all()
    assert (found.correlation <= 1).all()
    assert (found.susceptibility > 0).all()
    assert min(found.xi_q.min(), found.xi_c.min()) > 0
    if activation in BENDING:
        assert np.isfinite(found.variance).all()
        ordered = found.susceptibility < 1
        assert (found.correlation[ordered] == 1).all()
        assert (found.correlation[found.susceptibility > 1 + 1e-9] < 1).all()
    kind = {"activation": activation, "residual": residual}
    there = (found.variance > 0) & (found.variance < 2e4)
    variance, weight, bias = found.variance[there], weight[there], bias[there]
    np.testing.assert_allclose(meanfield.variance_map(variance, weight, bias, **kind), variance, rtol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [0.0, 0.6])
def test_nothing_is_negative_or_nan(activation, residual):
    check_sweep(20_000, activation, residual)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [0.0, 0.6])
def test_nothing_is_negative_or_nan_over_a_million_points(activation, residual):
    check_sweep(1_000_000, activation, residual)


def test_arrays_and_scalars_agree_bit_for_bit_or_nearly():
    """Elements do not see their neighbours: only the last bits may differ, by how loops are cut into vectors."""
    weight, bias, found = swept(40_000, "tanh", 0.0)
    for index in (0, 7, 9_999, 16_383, 16_384, 39_999):
        one = meanfield.solve(weight[index], bias[index])
        assert all(type(value) is float for value in one)
        np.testing.assert_allclose(one, [values[index] for values in found], rtol=1e-12)
    assert meanfield.solve(np.empty((0, 2)), 0.1).variance.shape == (0, 2)
