"""Ensembles of random networks: pre-activations of a few inputs, level by level."""

import concurrent.futures
import dataclasses
import math

import numpy as np

from isingflow.network.inputs import checked_inputs, input_kernel
from isingflow.parameters import ENSEMBLES, NetworkParameters, activation, choice, whole, within_memory
from isingflow.seeding import generator

KEEP = ("moments", "preactivations")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Propagation:
    """Pre-activations of m inputs through an ensemble of networks, summed over the neurons of each layer.

    The sums are over ``y = (z_1, z_2 - z_1, ..., z_m - z_1)``: the first input and the differences from it.
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
    count : int
        Neurons in a layer, over which was summed.
    sums : float64 (networks, depth + 1, m)
        Of ``y``, dimensionless.
    products : float64 (networks, depth + 1, m, m)
        Of ``y y^T``, dimensionless.
    preactivations : float64 (networks, depth + 1, width, m) or None
        The plain ``z``, if kept.
    """

    network: NetworkParameters
    ensemble: str
    kernel: np.ndarray
    difference_kernel: np.ndarray
    count: int
    sums: np.ndarray
    products: np.ndarray
    preactivations: np.ndarray | None = None

    @property
    def second_moment(self):
        """Mean square over the neurons of the first input's ``z``, float64 (networks, depth + 1)."""
        return self.products[:, :, 0, 0] / self.count


def propagate(
    inputs,
    network: NetworkParameters,
    *,
    networks,
    rng,
    ensemble="conditional",
    keep="moments",
    workers=1,
):
    """Propagate inputs through an ensemble of random networks.

    Weights are ``N(0, sigma_w^2 / fan_in)``, biases ``N(0, sigma_b^2)``, drawn anew for every network and
    layer; level 0 is the first pre-activation. Both ensembles draw from the same law:

    - ``"conditional"``: given layer l - 1 the neurons of layer l are independent, with covariance
      ``sigma_w^2 / N Phi^T Phi + sigma_b^2`` between the m inputs, ``Phi`` the (N, m) activations. Rows are
      drawn with that covariance, at a cost of O(N m^2) a layer. Its triangular factor is R of a QR
      decomposition of ``[sigma_w / sqrt(N) Phi; sigma_b]``: the covariance itself has lost small differences.
    - ``"weights"``: every weight is drawn, used for all inputs and thrown away; O(N^2 m) a layer.

    Equal or linearly dependent inputs are allowed: their pre-activations are equal or dependent too.

    Parameters
    ----------
    inputs : float array (m, n_in)
        Finite, dimensionless; `isingflow.network.inputs.normalise` makes images fit.
    network : NetworkParameters
        Variances, depth, width and activation.
    networks : int
        Networks in the ensemble, at least 1.
    rng : numpy.random.Generator or int
        Random stream, or a non-negative seed; every network has its own stream spawned from it.
    ensemble : str
        ``"conditional"`` or ``"weights"``.
    keep : str
        ``"moments"``, or ``"preactivations"`` to have these too: ``8 networks (depth + 1) width m`` bytes.
    workers : int
        Threads over networks, at least 1; the numbers do not depend on it.

    Returns
    -------
    Propagation

    Raises
    ------
    ParameterError
        If an argument is illegal, or the result would not fit into the machine's memory.

    Notes
    -----
    Differences between inputs are exact to rounding until their squares underflow, at ``1 - c ~ 1e-300``.

    References
    ----------
    Lee et al., arXiv:1711.00165, Eqs. 4 and 5, before the limit of infinite width.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=16)
    >>> ensemble = propagate([[1.0, 1.0], [1.0, -1.0]], network, networks=5, rng=1)
    >>> ensemble.products.shape, ensemble.second_moment.shape
    ((5, 4, 2, 2), (5, 4))
    """
    inputs = checked_inputs("inputs", inputs)
    networks, workers = whole("networks", networks), whole("workers", workers)
    choice("ensemble", ensemble, ENSEMBLES)
    choice("keep", keep, KEEP)
    shape = (networks, network.depth + 1)
    count, features = inputs.shape
    kernel = input_kernel(inputs, network)
    rows = network.width if keep == "preactivations" else 0
    size = 8 * networks * (network.depth + 1) * count * (1 + count + rows)
    within_memory(f"{keep} of {networks} networks, {network.depth + 1} levels and {count} inputs", size)
    sums = np.zeros((*shape, count))
    products = np.zeros((*shape, count, count))
    kept = np.empty((*shape, rows, count))

    from isingflow.network import _kernels

    bias_scale = math.sqrt(network.bias_variance)
    scale = math.sqrt(network.weight_variance / network.width)
    scaled_inputs = math.sqrt(network.weight_variance / features) * inputs
    scaled_inputs[1:] = math.sqrt(network.weight_variance / features) * (inputs[1:] - inputs[0])
    columns = np.hstack([scaled_inputs, np.zeros((count, 1))])
    columns[0, -1] = bias_scale
    factor = np.empty((count, count))
    _kernels.triangular_factor(columns.copy(), factor)

    name, below = activation(network.activation)
    kinds = {"tanh": _kernels.TANH, "erf": _kernels.ERF, "hard_tanh": _kernels.HARD_TANH}
    rule = scale, bias_scale, kinds.get(name, _kernels.PIECEWISE_LINEAR), below

    def run(index, stream):
        y = np.empty((count, network.width))
        record = sums[index], products[index], kept[index]
        if ensemble == "conditional":
            phi = np.empty((count, network.width + 1))
            _kernels.conditional_network(stream, factor.copy(), *rule, y, phi, *record)
        else:
            phi = np.empty((count, network.width))
            _kernels.weighted_network(stream, scaled_inputs, *rule, y, phi, *record)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(run, range(networks), generator(rng).spawn(networks)):
            pass
    return Propagation(
        network=network,
        ensemble=ensemble,
        kernel=kernel,
        difference_kernel=np.einsum("ai,bi->ab", columns, columns),
        count=network.width,
        sums=sums,
        products=products,
        preactivations=kept if keep == "preactivations" else None,
    )
