"""The phase diagram of random networks: the plane, the maps behind it, and histograms of activations along its edge."""

import math

import numpy as np
from scipy import special

from isingflow.diagram import ActivationHistogram, FixedPointMap, PhaseDiagram, ascending
from isingflow.errors import ParameterError
from isingflow.network import meanfield
from isingflow.network.activations import named
from isingflow.network.inputs import checked_inputs, input_kernel
from isingflow.network.propagation import propagate
from isingflow.parameters import NetworkParameters, choice, whole
from isingflow.seeding import generator

INVERSES = {"tanh": np.arctanh, "erf": special.erfinv}
"""Of the activations that `activation_histogram` samples."""

BATCH = 25
"""Networks whose pre-activations are in memory at a time; the numbers do not depend on it."""


def phase_diagram(weight_variances, bias_variances, *, activation="tanh", residual=0.0) -> PhaseDiagram:
    """Return what deep random networks settle at, for every pair of weight and bias variance.

    Parameters
    ----------
    weight_variances : array_like of float
        (n,): ``sigma_w^2``, dimensionless, in (0, 1e4], ascending, at least two.
    bias_variances : array_like of float
        (m,): ``sigma_b^2``, dimensionless, in [0, 10], ascending, at least two.
    activation : str
        As in `isingflow.network.activations.named`: "tanh", "erf", "relu", "leaky_relu(0.2)", "hard_tanh", "linear".
    residual : float
        ``r`` in ``z^l = r z^{l-1} + W phi(z^{l-1}) + b``, dimensionless, in [0, 1).

    Returns
    -------
    PhaseDiagram
        Its arrays are (m, n): a row for each bias variance.

    Raises
    ------
    ParameterError
        If an argument is out of range, or the variances do not ascend.

    References
    ----------
    Poole et al., arXiv:1606.05340, Figure 1; Schoenholz et al., arXiv:1611.01232, Section 3 (depth scales); Bukva et
    al., arXiv:2304.04784 (line of uniformity).

    Examples
    --------
    >>> diagram = phase_diagram([1.5, 2.5], [0.05, 0.1, 0.2])
    >>> diagram.variance.shape, round(float(diagram.xi_c[0, 0]), 6)
    ((3, 2), 15.790994)
    >>> diagram.edge.round(6).tolist()
    [1.760955, 1.986073, 2.285152]
    """
    weights, biases = ascending("weight_variances", weight_variances), ascending("bias_variances", bias_variances)
    kind = {"activation": activation, "residual": residual}
    edge = meanfield.critical_weight_variance(biases, **kind)
    uniformity, crossing = _uniformity(biases, **kind)
    found = meanfield.solve(weights[None, :], biases[:, None], **kind)
    return PhaseDiagram(
        **kind,
        weight_variances=weights,
        bias_variances=biases,
        edge=edge,
        uniformity=uniformity,
        crossing=crossing,
        variance=found.variance,
        susceptibility=found.susceptibility,
        correlation=found.correlation,
        xi_q=found.xi_q,
        xi_c=found.xi_c,
    )


def _uniformity(biases, *, activation, residual):
    """The line of uniformity, NaN where there is none, and where it crosses the edge of chaos."""
    line = np.full(len(biases), np.nan)
    try:
        end = (1 - residual**2) * meanfield.uniformity_variance(activation=activation)
    except ParameterError:  # of an activation of unbounded or clipped image, the entropy has no maximum
        return line, (math.nan, math.nan)
    there = biases < end
    if there.any():
        kind = {"activation": activation, "residual": residual}
        line[there] = meanfield.uniformity_weight_variance(biases[there], **kind)
    return line, meanfield.uniformity_crossing(activation=activation, residual=residual)


def fixed_point_maps(weight_variances, bias_variance, *, activation="tanh", residual=0.0, points=201) -> tuple:
    """Return the maps of variance and correlation from layer to layer, with all their fixed points.

    Parameters
    ----------
    weight_variances : sequence of float
        ``sigma_w^2`` of each network, dimensionless, in (0, 1e4].
    bias_variance : float
        ``sigma_b^2``, dimensionless, in [0, 1e4].
    activation, residual
        As for `phase_diagram`.
    points : int
        Of each map, at least 2. Variances run from 0 to 1.5 times the largest finite ``q*`` (to 1 if there is none),
        correlations from -1 to 1.

    Returns
    -------
    tuple of FixedPointMap
        For each network its map of the variance; and that of the correlation, at ``q*``, where that is finite and
        not zero.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    References
    ----------
    Poole et al., arXiv:1606.05340, Figures 1 and 2; Erdmenger et al., arXiv:2107.06898, section 3.

    Examples
    --------
    >>> maps = fixed_point_maps([2.5], 0.05)
    >>> [(one.quantity, one.fixed.round(6).tolist(), one.stability) for one in maps]
    [('variance', [1.063958], ('attracting',)), ('correlation', [0.446804, 1.0], ('attracting', 'repelling'))]
    """
    points, weight_variances = whole("points", points, low=2), tuple(weight_variances)
    kind = {"activation": activation, "residual": residual}
    settled = [meanfield.fixed_point_variance(weight, bias_variance, **kind) for weight in weight_variances]
    largest = max((q for q in settled if math.isfinite(q)), default=0.0)
    variances = np.linspace(0.0, min(1.5 * largest, 2 * meanfield.LARGEST_VARIANCE) or 1.0, points)
    correlations = np.linspace(-1.0, 1.0, points)

    def maps(weight, variance):
        where = {"weight_variance": weight, "bias_variance": bias_variance}
        fixed = meanfield.fixed_points(weight, bias_variance, **kind)
        found = {"variance": (variances, meanfield.variance_map(variances, **where, **kind), fixed.variances)}
        if math.isfinite(variance) and variance > 0:
            further = 1 - meanfield.correlation_gap_map(1 - correlations, variance, **where, **kind)
            found["correlation"] = (correlations, further, fixed.correlations)
        for quantity, (x, y, known) in found.items():
            yield FixedPointMap(
                quantity=quantity,
                x=x,
                y=y,
                fixed=[point.value for point in known],
                slopes=[point.slope for point in known],
                stability=tuple(point.stability for point in known),
                **where,
                **kind,
            )

    pairs = zip(weight_variances, settled, strict=True)
    return tuple(one for weight, variance in pairs for one in maps(weight, variance))


def activation_histogram(network: NetworkParameters, *, networks, rng, bins=20) -> ActivationHistogram:
    """Return the law of the activations in the last layer, sampled, and in mean field.

    The input is scaled so that level 0 has the variance ``q*``: in mean field every layer then has the same law.
    Neurons of one network fluctuate together, so that errors come from the scatter over networks.

    Parameters
    ----------
    network : NetworkParameters
        Its activation is tanh or erf.
    networks : int
        Networks sampled, at least 2.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    bins : int
        Of equal width over [-1, 1], at least 1.

    Returns
    -------
    ActivationHistogram

    Raises
    ------
    ParameterError
        If an argument is out of range, the activation is another, or ``q*`` is zero.

    References
    ----------
    Bukva et al., arXiv:2304.04784.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.95, bias_variance=0.09, depth=5, width=64)
    >>> histogram = activation_histogram(network, networks=20, rng=1, bins=4)
    >>> histogram.density_exact.round(4).tolist(), histogram.samples
    ([0.53, 0.47, 0.47, 0.53], 1280)
    """
    networks, bins = whole("networks", networks, low=2), whole("bins", bins)
    inverse = INVERSES[choice("activation", network.activation, INVERSES)]
    where = network.weight_variance, network.bias_variance
    variance = meanfield.fixed_point_variance(*where, activation=network.activation)
    if variance == 0:
        raise ParameterError(f"at weight and bias variance {where} activations die out: there is no histogram")
    edges = np.linspace(-1.0, 1.0, bins + 1)
    inputs = np.full((1, 1), math.sqrt((variance - network.bias_variance) / network.weight_variance))
    phi, rng = named(network.activation), generator(rng)
    shares = []
    for start in range(0, networks, BATCH):
        batch = min(BATCH, networks - start)
        last = {"keep": "preactivations", "levels": [network.depth]}
        (kept,) = propagate(inputs, network, networks=batch, rng=rng, **last).preactivations
        shares += [np.histogram(phi(layer), edges)[0] / network.width for layer in kept[:, :, 0]]
    widths = np.diff(edges)
    with np.errstate(divide="ignore"):
        bounds = special.ndtr(inverse(edges) / math.sqrt(variance))
    return ActivationHistogram(
        activation=network.activation,
        weight_variance=network.weight_variance,
        bias_variance=network.bias_variance,
        layer=network.depth,
        edges=edges,
        density=np.mean(shares, axis=0) / widths,
        density_error=np.std(shares, axis=0, ddof=1) / math.sqrt(networks) / widths,
        density_exact=np.diff(bounds) / widths,
        samples=networks * network.width,
        networks=networks,
        width=network.width,
    )


def preactivation_histograms(inputs, network: NetworkParameters, *, levels, networks, rng, bins=40, workers=1) -> tuple:
    """Return the law of the pre-activations at several levels, sampled, and the normal one of mean field.

    Parameters
    ----------
    inputs : float array (1, n_in)
        One input, dimensionless.
    network : NetworkParameters
        Of one width.
    levels : int or sequence of int
        Which, ascending, 0 to the depth. At level 0 the law is normal at every width.
    networks : int
        Networks sampled, at least 2; errors come from the scatter over them.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    bins : int
        Of equal width, at least 1, out to four standard deviations of the widest of these levels.
    workers : int
        Threads over networks.

    Returns
    -------
    tuple of ActivationHistogram
        One for each level. `density_exact` is the mean over a bin of the normal density of variance ``q_l``.

    Raises
    ------
    ParameterError
        If an argument is out of range, there is not one input, or the levels are of unequal widths.

    References
    ----------
    Erdmenger et al., arXiv:2107.06898, section 3; Lee et al., arXiv:1711.00165 (the normal limit).

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=5, width=64)
    >>> last = preactivation_histograms([[1.0, 1.0]], network, levels=[0, 5], networks=40, rng=1, bins=4)[-1]
    >>> last.layer, last.density_exact.round(3).tolist(), bool((abs(last.density - last.density_exact) < 0.05).all())
    (5, [0.0, 0.201, 0.201, 0.0], True)
    """
    inputs, networks, bins = checked_inputs("inputs", inputs), whole("networks", networks, low=2), whole("bins", bins)
    if len(inputs) != 1:
        raise ParameterError(f"a histogram is that of one input, got {len(inputs)} inputs: take one")
    if isinstance(network.width, tuple):
        raise ParameterError(f"histograms are of levels of one width, got {len(set(network.widths))} different ones")
    variances, _ = meanfield.pair_levels(input_kernel(inputs, network)[0, 0], 0.0, network)
    kept = {"keep": "preactivations", "levels": levels, "workers": workers}
    rng, shares, edges = generator(rng), [], None
    for start in range(0, networks, BATCH):
        drawn = propagate(inputs, network, networks=min(BATCH, networks - start), rng=rng, **kept)
        if edges is None:
            bound = 4 * math.sqrt(variances[list(drawn.levels)].max())
            edges = np.linspace(-bound, bound, bins + 1)
        of_networks = [[np.histogram(z, edges)[0] for z in layer[:, :, 0]] for layer in drawn.preactivations]
        shares.append(np.array(of_networks) / network.width)
    shares, widths = np.concatenate(shares, axis=1), np.diff(edges)
    return tuple(
        ActivationHistogram(
            activation=network.activation,
            weight_variance=network.weight_variance,
            bias_variance=network.bias_variance,
            layer=level,
            edges=edges,
            density=of_level.mean(axis=0) / widths,
            density_error=of_level.std(axis=0, ddof=1) / math.sqrt(networks) / widths,
            density_exact=np.diff(special.ndtr(edges / math.sqrt(variances[level]))) / widths,
            samples=networks * network.width,
            networks=networks,
            width=network.width,
            variable="pre-activation",
        )
        for level, of_level in zip(drawn.levels, shares, strict=True)
    )
