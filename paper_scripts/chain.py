"""The decimated Ising chain: couplings exactly, without and with a field, and windows of sampled rings.

Draws figures/chain.png from data/chain.h5, or from --archive FILE. --quick (seconds) and --full (a minute) compute a
new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import chain
from isingflow.plotting.chain import chain_figure

if __name__ == "__main__":
    main(__doc__, "chain", chain, chain_figure)
