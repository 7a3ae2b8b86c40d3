"""Studies: a tuple of tasks, run by any number of workers, into one archive.

A task is a record of `isingflow.parameters`; what it draws depends on the root seed and on itself alone, so neither the
number nor the order of workers changes a bit.
"""

import datetime
import importlib.metadata
import itertools
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

import isingflow
from isingflow import executors
from isingflow.archive import Archive
from isingflow.flow import chain, network, recursions, square
from isingflow.flow.phases import (
    INVERSES,
    activation_histogram,
    fixed_point_maps,
    phase_diagram,
    preactivation_histograms,
)
from isingflow.flow.published import published_curve, published_flow
from isingflow.ising.square import CRITICAL_COUPLING
from isingflow.network import meanfield
from isingflow.network.inputs import digits, normalise, white_noise
from isingflow.network.propagation import propagate
from isingflow.network.published import ORDERS, list_networks, read_network
from isingflow.parameters import (
    INPUTS,
    VARIANCES,
    ChainParameters,
    EnsembleParameters,
    NetworkParameters,
    PublishedParameters,
    SquareParameters,
    TruncationParameters,
    choice,
    whole,
)
from isingflow.seeding import checked_seed, stream
from isingflow.study_file import SYSTEMS

BIAS_VARIANCE = 0.05
COUPLINGS = (0.30, 0.40, CRITICAL_COUPLING, 0.46, 0.50)
"""Of the square lattice: below, at and above the critical one."""

WEIGHT_VARIANCES = (1.5, 1.760955, 2.5)
"""Below, at and above the edge of chaos at this bias variance."""

DRAWN_NETWORKS = (110, 120, 200)
"""Networks with drawn weights at each: errors below 2 % of the curve's asymptote, which is lowest at the last."""

DEEP_WEIGHT_VARIANCES = (1.25, 1.4, 1.6, 2.0, 2.25, 3.0)
"""Where deeper networks tell the scale."""

PLANE = {"weight_variances": (0.5, 4.0), "bias_variances": (0.0, 0.5)}
PLANE_POINTS = 201
"""The phase diagram, unless it is to be another."""

MAP_FACTORS = (0.6, 1.0, 2.2)
"""Weight variances of the maps, over that of the edge of chaos: ordered, critical, chaotic."""

HISTOGRAM_FACTORS = (0.25, 1.0, 4.0)
"""Bias variances of the histograms, over that where edge of chaos and line of uniformity cross."""

HISTOGRAM_DEPTH = 20

NETWORK_WEIGHT_VARIANCES = (1.0, 1.25, 1.5, 1.760955, 2.0, 2.5, 3.0, 3.5)
"""Of ``isingflow networks``; as in the published figures, with the edge of chaos."""

SHOWN_WEIGHT_VARIANCES = (1.25, 3.0)
"""Of its histograms: ordered, chaotic."""


def compare_tasks(*, quick=False, inputs="digits") -> tuple:
    """Return the tasks of ``isingflow compare``: chain, square lattice and network, each in all its phases.

    Parameters
    ----------
    quick : bool
        Small systems, seconds instead of a minute.
    inputs : {"digits", "noise"}
        What the network is shown.

    Returns
    -------
    tuple
        Records of `isingflow.parameters`, which `run` takes.

    Raises
    ------
    ParameterError
        If `inputs` is neither.

    Examples
    --------
    >>> [type(task).__name__ for task in compare_tasks(quick=True)][:2]
    ['ChainParameters', 'ChainParameters']
    """
    choice("inputs", inputs, INPUTS)
    chains = [ChainParameters(coupling=coupling, sites=2**11 if quick else None) for coupling in (0.4, 0.8, 1.2)]
    lattice = {"side": 64, "samples": 120, "steps": 6} if quick else {"side": 256, "samples": 240, "steps": 8}
    lattices = [SquareParameters(coupling=coupling, **lattice) for coupling in COUPLINGS]

    def ensembles(weight_variances, *, networks, width, depth, **kind):
        return [
            EnsembleParameters(
                network=NetworkParameters(
                    weight_variance=weight, bias_variance=BIAS_VARIANCE, width=width, depth=depth
                ),
                networks=networks,
                source=inputs,
                **kind,
            )
            for weight in weight_variances
        ]

    small = {"width": 128, "depth": 40} if quick else {"width": 512, "depth": 40}
    deep = {"width": 256, "depth": 100} if quick else {"width": 1024, "depth": 100}
    return (
        *chains,
        *lattices,
        *ensembles(WEIGHT_VARIANCES, networks=200 if quick else 1000, **small),
        *itertools.chain.from_iterable(
            ensembles([weight], networks=20 if quick else networks, ensemble="weights", **small)
            for weight, networks in zip(WEIGHT_VARIANCES, DRAWN_NETWORKS, strict=True)
        ),
        *ensembles(DEEP_WEIGHT_VARIANCES, networks=40 if quick else 300, followed=(2,), label="deep", **deep),
    )


def scale_lines() -> tuple:
    """Return the exact scales of the three systems against their control parameters, densely."""
    below, above = CRITICAL_COUPLING - np.geomspace(0.2, 1e-4, 80), CRITICAL_COUPLING + np.geomspace(1e-4, 0.2, 80)
    return (
        chain.scale_line(np.linspace(0.2, 1.6, 141)),
        square.scale_line(np.concatenate([below, [CRITICAL_COUPLING], above])),
        _network_scale_line(),
    )


def _network_scale_line():
    edge = network.scale_line([1.0], bias_variance=BIAS_VARIANCE).critical
    weights = [edge - np.geomspace(edge - 1.0, 1e-3, 40), edge + np.geomspace(1e-3, 3.6 - edge, 40)]
    return network.scale_line(np.concatenate([weights[0], [edge], weights[1]]), bias_variance=BIAS_VARIANCE)


def network_tasks(*, quick=False, inputs="digits") -> tuple:
    """Return the tasks of ``isingflow networks``: random networks in all phases, by three curves each.

    Parameters
    ----------
    quick : bool
        Small networks, seconds instead of a minute.
    inputs : {"digits", "noise"}
        What the networks are shown.

    Returns
    -------
    tuple
        Records of `isingflow.parameters`, which `run` takes: for each weight variance an ensemble without weights, of
        which one input and two are followed, and the published estimator.

    Raises
    ------
    ParameterError
        If `inputs` is neither.

    Examples
    --------
    >>> tasks = network_tasks(quick=True)
    >>> len(tasks), tasks[0].network.weight_variance, tasks[-1].samples
    (16, 1.0, 100)
    """

    def law(weight, width, depth):
        return NetworkParameters(weight_variance=weight, bias_variance=BIAS_VARIANCE, width=width, depth=depth)

    ensembles = {"networks": 100 if quick else 500, "source": inputs}
    published = {"networks": 4 if quick else 6, "samples": 100 if quick else 1000, "source": inputs}
    sizes = ((128, 50), (100, 20)) if quick else ((1000, 100), (784, 30))
    return (
        *(EnsembleParameters(network=law(w, *sizes[0]), **ensembles) for w in NETWORK_WEIGHT_VARIANCES),
        *(PublishedParameters(network=law(w, *sizes[1]), **published) for w in NETWORK_WEIGHT_VARIANCES),
    )


def _stream(seed, task, purpose, repeat):
    return stream(seed, task, f"{purpose}, repeat {repeat}" if repeat else purpose)


def _run_chain(task, seed, repeat, wanted):
    curves = (chain.coupling_curve(task),) if "coupling" in wanted else ()
    if {"window marginal", "pair marginal"} & set(wanted):
        sampled = chain.sampled_curves(task, _stream(seed, task, "spins", repeat))
        curves += tuple(curve for curve in sampled if curve.quantity in wanted)
    return curves


def _run_square(task, seed, repeat, wanted):
    schemes = square.NEAREST_ONLY if "coupling" in wanted else ()
    curves = tuple(square.coupling_curve(task.coupling, scheme=scheme, steps=task.steps) for scheme in schemes)
    marginals = tuple(dict.fromkeys(name for name in (*square.MARGINALS, *square.WINDOWS) if name in wanted))
    if not marginals:
        return curves
    rng = _stream(seed, task, "spins", repeat)
    return (*curves, *square.sampled_curves(task, rng, quantities=marginals, workers=1))


def _run_truncation(task, seed, repeat, wanted):
    return recursions.truncated(task, _stream(seed, task, "spins", repeat), workers=1)


def _run_ensemble(task, seed, repeat, wanted):
    found = propagate(
        _pair(task.source, seed),
        task.network,
        networks=task.networks,
        ensemble=task.ensemble,
        rng=_stream(seed, task, "networks", repeat),
    )
    return tuple(
        network.curve_of(found, inputs=count, label=task.label, reference="1/width") for count in task.followed
    )


def _run_published(task, seed, repeat, wanted):
    size = {"networks": task.networks, "samples": task.samples, "variance": task.variance}
    rng = _stream(seed, task, "networks", repeat)
    return (published_flow(_pair(task.source, seed)[:1], task.network, rng=rng, **size),)


def _pair(source, seed):
    """The two inputs that networks are shown."""
    if source == "digits":
        return normalise(digits([0, 1]))
    features = NetworkParameters(weight_variance=1.0, bias_variance=0.0, depth=1, width=64)
    return normalise(white_noise(2, features.width, rng=stream(seed, features, "inputs")))


_RUN = {
    ChainParameters: _run_chain,
    SquareParameters: _run_square,
    TruncationParameters: _run_truncation,
    EnsembleParameters: _run_ensemble,
    PublishedParameters: _run_published,
}


_USUAL = {ChainParameters: SYSTEMS["chain"][1], SquareParameters: ("coupling", *square.MARGINALS)}
"""Estimators of `run`, where there is a choice."""


def execute(task, seed, *, repeat=0, estimators=None) -> tuple:
    """Compute the curves of one task.

    Parameters
    ----------
    task : dataclass instance
        A record of `isingflow.parameters`.
    seed : int
        Root seed, from 0 to 2**64 - 1.
    repeat : int
        Which of several independent repeats, from 0.
    estimators : sequence of str, optional
        Of `isingflow.study_file.SYSTEMS`; the usual ones without it. Of networks `followed` says them.

    Returns
    -------
    tuple of LevelCurve

    Examples
    --------
    >>> task = ChainParameters(coupling=0.4, sites=64, steps=3, samples=40)
    >>> [curve.quantity for curve in execute(task, 1, estimators=["coupling"])]
    ['coupling']
    """
    wanted = _USUAL.get(type(task), ()) if estimators is None else estimators
    return _RUN[type(task)](task, seed, repeat, wanted)


def memory(task) -> float:
    """Return roughly how much memory a task takes, in bytes, beside some 200 MB of the process itself."""
    if isinstance(task, ChainParameters):
        return 2.0 * task.sites * task.samples
    if isinstance(task, (SquareParameters, TruncationParameters)):
        return 1.5 * task.side**2 * task.samples
    widest, depth = max(task.network.widths), task.network.depth
    if isinstance(task, PublishedParameters) or task.ensemble == "weights":
        drawn = 16.0 * widest**2  # weights of a layer, twice
        return drawn * (depth if isinstance(task, PublishedParameters) else 1)
    return 64.0 * widest * min(task.networks, 64) + 64.0 * task.networks * depth


def cost(task) -> float:
    """Return roughly how long a task takes, in seconds on one core."""
    if isinstance(task, ChainParameters):
        return 0.05 + 5e-8 * task.sites * task.samples
    if isinstance(task, SquareParameters):
        return 0.3 + 5e-8 * task.side**2 * task.samples
    if isinstance(task, TruncationParameters):
        return 0.3 + 1e-6 * task.side**2 * task.samples  # heat bath for some
    neurons = task.networks * sum(task.network.widths[1:])
    if isinstance(task, PublishedParameters):
        return 0.1 + neurons * max(task.network.widths) * (6e-9 + 4e-11 * task.samples)
    per_neuron = 8e-8 if task.ensemble == "conditional" else 7e-9 * max(task.network.widths)
    return 0.01 * task.network.depth + neurons * per_neuron


def run(tasks, *, seed, workers=1, progress=None) -> tuple:
    """Run tasks, here or in other processes; the curves come back in the order of the tasks.

    Parameters
    ----------
    tasks : sequence
        Records of `isingflow.parameters`.
    seed : int
        Root seed, from 0 to 2**64 - 1.
    workers : int
        Processes, at least 1; with 1 everything happens in this one. The results do not depend on it.
    progress : callable, optional
        Called with each finished task.

    Returns
    -------
    tuple of LevelCurve

    Raises
    ------
    ParameterError
        If the seed or the number of workers is out of range.

    Examples
    --------
    >>> task = ChainParameters(coupling=0.4, sites=64, steps=3, samples=40)
    >>> [curve.quantity for curve in run([task], seed=1)]
    ['coupling', 'window marginal', 'pair marginal']
    """
    seed, executor = checked_seed(seed), executors.local(workers)
    # the longest first, so that no worker is left alone with one at the end
    items = iter([(task, seed) for task in sorted(tasks, key=cost, reverse=True)])
    results = {}
    with executor:
        for (task, _), curves in executor.run(_run_task, lambda: next(items, None)):
            results[task] = curves
            if progress:
                progress(task)
    return tuple(curve for task in tasks for curve in results[task])


def _run_task(item):
    return execute(*item)


def compare(*, seed=1, workers=1, quick=False, inputs="digits", progress=None, command="") -> Archive:
    """Compare information flow in the three systems, as ``isingflow compare`` does.

    Parameters
    ----------
    seed : int
        Root seed, from 0 to 2**64 - 1.
    workers : int
        Processes, at least 1.
    quick, inputs
        As for `compare_tasks`.
    progress : callable, optional
        As for `run`.
    command : str
        What the archive says it was made by.

    Returns
    -------
    Archive

    Raises
    ------
    ParameterError
        If an argument is out of range.
    """
    started = datetime.datetime.now(datetime.UTC)
    curves = run(compare_tasks(quick=quick, inputs=inputs), seed=seed, workers=workers, progress=progress)
    return Archive(curves, scale_lines(), provenance(started, seed, command))


def phases(
    *,
    activation="tanh",
    residual=0.0,
    weight_variances=None,
    bias_variances=None,
    seed=1,
    networks=400,
    width=1000,
    progress=None,
    command="",
) -> Archive:
    """Chart the phases of random networks, as ``isingflow phases`` does.

    Parameters
    ----------
    activation, residual
        As for `isingflow.phase_diagram`.
    weight_variances, bias_variances : array_like of float, optional
        Of the diagram, as for `isingflow.phase_diagram`; 201 values each from 0.5 to 4 and from 0 to 0.5 without them.
    seed : int
        Root seed of the histograms, from 0 to 2**64 - 1.
    networks, width : int
        Networks sampled for each histogram, at least 2, and neurons in each of their layers.
    progress : callable, optional
        Called with the share that is done, in (0, 1].
    command : str
        What the archive says it was made by.

    Returns
    -------
    Archive
        A diagram; maps at bias variance 0.05, or what is nearest to it in the diagram; and, for a tanh or erf network
        without residual strength, histograms along the edge of chaos below, at and above its crossing with the line
        of uniformity.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    """
    started = datetime.datetime.now(datetime.UTC)
    seed, networks, width = checked_seed(seed), whole("networks", networks, low=2), whole("width", width)
    report = progress or (lambda share: None)
    kind = {"activation": activation, "residual": residual}
    given = {"weight_variances": weight_variances, "bias_variances": bias_variances}
    axes = {name: np.linspace(*PLANE[name], PLANE_POINTS) if axis is None else axis for name, axis in given.items()}
    diagram = phase_diagram(**axes, **kind)
    report(0.6)
    bias = float(min(max(BIAS_VARIANCE, diagram.bias_variances[0]), diagram.bias_variances[-1]))
    edge = meanfield.critical_weight_variance(bias, **kind)
    maps = fixed_point_maps([factor * edge for factor in MAP_FACTORS], bias, **kind)
    histograms = []
    if activation in INVERSES and residual == 0:
        for factor in HISTOGRAM_FACTORS:
            report(0.7 + 0.1 * len(histograms))
            at = factor * diagram.crossing[1]
            law = NetworkParameters(
                weight_variance=meanfield.critical_weight_variance(at, activation=activation),
                bias_variance=at,
                depth=HISTOGRAM_DEPTH,
                width=width,
                activation=activation,
            )
            histograms.append(activation_histogram(law, networks=networks, rng=stream(seed, law, "histogram")))
    report(1.0)
    found = {"diagrams": (diagram,), "maps": maps, "histograms": tuple(histograms)}
    return Archive(provenance=provenance(started, seed, command), **found)


def networks(*, seed=1, workers=1, quick=False, inputs="digits", progress=None, command="") -> Archive:
    """Follow random networks in all phases by three curves each, as ``isingflow networks`` does.

    Parameters
    ----------
    seed : int
        Root seed, from 0 to 2**64 - 1.
    workers : int
        Processes, at least 1; the numbers do not depend on it.
    quick, inputs
        As for `network_tasks`.
    progress : callable, optional
        As for `run`.
    command : str
        What the archive says it was made by.

    Returns
    -------
    Archive
        Curves of one input, of two, and of the published estimator; the mean-field depth scale; and histograms of
        pre-activations at several levels of an ordered and of a chaotic network.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    """
    started = datetime.datetime.now(datetime.UTC)
    tasks = network_tasks(quick=quick, inputs=inputs)
    curves = run(tasks, seed=seed, workers=workers, progress=progress)
    shown = {"levels": (0, 1, 3, 15) if quick else (0, 1, 3, 30), "networks": 20 if quick else 100, "workers": workers}
    histograms = []
    for task in tasks:
        if isinstance(task, PublishedParameters) and task.network.weight_variance in SHOWN_WEIGHT_VARIANCES:
            rng = stream(seed, task, "histogram")
            histograms += preactivation_histograms(_pair(inputs, seed)[:1], task.network, rng=rng, **shown)
    lines = (_network_scale_line(),)
    return Archive(curves, lines, provenance(started, seed, command), histograms=tuple(histograms))


def published(
    paths, *, samples=1000, variance="reference", order="number", seed=1, workers=1, progress=None, command=""
) -> Archive:
    """Evaluate the published estimator on files of the public notebooks, as ``isingflow published`` does.

    Parameters
    ----------
    paths : sequence of str or path
        Directories, or pairs of files, as for `isingflow.network.published.list_networks`.
    samples : int
        Samples of level 0 for each network, at least 2.
    variance : {"layer", "reference"}
        As for `isingflow.network.pushforward.pushforward_estimate`.
    order : {"number", "published"}
        As for `isingflow.network.published.read_network`.
    seed : int
        Root seed, from 0 to 2**64 - 1.
    workers : int
        Threads, at least 1; the numbers do not depend on it.
    progress : callable, optional
        Called with the share that is done, in (0, 1].
    command : str
        What the archive says it was made by.

    Returns
    -------
    Archive
        A curve for each network; networks of one epoch are one family.

    Raises
    ------
    ParameterError, ArchiveError
        If an argument is out of range, or a file is missing or wrong.
    """
    started = datetime.datetime.now(datetime.UTC)
    seed, workers, samples = checked_seed(seed), whole("workers", workers), whole("samples", samples, low=2)
    choice("variance", variance, VARIANCES)
    choice("order", order, ORDERS)
    files, curves = list_networks(paths), []
    for one in files:
        read = read_network(one.hooks, one.parameters, order=order)
        rng = stream(seed, read.law, f"published estimator, {one.hooks.name}")
        given = {"samples": samples, "variance": variance, "label": one.label, "workers": workers}
        curves.append(published_curve(read, rng=rng, **given))
        if progress:
            progress(len(curves) / len(files))
    return Archive(tuple(curves), provenance=provenance(started, seed, command))


def provenance(started, seed, command) -> dict:
    """Return what an archive says of its making: begun at `started`, from this seed, by this command, until now."""
    libraries = ("numpy", "scipy", "numba", "h5py", "scikit-learn")
    return {
        "version": isingflow.__version__,
        "commit": _commit(),
        "root_seed": seed,
        "command": command,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        **{name: importlib.metadata.version(name) for name in libraries},
    }


def _commit():
    """The commit of the checkout this package lies in, "" where it lies in none or git is not there."""
    checkout = Path(isingflow.__file__).resolve().parent.parent
    if not (checkout / ".git").exists() or not (checkout / "setup.cfg").exists():
        return ""
    try:
        found = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()
