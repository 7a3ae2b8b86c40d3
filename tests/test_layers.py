"""Level curves of windows and whole layers, and the entropy of activations: exact laws, honest errors, words."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from isingflow import Gaussian, NetworkParameters, ParameterError, activation_entropy, layer_flow, mean_field_flow
from isingflow.archive import Archive, read, write
from isingflow.divergence.estimate import with_error
from isingflow.flow import layers as room
from isingflow.network import meanfield
from isingflow.report import contents


def network_of(weight=1.5, bias=0.05, depth=3, width=8, activation="tanh"):
    return NetworkParameters(
        weight_variance=weight, bias_variance=bias, depth=depth, width=width, activation=activation
    )


def data(count, features, seed=1):
    return np.random.default_rng(seed).normal(size=(count, features))


# over the inputs of one network


@pytest.mark.parametrize(("neurons", "width"), [(1, 8), (3, 8), ("all", 4)])
def test_a_linear_network_is_a_linear_map_of_its_inputs(neurons, width):
    """Given the weights a window of normal inputs is normal with covariance ``A A^T``; within five standard errors."""
    network, inputs = network_of(0.9, 0.2, 3, width, "linear"), data(2000, 6)
    curve = layer_flow(inputs, network, neurons=neurons, rng=4)
    window = width if neurons == "all" else neurons
    laws = []
    for level in room._samples(inputs, network, window, networks=1, rng=4, workers=1):
        design = np.hstack([inputs, np.ones((len(inputs), 1))])
        maps, *_ = np.linalg.lstsq(design, level, rcond=None)
        np.testing.assert_allclose(design @ maps, level, atol=1e-10)
        laws.append(Gaussian(maps[-1], maps[:-1].T @ maps[:-1]))
    exact = np.array([laws[0].relative_entropy_to(law) for law in laws])
    reverse = np.array([law.relative_entropy_to(laws[0]) for law in laws])
    steps = np.array([p.relative_entropy_to(q) for p, q in itertools.pairwise(laws)])
    assert np.all(np.abs(curve.value - exact)[1:] < 5 * curve.error[1:])
    assert np.all(np.abs(curve.reverse - reverse)[1:] < 5 * curve.reverse_error[1:])
    assert np.all(np.abs(curve.step[:-1] - steps) < 5 * curve.step_error[:-1])
    assert np.all(curve.error[1:] < 0.15 * exact[1:] + 0.02)
    assert np.any(np.abs(curve.value - reverse)[1:] > 5 * curve.error[1:])  # the other direction is told apart


def test_other_methods_see_the_same_law():
    network, inputs = network_of(0.9, 0.2, 2, 8, "linear"), data(1500, 6)
    normal, nearest, ratio = (
        layer_flow(inputs, network, neurons=1, rng=4, method=method) for method in ("auto", "knn", "density-ratio")
    )
    for other in (nearest, ratio):
        apart = np.abs(other.value - normal.value)[1:] / np.hypot(other.error, normal.error)[1:]
        assert np.all(apart < 5)
    assert [one.estimator for one in (normal, nearest, ratio)] == ["gaussian", "knn", "density-ratio"]


def test_a_whole_layer_of_fixed_weights_is_far_from_where_it_was():
    """The smallest eigenvalues decide: a hundred times what the same layer gives averaged over networks, and more."""
    network, inputs = network_of(1.5, 0.05, 6, 16), data(400, 16)
    fixed = layer_flow(inputs, network, neurons="all", rng=1)
    assert fixed.reverse[-1] + fixed.value[-1] > 1e3
    averaged = layer_flow(inputs[:1], network, neurons="all", rng=1, networks=400)
    assert averaged.value[-1] + averaged.reverse[-1] < 10
    assert (fixed.quantity, averaged.quantity) == ("layer, over inputs", "layer, over networks")
    assert (fixed.per, fixed.samples, fixed.reference) == ("layer", 400, "none")


def test_inputs_of_one_network_do_not_change_its_weights():
    network, inputs = network_of(), data(100, 6)
    some, all_of_them = (
        room._samples(given, network, 3, networks=1, rng=2, workers=1) for given in (inputs[:30], inputs)
    )
    for one, other in zip(some, all_of_them, strict=True):
        np.testing.assert_allclose(one, other[:30], rtol=1e-12)


# over networks


def test_windows_over_networks_are_independent_in_mean_field():
    """Width 200, within five standard errors and 3 l/width of so many neurons; not of one more or less."""
    network = network_of(2.0, 0.05, 4, 200)
    curve = layer_flow([[1.0, 1.0, -1.0]], network, neurons=3, rng=3, networks=1000)
    assert (curve.reference, curve.parameters["ensemble"]) == ("mean field", "networks")
    one = mean_field_flow([[1.0, 1.0, -1.0]], network).value
    np.testing.assert_allclose(curve.exact, 3 * one, rtol=1e-14)
    allowed = 5 * curve.error[1:] + 3 * curve.levels[1:] / network.width * curve.exact[1:]
    assert np.all(np.abs(curve.value - curve.exact)[1:] < allowed)
    assert np.any(np.abs(curve.value - one)[1:] > allowed)


@pytest.mark.parametrize(("inputs", "networks"), [(400, 1), (1, 400)])
def test_errors_are_the_spread_of_repetitions(inputs, networks):
    """Over the inputs of one network, always the same, and over networks."""
    network, found = network_of(1.5, 0.3, 2, 6), []
    for seed in range(100):
        given, rng = (data(inputs, 5, seed), 1) if networks == 1 else ([[1.0, -1.0, 0.5]], seed)
        curve = layer_flow(given, network, neurons=2, rng=rng, networks=networks)
        values = *curve.value[1:], *curve.reverse[1:], curve.step[1]
        found.append((values, (*curve.error[1:], *curve.reverse_error[1:], curve.step_error[1])))
    values, errors = np.moveaxis(found, 1, 0)
    np.testing.assert_allclose(values.std(axis=0, ddof=1), np.sqrt(np.mean(errors**2, axis=0)), rtol=0.35)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: layer_flow(x, network_of(), neurons=9, rng=1), "neurons must be between 1 and 8, got 9"),
        (lambda x: layer_flow(x[:1], network_of(), neurons=9, rng=1, networks=10**12), "between 1 and 8, got 9"),
        (lambda x: layer_flow(x[:1], network_of(), neurons=2, rng=1, networks=10**12), "GiB of memory"),
        (lambda x: layer_flow(x, network_of(), neurons="every", rng=1), "neurons must be one of 'all', got 'every'"),
        (
            lambda x: layer_flow(x, network_of(width=(8, 6, 4, 5)), neurons="all", rng=1),
            "all have one width, got 4 to 8: take neurons=4 or fewer",
        ),
        (
            lambda x: layer_flow(x[:19], network_of(), neurons=1, rng=1),
            "at least 100 inputs, or .* got 19",
        ),
        (
            lambda x: layer_flow(x[:1], network_of(), neurons=1, rng=1, networks=99),
            "at least 100 inputs, .* networks=99",
        ),
        (
            lambda x: layer_flow(x, network_of(), neurons=1, rng=1, networks=200),
            "give one input or networks=1, got 120 inputs and networks=200",
        ),
        (
            lambda x: layer_flow(x, network_of(width=120), neurons="all", rng=1),
            r"a covariance in 120 dimensions needs more samples.* at least 121 of p and 125 of q, got 120",
        ),
        (
            lambda x: layer_flow(x, network_of(width=20, activation="linear"), neurons="all", rng=1),
            "is singular: drop constant or linearly dependent components",
        ),
        (lambda x: layer_flow(x, network_of(), neurons=2, rng=1, method="plugin"), "'plugin' does not fit floats"),
        (lambda x: activation_entropy(x, network_of(), networks=20, rng=1), "got 120 inputs: take one"),
        (lambda x: activation_entropy(x[:1], network_of(), networks=5, rng=1), "networks must be at least 20"),
        (
            lambda x: activation_entropy(x[:1], network_of(activation="relu"), networks=20, rng=1),
            "invertible activation with a bounded image",
        ),
        (lambda x: meanfield.activation_entropy(0.0), "variance must be greater than 0"),
        (lambda x: meanfield.activation_entropy([1.0, math.inf]), "variance must be finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call(data(120, 5))


# entropy of activations


@pytest.mark.parametrize("variance", [1e-6, 0.3, 0.764576007, 4.0, 300.0])
@pytest.mark.parametrize(("activation", "slope"), [("tanh", lambda z: 1 / np.cosh(z) ** 2), ("erf", None)])
def test_entropy_in_mean_field(activation, slope, variance):
    """Against the trapezoid rule for ``E[ln phi']``."""
    x = np.linspace(-12, 12, 20001)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    z = math.sqrt(variance) * x
    logs = np.log(slope(z)) if slope else math.log(2 / math.sqrt(math.pi)) - z**2
    expected = math.log(2 * math.pi * math.e * variance) / 2 + weights @ logs
    assert meanfield.activation_entropy(variance, activation=activation) == pytest.approx(expected, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "erf"])
def test_the_entropy_is_largest_along_the_line_of_uniformity(activation):
    at = meanfield.uniformity_variance(activation=activation)
    largest = meanfield.activation_entropy(at, activation=activation)
    around = meanfield.activation_entropy(at * np.linspace(0.2, 5, 97), activation=activation)
    assert (around <= largest).all()
    assert largest <= math.log(2) + 1e-15
    assert (largest == pytest.approx(math.log(2), abs=1e-14)) == (activation == "erf")


def test_deep_networks_on_the_line_are_nearest_to_uniform():
    bias = 0.05
    on_line = meanfield.uniformity_weight_variance(bias)
    found = [
        activation_entropy([[1.0]], network_of(weight, bias, 8, 400), networks=50, rng=2)
        for weight in (0.7 * on_line, on_line, 1.5 * on_line)
    ]
    last = [one.value[-1] for one in found]
    errors = [one.error[-1] for one in found]
    assert last[1] - max(last[0], last[2]) > 5 * max(errors)
    assert last[1] < math.log(2)


@pytest.mark.parametrize("activation", ["tanh", "erf"])
@pytest.mark.parametrize("ensemble", ["conditional", "weights"])
def test_sampled_entropy_against_mean_field(activation, ensemble):
    """Width 300: within five standard errors and 1/width; the other activation is far away."""
    network = network_of(1.2, 0.05, 4, 300, activation)
    found = activation_entropy([[1.0, -1.0]], network, networks=60, rng=5, ensemble=ensemble)
    assert (np.abs(found.value - found.exact) < 5 * found.error + 1 / 300).all()
    assert abs(found.value - found.exact)[0] < 5 * found.error[0]  # level 0 is normal at any width
    assert (found.error < 0.008).all()
    other = activation_entropy(
        [[1.0, -1.0]],
        dataclasses.replace(network, activation={"tanh": "erf", "erf": "tanh"}[activation]),
        networks=60,
        rng=5,
    )
    assert abs(found.value - other.exact)[0] > 20 * found.error[0]


def test_the_error_of_an_entropy_is_the_spread_of_repetitions():
    network = network_of(1.5, 0.05, 3, 10)
    found = [activation_entropy([[1.0]], network, networks=40, rng=seed) for seed in range(100)]
    spread = np.std([one.value for one in found], axis=0, ddof=1)
    typical = np.sqrt(np.mean([one.error**2 for one in found], axis=0))
    np.testing.assert_allclose(spread, typical, rtol=0.25)


def test_batches_change_nothing(monkeypatch):
    network = network_of()
    one = activation_entropy([[1.0]], network, networks=30, rng=1)
    curve = layer_flow(data(1, 5), network, neurons=2, rng=1, networks=100)
    monkeypatch.setattr(room, "BATCH", 7)
    three = activation_entropy([[1.0]], network, networks=30, rng=1)
    np.testing.assert_array_equal(one.value, three.value)
    np.testing.assert_array_equal(curve.value, layer_flow(data(1, 5), network, neurons=2, rng=1, networks=100).value)


def test_entropies_and_windows_in_an_archive(tmp_path):
    network = network_of()
    entropy = activation_entropy([[1.0]], network, networks=20, rng=1)
    curve = layer_flow(data(120, 5), network, neurons=2, rng=1)
    write(tmp_path / "a.h5", Archive((curve,), entropies=(entropy,)))
    found = read(tmp_path / "a.h5")
    (again,) = found.entropies
    for field in dataclasses.fields(entropy):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(entropy, field.name))
    assert found.curves[0].parameters == curve.parameters
    np.testing.assert_array_equal(found.curves[0].value, curve.value)
    words = contents(found)
    assert f"entropy {with_error(entropy.value[-1], entropy.error[-1])} nats, mean field" in words
    with pytest.raises(ParameterError, match="value must have shape"):
        dataclasses.replace(entropy, value=[1.0])
