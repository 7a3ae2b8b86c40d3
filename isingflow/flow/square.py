"""Level curves of the square lattice: the coupling curve of a recursion, and marginals of decimated configurations.

They are different quantities. The coupling curve compares infinite lattices with nearest-neighbour couplings; the
marginal curve compares windows of the configurations before and after decimation, with no truncation.
"""

import itertools
import math

import numpy as np

from isingflow.curve import LevelCurve, ScaleLine
from isingflow.errors import ParameterError
from isingflow.flow.counts import correlations_of_pairs, counts_of_blocks, marginal_series, pair_series
from isingflow.flow.recursions import sampled_coupling_curve
from isingflow.flow.scale import (
    LARGEST_RELATIVE_ERROR,
    UNDETERMINED,
    Ending,
    described,
    jackknife_errors,
    jackknifed_fit,
    power_law,
)
from isingflow.ising import couplings, decay, pair, square
from isingflow.ising.decimation import pair_counts, window_counts
from isingflow.ising.sampling import sample_square
from isingflow.parameters import LARGEST_COUPLING, SquareParameters, choice, finite, whole

WINDOWS = {
    "pair marginal": (1, 2),
    "2x2 marginal": (2, 2),
    "2x3 marginal": (2, 3),
    "3x3 marginal": (3, 3),
    "4x4 marginal": (4, 4),
}
"""Rows and columns of the windows of marginal curves."""

MARGINALS = ("pair marginal", "2x2 marginal", "row pair marginal")
"""The curves of a study."""

NEAREST_ONLY = ("nearest-neighbour", "maris-kadanoff", "migdal-kadanoff")
"""Recursions that stay among nearest-neighbour couplings, where Onsager's free energy is exact."""

LONGEST_DISTANCE = 16
"""Decimation factors of the row pair curve: every integer up to this."""

SHORTEST_FITTED = 2
"""From this distance on the leading term of the decay holds."""

LONG = 20
"""Correlation lengths from which on a torus is not told from the plane."""

SIGNIFICANT = 4.0
"""Standard errors from which on the correlation far away is not zero: the lattice is not disordered."""

AT_REST = 1e-12
"""A recursion that moves a coupling by less is at its fixed point: where it goes then is rounding."""

ROUNDING = 1e-9
"""Relative errors of a scale below this are rounding: single turned spins look the same at every distance."""

LOG_SCALES = (-3.0, 6.0)
"""Range in which the logarithm of a scale is looked for."""


def square_flow(
    coupling, *, quantity="pair marginal", scheme="nearest-neighbour", steps=8, rng=None, **settings
) -> LevelCurve:
    """Follow the square-lattice Ising model along its decimation.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in (0, 100].
    quantity : str
        "coupling": between infinite lattices with the couplings of level 0 and n of a recursion, per site, exact for
        what it is; of "wilson" between equal tori, sampled. "pair marginal" (per bond) and "2x2 marginal", "2x3
        marginal", "3x3 marginal", "4x4 marginal" (per window): of sampled configurations before and after `steps`
        sqrt(2) decimations. "row pair marginal" (per bond): neighbours along rows after decimation by every factor up
        to 16, and the scale read off them.
    scheme : {"nearest-neighbour", "maris-kadanoff", "wilson", "migdal-kadanoff"}
        Recursion of "coupling".
    steps : int
        Levels after level 0, at least 1; "migdal-kadanoff" has one of length 2 for every two.
    rng : numpy.random.Generator or int, optional
        For the sampled quantities.
    **settings
        ``side``, ``samples``, ``algorithm`` of `isingflow.parameters.SquareParameters`; of "coupling" with "wilson"
        ``side`` and ``samples`` of `isingflow.flow.recursions.sampled_coupling_curve`.

    Returns
    -------
    LevelCurve

    Raises
    ------
    ParameterError
        If a parameter is out of range, `rng` is missing where it is needed, or the samples are too few for the window.

    References
    ----------
    Erdmenger, Grosvenor & Jefferson, SciPost Phys. 12, 041 (2022), section 2.

    Examples
    --------
    >>> curve = square_flow(0.3, quantity="coupling", steps=4)
    >>> curve.value.round(5).tolist()
    [0.0, 0.03182, 0.08631, 0.11151, 0.11392]
    """
    quantity = choice("quantity", quantity, ("coupling", *WINDOWS, "row pair marginal"))
    choice("scheme", scheme, couplings.RECURSIONS)
    if quantity == "coupling" and scheme not in NEAREST_ONLY:
        return sampled_coupling_curve(coupling, scheme=scheme, steps=steps, rng=rng, **settings)
    if quantity == "coupling":
        if settings:
            raise ParameterError(f"a coupling curve takes no {', '.join(sorted(settings))}: nothing is sampled")
        return coupling_curve(coupling, scheme=scheme, steps=steps)
    parameters = SquareParameters(coupling=coupling, steps=steps, **settings)
    return sampled_curves(parameters, rng, quantities=(quantity,))[0]


def coupling_curve(coupling, *, scheme, steps) -> LevelCurve:
    """Return the per-site curve between infinite lattices with the couplings of a recursion, by Onsager's solution.

    It ends before couplings beyond 100.
    """
    coupling = finite("coupling", coupling, above=0.0, high=LARGEST_COUPLING)
    stride = couplings.RECURSIONS[scheme].levels
    flow = couplings.flow(coupling, scheme=scheme, steps=whole("steps", steps) // stride)[:, 0]
    flow = [float(k) for k in flow[np.isfinite(flow)]]

    def between(pairs):
        return [square.relative_entropy_per_site(p, q) for p, q in pairs]

    to_zero = _regime(flow) == "saturating"
    series = {
        "value": between((flow[0], k) for k in flow),
        "reverse": between((k, flow[0]) for k in flow),
        "step": [*between(itertools.pairwise(flow)), math.nan],
    }
    asymptote = square.relative_entropy_per_site(coupling, 0.0) if to_zero else math.nan
    return LevelCurve(
        system="square",
        quantity=f"coupling, {scheme}",
        per="site",
        control="coupling",
        parameters={"coupling": coupling},
        levels=stride * np.arange(len(flow)),
        length=math.sqrt(2) ** (stride * np.arange(len(flow))),
        **series,
        exact=series["value"],
        exact_reverse=series["reverse"],
        exact_step=series["step"],
        reference="exact",
        regime=_regime(flow),
        asymptote=asymptote,
        asymptote_error=0.0 if to_zero else math.nan,
        asymptote_exact=asymptote,
    )


def _regime(flow):
    if len(flow) == 1 or abs(flow[1] - flow[0]) < AT_REST:
        return "undetermined"
    return "saturating" if flow[-1] < flow[0] else "growing"


def exact_pair_correlations(coupling, levels, side) -> list[float]:
    """Return ``<s s'>`` of neighbours on the lattices of these levels of a torus, exact.

    Even levels (rows) have the torus formula. Odd ones (diagonals) have the plane's, which holds for a side of many
    correlation lengths: NaN for shorter ones, so at and near ``K_c``.
    """
    short = side < LONG * square.correlation_length(coupling)

    def one(level):
        distance = 2 ** (level // 2)
        if level % 2:
            return math.nan if short else square.correlation(coupling, distance, direction="diagonal")
        return square.correlation(coupling, distance, direction="row", side=side)

    return [one(int(level)) for level in levels]


def sampled_curves(parameters: SquareParameters, rng, *, quantities=MARGINALS, workers=None) -> tuple[LevelCurve, ...]:
    """Return marginal curves of one set of sampled configurations.

    `quantities` are among those of `square_flow`; `workers` are threads, as in
    `isingflow.ising.sampling.sample_square`.
    """
    sample = sample_square(
        parameters.coupling,
        side=parameters.side,
        samples=parameters.samples,
        rng=rng,
        algorithm=parameters.algorithm,
        workers=workers,
    )
    rows, ending = _row_pair_curve(parameters, sample.packed)
    return tuple(
        _window_curve(parameters, sample.packed, quantity, rows, ending) if quantity in WINDOWS else rows
        for quantity in quantities
    )


def _window_curve(parameters, packed, quantity, rows, ending):
    shape = WINDOWS[quantity]
    reach = max(shape)
    levels = [n for n in range(parameters.steps + 1) if reach * 2 ** ((n + 1) // 2) <= parameters.side]
    if len(levels) < 2:
        wanted = f"a window of {shape[0]} x {shape[1]}, decimated once, needs a side of {2 * reach}"
        raise ParameterError(f"{wanted}, got side={parameters.side}")

    def counted(level):
        return counts_of_blocks(lambda spins: window_counts(spins, shape, level=level), packed)

    series = marginal_series(
        [counted(level) for level in levels], shape=shape, symmetry="flip+reflect", samples=parameters.samples
    )
    exact = {}
    if quantity == "pair marginal":
        exact = pair_series(exact_pair_correlations(parameters.coupling, levels, parameters.side))
        exact |= {"reference": "exact", "asymptote_exact": rows.asymptote_exact}
        exact |= {"asymptote": rows.asymptote, "asymptote_error": rows.asymptote_error}
    return _record(
        parameters,
        quantity=quantity,
        per="bond" if quantity == "pair marginal" else "window",
        levels=levels,
        length=[math.sqrt(2) ** level for level in levels],
        **exact,
        **ending._asdict(),
        **series,
    )


def _record(parameters, **fields):
    return LevelCurve(
        system="square",
        control="coupling",
        parameters={name: getattr(parameters, name) for name in ("coupling", "side", "samples")},
        scale_exact=square.correlation_length(parameters.coupling),
        estimator="zhang-grabchak",
        samples=parameters.samples,
        **fields,
    )


def _row_pair_curve(parameters, packed):
    distances = np.arange(1, min(LONGEST_DISTANCE, parameters.side // 2) + 1)
    counts = [pair_counts(packed, ((0, r), (r, 0))) for r in distances.tolist()]
    far = max(parameters.side // 4, 1)
    tail = pair_counts(packed, ((0, far), (far, 0)))
    series = marginal_series(counts, shape=(1, 2), symmetry="flip", samples=parameters.samples)
    correlations, replicates = correlations_of_pairs([*counts, tail])
    ending, limit, limits = row_ending(distances, correlations, replicates, side=parameters.side)
    asymptote = {}
    if ending.regime == "saturating":
        nearest, limits = np.append(correlations[0], replicates[:, 0]), np.append(limit, limits)
        ends = np.array([pair.relative_entropy(*both) for both in zip(nearest, limits, strict=True)])
        asymptote = {"asymptote": ends[0], "asymptote_error": jackknife_errors(ends[1:, None])[0]}
    exact = [
        square.correlation(parameters.coupling, r, direction="row", side=parameters.side) for r in distances.tolist()
    ]
    square_magnetization = square.magnetization(parameters.coupling) ** 2
    curve = _record(
        parameters,
        quantity="row pair marginal",
        per="bond",
        levels=distances,
        level_name="decimation factor",
        length=distances,
        **pair_series(exact),
        reference="exact",
        **asymptote,
        asymptote_exact=pair.relative_entropy(exact[0], square_magnetization),
        **ending._asdict(),
        **series,
    )
    return curve, ending


def row_ending(distances, correlations, replicates, *, side) -> tuple[Ending, float, np.ndarray]:
    """Tell regime and scale from correlations along rows; the last one, from far away, tells the phase.

    Parameters
    ----------
    distances : numpy.ndarray
        int64 (n,): lattice constants, from 1 on.
    correlations : numpy.ndarray
        float64 (n + 1,): ``c_r`` at the distances, then the one far away.
    replicates : numpy.ndarray
        float64 (blocks, n + 1): delete-one-block replicates.
    side : int
        Of the torus, lattice constants.

    Returns
    -------
    Ending
        "saturating" with a scale not longer than the distances; else "critical" where the correlation reaches far, with
        the exponent of ``c_r``, what the torus changes at ``K_c`` taken off; else "undetermined".
    limit, limits : float, numpy.ndarray
        Where it is saturating, the correlation at infinite distance, ``m^2`` in the ordered phase, and its replicates.
    """
    fitted = distances >= SHORTEST_FITTED
    r, values, rows = distances[fitted], correlations[:-1][fitted], replicates[:, :-1][:, fitted]
    bounds = ([-np.inf, LOG_SCALES[0]], [np.inf, LOG_SCALES[1]])

    def fitted_by(model, shape, amplitude):
        start = [amplitude, 0.5]
        fit = jackknifed_fit(lambda s: s[0] * shape(math.exp(s[1])), start, values, rows, bounds=bounds)
        scale, error = math.exp(fit.parameters[1]), fit.errors[1]
        resolved = scale <= r[-1] and ROUNDING < error < LARGEST_RELATIVE_ERROR
        words = described(f"{model} of <s s'>", r)
        found = Ending("saturating", scale, scale * error) if resolved else UNDETERMINED
        return fit, found._replace(fit=words)

    if correlations[0] <= 0 or not (jackknife_errors(replicates) > 0).all():
        return UNDETERMINED, 0.0, np.zeros(len(replicates))
    if correlations[-1] < SIGNIFICANT * jackknife_errors(replicates)[-1]:
        _, ending = fitted_by("one-excitation decay", lambda scale: decay.disordered(r, scale), correlations[0])
        return ending, 0.0, np.zeros(len(replicates))
    fit, ending = fitted_by("two-excitation decay to m^2", lambda scale: 1 + decay.ordered(r, scale), correlations[-1])
    if ending.regime == "undetermined" and (values > 0).all():
        finite_size = decay.critical_on_torus(r, side)
        ending = power_law("<s s'> on a torus", r, values / finite_size, rows / finite_size)
        return ending, 0.0, np.zeros(len(replicates))
    return ending, fit.parameters[0], fit.replicates[:, 0]


def scale_line(values) -> ScaleLine:
    """Return the exact correlation length along a row against the coupling, float (n,), positive."""
    return ScaleLine(
        system="square",
        control="coupling",
        values=values,
        scale=[square.correlation_length(coupling) for coupling in values],
        critical=square.CRITICAL_COUPLING,
    )
