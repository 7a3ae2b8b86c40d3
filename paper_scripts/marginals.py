"""Windows of spins of the square lattice before and after decimation: pairs and 2x2 windows, in all phases.

Draws figures/marginals.png from data/marginals.h5, or from --archive FILE. --quick (half a minute) and --full (minutes)
compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import marginals
from isingflow.plotting.marginals import marginals_figure

if __name__ == "__main__":
    main(__doc__, "marginals", marginals, marginals_figure)
