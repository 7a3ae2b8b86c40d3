"""The figure of square-lattice coupling curves: three recursions, a dense set of couplings."""

import math

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MARKERS, STYLE, missing_families

RECURSIONS = {
    "square/coupling, nearest-neighbour": ("nearest-neighbour truncation", "-"),
    "square/coupling, maris-kadanoff": ("Maris-Kadanoff", "-"),
    "square/coupling, migdal-kadanoff": ("Migdal-Kadanoff", "--"),
}
LEVELS = (2, 4, 8, 12)
"""At which the value is drawn against the coupling."""

STEPS = r"steps of length $\sqrt{2}$, $n$"
VALUE = r"$D(g_0\,\|\,g_n)$  [nats per site]"
SMALLEST = 1e-7
"""Of the logarithmic axes."""

MAP = "viridis"
CRITICAL = math.log1p(math.sqrt(2)) / 2
"""``K_c``, where nothing happens."""


def couplings_figure(archive) -> Figure:
    """Draw the coupling curves of the square lattice from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With a family of coupling curves for each of three recursions, and their maps.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If a family or a map is missing.
    """
    missing = missing_families(archive, RECURSIONS)
    maps = {f"square/coupling, {one.scheme}": one for one in archive.coupling_maps}
    missing += [f"map of {name}" for name in RECURSIONS if name not in maps]
    if missing:
        raise ParameterError(f"the archive holds no coupling curves: {', '.join(missing)} missing")
    families = {name: archive.families()[name] for name in RECURSIONS}
    couplings = [curve.control_value for curves in families.values() for curve in curves]
    shade = matplotlib.cm.ScalarMappable(Normalize(min(couplings), max(couplings)), MAP)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.4, 8.0), layout="constrained")
        panels = figure.subplots(2, 3)
        for axes, letter, (name, curves) in zip(panels[0], "abc", families.items(), strict=True):
            _draw_levels(axes, curves, shade, f"({letter}) {RECURSIONS[name][0]}", log=letter != "a")
        figure.colorbar(shade, ax=panels[0].tolist(), label="coupling $K$", pad=0.01, aspect=25)
        _draw_asymptotes(panels[1, 0], families)
        for axes, letter, name in zip(panels[1, 1:], "ef", [*RECURSIONS][1:], strict=True):
            _draw_against_coupling(axes, families[name], maps[name], f"({letter}) {RECURSIONS[name][0]}, against $K$")
    return figure


def _draw_levels(axes, curves, shade, title, *, log):
    """On a logarithmic axis level 0, where every curve is zero, has no place."""
    shown = slice(1 if log else 0, None)
    for curve in curves:
        look = {"color": shade.to_rgba(curve.control_value), "linewidth": 0.9}
        if curve.control_value == CRITICAL:
            look = {"color": COLOURS[1], "linewidth": 1.8, "linestyle": "--", "zorder": 3, "label": "at $K_c$"}
        axes.plot(curve.levels[shown], curve.value[shown], **look)
    axes.set(title=title, xlabel=STEPS, ylabel=VALUE, xlim=(0, 12), ylim=(0, 0.7))
    if log:
        axes.set(yscale="log", ylim=(SMALLEST, 10))
    axes.legend(loc="lower right")


def _draw_asymptotes(axes, families):
    # they agree where they are: each thinner than the one below
    for (name, curves), colour, width in zip(families.items(), (COLOURS[4], *COLOURS[:2]), (6, 3, 1.6), strict=False):
        words, line = RECURSIONS[name]
        look = {"color": colour, "linestyle": line, "label": words, "linewidth": width}
        axes.plot([curve.control_value for curve in curves], [curve.asymptote for curve in curves], **look)
    _mark(axes, CRITICAL, "$K_c$", 0.93)
    axes.set(
        title="(d) the asymptote, where there is one",
        xlabel="coupling $K$",
        ylabel=r"$D(g_0\,\|\,g_\infty)$  [nats per site]",
        ylim=(0, None),
    )
    axes.legend(loc="lower right")


def _draw_against_coupling(axes, curves, one, title):
    for level, colour, marker in zip(LEVELS, COLOURS, MARKERS, strict=False):
        points = [
            (curve.control_value, curve.value[at]) for curve in curves for at in np.flatnonzero(curve.levels == level)
        ]
        axes.plot(*np.transpose(points), color=colour, marker=marker, markersize=2.6, label=f"$n = {level}$")
    _mark(axes, CRITICAL, "$K_c$", 0.02)
    for fixed in one.fixed[one.fixed > 0]:
        _mark(axes, fixed, "fixed point", 0.02)
    axes.set(title=title, xlabel="coupling $K$", ylabel=VALUE, yscale="log", ylim=(SMALLEST, 10))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.06))


def _mark(axes, coupling, words, height):
    axes.axvline(coupling, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    place = {"xycoords": ("data", "axes fraction"), "xytext": (4, 0), "textcoords": "offset points"}
    axes.annotate(words, (coupling, height), color="0.35", fontsize=8.5, **place)
