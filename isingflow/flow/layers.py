"""Level curves of several neurons: windows of a layer and whole layers, over inputs; and the entropy of activations.

Which ensemble a law is over changes what it is. One fixed network shown many inputs makes images of one law by one map,
those of other networks by others: so every record says "inputs" or "networks".
"""

import math

import numpy as np

from isingflow.curve import LevelCurve
from isingflow.diagram import ActivationEntropy
from isingflow.errors import ParameterError
from isingflow.flow.network import BLOCKS, FEWEST, kind_of, mean_field_flow, recorded, series
from isingflow.network import meanfield
from isingflow.network.activations import named
from isingflow.network.inputs import checked_inputs, input_kernel
from isingflow.network.propagation import propagate
from isingflow.parameters import NetworkParameters, choice, whole, within_memory
from isingflow.seeding import generator

BATCH = 25
"""Networks whose pre-activations are in memory at a time; the numbers do not depend on it."""

SMALLEST_SAMPLE = 100
"""Inputs or networks; with fewer the jackknife's error is too small."""


def layer_flow(
    inputs,
    network: NetworkParameters,
    *,
    neurons,
    rng,
    networks=1,
    method="auto",
    error="auto",
    neighbours=4,
    forced=False,
    workers=1,
) -> LevelCurve:
    """Follow the joint law of several neurons of a layer, over a data set or over networks.

    Weights are drawn, and the same inputs are seen at every level, so that the error resamples what is compared
    together. `networks` and the number of inputs m say which law it is:

    - one network, m inputs: the law over the inputs of one network with fixed weights ("inputs");
    - many networks, one input: over the ensemble ("networks"). Neurons of a layer are then uncorrelated but, at finite
      width, dependent; in mean field the relative entropy is that of one neuron times their number.

    Both at once is refused: inputs of one network depend on each other through its weights, and estimators that count
    them as independent are off by more than their errors.

    Parameters
    ----------
    inputs : array_like of float
        (m, n_in), dimensionless: at least 100, independent of each other and in no order; or one.
    network : NetworkParameters
        The law of the weights.
    neurons : int or "all"
        Neurons compared, the first of each level; no more than the narrowest has. "all" is the whole layer, of equal
        widths.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    networks : int
        1 for several inputs; at least 100 for one.
    method, error, neighbours, forced
        As for `isingflow.kl_divergence` of floats. "auto" is the normal law of full covariance.
    workers : int
        Threads; the result does not depend on them.

    Returns
    -------
    LevelCurve
        In nats, of the whole window. `reference` is "mean field" over networks alone with a method of normal laws of
        full covariance, else "none". `samples` counts inputs or networks.

    Raises
    ------
    ParameterError
        If a parameter is out of range, or the estimator refuses: with too few inputs for a covariance, or one that is
        singular, as of a layer wider than its input.

    Notes
    -----
    For one fixed network this is not the entropy per neuron of the ensemble. A layer squeezes some directions of the
    data by orders of magnitude and turns others, and full covariances see that: between layers of a fixed network
    they give 1e3 to 1e9 nats, decided by the smallest eigenvalues. It is what the definition says and no error of the
    estimator; compare few neurons, or average over weights (`networks`), to see O(1) a neuron. As samples of both
    levels are paired, an estimate for w neurons is low by up to ``w (w + 3) / (2 n)`` for n samples. Errors of a
    hundred samples can be half as large again as told, those of 400 are right.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=16)
    >>> data = np.random.default_rng(1).normal(size=(200, 8))
    >>> curve = layer_flow(data, network, neurons=2, rng=2)
    >>> curve.quantity, curve.parameters["ensemble"], curve.samples
    ('window of 2 neurons, over inputs', 'inputs', 200)
    """
    inputs = checked_inputs("inputs", inputs)
    window = _window(neurons, network)
    networks, over = _ensemble(len(inputs), networks)
    method = "gaussian" if method == "auto" else method
    reference = _of_independent_neurons(inputs, network, window) if over == "networks" and method == "gaussian" else {}
    levels = _samples(inputs, network, window, networks=networks, rng=rng, workers=workers)
    options = {"method": method, "error": error, "neighbours": neighbours, "forced": forced, "workers": workers}
    found = series(levels, blocks=BLOCKS if method == "gaussian" else FEWEST, **options)
    name = "layer" if neurons == "all" else "one neuron" if window == 1 else f"window of {window} neurons"
    every = np.arange(network.depth + 1)
    return LevelCurve(
        system="network",
        quantity=", ".join(filter(None, (name, kind_of(network), f"over {over}"))),
        per="layer" if neurons == "all" else "window",
        control="weight_variance",
        parameters=recorded(network)
        | {"neurons": window, "inputs": len(inputs), "networks": networks, "ensemble": over},
        levels=every,
        level_name="layers",
        length=every,
        estimator=method,
        samples=len(inputs) * networks,
        **reference,
        **found,
    )


def _window(neurons, network):
    if isinstance(neurons, str):
        choice("neurons", neurons, ("all",))
        if len(set(network.widths)) > 1:
            raise ParameterError(
                f"whole layers can be compared where all have one width, got {min(network.widths)} to "
                f"{max(network.widths)}: take neurons={min(network.widths)} or fewer"
            )
        return network.widths[0]
    return whole("neurons", neurons, high=min(network.widths))


def _ensemble(inputs, networks):
    """Return the number of networks and the name of the ensemble."""
    networks = whole("networks", networks)
    if networks > 1 and inputs > 1:
        raise ParameterError(
            f"inputs of one network depend on each other through its weights: give one input or networks=1, "
            f"got {inputs} inputs and networks={networks}"
        )
    if max(networks, inputs) < SMALLEST_SAMPLE:
        raise ParameterError(
            f"at least {SMALLEST_SAMPLE} inputs, or one input and as many networks, are needed to tell an error, "
            f"got {inputs} and networks={networks}"
        )
    return networks, "inputs" if networks == 1 else "networks"


def _samples(inputs, network, window, *, networks, rng, workers):
    """Return per level float64 (networks * m, window), network by network."""
    within_memory(
        f"{window} neurons of {network.depth + 1} levels for {len(inputs)} inputs and {networks} networks",
        8 * window * (network.depth + 1) * len(inputs) * networks,
    )
    found = [np.empty((networks, len(inputs), window)) for _ in network.widths]
    rng = generator(rng)
    for start in range(0, networks, BATCH):
        batch = slice(start, min(start + BATCH, networks))
        kept = {"ensemble": "weights", "keep": "preactivations", "neurons": range(window)}
        drawn = propagate(inputs, network, networks=batch.stop - start, rng=rng, workers=workers, **kept)
        for level, layer in zip(found, drawn.preactivations, strict=True):
            level[batch] = layer.swapaxes(1, 2)
    return [level.reshape(-1, window) for level in found]


def _of_independent_neurons(inputs, network, window):
    one = mean_field_flow(inputs, network)
    return {
        "reference": "mean field",
        "exact": window * one.value,
        "exact_reverse": window * one.reverse,
        "exact_step": window * one.step,
        "asymptote_exact": window * one.asymptote,
        "scale_exact": one.scale,
    }


def activation_entropy(
    inputs, network: NetworkParameters, *, networks, rng, ensemble="conditional", workers=1
) -> ActivationEntropy:
    """Return the differential entropy of an activation ``phi(z)`` of one neuron over networks, level by level.

    ``h(phi(z)) = h(z) + E[ln phi'(z)]``, the first term that of a normal law with the sampled second moment: exact at
    level 0, and above by terms of order ``1/width^2`` further on, where a neuron's law is a mixture of normal ones.

    Parameters
    ----------
    inputs : array_like of float
        (1, n_in), dimensionless: one input.
    network : NetworkParameters
        Its activation is tanh or erf.
    networks : int
        Networks sampled, at least 20.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    ensemble : {"conditional", "weights"}
        As in `isingflow.network.propagation.propagate`; the laws are the same.
    workers : int
        Threads over networks.

    Returns
    -------
    ActivationEntropy
        In nats, with one standard error from the scatter over networks, and mean field beside it. No law on (-1, 1)
        has more than ln 2; tanh networks come closest where ``q`` is `isingflow.network.meanfield.uniformity_variance`.

    Raises
    ------
    ParameterError
        If an argument is out of range, there are several inputs, or the activation is another: images of relu and
        hard_tanh have atoms, and no density.

    References
    ----------
    Bukva et al., arXiv:2304.04784, section 2.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.065, bias_variance=0.05, depth=3, width=64)
    >>> found = activation_entropy([[1.0, 1.0]], network, networks=40, rng=1)
    >>> bool((abs(found.value - found.exact) < 5 * found.error + 0.001).all()), found.exact.round(4).tolist()
    (True, [0.4543, 0.6516, 0.6776, 0.6824])
    """
    inputs = checked_inputs("inputs", inputs)
    if len(inputs) != 1:
        raise ParameterError(f"the entropy is that of one input's activations, got {len(inputs)} inputs: take one")
    networks = whole("networks", networks, low=FEWEST)
    variances, _ = meanfield.pair_levels(input_kernel(inputs, network)[0, 0], 0.0, network)
    exact = meanfield.activation_entropy(variances, activation=network.activation)
    squares, slopes = _averages_of_layers(
        inputs, network, networks=networks, rng=rng, ensemble=ensemble, workers=workers
    )
    variances = squares.mean(axis=0)
    influence = squares / (2 * variances) + slopes
    return ActivationEntropy(
        activation=network.activation,
        residual=network.residual,
        weight_variance=network.weight_variance,
        bias_variance=network.bias_variance,
        levels=np.arange(network.depth + 1),
        widths=network.widths,
        value=np.log(2 * math.pi * math.e * variances) / 2 + slopes.mean(axis=0),
        error=influence.std(axis=0, ddof=1) / math.sqrt(networks),
        exact=exact,
        networks=networks,
        ensemble=ensemble,
    )


def _averages_of_layers(inputs, network, *, networks, rng, **options):
    """Return averages over the neurons of ``z^2`` and of ``ln phi'(z)``, float64 (networks, levels) each."""
    phi, rng, rows = named(network.activation), generator(rng), []
    for start in range(0, networks, BATCH):
        drawn = propagate(
            inputs, network, networks=min(BATCH, networks - start), rng=rng, keep="preactivations", **options
        )
        rows.append([[(z**2).mean(axis=(1, 2)), phi.log_slope(z).mean(axis=(1, 2))] for z in drawn.preactivations])
    levels, _, _ = np.shape(rows[0])
    return np.concatenate([np.moveaxis(row, 2, 0) for row in rows]).transpose(2, 0, 1).reshape(2, networks, levels)
