"""Decimated configurations of the square lattice below, at and above the critical coupling.

Draws figures/configurations.png from data/configurations.h5, or from --archive FILE. --quick (seconds, side 1024) and
--full (a minute, side 2048) compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import configurations
from isingflow.plotting.configurations import configurations_figure

if __name__ == "__main__":
    main(__doc__, "configurations", configurations, configurations_figure)
