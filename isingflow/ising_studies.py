"""Studies of the Ising models, each the numbers of one figure: flows of couplings, and of what is sampled.

Those that sample are tasks of `isingflow.study.run`: their numbers depend on the root seed, but not on the workers.
"""

import dataclasses
import datetime
import math

import numpy as np
from scipy.optimize import minimize_scalar

from isingflow.archive import Archive
from isingflow.diagram import (
    AsymptoteLine,
    Configuration,
    CouplingFlow,
    CouplingMap,
    CouplingPlane,
    ExponentTable,
    InformationCurve,
    PairCorrelation,
)
from isingflow.flow import chain as chain_curves
from isingflow.flow import square as square_curves
from isingflow.flow.inferred import inferred_flow
from isingflow.flow.mutual_information import (
    enumerated_information,
    located_maximum,
    torus_information,
    window_information,
)
from isingflow.ising import chain as chain_exact
from isingflow.ising import couplings as recursions
from isingflow.ising import information as exact_information
from isingflow.ising import pair, square
from isingflow.ising.decimation import decimate
from isingflow.ising.renormalization import RULES, monte_carlo_rg
from isingflow.ising.sampling import sample_square
from isingflow.parameters import EXACT_STEP, SCHEMES, ChainParameters, SquareParameters, TruncationParameters
from isingflow.seeding import checked_seed, stream
from isingflow.study import COUPLINGS, provenance, run

CHAIN_COUPLINGS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
"""Of the exact curves of the chain."""

CHAIN_FIELDS = ((0.8, 0.1), (0.8, 0.02), (0.4, 0.3), (1.2, 0.005))
"""Couplings and fields of the exact curves of the chain in a field."""

CHAIN_STARTS = (*((k, h) for k in (0.5, 1.0, 1.5) for h in (0.002, 0.02, 0.1)), (1.5, 0.4))
"""Couplings and fields where the flow of the chain starts."""

CHAIN_FACTORS = {2: 8, 3: 5, 5: 3}
"""Decimation factors of the sampled rings, and how often they are decimated by each."""

WINDOW_COUPLINGS = (0.4, 0.8, 1.2)
WINDOW_FIELD = 0.1
"""Of the sampled rings; the field is that of those in one."""

DENSE_COUPLINGS = (0.2, 0.7)
COUPLING_STEPS = 12
"""Of the coupling curves of the square lattice: sqrt(2) levels."""

MARGINAL_COUPLINGS = (0.30, 0.36, 0.40, square.CRITICAL_COUPLING, 0.46, 0.50, 0.60)

INFERRED_STEPS = 7
"""Levels at which couplings are inferred."""

INFORMATION_COUPLINGS = tuple(
    np.unique(
        np.concatenate([np.arange(300, 540, 10), np.arange(340, 450, 5), np.arange(415, 445, 2.5)]) / 1000
    ).tolist()
)
INFORMATION_PER = {"neighbours": "spin", "sublattices": "site"}

PLANE_STARTS = (0.30, 0.37, 0.42)
"""Where flows of Wilson's recursion start; and at its critical point."""

COBWEBS = {"nearest-neighbour": (0.5, 0.9), "maris-kadanoff": (0.45, 0.55), "migdal-kadanoff": (0.26, 0.34)}
"""Where flows of the recursions of one coupling start."""

SHOWN_COUPLINGS = (0.41, square.CRITICAL_COUPLING, 0.46)
SHOWN_SPINS = 64
"""Of the configurations: couplings, and side of the windows."""

SCALE_COUPLINGS = (
    *(0.26, 0.30, 0.33, 0.36, 0.38, 0.40, 0.41, 0.42),
    square.CRITICAL_COUPLING,
    *(0.45, 0.455, 0.46, 0.47, 0.48, 0.50, 0.54, 0.60),
)
CHAIN_SCALE_COUPLINGS = (0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
DECAY_COUPLINGS = (0.42, square.CRITICAL_COUPLING, 0.45)
"""Whose correlations are inverted."""


def chain(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Follow the Ising chain along its decimation: couplings exactly, windows of sampled rings.

    Parameters
    ----------
    seed : int
        Root seed, from 0 to 2**64 - 1.
    workers : int
        Processes, at least 1.
    quick : bool
        Fewer samples, seconds instead of a minute.
    progress : callable, optional
        As for `isingflow.study.run`.
    command : str
        What the archive says it was made by.

    Returns
    -------
    Archive
        Coupling curves without and with a field, flows in the plane of both, and curves of windows of sampled rings
        decimated by 2, 3 and 5; those in a field are a family of their own.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    """
    started = datetime.datetime.now(datetime.UTC)
    exact = [ChainParameters(coupling=coupling, field=field) for coupling, field in _chain_points()]
    curves = [chain_curves.coupling_curve(parameters) for parameters in exact]
    sampled = run(chain_tasks(quick=quick), seed=seed, workers=workers, progress=progress)
    for curve in sampled:
        if curve.family == "chain/window marginal":
            words = {"quantity": "window marginal in a field"} if curve.parameters["field"] else {}
            curves.append(dataclasses.replace(curve, **words))
    flows = tuple(_chain_flow(*start, steps=10) for start in CHAIN_STARTS)
    return Archive(tuple(curves), provenance=_provenance("chain", started, seed, command), flows=flows)


def _chain_points():
    return (*((coupling, 0.0) for coupling in CHAIN_COUPLINGS), *CHAIN_FIELDS)


def chain_tasks(*, quick=False) -> tuple:
    """Return the tasks of `chain`: rings without and with a field, decimated by 2, 3 and 5.

    Examples
    --------
    >>> len(chain_tasks())
    18
    """
    return tuple(
        ChainParameters(coupling=coupling, field=field, factor=factor, steps=steps, samples=200 if quick else 2000)
        for field in (0.0, WINDOW_FIELD)
        for coupling in WINDOW_COUPLINGS
        for factor, steps in CHAIN_FACTORS.items()
    )


def _chain_flow(coupling, field, *, steps):
    levels = [(coupling, field)]
    for _ in range(steps):
        levels.append(chain_exact.decimate_couplings(*levels[-1]))
    terms, scheme = ("nearest", "field"), "exact, factor 2"
    return CouplingFlow(
        system="chain", scheme=scheme, terms=terms, levels=np.arange(steps + 1), couplings=np.array(levels)
    )


def couplings(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Compare infinite square lattices with the couplings of a recursion, densely around ``K_c``.

    Parameters and exceptions as for `chain`. Nothing is sampled: `seed` and `workers` change nothing, and `quick` takes
    fewer couplings.

    Returns
    -------
    Archive
        For each recursion of one coupling a family of curves, by Onsager's solution; ``K_c`` and the recursions' fixed
        points are among the couplings. And their maps.
    """
    started = datetime.datetime.now(datetime.UTC)
    dense = np.linspace(*DENSE_COUPLINGS, 51 if quick else 201).round(6)
    values = {*dense.tolist(), square.CRITICAL_COUPLING}
    values |= {point for scheme in square_curves.NEAREST_ONLY for point in _fixed_points(scheme) if point}
    curves = []
    for scheme in square_curves.NEAREST_ONLY:
        for coupling in sorted(values):
            curves.append(square_curves.coupling_curve(coupling, scheme=scheme, steps=COUPLING_STEPS))
            if progress:
                progress(coupling)
    maps = tuple(_coupling_map(scheme, dense) for scheme in square_curves.NEAREST_ONLY)
    return Archive(tuple(curves), provenance=_provenance("couplings", started, seed, command), coupling_maps=maps)


def marginal_tasks(*, quick=False) -> tuple:
    """Return the tasks of `marginals`: square lattices in all phases.

    Examples
    --------
    >>> [round(task.coupling, 3) for task in marginal_tasks(quick=True)]
    [0.3, 0.36, 0.4, 0.441, 0.46, 0.5, 0.6]
    """
    samples = 800 if quick else 8000
    return tuple(SquareParameters(coupling=coupling, side=256, samples=samples) for coupling in MARGINAL_COUPLINGS)


def marginals(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Compare windows of spins of sampled square lattices before and after decimation.

    Parameters and exceptions as for `chain`.

    Returns
    -------
    Archive
        Curves of pairs and of 2x2 windows at levels of length sqrt(2), and of pairs along rows at every integer factor.
    """
    started = datetime.datetime.now(datetime.UTC)
    found = run(marginal_tasks(quick=quick), seed=seed, workers=workers, progress=progress)
    curves = tuple(curve for curve in found if curve.quantity in square_curves.MARGINALS)
    return Archive(curves, provenance=_provenance("marginals", started, seed, command))


def plane(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Chart the recursions of the square lattice: Wilson's in its plane, those of one coupling as maps.

    Parameters and exceptions as for `chain`. Nothing is sampled: `seed`, `workers` and `progress` change nothing, and
    `quick` takes fewer points.

    Returns
    -------
    Archive
        Wilson's recursion over its plane with fixed point and critical line; flows of every recursion from several
        couplings; the maps of one coupling with their fixed points, and the exact first step.
    """
    started = datetime.datetime.now(datetime.UTC)
    points = 101 if quick else 401
    starts = sorted((*PLANE_STARTS, recursions.critical_coupling("wilson")))
    flows = [_flow("wilson", start, steps=10) for start in starts]
    flows += [_flow(scheme, start, steps=8) for scheme, starts in COBWEBS.items() for start in starts]
    before = np.linspace(0.0, 1.0, points)
    maps = [_coupling_map(scheme, before) for scheme in square_curves.NEAREST_ONLY]
    maps.append(_first_step_map(before))
    found = {"flows": tuple(flows), "coupling_maps": tuple(maps), "planes": (_wilson_plane(points),)}
    return Archive(provenance=_provenance("plane", started, seed, command), **found)


def _flow(scheme, start, *, steps):
    """Up to where it leaves for infinite couplings."""
    levels = recursions.flow(start, scheme=scheme, steps=steps)
    levels = levels[np.isfinite(levels).all(axis=1)]
    terms = ("nearest", "diagonal")[: levels.shape[1]]
    return CouplingFlow(system="square", scheme=scheme, terms=terms, levels=np.arange(len(levels)), couplings=levels)


def _fixed_points(scheme):
    """Zero, and the non-trivial one of a recursion that has one; with the slopes there."""
    trivial = {0.0: 0.0}
    if scheme == "nearest-neighbour":
        return trivial
    found = recursions.fixed_point(scheme)
    return trivial | {found.couplings[0]: found.eigenvalues[0]}


def _coupling_map(scheme, before):
    step = recursions.RECURSIONS[scheme].step
    fixed = _fixed_points(scheme)
    return CouplingMap(
        scheme=scheme,
        terms=("nearest",),
        before=before,
        after=np.array([step(coupling) for coupling in before]),
        fixed=list(fixed),
        slopes=list(fixed.values()),
        stability=tuple("attracting" if abs(slope) < 1 else "repelling" for slope in fixed.values()),
    )


def _first_step_map(before):
    first = np.array([recursions.exact_first_step(coupling)[:3] for coupling in before])
    exact = {"fixed": [], "slopes": [], "stability": (), "terms": ("nearest", "diagonal", "plaquette")}
    return CouplingMap(scheme=EXACT_STEP, before=before, after=first, **exact)


def _wilson_plane(points):
    step = recursions.RECURSIONS["wilson"].step
    nearest, diagonal = np.linspace(0, 0.6, 16), np.linspace(0, 0.24, 13)
    line = np.linspace(0, 0.3, points)
    after = step(*np.meshgrid(nearest, diagonal))
    return CouplingPlane(
        scheme="wilson",
        nearest=nearest,
        diagonal=diagonal,
        nearest_step=after[0] - nearest,
        diagonal_step=after[1] - diagonal[:, None],
        critical_diagonal=line,
        critical_nearest=_critical_nearest(line),
        fixed=recursions.fixed_point("wilson").couplings,
    )


def _critical_nearest(diagonal):
    """``K1`` at which Wilson's recursion flows neither to zero nor to infinity, by bisection."""
    step = recursions.RECURSIONS["wilson"].step
    low, high = np.zeros(len(diagonal)), np.ones(len(diagonal))
    for _ in range(55):
        middle = (low + high) / 2
        state = middle, diagonal
        for _ in range(100):
            state = step(*state)
            # beyond 1 it grows whatever the other is; here it stays a number
            state = np.minimum(state[0], 2.0), np.minimum(state[1], 2.0)
        grows = state[0] > 1
        low, high = np.where(grows, low, middle), np.where(grows, middle, high)
    return (low + high) / 2


def configurations(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Decimate one configuration of a square lattice below, at and above ``K_c``.

    Parameters and exceptions as for `chain`; `workers` are threads here.

    Returns
    -------
    Archive
        Windows of 64 x 64 spins at every other level of one lattice each, of 20 that with the smallest magnetization.
    """
    started = datetime.datetime.now(datetime.UTC)
    found = []
    for task in configuration_tasks(quick=quick):
        found += _decimated(task, seed, workers)
        if progress:
            progress(task)
    words = _provenance("configurations", started, seed, command)
    return Archive(provenance=words, configurations=tuple(found))


def configuration_tasks(*, quick=False) -> tuple:
    """Return the lattices of `configurations`, one of whose samples is decimated."""
    side, steps = (1024, 8) if quick else (2048, 10)
    return tuple(SquareParameters(coupling=k, side=side, samples=20, steps=steps) for k in SHOWN_COUPLINGS)


def _decimated(task, seed, workers):
    given = {"side": task.side, "samples": task.samples, "algorithm": task.algorithm, "workers": workers}
    samples = sample_square(task.coupling, rng=stream(seed, task, "configuration"), **given).spins
    # both signs are to be seen
    spins = samples[np.argmin(np.abs(samples.mean(axis=(1, 2))))]
    for level in range(0, task.steps + 1, 2):
        window = decimate(spins, steps=level)[:SHOWN_SPINS, :SHOWN_SPINS]
        yield Configuration(coupling=task.coupling, side=task.side, level=level, spins=window)


def scale_tasks(*, quick=False) -> tuple:
    """Return the tasks of `scale`: rings and square lattices over a range of couplings.

    Examples
    --------
    >>> len(scale_tasks())
    24
    """
    samples = 400 if quick else 8000
    # where correlations do not decay, configurations differ most
    lattices = {k: 4 * samples if k == square.CRITICAL_COUPLING else samples for k in SCALE_COUPLINGS}
    return (
        *(ChainParameters(coupling=k, samples=200 if quick else 2000) for k in CHAIN_SCALE_COUPLINGS),
        *(SquareParameters(coupling=k, side=256, samples=count) for k, count in lattices.items()),
    )


def scale(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Read the scale and the asymptote off curves of sampled pairs, over a range of couplings.

    Parameters and exceptions as for `chain`.

    Returns
    -------
    Archive
        Curves of pairs of chain and lattice; exact lines of their scales and asymptotes; correlations inverted from
        relative entropies, at and on both sides of ``K_c``.
    """
    started = datetime.datetime.now(datetime.UTC)
    found = run(scale_tasks(quick=quick), seed=seed, workers=workers, progress=progress)
    curves = tuple(curve for curve in found if curve.family in ("chain/pair marginal", "square/row pair marginal"))
    rows = [curve for curve in curves if curve.system == "square" and curve.control_value in DECAY_COUPLINGS]
    near = np.geomspace(0.2, 1e-6, 120)
    around = np.concatenate(
        [square.CRITICAL_COUPLING - near, [square.CRITICAL_COUPLING], square.CRITICAL_COUPLING + near[::-1]]
    )
    along = np.linspace(0.2, 1.6, 141)
    lines = (chain_curves.scale_line(along), square_curves.scale_line(around))
    asymptotes = (
        AsymptoteLine(
            system="chain",
            quantity="pair marginal",
            per="bond",
            before=along,
            asymptote=[pair.relative_entropy(math.tanh(k), 0.0) for k in along],
            critical=math.inf,
        ),
        AsymptoteLine(
            system="square",
            quantity="row pair marginal",
            per="bond",
            before=around,
            asymptote=[pair.relative_entropy(square.bond_correlation(k), square.magnetization(k) ** 2) for k in around],
            critical=square.CRITICAL_COUPLING,
        ),
    )
    more = {"asymptotes": asymptotes, "correlations": tuple(map(inverted_correlation, rows))}
    return Archive(curves, lines, _provenance("scale", started, seed, command), **more)


def inverted_correlation(curve) -> PairCorrelation:
    """Return the correlations that a curve of pairs along rows of the square lattice says, from distance 2 on.

    Parameters
    ----------
    curve : LevelCurve
        Of the family "square/row pair marginal".

    Returns
    -------
    PairCorrelation
        With the exact nearest-neighbour correlation for ``p_0``; NaN where a sampled value is negative.
    """
    coupling, side = curve.control_value, curve.parameters["side"]
    distances = curve.levels[1:]
    nearest, *torus = (square.correlation(coupling, int(r), direction="row", side=side) for r in curve.levels)
    values = [
        pair.correlation_from_relative_entropy(value, nearest) if value >= 0 else math.nan for value in curve.value[1:]
    ]
    values = np.array(values)
    # |dD/dc_r|
    slopes = (nearest - values) / (1 - values**2)
    return PairCorrelation(
        coupling=coupling,
        side=side,
        distances=distances,
        inverted=values,
        inverted_error=np.divide(curve.error[1:], slopes, out=np.full(len(slopes), math.nan), where=slopes > 0),
        torus=torus,
        plane=[square.correlation(coupling, int(r), direction="row") for r in distances],
    )


def truncation_tasks(*, quick=False) -> tuple:
    """Return the tasks of `truncation`: for each coupling the true marginals, and those of every recursion.

    Parameters
    ----------
    quick : bool
        Small tori, half a minute instead of several.

    Returns
    -------
    tuple
        Records of `isingflow.parameters`, which `run` takes.

    Examples
    --------
    >>> [type(task).__name__ for task in truncation_tasks(quick=True)][4:7]
    ['SquareParameters', 'TruncationParameters', 'TruncationParameters']
    """
    lattice = {"side": 32, "samples": 1024, "steps": 4} if quick else {"side": 64, "samples": 4096, "steps": 4}
    return (
        *(SquareParameters(coupling=coupling, **lattice) for coupling in COUPLINGS),
        *(
            TruncationParameters(coupling=coupling, scheme=scheme, **lattice)
            for coupling in COUPLINGS
            for scheme in SCHEMES
        ),
    )


def truncation(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Hold the marginals that recursions of the couplings predict against the true ones of the square lattice.

    Parameters and exceptions as for `chain`.

    Returns
    -------
    Archive
        Curves of neighbouring pairs and of 2x2 windows: "pair marginal" and "2x2 marginal" of decimated configurations,
        and the same with the name of each recursion.
    """
    started = datetime.datetime.now(datetime.UTC)
    curves = run(truncation_tasks(quick=quick), seed=seed, workers=workers, progress=progress)
    marginals = tuple(curve for curve in curves if curve.quantity.startswith(("pair marginal", "2x2 marginal")))
    return Archive(marginals, provenance=_provenance("truncation", started, seed, command))


def inferred_tasks(*, quick=False) -> tuple:
    """Return the tasks of `inferred`: lattices in all phases, and which phase of them.

    Examples
    --------
    >>> [phase for _, phase in inferred_tasks()].count("up")
    3
    """
    side, samples = (128, 400) if quick else (256, 4000)
    settings = {"side": side, "samples": samples, "steps": INFERRED_STEPS}
    lattices = [SquareParameters(coupling=coupling, **settings) for coupling in MARGINAL_COUPLINGS]
    ordered = [task for task in lattices if task.coupling > square.CRITICAL_COUPLING]
    return (*((task, "symmetric") for task in lattices), *((task, "up") for task in ordered))


def inferred(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Infer the couplings of decimated configurations, over the flow that Wilson's recursion has.

    Parameters and exceptions as for `chain`; `workers` are threads here.

    Returns
    -------
    Archive
        Inferred flows from all phases, and of the ordered ones that are up; Wilson's plane and the exact first step.
    """
    started = datetime.datetime.now(datetime.UTC)
    found = []
    for task, phase in inferred_tasks(quick=quick):
        given = {"side": task.side, "samples": task.samples, "steps": task.steps, "workers": workers}
        found.append(inferred_flow(task.coupling, phase=phase, rng=stream(seed, task, "spins"), **given))
        if progress:
            progress(task)
    points = 101 if quick else 401
    more = {"planes": (_wilson_plane(points),), "coupling_maps": (_first_step_map(np.linspace(0, 1, points)),)}
    return Archive(provenance=_provenance("inferred", started, seed, command), inferred=tuple(found), **more)


def information_tasks(*, quick=False) -> tuple:
    """Return the tasks of `information`: tori of several sides over a range of couplings.

    Examples
    --------
    >>> sorted({task.side for task in information_tasks()})
    [8, 16, 32, 64, 128]
    """
    sides, spins = ((8, 16, 32), 2**18) if quick else ((8, 16, 32, 64, 128), 2**24)
    return tuple(
        SquareParameters(coupling=coupling, side=side, samples=max(spins // side**2, spins // 2**12), steps=1)
        for side in sides
        for coupling in INFORMATION_COUPLINGS
    )


def information(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Follow what removed spins know of kept ones over a range of couplings, on tori and the infinite lattice.

    Parameters and exceptions as for `chain`; `workers` are threads here.

    Returns
    -------
    Archive
        Curves of a spin and its neighbours in one phase, and of the two sublattices per site: exact ones of the 4x4
        torus and of the infinite lattice, sampled ones of larger tori.
    """
    started = datetime.datetime.now(datetime.UTC)
    found = [*_exact_information(40 if quick else 160)]
    tasks = information_tasks(quick=quick)
    for side in dict.fromkeys(task.side for task in tasks):
        same = [task for task in tasks if task.side == side]
        couplings = [task.coupling for task in same]
        rows = {"neighbours": [], "sublattices": []}
        for task in same:
            given = {"side": side, "samples": task.samples, "algorithm": task.algorithm, "workers": workers}
            packed = sample_square(task.coupling, rng=stream(seed, task, "spins"), **given).packed
            rows["neighbours"].append(window_information(packed)[:2])
            rows["sublattices"].append(torus_information(packed, task.coupling)[:2])
            if progress:
                progress(task)
        for quantity, row in rows.items():
            values, errors = np.transpose(row)
            largest = located_maximum(couplings, values, errors)
            place = {"maximum": largest.place, "maximum_error": largest.error}
            about = {"per": INFORMATION_PER[quantity], "side": side, "samples": same[0].samples, "before": couplings}
            found.append(
                InformationCurve(quantity=quantity, **about, information=values, information_error=errors, **place)
            )
    return Archive(provenance=_provenance("information", started, seed, command), information=tuple(found))


def _exact_information(points):
    """Curves of the 4x4 torus and of the infinite lattice; of this one the maxima are known."""
    around = square.CRITICAL_COUPLING + 0.16 * np.linspace(-1, 1, 2 * points + 1) ** 3
    whole = {"window": "sublattices", "phase": "symmetric"}
    curves = {
        ("neighbours", 4): (np.linspace(0.28, 0.6, points // 4), enumerated_information),
        ("sublattices", 4): (np.linspace(0.28, 0.6, points // 4), lambda k: enumerated_information(k, **whole) / 16),
        ("neighbours", 0): (around, lambda k: exact_information.neighbour_information(k, phase="up")),
        ("sublattices", 0): (around, exact_information.sublattice_information),
    }
    for (quantity, side), (couplings, function) in curves.items():
        bounds = {"bounds": (0.3, 0.5), "method": "bounded", "options": {"xatol": 1e-9}}
        largest = minimize_scalar(lambda coupling, function=function: -function(coupling), **bounds).x
        if (quantity, side) == ("neighbours", 0):
            largest = square.CRITICAL_COUPLING  # a cusp
        yield InformationCurve(
            quantity=quantity,
            per=INFORMATION_PER[quantity],
            side=side,
            samples=0,
            before=couplings,
            information=[function(coupling) for coupling in couplings],
            information_error=np.zeros(len(couplings)),
            maximum=largest,
            maximum_error=0.0,
        )


def renormalization_tasks(*, quick=False) -> tuple:
    """Return the one task of `renormalization`: lattices at ``K_c``."""
    side, samples = (32, 6000) if quick else (128, 60000)
    return (SquareParameters(coupling=square.CRITICAL_COUPLING, side=side, samples=samples),)


def renormalization(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Find the exponents of ``K_c`` by the Monte Carlo renormalization group, by majority and by decimation.

    Parameters and exceptions as for `chain`; `workers` are threads here.

    Returns
    -------
    Archive
        A table of exponents for each rule, from the same configurations.
    """
    started = datetime.datetime.now(datetime.UTC)
    (task,) = renormalization_tasks(quick=quick)
    given = {"side": task.side, "samples": task.samples, "algorithm": task.algorithm, "workers": workers}
    packed = sample_square(task.coupling, rng=stream(seed, task, "spins"), **given).packed
    tables = []
    for rule in RULES:
        found = monte_carlo_rg(packed, rule=rule, rng=stream(seed, task, "ties"))
        tables.append(ExponentTable(coupling=task.coupling, **vars(found)))
        if progress:
            progress(task)
    return Archive(provenance=_provenance("renormalization", started, seed, command), exponents=tuple(tables))


def _provenance(figure, started, seed, command):
    return provenance(started, checked_seed(seed), command) | {"figure": figure}
