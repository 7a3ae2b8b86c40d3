"""Information flow in the Ising chain, the square lattice and a random network, side by side.

Draws figures/compare.png from data/compare.h5, or from --archive FILE. --quick (seconds) and --full (a minute) compute
a new archive in results/ first.
"""

from _script import main

from isingflow.plotting.compare import compare_figure
from isingflow.study import compare

if __name__ == "__main__":
    main(__doc__, "compare", compare, compare_figure)
