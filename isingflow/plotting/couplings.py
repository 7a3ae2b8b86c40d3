"""The figure of square-lattice coupling curves: three recursions, a dense set of couplings."""

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MARKERS, STYLE, missing_families

RECURSIONS = {
    "square/coupling, nearest-neighbour": ("nearest-neighbour truncation", "-"),
    "square/coupling, maris-kadanoff": ("Maris-Kadanoff", "--"),
    "square/coupling, migdal-kadanoff": ("Migdal-Kadanoff", ":"),
}
LEVELS = (2, 4, 8, 12)
"""At which the value is drawn against the coupling."""

STEPS = r"steps of length $\sqrt{2}$, $n$"
VALUE = r"$D(g_0\,\|\,g_n)$  [nats per site]"
SMALLEST = 1e-7
"""Of the logarithmic axes."""

MAP = "viridis"
CRITICAL = np.arcsinh(1) / 2
"""``K_c``, where nothing happens."""


def couplings_figure(archive) -> Figure:
    """Draw the coupling curves of the square lattice from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With a family of coupling curves for each of three recursions.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If a family is missing.
    """
    missing = missing_families(archive, RECURSIONS)
    if missing:
        raise ParameterError(f"the archive holds no coupling curves: {', '.join(missing)} missing")
    families = {name: archive.families()[name] for name in RECURSIONS}
    couplings = [curve.control_value for curves in families.values() for curve in curves]
    shade = matplotlib.cm.ScalarMappable(Normalize(min(couplings), max(couplings)), MAP)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.4, 8.0), layout="constrained")
        panels = figure.subplots(2, 3)
        for axes, letter, (name, curves) in zip(panels[0], "abc", families.items(), strict=True):
            _draw_levels(axes, curves, shade, f"({letter}) {RECURSIONS[name][0]}")
        panels[0, 0].set(yscale="linear", ylim=(0, None))
        figure.colorbar(shade, ax=panels[0].tolist(), label="coupling $K$", pad=0.01, aspect=25)
        _draw_asymptotes(panels[1, 0], families)
        _draw_against_coupling(panels[1, 1], families, "maris-kadanoff", "e")
        _draw_against_coupling(panels[1, 2], families, "migdal-kadanoff", "f")
    return figure


def _draw_levels(axes, curves, shade, title):
    for curve in curves:
        axes.plot(curve.levels, curve.value, color=shade.to_rgba(curve.control_value), linewidth=0.9)
    axes.set(title=title, xlabel=STEPS, ylabel=VALUE, yscale="log", ylim=(SMALLEST, 100), xlim=(0, 12))


def _draw_asymptotes(axes, families):
    for (name, curves), colour in zip(families.items(), COLOURS, strict=False):
        words, line = RECURSIONS[name]
        at = [curve.control_value for curve in curves]
        axes.plot(at, [curve.asymptote for curve in curves], color=colour, linestyle=line, label=words, linewidth=1.8)
    _mark_critical(axes, 0.04)
    axes.set(
        title="(d) the asymptote, where there is one",
        xlabel="coupling $K$",
        ylabel=r"$D(g_0\,\|\,g_\infty)$  [nats per site]",
        ylim=(0, None),
    )
    axes.legend(loc="upper left")


def _draw_against_coupling(axes, families, scheme, letter):
    name = f"square/coupling, {scheme}"
    for level, colour, marker in zip(LEVELS, COLOURS, MARKERS, strict=False):
        points = [
            (curve.control_value, curve.value[at])
            for curve in families[name]
            for at in np.flatnonzero(curve.levels == level)
        ]
        axes.plot(*np.transpose(points), color=colour, marker=marker, markersize=2.6, label=f"$n = {level}$")
    _mark_critical(axes, 0.93)
    axes.set(
        title=f"({letter}) {RECURSIONS[name][0]}, against $K$",
        xlabel="coupling $K$",
        ylabel=VALUE,
        yscale="log",
        ylim=(SMALLEST, 100),
    )
    axes.legend(loc="lower right" if scheme == "maris-kadanoff" else "upper left")


def _mark_critical(axes, height):
    axes.axvline(CRITICAL, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    place = {"xycoords": ("data", "axes fraction"), "xytext": (4, 0), "textcoords": "offset points"}
    axes.annotate("$K_c$", (CRITICAL, height), color="0.35", fontsize=8.5, **place)
