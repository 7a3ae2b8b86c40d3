"""Ensembles of networks: naive twins on the same bits, exact covariances, and one ensemble against the other.

Statistical comparisons are at 5 standard errors with fixed seeds: a false alarm in 2e6 comparisons.
"""

import dataclasses

import numpy as np
import pytest
from scipy import special

from isingflow import parameters
from isingflow.errors import ParameterError
from isingflow.network import _kernels, activations, meanfield
from isingflow.network.inputs import digits, input_kernel, normalise, white_noise
from isingflow.network.propagation import propagate
from isingflow.parameters import NetworkParameters

SMALL = NetworkParameters(weight_variance=1.3, bias_variance=0.2, depth=6, width=32)
PAIR = normalise(digits([0, 1]))
BOTH = ("moments", "preactivations")
PHI = {
    "tanh": np.tanh,
    "erf": special.erf,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu": lambda z: np.maximum(z, 0.01 * z),
    "leaky_relu(-0.5)": lambda z: np.maximum(z, -0.5 * z),
    "hard_tanh": lambda z: np.clip(z, -1.0, 1.0),
    "linear": lambda z: z,
}


def differences(z):
    return np.concatenate([z[..., :1], z[..., 1:] - z[..., :1]], axis=-1)


def naive_conditional(inputs, network, rng):
    """Cholesky of the covariance of (z_1, z_2 - z_1, ...), one layer after the other."""
    to_differences = np.eye(len(inputs))
    to_differences[1:, 0] = -1
    weight, bias = network.weight_variance, network.bias_variance
    layers, covariance = [], weight * inputs @ inputs.T / inputs.shape[1] + bias
    for _ in range(network.depth + 1):
        lower = np.linalg.cholesky(to_differences @ covariance @ to_differences.T)
        normals = rng.standard_normal((len(inputs), network.width))
        layers.append(normals.T @ lower.T @ np.linalg.inv(to_differences).T)
        activations = PHI[network.activation](layers[-1])
        covariance = weight * activations.T @ activations / network.width + bias
    return np.array(layers)


def naive_weights(inputs, network, rng):
    layers, columns = [], inputs.T
    for _ in range(network.depth + 1):
        (of_the_layer,) = rng.spawn(1)
        normals = of_the_layer.standard_normal((network.width, len(columns) + 1))
        weights = np.sqrt(network.weight_variance / len(columns)) * normals[:, :-1]
        biases = np.sqrt(network.bias_variance) * normals[:, -1:]
        layers.append(weights @ columns + biases)
        columns = PHI[network.activation](layers[-1])
    return np.array(layers)


@pytest.mark.parametrize("name", PHI)
def test_compiled_increments_are_those_of_the_activation(name):
    """Also where one side is beyond a kink, and where the step is lost beside z."""
    kind, below = parameters.activation(name)
    kinds = {"erf": _kernels.ERF, "hard_tanh": _kernels.HARD_TANH}
    z, step = np.meshgrid(np.linspace(-3, 3, 61), [-4.0, -0.7, -0.05, -1e-9, 0.0, 1e-200, 0.03, 0.2, 5.0])
    expected = activations.named(name).increment(z, step)
    if name == "tanh":
        found = np.array([_kernels.tanh(value) for value in z.ravel()]).reshape(z.shape)
        np.testing.assert_allclose(found, np.tanh(z), rtol=1e-15)
    else:
        kind = kinds.get(kind, _kernels.PIECEWISE_LINEAR)
        found = [_kernels.increment(*both, kind, below) for both in zip(z.ravel(), step.ravel(), strict=True)]
        np.testing.assert_allclose(np.reshape(found, z.shape), expected, rtol=5e-11, atol=0)
    near = np.abs(step) > 0.02
    np.testing.assert_allclose(expected[near], (PHI[name](z + step) - PHI[name](z))[near], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("ensemble", "naive"), [("conditional", naive_conditional), ("weights", naive_weights)])
@pytest.mark.parametrize(("count", "activation"), [(1, "tanh"), (2, "tanh"), (4, "tanh"), *[(3, name) for name in PHI]])
def test_naive_twin(ensemble, naive, count, activation):
    inputs = normalise(digits(range(count)))
    network = dataclasses.replace(SMALL, activation=activation)
    result = propagate(inputs, network, networks=3, rng=5, ensemble=ensemble, keep=BOTH)
    expected = np.array([naive(inputs, network, stream) for stream in np.random.default_rng(5).spawn(3)])
    np.testing.assert_allclose(np.stack(result.preactivations, axis=1), expected, rtol=0, atol=1e-12)
    y = differences(expected)
    np.testing.assert_allclose(result.sums, y.sum(axis=2), rtol=0, atol=1e-11)
    np.testing.assert_allclose(result.products, np.einsum("nlia,nlib->nlab", y, y), rtol=0, atol=1e-11)
    np.testing.assert_allclose(result.second_moment, np.mean(expected[..., 0] ** 2, axis=2), rtol=1e-12)
    assert [layer.shape for layer in result.preactivations] == [(3, 32, count)] * 7


@pytest.mark.parametrize("ensemble", ["conditional", "weights"])
def test_moments_do_not_depend_on_what_is_kept(ensemble):
    kept, plain = (
        propagate(PAIR, SMALL, networks=3, rng=5, ensemble=ensemble, keep=keep) for keep in (BOTH, "moments")
    )
    assert plain.preactivations is None
    np.testing.assert_array_equal(plain.products, kept.products)
    np.testing.assert_array_equal(plain.products, np.swapaxes(plain.products, 2, 3))


@pytest.mark.parametrize("ensemble", ["conditional", "weights"])
def test_workers_do_not_change_bits(ensemble):
    one, three = (propagate(PAIR, SMALL, networks=7, rng=2, ensemble=ensemble, workers=workers) for workers in (1, 3))
    np.testing.assert_array_equal(one.sums, three.sums)
    np.testing.assert_array_equal(one.products, three.products)


def test_a_generator_moves_on_and_a_seed_does_not():
    rng = np.random.default_rng(9)
    first, second = (propagate(PAIR, SMALL, networks=2, rng=rng).products for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(first, propagate(PAIR, SMALL, networks=2, rng=9).products)


@pytest.mark.parametrize("ensemble", ["conditional", "weights"])
@pytest.mark.parametrize("count", [2, 3])
def test_level_zero_has_the_exact_covariance(ensemble, count):
    inputs = normalise(digits(range(count)))
    network = dataclasses.replace(SMALL, depth=1, width=100)
    result = propagate(inputs, network, networks=500, rng=11, ensemble=ensemble, keep=BOTH)
    z = result.preactivations[0].reshape(-1, count)
    kernel = input_kernel(inputs, network)
    np.testing.assert_array_equal(result.kernel, kernel)
    spread = np.sqrt((np.outer(np.diag(kernel), np.diag(kernel)) + kernel**2) / len(z))
    assert (np.abs(z.T @ z / len(z) - kernel) < 5 * spread).all()
    assert (np.abs(z.mean(axis=0)) < 5 * np.sqrt(np.diag(kernel) / len(z))).all()
    exact = result.difference_kernel
    spread = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / len(z))
    assert (np.abs(result.products[:, 0].sum(axis=0) / len(z) - exact) < 5 * spread).all()


def discrepancy(one, other):
    """Return the largest difference, in standard errors, of statistics over networks of q_l and the pair gap."""

    def statistics(result):
        q, squares = result.second_moment, result.products[:, :, 1, 1]
        centred = (q - q.mean(axis=0)) ** 2
        return np.stack([q, squares / (2 * result.network.width), centred, q * squares])

    a, b = statistics(one), statistics(other)
    variance = a.var(axis=1) / a.shape[1] + b.var(axis=1) / b.shape[1]
    return np.max(np.abs(a.mean(axis=1) - b.mean(axis=1)) / np.sqrt(variance))


@pytest.fixture(scope="module")
def drawn_with_weights():
    network = NetworkParameters(weight_variance=1.5, bias_variance=0.3, depth=4, width=64)
    return propagate(PAIR, network, networks=6_000, rng=21, ensemble="weights", workers=2)


def test_ensembles_agree(drawn_with_weights):
    conditional = propagate(PAIR, drawn_with_weights.network, networks=6_000, rng=22, workers=2)
    assert discrepancy(conditional, drawn_with_weights) < 5


@pytest.mark.parametrize("change", [{"bias_variance": 0.315}, {"weight_variance": 1.53}, {"width": 70}])
def test_that_comparison_can_fail(drawn_with_weights, change):
    network = dataclasses.replace(drawn_with_weights.network, **change)
    wrong = propagate(PAIR, network, networks=6_000, rng=22, workers=2)
    assert discrepancy(wrong, drawn_with_weights) > 5


def near_pair(gap):
    """Return two inputs of norm 1 (up to `gap`), their difference exact: it lies where the first is 0."""
    pair = np.zeros((2, 64))
    pair[:, :32] = np.sqrt(2.0)
    pair[1, 32:] = 2.0 * np.sqrt(gap)
    return pair


@pytest.mark.parametrize("ensemble", ["conditional", "weights"])
@pytest.mark.parametrize("gap", [1e-20, 1e-25, 1e-100])
def test_small_differences_keep_their_digits(ensemble, gap):
    # Small differences obey a linear law: scaled inputs give scaled differences, on the same random bits.
    network = NetworkParameters(weight_variance=1.2, bias_variance=0.05, depth=30, width=64)
    reference, tiny = (
        propagate(near_pair(size), network, networks=4, rng=3, ensemble=ensemble).products[:, :, 1, 1] / size
        for size in (1e-14, gap)
    )
    np.testing.assert_allclose(tiny, reference, rtol=1e-5)


def test_small_differences_grow_by_the_susceptibility():
    network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=8, width=512)
    variance = meanfield.fixed_point_variance(1.5, 0.05)
    gap = 1e-20
    inputs = near_pair(gap) * np.sqrt((variance - 0.05) / 1.5)
    result = propagate(inputs, network, networks=400, rng=4)
    squares = result.products[:, :, 1, 1] / result.network.width
    np.testing.assert_allclose(result.difference_kernel[1, 1], 2 * gap * (variance - 0.05), rtol=1e-12)
    growth = squares / result.difference_kernel[1, 1]
    expected = meanfield.susceptibility(1.5, 0.05) ** np.arange(9)
    error = growth.std(axis=0) / np.sqrt(len(growth))
    # Mean field is the limit of infinite width: l / width is left over.
    assert (np.abs(growth.mean(axis=0) - expected) < 5 * error + 2 * np.arange(9) / 512).all()


def test_wide_networks_follow_mean_field():
    network = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=10, width=1024)
    result = propagate(PAIR, network, networks=100, rng=6)
    kernel = result.kernel
    variances, gaps = meanfield.pair_levels(kernel[0, 0], 1 - kernel[0, 1] / kernel[0, 0], network)
    np.testing.assert_allclose(result.second_moment.mean(axis=0), variances, rtol=0.02)
    half_squares = result.products[:, :, 1, 1].mean(axis=0) / (2 * result.network.width)
    np.testing.assert_allclose(half_squares, variances * gaps, rtol=0.03)


@pytest.mark.parametrize("ensemble", ["conditional", "weights"])
def test_equal_and_dependent_inputs(ensemble):
    inputs = np.array([[1.0, 2.0], [1.0, 2.0], [0.5, -1.0], [3.0, 0.1], [1.5, 1.0]])
    result = propagate(inputs, SMALL, networks=3, rng=8, ensemble=ensemble, keep=BOTH)
    z = np.stack(result.preactivations, axis=1)
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(z[..., 0], z[..., 1])
    assert np.linalg.matrix_rank(z[:, 0].reshape(-1, 5), tol=1e-10) == 3  # two features and a bias
    assert np.all(result.products[:, :, 1] == 0)


@pytest.mark.parametrize("ensemble", ["conditional", "weights"])
def test_saturated_neurons(ensemble):
    network = NetworkParameters(weight_variance=1e6, bias_variance=0.0, depth=3, width=8)
    inputs = white_noise(2, 5, rng=1)
    result = propagate(inputs, network, networks=4, rng=2, ensemble=ensemble, keep=BOTH)
    assert np.isfinite(np.stack(result.preactivations)).all()
    assert (result.second_moment > 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [[1.0, np.nan]]}, "inputs must be finite"),
        ({"inputs": [[1e200, 1.0]]}, "inputs up to 1e.200 are too large"),
        ({"inputs": np.empty((2, 0))}, "inputs must not be empty"),
        ({"inputs": [1.0, 2.0]}, r"got shape \(2,\)"),
        ({"networks": 0}, "networks must be at least 1, got 0"),
        ({"networks": 2.5}, "networks must be a whole number"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"ensemble": "weight"}, "ensemble must be one of .* did you mean 'weights'"),
        ({"keep": "preactivation"}, "did you mean 'preactivations'"),
        ({"rng": -1}, "rng must be"),
        (
            {"networks": 10**9, "keep": "preactivations"},
            r"preactivations of .* need .* GiB of memory, this machine has",
        ),
        ({"networks": 10**12}, r"moments of 1000000000000 networks, 7 levels and 2 inputs need .* GiB"),
    ],
)
def test_bad_input(change, message):
    arguments = {"inputs": PAIR, "networks": 1, "rng": 1} | change
    with pytest.raises(ParameterError, match=message):
        propagate(arguments.pop("inputs"), SMALL, **arguments)


def test_tanh_to_the_last_digits():
    x = np.concatenate([np.linspace(-25, 25, 20001), np.geomspace(1e-300, 1, 1001), [0.0, -0.0, 400.0, -1e300]])
    found, exact = np.array([_kernels.tanh(one) for one in x]), np.tanh(x)
    np.testing.assert_allclose(found, exact, rtol=1e-15, atol=0)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(x))
    np.testing.assert_array_equal(found[-2:], [1.0, -1.0])
