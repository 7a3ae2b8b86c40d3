"""Which figure an archive is for."""

import importlib

from isingflow.errors import ParameterError

ISING = (
    *("chain", "couplings", "marginals", "plane", "configurations", "scale", "truncation", "inferred", "information"),
    "renormalization",
)
NAMED = (*ISING, "training", "trainability", "grid")
"""Figures that an archive names in its provenance."""


def figure_of(archive, *, normalised=False):
    """Draw the figure that an archive was made for: the one it names, or else the one that it has the records of.

    Parameters
    ----------
    archive : isingflow.archive.Archive
        What to draw.
    normalised : bool
        As for `isingflow.plotting.published.published_figure`; there is no such choice for other figures.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ParameterError
        If the archive does not hold what its figure needs, or `normalised` does not fit it.
    """
    name = _name(archive)
    if name not in (*NAMED, "published", "networks", "phases", "compare"):
        raise ParameterError(f"the archive is for a figure {name!r}, which this version does not know")
    if normalised and name != "published":
        raise ParameterError("--normalise is for archives of isingflow published")
    draw = getattr(importlib.import_module(f"isingflow.plotting.{name}"), f"{name}_figure")
    return draw(archive, normalised=normalised) if name == "published" else draw(archive)


def _name(archive):
    from isingflow.plotting.networks import is_networks
    from isingflow.plotting.published import is_published

    if "figure" in archive.provenance:
        return archive.provenance["figure"]
    held = {"published": is_published(archive), "networks": is_networks(archive), "phases": bool(archive.diagrams)}
    return next((name for name, there in held.items() if there), "compare")
