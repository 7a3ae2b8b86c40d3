"""The published estimator of a network's layers: level 0 pushed forward through the network.

The published curves of Erdmenger, Grosvenor & Jefferson belong to one network and one input: the neurons of a layer
are taken as independent draws from one normal law. The estimator is no relative entropy between two laws of one
variable; what it is not is said at `pushforward_estimate`. The package's own curves are in `isingflow.flow`.
"""

import concurrent.futures
import dataclasses
import math

import numpy as np
from threadpoolctl import threadpool_limits

from isingflow.errors import ParameterError
from isingflow.network.activations import named
from isingflow.network.inputs import checked_inputs
from isingflow.parameters import VARIANCES, choice, finite, whole, within_memory
from isingflow.seeding import generator

BATCH = 512
"""Samples carried through the network at a time, whatever the number of workers."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PushforwardEstimate:
    """The published estimator, layer by layer, from samples of level 0.

    Attributes
    ----------
    value : float64 (layers,)
        ``D_m``, nats of the whole layer; 0 at level 0 by definition. May be negative.
    error : float64 (layers,)
        Monte Carlo standard error, nats; 0 at level 0. It tells of the samples of level 0, of nothing else: weights and
        input are fixed.
    samples : int
        Samples of level 0.
    variance : {"layer", "reference"}
        What the squared distance was divided by.
    """

    value: np.ndarray
    error: np.ndarray
    samples: int
    variance: str


def pushforward_entropy(
    weights,
    biases,
    preactivations,
    *,
    samples,
    rng=None,
    activation="tanh",
    residual=0.0,
    variance="layer",
    workers=1,
):
    """Return the published estimator alone, without its error: `pushforward_estimate` has both, and the words.

    Parameters
    ----------
    weights, biases, preactivations, samples, rng, activation, residual, variance, workers
        As for `pushforward_estimate`.

    Returns
    -------
    float64 (layers,)
        ``D_m``, nats of the whole layer.

    Raises
    ------
    ParameterError
        As from `pushforward_estimate`.

    Examples
    --------
    >>> weights, biases = [np.eye(2)], [np.zeros(2)]
    >>> pushforward_entropy(weights, biases, [[1.0, -1.0], [0.5, -0.5]], samples=1000, rng=1).round(2).tolist()
    [0.0, -0.86]
    """
    return pushforward_estimate(
        weights,
        biases,
        preactivations,
        samples=samples,
        rng=rng,
        activation=activation,
        residual=residual,
        variance=variance,
        workers=workers,
    ).value


def pushforward_estimate(
    weights,
    biases,
    preactivations,
    *,
    samples,
    rng=None,
    activation="tanh",
    residual=0.0,
    variance="layer",
    workers=1,
) -> PushforwardEstimate:
    """Estimate what the published figures show of one network, with its Monte Carlo error.

    ``mu_m`` and ``s_m^2`` are mean and population variance over the ``N_m`` neurons of level m, for one input. Then::

        D_m = -N_0/2 ln(2 pi e s_0^2) + N_m/2 ln(2 pi s_m^2) + E[|z^m(z^0) - mu_m|^2] / (2 v),    D_0 = 0,

    the mean over ``z^0`` with independent components from ``N(mu_0, s_0^2)``, carried through the network.

    Parameters
    ----------
    weights, biases : sequence of float array
        ``(n_l, n_{l-1})`` and ``(n_l,)``, dimensionless: those into level 1, 2, ..., or with those from the data into
        level 0 before them, which are not used.
    preactivations : sequence of float array
        ``(n_l,)``, dimensionless: the levels 0, 1, ... of one input; in each at least two different values.
    samples : int or float array (samples, n_0)
        How many samples of level 0 to draw, at least 2; or the samples themselves.
    rng : numpy.random.Generator or int
        Random stream, or a non-negative seed; left out if the samples are given.
    activation : str
        As for `isingflow.network.activations.named`.
    residual : float
        ``r`` in ``z^l = r z^{l-1} + W^l phi(z^{l-1}) + b^l``, dimensionless, in [0, 10].
    variance : {"layer", "reference"}
        What ``v`` is. ``"layer"``: ``s_m^2``, as a normal law of level m has it. ``"reference"``: ``s_0^2``, as the
        public notebooks have it; with it the published figures are reproduced.
    workers : int
        Threads over batches of samples, at least 1; the numbers do not depend on it.

    Returns
    -------
    PushforwardEstimate

    Raises
    ------
    ParameterError
        If the arrays do not chain or are not finite, a level has no variance, an argument is out of its range, or the
        samples leave the range of numbers.

    Notes
    -----
    This is no relative entropy between two laws of one variable. The density of level m is taken at the image of a
    sample of level 0 without the Jacobian of the map, so that ``D_m`` can be negative, and need not grow with m. The
    layers of one input are not normal either: ``z^m(z^0)`` has not the variance ``s_m^2``. Between levels of unequal
    width values are not comparable: each neuron less takes half a ``ln(2 pi s_m^2)`` away, whatever it tells.

    References
    ----------
    Erdmenger, Grosvenor & Jefferson, SciPost Phys. 12, 041 (2022), arXiv:2107.06898, section 3.

    Examples
    --------
    >>> weights, biases = [np.eye(2)], [np.zeros(2)]
    >>> preactivations = [[1.0, -1.0], [0.5, -0.5]]
    >>> found = pushforward_estimate(weights, biases, preactivations, samples=1000, rng=1)
    >>> found.value.round(2).tolist(), found.error.round(2).tolist()
    ([0.0, -0.86], [0.0, 0.03])
    """
    weights, biases, levels = checked_layers(weights, biases, preactivations)
    residual = finite("residual", residual, low=0.0, high=10.0)
    if residual and len({len(level) for level in levels}) > 1:
        raise ParameterError(
            f"a residual network needs levels of one width, got residual={residual:g} and unequal ones"
        )
    phi, workers = named(activation), whole("workers", workers)
    choice("variance", variance, VARIANCES)
    means, variances = _moments(levels)
    batches = _batches(samples, rng, levels)

    def distances(batch):
        return _squared_distances(batch(), weights, biases, means[1:], phi, residual)

    with threadpool_limits(1, user_api="blas"), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        squared = np.concatenate(list(pool.map(distances, batches)), axis=1)
    count = squared.shape[1]
    divisor = 2 * (variances[1:] if variance == "layer" else variances[0])
    with np.errstate(over="ignore", invalid="ignore"):
        mean = squared.mean(axis=1) / divisor
        error = squared.std(axis=1, ddof=1) / (math.sqrt(count) * divisor)
    finished = np.isfinite(mean) & np.isfinite(error)
    if not finished.all():
        level = 1 + int(np.argmin(finished))
        raise ParameterError(f"the samples leave the range of numbers at level {level}: take fewer levels")
    widths = np.array([len(level) for level in levels])
    logarithms = widths / 2 * np.log(2 * math.pi * variances)
    value = mean - widths[0] / 2 + logarithms[1:] - logarithms[0]
    return PushforwardEstimate(
        value=np.concatenate([[0.0], value]),
        error=np.concatenate([[0.0], error]),
        samples=count,
        variance=variance,
    )


def checked_layers(weights, biases, preactivations) -> tuple:
    """Return weights, biases and levels of one input as float64 arrays that chain, or raise.

    Parameters
    ----------
    weights, biases, preactivations
        As for `pushforward_estimate`.

    Returns
    -------
    weights : list of float64 (n_l, n_{l-1})
        Those into level 1, 2, ...; what leads into level 0 is checked and left out.
    biases : list of float64 (n_l,)
    levels : list of float64 (n_l,)

    Raises
    ------
    ParameterError
        If there are less than two levels, too many or too few weights or biases, an array is not finite, or one has not
        the shape that its neighbours want.

    Examples
    --------
    >>> weights, _, _ = checked_layers([np.ones((2, 3)), np.ones((1, 2))], [[0, 0], [0]], [[1, 2], [3]])
    >>> [weight.shape for weight in weights]
    [(1, 2)]
    """
    given = [_listed(*pair) for pair in (("weights", weights), ("biases", biases), ("preactivations", preactivations))]
    weights, biases, levels = given
    if len(levels) < 2:
        raise ParameterError(f"preactivations must have at least two levels, got {len(levels)}")
    first = len(levels) - len(weights)
    if first not in (0, 1) or len(biases) != len(weights):
        raise ParameterError(
            f"{len(levels)} levels need {len(levels) - 1} weights and biases, or {len(levels)} with those into "
            f"level 0; got {len(weights)} and {len(biases)}"
        )
    levels = [_array(f"preactivations of level {m}", level, 1) for m, level in enumerate(levels)]
    weights = [_array(f"weights into level {m}", weight, 2) for m, weight in enumerate(weights, start=first)]
    biases = [_array(f"biases of level {m}", bias, 1) for m, bias in enumerate(biases, start=first)]
    for m, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=first):
        wanted = len(levels[m]), len(levels[m - 1]) if m else weight.shape[1]
        if weight.shape != wanted:
            raise ParameterError(f"weights into level {m} must have shape {wanted}, got {weight.shape}")
        if len(bias) != wanted[0]:
            raise ParameterError(f"biases of level {m} must be {wanted[0]}, got {len(bias)}")
    return weights[1 - first :], biases[1 - first :], levels


def _listed(name, values):
    try:
        return list(values)
    except TypeError as error:
        raise ParameterError(f"{name} must be a sequence of arrays, got {values!r}") from error


def _array(name, values, dimensions):
    """A finite float64 array of so many dimensions."""
    try:
        shape = np.shape(values)
    except ValueError as error:
        raise ParameterError(f"{name} must be an array, got rows of unequal length") from error
    if len(shape) != dimensions:
        wanted = ("(neurons,)", "(neurons, neurons of the level before)")[dimensions - 1]
        raise ParameterError(f"{name} must have shape {wanted}, got shape {shape}")
    return checked_inputs(name, np.atleast_2d(values)).reshape(shape)


def _moments(levels):
    """Mean and population variance over the neurons of each level."""
    with np.errstate(over="ignore", invalid="ignore"):
        means, variances = (np.array([moment(level) for level in levels]) for moment in (np.mean, np.var))
    bad = np.flatnonzero(~(np.isfinite(variances) & (variances > 0)))
    if len(bad):
        raise ParameterError(
            "the neurons of every level must have a finite variance above 0, "
            f"got {variances[bad[0]]:g} at level {bad[0]}"
        )
    return means, variances


def _batches(samples, rng, levels):
    """Functions that each return a batch of samples of level 0."""
    first = levels[0]
    if np.ndim(samples):
        if rng is not None:
            raise ParameterError("rng is for samples to be drawn: leave it out where samples are given")
        given = checked_inputs("samples", samples)
        if given.shape[1] != len(first) or len(given) < 2:
            raise ParameterError(f"samples must have shape (at least 2, {len(first)}), got {given.shape}")
        return [lambda start=start: given[start : start + BATCH] for start in range(0, len(given), BATCH)]
    count = whole("samples", samples, low=2)
    within_memory(f"the distances of {count} samples at {len(levels)} levels", 16 * count * len(levels))
    sizes = [min(BATCH, count - start) for start in range(0, count, BATCH)]
    streams = generator(rng).spawn(len(sizes))

    def drawn(stream, size):
        return lambda: first.mean() + first.std() * stream.standard_normal((size, len(first)))

    return [drawn(stream, size) for stream, size in zip(streams, sizes, strict=True)]


def _squared_distances(z, weights, biases, means, phi, residual):
    """``|z^m - mu_m|^2`` of samples of level 0, (levels after 0, samples)."""
    found = []
    room = np.empty((2, len(z) * max(len(bias) for bias in biases)))
    with np.errstate(over="ignore", invalid="ignore"):  # a new thread does not have its parent's
        for level, (weight, bias, mean) in enumerate(zip(weights, biases, means, strict=True)):
            after = room[level % 2, : len(z) * len(bias)].reshape(len(z), len(bias))
            np.matmul(phi(z), weight.T, out=after)
            if residual:
                after += residual * z
            after += bias - mean
            found.append(np.einsum("si,si->s", after, after))
            after += mean
            z = after
    return found
