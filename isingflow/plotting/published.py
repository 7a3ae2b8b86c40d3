"""The figure of ``isingflow published``: the published estimator against the layer."""

import itertools
import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, MARKERS, STYLE, control_label

FAMILY = "network/published estimator"
REORDERED = "levels in the order of the public notebook"
"""The flag of a curve whose levels are not those of the network."""

DROPPED = 2
"""Layers that the published figures do not show, the last ones, of fewer neurons."""


def published_normalisation(neurons, weight_variance) -> float:
    """Return what the published figures divide by, ``N_0/2 ln(2 pi e sigma_w^2)``.

    It has the form of the entropy of level 0, but with the variance of the weights in place of that of the level.

    Parameters
    ----------
    neurons : int
        ``N_0``, the width of level 0.
    weight_variance : float
        ``sigma_w^2``, dimensionless, above ``1/(2 pi e) = 0.0585``: there the logarithm is zero.

    Returns
    -------
    float
        Nats.

    Raises
    ------
    ParameterError
        If the result would not be positive.

    References
    ----------
    Erdmenger, Grosvenor & Jefferson, SciPost Phys. 12, 041 (2022), figure 7.

    Examples
    --------
    >>> round(published_normalisation(784, 1.5), 3)
    1271.39
    """
    ratio = 2 * math.pi * math.e * weight_variance
    if neurons < 1 or not ratio > 1:
        raise ParameterError(
            f"the published normalisation needs neurons and a weight variance above {1 / (2 * math.pi * math.e):.4f}, "
            f"got {neurons} and {weight_variance:g}"
        )
    return neurons / 2 * math.log(ratio)


def is_published(archive) -> bool:
    """Whether an archive holds curves of the published estimator alone."""
    return bool(archive.curves) and all(curve.family.startswith(FAMILY) for curve in archive.curves)


def published_figure(archive, *, normalised=False) -> Figure:
    """Draw the published estimator from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        Its families of the published estimator, as a rule one for each epoch, have lines of their own: solid the first,
        dashed the last; colours tell weight variances.
    normalised : bool
        Whether to divide by `published_normalisation` and to leave out the last two layers, as the paper does.

    Returns
    -------
    matplotlib.figure.Figure
        One panel; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If there is no such curve, or it cannot be normalised.
    """
    families = [curves for name, curves in archive.families().items() if name.startswith(FAMILY)]
    if not families:
        raise ParameterError("the archive holds no curve of the published estimator")
    laws = sorted({_law(curve) for curves in families for curve in curves})
    one_bias = len({bias for _, bias in laws}) == 1
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.6, 4.6), layout="constrained")
        axes = figure.subplots()
        colours = {}
        for line, curves in zip(_lines(len(families)), families, strict=True):
            for curve in curves:
                index = laws.index(_law(curve))
                look = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
                label = control_label(curve) + rf", $\sigma_b^2 = {_law(curve)[1]:.4g}$" * (not one_bias)
                colours[label] = Line2D([], [], linestyle="none", label=label, **look)
                _draw(axes, curve, line, look, normalised)
        axes.set(xlabel=_layer_label(families), ylabel=_value_label(normalised), title=_title(families))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        handles = [*colours.values(), *_line_handles(families)]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    return figure


def _law(curve):
    return curve.control_value, curve.parameters["bias_variance"]


def _lines(count):
    """Solid the first, dashed the last."""
    between = itertools.islice(itertools.cycle((":", "-.")), max(0, count - 2))
    return ["-", *between, "--"][:count]


def _draw(axes, curve, line, look, normalised):
    """Points with their errors, joined where no reference is."""
    unit, shown = 1.0, slice(None)
    if normalised:
        if len(curve.levels) <= DROPPED:
            raise ParameterError(f"without the last {DROPPED} layers nothing is left of {len(curve.levels)}")
        unit = published_normalisation(curve.parameters["width"], curve.control_value)
        shown = slice(None, -DROPPED)
    levels, known = curve.levels[shown], np.isfinite(curve.exact).all()
    if known:
        axes.plot(levels, curve.exact[shown] / unit, linestyle=line, color=look["color"], zorder=1)
    error = curve.error[shown] / unit
    axes.errorbar(levels, curve.value[shown] / unit, error, linestyle="none" if known else line, **look)


def _value_label(normalised):
    if normalised:
        return r"$D_m\,/\,\frac{N_0}{2}\,\ln(2\pi e\,\sigma_w^2)$ [dimensionless]"
    return "$D_m$ [nats per layer]"


def _layer_label(families):
    reordered = any(REORDERED in curve.flags for curves in families for curve in curves)
    return "layer $m$" + ", counted in the order of the public notebook" * reordered


def _title(families):
    said = {"width": "N_0", "bias_variance": r"\sigma_b^2"}
    found = {name: {curve.parameters[name] for curves in families for curve in curves} for name in said}
    shared = [rf"${said[name]} = {values.pop():.4g}$" for name, values in found.items() if len(values) == 1]
    return ", ".join(["published estimator", *shared])


def _line_handles(families):
    for line, curves in zip(_lines(len(families)), families, strict=True):
        label = curves[0].parameters.get("label") or curves[0].quantity
        if curves[0].reference != "none":
            label += f"; line: {curves[0].reference}"
        yield Line2D([], [], color="0.3", linestyle=line, label=label)
