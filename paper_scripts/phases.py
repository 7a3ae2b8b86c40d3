"""The phase diagram of random tanh networks, the maps behind it, and activations along the edge of chaos.

Draws figures/phases.png from data/phases.h5, or from --archive FILE. --quick and --full (seconds, both, in one process)
compute a new archive in results/ first.
"""

import numpy as np
from _script import main

from isingflow.plotting.phases import phases_figure
from isingflow.study import PLANE, phases


def study(*, quick, workers, command):
    points = 41 if quick else 141
    axes = {name: np.linspace(*bounds, points) for name, bounds in PLANE.items()}
    return phases(**axes, command=command)


if __name__ == "__main__":
    main(__doc__, "phases", study, phases_figure)
