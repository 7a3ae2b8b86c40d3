"""The figure of decimated configurations: strips of pictures below, at and above the critical coupling."""

import matplotlib
from matplotlib.figure import Figure

from isingflow.errors import ParameterError
from isingflow.plotting.curves import STYLE


def configurations_figure(archive) -> Figure:
    """Draw decimated configurations from an archive alone.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        With configurations.

    Returns
    -------
    matplotlib.figure.Figure
        A row for every coupling, a column for every level; save it with ``savefig``.

    Raises
    ------
    ParameterError
        If there are none.
    """
    if not archive.configurations:
        raise ParameterError("the archive holds no configurations")
    couplings = sorted({one.coupling for one in archive.configurations})
    levels = sorted({one.level for one in archive.configurations})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.3 + 2.1 * len(levels), 0.3 + 2.2 * len(couplings)), layout="constrained")
        panels = figure.subplots(len(couplings), len(levels), squeeze=False)
        for axes in panels.flat:
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
        for one in archive.configurations:
            row, column = couplings.index(one.coupling), levels.index(one.level)
            axes = panels[row, column]
            axes.imshow(one.spins, cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
            if column == 0:
                axes.set_ylabel(f"({'abcdefgh'[row % 8]})  $K = {one.coupling:.4g}$", fontsize=10.5)
            if row == 0:
                spacing = f"{2 ** (one.level / 2):.4g}"
                words = (
                    "before decimation" if one.level == 0 else f"$n = {one.level}$: one spin in {spacing} x {spacing}"
                )
                axes.set_title(words, loc="center")
    return figure
