"""Level curves of the Ising chain: couplings exactly, windows of spins from samples."""

import itertools
import math

import numpy as np

from isingflow.curve import LevelCurve, ScaleLine
from isingflow.divergence.information import jensen_shannon
from isingflow.divergence.laws import Categorical
from isingflow.errors import ParameterError
from isingflow.flow.counts import correlations_of_pairs, marginal_series, pair_series
from isingflow.flow.scale import (
    LARGEST_RELATIVE_ERROR,
    UNDETERMINED,
    Ending,
    described,
    jackknife_errors,
    jackknifed_fit,
)
from isingflow.ising import chain, pair
from isingflow.ising.decimation import ring_window_counts
from isingflow.ising.packing import pack
from isingflow.parameters import ChainParameters, choice
from isingflow.seeding import generator

QUANTITIES = ("coupling", "window marginal", "pair marginal")
LONGEST_DISTANCE = 16
"""Decimation factors of the pair curve: every integer up to this."""

LONG = 20
"""Correlation lengths from which on a ring's windows are those of the infinite chain, to 1e-8."""


def chain_flow(coupling, field=0.0, *, quantity="coupling", rng=None, **settings) -> LevelCurve:
    """Follow the Ising chain along its decimation.

    Parameters
    ----------
    coupling : float
        ``K``, dimensionless, in (0, 100].
    field : float
        ``H``, dimensionless, in [-100, 100].
    quantity : {"coupling", "window marginal", "pair marginal"}
        "coupling": between infinite chains with the couplings of level 0 and n, per site, exact. "window marginal":
        windows of sampled rings before and after `steps` decimations; per bond, which without a field is per site,
        per window with one. "pair marginal": neighbours of sampled rings after decimation by every factor up to 16, and
        the scale read off them; no field.
    rng : numpy.random.Generator or int, optional
        For the sampled quantities.
    **settings
        ``factor``, ``steps``, ``sites``, ``samples``, ``window`` of `isingflow.parameters.ChainParameters`.

    Returns
    -------
    LevelCurve

    Raises
    ------
    ParameterError
        If a parameter is out of range, or `rng` is missing where it is needed.

    References
    ----------
    Erdmenger, Grosvenor & Jefferson, SciPost Phys. 12, 041 (2022), section 2.

    Examples
    --------
    >>> curve = chain_flow(1.0, steps=3)
    >>> curve.value.round(9).tolist(), round(curve.asymptote, 9)
    ([0.0, 0.028316438, 0.121268243, 0.247688147], 0.327813325)
    """
    quantity = choice("quantity", quantity, QUANTITIES)
    parameters = ChainParameters(coupling=coupling, field=field, **settings)
    if quantity == "coupling":
        return coupling_curve(parameters)
    if quantity == "pair marginal" and parameters.field:
        raise ParameterError(f"pairs are compared without a field, got field={field}; windows know fields")
    return sampled_curves(parameters, rng)[QUANTITIES.index(quantity) - 1]


def _couplings(parameters):
    """Couplings (K, H) at every level, and in the limit."""
    levels = [(parameters.coupling, parameters.field)]
    for _ in range(parameters.steps):
        levels.append(chain.decimate_couplings(*levels[-1], factor=parameters.factor))
    down, up = chain.ChainWindow(*levels[0], width=1).probabilities()
    return levels, (0.0, 0.5 * math.log(up / down))


def _record(parameters, /, **fields):
    return LevelCurve(
        system="chain",
        control="coupling",
        scale_exact=chain.correlation_length(parameters.coupling, parameters.field),
        **fields,
    )


def coupling_curve(parameters: ChainParameters) -> LevelCurve:
    """Return the exact per-site curve between infinite chains with the couplings of the levels."""
    couplings, limit = _couplings(parameters)

    def between(pairs):
        return [chain.relative_entropy_per_site(p, q) for p, q in pairs]

    asymptote = chain.relative_entropy_per_site(couplings[0], limit)
    series = {
        "value": between((couplings[0], level) for level in couplings),
        "reverse": between((level, couplings[0]) for level in couplings),
        "step": [*between(itertools.pairwise(couplings)), math.nan],
    }
    scale = chain.correlation_length(parameters.coupling, parameters.field)
    return _record(
        parameters,
        quantity="coupling",
        per="site",
        parameters={name: getattr(parameters, name) for name in ("coupling", "field", "factor")},
        levels=np.arange(len(couplings)),
        length=float(parameters.factor) ** np.arange(len(couplings)),
        **series,
        exact=series["value"],
        exact_reverse=series["reverse"],
        exact_step=series["step"],
        reference="exact",
        regime="saturating",
        asymptote=asymptote,
        asymptote_error=0.0,
        asymptote_exact=asymptote,
        scale=scale,
        scale_error=0.0,
    )


def sampled_curves(parameters: ChainParameters, rng) -> tuple[LevelCurve, ...]:
    """Return the curves estimated from sampled rings: of windows, and without a field of pairs at every distance."""
    rng = generator(rng)
    spins = chain.sample(
        parameters.coupling, parameters.field, sites=parameters.sites, samples=parameters.samples, rng=rng
    )
    rings = pack(spins[:, None, :])
    if parameters.field:
        return (_window_curve(parameters, rings, UNDETERMINED),)
    pairs = _pair_curve(parameters, rings)
    ending = Ending(pairs.regime, pairs.scale, pairs.scale_error, fit=pairs.fit)
    return _window_curve(parameters, rings, ending), pairs


def _window_curve(parameters, rings, ending):
    width, factor = parameters.window, parameters.factor
    couplings, limit = _couplings(parameters)
    spacings = [factor**n for n in range(parameters.steps + 1) if width * factor**n <= parameters.sites]
    counts = [ring_window_counts(rings, width, spacing=spacing) for spacing in spacings]
    share = 1.0 if parameters.field else 1 / (width - 1)
    symmetry = "none" if parameters.field else "flip+reflect"
    series = marginal_series(counts, shape=(1, width), symmetry=symmetry, samples=parameters.samples, share=share)
    laws = [chain.ChainWindow(*level, width=width) for level in couplings[: len(spacings)]]

    def between(p, q):
        return [share * a.relative_entropy_to(b) for a, b in zip(p, q, strict=True)]

    first = [laws[0]] * len(laws)
    exact = {}
    # the laws are those of the infinite chain, which a short ring does not have
    if parameters.sites > LONG * chain.correlation_length(parameters.coupling, parameters.field):
        exact = {
            "exact": between(first, laws),
            "exact_reverse": between(laws, first),
            "exact_step": [*between(laws[:-1], laws[1:]), math.nan],
            "exact_jensen_shannon": _jensen_shannon_of_windows(laws, share),
            "reference": "exact",
            "asymptote_exact": share * laws[0].relative_entropy_to(chain.ChainWindow(*limit, width=width)),
        }
    return _record(
        parameters,
        quantity="window marginal",
        per="window" if parameters.field else "bond",
        parameters={
            name: getattr(parameters, name) for name in ("coupling", "field", "factor", "window", "sites", "samples")
        },
        levels=np.arange(len(spacings)),
        length=spacings,
        **exact,
        estimator="zhang-grabchak",
        samples=parameters.samples,
        **_tail(ending, spacings, series),
        **ending._asdict(),
        **series,
    )


def _jensen_shannon_of_windows(laws, share):
    first, *others = [Categorical(law.probabilities()) for law in laws]
    return [0.0, *(share * float(jensen_shannon(first, other)) for other in others)]


def _tail(ending, lengths, series):
    """The asymptote is the last level where that lies more than 20 scales away."""
    if ending.regime != "saturating" or lengths[-1] < 20 * ending.scale:
        return {}
    return {"asymptote": series["value"][-1], "asymptote_error": series["error"][-1]}


def _pair_ending(distances, correlations, replicates):
    """The scale from an exponential, where the data know it and it is not longer than they reach."""
    if correlations[0] <= 0 or not (jackknife_errors(replicates) > 0).all():
        return UNDETERMINED
    start = [0.0, np.log(correlations[0])]
    fit = jackknifed_fit(lambda s: np.exp(s[0] + s[1] * distances), start, correlations, replicates)
    rate, error = -fit.parameters[1], fit.errors[1]
    known = rate * distances[-1] >= 1 and error < LARGEST_RELATIVE_ERROR * rate
    words = described("exponential of <s s'>", distances)
    return Ending("saturating", 1 / rate, error / rate**2, fit=words) if known else UNDETERMINED._replace(fit=words)


def _ring_correlations(parameters, distances):
    """``<s_0 s_r>`` of the finite ring without a field, ``(t^r + t^(N-r)) / (1 + t^N)``, ``t = tanh K``."""
    t, sites = math.tanh(parameters.coupling), parameters.sites
    return [(t ** int(r) + t ** (sites - int(r))) / (1 + t**sites) for r in distances]


def _pair_curve(parameters, rings):
    distances = np.arange(1, min(LONGEST_DISTANCE, parameters.sites // 2) + 1)
    counts = [ring_window_counts(rings, 2, spacing=int(r)) for r in distances]
    series = marginal_series(counts, shape=(1, 2), symmetry="flip", samples=parameters.samples)
    correlations, replicates = correlations_of_pairs(counts)
    ending = _pair_ending(distances, correlations, replicates)
    nearest = _ring_correlations(parameters, [1])[0]
    independent = np.array([pair.relative_entropy(c, 0.0) for c in (correlations[0], *replicates[:, 0])])
    return _record(
        parameters,
        quantity="pair marginal",
        per="bond",
        parameters={name: getattr(parameters, name) for name in ("coupling", "sites", "samples")},
        levels=distances,
        level_name="decimation factor",
        length=distances,
        **pair_series(_ring_correlations(parameters, distances)),
        reference="exact",
        asymptote=independent[0],
        asymptote_error=jackknife_errors(independent[1:, None])[0],
        asymptote_exact=pair.relative_entropy(nearest, 0.0),
        estimator="zhang-grabchak",
        samples=parameters.samples,
        **ending._asdict(),
        **series,
    )


def scale_line(couplings) -> ScaleLine:
    """Return the exact correlation length against the coupling, float (n,): it grows without bound."""
    return ScaleLine(
        system="chain",
        control="coupling",
        values=couplings,
        scale=[chain.correlation_length(coupling) for coupling in couplings],
        critical=math.inf,
    )
