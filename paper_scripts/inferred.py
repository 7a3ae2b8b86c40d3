"""Couplings inferred from decimated configurations, over the flow of Wilson's recursion, and what they miss.

Draws figures/inferred.png from data/inferred.h5, or from --archive FILE. --quick (half a minute) and --full (minutes)
compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import inferred
from isingflow.plotting.inferred import inferred_figure

if __name__ == "__main__":
    main(__doc__, "inferred", inferred, inferred_figure)
