"""The figure of ``isingflow phases``: the phase diagram of random networks, the maps behind it, and activations."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MARKERS, STYLE

DEPTHS = (1, 2, 3, 5, 10, 30, 100)
"""Layers at which the depth scale has a contour."""

VARIANCES = (0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 100)
"""Of which contours are drawn."""

FILLS = {"attracting": "full", "repelling": "none", "neutral": "left"}
EDGE = {"color": COLOURS[1], "linewidth": 2.0}
UNIFORMITY = {"color": COLOURS[0], "linewidth": 1.6, "linestyle": (0, (5, 2))}
HALO = [withStroke(linewidth=2.5, foreground="white")]
PLANE = {"xlabel": r"weight variance $\sigma_w^2$", "ylabel": r"bias variance $\sigma_b^2$"}


def phases_figure(archive) -> Figure:
    """Draw the phase diagram from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With a phase diagram; the first is drawn, with the maps and histograms there are.

    Returns
    -------
    matplotlib.figure.Figure
        Five panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If there is no phase diagram.
    """
    if not archive.diagrams:
        raise ParameterError("the archive holds no phase diagram")
    diagram = archive.diagrams[0]
    maps = {
        quantity: [one for one in archive.maps if one.quantity == quantity] for quantity in ("variance", "correlation")
    }
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.4, 8.6), layout="constrained")
        panels = figure.subplot_mosaic("aaabbb;ccddee", height_ratios=(1.25, 1))
        _draw_depths(panels["a"], diagram, archive.histograms)
        _draw_settled(panels["b"], diagram, maps["variance"])
        _draw_maps(panels["c"], maps["variance"], "(c) variance, layer to layer", ("q", r"q\,'"))
        _draw_maps(panels["d"], maps["correlation"], "(d) correlation of two inputs, layer to layer", ("c", r"c\,'"))
        if maps["correlation"]:
            _draw_drift(panels["d"], maps["correlation"])
        _draw_histograms(panels["e"], archive.histograms)
    return figure


def _network(record):
    kind = f"{record.activation} network"
    return kind + (f", residual strength {record.residual:g}" if record.residual else "")


def _draw_depths(axes, diagram, histograms):
    plane = diagram.weight_variances, diagram.bias_variances
    depths = np.ma.masked_invalid(diagram.xi_c)
    shades = matplotlib.colormaps["Greys"](np.linspace(0.04, 0.5, len(DEPTHS) + 1))
    axes.contourf(*plane, depths, levels=DEPTHS, colors=shades, extend="both", zorder=0)
    lines = axes.contour(*plane, depths, levels=_within(depths, DEPTHS), colors="0.35", linewidths=0.6)
    _label(axes, lines, manual=_along_a_row(lines, diagram))
    _draw_lines(axes, diagram)
    _draw_networks(axes, histograms, "networks of (e)", loc="lower right")
    axes.set(title=rf"(a) {_network(diagram)}: depth scale $\xi_c$ [layers]", **PLANE)


def _draw_settled(axes, diagram, maps):
    plane = diagram.weight_variances, diagram.bias_variances
    settled = np.ma.array(diagram.correlation, mask=np.isinf(diagram.variance))
    shades = matplotlib.colormaps["Greys_r"](np.linspace(0.5, 0.96, 5))
    levels = np.linspace(0, 1, 6)
    image = axes.contourf(*plane, settled, levels=levels, colors=shades, zorder=0)
    axes.figure.colorbar(image, ax=axes, label="correlation $c^*$ (shading)", pad=0.01, aspect=30)
    variance = np.ma.masked_invalid(diagram.variance)
    lines = axes.contour(*plane, variance, levels=_within(variance, VARIANCES), colors="0.3", linewidths=0.7)
    _label(axes, lines)
    _draw_lines(axes, diagram)
    _draw_networks(axes, maps, "networks of (c, d)", loc="upper right")
    axes.set(title="(b) what deep layers settle at: variance $q^*$ (lines), correlation $c^*$ (shading)", **PLANE)


def _within(values, levels):
    """Levels that there is a contour of: matplotlib warns of others."""
    return [level for level in levels if values.min() <= level <= values.max()]


def _label(axes, lines, **where):
    for text in axes.clabel(lines, fmt="%g", fontsize=7, inline_spacing=3, **where):
        text.set_path_effects(HALO)


def _along_a_row(lines, diagram):
    """Points where contours cross one bias variance, not too near to the two lines: there they are labelled."""
    row = 7 * len(diagram.bias_variances) // 8
    height, room = diagram.bias_variances[row], np.ptp(diagram.weight_variances) / 40
    points = []
    for path in lines.get_paths():
        if path.codes is None:
            continue
        below = path.vertices[:, 1] < height
        crosses = (below[1:] != below[:-1]) & (path.codes[1:] != path.MOVETO)
        points += map(tuple, path.vertices[1:][crosses])
    near = [diagram.edge[row], diagram.uniformity[row]]
    return [point for point in points if not (np.abs(point[0] - np.array(near)) < room).any()]


def _draw_lines(axes, diagram):
    """Edge of chaos, line of uniformity and their crossing, phases in words, and where the variance grows."""
    weights, biases = diagram.weight_variances, diagram.bias_variances
    axes.set(xlim=weights[[0, -1]], ylim=biases[[0, -1]])
    if _inside(axes, diagram.edge, biases):
        axes.plot(diagram.edge, biases, label="edge of chaos", **EDGE)
    if _inside(axes, diagram.uniformity, biases):
        axes.plot(diagram.uniformity, biases, label="line of uniformity", **UNIFORMITY)
    if _inside(axes, *diagram.crossing):
        cross = {"marker": "*", "color": COLOURS[3], "markeredgecolor": "black", "markersize": 13, "linestyle": "none"}
        axes.plot(*diagram.crossing, zorder=4, label="their crossing", **cross)
    grows = np.isinf(diagram.variance)
    regions = {
        "ordered": ~grows & (diagram.susceptibility < 1),
        "chaotic": ~grows & (diagram.susceptibility > 1),
        "variance grows\nwithout bound": grows,
    }
    high = 3 * len(biases) // 4
    for words, region in regions.items():
        (columns,) = np.nonzero(region[high])
        if len(columns) > len(weights) // 10:
            at = (weights[columns[0]] + weights[columns[-1]]) / 2, biases[high]
            axes.text(*at, words, ha="center", va="center", fontsize=11, style="italic", path_effects=HALO)
    axes.grid(visible=False)


def _draw_networks(axes, records, words, *, loc):
    """Mark where in the plane the networks of another panel lie."""
    for colour, marker, one in _looks(records):
        at = one.weight_variance, one.bias_variance
        if _inside(axes, *at):
            look = {"markersize": 6, "markeredgecolor": "white", "zorder": 5, "label": words}
            axes.plot(*at, marker, color=colour, **look)
            words = None  # one entry in the legend is enough
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=loc, frameon=True, framealpha=1, edgecolor="0.8")


def _inside(axes, x, y):
    """Whether any of the points lies in the plane that is drawn; matplotlib's legend does not ask."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return bool(np.any((x >= left) & (x <= right) & (np.asarray(y) >= low) & (np.asarray(y) <= high)))


def _looks(records):
    for index, one in enumerate(records):
        yield COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], one


def _draw_maps(axes, maps, title, symbols):
    now, then = symbols
    axes.set(title=title, xlabel=f"${now}$", ylabel=f"${then}$")
    if not maps:
        _say(axes, "none in the archive: no finite variance to settle at")
        return
    axes.axline((0, 0), slope=1, color="0.6", linewidth=0.8, linestyle="--")
    handles = []
    for index, (colour, marker, one) in enumerate(_looks(maps)):
        axes.plot(one.x, one.y, color=colour)
        for value, stability in zip(one.fixed, one.stability, strict=True):
            # several may lie on one another: the larger ones below
            look = {"color": colour, "fillstyle": FILLS[stability], "markerfacecoloralt": "white"}
            axes.plot(value, value, marker, markersize=4.5 + 2.3 * index, zorder=4 - index / 10, **look)
        label = rf"$\sigma_w^2 = {one.weight_variance:.4g}$"
        handles.append(Line2D([], [], color=colour, marker=marker, label=label))
    there = {word for one in maps for word in one.stability}
    grey = {"color": "0.3", "marker": "o", "linestyle": "none", "markerfacecoloralt": "white"}
    handles += [Line2D([], [], fillstyle=fill, label=word, **grey) for word, fill in FILLS.items() if word in there]
    axes.legend(handles=handles, title=rf"$\sigma_b^2 = {maps[0].bias_variance:.4g}$", loc="upper left")


def _draw_drift(axes, maps):
    """What the map of correlations adds, in a corner of its panel: there the maps are close to the diagonal."""
    corner = axes.inset_axes((0.56, 0.1, 0.41, 0.36))
    corner.axhline(0, color="0.6", linewidth=0.8, linestyle="--")
    for colour, _, one in _looks(maps):
        positive = one.x >= 0
        corner.plot(one.x[positive], (one.y - one.x)[positive], color=colour)
    corner.set_title(r"$c\,' - c$", fontsize=8, loc="center", pad=2)
    corner.tick_params(labelsize=6.5)


def _draw_histograms(axes, histograms):
    axes.set(title="(e) activations along the edge of chaos", ylabel="density")
    if not histograms:
        _say(axes, "none in the archive")
        return
    for colour, marker, one in _looks(histograms):
        axes.stairs(one.density_exact, one.edges, color=colour, linewidth=1.1, baseline=None)
        label = rf"$\sigma_w^2 = {one.weight_variance:.3g},\ \sigma_b^2 = {one.bias_variance:.3g}$"
        axes.errorbar(one.centres, one.density, yerr=one.density_error, fmt=marker, color=colour, label=label)
    axes.set(xlabel=rf"{histograms[0].activation}$(z)$", ylim=(0, None))
    words = f"points: width {histograms[0].width}, layer {histograms[0].layer}; lines: mean field"
    axes.legend(title=words, title_fontsize=7.5, loc="upper center")


def _say(axes, words):
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color="0.35")
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
