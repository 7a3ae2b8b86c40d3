"""Level curves of a random network: the law of one neuron, for one input or several jointly, layer by layer.

Every curve is over the ensemble of networks, for named inputs. The limit of infinite width stands beside it as mean
field, with or without its first correction at the width of the networks; only level 0 is exact at finite width.
"""

import itertools
import math

import numpy as np

from isingflow.curve import LevelCurve, ScaleLine
from isingflow.divergence.estimate import kl_divergence
from isingflow.divergence.gaussian import Moments
from isingflow.divergence.laws import Gaussian
from isingflow.errors import ParameterError
from isingflow.flow.scale import UNDETERMINED, Ending, described, geometric, jackknife_errors, jackknifed_fit
from isingflow.network import meanfield
from isingflow.network.finite_width import excess, input_correction, pair_correction
from isingflow.network.gaussian_process import nngp_levels
from isingflow.network.inputs import checked_inputs, input_kernel
from isingflow.network.propagation import Propagation, propagate
from isingflow.parameters import NetworkParameters, choice, whole
from isingflow.resampling import block_sums

BLOCKS = 40
"""Networks are independent, so that blocks need no length: more of them tell the error better, as far as there are."""

FEWEST = 20
"""Networks, and with so few as many blocks."""

REFERENCES = {"mean field": "mean field", "1/width": "mean field, 1/width"}
"""What a sampled curve may be compared with, and what its record calls that."""

SMALLEST_EIGENVALUE = 1e-9
"""Of the correlations between differences of inputs: relative entropies have some six digits."""

SKIPPED = 4
"""Layers before the fits: the variance has to settle first."""


def network_flow(
    inputs, network: NetworkParameters, *, networks, rng, ensemble="conditional", workers=1, reference="mean field"
) -> LevelCurve:
    """Follow named inputs through an ensemble of random networks.

    Parameters
    ----------
    inputs : array_like of float
        (m, n_in), normalised as `isingflow.network.inputs.normalise` does; the law compared is that of the m
        pre-activations of one neuron.
    network : NetworkParameters
        The ensemble.
    networks : int
        Networks sampled, at least 20; the jackknife deletes 40 blocks of them, or so many as there are.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    ensemble : {"conditional", "weights"}
        As in `isingflow.network.propagation.propagate`; the laws are the same.
    workers : int
        Threads over networks.
    reference : {"mean field", "1/width"}
        What stands beside the curve: mean field, the limit of infinite width; or with its first correction,
        `isingflow.network.finite_width` over the width, for one input or two of equal norm, also of residual networks
        and of levels of unequal widths. The references of
        asymptote and scale stay mean field.

    Returns
    -------
    LevelCurve
        Per neuron, with its reference beside it.

    Raises
    ------
    ParameterError
        If a parameter is out of range, the inputs are linearly dependent, or come so close that the relative entropy
        leaves the range of numbers, or their 1/width correction is not known.

    Notes
    -----
    The correction is a first order, not a bound: where it exceeds 30 % of mean field at some level, as in networks
    much deeper than wide, it is no longer small, the next orders (about its square) may be as large as what is left,
    and a corrected reference can even be negative. Nothing is switched off there: compare with "mean field" to see.

    References
    ----------
    Erdmenger, Grosvenor & Jefferson, SciPost Phys. 12, 041 (2022), section 3; Poole et al., arXiv:1606.05340, eqs. (3)
    and (5) (mean field).

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=4, width=64)
    >>> curve = network_flow([[1.0, 1.0], [1.0, -1.0]], network, networks=40, rng=1)
    >>> curve.quantity, curve.value.shape
    ('two inputs', (5,))
    """
    whole("networks", networks, low=FEWEST)
    _check_reference(reference, input_kernel(checked_inputs("inputs", inputs), network))
    propagation = propagate(inputs, network, networks=networks, rng=rng, ensemble=ensemble, workers=workers)
    return curve_of(propagation, inputs=len(propagation.kernel), reference=reference)


def curve_of(propagation: Propagation, *, inputs, label="", reference="mean field") -> LevelCurve:
    """Return the curve of the first inputs of a propagation, jointly.

    Parameters
    ----------
    propagation : Propagation
        From at least 20 networks.
    inputs : int
        How many of its inputs, from the first on.
    label : str
        Appended to the name of the quantity.
    reference : {"mean field", "1/width"}
        As for `network_flow`.

    Returns
    -------
    LevelCurve

    Raises
    ------
    ParameterError
        If the inputs are linearly dependent, or their 1/width correction is not known.
    """
    network, kernel = propagation.network, propagation.kernel[:inputs, :inputs]
    difference_kernel = propagation.difference_kernel[:inputs, :inputs]
    _check_reference(reference, kernel)
    level_zero = _level_zero(difference_kernel)
    references = _references(kernel, difference_kernel, network, reference)
    sums, products = propagation.sums[..., :inputs], propagation.products[..., :inputs, :inputs]
    widths = np.array(network.widths)
    layers = [
        Moments(np.full(len(sums), widths[level]), sums[:, level], products[:, level])
        for level in range(1, network.depth + 1)
    ]
    found = series([level_zero, *layers], blocks=min(BLOCKS, len(sums)))
    blocks = block_sums(products, min(BLOCKS, len(products)))
    totals = np.concatenate([products.sum(axis=0)[None], products.sum(axis=0) - blocks])  # all, then without each block
    weights = len(products) - np.concatenate([[0], block_sums(np.ones(len(products)), len(blocks))])
    moments = totals / np.multiply.outer(weights, widths)[:, :, None, None]
    name = {1: "one input", 2: "two inputs"}.get(inputs, f"{inputs} inputs")
    ensemble = "weights" if propagation.ensemble == "weights" else ""
    told = {1: _one_input, 2: _two_inputs}.get(inputs)
    # where the variance goes to zero or grows without bound it has no limit, and the curve none
    settles = 0 < _settled(network).variance < math.inf
    ending = told(moments) if settles and told is not None else UNDETERMINED._asdict()
    return LevelCurve(
        system="network",
        quantity=", ".join(filter(None, (name, kind_of(network), ensemble, label))),
        per="neuron",
        control="weight_variance",
        parameters=recorded(network) | {"networks": len(sums), "ensemble": propagation.ensemble},
        levels=np.arange(network.depth + 1),
        level_name="layers",
        length=np.arange(network.depth + 1),
        estimator="gaussian",
        samples=len(sums),
        **references,
        **ending,
        **found,
    )


def mean_field_flow(inputs, network: NetworkParameters) -> LevelCurve:
    """Follow named inputs through a network of infinite width: the joint law of their pre-activations at one neuron.

    Parameters
    ----------
    inputs : array_like of float
        (m, n_in), as for `network_flow`; of any norms, linearly independent.
    network : NetworkParameters
        Its width is not used.

    Returns
    -------
    LevelCurve
        Per neuron; nothing is sampled. The scale is ``xi_q`` of one input, ``xi_c`` of several; where these come
        together, in the ordered phase and at the edge of chaos, there is no asymptote.

    Raises
    ------
    ParameterError
        If a parameter is out of range, the inputs are linearly dependent, or they come so close that the relative
        entropy leaves the range of numbers.

    References
    ----------
    Lee et al., arXiv:1711.00165, Eq. 5 (the covariances).

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.5, bias_variance=0.05, depth=3, width=1)
    >>> curve = mean_field_flow([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [2.0, 0.0, 1.0]], network)
    >>> curve.quantity, curve.value.round(4).tolist()
    ('3 inputs, mean field', [0.0, 0.4554, 0.8028, 0.9702])
    """
    inputs = checked_inputs("inputs", inputs)
    kernel = input_kernel(inputs, network)
    apart = inputs - inputs[0]
    difference_kernel = network.weight_variance * np.einsum("ai,bi->ab", apart, apart) / inputs.shape[1]
    difference_kernel[0] = difference_kernel[:, 0] = kernel[0] - kernel[0, 0]
    difference_kernel[0, 0] = kernel[0, 0]
    _level_zero(difference_kernel)
    found = _mean_field(kernel, difference_kernel, network)
    name = {1: "one input", 2: "two inputs"}.get(len(inputs), f"{len(inputs)} inputs")
    settled = _settled(network)
    regime = "undetermined"
    if 0 < settled.variance < math.inf:
        growth = settled.susceptibility - 1
        chaotic = "saturating" if growth > 0 else "growing"
        regime = "saturating" if len(inputs) == 1 else "critical" if math.isinf(settled.xi_c) else chaotic
    return LevelCurve(
        system="network",
        quantity=", ".join(filter(None, (name, "residual" * bool(network.residual), "mean field"))),
        per="neuron",
        control="weight_variance",
        parameters={name: value for name, value in recorded(network).items() if name != "width"},
        levels=np.arange(network.depth + 1),
        level_name="layers",
        length=np.arange(network.depth + 1),
        estimator="mean field",
        samples=0,
        regime=regime,
        **found,
    )


def recorded(network) -> dict:
    """Return what a curve records of a network: unequal widths as text, a residual strength only where there is one."""
    width = "-".join(map(str, network.width)) if isinstance(network.width, tuple) else network.width
    found = {
        "weight_variance": network.weight_variance,
        "bias_variance": network.bias_variance,
        "width": width,
        "depth": network.depth,
        "activation": network.activation,
    }
    return found | ({"residual": network.residual} if network.residual else {})


def kind_of(network) -> str:
    """Return the word that keeps apart curves whose records differ: in one family they would not fit side by side."""
    return "residual" if network.residual else "unequal widths" * isinstance(network.width, tuple)


def _check_reference(reference, kernel):
    choice("reference", reference, REFERENCES)
    norms = np.diag(kernel)
    if reference == "1/width" and not _alike(norms):
        given = f"{len(norms)} inputs" if len(norms) != 2 else f"two of variances {norms[0]:g} and {norms[1]:g}"
        raise ParameterError(
            f"the reference '1/width' is known for one input, or two of equal norm, got {given}: "
            "take reference='mean field'"
        )


def _alike(norms):
    """One input, or two of equal norm."""
    return len(norms) <= 2 and np.allclose(norms, norms[0], rtol=1e-9, atol=0)


def _gap(norms, difference_kernel):
    return difference_kernel[1, 1] / norms.sum() if len(norms) == 2 else 0.0


def _references(kernel, difference_kernel, network, reference):
    """Name the fields of a mean-field curve as references of a sampled one, and correct them if asked."""
    found, norms = _mean_field(kernel, difference_kernel, network), np.diag(kernel)
    names = {"value": "exact", "reverse": "exact_reverse", "step": "exact_step"}
    names |= {"asymptote": "asymptote_exact", "scale": "scale_exact"}
    named = {names[name]: value for name, value in found.items()} | {"reference": REFERENCES[reference]}
    if reference == "1/width":
        pair = len(norms) == 2
        start = (norms[0], _gap(norms, difference_kernel)) if pair else (norms[0],)
        first = (pair_correction if pair else input_correction)(*start, network)
        named["exact"] = named["exact"] + first.curve_correction / network.widths[0]
        named["exact_reverse"] = named["exact_reverse"] + first.reverse_correction / network.widths[0]
        named["exact_step"] = named["exact_step"] + first.step_correction / network.widths[0]
    return named


def _level_zero(cov):
    """Given the inputs, layer 0 is normal with a known covariance, of the first input and the differences from it."""
    scale = np.sqrt(np.diag(cov))
    smallest = np.linalg.eigvalsh(cov / np.outer(scale, scale))[0] if scale.all() else 0.0
    if smallest < SMALLEST_EIGENVALUE:
        raise ParameterError(
            "the inputs must be linearly independent, and but for the first none so close to another that their "
            "difference is lost beside it: give the closest ones first; the correlations of the differences from the "
            f"first have an eigenvalue of {smallest:.1g}"
        )
    return Gaussian(np.zeros(len(cov)), cov)


def series(levels, **options) -> dict:
    """Return value, reverse and step between samples or laws of the levels, which are paired, as fields of a curve."""

    def against(p, q):
        return kl_divergence(p, q, paired=True, **options)

    estimates = {
        "value": [against(levels[0], level) for level in levels[1:]],
        "reverse": [against(level, levels[0]) for level in levels[1:]],
        "step": [against(p, q) for p, q in itertools.pairwise(levels)],
    }
    found = {"flags": tuple(flag for several in estimates.values() for one in several for flag in one.flags)}
    for name, several in estimates.items():
        before, after = ([], [math.nan]) if name == "step" else ([0.0], [])
        error = "error" if name == "value" else f"{name}_error"
        found[name] = np.array([*before, *(one.value for one in several), *after])
        found[error] = np.array([*[0.0] * len(before), *(one.stderr for one in several), *[0.0] * len(after)])
    return found


def _of_variances(p, q):
    """``D`` between centred normal laws of variances p and q."""
    return excess(np.asarray(p / q)) / 2


def _of_pairs(variance_p, gap_p, variance_q, gap_q):
    """``D`` between pairs of equal variances: sum and difference are independent."""
    total = _of_variances(variance_p * (2 - gap_p), variance_q * (2 - gap_q))
    return total + _of_variances(variance_p * gap_p, variance_q * gap_q)


def _settled(network):
    if network.residual >= 1:  # the variance grows without bound
        return meanfield.MeanField(math.inf, math.nan, math.nan, math.nan, math.inf, math.inf)
    where = network.weight_variance, network.bias_variance
    return meanfield.solve(*where, activation=network.activation, residual=network.residual)


def _mean_field(kernel, difference_kernel, network):
    """Curves, asymptote and scale at infinite width."""
    inputs, every = len(kernel), range(network.depth + 1)
    settled = _settled(network)
    settles = 0 < settled.variance < math.inf and (inputs == 1 or settled.correlation < 1)
    norms = np.diag(kernel)
    if _alike(norms):
        variances, gaps = meanfield.pair_levels(norms[0], _gap(norms, difference_kernel), network)
        laws = list(zip(variances, gaps, strict=True))
        limit = settled.variance, settled.gap

        def between(p, q):
            return _of_pairs(*p, *q) if inputs == 2 else _of_variances(p[0], q[0])
    else:
        away = np.diag(difference_kernel)[1:]
        distances = away[:, None] + away - 2 * difference_kernel[1:, 1:]
        distances = np.block([[np.zeros((1, 1)), away[None]], [away[:, None], distances]])
        levels = nngp_levels(kernel, network, distances=distances)
        laws = []
        for level, cov in enumerate(levels.difference_kernels):
            try:
                laws.append(Gaussian(np.zeros(inputs), cov))
            except ParameterError as error:  # the differences have underflowed
                raise _out_of_range(level, network) from error
        limit = settled.gap * (np.ones((inputs, inputs)) + np.eye(inputs))  # of the differences from the first input
        limit[0] = limit[:, 0] = -settled.gap
        limit[0, 0] = 1
        limit = Gaussian(np.zeros(inputs), settled.variance * limit) if settles else None

        def between(p, q):
            return p.relative_entropy_to(q)

    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        value = np.array([between(laws[0], laws[level]) for level in every])
    if not np.isfinite(value).all():
        raise _out_of_range(np.argmin(np.isfinite(value)), network)
    return {
        "value": value,
        "reverse": np.array([between(laws[level], laws[0]) for level in every]),
        "step": np.array([*(between(p, q) for p, q in itertools.pairwise(laws)), math.nan]),
        "asymptote": between(laws[0], limit) if settles else math.nan,
        "scale": settled.xi_q if inputs == 1 else settled.xi_c,
    }


def _out_of_range(level, network):
    return ParameterError(
        f"the relative entropy leaves the range of numbers at level {level}, where the inputs cannot be told apart any "
        f"more: take a depth below, got depth={network.depth}"
    )


def _one_input(moments):
    """The variance settles geometrically, and with it the curve."""
    variances = moments[:, :, 0, 0]
    return _ending("the variance", variances, lambda limits: _of_variances(variances[:, 0], limits))


def _two_inputs(moments):
    """A power of the gap ``1 - c`` tells how the curve ends.

    Its inverse grows geometrically in the ordered phase and linearly at the edge of chaos, from small gaps on; where
    the gap settles instead, its inverse root is closer to geometric. That choice is empirical: fitted
    to exact mean-field gaps from the fourth layer on, the scale is within 4 % of ``xi_c`` for weight variances 2.0 to
    2.5 and inputs of correlation 0.2 or 0.9, but 12 % low at (3.5, 0.9) and 23 % low at (1.85, 0.2), near the edge.
    The asymptote, at the gap that this tends to and the variance of the last layer, is there within 1.1 % from five
    scales of depth on, and for correlations up to 0.95 within 3.5 % from one and a half on; inputs of correlation 0.99
    need more (7 % and 12 % high at three scales). The curve itself is not geometric: inputs first draw together.
    """
    second = moments[..., 0, 0] + 2 * moments[..., 0, 1] + moments[..., 1, 1]
    variances, gaps = (moments[..., 0, 0] + second) / 2, moments[..., 1, 1] / (moments[..., 0, 0] + second)
    found = _ending("the inverse of the gap 1 - c", 1 / gaps)
    if found["regime"] == "critical":
        return _gap_exponent(gaps[:, SKIPPED:])._asdict()
    if found["regime"] == "growing":
        return found

    def curve(limits):
        return _of_pairs(variances[:, 0], gaps[:, 0], variances[:, -1], limits**-2)

    return _ending("the inverse root of the gap 1 - c", gaps**-0.5, curve)


def _ending(what, statistic, curve=None):
    """Regime and scale from a statistic (1 + blocks, levels) of all networks, and without each block of them.

    It is geometric in the layer; where it saturates the asymptote is what `curve` makes of its limits.
    """
    if statistic.shape[1] < SKIPPED + 5:
        return UNDETERMINED._asdict()
    lengths = np.arange(SKIPPED, statistic.shape[1])
    found = geometric(what, lengths, statistic[0, SKIPPED:], statistic[1:, SKIPPED:])
    if curve is None or found.limits is None:
        return found.ending._asdict()
    if found.limits.min() <= 0:  # of what is positive
        return UNDETERMINED._asdict()
    ends = curve(found.limits)
    return found.ending._asdict() | {"asymptote": ends[0], "asymptote_error": jackknife_errors(ends[1:, None])[0]}


def _gap_exponent(gaps):
    """Fit ``1 - c = amplitude (layer + offset)^-exponent``."""
    layers = np.arange(gaps.shape[1])
    start = [math.log(gaps[0, 0] * (1 + SKIPPED)), math.log(1 + SKIPPED), 1.0]

    def model(s):
        return np.exp(s[0] - s[2] * np.log(layers + np.exp(s[1])))

    fit = jackknifed_fit(model, start, gaps[0], gaps[1:])
    words = described("power law of the gap 1 - c in layer + offset", SKIPPED + layers)
    return Ending("critical", math.inf, math.nan, fit.parameters[2], fit.errors[2], words)


def scale_line(weight_variances, *, bias_variance) -> ScaleLine:
    """Return the mean-field depth scale ``xi_c`` against the weight variance, with the edge of chaos.

    Parameters
    ----------
    weight_variances : array_like of float
        ``sigma_w^2``, dimensionless, positive.
    bias_variance : float
        ``sigma_b^2``, dimensionless, non-negative.

    Returns
    -------
    ScaleLine
    """
    return ScaleLine(
        system="network",
        control="weight_variance",
        values=weight_variances,
        scale=meanfield.depth_scales(np.asarray(weight_variances), bias_variance).xi_c,
        critical=meanfield.critical_weight_variance(bias_variance),
        reference="mean field",
    )
