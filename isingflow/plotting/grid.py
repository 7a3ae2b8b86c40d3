"""The figure of a study on a grid: a panel for each quantity."""

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import MORE_MARKERS, STYLE, SYMBOLS, draw_series

PANELS = 6
"""Quantities drawn, at most: the first."""

CURVES = 8
"""Drawn in a panel, at most: evenly chosen."""

POINTS = 12
"""Drawn of a curve, about."""

LARGE, LONG = 100.0, 16.0
"""From which on axes are logarithmic: a curve's end over that of the others, and the longest distance."""


def grid_figure(archive) -> Figure:
    """Draw the curves of a study along the axis of its control parameter, or else along the first.

    On all other axes the point in the middle is taken, as the figure says; of long axes some values. Curves that the
    estimator has doubts about have open markers.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        From `isingflow.run`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each quantity; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If the archive holds no curves.
    """
    families = list(archive.families().values())[:PANELS]
    if not families:
        raise ParameterError("the archive holds no curves to be drawn")
    leading = _leading(archive.grid, families[0][0])
    chosen = [_chosen(archive.grid, leading, curves) for curves in families]
    everywhere = [item for item in chosen[0][1].items() if all(item in at.items() for _, at in chosen)]
    looks = _looks(curve.parameters[leading] for curves, _ in chosen for curve in curves)
    columns = min(3, len(families))
    rows = math.ceil(len(families) / columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 3.9 * columns, 1.4 + 3.3 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (curves, at), letter in zip(panels, chosen, "abcdef", strict=False):
            own = [_said(*item) for item in at.items() if item not in everywhere]
            _draw(axes, curves, leading, looks)
            axes.set_title("\n".join(filter(None, (f"({letter}) {curves[0].system}, {curves[0].quantity}", *own))))
        for axes in panels[len(families) :]:
            axes.remove()
        figure.suptitle(", ".join(_said(*item) for item in everywhere) or None, fontsize=9)
        handles = [Line2D([], [], linestyle="none", label=_said(leading, value), **looks[value]) for value in looks]
        handles.append(Line2D([], [], color="0.3", label="reference"))
        if any(curve.flags for curves, _ in chosen for curve in curves):
            look = {"linestyle": "none", "marker": "o", "color": "0.3", "markerfacecolor": "white"}
            handles.append(Line2D([], [], label="open: with doubts", **look))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3 * columns))
    return figure


def _leading(grid, curve):
    """The parameter that tells the curves of a panel apart."""
    of_control = [axis.name for axis in grid.axes if curve.control in axis.names]
    return (of_control or [axis.name for axis in grid.axes] or [curve.control])[0]


def _chosen(grid, leading, curves):
    """Some curves along the leading axis, in the middle of the others as far as they reach, and where that is."""
    at = {}
    for axis in grid.axes:
        if axis.name != leading:
            there = {curve.parameters[axis.name] for curve in curves}
            values = [value for value in axis.columns[0] if value in there]
            curves = [curve for curve in curves if curve.parameters[axis.name] == values[len(values) // 2]]
            # what a quantity has of its own, such as its recursion, its name says
            at |= {name: curves[0].parameters[name] for name in axis.names if len(values) > 1 or len(axis) == 1}
    some = np.unique(np.linspace(0, len(curves) - 1, min(CURVES, len(curves))).round().astype(int))
    return [curves[index] for index in some], at


def _looks(values):
    """Colour and marker of every value, from dark to light."""
    values = list(dict.fromkeys(values))
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(values)))
    return {
        value: {"color": tuple(shade), "marker": MORE_MARKERS[number % len(MORE_MARKERS)]}
        for number, (value, shade) in enumerate(zip(values, shades, strict=True))
    }


def _said(name, value):
    symbol = f"${SYMBOLS[name]}$" if name in SYMBOLS else name.replace("_", " ")
    return f"{symbol} = {value if isinstance(value, str) else format(value, '.5g')}"


def _draw(axes, curves, leading, looks):
    first = curves[0]
    ends = np.array([curve.value[-1] for curve in curves])
    log = ends.min() > 0 and ends.max() > LARGE * np.median(ends)
    for curve in curves:
        shown = slice(int(log), None, max(1, (len(curve.levels) - 1) // POINTS))
        face = {"markerfacecolor": "white"} if curve.flags else {}
        draw_series(axes, curve, "value", shown=shown, **looks[curve.parameters[leading]], **face)
    network = first.system == "network"
    axes.set(
        xlabel="layer $l$" if network else "distance  [lattice constants]",
        ylabel=rf"$D(p_0\,||\,p_n)$  [nats per {first.per}]",
    )
    if log:
        axes.set_yscale("log")
    if not network and max(curve.length[-1] for curve in curves) > LONG:
        axes.set_xscale("log", base=2)
