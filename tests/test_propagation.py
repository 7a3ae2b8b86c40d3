"""Ensembles of networks: naive twins on the same bits, exact covariances, and one ensemble against the other.

Statistical comparisons are at 5 standard errors with fixed seeds: a false alarm in 2e6 comparisons.
"""

import dataclasses
import math
import tracemalloc

import mpmath
import numpy as np
import pytest
import threadpoolctl
from scipy import special, stats

from isingflow import parameters
from isingflow.errors import ParameterError
from isingflow.network import _kernels, activations, meanfield
from isingflow.network.finite_width import pair_correction
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
    for width in network.widths:
        lower = np.linalg.cholesky(to_differences @ covariance @ to_differences.T)
        normals = rng.standard_normal((len(inputs), width))
        fresh = normals.T @ lower.T @ np.linalg.inv(to_differences).T
        layers.append(fresh + network.residual * layers[-1] if layers and network.residual else fresh)
        activations = PHI[network.activation](layers[-1])
        covariance = weight * activations.T @ activations / width + bias
    return layers


def naive_weights(inputs, network, rng):
    """Networks wider than 512 have a stream for each half of a layer."""
    streams = [rng] if max(network.widths) <= 512 else rng.spawn(2)
    layers, columns = [], inputs.T
    for width in network.widths:
        parts = 1 if width <= 512 else 2
        shape = width // parts, len(columns) + 1
        normals = np.concatenate([stream.standard_normal(shape) for stream in streams[:parts]])
        weights = np.sqrt(network.weight_variance / len(columns)) * normals[:, :-1]
        biases = np.sqrt(network.bias_variance) * normals[:, -1:]
        fresh = weights @ columns + biases
        layers.append(fresh + network.residual * layers[-1] if layers and network.residual else fresh)
        columns = PHI[network.activation](layers[-1])
    return layers


NAIVE = {"conditional": naive_conditional, "weights": naive_weights}


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


@pytest.mark.parametrize("ensemble", NAIVE)
@pytest.mark.parametrize(
    ("count", "change"),
    [
        *[(count, {}) for count in (1, 2, 4)],
        *[(3, {"activation": name}) for name in PHI],
        *[(2, {"residual": residual, "activation": name}) for residual, name in ((0.6, "tanh"), (1.0, "relu"))],
        *[(2, {"width": width}) for width in ((32, 48, 8, 8, 1, 20, 30), 600, (20, 600, 30, 700, 5, 6, 8))],
        (3, {"width": 600, "residual": 0.8}),
    ],
)
def test_naive_twin(ensemble, count, change):
    inputs = normalise(digits(range(count)))
    network = dataclasses.replace(SMALL, **change)
    keep = ("moments", "squares", "preactivations")
    result = propagate(inputs, network, networks=3, rng=5, ensemble=ensemble, keep=keep)
    expected = [NAIVE[ensemble](inputs, network, stream) for stream in np.random.default_rng(5).spawn(3)]
    assert result.levels == tuple(range(7))
    for level, layer in enumerate(result.preactivations):
        z = np.array([layers[level] for layers in expected])
        assert layer.shape == (3, network.widths[level], count)
        np.testing.assert_allclose(layer, z, rtol=0, atol=2e-12)
        y = differences(z)
        np.testing.assert_allclose(result.sums[:, level], y.sum(axis=1), rtol=0, atol=2e-10)
        np.testing.assert_allclose(result.products[:, level], np.einsum("nia,nib->nab", y, y), rtol=0, atol=2e-10)
        np.testing.assert_allclose(result.squares[:, level], np.sum(z**2, axis=1), rtol=1e-11)
        np.testing.assert_allclose(result.second_moment[:, level], np.mean(z[..., 0] ** 2, axis=1), rtol=1e-11)


@pytest.mark.parametrize("ensemble", NAIVE)
def test_chosen_neurons_and_levels_are_those_of_all(ensemble):
    network = dataclasses.replace(SMALL, width=(32, 48, 8, 8, 3, 20, 30))
    whole = propagate(PAIR, network, networks=3, rng=5, ensemble=ensemble, keep="preactivations")
    some = {"neurons": [7, 0, 3], "levels": [1, 2, 6]}
    chosen = propagate(PAIR, network, networks=3, rng=5, ensemble=ensemble, keep="preactivations", **some)
    assert chosen.levels == (1, 2, 6)
    assert chosen.sums is chosen.products is chosen.squares is chosen.weights is None
    for level, layer in zip(chosen.levels, chosen.preactivations, strict=True):
        np.testing.assert_array_equal(layer, whole.preactivations[level][:, [7, 0, 3]])


@pytest.mark.parametrize("widest", [8, 600])
def test_kept_weights_are_those_that_were_used(widest):
    network = dataclasses.replace(SMALL, width=(5, widest, 7, 5, 6, 3, 2))
    result = propagate(PAIR, network, networks=2, rng=5, ensemble="weights", keep=("weights", "preactivations"))
    columns = np.broadcast_to(PAIR.T, (2, *PAIR.T.shape))
    for weights, biases, layer in zip(result.weights, result.biases, result.preactivations, strict=True):
        np.testing.assert_allclose(layer, weights @ columns + biases[..., None], rtol=0, atol=1e-13)
        columns = np.tanh(layer)


@pytest.mark.parametrize("ensemble", NAIVE)
@pytest.mark.parametrize("activation", ["tanh", "relu", "erf"])
def test_single_precision_draws_the_same_networks(ensemble, activation):
    network = dataclasses.replace(SMALL, activation=activation, residual=0.3)
    keep = ("moments", "squares", "preactivations")
    double, single = (
        propagate(PAIR, network, networks=3, rng=5, ensemble=ensemble, keep=keep, dtype=dtype)
        for dtype in ("float64", "float32")
    )
    assert {layer.dtype for layer in single.preactivations} == {np.dtype("float32")}
    assert single.products.dtype == single.sums.dtype == single.squares.dtype == np.float64
    np.testing.assert_allclose(single.preactivations, double.preactivations, rtol=0, atol=2e-5)
    for name in ("products", "squares", "sums"):
        np.testing.assert_allclose(getattr(single, name), getattr(double, name), rtol=0, atol=1e-3)


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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_workers_on_the_tiles_of_one_network_do_not_change_bits(dtype):
    network = dataclasses.replace(SMALL, width=1300)
    inputs = white_noise(70, 40, rng=1)
    before = threadpoolctl.threadpool_info()
    one, three = (
        propagate(inputs, network, networks=1, rng=2, ensemble="weights", keep=BOTH, dtype=dtype, workers=workers)
        for workers in (1, 3)
    )
    assert threadpoolctl.threadpool_info() == before
    for name in ("sums", "products", "preactivations"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_memory_does_not_grow_with_the_depth():
    def peak(depth):
        network = dataclasses.replace(SMALL, depth=depth, width=200)
        tracemalloc.start()
        propagate(PAIR, network, networks=1, rng=2, ensemble="weights")
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(5)
    assert peak(300) < peak(30) + 300 * 400  # the moments and a tuple of widths remain, less than a layer's weights


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
    """Return the largest difference of laws over networks: of moments of q_l and the pair's gap in standard errors."""

    def statistics(result):
        q, squares = result.second_moment, result.products[:, :, 1, 1]
        centred = (q - q.mean(axis=0)) ** 2
        return np.stack([q, squares / (2 * result.network.width), centred, q * squares])

    a, b = statistics(one), statistics(other)
    variance = a.var(axis=1) / a.shape[1] + b.var(axis=1) / b.shape[1]
    return np.max(np.abs(a.mean(axis=1) - b.mean(axis=1)) / np.sqrt(variance))


NARROW = NetworkParameters(weight_variance=1.5, bias_variance=0.3, depth=4, width=16)
AGREEMENT = {16: 20_000, 64: 6_000, 512: 400}
"""Networks by width."""


@pytest.fixture(scope="module", params=AGREEMENT)
def drawn_with_weights(request):
    network = dataclasses.replace(NARROW, width=request.param)
    return propagate(PAIR, network, networks=AGREEMENT[request.param], rng=21, ensemble="weights", workers=2)


def test_ensembles_agree(drawn_with_weights):
    """In moments and pairs; and in the law over networks of each layer's second moment (Kolmogorov and Smirnov)."""
    number = len(drawn_with_weights.products)
    conditional = propagate(PAIR, drawn_with_weights.network, networks=number, rng=22, workers=2)
    assert discrepancy(conditional, drawn_with_weights) < 5
    columns = zip(conditional.second_moment.T, drawn_with_weights.second_moment.T, strict=True)
    assert min(stats.ks_2samp(*both).pvalue for both in columns) > 5e-7


@pytest.mark.parametrize(
    ("change", "width"), [({"bias_variance": 0.315}, 64), ({"weight_variance": 1.53}, 64), ({}, 40)]
)
def test_that_comparison_can_fail(change, width):
    one, other = (
        propagate(PAIR, dataclasses.replace(NARROW, **how), networks=6_000, rng=22 + seed, workers=2)
        for seed, how in enumerate(({"width": 64}, {"width": width, **change}))
    )
    assert discrepancy(one, other) > 5
    columns = zip(one.second_moment.T, other.second_moment.T, strict=True)
    assert min(stats.ks_2samp(*both).pvalue for both in columns) < 5e-7


@pytest.mark.parametrize(("ensemble", "networks", "depth"), [("conditional", 1000, 20), ("weights", 24, 5)])
def test_wide_networks_follow_mean_field_with_its_correction(ensemble, networks, depth):
    """At width 2048, of two inputs that start at q*: what is left beyond the first order is a tenth of it."""
    network = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=depth, width=2048)
    variance = meanfield.fixed_point_variance(2.0, 0.05)
    norm, gap = (variance - 0.05) / 2.0, 0.4
    inputs = np.sqrt(2 * norm) * np.linalg.cholesky(
        [[1, 1 - gap * variance / 2 / norm], [1 - gap * variance / 2 / norm, 1]]
    )
    result = propagate(inputs, network, networks=networks, rng=23, ensemble=ensemble, workers=2)
    start = 1 - result.kernel[0, 1] / result.kernel[0, 0]
    theory = pair_correction(result.kernel[0, 0], start, network)
    found = {
        "variance": (result.products[..., 0, 0] / network.width, theory.variance, theory.variance_correction),
        "half": (
            result.products[..., 1, 1] / (2 * network.width),
            theory.variance * theory.gap,
            theory.variance_correction * theory.gap + theory.variance * theory.gap_correction,
        ),
    }
    for sampled, mean_field, correction in found.values():
        error = sampled.std(axis=0, ddof=1) / np.sqrt(networks)
        left = sampled.mean(axis=0) - mean_field - correction / network.width
        assert (np.abs(left) < 5 * error + 0.1 * np.abs(correction) / network.width).all()


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
        ({"keep": ()}, "keep must name at least one of moments, squares, preactivations, weights"),
        ({"keep": ("moments", "weigths")}, "did you mean 'weights'"),
        ({"keep": 3}, "keep must be one of"),
        ({"keep": "weights"}, "'conditional' has no weights to keep: take ensemble='weights'"),
        ({"neurons": [0]}, "they need keep='preactivations'"),
        ({"keep": "preactivations", "neurons": [32]}, "neuron must be between 0 and 31, got 32"),
        ({"keep": "preactivations", "neurons": [1, 1]}, r"neurons must be given once each, got \[1, 1\]"),
        ({"keep": "preactivations", "levels": [3, 2]}, r"levels must be given once each, ascending, got \[3, 2\]"),
        ({"keep": "preactivations", "levels": [7]}, "level must be between 0 and 6, got 7"),
        ({"keep": "preactivations", "levels": []}, "at least one level is required, got none"),
        ({"dtype": "float16"}, "dtype must be one of 'float64', 'float32', got 'float16'"),
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


@pytest.mark.parametrize("ensemble", NAIVE)
@pytest.mark.parametrize(("residual", "activation"), [(0.0, "relu"), (2.0, "tanh")])
def test_networks_that_grow_out_of_range_say_where(ensemble, residual, activation):
    network = NetworkParameters(
        weight_variance=1e4, bias_variance=0.05, depth=400, width=20, activation=activation, residual=residual
    )
    if residual:
        network = dataclasses.replace(network, depth=600)
    with pytest.raises(
        ParameterError, match=r"squares of pre-activations leave the range of float64 at level \d+: take"
    ):
        propagate(PAIR, network, networks=2, rng=1, ensemble=ensemble)
    with pytest.raises(ParameterError, match=r"^the pre-activations leave the range of float32 at level \d+: take"):
        propagate(PAIR, network, networks=2, rng=1, ensemble=ensemble, keep="preactivations", dtype="float32")


def test_layers_too_wide_for_the_memory_are_refused():
    """Also where nothing of them is kept but sums."""
    wide = dataclasses.replace(SMALL, width=10**7)
    with pytest.raises(ParameterError, match=r"moments of 1 networks, 7 levels and 2 inputs need .* GiB of memory"):
        propagate(PAIR, wide, networks=1, rng=1, ensemble="weights")


def test_second_moments_need_sums():
    result = propagate(PAIR, SMALL, networks=2, rng=1, keep="preactivations")
    with pytest.raises(ParameterError, match="propagate with keep='moments' or 'squares'"):
        _ = result.second_moment


def test_increments_of_tanh_to_the_last_digits():
    """Against 400 digits, also where both sides are saturated, on the same side or not, and for the smallest steps."""
    rng = np.random.default_rng(1)
    z = np.concatenate([rng.normal(0, scale, 100) for scale in (0.1, 1, 5, 50)])
    step = np.concatenate([rng.normal(0, 1, 400) * 10.0 ** rng.uniform(-200, 1, 400), rng.normal(0, 3, 400) - z])
    z = np.tile(z, 2)
    with mpmath.workdps(400):
        pairs = [(mpmath.mpf(one), mpmath.mpf(other)) for one, other in zip(z.tolist(), step.tolist(), strict=True)]
        exact = [float(mpmath.tanh(one + other) - mpmath.tanh(one)) for one, other in pairs]
    found = [_kernels.tanh_increment(*both, _kernels.decay(both[0])) for both in zip(z, step, strict=True)]
    np.testing.assert_allclose(found, exact, rtol=2e-15, atol=1e-300)
    for far in (500.0, -500.0, 1e5):  # beyond 300 tanh is its limit
        assert _kernels.tanh_increment(far, -far + 0.3, _kernels.decay(far)) == pytest.approx(
            math.tanh(0.3) - math.copysign(1, far), rel=1e-9
        )
        assert _kernels.tanh_increment(far, -2 * far, _kernels.decay(far)) == -math.copysign(2, far)
        assert abs(_kernels.tanh_increment(far, 1.0, _kernels.decay(far))) < 1e-250


@pytest.mark.parametrize("name", PHI)
def test_rows_of_neurons_and_rows_of_inputs_are_activated_alike(name):
    kind, below = parameters.activation(name)
    kind = {"tanh": _kernels.TANH, "erf": _kernels.ERF, "hard_tanh": _kernels.HARD_TANH}.get(
        kind, _kernels.PIECEWISE_LINEAR
    )
    y = 2 * np.random.default_rng(3).standard_normal((5, 40))
    one, other, squares = np.empty((5, 41)), np.empty((40, 5)), np.zeros(5)
    _kernels.activate(y, 0.7, one, kind, below)
    _kernels.activate_rows(y.T.copy(), 0.7, other, kind, below)
    np.testing.assert_allclose(other.T, one[:, :-1], rtol=1e-15, atol=0)
    z = np.concatenate([y[:1], y[1:] + y[:1]])
    np.testing.assert_allclose(other[:, 0], 0.7 * PHI[name](y[0]), rtol=1e-14)
    np.testing.assert_allclose(other[:, 1:].T, 0.7 * (PHI[name](z[1:]) - PHI[name](z[0])), rtol=0, atol=1e-14)
    _kernels.add_squares(y, squares)
    np.testing.assert_allclose(squares, np.sum(z**2, axis=1), rtol=1e-13)


@pytest.mark.parametrize("ensemble", NAIVE)
def test_inputs_beyond_single_precision(ensemble):
    with pytest.raises(ParameterError, match=r"^the pre-activations leave the range of float32 at level 0"):
        propagate(1e39 * PAIR, SMALL, networks=2, rng=1, ensemble=ensemble, dtype="float32")
