"""The figure of square-lattice windows of spins before and after decimation, against the distance."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import STYLE, control_label, draw_series, looks_of, missing_families

ROWS, PAIRS, WINDOWS = (f"square/{name} marginal" for name in ("row pair", "pair", "2x2"))
FORWARD, REVERSE, STEP = r"$D(p_1\,\|\,p_r)$", r"$D(p_r\,\|\,p_1)$", r"$D(p_r\,\|\,p_{r+1})$"
SMALLEST_STEP = 1e-9
"""Below this there is nothing but the noise of the samples."""

DISTANCE = "distance $r$  [lattice constants]"


def marginals_figure(archive) -> Figure:
    """Draw the marginal curves of the square lattice from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With the marginal families of the square lattice.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If a family is missing.
    """
    missing = missing_families(archive, (ROWS, PAIRS, WINDOWS))
    if missing:
        raise ParameterError(f"the archive holds no marginals of the square lattice: {', '.join(missing)} missing")
    families = archive.families()
    curves = {curve.control_value: curve for name in (ROWS, PAIRS, WINDOWS) for curve in families[name]}
    looks = looks_of(curves)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.4, 8.0), layout="constrained")
        panels = figure.subplots(2, 3)
        _draw(panels[0, 0], families[ROWS], looks, "value", "(a) pairs along rows", FORWARD)
        _draw_asymptotes(panels[0, 0], families[ROWS], looks)
        _draw(panels[0, 1], families[ROWS], looks, "reverse", "(b) pairs along rows, reverse", REVERSE)
        _draw(panels[0, 2], families[ROWS], looks, "step", "(c) pairs along rows, step to step", STEP)
        panels[0, 2].set_ylim(SMALLEST_STEP, None)
        _draw(panels[1, 0], families[PAIRS], looks, "value", r"(d) pairs at steps of length $\sqrt{2}$", FORWARD)
        _draw(panels[1, 1], families[WINDOWS], looks, "value", "(e) windows of 2x2 spins", FORWARD)
        _draw(panels[1, 2], families[WINDOWS], looks, "reverse", "(f) windows of 2x2 spins, reverse", REVERSE)
        handles = [Line2D([], [], label=control_label(curves[value]), **look) for value, look in looks.items()]
        side = families[ROWS][0].parameters["side"]
        handles.append(Line2D([], [], color="0.3", label=f"exact, torus of side {side}"))
        handles.append(Line2D([], [], color="0.3", linestyle=":", label="its limit, infinite lattice"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw(axes, curves, looks, name, title, symbol):
    for curve in curves:
        # distance 1 is level 0, where the curves are zero; the last level has no next one
        shown = slice(0, -1) if name == "step" else slice(1, None)
        draw_series(axes, curve, name, shown=shown, **looks[curve.control_value])
    axes.set(title=title, xlabel=DISTANCE, ylabel=f"{symbol}  [nats per {curves[0].per}]", xscale="log", yscale="log")
    ticks = (1, 2, 4, 8, 16) if name == "step" else (2, 4, 8, 16)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()


def _draw_asymptotes(axes, curves, looks):
    """At the right edge, where the curves go."""
    right = max(curve.length[-1] for curve in curves)
    for curve in curves:
        colour = looks[curve.control_value]["color"]
        axes.plot([1.12 * right, 1.7 * right], np.full(2, curve.asymptote_exact), color=colour, linestyle=":")
    axes.set_xlim(None, 1.8 * right)
