"""The figure of `isingflow.training_studies.training`: level curves before and after training."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isingflow.errors import ParameterError
from isingflow.plotting.curves import MORE_MARKERS, STYLE

PANELS = {
    "one input, model": "(a) one input",
    "two inputs, model": "(b) two inputs",
    "published estimator, reference variance": "(c) published estimator, one network",
}
LINES = {"untrained": {"linestyle": (0, (4, 2)), "markerfacecolor": "white"}, "trained": {"linestyle": "-"}}
EVERY = 3
"""Levels from one marker to the next."""


def training_figure(archive) -> Figure:
    """Draw level curves before and after training from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With curves of one input, two inputs and the published estimator, untrained and trained.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If some of them are missing.
    """
    families = archive.families()
    missing = [f"{name}, {label}" for name in PANELS for label in LINES if f"network/{name}, {label}" not in families]
    if missing:
        raise ParameterError(f"the archive holds no curves of training: {', '.join(missing)} missing")
    weights = sorted({curve.control_value for curve in archive.curves})
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(weights)))
    looks = {
        weight: {"color": tuple(shade), "marker": marker, "markersize": 4.0, "linewidth": 1.2, "markevery": EVERY}
        for weight, shade, marker in zip(weights, shades, MORE_MARKERS, strict=False)
    }
    accuracies = {}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13.2, 4.8), layout="constrained")
        for axes, (name, title) in zip(figure.subplots(1, 3), PANELS.items(), strict=True):
            for label, line in LINES.items():
                for curve in families[f"network/{name}, {label}"]:
                    look = {**looks[curve.control_value], **line}
                    bars = {"errorevery": EVERY, "elinewidth": 0.8}
                    drawn = slice(len(curve.levels) - (curve.per == "layer"))  # the output is no layer like others
                    axes.errorbar(curve.levels[drawn], curve.value[drawn], yerr=curve.error[drawn], **bars, **look)
                    if label == "trained" and "accuracy" in curve.parameters:
                        accuracies[curve.control_value] = curve.parameters["accuracy"]
            per = families[f"network/{name}, trained"][0].per
            axes.set(title=title, xlabel="layer", ylabel=f"$D(p_0\\,||\\,p_l)$  [nats per {per}]")
        figure.axes[1].set_yscale("symlog", linthresh=1.0)
        handles = [
            Line2D([], [], label=rf"$\sigma_w^2 = {weight:g}$, accuracy {accuracies[weight]:.2f}", **look)
            for weight, look in looks.items()
        ]
        handles += [
            Line2D([], [], color="0.3", marker="o", markersize=4, label=name, **line) for name, line in LINES.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
