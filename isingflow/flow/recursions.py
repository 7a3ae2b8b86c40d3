"""Coupling recursions held against samples: curves beyond nearest neighbours, the exact first step, truncation errors.

Laws with more couplings than the nearest-neighbour one have no exact free energy. Between two of them it is found by
sampling both and a ladder of laws between, on equal tori: every curve here is one of L x L tori, not of the plane.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from isingflow.curve import LevelCurve
from isingflow.divergence.boltzmann import BoltzmannSamples, ladder
from isingflow.flow.counts import marginal_series, pair_series
from isingflow.ising import couplings, square
from isingflow.ising.decimation import pair_counts, window_counts
from isingflow.ising.sampling import sample_square
from isingflow.parameters import EXACT_STEP, LARGEST_SAMPLED, TruncationParameters, choice, finite, whole
from isingflow.seeding import generator

BLOCKS = 16
"""Of the jackknife: whole chains of a sample, of which there are 128, or 4 of clusters."""

FEWEST = 8 * BLOCKS
"""Configurations of a law, so that no block is left without its fluctuations."""

REACH = 2.0
"""Neighbours on a ladder differ by no more than so many standard deviations of ``ln p - ln q``."""

REMAINDER = 0.2
"""Times ``side**-4``: what the shape of a torus may still change in `first_step`; by transfer matrices at most 0.17."""

WINDOWS = (("pair marginal", (1, 2), "bond"), ("2x2 marginal", (2, 2), "window"))

_EQUAL = np.array([1, -1, -1, 1])
_PARITY = np.array([(-1) ** symbol.bit_count() for symbol in range(16)])


class _Torus(NamedTuple):
    """What the laws that are compared have in common."""

    side: int
    samples: int
    rng: np.random.Generator
    workers: int | None

    def spins(self, law):
        """Sample configurations at couplings ``(K1, K2, K3)``, the last ones left out where zero."""
        law = dict(zip(("coupling", "diagonal", "plaquette"), map(float, law), strict=False))
        return sample_square(law.pop("coupling"), **law, **self._asdict()).packed

    def statistics(self, law):
        """The sums that the couplings multiply, of configurations at these three."""
        spins = self.spins(law)
        nearest = pair_counts(spins, ((0, 1), (1, 0))) @ _EQUAL
        diagonal = pair_counts(spins, ((1, 1), (1, -1))) @ _EQUAL
        plaquettes = window_counts(spins, (2, 2)) @ _PARITY
        return BoltzmannSamples(np.stack([nearest, diagonal, plaquettes], axis=1), law)

    def between(self, p, q):
        """Sample the laws between two, so many that neighbours overlap."""
        step = q.couplings - p.couplings
        spread = max(math.sqrt(max(step @ np.cov(one.statistics.T) @ step, 0.0)) for one in (p, q))
        if spread <= REACH:
            return []
        middle = self.statistics((p.couplings + q.couplings) / 2)
        return [*self.between(p, middle), middle, *self.between(middle, q)]


def _jackknifed(rows):
    """Values and errors from (1 + blocks, ...): the estimate, then those without each block."""
    return rows[0], np.sqrt((len(rows) - 1) * np.var(rows[1:], axis=0))


def _means(samples):
    """Mean statistics (1 + blocks, 3): of all samples, then without each block."""
    labels = samples.block_labels(BLOCKS)
    kept = [np.ones(len(samples), bool), *(labels != block for block in range(BLOCKS))]
    return np.array([samples.statistics[rows].mean(axis=0) for rows in kept])


def sampled_coupling_curve(coupling, *, scheme, steps=8, side=32, samples=1024, rng=None, workers=None) -> LevelCurve:
    """Follow the couplings of a recursion by sampling: relative entropy per site between equal tori.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K`` of level 0, dimensionless, in (0, 1].
    scheme : {"wilson", "maris-kadanoff", "migdal-kadanoff", "nearest-neighbour"}
        The recursion. All but "wilson" have exact curves, which then are the reference.
    steps : int
        Levels after level 0, at least 1; "migdal-kadanoff" has one for every two.
    side : int
        ``L`` of the tori, at least 2.
    samples : int
        Configurations of every law, at least 128.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    workers : int, optional
        Threads, as in `isingflow.ising.sampling.sample_square`; the numbers do not depend on it.

    Returns
    -------
    LevelCurve
        It ends before couplings with ``K1 + K2 > 1``, where hardly a spin is turned: flagged "couplings-too-large".

    Raises
    ------
    ParameterError
        If an argument is out of range, `rng` is missing, or ``pymbar`` is not installed.

    Notes
    -----
    ``D(p_0||p_n) = ln z_n - ln z_0 + <(g_0 - g_n) . s>_0``: the free energies add up along the flow, each step of which
    is a ladder of its own (`isingflow.divergence.boltzmann.ladder`) with laws between as the spread of
    ``(g - g') . s`` asks for. Where a step is the value itself, it is that of the ladder.

    Examples
    --------
    >>> curve = sampled_coupling_curve(0.3, scheme="wilson", steps=2, side=4, samples=512, rng=1)  # doctest: +SKIP
    >>> curve.value.round(3).tolist(), curve.error.round(3).tolist()  # doctest: +SKIP
    ([0.0, 0.007, 0.034], [0.0, 0.001, 0.002])
    """
    coupling = finite("coupling", coupling, above=0.0, high=LARGEST_SAMPLED)
    torus = _Torus(whole("side", side, low=2), whole("samples", samples, low=FEWEST), generator(rng), workers)
    stride = couplings.RECURSIONS[choice("scheme", scheme, couplings.RECURSIONS)].levels
    flow = couplings.flow(coupling, scheme=scheme, steps=whole("steps", steps) // stride)
    reached = _samplable(flow)
    laws = np.pad(reached, ((0, 0), (0, 3 - reached.shape[1])))
    series = _followed([torus.statistics(law) for law in laws], torus) if len(laws) > 1 else _NOWHERE
    to_zero = not couplings.RECURSIONS[scheme].near or coupling < couplings.critical_coupling(scheme)
    asymptote = square.relative_entropy_per_site(coupling, 0.0, side=torus.side) if to_zero else math.nan
    return LevelCurve(
        system="square",
        quantity=f"coupling, {scheme}, torus",
        per="site",
        control="coupling",
        parameters={"coupling": coupling, "side": torus.side, "samples": torus.samples},
        levels=stride * np.arange(len(laws)),
        length=math.sqrt(2) ** (stride * np.arange(len(laws))),
        **{name: one / torus.side**2 for name, one in series.items()},
        **(_exact(reached[:, 0], torus.side) if reached.shape[1] == 1 else {}),
        regime="undetermined" if len(laws) == 1 else "saturating" if to_zero else "growing",
        asymptote=asymptote,
        asymptote_error=0.0 if to_zero else math.nan,
        asymptote_exact=asymptote,
        estimator="mbar-ladder",
        samples=torus.samples,
        flags=("couplings-too-large",) if len(reached) < len(flow) else (),
    )


_NOWHERE = {"value": 0.0, "reverse": 0.0}


def _samplable(flow):
    """The couplings (levels, k) of a flow, up to those too large to sample."""
    large = flow.sum(axis=1) > LARGEST_SAMPLED
    return flow[: np.argmax(large) if large.any() else None]


def _exact(flow, side):
    def between(pairs):
        return [square.relative_entropy_per_site(p, q, side=side) for p, q in pairs]

    return {
        "exact": between((flow[0], k) for k in flow),
        "exact_reverse": between((k, flow[0]) for k in flow),
        "exact_step": [*between(itertools.pairwise(flow)), math.nan],
        "reference": "exact",
    }


def _followed(levels, torus):
    """Forward, reverse and step series of whole tori, with errors, of the samples at every level."""
    steps = [ladder(p, q, torus.between(p, q), blocks=BLOCKS) for p, q in itertools.pairwise(levels)]
    free = np.cumsum([[one.free_energies[-1], *one.free_energy_replicates[:, -1]] for one in steps], axis=0)
    far = [one.couplings - levels[0].couplings for one in levels[1:]]
    first, *means = map(_means, levels)
    rows = {
        "value": [f - first @ by for f, by in zip(free, far, strict=True)],
        "reverse": [mean @ by - f for f, by, mean in zip(free, far, means, strict=True)],
        "step": [np.array([one.value, *one.replicates.value]) for one in steps],
    }
    # the first step is one of the ladder's own, which is never negative
    rows["value"][0] = rows["step"][0]
    rows["reverse"][0] = np.array([steps[0].reverse, *steps[0].replicates.reverse])
    series = {}
    for name, several in rows.items():
        values, errors = _jackknifed(np.array(several).T)
        before, after = ([], [math.nan]) if name == "step" else ([0.0], [])
        series[name] = np.array([*before, *values, *after])
        series["error" if name == "value" else f"{name}_error"] = np.array([*before, *errors, *([0.0] * len(after))])
    return series


class FirstStepCheck(NamedTuple):
    """The exact first step of decimation, held against samples at its couplings; all per site of the torus, in nats.

    Attributes
    ----------
    couplings : isingflow.ising.couplings.FirstStep
        ``K1', K2', K3'`` and the constant ``A``.
    log_partition, log_partition_error : float
        ``ln z(K1', K2', K3')`` from the ladder, and one standard error.
    log_partition_exact : float
        The same as ``2 ln z(K) - A``, on this torus (see `first_step`).
    remainder : float
        How far the torus may be from that, beside the error.
    divergence, divergence_error : float
        ``D`` between the laws with couplings ``(K, 0, 0)`` and ``(K1', K2', K3')``, from the ladder.
    divergence_by_constant, divergence_by_constant_error : float
        The same from the mean energies at ``K`` alone, with the exact ``ln z`` of both.
    laws : int
        Laws sampled: the two and those between.
    """

    couplings: couplings.FirstStep
    log_partition: float
    log_partition_error: float
    log_partition_exact: float
    remainder: float
    divergence: float
    divergence_error: float
    divergence_by_constant: float
    divergence_by_constant_error: float
    laws: int


def first_step(coupling, *, side, samples, rng, workers=None) -> FirstStepCheck:
    """Check the couplings and the constant of the exact first step through the free energy.

    The ladder begins at the nearest-neighbour ``K``, where Kaufman's ``ln z`` is exact, and ends at the couplings of
    the step, where ``2 ln z(K) - A`` is.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in (0, 1].
    side : int
        ``L`` of the torus, at least 4.
    samples : int
        Configurations of every law, at least 128.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    workers : int, optional
        Threads, as in `isingflow.ising.sampling.sample_square`; the numbers do not depend on it.

    Returns
    -------
    FirstStepCheck

    Raises
    ------
    ParameterError
        If an argument is out of range, or ``pymbar`` is not installed.

    Notes
    -----
    ``ln z' = 2 ln z - A`` holds for the plane, and for a torus of side M with the tilted one that it is decimated to:
    also a square, of side ``M/sqrt 2`` in its own lattice constant. The torus sampled here lies along the axes instead.
    What a finite size adds to ``ln Z`` depends on the shape alone up to order ``1/L^2``, so that of ``M = sqrt 2 L`` is
    taken, interpolated between Kaufman's values for whole sides. Exact transfer matrices of sides 4 to 10 at K from
    0.30 to 0.50 leave at most ``0.17 / L^4`` per site, in the disordered phase much less from ``L`` of some ten
    correlation lengths.

    Examples
    --------
    >>> check = first_step(0.3, side=8, samples=512, rng=1)  # doctest: +SKIP
    >>> abs(check.log_partition - check.log_partition_exact) < 4 * check.log_partition_error  # doctest: +SKIP
    True
    """
    coupling = finite("coupling", coupling, above=0.0, high=LARGEST_SAMPLED)
    torus = _Torus(whole("side", side, low=4), whole("samples", samples, low=FEWEST), generator(rng), workers)
    sites = torus.side**2
    step = couplings.exact_first_step(coupling)
    p, q = torus.statistics((coupling, 0.0, 0.0)), torus.statistics(step[:3])
    between = torus.between(p, q)
    found = ladder(p, q, between, blocks=BLOCKS)
    here, there = square.log_partition(coupling, side=torus.side), _kept_log_partition(coupling, step, torus.side)
    free, free_error = _jackknifed(np.array([found.free_energies[-1], *found.free_energy_replicates[:, -1]]))
    energy, energy_error = _jackknifed(_means(p) @ (p.couplings - q.couplings))
    return FirstStepCheck(
        couplings=step,
        log_partition=float(here + free / sites),
        log_partition_error=float(free_error / sites),
        log_partition_exact=there,
        remainder=REMAINDER / sites**2,
        divergence=found.value / sites,
        divergence_error=found.stderr / sites,
        divergence_by_constant=float(energy / sites + there - here),
        divergence_by_constant_error=float(energy_error / sites),
        laws=2 + len(between),
    )


def _kept_log_partition(coupling, step, side):
    """``2 ln z - A`` of a torus of side `side`, decimated from one of side ``sqrt 2`` times that."""
    plane = square.log_partition(coupling)
    long = math.sqrt(2) * side
    sides = math.floor(long), math.ceil(long)
    # what the finite size adds to ln Z depends but weakly on the side
    shapes = [one**2 * (square.log_partition(coupling, side=one) - plane) for one in sides]
    return 2 * plane - step.constant + float(np.interp(long, sides, shapes)) / side**2


def truncated_curves(
    coupling, *, scheme, steps=4, side=64, samples=512, rng=None, workers=None
) -> tuple[LevelCurve, LevelCurve]:
    """Return the marginal curves that a recursion predicts: of windows sampled at its couplings, level by level.

    They differ from the true ones (`isingflow.square_flow`) by what the recursion truncates. The lattice of level n has
    ``side**2 / 2**n`` spins: it is sampled on a torus of so many, its side rounded to a whole one.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K`` of level 0, dimensionless, in (0, 1].
    scheme : {"nearest-neighbour", "maris-kadanoff", "wilson", "migdal-kadanoff", "exact first step"}
        The recursion; the last is no approximation, and has no second step.
    steps : int
        Levels after level 0, at least 1; "migdal-kadanoff" has one for every two.
    side : int
        Side of the torus of level 0, at least 2 after all steps: ``2 * 2**ceil(steps/2)``.
    samples : int
        Configurations of every law, at least 20.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    workers : int, optional
        Threads, as in `isingflow.ising.sampling.sample_square`; the numbers do not depend on it.

    Returns
    -------
    tuple of LevelCurve
        "pair marginal, <scheme>" per bond and "2x2 marginal, <scheme>" per window. The pairs have an exact reference,
        of the torus, as long as the couplings are nearest-neighbour ones. They end before couplings with
        ``K1 + K2 > 1``, where hardly a spin is turned: flagged "couplings-too-large".

    Raises
    ------
    ParameterError
        If an argument is out of range, or `rng` is missing.

    Examples
    --------
    >>> pairs, windows = truncated_curves(0.3, scheme="maris-kadanoff", steps=2, side=16, samples=128, rng=1)
    >>> pairs.quantity, pairs.exact.round(5).tolist()
    ('pair marginal, maris-kadanoff', [0.0, 0.00655, 0.02444])
    """
    given = {"coupling": coupling, "scheme": scheme, "steps": steps, "side": side, "samples": samples}
    return truncated(TruncationParameters(**given), rng, workers=workers)


def truncated(parameters: TruncationParameters, rng, *, workers=None) -> tuple[LevelCurve, LevelCurve]:
    """As `truncated_curves`, from a record of `isingflow.parameters`."""
    torus = _Torus(parameters.side, parameters.samples, generator(rng), workers)
    coupling, scheme = parameters.coupling, parameters.scheme
    if scheme == EXACT_STEP:
        stride, flow = 1, np.array([(coupling, 0.0, 0.0), couplings.exact_first_step(coupling)[:3]])
    else:
        stride = couplings.RECURSIONS[scheme].levels
        flow = couplings.flow(coupling, scheme=scheme, steps=parameters.steps // stride)
    laws = _samplable(flow)
    levels = stride * np.arange(len(laws))
    sides = [round(torus.side / math.sqrt(2) ** level) for level in levels.tolist()]
    spins = [torus._replace(side=side).spins(law) for law, side in zip(laws, sides, strict=True)]
    only_nearest = [not any(law[1:]) for law in laws]
    known = zip(laws[:, 0], only_nearest, sides, strict=True)
    bonds = [square.bond_correlation(k, side=side) if nearest else math.nan for k, nearest, side in known]
    too_large = ("couplings-too-large",) if len(laws) < len(flow) else ()
    curves = []
    for quantity, shape, per in WINDOWS:
        counts = [window_counts(one, shape) for one in spins]
        series = _NOWHERE
        if len(laws) > 1:
            own = {"symmetry": "flip+reflect", "samples": torus.samples, "paired": False}
            series = marginal_series(counts, shape=shape, **own)
        if quantity == "pair marginal" and any(only_nearest[1:]):
            series |= {**pair_series(bonds), "reference": "exact"}
        curves.append(
            LevelCurve(
                system="square",
                quantity=f"{quantity}, {scheme}",
                per=per,
                control="coupling",
                parameters={"coupling": coupling, "side": torus.side, "samples": torus.samples},
                levels=levels,
                length=math.sqrt(2) ** levels,
                estimator="zhang-grabchak",
                samples=torus.samples,
                **{**series, "flags": (*series.get("flags", ()), *too_large)},
            )
        )
    return tuple(curves)
