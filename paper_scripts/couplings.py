"""The coupling curves of three recursions of the square lattice, exact, for a dense set of couplings around K_c.

Draws figures/couplings.png from data/couplings.h5, or from --archive FILE. --quick and --full (seconds, both, in one
process) compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import couplings
from isingflow.plotting.couplings import couplings_figure

if __name__ == "__main__":
    main(__doc__, "couplings", couplings, couplings_figure)
