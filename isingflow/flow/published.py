"""Curves of the published estimator: of random networks, and of those in the public notebooks' files."""

import math

import numpy as np

from isingflow.curve import LevelCurve
from isingflow.errors import ParameterError
from isingflow.flow.network import recorded
from isingflow.network.inputs import checked_inputs, input_kernel
from isingflow.network.meanfield import pair_levels
from isingflow.network.propagation import propagate
from isingflow.network.published import PublishedNetwork
from isingflow.network.pushforward import pushforward_entropy, pushforward_estimate
from isingflow.parameters import VARIANCES, NetworkParameters, choice, whole
from isingflow.seeding import generator

QUANTITIES = {"layer": "published estimator", "reference": "published estimator, reference variance"}
"""By what the squared distance is divided by."""

UNEQUAL = "levels of unequal width are not comparable"
REORDERED = "levels in the order of the public notebook"


def published_flow(
    inputs, network: NetworkParameters, *, networks, samples, rng, variance="layer", workers=1
) -> LevelCurve:
    """Return the published estimator, level by level, as a mean over random networks.

    Parameters
    ----------
    inputs : array_like of float
        (1, n_in): the input whose levels are compared.
    network : NetworkParameters
        The ensemble; weights are drawn.
    networks : int
        Networks drawn, at least 2.
    samples : int
        Samples of level 0 for each, at least 2.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    variance : {"layer", "reference"}
        As for `isingflow.network.pushforward.pushforward_estimate`, which also says what the estimator is not.
    workers : int
        Threads over batches of samples.

    Returns
    -------
    LevelCurve
        Per layer, nats, with the standard error between networks (that of the samples is in it), and mean field: at
        infinite width the estimator per neuron is a function of ``q_m/q_0`` alone, ``ln(q_m/q_0)/2`` for ``"layer"``
        and ``(ln(q_m/q_0) - 1 + q_m/q_0)/2`` for ``"reference"``. In tanh networks that settle, a
        width adds a few nats of the whole layer, whatever it is; in linear, relu and residual networks, whose layers
        go on fluctuating, that grows with the depth. Its regime is left undetermined.

    Raises
    ------
    ParameterError
        If a parameter is out of range, there is not exactly one input, or a level has less than two neurons.

    References
    ----------
    Erdmenger, Grosvenor & Jefferson, SciPost Phys. 12, 041 (2022), section 3.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=2, width=100)
    >>> curve = published_flow([[1.0, -1.0]], network, networks=5, samples=20, rng=1)
    >>> curve.quantity, curve.per, curve.exact.round(1).tolist()
    ('published estimator', 'layer', [0.0, -35.5, -50.2])
    """
    networks = whole("networks", networks, low=2)
    choice("variance", variance, VARIANCES)
    inputs = checked_inputs("inputs", inputs)
    if len(inputs) != 1:
        raise ParameterError(f"the published estimator is of one input, got {len(inputs)}")
    if min(network.widths) < 2:
        raise ParameterError(f"every level must have at least 2 neurons, got {min(network.widths)}")
    values = []
    for stream in generator(rng).spawn(networks):
        kept = {"ensemble": "weights", "keep": ("weights", "preactivations"), "workers": workers}
        drawn = propagate(inputs, network, networks=1, rng=stream, **kept)
        values.append(
            pushforward_entropy(
                [weights[0] for weights in drawn.weights],
                [biases[0] for biases in drawn.biases],
                [level[0, :, 0] for level in drawn.preactivations],
                samples=samples,
                rng=stream,
                activation=network.activation,
                residual=network.residual,
                variance=variance,
                workers=workers,
            )
        )
    return _curve(
        QUANTITIES[variance],
        network,
        value=np.mean(values, axis=0),
        error=np.std(values, axis=0, ddof=1) / math.sqrt(networks),
        parameters={"networks": networks, "samples": samples},
        exact=_mean_field(input_kernel(inputs, network)[0, 0], network, variance),
        reference="mean field",
        estimator="push-forward",
        samples=networks,
    )


def published_curve(
    network: PublishedNetwork, *, samples, rng, variance="reference", label="", workers=1
) -> LevelCurve:
    """Return the published estimator of one network from the public notebooks' files, level by level.

    Parameters
    ----------
    network : PublishedNetwork
        From `isingflow.network.published.read_network`; its activation is tanh.
    samples : int
        Samples of level 0, at least 2.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    variance : {"layer", "reference"}
        As for `isingflow.network.pushforward.pushforward_estimate`; the published figures have ``"reference"``.
    label : str
        Appended to the name of the quantity, for instance ``"e14"``.
    workers : int
        Threads over batches of samples.

    Returns
    -------
    LevelCurve
        Per layer, nats, with the Monte Carlo standard error, and no reference.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    Examples
    --------
    >>> two = PublishedNetwork(weights=[np.eye(2)] * 2, biases=[np.zeros(2)] * 2, weight_variance=1.0, depth=2,
    ...                        preactivations=[[1.0, -1.0], [0.5, -0.5]], bias_variance=0.0)
    >>> published_curve(two, samples=1000, rng=1, label="e0").quantity
    'published estimator, reference variance, e0'
    """
    found = pushforward_estimate(
        network.weights,
        network.biases,
        network.preactivations,
        samples=samples,
        rng=rng,
        variance=variance,
        workers=workers,
    )
    return _curve(
        ", ".join(filter(None, (QUANTITIES[variance], label))),
        network.law,
        value=found.value,
        error=found.error,
        parameters={"label": label},
        reordered=network.order == "published",
        estimator="push-forward of one network",
        samples=found.samples,
    )


def _curve(quantity, network, *, parameters, reordered=False, **fields):
    levels = np.arange(network.depth + 1)
    doubts = {UNEQUAL: len(set(network.widths)) > 1, REORDERED: reordered}
    return LevelCurve(
        system="network",
        quantity=", ".join(filter(None, (quantity, "residual" * bool(network.residual)))),
        per="layer",
        control="weight_variance",
        parameters=recorded(network) | {"width": network.widths[0]} | parameters,  # a flag tells the others
        levels=levels,
        level_name="layers",
        length=levels,
        flags=tuple(doubt for doubt, there in doubts.items() if there),
        **fields,
    )


def _mean_field(start, network, variance):
    """The limit of infinite width, times the widths there are."""
    variances, _ = pair_levels(start, 0.0, network)
    widths = np.array(network.widths)
    logarithms = widths / 2 * np.log(2 * math.pi * variances)
    mean = widths / 2 * (1 if variance == "layer" else variances / variances[0])
    return mean - widths[0] / 2 + logarithms - logarithms[0]
