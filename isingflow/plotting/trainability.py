"""The figure of `isingflow.training_studies.trainability`: where networks can be trained, and what tells it before."""

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from isingflow.errors import ParameterError
from isingflow.plotting.curves import COLOURS, STYLE

SCALES = {1: (r"$\xi_c$", ":"), math.pi: (r"$\pi\,\xi_c$", "--"), 2 * math.pi: (r"$2\pi\,\xi_c$", "-")}


def trainability_figure(archive) -> Figure:
    """Draw the accuracy of trained networks and the reconstructions of untrained ones from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With a map of trainability and reconstructed images.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels, and pictures below; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If something of it is missing.
    """
    held = {"map of trainability": archive.trainability, "reconstructed images": archive.reconstructions}
    missing = [name for name, there in held.items() if not there]
    if missing:
        raise ParameterError(f"the archive holds no trained networks: {', '.join(missing)} missing")
    (one,) = archive.trainability
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.6, 8.6), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
        trained, told, ranks = above.subplots(1, 3)
        _draw_map(trained, one, one.accuracy, "viridis", "share classified right", (0, 1))
        trained.set_title(f"(a) test accuracy after {one.epochs} epochs")
        _draw_map(told, one, one.information_loss, "viridis_r", "relative entropy  [nats per image]", (0, None))
        told.set_title("(b) reconstruction of inputs, untrained")
        _draw_ranks(ranks, one)
        _draw_pictures(below, archive.reconstructions)
    return figure


def _draw_map(axes, one, values, colours, label, limits):
    """Tiles of the grid with the multiples of the depth scale over them."""
    columns, rows = np.arange(len(one.weight_variances) + 1) - 0.5, np.arange(len(one.depths) + 1) - 0.5
    tiles = axes.pcolormesh(
        columns, rows, values, cmap=colours, vmin=limits[0], vmax=limits[1], edgecolor="white", linewidth=0.5
    )
    if values.size <= 60:
        shades = tiles.norm(values)
        for (row, column), value in np.ndenumerate(values):
            dark = (shades[row, column] < 0.55) != colours.endswith("_r")
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color="white" if dark else "black"
            )
    places = np.interp(one.dense, one.weight_variances, np.arange(len(one.weight_variances)))
    for factor, (name, line) in SCALES.items():
        depths = np.interp(factor * one.xi_c, one.depths, np.arange(len(one.depths)), left=np.nan, right=np.nan)
        axes.plot(places, depths, color=COLOURS[1], linestyle=line, linewidth=1.8, label=name)
    axes.set(xlabel=r"weight variance $\sigma_w^2$", ylabel="depth  [layers]")
    step = max(1, len(one.weight_variances) // 8)
    axes.set_xticks(
        np.arange(len(one.weight_variances))[::step], [f"{value:g}" for value in one.weight_variances[::step]]
    )
    step = max(1, len(one.depths) // 8)
    axes.set_yticks(np.arange(len(one.depths))[::step], [f"{value:g}" for value in one.depths[::step]])
    axes.grid(visible=False)
    axes.set_ylim(-0.5, 1.09 * len(one.depths) - 0.5)  # room for the legend
    axes.legend(loc="upper center", ncols=len(SCALES))
    axes.figure.colorbar(tiles, ax=axes, label=label, location="bottom", shrink=0.9)


def _draw_ranks(axes, one):
    depths = np.broadcast_to(one.depths[:, None], one.accuracy.shape)
    bars = {"xerr": one.information_loss_error.ravel(), "linestyle": "none", "ecolor": "0.6", "zorder": 2}
    axes.errorbar(one.information_loss.ravel(), one.accuracy.ravel(), **bars)
    points = axes.scatter(
        one.information_loss, one.accuracy, c=depths, cmap="viridis", edgecolor="black", linewidth=0.5, s=34, zorder=3
    )
    axes.axvline(one.ignorant, color="0.5", linestyle="--", linewidth=1.0, zorder=1)
    words = "from the\nmean image"
    place = {"xytext": (4, 0), "textcoords": "offset points", "fontsize": 8, "va": "center"}
    axes.annotate(words, (one.ignorant, 0.45), **place)
    found = f"{one.correlation:.2f}({round(100 * one.correlation_error)})"
    axes.set(
        title=f"(c) rank correlation {found}, {one.training_seconds / one.cascade_seconds:.1f} times cheaper",
        xlabel="relative entropy of the reconstruction  [nats]",
        ylabel="test accuracy",
        ylim=(0, 1.03),
    )
    axes.figure.colorbar(points, ax=axes, label="depth  [layers]", location="bottom", shrink=0.9)


def _draw_pictures(figure, reconstructions):
    """A block of pictures a weight variance: the images, and what is reconstructed from deeper and deeper levels."""
    first = reconstructions[0]
    count, columns = len(first.images), len(first.levels) + 1
    side = math.isqrt(first.images.shape[1])
    blocks = figure.subplots(count, columns * len(reconstructions), gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    for number, one in enumerate(reconstructions):
        shown = [one.images, *one.reconstructed]
        names = ["image", *(f"{level:g}" for level in one.levels)]
        for column, (pictures, name) in enumerate(zip(shown, names, strict=True)):
            for row, picture in enumerate(pictures):
                axes = blocks[row, number * columns + column]
                axes.imshow(picture.reshape(side, side), cmap="gray_r")
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                if row == 0:
                    axes.set_title(name, fontsize=8, loc="center")
                if row == count - 1 and column == columns // 2:
                    axes.set_xlabel(rf"$\sigma_w^2 = {one.weight_variance:g}$")
    figure.suptitle(
        "(d) test images, and their reconstructions from levels of untrained networks", fontsize=9.5, x=0.01, ha="left"
    )
