"""The figure of ``isingflow networks``: random networks from the ordered to the chaotic phase, by three curves each."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MARKERS, STYLE, control_label, looks_of

ONE, TWO, PUBLISHED = (
    f"network/{name}" for name in ("one input", "two inputs", "published estimator, reference variance")
)
LAYERS = 40
"""Shown of the curves; the scales are read off all."""

POINTS = 12
"""Drawn of a curve, about."""


def is_networks(archive) -> bool:
    """Whether an archive holds histograms of pre-activations, as those of ``isingflow networks`` alone do."""
    return any(one.variable == "pre-activation" for one in archive.histograms)


def networks_figure(archive) -> Figure:
    """Draw random networks from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With the families of ``isingflow networks``, its scale line and its histograms.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If a family, the scale line or the histograms are missing.
    """
    families = archive.families()
    lines = {line.system: line for line in archive.lines}
    missing = [name for name in (ONE, TWO, PUBLISHED) if name not in families]
    missing += ["scale line of the network"] * ("network" not in lines)
    missing += ["histograms of pre-activations"] * (not is_networks(archive))
    if missing:
        raise ParameterError(f"the archive holds no study of networks: {', '.join(missing)} missing")
    looks = _looks(families)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.4, 7.9), layout="constrained")
        panels = figure.subplots(2, 3)
        _draw_curves(panels[0, 0], families[ONE], looks, "(a) one input", "nats per neuron")
        _draw_curves(panels[0, 1], families[TWO], looks, "(b) two inputs", "nats per neuron", log=True)
        _draw_curves(panels[0, 2], families[PUBLISHED], looks, "(c) the published estimator", "nats per layer")
        chosen = dict.fromkeys(one.weight_variance for one in archive.histograms)
        for axes, letter, weight in zip(panels[1], "de", chosen, strict=False):
            _draw_histograms(axes, [one for one in archive.histograms if one.weight_variance == weight], letter)
        _draw_scales(panels[1, 2], families[TWO], lines["network"], looks)
        handles = [Line2D([], [], linestyle="none", label=label, **look) for label, look in looks.values()]
        handles.append(Line2D([], [], color="0.3", label=_reference(families[TWO])))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _looks(families):
    """Label, colour and marker of every weight variance, from dark to light."""
    curves = {curve.control_value: curve for name in (ONE, TWO, PUBLISHED) for curve in families[name]}
    return {value: (control_label(curves[value]), look) for value, look in looks_of(curves).items()}


def _reference(curves):
    return "lines: mean field" + " and its 1/width correction (c: without it)" * ("1/width" in curves[0].reference)


def _draw_curves(axes, curves, looks, title, unit, *, log=False):
    for curve in curves:
        _, look = looks[curve.control_value]
        shown = slice(1 if log else 0, LAYERS + 1)
        axes.plot(curve.levels[shown], curve.exact[shown], color=look["color"], zorder=1)
        points = slice(shown.start, LAYERS + 1, max(1, min(LAYERS, len(curve.levels) - 1) // POINTS))
        axes.errorbar(
            curve.levels[points], curve.value[points], yerr=curve.error[points], linestyle="none", zorder=2, **look
        )
    first = curves[0]
    axes.set(title=f"{title}, width {first.parameters['width']}", xlabel="layer $l$", ylabel=f"$D$  [{unit}]")
    if log:
        axes.set_yscale("log")


def _draw_histograms(axes, histograms, letter):
    for colour, marker, one in zip(COLOURS, MARKERS, histograms, strict=False):
        axes.errorbar(
            one.centres,
            one.density,
            yerr=one.density_error,
            fmt=marker,
            color=colour,
            markersize=3.4,
            label=f"layer {one.layer}",
        )
        axes.stairs(one.density_exact, one.edges, color=colour, linewidth=0.9)
    first = histograms[0]
    axes.set(
        title=rf"({letter}) pre-activations, $\sigma_w^2 = {first.weight_variance:.4g}$, width {first.width}",
        xlabel="$z$",
        ylabel="density",
        ylim=(0, None),
    )
    axes.legend(loc="upper right", title="lines: Gaussian of\nmean field", title_fontsize=7.5, alignment="left")


def _draw_scales(axes, curves, line, looks):
    finite = np.where(np.isfinite(line.scale), line.scale, np.nan)
    axes.plot(line.values, finite, color="0.3")
    for curve in curves:
        if np.isfinite(curve.scale):
            axes.errorbar(
                curve.control_value,
                curve.scale,
                yerr=curve.scale_error,
                linestyle="none",
                **looks[curve.control_value][1],
            )
    axes.axvline(line.critical, color="0.5", linewidth=0.8, linestyle="--")
    axes.annotate(
        "edge of chaos",
        (line.critical, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=7.5,
        color="0.35",
    )
    axes.set(
        title="(f) the scale read off (b)",
        xlabel=r"weight variance $\sigma_w^2$",
        ylabel=r"depth scale $\xi_c$  [layers]",
        yscale="log",
        ylim=(1, 300),
    )
