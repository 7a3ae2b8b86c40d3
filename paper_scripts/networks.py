"""Random tanh networks from the ordered to the chaotic phase: curves of three kinds, histograms, the scale.

Draws figures/networks.png from data/networks.h5, or from --archive FILE. --quick (seconds) and --full (a minute)
compute a new archive in results/ first.
"""

from _script import main

from isingflow.plotting.networks import networks_figure
from isingflow.study import networks

if __name__ == "__main__":
    main(__doc__, "networks", networks, networks_figure)
