"""An archive as text: every point with its error, its reference and the distance between them."""

import collections
import math

import numpy as np

from isingflow.archive import Archive
from isingflow.curve import LevelCurve
from isingflow.divergence.estimate import with_error
from isingflow.progress import duration

_RULE = "-" * 86

MEAN_FIELD = ("mean field", "mean field, 1/width")
"""References that are not exact: distances from them are in percent."""


def distances(archive: Archive) -> np.ndarray:
    """Return float64 (n,): every sampled point's distance from its exact reference, in standard errors.

    Points of the forward curves (not level 0, which is exact), asymptotes and scales. What several curves share, as
    pairs along rows and pairs at even levels do, counts once.
    """
    found = {}
    for curve in archive.curves:
        if curve.reference == "exact":
            triples = [*zip(curve.value, curve.error, curve.exact, strict=True)]
            triples += [_triple(curve, name) for name in ("asymptote", "scale")]
            found |= {(curve.system, curve.control_value, *triple): _deviation(*triple) for triple in triples}
    every = np.array(list(found.values()), dtype=np.float64)
    return every[np.isfinite(every)]


def _triple(curve, name):
    return getattr(curve, name), getattr(curve, f"{name}_error"), getattr(curve, f"{name}_exact")


def _deviation(value, error, exact):
    known = math.isfinite(value) and math.isfinite(exact) and math.isfinite(error) and error > 0
    return (value - exact) / error if known else math.nan


def _distance_words(curve: LevelCurve, value, error, exact):
    """The last two columns: reference, and how far away it is."""
    if not (math.isfinite(exact) and math.isfinite(value)):
        return f"{exact:.6g}" if not math.isnan(exact) else "-", ""
    if curve.reference in MEAN_FIELD:
        return f"{exact:.6g}", f"{100 * (value / exact - 1):+.2f} %" if exact else ""
    return f"{exact:.6g}", f"{_deviation(value, error, exact):+.2f} se" if error > 0 else ""


def _summary_row(curve):
    words = curve.regime
    if math.isfinite(curve.scale):
        words += f", scale {with_error(curve.scale, curve.scale_error)}"
        reference, distance = _distance_words(curve, *_triple(curve, "scale"))
        if reference != "-":
            words += f" ({_name(curve)} {reference}{', ' * bool(distance)}{distance})"
    if math.isfinite(curve.exponent):
        words += f", effective exponent {with_error(curve.exponent, curve.exponent_error)}"
    if math.isfinite(curve.asymptote):
        words += f", asymptote {with_error(curve.asymptote, curve.asymptote_error)}"
        reference, distance = _distance_words(curve, *_triple(curve, "asymptote"))
        if distance:
            words += f" ({_name(curve)} {reference}, {distance})"
    words += f"; fit: {curve.fit}" if curve.fit else ""
    return words + "".join(f" [{flag}]" for flag in curve.flags)


def _name(curve):
    """The reference of scale and asymptote: the scale has one where the curve has none, and no 1/width correction."""
    return "mean field" if curve.reference in MEAN_FIELD else "exact"


def table(archive: Archive) -> str:
    """Return the points of every sampled curve, a line each, and what they come to.

    Distances are in standard errors (se) where the reference is exact, in percent where it is mean field, the limit of
    infinite width, or that with its 1/width correction.
    """
    lines = [*([phases(archive)] if archive.diagrams else []), *_bins(archive)]
    for family, curves in archive.families().items():
        first = curves[0]
        if not first.samples:
            continue
        unit = "networks" if first.system == "network" else "configurations"
        unit = "samples" if first.estimator == "push-forward of one network" else unit
        lines.append(_RULE)
        lines.append(f"{family}: D(p_0||p_n) in nats per {first.per}; {first.estimator}, {first.samples} {unit}")
        lines.append(f"reference: {first.reference}")
        lines.append(f"{first.control:>16} {first.level_name:>18} {'estimate':>16} {'reference':>14} {'distance':>12}")
        for curve in curves:
            for index in range(1, len(curve.levels)):  # the first level is zero by definition
                value, error = curve.value[index], curve.error[index]
                reference, distance = _distance_words(curve, value, error, curve.exact[index])
                lines.append(
                    f"{curve.control_value:>16.7g} {curve.levels[index]:>18d} {with_error(value, error):>16} "
                    f"{reference:>14} {distance:>12}"
                )
        lines += [f"  {first.control} {curve.control_value:.7g}: {_summary_row(curve)}" for curve in curves]
    return "\n".join([*lines, _RULE, *_conclusion(archive)])


def _conclusion(archive):
    found = distances(archive)
    if len(found):
        yield (
            f"{len(found)} distances from exact values: root mean square {np.sqrt(np.mean(found**2)):.2f}, "
            f"largest {np.abs(found).max():.2f} standard errors"
        )
    for reference in MEAN_FIELD:
        curves = [curve for curve in archive.curves if curve.reference == reference]
        ratios = [
            np.divide(curve.value, curve.exact, out=np.full(len(curve.levels), np.nan), where=curve.exact != 0)[1:]
            for curve in curves
        ]
        percent = 100 * np.abs(np.concatenate([np.empty(0), *ratios]) - 1)
        percent = percent[np.isfinite(percent)]
        if len(percent):
            words = f"{len(percent)} distances from {reference}: median {np.median(percent):.2f} %"
            words += f", largest {percent.max():.2f} %"
            pulls = np.concatenate([curve.distance() for curve in curves])
            pulls = pulls[np.isfinite(pulls)]
            if len(pulls):
                words += f"; root mean square {np.sqrt(np.mean(pulls**2)):.2f} standard errors"
            yield words


def contents(archive: Archive) -> str:
    """Return what an archive holds: where it came from, then a line for every curve."""
    said = {name: value for name, value in archive.provenance.items() if value != "" and name != "study"}
    lines = [f"{name:>14}: {value}" for name, value in said.items()]
    for family, curves in archive.families().items():
        first = curves[0]
        along = _along(archive.grid, first)
        shared = {
            name: value
            for name, value in first.parameters.items()
            if name not in along and all(curve.parameters[name] == value for curve in curves)
        }
        lines += ["", f"{family}, per {first.per}, levels: {first.level_name}, reference: {first.reference}"]
        if shared:
            lines.append("  " + ", ".join(f"{name} {value}" for name, value in shared.items()))
        for curve in curves:
            lines.append(f"  {_where_on(archive.grid, curve)}, {len(curve.levels)} levels: {_summary_row(curve)}")
    for line in archive.lines:
        lines += ["", f"scale of {line.system} against {line.control}: {len(line.values)} {line.reference} points"]
    if archive.diagrams:
        lines += ["", phases(archive)]
    elif archive.histograms:
        lines += ["", *map(_histogram, archive.histograms)]
    lines += ["", *map(_entropy, archive.entropies)] if archive.entropies else []
    ising = [*map(_flow, archive.flows), *map(_coupling_map, archive.coupling_maps), *map(_plane, archive.planes)]
    ising += [*map(_asymptote_line, archive.asymptotes), *map(_pair_correlation, archive.correlations)]
    ising += [*map(_configuration, archive.configurations), *map(_inferred, archive.inferred)]
    ising += [*map(_information, archive.information), *map(_exponents, archive.exponents)]
    lines += ["", *ising] if ising else []
    trained = [*map(_trainability, archive.trainability), *map(_reconstruction, archive.reconstructions)]
    lines += ["", *trained] if trained else []
    return "\n".join(lines)


def _along(grid, curve):
    """Names of the parameters that tell a curve from others of its family."""
    return [name for axis in grid.axes for name in axis.names] or [curve.control]


def _where_on(grid, curve):
    values = {name: curve.parameters[name] for name in _along(grid, curve)}
    return ", ".join(f"{name} {x if isinstance(x, str) else format(x, '.7g')}" for name, x in values.items())


def grid(archive: Archive) -> str:
    """Return what the archive of a study on a grid holds: its axes, and a line for every family."""
    lines = []
    for axis in archive.grid.axes:
        columns = zip(axis.names, axis.columns, strict=True)
        words = [f"{name} {_first_and_last(column)}" for name, column in columns]
        lines.append(f"{len(axis):>6} points along {', with '.join(words)}")
    said = archive.provenance
    if said.get("tasks_done", 0) < said.get("tasks", 0):
        lines.append(f"partial: {said['tasks_done']} of {said['tasks']} tasks are done")
    for family, curves in archive.families().items():
        regimes = collections.Counter(curve.regime for curve in curves)
        words = [f"{count} {regime}" for regime, count in regimes.items()]
        flagged = sum(bool(curve.flags) for curve in curves)
        words += [f"{flagged} with doubts: see isingflow show"] if flagged else []
        lines.append(f"{len(curves):>6} curves {family}: {', '.join(words)}")
    return "\n".join(lines)


def _first_and_last(column):
    words = [value if isinstance(value, str) else f"{value:.6g}" for value in column]
    return ", ".join(words) if len(words) <= 4 else f"{words[0]}, {words[1]} ... {words[-1]}"


def plan(study, found) -> str:
    """Return the missing tasks of a study with their estimated cost, a line each, and the sums."""
    lines = [f"{'cost':>10} {'memory':>10}  task"] if found.tasks else []
    for task, point, seconds, size in zip(found.tasks, found.points, found.seconds, found.memory, strict=True):
        words = ", ".join(f"{name} = {value}" for name, value in point.items())
        words += f"{', ' * bool(words)}repeat {task.repeat + 1}" if study.repeats > 1 else ""
        lines.append(f"{seconds:>8.2g} s {size / 1e6:>7.3g} MB  {words or 'the only one'}")
    lines.append(
        f"{len(found.tasks)} tasks are missing, {found.done} done; about {duration(sum(found.seconds))} on one core"
    )
    return "\n".join(lines)


def status(study, found) -> str:
    """Return how far a study is."""
    missing = found.tasks - found.done - found.failed
    lines = [f"{study.name}: {found.tasks} tasks, {found.done} done, {found.failed} failed, {missing} missing"]
    lines += [f"running: {who}" for who in found.running] or ["not running"]
    lines += [f"about {duration(found.left)} left"] if math.isfinite(found.left) else []
    return "\n".join(lines)


def phases(archive: Archive) -> str:
    """Return what phase diagrams say: the edge of chaos, the line of uniformity, fixed points, distances of samples."""
    lines = [line for diagram in archive.diagrams for line in _diagram(diagram)]
    lines += map(_fixed_points, archive.maps)
    lines += map(_histogram, archive.histograms)
    if not archive.histograms:
        lines.append("no histograms: only tanh and erf networks without residual strength are sampled")
    return "\n".join(lines)


def truncation(archive: Archive) -> str:
    """Return the truncation errors: the marginals that recursions predict beside the true ones, a line a point.

    The error of a difference is that of two independent samples.
    """
    families = archive.families()
    true = {
        (curve.quantity, curve.control_value, level): (curve.value[index], curve.error[index])
        for name in ("square/pair marginal", "square/2x2 marginal")
        for curve in families.get(name, [])
        for index, level in enumerate(curve.levels.tolist())
    }
    lines = [_RULE, "Truncation errors of recursions: D(p_0||p_n) in nats, per bond (pair) or window (2x2)"]
    lines.append(f"{'K':>10} {'marginal':>9} {'recursion':<18} n {'true':>14} {'recursion':>14} {'difference':>14}")
    for family, curves in families.items():
        quantity, _, scheme = family.removeprefix("square/").partition(", ")
        for curve in curves:
            for index, level in enumerate(curve.levels.tolist()):
                value, error = curve.value[index], curve.error[index]
                known = true.get((quantity, curve.control_value, level))
                if scheme and level and known:
                    difference = with_error(value - known[0], math.hypot(error, known[1]))
                    lines.append(
                        f"{curve.control_value:>10.7g} {quantity.split()[0]:>9} {scheme:<18} {level} "
                        f"{with_error(*known):>14} {with_error(value, error):>14} {difference:>14}"
                    )
    return "\n".join([*lines, _RULE])


def networks(archive: Archive) -> str:
    """Return what the curves of networks come to, a line each, and the distances of points and histograms."""
    lines = []
    for family, curves in archive.families().items():
        lines += [_RULE, f"{family}, per {curves[0].per}, reference: {curves[0].reference}"]
        for curve in curves:
            last = f"layer {curve.levels[-1]}: {with_error(curve.value[-1], curve.error[-1])}"
            lines.append(f"  {curve.control} {curve.control_value:.7g}, {last}; {_summary_row(curve)}")
    return "\n".join([*lines, _RULE, *map(_histogram, archive.histograms), *_conclusion(archive)])


def published(archive: Archive) -> str:
    """Return the published estimator at some of the layers, a line for each network."""
    curves = [curve for family in archive.families().values() for curve in family]
    layers = [layer for layer in (1, 2, 5, 10, 20, 50) if layer < max(len(curve.levels) for curve in curves)]
    lines = [
        f"published estimator in nats per layer; {curves[0].samples} samples of level 0",
        f"{'epoch':>6} {'weight variance':>16} {'bias variance':>14} {'levels':>7}"
        + "".join(f" {f'layer {layer}':>16}" for layer in layers),
    ]
    for curve in curves:
        words = [
            with_error(curve.value[layer], curve.error[layer]) if layer < len(curve.levels) else "-" for layer in layers
        ]
        lines.append(
            f"{curve.parameters['label'] or '-':>6} {curve.control_value:>16.6g} "
            f"{curve.parameters['bias_variance']:>14.6g} {len(curve.levels):>7d}" + "".join(f" {w:>16}" for w in words)
        )
    doubts = dict.fromkeys(flag for curve in curves for flag in curve.flags)
    return "\n".join([*lines, *(f"[{doubt}]" for doubt in doubts)])


def _diagram(diagram):
    weights, biases = diagram.weight_variances, diagram.bias_variances
    yield (
        f"{diagram.activation} network, residual strength {diagram.residual:g}: {len(weights)} weight variances "
        f"{weights[0]:g} to {weights[-1]:g}, {len(biases)} bias variances {biases[0]:g} to {biases[-1]:g}"
    )
    yield f"{'bias variance':>16} {'edge of chaos':>16} {'uniformity':>16}   (weight variances)"
    for row in sorted({round(share * (len(biases) - 1)) for share in np.linspace(0, 1, 6)}):
        line = diagram.uniformity[row]
        words = "-" if math.isnan(line) else f"{line:.6f}"
        yield f"{biases[row]:>16.6g} {diagram.edge[row]:>16.6f} {words:>16}"
    weight, bias = diagram.crossing
    if math.isnan(weight):
        yield f"no line of uniformity: no variance has the largest entropy of {diagram.activation} activations"
    else:
        yield f"the lines cross at weight variance {weight:.6f}, bias variance {bias:.6f}"
    grows = np.isinf(diagram.variance)
    if grows.any():
        yield f"the variance grows without bound at {100 * grows.mean():.0f} % of the points"


def _fixed_points(one):
    points = zip(one.fixed, one.stability, one.slopes, strict=True)
    words = ", ".join(f"{value:.6g} {kind} (slope {slope:.6g})" for value, kind, slope in points)
    return f"{_where(one)}: fixed {one.quantity} {words or 'none, it grows without bound'}"


def _where(one):
    return f"weight variance {one.weight_variance:.6g}, bias variance {one.bias_variance:.6g}"


def _histogram(one):
    seen = one.density_error > 0  # in the tails there may be none
    away = (one.density - one.density_exact)[seen] / one.density_error[seen]
    return (
        f"{_where(one)}: {one.variable}s in layer {one.layer} of {one.networks} networks of width {one.width}, "
        f"{np.sqrt(np.mean(away**2)):.2f} standard errors from mean field (root mean square of {len(away)} bins)"
    )


def _entropy(one):
    found = with_error(one.value[-1], one.error[-1])
    return (
        f"{_where(one)}: {one.activation} activations in layer {one.levels[-1]:g} of {one.networks} networks have the "
        f"entropy {found} nats, mean field {one.exact[-1]:.6g}"
    )


def _flow(one):
    first, last = (
        ", ".join(f"{term} {value:.6g}" for term, value in zip(one.terms, one.couplings[row], strict=True))
        for row in (0, -1)
    )
    return f"flow of the {one.system}, {one.scheme}: {first}; after {one.levels[-1]:g} steps {last}"


def _coupling_map(one):
    points = zip(one.fixed, one.stability, strict=True)
    words = ", ".join(f"{value:.6g} {kind}" for value, kind in points)
    return f"map of the couplings, {one.scheme}: {', '.join(one.terms)}; fixed points {words or 'none'}"


def _plane(one):
    return (
        f"plane of nearest and diagonal couplings, {one.scheme}: fixed point ({one.fixed[0]:.6g}, {one.fixed[1]:.6g})"
    )


def _asymptote_line(one):
    return f"asymptote of {one.system}/{one.quantity} against coupling: {len(one.before)} exact points"


def _pair_correlation(one):
    return f"coupling {one.coupling:.7g}, side {one.side}: {len(one.distances)} correlations inverted from pairs"


def _configuration(one):
    shape = " x ".join(map(str, one.spins.shape))
    return f"coupling {one.coupling:.7g}, side {one.side}: {shape} spins of level {one.level}"


def _inferred(one):
    last = zip(one.terms, one.couplings[-1], one.couplings_error[-1], strict=True)
    words = ", ".join(f"{term} {with_error(value, error)}" for term, value, error in last)
    most = np.argmax(one.missing)
    return (
        f"couplings inferred from coupling {one.coupling:.7g}, side {one.side}, {one.phase}: after "
        f"{one.levels[-1]:g} steps {words}; most is missing after {one.levels[most]:g}, "
        f"{with_error(one.missing[most], one.missing_error[most])} nats per spin"
        + "".join(f" [{flag}]" for flag in one.flags)
    )


def _information(one):
    where = f"side {one.side}" if one.side else "infinite lattice"
    how = f"{one.samples} configurations" if one.samples else "exact"
    largest = with_error(one.maximum, one.maximum_error) if one.maximum_error else f"{one.maximum:.6f}"
    words = f"{len(one.before)} couplings, {how}; largest at coupling {largest}"
    return f"information of {one.quantity}, nats per {one.per}, {where}: {words}"


def _exponents(one):
    found = [
        f"{name} {with_error(values[step, -1], errors[step, -1])}"
        if np.isfinite(values[step, -1])
        else f"{name} not real"
        for step in (0, -1)
        for name, values, errors in (
            ("y_t", one.thermal, one.thermal_error),
            ("y_h", one.magnetic, one.magnetic_error),
        )
    ]
    return (
        f"exponents at coupling {one.coupling:.7g}, {one.rule}, b = {one.factor}, {one.samples} configurations of side "
        f"{one.sides[0]}: {', '.join(found[:2])} in the first step, {', '.join(found[2:])} in the last"
    )


def _trainability(one):
    """How deep networks can be trained to classify most images, by weight variance, and what tells it before."""
    most = [
        f"{weight:g}: {max(one.depths[column > 0.5], default=0):g}"
        for weight, column in zip(one.weight_variances, one.accuracy.T, strict=True)
    ]
    return (
        f"{one.accuracy.size} networks of width {one.width} trained for {one.epochs} epochs on {one.source}\n"
        f"  deepest that classifies most images, by weight variance: {', '.join(most)}\n"
        f"  rank correlation with what a cascade reconstructs: {with_error(one.correlation, one.correlation_error)}; "
        f"{one.training_seconds:.0f} s of training, {one.cascade_seconds:.0f} s of cascades"
    )


def _reconstruction(one):
    levels = ", ".join(f"{level:g}" for level in one.levels)
    return f"{len(one.images)} images reconstructed at weight variance {one.weight_variance:g} from levels {levels}"


def _bins(archive):
    for one in archive.histograms:
        yield _RULE
        yield f"{_where(one)}: density of {one.variable}s, layer {one.layer}"
        yield f"{'from':>16} {'to':>18} {'sampled':>16} {'mean field':>14} {'distance':>12}"
        rows = zip(one.edges, one.edges[1:], one.density, one.density_error, one.density_exact, strict=False)
        for low, high, value, error, exact in rows:
            percent = f"{100 * (value / exact - 1):+.2f} %" if exact else ""
            yield f"{low:>16.4g} {high:>18.4g} {with_error(value, error):>16} {exact:>14.6g} {percent:>12}"
