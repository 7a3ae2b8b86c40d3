"""The figure of ``isingflow compare``: three systems, and the scale of each against its control parameter."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, STYLE, control_label, draw_family

NEEDED = (
    "chain/window marginal",
    "square/pair marginal",
    "network/two inputs",
    "network/one input",
)
RECURSIONS = {"nearest-neighbour": "-", "maris-kadanoff": "--", "migdal-kadanoff": ":"}
NETWORK_LINES = {
    "mean field": "mean field, width to infinity",
    "mean field, 1/width": "mean field and its 1/width correction",
}
SYSTEMS = {
    "chain": ("chain, $K/K_c$ of the lattice", "0.55", "o"),
    "square": ("square lattice, $K/K_c$", COLOURS[0], "s"),
    "network": (r"network, $\sigma_w^2/\sigma_{w,c}^2$ (mean field)", COLOURS[1], "D"),
}


def compare_figure(archive) -> Figure:
    """Draw the comparison from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With the families of ``isingflow compare``.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If a family or a scale line is missing.
    """
    families = archive.families()
    lines = [line.system for line in archive.lines]
    missing = [name for name in NEEDED if name not in families]
    missing += [f"scale line of the {name}" for name in ("square", "network") if name not in lines]
    if missing:
        raise ParameterError(f"the archive holds no comparison: {', '.join(missing)} missing")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.4, 7.4), layout="constrained")
        panels = figure.subplots(2, 3)
        _draw_chain(panels[0, 0], families)
        _draw_square(panels[0, 1], families)
        _draw_network(panels[0, 2], families, "two inputs", "(c) random tanh network, two inputs", log=True)
        _draw_couplings(panels[1, 0], families)
        _draw_network(panels[1, 1], families, "one input", "(e) the same network, one input")
        _draw_scales(panels[1, 2], archive)
    return figure


def _draw_chain(axes, families):
    curves = families["chain/window marginal"]
    draw_family(axes, curves)
    for colour, curve in zip(COLOURS, curves, strict=False):
        axes.axhline(curve.asymptote_exact, color=colour, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set(
        title="(a) Ising chain, decimation by 2",
        xlabel="decimation steps $n$",
        ylabel=r"$D(p_0\,\|\,p_n)$  [nats per bond]",
    )
    axes.legend(title="points: sampled, lines: exact", loc="center right", bbox_to_anchor=(1, 0.42), title_fontsize=7.5)


def _draw_square(axes, families):
    draw_family(axes, families["square/pair marginal"])
    axes.set(
        title=r"(b) square lattice, neighbouring pairs",
        xlabel=r"decimation steps of length $\sqrt{2}$, $n$",
        ylabel=r"$D(p_0\,\|\,p_n)$  [nats per bond]",
    )
    axes.legend(title=r"points: sampled, lines: exact", loc="upper left", title_fontsize=7.5)


def _draw_network(axes, families, quantity, title, *, log=False):
    curves = families[f"network/{quantity}"]
    if log:
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(0.1, 300)  # level 0, where every curve is zero, has no place on it
    every = max(1, len(curves[0].levels) // 20)
    draw_family(axes, curves, every=every)
    drawn = families.get(f"network/{quantity}, weights", [])
    draw_family(axes, drawn, every=2 * every, filled=False, labels=False)
    axes.set(title=title, xlabel="layer $l$", ylabel=r"$D(p_0\,\|\,p_l)$  [nats per neuron]")
    handles, labels = axes.get_legend_handles_labels()
    if drawn:
        handles.append(Line2D([], [], color="0.3", marker="o", linestyle="none", markerfacecolor="white"))
        labels.append("weights drawn")
    handles.append(Line2D([], [], color="0.3"))
    labels.append(NETWORK_LINES.get(curves[0].reference, curves[0].reference))
    axes.legend(handles, labels, loc="upper left" if log else "lower right")


def _draw_couplings(axes, families):
    shown = {}
    for scheme, style in RECURSIONS.items():
        # the extremes and the critical one; all are in the archive
        for index, curve in list(enumerate(families.get(f"square/coupling, {scheme}", [])))[::2]:
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(curve.levels[1:], curve.value[1:], color=colour, linestyle=style)
            shown[control_label(curve)] = Line2D([], [], color=colour)
    styles = {name: Line2D([], [], color="0.3", linestyle=style) for name, style in RECURSIONS.items()}
    shown = styles | shown
    axes.legend(shown.values(), shown.keys(), loc="lower right", ncols=2)
    axes.set(
        title="(d) square lattice, couplings of three recursions",
        xlabel=r"decimation steps of length $\sqrt{2}$, $n$",
        ylabel=r"$D(g_0\,\|\,g_n)$  [nats per site], Onsager",
        yscale="log",
        ylim=(5e-7, 2),
        xlim=(0, None),
    )


def _draw_scales(axes, archive):
    critical = {line.system: line.critical for line in archive.lines}
    unit = {"chain": critical.get("square"), "square": critical.get("square"), "network": critical.get("network")}
    handles = []
    for line in archive.lines:
        label, colour, marker = SYSTEMS[line.system]
        finite = np.where(np.isfinite(line.scale), line.scale, np.nan)
        axes.plot(line.values / unit[line.system], finite, color=colour)
        handles.append(Line2D([], [], color=colour, marker=marker, label=label))
    for curve in _with_scale(archive.curves):
        _, colour, marker = SYSTEMS[curve.system]
        x = curve.control_value / unit[curve.system]
        axes.errorbar(x, curve.scale, yerr=curve.scale_error, fmt=marker, color=colour, markeredgecolor="white")
    axes.axvline(1, color="0.5", linewidth=0.8, linestyle="--")
    axes.annotate(
        "critical",
        (1, 0.985),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        va="top",
        textcoords="offset points",
        fontsize=7.5,
        color="0.35",
    )
    axes.set(
        title="(f) the scale of the approach, or of the growth",
        xlabel="control parameter / critical value",
        ylabel="scale  [lattice constants, layers]",
        yscale="log",
        xlim=(0.4, 2.9),
        ylim=(0.3, 400),
    )
    axes.legend(handles=handles, title="points: read off sampled curves", loc="upper right", title_fontsize=7.5)


def _with_scale(curves):
    """Sampled curves of pairs that have a finite scale, one for each system and control parameter."""
    wanted = ("chain/pair marginal", "square/row pair marginal", "network/two inputs", "network/two inputs, deep")
    found = {
        (curve.system, curve.control_value): curve
        for curve in curves
        if curve.family in wanted and np.isfinite(curve.scale)
    }
    return found.values()
