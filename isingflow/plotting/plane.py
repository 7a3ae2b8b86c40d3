"""The figure of recursions for the couplings of the square lattice: a plane of two, and maps of one."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MORE_MARKERS, STYLE

MAPS = {
    "nearest-neighbour": "(b) nearest-neighbour truncation",
    "maris-kadanoff": "(c) Maris-Kadanoff",
    "migdal-kadanoff": "(d) Migdal-Kadanoff, two levels",
}
FIRST = "exact first step"
TERMS = {"nearest": ("$K_1'$", "-"), "diagonal": ("$K_2'$", "--"), "plaquette": ("$K_3'$", ":")}
FILLS = {"attracting": "full", "repelling": "none", "neutral": "left"}
HALO = [withStroke(linewidth=2.5, foreground="white")]
MARKED = (0.2, 0.4, 0.6)
"""Couplings marked on the curve of the exact first step."""


def plane_figure(archive) -> Figure:
    """Draw the recursions of the square lattice from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With Wilson's recursion over its plane, maps of one coupling and of the exact first step, and flows.

    Returns
    -------
    matplotlib.figure.Figure
        Five panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If something of it is missing.
    """
    maps = {one.scheme: one for one in archive.coupling_maps}
    missing = [f"map of {name}" for name in (*MAPS, FIRST) if name not in maps]
    missing += ["plane of couplings"] * (not archive.planes)
    if missing:
        raise ParameterError(f"the archive holds no recursions: {', '.join(missing)} missing")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13.2, 6.8), layout="constrained")
        panels = figure.subplot_mosaic("aabc;aade", width_ratios=(1, 1, 0.9, 0.9))
        _draw_plane(panels["a"], archive.planes[0], archive.flows, maps[FIRST])
        for letter, name in zip("bcd", MAPS, strict=True):
            _draw_map(panels[letter], maps[name], [flow for flow in archive.flows if flow.scheme == name])
        _draw_first_step(panels["e"], maps[FIRST])
    return figure


def _draw_plane(axes, plane, flows, first):
    steps = plane.nearest_step, plane.diagonal_step
    arrows = {"angles": "xy", "scale_units": "xy", "scale": 4, "width": 0.0022, "color": "0.65", "zorder": 1}
    axes.quiver(plane.nearest, plane.diagonal, *steps, **arrows)
    axes.plot(plane.critical_nearest, plane.critical_diagonal, color=COLOURS[1], linewidth=2.0, label="critical line")
    flows, handles = [flow for flow in flows if flow.scheme == plane.scheme], []
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(flows)))
    for flow, shade, marker in zip(flows, shades, MORE_MARKERS, strict=False):
        nearest, diagonal = (flow.couplings[:, flow.terms.index(term)] for term in ("nearest", "diagonal"))
        look = {"color": tuple(shade), "marker": marker, "markersize": 4.5, "linewidth": 1.1, "zorder": 3}
        label = f"flow from $K_1 = {nearest[0]:.4g}$"
        handles += axes.plot(nearest, diagonal, label=label, **look)
    nearest, diagonal = (first.after[:, first.terms.index(term)] for term in ("nearest", "diagonal"))
    axes.plot(nearest, diagonal, color=COLOURS[2], linestyle="--", label="exact first step, over $K$")
    for coupling in MARKED:
        at = np.argmin(np.abs(first.before - coupling))
        axes.plot(nearest[at], diagonal[at], marker="D", markersize=4.5, color=COLOURS[2], zorder=4)
        place = {"xytext": (-7, 4), "textcoords": "offset points", "ha": "right", "path_effects": HALO, "zorder": 5}
        axes.annotate(f"$K = {first.before[at]:.2g}$", (nearest[at], diagonal[at]), color=COLOURS[2], **place)
    star = {"marker": "*", "color": COLOURS[3], "markeredgecolor": "black", "markersize": 14, "linestyle": "none"}
    axes.plot(*plane.fixed, zorder=6, label="fixed point ({:.3f}, {:.3f})".format(*plane.fixed), **star)
    others, _ = axes.get_legend_handles_labels()
    handles += [one for one in others if one not in handles]
    axes.set(
        title="(a) Wilson's recursion of two couplings",
        xlabel="nearest neighbours, $K_1$",
        ylabel="diagonal neighbours, $K_2$",
        xlim=plane.nearest[[0, -1]],
        ylim=(plane.diagonal[0] - 0.008, plane.diagonal[-1]),
    )
    axes.grid(visible=False)
    axes.legend(handles=handles, loc="lower right", frameon=True, framealpha=1, edgecolor="0.8")


def _draw_map(axes, one, flows):
    axes.axline((0, 0), slope=1, color="0.6", linewidth=0.8, linestyle="--")
    axes.plot(one.before, one.after[:, 0], color=COLOURS[0], linewidth=1.6, label="$K'(K)$")
    for flow, colour in zip(flows, COLOURS[1:], strict=False):
        levels = flow.couplings[:, 0]
        # along the map, then to the diagonal, and again
        corners = np.repeat(levels, 2)
        heights = np.concatenate([[0.0], corners[2:], corners[-1:]])[: len(corners)]
        axes.plot(corners[:-1], heights[:-1], color=colour, linewidth=0.9, label=f"from $K = {levels[0]:.3g}$")
    for point, stability in zip(one.fixed, one.stability, strict=True):
        look = {"color": COLOURS[0], "fillstyle": FILLS[stability], "markerfacecoloralt": "white", "clip_on": False}
        axes.plot(point, point, "o", markersize=7, zorder=4, **look)
        if point:
            place = {"xytext": (8, -11), "textcoords": "offset points", "fontsize": 8, "path_effects": HALO}
            axes.annotate(f"$K^* = {point:.6f}$", (point, point), **place)
    axes.set(title=MAPS[one.scheme], xlabel="$K$", ylabel="$K'$", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="none")


def _draw_first_step(axes, one):
    for (term, (label, line)), colour in zip(TERMS.items(), COLOURS, strict=False):
        axes.plot(
            one.before, one.after[:, one.terms.index(term)], color=colour, linestyle=line, label=f"{label}, {term}"
        )
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(title="(e) the exact first step", xlabel="$K$", ylabel="couplings after it", xlim=(0, 1))
    axes.legend(loc="upper left")
