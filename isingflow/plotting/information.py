"""The figure of `isingflow.ising_studies.information`: what removed spins know of kept ones."""

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MORE_MARKERS, STYLE

CRITICAL = np.log(1 + np.sqrt(2)) / 2
TITLES = {
    "neighbours": "(a) a spin and its neighbours, one phase",
    "sublattices": "(b) the two sublattices",
}
LOOKS = {
    "neighbours": {"color": COLOURS[0], "marker": "o", "label": "a spin and its neighbours"},
    "sublattices": {"color": COLOURS[1], "marker": "s", "markerfacecolor": "white", "label": "the two sublattices"},
}
EXACT = {"color": "black", "linewidth": 1.4, "zorder": 4}


def information_figure(archive) -> Figure:
    """Draw mutual information against the coupling from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With curves of both quantities on tori and the infinite lattice.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If something of it is missing.
    """
    held = {(one.quantity, one.side > 0) for one in archive.information}
    places = {True: "tori", False: "the infinite lattice"}
    missing = [f"{name} on {place}" for name in TITLES for key, place in places.items() if (name, key) not in held]
    if missing:
        raise ParameterError(f"the archive holds no information curves: {', '.join(missing)} missing")
    sides = sorted({one.side for one in archive.information if one.side})
    shades = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.85, len(sides)))
    looks = {
        side: {"color": tuple(shade), "marker": marker, "markersize": 3.6, "linewidth": 0.9}
        for side, shade, marker in zip(sides, shades, MORE_MARKERS, strict=False)
    }
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13.2, 4.6), layout="constrained")
        panels = figure.subplots(1, 3, width_ratios=(1.1, 1.1, 1))
        for axes, (quantity, title) in zip(panels, TITLES.items(), strict=False):
            _draw_curves(axes, [one for one in archive.information if one.quantity == quantity], looks)
            axes.set_title(title)
        handles, labels = panels[0].get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda n: labels[n].startswith("infinite"))
        panels[0].legend([handles[n] for n in order], [labels[n] for n in order], loc="upper right")
        _draw_maxima(panels[2], archive.information)
    return figure


def _draw_curves(axes, curves, looks):
    for one in curves:
        if not one.side:
            axes.plot(one.before, one.information, label="infinite, exact", **EXACT)
        elif one.samples:
            label = f"$L = {one.side}$"
            axes.errorbar(one.before, one.information, yerr=one.information_error, label=label, **looks[one.side])
        else:
            look = {"color": looks[one.side]["color"], "linestyle": "--"}
            axes.plot(one.before, one.information, label=f"$L = {one.side}$, exact", **look)
    axes.axvline(CRITICAL, color="0.6", linestyle=":", linewidth=1.0, zorder=0)
    axes.annotate(
        "$K_c$", (CRITICAL, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points"
    )
    axes.set(
        xlabel="coupling $K$",
        ylabel=f"mutual information  [nats per {curves[0].per}]",
        xlim=(0.28, 0.55),
        ylim=(0, None),
    )


def _draw_maxima(axes, curves):
    """Against the inverse side; the infinite lattice at zero."""
    for quantity, look in LOOKS.items():
        there = sorted((one for one in curves if one.quantity == quantity), key=lambda one: one.side or math.inf)
        inverse = [1 / one.side if one.side else 0.0 for one in there]
        errors = [one.maximum_error for one in there]
        axes.errorbar(inverse, [one.maximum for one in there], yerr=errors, linestyle="-", markersize=5, **look)
    axes.axhline(CRITICAL, color="0.6", linestyle=":", linewidth=1.0, zorder=0)
    axes.annotate(
        "$K_c$",
        (0.98, CRITICAL),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
    )
    axes.set(
        title="(c) where they are largest",
        xlabel="inverse side $1/L$",
        ylabel="coupling of the maximum",
        xlim=(-0.006, None),
    )
    axes.legend(loc="lower left")
