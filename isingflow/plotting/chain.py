"""The figure of the Ising chain: couplings exactly, flows with a field, windows of sampled rings."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MARKERS, STYLE, control_label, looks_of, missing_families

COUPLINGS, WINDOWS, IN_A_FIELD = (
    f"chain/{name}" for name in ("coupling", "window marginal", "window marginal in a field")
)
LIMIT = {"linewidth": 0.9, "linestyle": (0, (1, 2))}
FORWARD, REVERSE = r"$D(p_0\,\|\,p_n)$", r"$D(p_n\,\|\,p_0)$"


def chain_figure(archive) -> Figure:
    """Draw the decimated Ising chain from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With coupling curves, curves of windows without and with a field, and flows of couplings.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If something of it is missing.
    """
    missing = missing_families(archive, (COUPLINGS, WINDOWS, IN_A_FIELD))
    missing += ["flows of the chain"] * (not archive.flows)
    if missing:
        raise ParameterError(f"the archive holds no chain: {', '.join(missing)} missing")
    families = archive.families()
    plain = [curve for curve in families[COUPLINGS] if not curve.parameters["field"]]
    fields = [curve for curve in families[COUPLINGS] if curve.parameters["field"]]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.4, 8.0), layout="constrained")
        panels = figure.subplots(2, 3)
        _draw_couplings(panels[0, 0], plain, "value", "(a) couplings, no field, decimation by 2", FORWARD)
        _draw_couplings(panels[0, 1], plain, "reverse", "(b) the same, reverse", REVERSE)
        _draw_fields(panels[0, 2], fields)
        _draw_windows(panels[1, 0], families[WINDOWS], "(d) windows of four spins, sampled")
        _draw_windows(panels[1, 1], families[IN_A_FIELD], "(e) the same in a field")
        _draw_flows(panels[1, 2], archive.flows)
    return figure


def _draw_couplings(axes, curves, name, title, symbol):
    looks = looks_of({curve.control_value: None for curve in curves})
    for curve in curves:
        look = looks[curve.control_value]
        axes.plot(curve.levels, getattr(curve, name), label=control_label(curve), **look)
        if name == "value":
            _draw_limit(axes, curve.asymptote, look["color"])
    axes.set(title=title, xlabel="decimation steps $n$", ylabel=f"{symbol}  [nats per site]")
    axes.set_ylim(0, None)
    if name == "reverse":  # where there is room for both panels
        axes.legend(loc="upper left", ncols=2, title="also of (a)", title_fontsize=7.5)


def _draw_fields(axes, curves):
    handles = []
    for colour, marker, curve in zip(COLOURS, MARKERS, curves, strict=False):
        axes.plot(curve.levels, curve.value, color=colour, marker=marker)
        axes.plot(curve.levels, curve.reverse, color=colour, marker=marker, linestyle="--", markerfacecolor="white")
        _draw_limit(axes, curve.asymptote, colour)
        label = control_label(curve) + f", $H = {curve.parameters['field']:.4g}$"
        handles.append(Line2D([], [], color=colour, marker=marker, label=label))
    handles += [
        Line2D([], [], color="0.3", label=FORWARD),
        Line2D([], [], color="0.3", linestyle="--", label=REVERSE),
        Line2D([], [], color="0.3", label=r"limit of $D(p_0\,\|\,p_n)$", **LIMIT),
    ]
    axes.set(title="(c) couplings in a field", xlabel="decimation steps $n$", ylabel="$D$  [nats per site]")
    axes.set_ylim(0, 0.72)
    axes.legend(handles=handles, loc="upper left")


def _draw_limit(axes, value, colour):
    """Over the right half, where there are no legends."""
    axes.axhline(value, xmin=0.45, color=colour, zorder=0, **LIMIT)


def _draw_windows(axes, curves, title):
    """Against the distance: there curves of all decimation factors fall on one line."""
    couplings = list(dict.fromkeys(curve.control_value for curve in curves))
    factors = list(dict.fromkeys(curve.parameters["factor"] for curve in curves))
    by_colour = []
    for colour, coupling in zip(COLOURS, couplings, strict=False):
        there = [curve for curve in curves if curve.control_value == coupling]
        for curve in there:
            marker = MARKERS[factors.index(curve.parameters["factor"]) % len(MARKERS)]
            look = {"color": colour, "marker": marker, "linestyle": "none", "zorder": 2}
            axes.errorbar(curve.length[1:], curve.value[1:], yerr=curve.error[1:], **look)
        lengths, exact = (np.concatenate([getattr(curve, name)[1:] for curve in there]) for name in ("length", "exact"))
        order = np.argsort(lengths)
        axes.plot(lengths[order], exact[order], color=colour, zorder=1)
        _draw_limit(axes, there[0].asymptote_exact, colour)
        by_colour.append(Line2D([], [], color=colour, label=control_label(there[0])))
    grey = {"color": "0.3", "linestyle": "none"}
    by_marker = [
        Line2D([], [], marker=marker, label=f"decimation by {factor}", **grey)
        for marker, factor in zip(MARKERS, factors, strict=False)
    ]
    field = curves[0].parameters["field"]
    axes.set(
        title=title + (f", $H = {field:g}$" if field else ""),
        xlabel="distance $r$ of neighbours  [lattice constants]",
        ylabel=rf"{FORWARD}  [nats per {curves[0].per}]",
        xscale="log",
    )
    ticks = (2, 4, 8, 16, 32, 64, 128, 256)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.set_ylim(0, None)
    words = {"title": "points: sampled, lines: exact", "title_fontsize": 7.5, "bbox_to_anchor": (1, 0.72)}
    axes.legend(handles=by_marker if field else by_colour, loc="center right", **words)


def _draw_flows(axes, flows):
    for flow in flows:
        nearest, field = (flow.couplings[:, flow.terms.index(term)] for term in ("nearest", "field"))
        axes.plot(nearest, field, color="0.55", linewidth=0.8, zorder=1)
        axes.plot(nearest[1:], field[1:], linestyle="none", marker="o", markersize=2.6, color=COLOURS[0], zorder=2)
        axes.plot(nearest[0], field[0], marker="s", markersize=4.5, color=COLOURS[1], zorder=3)
    handles = [
        Line2D([], [], marker="s", linestyle="none", color=COLOURS[1], label="start"),
        Line2D([], [], marker="o", markersize=2.6, color="0.55", markerfacecolor=COLOURS[0], label="each step"),
    ]
    axes.set(
        title="(f) flow of coupling and field, decimation by 2",
        xlabel="coupling $K_n$",
        ylabel="field $H_n$",
        yscale="log",
        xlim=(0, None),
    )
    axes.legend(handles=handles, loc="upper right")
