"""Level curves against exact ones: within five standard errors, a false alarm in 1e4 a point with 20 blocks."""

import dataclasses
import itertools
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

from isingflow import (
    Gaussian,
    NetworkParameters,
    ParameterError,
    chain_flow,
    mean_field_flow,
    network_flow,
    square_flow,
)
from isingflow.archive import Archive, read, write
from isingflow.flow import chain as chain_room
from isingflow.flow import network as network_room
from isingflow.flow import square as square_room
from isingflow.ising import chain, pair, square
from isingflow.ising.couplings import fixed_point
from isingflow.network import meanfield
from isingflow.network.activations import named
from isingflow.network.finite_width import input_correction, pair_correction
from isingflow.network.inputs import correlated_noise, input_kernel
from isingflow.network.propagation import propagate
from isingflow.parameters import ChainParameters, SquareParameters

PAIR = [[1.0, 1.0, 1.0, -1.0], [1.0, -1.0, 1.0, 1.0]]
NETWORK = {"bias_variance": 0.05, "width": 256}


def pulls(curve, name="value"):
    suffix = "" if name == "value" else f"_{name}"
    error = curve.error if name == "value" else getattr(curve, f"{name}_error")
    known = (error > 0) & np.isfinite(getattr(curve, f"exact{suffix}"))
    return ((getattr(curve, name) - getattr(curve, f"exact{suffix}"))[known]) / error[known]


# chain


@pytest.mark.parametrize(
    ("coupling", "field", "factor"),
    [(0.4, 0.0, 2), (1.2, 0.0, 2), (0.8, 0.0, 3), (0.8, 0.0, 5), (0.7, 0.2, 2), (0.7, 0.2, 3), (0.7, 0.2, 5)],
)
def test_chain_windows_against_the_exact_ones(coupling, field, factor):
    settings = {"factor": factor, "steps": 4, "sites": factor**4 * 16, "samples": 400}
    curve = chain_flow(coupling, field, quantity="window marginal", rng=1, **settings)
    for name in ("value", "reverse", "step", "jensen_shannon"):
        assert np.abs(pulls(curve, name)).max() < 5
    assert curve.per == ("window" if field else "bond")
    if not field:
        np.testing.assert_allclose(curve.exact, chain_flow(coupling, factor=factor, steps=4).value, atol=1e-14)


def test_a_wrong_coupling_is_seen():
    """Proof that the comparison can fail: rings at 0.85, taken for 0.8."""
    parameters = ChainParameters(coupling=0.8, steps=4, sites=256, samples=400)
    spins = chain.sample(0.85, sites=256, samples=400, rng=1)
    curve = chain_room._window_curve(parameters, spins, chain_room.UNDETERMINED)
    assert np.abs(pulls(curve)).max() > 5


def test_chain_curve_rises_to_its_asymptote():
    curve = chain_flow(0.8, steps=10)
    assert np.all(np.diff(curve.value) >= 0)
    assert curve.value[-1] == pytest.approx(curve.asymptote, rel=1e-12)
    assert curve.asymptote == pytest.approx(0.8 * math.tanh(0.8) - math.log(math.cosh(0.8)), rel=1e-13)
    assert curve.step[0] == curve.value[1]
    assert math.isnan(curve.step[-1])


def test_chain_pairs_tell_the_correlation_length():
    curve = chain_flow(0.8, quantity="pair marginal", sites=2**12, samples=200, rng=2)
    assert curve.regime == "saturating"
    assert abs(curve.scale - chain.correlation_length(0.8)) < 5 * curve.scale_error
    assert curve.scale_error < 0.05 * curve.scale
    assert abs(curve.asymptote - curve.asymptote_exact) < 5 * curve.asymptote_error
    assert np.abs(pulls(curve)).max() < 5


def test_error_bars_are_honest():
    """400 independent small studies: the pulls have the spread of Student's law with 19 degrees, within five errors."""
    parameters = ChainParameters(coupling=0.6, steps=1, sites=64, samples=100)
    rings = (chain.sample(0.6, sites=64, samples=100, rng=seed) for seed in range(400))
    curves = (chain_room._window_curve(parameters, spins, chain_room.UNDETERMINED) for spins in rings)
    found = np.array([pulls(curve)[0] for curve in curves])
    spread = math.sqrt(19 / 17)
    assert abs(found.mean()) < 5 * spread / 20
    assert abs(found.std() - spread) < 5 * spread / math.sqrt(2 * 400) * 1.3
    assert abs(np.mean(np.abs(found) < 1) - 0.670) < 5 * math.sqrt(0.670 * 0.330 / 400)
    assert abs(np.mean(np.abs(found) < 2) - 0.940) < 5 * math.sqrt(0.940 * 0.060 / 400)


# square lattice


@pytest.mark.parametrize("coupling", [0.30, 0.36, 0.40, 0.46, 0.50, 0.60])
def test_square_pairs_against_the_exact_ones(coupling):
    parameters = SquareParameters(coupling=coupling, side=128, samples=300, steps=8)
    pairs, windows, rows = curves = square_room.sampled_curves(parameters, rng=3)
    assert [curve.quantity for curve in curves] == list(square_room.MARGINALS)
    for name in ("value", "reverse", "jensen_shannon"):
        assert np.abs(pulls(pairs, name)).max() < 5
        assert np.abs(pulls(rows, name)).max() < 5
    assert rows.levels.tolist() == list(range(1, 17))
    assert rows.regime == "saturating"
    assert rows.fit == pairs.fit != ""
    assert abs(rows.scale - square.correlation_length(coupling)) < 5 * rows.scale_error
    assert rows.scale_error < 0.1 * rows.scale
    assert abs(pairs.asymptote - pairs.asymptote_exact) < 5 * pairs.asymptote_error
    # four spins hold two of the pairs and more: no less relative entropy than one pair
    assert np.all(windows.value[1:] > pairs.value[1:])


def test_at_the_critical_coupling_rows_have_the_torus_formula_and_diagonals_none():
    parameters = SquareParameters(coupling=square.CRITICAL_COUPLING, side=128, samples=1000, steps=8)
    pairs, _, rows = square_room.sampled_curves(parameters, rng=4)
    assert np.isnan(pairs.exact[1::2]).all()
    assert np.isfinite(pairs.exact[::2]).all()
    assert np.abs(pulls(pairs)).max() < 5
    assert np.abs(pulls(rows)).max() < 5
    on_plane = [square.correlation(parameters.coupling, r, direction="row") for r in (1, 16)]
    assert pair.relative_entropy(*on_plane) != pytest.approx(pairs.exact[8], rel=0.05)
    assert rows.regime == "critical"
    assert rows.exponent == pytest.approx(0.25, abs=0.01)


def test_larger_windows_hold_more():
    """A window's law determines that of the windows in it: no less relative entropy, at every level, but for noise."""
    parameters = SquareParameters(coupling=0.42, side=64, samples=100, steps=3)
    curves = square_room.sampled_curves(parameters, rng=5, quantities=tuple(square_room.WINDOWS)[:4])
    for small, large in itertools.pairwise(curves):
        assert np.all(large.value[1:] > small.value[1:] + 5 * small.error[1:])
        assert np.all(large.jensen_shannon[1:] > small.jensen_shannon[1:] + 5 * small.jensen_shannon_error[1:])
    assert [curve.per for curve in curves] == ["bond", "window", "window", "window"]
    assert square_flow(0.42, quantity="3x3 marginal", side=64, samples=100, steps=3, rng=5).value.tolist() == (
        curves[3].value.tolist()
    )


def test_windows_of_which_too_little_is_seen():
    few = {"quantity": "4x4 marginal", "side": 8, "steps": 1, "rng": 1}
    with pytest.raises(ParameterError, match=r"show 28% of their law .* 90% take \d+ configurations or") as refusal:
        square_flow(0.2, samples=20, **few)
    least, most = (int(words.split()[-1]) for words in re.split(" configurations or| at most", str(refusal.value))[:2])
    assert 100 < least < most < 300
    assert "coverage below 90%" in square_flow(0.2, samples=least, **few).flags
    assert "coverage below 90%" not in square_flow(0.2, samples=most, **few).flags
    with pytest.raises(ParameterError, match="4 x 4, decimated once, needs a side of 8, got side=6"):
        square_flow(0.3, quantity="4x4 marginal", side=6, steps=1, samples=20, rng=1)


@pytest.mark.parametrize("scheme", square_room.NEAREST_ONLY)
def test_coupling_curves(scheme):
    curve = square_flow(0.3, quantity="coupling", scheme=scheme, steps=8)
    assert np.all(np.diff(curve.value) >= 0)
    assert curve.quantity == f"coupling, {scheme}"
    assert curve.asymptote == pytest.approx(
        0.6 * square.bond_correlation(0.3) + math.log(2) - square.log_partition(0.3), rel=1e-13
    )


def test_the_truncated_flow_saturates_for_every_coupling():
    for coupling in (0.3, square.CRITICAL_COUPLING, 0.6):
        curve = square_flow(coupling, quantity="coupling", steps=14)
        assert curve.value[-1] == pytest.approx(curve.asymptote, rel=1e-6)


def test_at_a_fixed_point_nothing_flows():
    curve = square_flow(fixed_point("maris-kadanoff").couplings[0], quantity="coupling", scheme="maris-kadanoff")
    assert np.abs(curve.value).max() < 1e-12
    assert (curve.regime, math.isnan(curve.asymptote)) == ("undetermined", True)


def test_a_flow_to_infinite_coupling_ends_before_it():
    curve = square_flow(0.7, quantity="coupling", scheme="maris-kadanoff", steps=40)
    assert curve.regime == "growing"
    assert len(curve.levels) < 41
    assert np.isfinite(curve.value).all()


# network


def test_network_curves_against_mean_field():
    """Width 256, so within the error and a few times layer/width of the limit of infinite width."""
    network = NetworkParameters(weight_variance=2.0, depth=6, **NETWORK)
    curve = network_flow(PAIR, network, networks=200, rng=5)
    assert curve.reference == "mean field"
    assert curve.value[0] == curve.error[0] == 0
    allowed = 5 * curve.error[1:] + 3 * curve.levels[1:] / network.width * curve.exact[1:]
    assert np.all(np.abs(curve.value - curve.exact)[1:] < allowed)
    assert np.all(curve.error[1:] < 0.1 * curve.exact[1:])


@pytest.mark.parametrize(("inputs", "width", "depth", "networks"), [(2, 24, 8, 12000), (1, 6, 5, 20000)])
def test_narrow_networks_against_the_corrected_mean_field(inputs, width, depth, networks):
    """At the edge of chaos, within five standard errors and the square of the relative correction (2 %, 6 %, 13 %).

    That square stands for the second order. Mean field is further away than that, and the allowance is below an error.
    """
    network = NetworkParameters(weight_variance=1.760954640, bias_variance=0.05, depth=depth, width=width)
    curve = network_flow(PAIR[:inputs], network, networks=networks, rng=3, reference="1/width")
    mean_field = mean_field_flow(PAIR[:inputs], network)
    assert (curve.reference, curve.scale_exact) == ("mean field, 1/width", mean_field.scale)
    levels = {"value": slice(1, None), "reverse": slice(1, None), "step": slice(0, -1)}
    for name, own in levels.items():
        limit, value = getattr(mean_field, name)[own], getattr(curve, name)[own]
        error = getattr(curve, "error" if name == "value" else f"{name}_error")[own]
        corrected = getattr(curve, "exact" if name == "value" else f"exact_{name}")[own]
        second_order = (corrected / limit - 1) ** 2 * limit
        allowed = 5 * error + second_order
        assert np.all(np.abs(value - corrected) < allowed)
        if name != "step":  # whose errors are too large to tell
            assert np.all(second_order < 1.5 * error)
            assert np.any(np.abs(value - limit) > allowed)


@pytest.mark.parametrize(("inputs", "correction"), [(1, input_correction), (2, pair_correction)])
def test_corrected_references_are_mean_field_and_the_correction_over_the_width(inputs, correction):
    network = NetworkParameters(weight_variance=2.5, bias_variance=0.05, depth=5, width=40, activation="erf")
    limit, corrected = (
        network_flow(PAIR[:inputs], network, networks=20, rng=1, reference=name) for name in ("mean field", "1/width")
    )
    first = correction(*(2.55, 2.5 / 2.55)[:inputs], network)  # PAIR is orthogonal
    for name, coefficient in (
        ("exact", first.curve_correction),
        ("exact_reverse", first.reverse_correction),
        ("exact_step", first.step_correction),
    ):
        apart = getattr(corrected, name) - getattr(limit, name)
        np.testing.assert_allclose(apart, coefficient / 40, rtol=1e-9, atol=1e-14)
    assert np.abs(corrected.exact[1:] / limit.exact[1:] - 1).max() > 0.005
    for name in ("value", "error", "reverse", "step", "asymptote_exact", "scale_exact"):
        np.testing.assert_array_equal(getattr(corrected, name), getattr(limit, name))


def test_corrected_references_of_some_inputs_of_a_propagation():
    """Three inputs have no correction, the first two of them do."""
    network = NetworkParameters(weight_variance=2.5, bias_variance=0.05, depth=3, width=32)
    three = propagate([*PAIR, [1.0, -1.0, -1.0, 1.0]], network, networks=20, rng=1)
    assert network_room.curve_of(three, inputs=2, reference="1/width").reference == "mean field, 1/width"
    with pytest.raises(ParameterError, match="one input, or two of equal norm, got 3 inputs"):
        network_room.curve_of(three, inputs=3, reference="1/width")


def test_ensembles_agree():
    network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=8, width=64)
    first, second = (
        network_flow(PAIR, network, networks=400, rng=6, ensemble=ensemble) for ensemble in ("conditional", "weights")
    )
    apart = (first.value - second.value)[1:] / np.hypot(first.error, second.error)[1:]
    assert np.abs(apart).max() < 5
    assert (first.quantity, second.quantity) == ("two inputs", "two inputs, weights")


@pytest.mark.parametrize(("weight_variance", "regime"), [(1.4, "growing"), (1.760955, "critical"), (2.5, "saturating")])
def test_two_inputs_separate_the_phases(weight_variance, regime):
    network = NetworkParameters(weight_variance=weight_variance, bias_variance=0.05, depth=50, width=512)
    curve = network_room.curve_of(propagate(PAIR, network, networks=100, rng=7), inputs=2)
    assert curve.regime == regime
    if regime == "critical":
        assert curve.exponent > 0.5
    else:
        exact = meanfield.depth_scales(weight_variance, 0.05).xi_c
        assert abs(curve.scale - exact) < 5 * curve.scale_error + 0.1 * exact


def test_one_input_saturates_in_every_phase():
    for weight_variance in (1.4, 2.5):
        network = NetworkParameters(weight_variance=weight_variance, bias_variance=0.05, depth=20, width=512)
        curve = network_room.curve_of(propagate(PAIR, network, networks=200, rng=8), inputs=1)
        assert abs(curve.value[-1] - curve.asymptote_exact) < 5 * curve.error[-1] + 0.05 * curve.asymptote_exact


def test_mean_field_pairs_are_those_of_the_covariances():
    """The closed form by sum and difference against the matrix formula, at level 6."""
    network = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=6, width=1)
    q, gap = meanfield.pair_levels(2.05, 0.4, network)
    laws = [Gaussian([0, 0], v * np.array([[1, 1 - g], [1 - g, 1]])) for v, g in zip(q, gap, strict=True)]
    expected = [laws[0].relative_entropy_to(law) for law in laws]
    np.testing.assert_allclose(network_room._of_pairs(q[0], gap[0], q, gap), expected, atol=1e-12)


THREE = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [2.0, 0.0, 1.0]])


def kernels_by_quadrature(kernel, network):
    """Kernels of a tanh network by the trapezoid rule in two dimensions."""
    x = np.linspace(-9, 9, 401)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    kernels = [kernel]
    for _ in range(network.depth):
        after = np.empty_like(kernel)
        for i, j in itertools.product(range(len(kernel)), repeat=2):
            u = math.sqrt(kernels[-1][i, i]) * x
            rest = max(kernels[-1][j, j] - kernels[-1][i, j] ** 2 / kernels[-1][i, i], 0.0)
            v = kernels[-1][i, j] / math.sqrt(kernels[-1][i, i]) * x[:, None] + math.sqrt(rest) * x
            after[i, j] = weights @ (np.tanh(u)[:, None] * np.tanh(v)) @ weights
        kernels.append(network.weight_variance * (after + after.T) / 2 + network.bias_variance)
    return kernels


@pytest.mark.parametrize("count", [2, 3])
def test_mean_field_of_inputs_of_different_norms(count):
    network = NetworkParameters(weight_variance=2.5, bias_variance=0.05, depth=3, width=64)
    inputs = THREE[-count:]
    kernels = kernels_by_quadrature(2.5 * inputs @ inputs.T / 3 + 0.05, network)
    laws = [Gaussian(np.zeros(count), kernel) for kernel in kernels]
    curve = mean_field_flow(inputs, network)
    np.testing.assert_allclose(curve.value, [laws[0].relative_entropy_to(law) for law in laws], atol=1e-10)
    np.testing.assert_allclose(curve.reverse, [law.relative_entropy_to(laws[0]) for law in laws], atol=1e-10)
    steps = [p.relative_entropy_to(q) for p, q in itertools.pairwise(laws)]
    np.testing.assert_allclose(curve.step[:-1], steps, atol=1e-10)
    sampled = network_flow(inputs, network, networks=20, rng=9)
    assert sampled.reference == "mean field"
    for name, exact in (("value", "exact"), ("reverse", "exact_reverse"), ("step", "exact_step")):
        np.testing.assert_array_equal(getattr(sampled, exact), getattr(curve, name))


def test_reverse_curves_stay_finite_deep_in_the_ordered_phase():
    """Their slope is half the inverse scale; the ratio of variances has long been lost beside one."""
    network = NetworkParameters(weight_variance=0.5, bias_variance=0.05, depth=200, width=1)
    curve = mean_field_flow(PAIR, network)
    np.testing.assert_allclose(np.diff(curve.reverse)[60:], 1 / (2 * curve.scale), rtol=1e-9)


@pytest.mark.parametrize("inputs", [PAIR, THREE], ids=["pair", "three"])
def test_inputs_that_cannot_be_told_apart_any_more(inputs):
    network = NetworkParameters(weight_variance=0.5, bias_variance=0.05, depth=2000, width=1, activation="erf")
    with pytest.raises(ParameterError, match=r"leaves the range of numbers at level \d+, .* got depth=2000"):
        mean_field_flow(inputs, network)
    with pytest.raises(ParameterError, match="leaves the range of numbers at level"):
        network_flow(inputs, dataclasses.replace(network, width=20), networks=20, rng=1)


def test_mean_field_curves_end_where_the_fixed_point_says():
    network = NetworkParameters(weight_variance=3.0, bias_variance=0.05, depth=200, width=1)
    for inputs in (THREE[:1], THREE[:2], THREE):
        curve = mean_field_flow(inputs, network)
        assert curve.regime == "saturating"
        assert curve.value[-1] == pytest.approx(curve.asymptote, rel=1e-6)
    assert curve.scale == meanfield.depth_scales(3.0, 0.05).xi_c


@pytest.mark.parametrize(
    ("weight", "activation", "regime"),
    [
        (1.5, "tanh", "growing"),
        (meanfield.critical_weight_variance(0.05), "tanh", "critical"),
        (1.5, "erf", "saturating"),
        (1.5, "relu", "growing"),
        (2.5, "relu", "undetermined"),
    ],
)
def test_regimes_in_mean_field(weight, activation, regime):
    network = NetworkParameters(weight_variance=weight, bias_variance=0.05, depth=5, width=1, activation=activation)
    assert mean_field_flow(THREE[:2], network).regime == regime


@pytest.mark.parametrize("activation", ["erf", "relu", "leaky_relu(0.3)", "hard_tanh", "linear"])
def test_every_activation_flows_as_its_mean_field_says(activation):
    """Width 1000, 60 networks, within five standard errors and 3 l/width; the tanh curve is far away."""
    network = NetworkParameters(weight_variance=1.2, bias_variance=0.05, depth=4, width=1000, activation=activation)
    curve = network_flow(THREE[:2], network, networks=60, rng=3)
    allowed = 5 * curve.error[1:] + 3 * curve.levels[1:] / network.width * curve.exact[1:]
    assert np.all(np.abs(curve.value - curve.exact)[1:] < allowed)
    other = mean_field_flow(THREE[:2], dataclasses.replace(network, activation="tanh"))
    assert np.abs(other.value - curve.exact)[-1] > allowed[-1]


# residual networks and levels of unequal widths


def sampled_by_hand(network, networks, seed):
    """Moments of `PAIR`, level by level, of networks whose every weight is drawn; as of a propagation."""
    rng, phi = np.random.default_rng(seed), named(network.activation)
    inputs = np.array(PAIR)
    weight, bias = math.sqrt(network.weight_variance), math.sqrt(network.bias_variance)
    z, sums, products = inputs[None], [], []
    for level, width in enumerate(network.widths):
        before = z if level == 0 else phi(z)
        matrices = rng.normal(size=(networks, before.shape[2], width)) * weight / math.sqrt(before.shape[2])
        fresh = before @ matrices + bias * rng.normal(size=(networks, 1, width))
        z = fresh + (network.residual * z if level and network.residual else 0.0)
        y = z - np.array([0.0, 1.0])[:, None] * z[:, :1]
        sums.append(y.sum(axis=2))
        products.append(y @ y.swapaxes(1, 2))
    y = np.array([inputs[0], inputs[1] - inputs[0]])
    return SimpleNamespace(
        network=network,
        ensemble="weights",
        kernel=input_kernel(inputs, network),
        difference_kernel=weight**2 * y @ y.T / inputs.shape[1] + bias**2 * np.diag([1.0, 0.0]),
        sums=np.stack(sums, axis=1),
        products=np.stack(products, axis=1),
    )


@pytest.mark.parametrize(
    ("shape", "kind"),
    [({"width": 12, "residual": 0.6}, "residual"), ({"width": (30, 10, 20, 10, 24, 12)}, "unequal widths")],
)
@pytest.mark.parametrize("inputs", [1, 2])
def test_curves_of_residual_networks_and_of_unequal_widths(shape, kind, inputs):
    """Within five standard errors and the square of the relative correction; mean field of the pair is further away."""
    network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=5, **shape)
    curve = network_room.curve_of(sampled_by_hand(network, 20_000, 2), inputs=inputs, reference="1/width")
    limit = mean_field_flow(PAIR[:inputs], network)
    assert kind in curve.quantity
    apart = np.abs(curve.value - curve.exact)[1:]
    assert np.all(apart < 5 * curve.error[1:] + (curve.exact - limit.value)[1:] ** 2 / limit.value[1:])
    if inputs == 2:
        assert np.any(np.abs(curve.value - limit.value)[1:] > 5 * curve.error[1:])
    if network.residual:
        plain = mean_field_flow(PAIR[:inputs], dataclasses.replace(network, residual=0.0))
        assert np.all(np.abs(curve.value - plain.value)[1:] > 20 * curve.error[1:])
    assert curve.parameters.get("residual", 0.0) == network.residual


def test_mean_field_of_residual_networks():
    """Of one network the plain one with both variances over ``1 - r^2`` has the fixed point, and from r = 1 on none."""
    network = NetworkParameters(weight_variance=2.0, bias_variance=0.04, depth=150, width=1, residual=0.6)
    curve = mean_field_flow(THREE, network)
    plain = mean_field_flow(THREE, NetworkParameters(weight_variance=3.125, bias_variance=0.0625, depth=9, width=1))
    assert (curve.quantity, curve.regime) == ("3 inputs, residual, mean field", "saturating")
    assert curve.value[-1] == pytest.approx(curve.asymptote, rel=1e-4)
    assert curve.scale > plain.scale
    assert "residual" not in plain.parameters
    growing = mean_field_flow(THREE, dataclasses.replace(network, residual=1.0, depth=9))
    assert growing.regime == "undetermined"
    assert math.isnan(growing.asymptote)
    assert np.all(np.diff(growing.value) > 0)


def test_archives_keep_residual_networks_and_unequal_widths_apart(tmp_path):
    shapes = ({"width": 8}, {"width": 8, "residual": 0.5}, {"width": (8, 6, 4)})
    networks = [NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=2, **shape) for shape in shapes]
    curves = [network_room.curve_of(sampled_by_hand(network, 20, 1), inputs=2) for network in networks]
    write(tmp_path / "kinds.h5", Archive(tuple(curves)))
    found = read(tmp_path / "kinds.h5").curves
    assert [one.parameters["width"] for one in found] == [8, 8, "8-6-4"]
    assert [one.parameters.get("residual") for one in found] == [None, 0.5, None]
    for one, curve in zip(found, curves, strict=True):
        assert (one.parameters, one.quantity) == (curve.parameters, curve.quantity)
        np.testing.assert_array_equal(one.value, curve.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chain_flow(0.0), "coupling must be greater than 0"),
        (lambda: chain_flow(math.nan), "coupling must be finite"),
        (lambda: chain_flow(0.5, quantity="window margin"), "did you mean 'window marginal'"),
        (lambda: chain_flow(0.5, quantity="window marginal"), "rng must be"),
        (lambda: chain_flow(0.5, 0.1, quantity="pair marginal", rng=1), "without a field, got field=0.1"),
        (lambda: chain_flow(0.5, steps=3, sites=100), "divisible by 8, got sites=100"),
        (lambda: chain_flow(0.5, samples=19), "samples must be at least 20"),
        (lambda: square_flow(0.4, side=100, steps=6, rng=1), "divisible by 8, got side=100"),
        (lambda: square_flow(0.4, side=64, samples=5, rng=1), "samples must be at least 20"),
        (lambda: square_flow(-0.4, rng=1), "coupling must be greater than 0"),
        (lambda: square_flow(0.4, quantity="coupling", scheme="wilsn"), "did you mean 'wilson'"),
        (lambda: square_flow(0.4, quantity="coupling", side=8), "takes no side"),
        (lambda: square_flow(0.4, side=64, algorithm="metropolis", rng=1), "algorithm must be one of"),
        (
            lambda: network_flow(PAIR, NetworkParameters(weight_variance=1, depth=2, **NETWORK), networks=5, rng=1),
            "networks must be at least 20",
        ),
        (
            lambda: network_flow(
                [PAIR[0]] * 2, NetworkParameters(weight_variance=1, depth=2, **NETWORK), networks=20, rng=1
            ),
            "inputs must be linearly independent",
        ),
        *[
            (
                lambda inputs=inputs, reference=reference: network_flow(
                    inputs,
                    NetworkParameters(weight_variance=1, depth=2, **NETWORK),
                    networks=20,
                    rng=1,
                    reference=reference,
                ),
                message,
            )
            for inputs, reference, message in [
                (THREE, "1/width", "known for one input, or two of equal norm, got 3 inputs: take"),
                (THREE[1:], "1/width", "two of equal norm, got two of variances 1.05 and 1.71667"),
                (PAIR, "1/widht", "reference must be one of 'mean field', '1/width', .* did you mean '1/width'"),
            ]
        ],
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def wide_curve(weight_variance, correlation, reference):
    """Width 2000, 80 layers: the correction of order depth/width is at most 2 % of the curve."""
    network = NetworkParameters(weight_variance=weight_variance, bias_variance=0.05, depth=80, width=2000)
    pair = correlated_noise(2, 64, correlation=correlation, rng=1)
    return network_flow(pair, network, networks=400, rng=3, reference=reference, workers=2)


def test_two_inputs_in_the_ordered_phase_grow_by_the_scale():
    """In the increments over twenty layers, too: in the curve itself a logarithm of the gap is left (4 % there)."""
    curve, exact = wide_curve(1.5, 0.5, "mean field"), meanfield.depth_scales(1.5, 0.05).xi_c
    assert curve.regime == "growing"
    assert curve.scale == pytest.approx(exact, rel=0.03)
    increments = curve.value[[60, 80]] - curve.value[[40, 60]]
    assert math.log(increments[1] / increments[0]) / 20 == pytest.approx(1 / exact, rel=0.03)


def test_two_inputs_in_the_chaotic_phase_saturate_at_the_mean_field_value():
    curve = wide_curve(2.5, 0.95, "mean field")
    assert curve.regime == "saturating"
    assert curve.asymptote == pytest.approx(curve.asymptote_exact, rel=0.01)
    np.testing.assert_allclose(curve.value[40:], curve.exact[40:], rtol=0.01)
    assert curve.value[80] == pytest.approx(curve.asymptote_exact, rel=0.015)


def test_two_inputs_at_the_edge_of_chaos_grow_linearly():
    """As fast as mean field says, with its correction; the last logarithm makes the second increment 5 % larger."""
    curve = wide_curve(meanfield.critical_weight_variance(0.05), 0.5, "1/width")
    assert curve.regime == "critical"
    increments, expected = (np.diff(values[[40, 60, 80]]) for values in (curve.value, curve.exact))
    np.testing.assert_allclose(increments, expected, rtol=0.05)
    assert increments[1] / increments[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("correlation", [0.2, 0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("weight_variance", [2.5, 3.5])
def test_asymptotes_read_off_mean_field(weight_variance, correlation):
    """Its levels as if they were sampled, with two blocks that are off by little."""
    network = NetworkParameters(weight_variance=weight_variance, bias_variance=0.05, depth=60, width=1)
    start = weight_variance + 0.05
    variances, gaps = meanfield.pair_levels(start, 1 - correlation, network)
    moments = variances[:, None, None] * np.array([[1.0, 0.0], [0.0, 0.0]])
    moments[:, 0, 1] = moments[:, 1, 0] = -variances * gaps
    moments[:, 1, 1] = 2 * variances * gaps
    off = np.array([[1.0, 1.0], [1.0, 1.001]])
    found = network_room._two_inputs(np.stack([moments, moments * off, moments / off]))
    settled = meanfield.solve(weight_variance, 0.05)
    expected = network_room._of_pairs(start, 1 - correlation, settled.variance, settled.gap)
    assert found["asymptote"] == pytest.approx(expected, rel=0.006)


def test_inputs_in_another_order_have_the_same_reference_or_none():
    """Differences are from the first input: of others that are close to each other the digits are lost."""
    rng = np.random.default_rng(0)
    a, b, step = rng.normal(size=(3, 50))
    network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=12, width=50)
    for size in (1e-3, 1e-4):
        one, other = (
            mean_field_flow(given, network).value for given in ([b, b + size * step, a], [a, b, b + size * step])
        )
        np.testing.assert_allclose(one[1:], other[1:], rtol=1e-6)
    assert np.isfinite(mean_field_flow([b, b + 1e-8 * step, a], network).value).all()
    with pytest.raises(ParameterError, match="give the closest ones first"):
        mean_field_flow([a, b, b + 1e-7 * step], network)
