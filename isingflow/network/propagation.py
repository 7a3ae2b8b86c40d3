"""Ensembles of random networks: pre-activations of named inputs, level by level."""

import concurrent.futures
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from isingflow.errors import ParameterError
from isingflow.network.inputs import checked_inputs, input_kernel
from isingflow.parameters import ENSEMBLES, NetworkParameters, activation, choice, chosen_indices, whole, within_memory
from isingflow.seeding import generator

KEEP = ("moments", "squares", "preactivations", "weights")
PRECISIONS = ("float64", "float32")

TILE = 512
"""Neurons of a layer whose weights are drawn and multiplied at a time; wider layers are cut into equal parts."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Propagation:
    """Pre-activations of m inputs through an ensemble of networks, or what was kept of them.

    The moments are of ``y = (z_1, z_2 - z_1, ..., z_m - z_1)``: the first input and the differences from it.
    Relative entropy is invariant under a common invertible linear map, so laws of ``y`` give the same one as
    laws of ``z``; and the covariances of ``y`` keep their digits when the images of the inputs draw together.

    Attributes
    ----------
    network : NetworkParameters
        What was propagated.
    ensemble : str
        ``"conditional"`` or ``"weights"``; the law over networks is the same.
    inputs : float64 (m, n_in)
        What was shown to it.
    sums : float64 (networks, depth + 1, m) or None
        Of ``y`` over the neurons of a level, dimensionless; with the next, the ``"moments"``.
    products : float64 (networks, depth + 1, m, m) or None
        Of ``y y^T`` over the neurons of a level, dimensionless.
    squares : float64 (networks, depth + 1, m) or None
        Of the plain ``z`` over the neurons of a level, dimensionless.
    levels : tuple of int
        Of which pre-activations were kept; empty if none were.
    preactivations : tuple of float arrays (networks, neurons, m), or None
        The plain ``z`` of the chosen neurons, for each of the `levels`.
    weights, biases : tuple of float arrays, or None
        For every level ``W^l`` of all networks, (networks, n_l, n_{l-1}), and ``b^l``, (networks, n_l).
    """

    network: NetworkParameters
    ensemble: str
    inputs: np.ndarray
    sums: np.ndarray | None = None
    products: np.ndarray | None = None
    squares: np.ndarray | None = None
    levels: tuple = ()
    preactivations: tuple | None = None
    weights: tuple | None = None
    biases: tuple | None = None

    @functools.cached_property
    def kernel(self):
        """Exact covariance of the plain ``z`` at level 0, float64 (m, m): `isingflow.network.inputs.input_kernel`."""
        return input_kernel(self.inputs, self.network)

    @functools.cached_property
    def difference_kernel(self):
        """Exact covariance of ``y`` at level 0, float64 (m, m)."""
        columns = _scaled(self.inputs, self.network)
        return np.einsum("ai,bi->ab", columns, columns)

    @property
    def second_moment(self):
        """Mean square over the neurons of the first input's ``z``, float64 (networks, depth + 1)."""
        if self.products is None and self.squares is None:
            raise ParameterError("second moments need moments or squares: propagate with keep='moments' or 'squares'")
        squares = self.products[:, :, 0, 0] if self.squares is None else self.squares[:, :, 0]
        return squares / self.network.widths


def propagate(
    inputs,
    network: NetworkParameters,
    *,
    networks,
    rng,
    ensemble="conditional",
    keep="moments",
    neurons=None,
    levels=None,
    dtype="float64",
    workers=1,
) -> Propagation:
    """Propagate inputs through an ensemble of random networks.

    Weights are ``N(0, sigma_w^2 / fan_in)``, biases ``N(0, sigma_b^2)``, drawn anew for every network and
    layer; level 0 is the first pre-activation. Both ensembles draw from the same law:

    - ``"conditional"``: given layer l - 1 the neurons of layer l are independent, with covariance
      ``sigma_w^2 / N Phi^T Phi + sigma_b^2`` between the m inputs, ``Phi`` the (N, m) activations. Rows are
      drawn with that covariance, at a cost of O(N m^2) a layer. Its triangular factor is R of a QR
      decomposition of ``[sigma_w / sqrt(N) Phi; sigma_b]``: the covariance itself has lost small differences.
      For a few inputs and many networks.
    - ``"weights"``: every weight is drawn, used for all inputs and, unless kept, thrown away; O(N^2 m) a layer in
      matrix products, and memory that does not grow with the depth. For one network and a set of data, and for
      whatever depends on the weights themselves.

    Equal or linearly dependent inputs are allowed. Those equal to the first stay so exactly; others that are equal do
    so to rounding, which grows with the depth in the chaotic phase.

    Parameters
    ----------
    inputs : float array (m, n_in)
        Finite, dimensionless; `isingflow.network.inputs.normalise` makes images fit.
    network : NetworkParameters
        Variances, depth, widths, activation and residual strength.
    networks : int
        Networks in the ensemble, at least 1.
    rng : numpy.random.Generator or int
        Random stream, or a non-negative seed. Every network has its own stream spawned from it; with weights drawn
        in layers wider than 512, every tile of at most 512 neurons one spawned from the network's.
    ensemble : {"conditional", "weights"}
        How they are drawn.
    keep : str or several
        What is collected on the way: ``"moments"`` between all inputs (m^2 numbers a level), ``"squares"`` of each
        input (m a level), ``"preactivations"``, ``"weights"`` with the biases.
    neurons : int or sequence of int, optional
        Which neurons' pre-activations are kept, different ones, from 0 on; all without it.
    levels : int or sequence of int, optional
        Which levels' pre-activations are kept, ascending, 0 to the depth; all without it.
    dtype : {"float64", "float32"}
        Of weights, pre-activations and products; moments are added up in float64. The normals are the same, rounded.
    workers : int
        Threads, at least 1, over the networks, or over tiles where there are fewer networks; the numbers do not depend
        on it.

    Returns
    -------
    Propagation

    Raises
    ------
    ParameterError
        If an argument is illegal, the result would not fit into the machine's memory, or pre-activations or their
        squares leave the range of numbers, as in deep relu networks.

    Notes
    -----
    Differences from the first input are exact to rounding until their squares underflow, at ``1 - c ~ 1e-300``; in
    float32 to its rounding, and until they underflow themselves, at ``1 - c ~ 1e-76``. Of several inputs those that are
    closest to each other come first.

    Matrix products run on one thread each while this runs (`threadpoolctl`): the bits of a product on several depend
    on their number. That is set for the whole process: calls from several threads of one's own would undo each other's
    setting, take `workers` instead.

    References
    ----------
    Lee et al., arXiv:1711.00165, Eqs. 4 and 5, before the limit of infinite width; Yang & Schoenholz,
    arXiv:1712.08969 (residual networks).

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=16)
    >>> ensemble = propagate([[1.0, 1.0], [1.0, -1.0]], network, networks=5, rng=1)
    >>> ensemble.products.shape, ensemble.second_moment.shape
    ((5, 4, 2, 2), (5, 4))
    >>> keep = ("weights", "preactivations")
    >>> one = propagate([[1.0, 1.0]], network, networks=1, rng=1, ensemble="weights", keep=keep)
    >>> [layer.shape for layer in one.weights], one.preactivations[3].shape
    ([(1, 16, 2), (1, 16, 16), (1, 16, 16), (1, 16, 16)], (1, 16, 1))
    """
    inputs = checked_inputs("inputs", inputs)
    networks, workers = whole("networks", networks), whole("workers", workers)
    choice("ensemble", ensemble, ENSEMBLES)
    choice("dtype", dtype, PRECISIONS)
    chosen = {"ensemble": ensemble, "keep": _several(keep), "neurons": neurons, "levels": levels, "dtype": dtype}
    kept = _Kept(inputs.shape, network, networks, at_a_time=min(networks, workers), **chosen)
    with np.errstate(over="ignore", invalid="ignore"):
        columns = _scaled(inputs, network)
        if not np.isfinite(np.einsum("ai,ai->a", columns, columns)).all():
            input_kernel(inputs, network)  # raises, in words
    streams = generator(rng).spawn(networks)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        over_networks, over_tiles = (map, pool.map) if networks < workers else (pool.map, map)
        if ensemble == "conditional":
            over_networks, run = pool.map, _conditional(columns, network, kept)
        elif max(network.widths) <= TILE:
            over_networks, run = pool.map, _drawn(columns[:, :-1], network, kept)
        else:
            run = _drawn_in_tiles(columns[:, :-1], network, kept, over_tiles)
        with threadpool_limits(1, user_api="blas"):
            for _ in over_networks(run, range(networks), streams):
                pass
    return Propagation(
        network=network,
        ensemble=ensemble,
        inputs=inputs,
        **kept.found(),
    )


class _Kept:
    """Room for what is kept of all networks; of what is not, arrays of no elements, which the kernels pass by."""

    def __init__(self, shape, network, networks, *, at_a_time, ensemble, keep, neurons, levels, dtype):
        count, features = shape
        if "weights" in keep and ensemble != "weights":
            raise ParameterError("the ensemble 'conditional' has no weights to keep: take ensemble='weights'")
        self.network, self.keep, self.dtype = network, keep, np.dtype(dtype)
        self.levels, self.neurons, rows = _chosen(network, keep, neurons, levels)
        self.bounds = np.concatenate([[0], np.cumsum(rows)]) * count
        layers = list(zip(network.widths, (features, *network.widths[:-1]), strict=True))
        sizes = [n * (k + 1) for n, k in layers]
        # of a network whose weights are not kept one layer after the other takes the same place
        self.starts = np.cumsum([0, *sizes[:-1]]) if "weights" in keep else np.zeros(len(sizes), np.int64)
        self.parameter_count = sum(sizes) if "weights" in keep else max(sizes)
        level_count = network.depth + 1
        moments, squares = (count if name in keep else 0 for name in ("moments", "squares"))
        size = 8 * level_count * (moments * (1 + moments) + squares)
        size += self.dtype.itemsize * (int(self.bounds[-1]) + self.parameter_count * ("weights" in keep))
        what = f"{' and '.join(keep)} of {networks} networks, {level_count} levels and {count} inputs"
        passing = 3 * count * max(network.widths) + self.parameter_count * (ensemble == "weights")
        within_memory(what, networks * size + at_a_time * self.dtype.itemsize * passing)
        self.sums = np.zeros((networks, level_count, moments))
        self.products = np.zeros((networks, level_count, moments, moments))
        self.squares = np.zeros((networks, level_count, squares))
        self.values = np.empty((networks, self.bounds[-1]), self.dtype)
        self.preactivations = tuple(
            self.values[:, self.bounds[level] : self.bounds[level + 1]].reshape(networks, -1, count)
            for level in self.levels
        )
        self.parameters = np.empty((networks if "weights" in keep else 0, self.parameter_count), self.dtype)
        parts = [self.parameters[:, start : start + size] for start, size in zip(self.starts, sizes, strict=True)]
        self.weights = tuple(part[:, : n * k].reshape(-1, n, k) for part, (n, k) in zip(parts, layers, strict=True))
        self.biases = tuple(part[:, n * k :] for part, (n, k) in zip(parts, layers, strict=True))

    def of_network(self, index):
        """Sums, products and squares of one network."""
        return self.sums[index], self.products[index], self.squares[index]

    def room(self, index):
        """Return the place of a network's weights and biases."""
        return self.parameters[index] if "weights" in self.keep else np.empty(self.parameter_count, self.dtype)

    def found(self):
        """Return what was kept by the names that `Propagation` has for it, or raise if it left the range of numbers."""
        parts = {
            "moments": ("sums", "products"),
            "squares": ("squares",),
            "preactivations": ("levels", "preactivations"),
            "weights": ("weights", "biases"),
        }
        # squares of single precision fit into double precision
        what = "pre-activations" if self.dtype == np.float32 else "squares of pre-activations"
        for name in ("products", "squares"):
            finite = np.isfinite(getattr(self, name)).reshape(len(self.sums), self.network.depth + 1, -1)
            self.check(finite.all(axis=(0, 2)), what, self.dtype)
        finite = [np.isfinite(layer).all() for layer in self.preactivations]
        self.check(np.array(finite), "pre-activations", self.dtype, self.levels)
        for weights, biases in zip(self.weights, self.biases, strict=True):  # so far standard normals
            weights *= math.sqrt(self.network.weight_variance / weights.shape[2])
            biases *= math.sqrt(self.network.bias_variance)
        return {name: getattr(self, name) for kept in self.keep for name in parts[kept]}

    def check(self, finite, what, dtype, levels=None):
        """Raise at the first level that is not finite."""
        if not finite.all():
            level = int(np.argmin(finite))
            level = levels[level] if levels else level
            raise ParameterError(
                f"the {what} leave the range of {dtype} at level {level}: take a depth below that, a smaller weight "
                f"variance or inputs of smaller norm, got depth={self.network.depth}, "
                f"weight_variance={self.network.weight_variance:g}, activation={self.network.activation!r}"
            )


def _scaled(inputs, network):
    """The first input and the differences from it, and the bias: what weights of variance one are multiplied by."""
    columns = np.zeros((len(inputs), inputs.shape[1] + 1))
    columns[:, :-1] = math.sqrt(network.weight_variance / inputs.shape[1]) * inputs
    columns[1:, :-1] = math.sqrt(network.weight_variance / inputs.shape[1]) * (inputs[1:] - inputs[0])
    columns[0, -1] = math.sqrt(network.bias_variance)
    return columns


def _several(keep):
    names = (keep,) if isinstance(keep, str) or not isinstance(keep, Iterable) else tuple(keep)
    if not names:
        raise ParameterError(f"keep must name at least one of {', '.join(KEEP)}, got none")
    return tuple(dict.fromkeys(choice("keep", name, KEEP) for name in names))


def _chosen(network, keep, neurons, levels):
    """Levels whose pre-activations are kept, their neurons, and how many of these each level has."""
    if "preactivations" not in keep:
        if neurons is not None or levels is not None:
            raise ParameterError("neurons= and levels= choose pre-activations: they need keep='preactivations'")
        return (), np.zeros(0, np.int64), np.zeros(network.depth + 1, np.int64)
    levels = chosen_indices("level", range(network.depth + 1) if levels is None else levels, network.depth + 1)
    if list(levels) != sorted(set(levels)):
        raise ParameterError(f"levels must be given once each, ascending, got {list(levels)}")
    rows = np.zeros(network.depth + 1, np.int64)
    widths = np.array(network.widths)[list(levels)]
    if neurons is None:
        rows[list(levels)] = widths
        return levels, np.arange(widths.max()), rows
    neurons = chosen_indices("neuron", neurons, int(widths.min()))
    if len(set(neurons)) < len(neurons):
        raise ParameterError(f"neurons must be given once each, got {list(neurons)}")
    rows[list(levels)] = len(neurons)
    return levels, np.array(neurons), rows


def _rule(network):
    """How the kernels know a network: variances, residual strength, kind of activation and its slope below zero."""
    from isingflow.network import _kernels

    name, below = activation(network.activation)
    kind = {"tanh": _kernels.TANH, "erf": _kernels.ERF, "hard_tanh": _kernels.HARD_TANH}.get(
        name, _kernels.PIECEWISE_LINEAR
    )
    return network.weight_variance, math.sqrt(network.bias_variance), network.residual, kind, below


def _conditional(columns, network, kept):
    """Return what runs one network without weights."""
    from isingflow.network import _kernels

    widths, count = np.array(network.widths), len(columns)
    factor = np.empty((count, count))
    _kernels.triangular_factor(columns.copy(), factor)
    rule = _rule(network)

    def run(index, rng):
        room = np.zeros(3 * count * (widths.max() + 1), kept.dtype)
        chosen = kept.values[index], kept.bounds, kept.neurons
        _kernels.conditional_network(rng, factor.copy(), widths, *rule, room, *kept.of_network(index), *chosen)

    return run


def _features(scaled_inputs, dtype):
    with np.errstate(over="ignore"):  # what they lead to is checked at the end
        return np.ascontiguousarray(scaled_inputs.T, dtype)


def _drawn(scaled_inputs, network, kept):
    """Return what draws the weights of one network and runs it."""
    from isingflow.network import _kernels

    features, widths = _features(scaled_inputs, kept.dtype), np.array(network.widths)
    rule = _rule(network)

    def run(index, rng):
        chosen = kept.values[index], kept.bounds, kept.neurons
        place = kept.room(index), kept.starts
        _kernels.weighted_network(rng, features, widths, *rule, *place, *kept.of_network(index), *chosen)

    return run


def _drawn_in_tiles(scaled_inputs, network, kept, over_tiles):
    """Return what draws the weights of one wide network and runs it; `over_tiles` maps over the tiles of a layer."""
    from isingflow.network import _kernels

    features_of_inputs = _features(scaled_inputs, kept.dtype)
    weight_variance, bias_scale, residual, *activation_rule = _rule(network)

    def run(index, rng):
        streams = rng.spawn(len(_tiles(max(network.widths))))
        features, room = features_of_inputs, kept.room(index)
        # one layer reads the activations of the last and writes its own: new memory for each would cost page faults
        y, *activations = np.empty((3, max(network.widths), features.shape[1]), kept.dtype)
        for level, width in enumerate(network.widths):
            fan_in, phi = len(features), activations[level % 2][:width]
            here = room[kept.starts[level] :][: width * (fan_in + 1)]
            rows = here[: width * fan_in].reshape(width, fan_in), here[width * fan_in :], y[:width], phi
            rule = math.sqrt(weight_variance / width), bias_scale, residual if level else 0.0, *activation_rule
            moments = [found[level] for found in kept.of_network(index)]
            advance = functools.partial(_advance, rows=rows, features=features, rule=rule, moments=moments)
            for part in over_tiles(advance, _tiles(width), streams):
                for total, found in zip(moments, part, strict=True):
                    total += found
            _kernels.record_rows(y, kept.neurons, kept.values[index, kept.bounds[level] : kept.bounds[level + 1]])
            features = phi

    return run


def _advance(tile, rng, *, rows, features, rule, moments):
    """Draw the weights of a tile and advance its neurons by a layer; return their share of the moments."""
    from isingflow.network import _kernels

    found = [np.zeros_like(total) for total in moments]
    _kernels.draw_and_advance(rng, *(values[tile] for values in rows), features, *rule, *found)
    return found


def _tiles(width):
    """Cut a layer into equal tiles, an even number of them if more than one, so that threads share them evenly."""
    count = 1 if width <= TILE else 2 * -(-width // (2 * TILE))
    edges = [width * tile // count for tile in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(edges)]
