"""The figure of `isingflow.ising_studies.truncation`: marginals that recursions predict beside true ones."""

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, STYLE, control_label

ROWS = {"pair marginal": "neighbouring pair", "2x2 marginal": "2x2 window"}

TRUE = {"color": "black", "marker": "o", "markersize": 5.0, "linewidth": 1.8}
LOOKS = {
    "nearest-neighbour": {"color": COLOURS[1], "marker": "s", "linestyle": (0, (5, 2))},
    "maris-kadanoff": {"color": COLOURS[2], "marker": "D", "linestyle": (0, (3, 1, 1, 1))},
    "wilson": {"color": COLOURS[3], "marker": "^", "linestyle": (0, (1, 1.2))},
    "migdal-kadanoff": {"color": COLOURS[4], "marker": "v", "linestyle": "-"},
    "exact first step": {"color": "black", "marker": "*", "markersize": 11, "markerfacecolor": "white"},
}
"""By recursion; all but the true curve have open markers."""

ASIDE = 0.07
"""Of a level: how far markers of neighbouring recursions are drawn apart."""


def truncation_figure(archive) -> Figure:
    """Draw the marginals of recursions from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With the families "square/pair marginal" and "square/2x2 marginal", and those of recursions.

    Returns
    -------
    matplotlib.figure.Figure
        A column a coupling, pairs above, windows below; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If a true family is missing.
    """
    families = archive.families()
    missing = [name for name in ROWS if f"square/{name}" not in families]
    if missing:
        raise ParameterError(f"the archive holds no study of truncation: {', '.join(missing)} missing")
    true = {name: families[f"square/{name}"] for name in ROWS}
    columns = len(true["pair marginal"])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 2.3 * columns, 6.6), layout="constrained")
        panels = figure.subplots(2, columns, sharex=True, sharey="row", squeeze=False)
        for row, (name, words) in zip(panels, ROWS.items(), strict=True):
            for axes, curve in zip(row, true[name], strict=True):
                _draw(axes, curve, families)
            row[0].set_ylabel(f"$D(p_0\\,||\\,p_n)$, {words}  [nats per {true[name][0].per}]")
        for letter, axes in zip("abcdefghijklmnopqrstuvwxyz", panels.flat, strict=False):
            axes.set_title(f"({letter}) {axes.get_title(loc='left')}")
        for axes in panels[1]:
            axes.set_xlabel("decimation steps $n$")
        handles = [Line2D([], [], label="true marginal", **TRUE)]
        drawn = {family.partition(", ")[2] for family in families}
        handles += [_entry(scheme, look) for scheme, look in LOOKS.items() if scheme in drawn]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _entry(scheme, look):
    return Line2D([], [], label=scheme, **{"markerfacecolor": "white", "linestyle": "none", **look})


def _draw(axes, curve, families):
    """One coupling: the true curve, and what every recursion makes of it; level 0 is zero."""
    axes.errorbar(curve.levels[1:], curve.value[1:], yerr=curve.error[1:], zorder=2, **TRUE)
    for number, (scheme, look) in enumerate(LOOKS.items()):
        for one in families.get(f"{curve.family}, {scheme}", []):
            if one.control_value == curve.control_value:
                aside = ASIDE * (number - len(LOOKS) // 2)
                points = one.levels[1:] + (aside if scheme != "exact first step" else 0.0)
                look = {"markerfacecolor": "white", "zorder": 3, **look}
                axes.errorbar(points, one.value[1:], yerr=one.error[1:], **look)
    axes.set(title=control_label(curve), yscale="log", xticks=curve.levels[1:])
