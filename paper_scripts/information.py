"""Mutual information of kept and removed spins against the coupling, and where it is largest.

Draws figures/information.png from data/information.h5, or from --archive FILE. --quick (half a minute) and --full
(minutes) compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import information
from isingflow.plotting.information import information_figure

if __name__ == "__main__":
    main(__doc__, "information", information, information_figure)
