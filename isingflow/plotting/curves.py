"""Drawing one curve, or one family of curves, into a matplotlib axes."""

import matplotlib
import numpy as np

STYLE = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "0.92",
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.2,
    "errorbar.capsize": 2,
    "mathtext.fontset": "cm",
    "figure.dpi": 100,
    "savefig.dpi": 160,
}
"""Parameters of matplotlib for every figure of the package."""

COLOURS = ("#0b2545", "#b3261e", "#2e7d32", "#e08e0b", "#6fa8dc")
"""From dark to light, apart in grey too."""

MARKERS = ("o", "s", "D", "^", "v")
MORE_MARKERS = (*MARKERS, "P", "X", "<", ">")
SYMBOLS = {"coupling": "K", "weight_variance": r"\sigma_w^2"}


def control_label(curve) -> str:
    """Return the control parameter and its value as a legend says them."""
    return f"${SYMBOLS.get(curve.control, curve.control)} = {curve.control_value:.4g}$"


def draw_curve(axes, curve, *, colour=COLOURS[0], marker="o", every=1, label=None, filled=True):
    """Draw the points of a sampled curve with their error bars, and its reference as a line.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    curve : LevelCurve
        What; one of closed forms is a line.
    colour, marker : str
        How.
    every : int
        Draw a point at every so many levels; the reference is drawn at all.
    label : str, optional
        For the legend; the control parameter without it.
    filled : bool
        Whether markers are filled, and the reference drawn.

    Returns
    -------
    list
        The artists.
    """
    label = control_label(curve) if label is None else label
    if curve.samples == 0:
        return axes.plot(curve.levels, curve.value, color=colour, label=label)
    artists = []
    known = np.isfinite(curve.exact)
    if filled and known.any():
        artists += axes.plot(curve.levels[known], curve.exact[known], color=colour, zorder=1)
    points = slice(0, None, every)
    artists.append(
        axes.errorbar(
            curve.levels[points],
            curve.value[points],
            yerr=curve.error[points],
            fmt=marker,
            color=colour,
            markerfacecolor=colour if filled else "white",
            label=label,
            zorder=2 if filled else 3,
        )
    )
    return artists


def draw_family(axes, curves, *, every=1, filled=True, labels=True):
    """Draw curves of one family, each in its own colour and marker; return the artists."""
    artists = []
    for index, curve in enumerate(curves):
        look = {"colour": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        label = None if labels else "_nolegend_"
        artists += draw_curve(axes, curve, every=every, filled=filled, label=label, **look)
    return artists


def looks_of(values) -> dict:
    """Return colour and marker of every value, from dark to light."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(values)))
    return {
        value: {"color": tuple(shade), "marker": MORE_MARKERS[index % len(MORE_MARKERS)]}
        for index, (value, shade) in enumerate(zip(sorted(values), shades, strict=True))
    }


def draw_series(axes, curve, name, *, shown=slice(None), **look):
    """Draw one series of a sampled curve against the distance: points with error bars, and its reference.

    The reference is a line, of levels with gaps between them a dash each; where there is none, a thin line joins the
    points.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    curve : LevelCurve
        What.
    name : {"value", "reverse", "step"}
        Which series.
    shown : slice
        Which levels.
    **look
        Colour and marker.
    """
    names = ("error", "exact") if name == "value" else (f"{name}_error", f"exact_{name}")
    length, points, errors, exact = (getattr(curve, field)[shown] for field in ("length", name, *names))
    known = np.isfinite(exact)
    if known.any():
        line = {} if known.all() else {"linestyle": "none", "marker": "_", "markersize": 14}
        axes.plot(length[known], exact[known], color=look["color"], zorder=1, **line)
    joined = {"linestyle": "none"} if known.any() else {"linestyle": "-", "linewidth": 0.5, "elinewidth": 1.2}
    axes.errorbar(length, points, yerr=errors, zorder=2, **joined, **look)


def missing_families(archive, wanted) -> list:
    """Return the families of curves that an archive does not hold."""
    there = archive.families()
    return [name for name in wanted if name not in there]
