"""The phase diagram: its points are those of the scalar functions, its maps have the fixed points they say, and sampled
activations have the law of mean field.

Statistical tests: 5 standard errors over 60 bins with 99 degrees of freedom, one false alarm in 10,000.
"""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from conftest import chart, contents
from scipy.integrate import quad

from isingflow import NetworkParameters, PhaseDiagram, diagram, phase_diagram, study
from isingflow.errors import ParameterError
from isingflow.flow import phases
from isingflow.flow.phases import activation_histogram, fixed_point_maps
from isingflow.network import meanfield

WEIGHTS, BIASES = np.linspace(0.6, 3.9, 12), np.linspace(0.0, 0.9, 7)
KINDS = [("tanh", 0.0), ("erf", 0.3), ("relu", 0.0), ("leaky_relu(0.2)", 0.5), ("hard_tanh", 0.0), ("linear", 0.0)]
QUANTITIES = ("variance", "susceptibility", "correlation", "xi_q", "xi_c")


@pytest.mark.parametrize(("activation", "residual"), KINDS)
def test_points_are_those_of_the_scalar_functions(activation, residual):
    kind = {"activation": activation, "residual": residual}
    found = phase_diagram(WEIGHTS, BIASES, **kind)
    for row, column in [(0, 0), (2, 7), (6, 11), (3, 3)]:
        point = float(WEIGHTS[column]), float(BIASES[row])
        scales = meanfield.depth_scales(*point, **kind)
        expected = {
            "variance": meanfield.fixed_point_variance(*point, **kind),
            "susceptibility": meanfield.susceptibility(*point, **kind),
            "correlation": meanfield.fixed_point_correlation(*point, **kind),
            "xi_q": scales.xi_q,
            "xi_c": scales.xi_c,
        }
        for name in QUANTITIES:
            assert getattr(found, name)[row, column] == pytest.approx(expected[name], rel=1e-12, abs=1e-14), name
        assert found.edge[row] == pytest.approx(meanfield.critical_weight_variance(point[1], **kind), rel=1e-12)


def test_values_of_the_literature():
    found = phase_diagram([1.5, 2.5], [0.05, 0.1])
    expected = {
        "variance": [0.418037201, 1.063958377],
        "susceptibility": [0.938636268, 1.133515699],
        "correlation": [1.0, 0.446804232],
        "xi_q": [1.682828, 1.179873],
        "xi_c": [15.790994, 11.795598],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name)[0], values, rtol=1e-6)
    assert found.edge[0] == pytest.approx(1.76095464, abs=1e-8)
    assert found.crossing == pytest.approx((1.94866, 0.09025), abs=1e-5)


@pytest.mark.parametrize(("activation", "residual"), KINDS[:2])
def test_lines_are_where_they_should_be(activation, residual):
    kind = {"activation": activation, "residual": residual}
    found = phase_diagram(WEIGHTS, BIASES, **kind)
    ordered = found.susceptibility < 1
    np.testing.assert_array_equal(ordered, found.edge[:, None] > WEIGHTS)
    assert ((found.correlation == 1) == ordered).all()
    variance = meanfield.uniformity_variance(activation=activation)
    there = (1 - residual**2) * variance > BIASES
    np.testing.assert_array_equal(np.isnan(found.uniformity), ~there)
    assert there.any()
    assert not there.all()
    on_line = meanfield.fixed_point_variance(found.uniformity[there], BIASES[there], **kind)
    np.testing.assert_allclose(on_line, variance, rtol=1e-10)
    assert meanfield.susceptibility(*found.crossing, **kind) == pytest.approx(1, abs=1e-10)
    assert meanfield.fixed_point_variance(*found.crossing, **kind) == pytest.approx(variance, rel=1e-10)


def test_erf_on_its_line_is_uniform_at_half():
    found = phase_diagram([1.0, 1.5], [0.0, 0.2], activation="erf")
    # q* = 1/2 = sigma_w^2 / 3 + sigma_b^2
    np.testing.assert_allclose(found.uniformity, [1.5, 0.9], rtol=1e-12)


@pytest.mark.parametrize(("activation", "gain"), [("relu", 0.5), ("linear", 1.0), ("leaky_relu(0.5)", 0.625)])
def test_variance_without_bound(activation, gain):
    found = phase_diagram(WEIGHTS, BIASES[1:], activation=activation)
    with np.errstate(divide="ignore"):
        expected = np.where(gain * WEIGHTS < 1, BIASES[1:, None] / (1 - gain * WEIGHTS), math.inf)
    np.testing.assert_allclose(found.variance, expected, rtol=1e-12)
    np.testing.assert_array_equal(np.isinf(found.xi_q), np.isinf(expected))
    np.testing.assert_allclose(found.edge, 1 / gain)
    assert np.isnan([*found.uniformity, *found.crossing]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [0.0, 0.1]), "weight_variances must be at least two finite numbers, each larger"),
        (([1.0, 2.0], 0.1), "bias_variances must be at least two finite numbers"),
        (([2.0, 1.0], [0.0, 0.1]), "weight_variances must be at least two"),
        (([1.0, 2.0], [0.1, 0.1]), "bias_variances must be at least two"),
        (([1.0, math.nan], [0.0, 0.1]), "weight_variances must be at least two finite"),
        (([1.0, math.inf], [0.0, 0.1]), "weight_variances must be at least two finite"),
        (([[1.0, 2.0]], [0.0, 0.1]), "weight_variances must be at least two"),
        ((["a", "b"], [0.0, 0.1]), "weight_variances must be a list of numbers"),
        (([0.0, 2.0], [0.0, 0.1]), "weight_variance must be greater than 0"),
        (([1.0, 2.0], [-0.1, 0.1]), "bias_variance must lie in"),
    ],
)
def test_refused_planes(arguments, message):
    with pytest.raises(ParameterError, match=message):
        phase_diagram(*arguments)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"activation": "tahn"}, "did you mean 'tanh'"),
        ({"activation": 3}, "activation must be one of"),
        ({"residual": 1.0}, "residual must be below 1"),
        ({"residual": -0.1}, "residual must lie in"),
        ({"residual": math.nan}, "residual must be finite"),
    ],
)
def test_refused_kinds(kind, message):
    with pytest.raises(ParameterError, match=message):
        phase_diagram([1.0, 2.0], [0.0, 0.1], **kind)


def test_records_cannot_be_changed_and_own_their_arrays():
    given = np.array([1.0, 2.0])
    one = phase_diagram(given, [0.0, 0.1])
    given[0] = 7.0
    assert one.weight_variances[0] == 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.edge = 1
    for record in (one, *chart().maps, *chart().histograms):
        for name in diagram.arrays(record):
            array = getattr(record, name)
            assert array.dtype == np.float64
            assert not array.flags.writeable


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xi_c": np.zeros((8, 6))}, r"xi_c must have shape \(6, 8\), along bias_variances, weight_variances"),
        ({"edge": np.zeros(8)}, r"edge must have shape \(6,\), along bias_variances, got \(8,\)"),
        ({"bias_variances": [0.0, 0.0, 1, 2, 3, 4]}, "bias_variances must be at least two finite numbers"),
        ({"crossing": (1.0,)}, "crossing must be two numbers"),
        ({"residual": math.inf}, "residual must be finite"),
    ],
)
def test_refused_records(changes, message):
    (one,) = chart().diagrams
    assert isinstance(one, PhaseDiagram)
    with pytest.raises(ParameterError, match=message):
        dataclasses.replace(one, **changes)


@pytest.mark.parametrize(("activation", "residual"), KINDS)
@pytest.mark.parametrize("bias", [0.0, 0.05])
def test_maps_stay_at_their_fixed_points(activation, residual, bias):
    kind = {"activation": activation, "residual": residual}
    edge = meanfield.critical_weight_variance(bias, **kind)
    maps = fixed_point_maps([0.6 * edge, edge, 2.2 * edge], bias, points=4001, **kind)
    assert {one.quantity for one in maps} >= {"variance"}
    for one in maps:
        assert len(one.x) == len(one.y) == 4001
        known = (one.fixed >= one.x[0]) & (one.fixed <= one.x[-1])
        at = np.interp(one.fixed[known], one.x, one.y)
        np.testing.assert_allclose(at, one.fixed[known], atol=2e-5)
        for value, slope, stability in zip(one.fixed, one.slopes, one.stability, strict=True):
            assert stability == ("neutral" if slope == 1 else "attracting" if slope < 1 else "repelling")
            low = np.searchsorted(one.x, value) - 2
            if 0 <= low < len(one.x) - 4:
                step = slice(low, low + 4)
                assert np.polyfit(one.x[step] - value, one.y[step], 2)[1] == pytest.approx(slope, abs=1e-3)


def test_maps_on_both_sides_of_the_edge():
    edge = meanfield.critical_weight_variance(0.05)
    maps = fixed_point_maps([0.6 * edge, edge, 2.2 * edge], 0.05)
    kinds = [one.stability for one in maps if one.quantity == "correlation"]
    assert kinds == [("attracting",), ("neutral",), ("attracting", "repelling")]
    assert [one.quantity for one in maps] == ["variance", "correlation"] * 3
    largest = max(one.fixed.max() for one in maps if one.quantity == "variance")
    assert maps[0].x[-1] == pytest.approx(1.5 * largest)


def test_maps_of_what_grows_and_of_what_dies_out():
    growing = fixed_point_maps([3.0], 0.05, activation="relu", points=3)
    assert [(one.quantity, one.fixed.size, one.stability) for one in growing] == [("variance", 0, ())]
    np.testing.assert_allclose(growing[0].y, [0.05, 0.8, 1.55])
    (dying,) = fixed_point_maps([0.5], 0.0)
    assert (dying.quantity, dying.fixed.tolist(), dying.stability) == ("variance", [0.0], ("attracting",))
    assert dying.slopes[0] == pytest.approx(0.5, rel=1e-14)


NETWORK = NetworkParameters(weight_variance=1.95, bias_variance=0.09, depth=3, width=1000)


def pulls(histogram, exact):
    return np.abs((histogram.density - exact) / histogram.density_error).max()


@pytest.fixture(scope="module")
def histograms():
    laws = [(1.5685, 0.02256), (1.94866, 0.09025), (2.619, 0.361)]
    return [
        activation_histogram(
            dataclasses.replace(NETWORK, weight_variance=weight, bias_variance=bias), networks=100, rng=5
        )
        for weight, bias in laws
    ]


def test_exact_densities_are_integrals_of_the_density(histograms):
    for one in histograms:
        q = meanfield.fixed_point_variance(one.weight_variance, one.bias_variance)

        def density(a, q=q):
            return math.exp(-(math.atanh(a) ** 2) / (2 * q)) / math.sqrt(2 * math.pi * q) / (1 - a * a)

        for index in (0, 3, 10):
            low, high = one.edges[index : index + 2]
            integral = quad(density, low, high, epsabs=1e-13)[0]
            assert one.density_exact[index] * (high - low) == pytest.approx(integral, rel=1e-9)
        np.testing.assert_allclose(one.density_exact, one.density_exact[::-1], rtol=1e-12)
        for found in (one.density, one.density_exact):
            assert np.sum(found * np.diff(one.edges)) == pytest.approx(1, abs=1e-12)


def test_sampled_activations_have_the_law_of_mean_field(histograms):
    for one in histograms:
        assert pulls(one, one.density_exact) < 5
        assert one.samples == one.networks * one.width == 100_000
    for one, other in itertools.pairwise(histograms):
        assert pulls(one, other.density_exact) > 5


def test_errors_are_those_of_the_scatter_over_repetitions():
    law = dataclasses.replace(NETWORK, width=50, weight_variance=1.0, bias_variance=0.005)
    rng = np.random.default_rng(3)
    many = [activation_histogram(law, networks=20, rng=rng, bins=6) for _ in range(60)]
    scatter = np.std([one.density for one in many], axis=0, ddof=1)
    mean = np.sqrt(np.mean([one.density_error**2 for one in many], axis=0))
    # 9 % is one standard error of a scatter of 60
    np.testing.assert_allclose(mean / scatter, 1, atol=0.45)
    # neurons of one network fluctuate together
    assert mean[2] > np.sqrt(many[0].density_exact[2] * (3 - many[0].density_exact[2]) / 1000)
    ends = [0, -1]
    assert (mean[ends] > 1.25 * np.sqrt(many[0].density_exact[ends] * 3 / 1000)).all()


def test_entropy_is_largest_at_the_crossing(histograms):
    entropies = [-np.sum(one.density_exact * np.log(one.density_exact)) for one in histograms]
    assert entropies[1] == max(entropies)


def test_error_functions_are_uniform_at_their_crossing():
    """Of normal variables of variance 1/2, exactly."""
    weight, bias = meanfield.uniformity_crossing(activation="erf")
    law = NetworkParameters(weight_variance=weight, bias_variance=bias, depth=10, width=500, activation="erf")
    found = activation_histogram(law, networks=100, rng=4)
    np.testing.assert_allclose(found.density_exact, 0.5, rtol=1e-12)
    assert pulls(found, found.density_exact) < 5


def test_histograms_repeat_bit_for_bit_whatever_the_batches(monkeypatch):
    first = activation_histogram(NETWORK, networks=30, rng=5)
    monkeypatch.setattr(phases, "BATCH", 7)
    assert contents(activation_histogram(NETWORK, networks=30, rng=5)) == contents(first)
    assert contents(activation_histogram(NETWORK, networks=30, rng=6)) != contents(first)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"activation": "relu"}, {}, "activation must be one of 'tanh', 'erf', got 'relu'"),
        ({"weight_variance": 0.5, "bias_variance": 0.0}, {}, "activations die out"),
        ({}, {"networks": 1}, "networks must be at least 2"),
        ({}, {"bins": 0}, "bins must be at least 1"),
        ({}, {"rng": -1}, "rng must be"),
    ],
)
def test_refused_histograms(changes, options, message):
    with pytest.raises(ParameterError, match=message):
        activation_histogram(dataclasses.replace(NETWORK, **changes), **{"networks": 2, "rng": 1} | options)


SMALL = {"weight_variances": [0.5, 2.0, 4.0], "bias_variances": [0.0, 0.5], "networks": 4, "width": 16}


def flat(found):
    return [contents(one) for one in (*found.diagrams, *found.maps, *found.histograms)]


def test_study_repeats_bit_for_bit():
    shares = []
    first = study.phases(**SMALL, seed=1, progress=shares.append, command="test")
    assert flat(study.phases(**SMALL, seed=1)) == flat(first)
    other = study.phases(**SMALL, seed=2)
    assert flat(other)[:7] == flat(first)[:7]
    assert all(a != b for a, b in zip(flat(other)[7:], flat(first)[7:], strict=True))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert (first.provenance["root_seed"], first.provenance["command"]) == (1, "test")


def test_study_looks_at_the_crossing_from_both_sides():
    found = study.phases(**SMALL)
    biases = [one.bias_variance for one in found.histograms]
    assert biases == pytest.approx([0.0225637, 0.0902548, 0.3610193], abs=1e-7)
    for one in found.histograms:
        assert meanfield.susceptibility(one.weight_variance, one.bias_variance) == pytest.approx(1, abs=1e-9)
    assert {one.bias_variance for one in found.maps} == {0.05}


@pytest.mark.parametrize(
    ("biases", "at"), [([0.2, 0.3], 0.2), ([0.0, 0.01], 0.01)], ids=["above the usual", "below it"]
)
def test_study_maps_a_network_of_the_diagram(biases, at):
    assert {one.bias_variance for one in study.phases(**SMALL | {"bias_variances": biases}).maps} == {at}


@pytest.mark.parametrize(("activation", "residual"), [*KINDS[1:], ("tanh", 0.5)])
def test_study_of_what_is_not_sampled(activation, residual):
    found = study.phases(**SMALL, activation=activation, residual=residual)
    assert found.histograms == ()
    assert len(found.diagrams) == 1
    assert len(found.maps) >= 3


@pytest.mark.parametrize("changes", [{"seed": -1}, {"networks": 1}, {"width": 0}, {"activation": "none"}])
def test_refused_studies(changes):
    with pytest.raises(ParameterError):
        study.phases(**SMALL | changes)
