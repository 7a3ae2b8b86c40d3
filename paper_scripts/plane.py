"""Recursions for the couplings of the decimated square lattice: Wilson's in its plane, those of one coupling as maps.

Draws figures/plane.png from data/plane.h5, or from --archive FILE. --quick and --full (seconds, both, in one process)
compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import plane
from isingflow.plotting.plane import plane_figure

if __name__ == "__main__":
    main(__doc__, "plane", plane, plane_figure)
