"""The figure of scale and asymptote, read off sampled pairs, against the coupling."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MARKERS, STYLE, missing_families

FAMILIES = {"chain": "chain/pair marginal", "square": "square/row pair marginal"}
LOOKS = {
    "chain": {"color": "0.5", "marker": "o", "label": "chain"},
    "square": {"color": COLOURS[0], "marker": "s", "label": "square lattice"},
}
LEGEND = "points: read off sampled curves\nlines: exact"
AMPLITUDE = 0.70338
"""Of ``c_r ~ AMPLITUDE r^{-1/4}``, the infinite lattice at ``K_c``: Wu (1966)."""

POINTS = {"linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 0.6, "markersize": 5.2, "zorder": 3}


def scale_figure(archive) -> Figure:
    """Draw scales and asymptotes of sampled pair curves from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With curves of pairs of chain and lattice, the exact lines of both, and inverted correlations.

    Returns
    -------
    matplotlib.figure.Figure
        Four panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If something of it is missing.
    """
    missing = missing_families(archive, FAMILIES.values())
    for words, held in (("scale", archive.lines), ("asymptote", archive.asymptotes)):
        missing += [f"{words} line of the {name}" for name in FAMILIES if name not in {one.system for one in held}]
    missing += ["inverted correlations"] * (not archive.correlations)
    if missing:
        raise ParameterError(f"the archive holds no scales: {', '.join(missing)} missing")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 8.2), layout="constrained")
        panels = figure.subplots(2, 2)
        _draw_scales(panels[0, 0], archive)
        _draw_divergence(panels[0, 1], archive)
        _draw_asymptotes(panels[1, 0], archive)
        _draw_correlations(panels[1, 1], archive)
    return figure


def _draw_scales(axes, archive):
    for line in archive.lines:
        finite = np.where(np.isfinite(line.scale), line.scale, np.nan)
        axes.plot(line.values, finite, color=LOOKS[line.system]["color"])
    for system, curves in _sampled(archive):
        _draw_points(axes, system, [curve for curve in curves if np.isfinite(curve.scale)], "scale")
    _mark_critical(axes, archive.lines)
    axes.set(
        title="(a) the scale of the approach",
        xlabel="coupling $K$",
        ylabel="scale  [lattice constants]",
        yscale="log",
        ylim=(0.3, 300),
        xlim=(0.2, 1.6),
    )
    axes.legend(title=LEGEND, loc="upper right", title_fontsize=7.5)


def _draw_divergence(axes, archive):
    """Both sides of the critical coupling, against the distance from it."""
    sides = ((-1, COLOURS[0], "s", "disordered, $K < K_c$"), (1, COLOURS[1], "D", "ordered, $K > K_c$"))
    (line,) = (line for line in archive.lines if line.system == "square")
    curves = [curve for curve in archive.families()[FAMILIES["square"]] if np.isfinite(curve.scale)]
    for side, colour, marker, label in sides:
        away = side * (line.values - line.critical)
        axes.plot(away[away > 0], line.scale[away > 0], color=colour)
        there = [curve for curve in curves if side * (curve.control_value - line.critical) > 0]
        away = [side * (curve.control_value - line.critical) for curve in there]
        scales, errors = ([getattr(curve, name) for curve in there] for name in ("scale", "scale_error"))
        axes.errorbar(away, scales, yerr=errors, color=colour, marker=marker, label=label, **POINTS)
    axes.set(
        title="(b) square lattice: the scale on both sides of $K_c$",
        xlabel="$|K - K_c|$",
        ylabel="scale  [lattice constants]",
        xscale="log",
        yscale="log",
        xlim=(3e-3, 0.25),
        ylim=(0.5, 100),
    )
    axes.legend(title=LEGEND, loc="upper right", title_fontsize=7.5)


def _draw_asymptotes(axes, archive):
    for line in archive.asymptotes:
        axes.plot(line.before, line.asymptote, color=LOOKS[line.system]["color"])
    for system, curves in _sampled(archive):
        _draw_points(axes, system, [curve for curve in curves if np.isfinite(curve.asymptote)], "asymptote")
    _mark_critical(axes, archive.asymptotes)
    axes.set(
        title="(c) the asymptote",
        xlabel="coupling $K$",
        ylabel=r"$D(p_0\,\|\,p_\infty)$  [nats per bond]",
        xlim=(0.2, 0.7),
        ylim=(0, 0.3),
    )
    axes.legend(title=LEGEND, loc="upper right", title_fontsize=7.5)


def _sampled(archive):
    families = archive.families()
    return ((system, families[name]) for system, name in FAMILIES.items())


def _draw_points(axes, system, curves, name):
    couplings, values = ([getattr(curve, key) for curve in curves] for key in ("control_value", name))
    errors = [getattr(curve, f"{name}_error") for curve in curves]
    axes.errorbar(couplings, values, yerr=errors, **LOOKS[system], **POINTS)


def _mark_critical(axes, lines):
    for line in lines:
        if np.isfinite(line.critical):
            axes.axvline(line.critical, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
            place = {"xycoords": ("data", "axes fraction"), "xytext": (4, 0), "textcoords": "offset points"}
            axes.annotate("$K_c$", (line.critical, 0.93), color="0.35", fontsize=8.5, **place)


def _draw_correlations(axes, archive):
    curves = {curve.control_value: curve for curve in archive.families()[FAMILIES["square"]]}
    handles, bands = [], []
    for colour, marker, one in zip(COLOURS, MARKERS, archive.correlations, strict=False):
        axes.plot(one.distances, one.torus, color=colour)
        axes.plot(one.distances, one.plane, color=colour, linestyle=":")
        look = {"color": colour, "marker": marker, "markersize": 3.6}
        axes.errorbar(one.distances, one.inverted, one.inverted_error, linestyle="none", **look)
        label, curve = f"$K = {one.coupling:.4g}$", curves[one.coupling]
        if curve.regime == "critical":
            label += rf": exponent ${curve.exponent:.3f} \pm {curve.exponent_error:.3f}$"
            law = AMPLITUDE * one.distances**-0.25
            bands += axes.plot(one.distances, law, color="0.82", linewidth=7, zorder=0, label=r"$0.7034\,r^{-1/4}$")
        handles.append(Line2D([], [], color=colour, marker=marker, label=label))
    handles += bands
    handles += [
        Line2D([], [], color="0.3", label=f"exact, torus of side {one.side}"),
        Line2D([], [], color="0.3", linestyle=":", label="exact, infinite lattice"),
    ]
    axes.set(
        title=r"(d) correlations inverted from $D(p_1\,\|\,p_r)$",
        xlabel="distance $r$ in a row  [lattice constants]",
        ylabel="$c_r$  [dimensionless]",
        xscale="log",
        yscale="log",
        ylim=(0.05, 0.85),
    )
    for axis, ticks in ((axes.xaxis, (2, 4, 8, 16)), (axes.yaxis, (0.05, 0.1, 0.2, 0.4, 0.8))):
        axis.set_ticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.legend(handles=handles, loc="lower left")
