"""Ensembles of random networks: pre-activations of named inputs, level by level."""

import concurrent.futures
import dataclasses
import itertools
import math
from collections.abc import Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from isingflow.errors import ParameterError
from isingflow.network.inputs import checked_inputs, input_kernel
from isingflow.parameters import ENSEMBLES, NetworkParameters, activation, choice, whole, within_memory
from isingflow.seeding import generator

KEEP = ("moments", "squares", "preactivations", "weights")
PRECISIONS = ("float64", "float32")

TILE = 256
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
    kernel : float64 (m, m)
        Exact covariance of the plain ``z`` at level 0, as from `isingflow.network.inputs.input_kernel`.
    difference_kernel : float64 (m, m)
        Exact covariance of ``y`` at level 0.
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
    kernel: np.ndarray
    difference_kernel: np.ndarray
    sums: np.ndarray | None = None
    products: np.ndarray | None = None
    squares: np.ndarray | None = None
    levels: tuple = ()
    preactivations: tuple | None = None
    weights: tuple | None = None
    biases: tuple | None = None

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

    Equal or linearly dependent inputs are allowed: their pre-activations are equal or dependent too.

    Parameters
    ----------
    inputs : float array (m, n_in)
        Finite, dimensionless; `isingflow.network.inputs.normalise` makes images fit.
    network : NetworkParameters
        Variances, depth, widths, activation and residual strength.
    networks : int
        Networks in the ensemble, at least 1.
    rng : numpy.random.Generator or int
        Random stream, or a non-negative seed. Every network has its own stream spawned from it; with weights, every
        layer (every tile of 256 neurons at most, in wider ones) one of its own, spawned from the network's.
    ensemble : {"conditional", "weights"}
        How they are drawn.
    keep : str or several
        What is collected on the way: ``"moments"`` between all inputs (m^2 numbers a level), ``"squares"`` of each
        input (m a level), ``"preactivations"``, ``"weights"`` with the biases.
    neurons : sequence of int, optional
        Which neurons' pre-activations are kept, different ones, from 0 on; all without it.
    levels : sequence of int, optional
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
    Differences between inputs are exact to rounding until their squares underflow, at ``1 - c ~ 1e-300``; in float32
    to its rounding, and until they underflow themselves, at ``1 - c ~ 1e-76``.

    Matrix products run on one thread each while this runs (`threadpoolctl`): the bits of a product on several depend
    on their number.

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
    kept = _Kept(inputs.shape, network, networks, **chosen)
    kernel = input_kernel(inputs, network)
    scaled_inputs = math.sqrt(network.weight_variance / inputs.shape[1]) * inputs
    scaled_inputs[1:] = math.sqrt(network.weight_variance / inputs.shape[1]) * (inputs[1:] - inputs[0])
    columns = np.hstack([scaled_inputs, np.zeros((len(inputs), 1))])
    columns[0, -1] = math.sqrt(network.bias_variance)
    streams = generator(rng).spawn(networks)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        if ensemble == "conditional":
            over_networks, run = pool.map, _conditional(columns, network, kept)
        else:
            over_networks, over_tiles = (map, pool.map) if networks < workers else (pool.map, map)

            def run(index, stream):
                _Drawn(scaled_inputs, network, kept, index).run(stream, over_tiles)

        with threadpool_limits(1, user_api="blas"):
            for _ in over_networks(run, range(networks), streams):
                pass
    return Propagation(
        network=network,
        ensemble=ensemble,
        kernel=kernel,
        difference_kernel=np.einsum("ai,bi->ab", columns, columns),
        **kept.found(),
    )


class _Kept:
    """Room for what is kept of all networks; of what is not, arrays of no elements, which the kernels pass by."""

    def __init__(self, shape, network, networks, *, ensemble, keep, neurons, levels, dtype):
        count, features = shape
        if "weights" in keep and ensemble != "weights":
            raise ParameterError("the ensemble 'conditional' has no weights to keep: take ensemble='weights'")
        self.network, self.keep, self.dtype = network, keep, np.dtype(dtype)
        self.levels, self.neurons, rows = _chosen(network, keep, neurons, levels)
        self.bounds = np.concatenate([[0], np.cumsum(rows)]) * count
        layers = list(zip(network.widths, (features, *network.widths[:-1]), strict=True)) if "weights" in keep else []
        level_count = network.depth + 1
        moments, squares = (count if name in keep else 0 for name in ("moments", "squares"))
        size = 8 * level_count * (moments * (1 + moments) + squares)
        size += self.dtype.itemsize * (int(self.bounds[-1]) + sum(n * (k + 1) for n, k in layers))
        what = f"{' and '.join(keep)} of {networks} networks, {level_count} levels and {count} inputs"
        within_memory(what, networks * size)
        self.sums = np.zeros((networks, level_count, moments))
        self.products = np.zeros((networks, level_count, moments, moments))
        self.squares = np.zeros((networks, level_count, squares))
        self.values = np.empty((networks, self.bounds[-1]), self.dtype)
        self.preactivations = tuple(
            self.values[:, self.bounds[level] : self.bounds[level + 1]].reshape(networks, -1, count)
            for level in self.levels
        )
        self.weights = tuple(np.empty((networks, n, k), self.dtype) for n, k in layers)
        self.biases = tuple(np.empty((networks, n), self.dtype) for n, _ in layers)

    def found(self):
        """Return what was kept by the names that `Propagation` has for it, or raise if it left the range of numbers."""
        parts = {
            "moments": ("sums", "products"),
            "squares": ("squares",),
            "preactivations": ("levels", "preactivations"),
            "weights": ("weights", "biases"),
        }
        for name in ("products", "squares"):
            finite = np.isfinite(getattr(self, name)).reshape(len(self.sums), self.network.depth + 1, -1)
            self.check(finite.all(axis=(0, 2)), "squares of pre-activations", "float64")
        finite = [np.isfinite(layer).all() for layer in self.preactivations]
        self.check(np.array(finite), "pre-activations", self.dtype, self.levels)
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
    levels = range(network.depth + 1) if levels is None else levels
    levels = tuple(whole("level", level, low=0, high=network.depth) for level in levels)
    if not levels or list(levels) != sorted(set(levels)):
        raise ParameterError(f"levels must be given once each, ascending, at least one, got {list(levels)}")
    rows = np.zeros(network.depth + 1, np.int64)
    widths = np.array(network.widths)[list(levels)]
    if neurons is None:
        rows[list(levels)] = widths
        return levels, np.arange(widths.max()), rows
    least = int(widths.min())
    neurons = [whole("neuron", neuron, low=0, high=least - 1) for neuron in neurons]
    if not neurons or len(set(neurons)) < len(neurons):
        raise ParameterError(f"neurons must be given once each, at least one, got {neurons}")
    rows[list(levels)] = len(neurons)
    return levels, np.array(neurons), rows


def _rule(network):
    """How the kernels know an activation: its kind and its slope below zero."""
    from isingflow.network import _kernels

    name, below = activation(network.activation)
    kinds = {"tanh": _kernels.TANH, "erf": _kernels.ERF, "hard_tanh": _kernels.HARD_TANH}
    return kinds.get(name, _kernels.PIECEWISE_LINEAR), below


def _conditional(columns, network, kept):
    """Return what runs one network without weights."""
    from isingflow.network import _kernels

    widths, count = np.array(network.widths), len(columns)
    factor = np.empty((count, count))
    _kernels.triangular_factor(columns.copy(), factor)
    scales = network.weight_variance, math.sqrt(network.bias_variance), network.residual

    def run(index, stream):
        room = np.zeros(3 * count * (widths.max() + 1), kept.dtype)
        record = kept.sums[index], kept.products[index], kept.squares[index], kept.values[index]
        rule = *scales, *_rule(network)
        _kernels.conditional_network(stream, factor.copy(), widths, *rule, room, *record, kept.bounds, kept.neurons)

    return run


class _Drawn:
    """One network whose weights are drawn: standard normals, their scale goes with the features they multiply."""

    def __init__(self, scaled_inputs, network, kept, index):
        self.network, self.kept, self.index, self.rule = network, kept, index, _rule(network)
        self.features = scaled_inputs.astype(kept.dtype)
        self.count, features = scaled_inputs.shape
        self.fan_in = features, *network.widths[:-1]
        largest = max(n * k for n, k in zip(network.widths, self.fan_in, strict=True))
        self.room = np.empty(largest, kept.dtype)
        self.y, self.fresh = np.empty((2, self.count * max(network.widths)), kept.dtype)  # tile after tile

    def run(self, stream, over_tiles):
        """Propagate; `over_tiles` maps over the tiles of a layer, in parallel or not."""
        kept, index = self.kept, self.index
        for level, width in enumerate(self.network.widths):
            self.level = level
            self.weights = self.room[: width * self.fan_in[level]].reshape(width, -1)
            self.biases, self.phi = np.empty(width, kept.dtype), np.empty((self.count, width), kept.dtype)
            tiles = _tiles(width)
            for sums, products, squares in over_tiles(self.advance, tiles, stream.spawn(len(tiles))):
                kept.sums[index, level] += sums
                kept.products[index, level] += products
                kept.squares[index, level] += squares
            self.features = self.phi
            if "weights" in kept.keep:
                scale = math.sqrt(self.network.weight_variance / self.fan_in[level])
                np.multiply(self.weights, scale, out=kept.weights[level][index])
                np.multiply(self.biases, math.sqrt(self.network.bias_variance), out=kept.biases[level][index])

    def advance(self, tile, rng):
        """Draw the weights of the neurons of a tile and advance these by a layer; return their moments."""
        from isingflow.network import _kernels

        kept, level, network = self.kept, self.level, self.network
        place = slice(self.count * tile.start, self.count * tile.stop)
        y, fresh = (values[place].reshape(self.count, -1) for values in (self.y, self.fresh))
        _kernels.draw_parameters(rng, self.weights[tile], self.biases[tile])
        with np.errstate(over="ignore", invalid="ignore"):  # what is kept is checked at the end
            np.matmul(self.features, self.weights[tile].T, out=fresh)
            fresh[0] += math.sqrt(network.bias_variance) * self.biases[tile]
            y[:] = network.residual * y + fresh if level and network.residual else fresh
            scale = math.sqrt(network.weight_variance / network.widths[level])
            _kernels.activate(y, scale, self.phi, tile.start, *self.rule)
            chosen = slice(kept.bounds[level], kept.bounds[level + 1])
            _kernels.record(y, tile.start, kept.neurons, kept.values[self.index, chosen])
            sums, products, squares = (np.zeros(found.shape[2:]) for found in (kept.sums, kept.products, kept.squares))
            _kernels.add_squares(y, squares)
            if len(sums):
                sums[:] = y.sum(axis=1, dtype=np.float64)
                wide = y.astype(np.float64, copy=False)
                np.matmul(wide, wide.T, out=products)
        return sums, products, squares


def _tiles(width):
    """Cut a layer into equal tiles, an even number of them if more than one, so that threads share them evenly."""
    count = 1 if width <= TILE else 2 * -(-width // (2 * TILE))
    edges = np.linspace(0, width, count + 1).astype(int).tolist()
    return [slice(*pair) for pair in itertools.pairwise(edges)]
