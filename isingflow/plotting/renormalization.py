"""The figure of `isingflow.ising_studies.renormalization`: exponents by operators and steps."""

import itertools

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from isingflow.errors import ParameterError
from isingflow.plotting.curves import MORE_MARKERS, STYLE

EXACT = {"thermal": 1.0, "magnetic": 1.875}
LABELS = {"thermal": "$y_t$", "magnetic": "$y_h$"}
RANGES = {"thermal": 0.12, "magnetic": 0.011}
"""Of the majority rule's exponents around the exact ones."""

ASIDE = 0.07
"""Of an operator: how far markers of neighbouring steps are drawn apart."""


def renormalization_figure(archive) -> Figure:
    """Draw exponents by the Monte Carlo renormalization group from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With tables of exponents by majority and by decimation.

    Returns
    -------
    matplotlib.figure.Figure
        Four panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If something of it is missing.
    """
    tables = {one.rule: one for one in archive.exponents}
    missing = [rule for rule in ("majority", "decimation") if rule not in tables]
    if missing:
        raise ParameterError(f"the archive holds no tables of exponents: {', '.join(missing)} missing")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 7.4), layout="constrained")
        panels = figure.subplots(2, 2)
        letters = iter("abcd")
        for row, rule in zip(panels, ("majority", "decimation"), strict=True):
            for axes, quantity in zip(row, EXACT, strict=True):
                _draw(axes, tables[rule], quantity)
                axes.set_title(f"({next(letters)}) {rule}, {LABELS[quantity]}")
        for axes, quantity in zip(panels[0], EXACT, strict=True):
            axes.set_ylim(EXACT[quantity] - RANGES[quantity], EXACT[quantity] + RANGES[quantity])
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=7)
    return figure


def _draw(axes, table, quantity):
    values, errors = getattr(table, quantity), getattr(table, f"{quantity}_error")
    steps = list(itertools.pairwise(table.sides))
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.82, len(steps)))
    for number, ((before, after), shade, marker) in enumerate(zip(steps, shades, MORE_MARKERS, strict=False)):
        counts = np.arange(1, values.shape[1] + 1) + ASIDE * (number - (len(steps) - 1) / 2)
        look = {"color": tuple(shade), "marker": marker, "markersize": 4.5, "linewidth": 0.9}
        label = f"${before} \\to {after}$"
        axes.errorbar(counts, values[number], yerr=errors[number], label=label, **look)
    axes.axhline(EXACT[quantity], color="black", linestyle="--", linewidth=1.0, label="exact", zorder=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    operators = "even" if quantity == "thermal" else "odd"
    axes.set(xlabel=f"{operators} operators taken along", ylabel=f"exponent {LABELS[quantity]}")
