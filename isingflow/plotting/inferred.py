"""The figure of `isingflow.ising_studies.inferred`: couplings of decimated configurations, and what they miss."""

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MORE_MARKERS, STYLE

FIRST = "exact first step"
ASIDE = 0.05
"""Of a level: how far markers of neighbouring flows are drawn apart."""

SYMMETRIC, UP = {"linestyle": "-"}, {"linestyle": (0, (4, 2)), "markerfacecolor": "white"}


def inferred_figure(archive) -> Figure:
    """Draw the flow of inferred couplings from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With inferred flows, the plane of a recursion and the map of the exact first step.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If something of it is missing.
    """
    first = next((one for one in archive.coupling_maps if one.scheme == FIRST), None)
    held = {"inferred flows": archive.inferred, "plane of couplings": archive.planes, f"map of the {FIRST}": first}
    missing = [name for name, there in held.items() if not there]
    if missing:
        raise ParameterError(f"the archive holds no inferred couplings: {', '.join(missing)} missing")
    couplings = sorted({flow.coupling for flow in archive.inferred})
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.82, len(couplings)))
    looks = {
        coupling: {"color": tuple(shade), "marker": marker, "markersize": 4.5, "linewidth": 1.2}
        for coupling, shade, marker in zip(couplings, shades, MORE_MARKERS, strict=False)
    }
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13.2, 5.2), layout="constrained")
        plane, missed, field = figure.subplots(1, 3, width_ratios=(1.35, 1, 0.8))
        _draw_plane(plane, archive.planes[0], first)
        for number, flow in enumerate(archive.inferred):
            look = {**looks[flow.coupling], **(SYMMETRIC if flow.phase == "symmetric" else UP)}
            if flow.phase == "symmetric":
                _draw_flow(plane, flow, look)
            else:
                _draw_field(field, flow, look)
            _draw_missing(missed, flow, look, ASIDE * (number - len(archive.inferred) // 2))
        plane.set(title="(a) nearest and diagonal couplings")
        missed.set(
            title="(b) what the terms miss",
            xlabel="decimation steps $n$",
            ylabel="missing log-likelihood  [nats per spin]",
            yscale="log",
        )
        field.set(title="(c) the field of one ordered phase", xlabel="decimation steps $n$", ylabel="field, $H$")
        handles = [Line2D([], [], label=f"$K = {coupling:.4g}$", **look) for coupling, look in looks.items()]
        handles += [
            Line2D([], [], color="0.3", marker="o", markersize=4.5, label=label, **look)
            for label, look in (("both phases", SYMMETRIC), ("one phase", UP))
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_plane(axes, plane, first):
    steps = plane.nearest_step, plane.diagonal_step
    arrows = {"angles": "xy", "scale_units": "xy", "scale": 4, "width": 0.0022, "color": "0.75", "zorder": 1}
    axes.quiver(plane.nearest, plane.diagonal, *steps, **arrows)
    label = f"critical line, {plane.scheme.capitalize()}"
    axes.plot(plane.critical_nearest, plane.critical_diagonal, color=COLOURS[1], linewidth=1.6, label=label)
    nearest, diagonal = (first.after[:, first.terms.index(term)] for term in ("nearest", "diagonal"))
    axes.plot(nearest, diagonal, color="0.2", linestyle=":", label=f"{FIRST}, over $K$")
    axes.set(
        xlabel="nearest neighbours, $K_1$",
        ylabel="diagonal neighbours, $K_2$",
        xlim=(-0.02, plane.nearest[-1] + 0.02),
        ylim=(-0.02, 0.31),
    )
    axes.grid(visible=False)
    axes.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="0.8")


def _draw_flow(axes, flow, look):
    nearest, diagonal = (flow.terms.index(term) for term in ("nearest", "diagonal"))
    bars = {"xerr": flow.couplings_error[:, nearest], "yerr": flow.couplings_error[:, diagonal]}
    axes.errorbar(flow.couplings[:, nearest], flow.couplings[:, diagonal], **bars, zorder=3, **look)


def _draw_missing(axes, flow, look, aside):
    """A point below twice its error is zero as far as can be told: its bound is drawn, as an arrow."""
    seen = flow.missing > 2 * flow.missing_error
    levels = flow.levels + aside
    axes.errorbar(levels[seen], flow.missing[seen], yerr=flow.missing_error[seen], **look)
    bounds = np.maximum(flow.missing, 0) + 2 * flow.missing_error
    arrow = {"color": look["color"], "marker": "$\\downarrow$", "markersize": 7, "linestyle": "none"}
    axes.plot(levels[~seen], bounds[~seen], **arrow)


def _draw_field(axes, flow, look):
    column = flow.terms.index("field")
    axes.errorbar(flow.levels, flow.couplings[:, column], yerr=flow.couplings_error[:, column], **look)
    magnetization = (1 - math.sinh(2 * flow.coupling) ** -4) ** 0.125
    axes.axhline(math.atanh(magnetization), color=look["color"], linewidth=0.8, linestyle=":")
