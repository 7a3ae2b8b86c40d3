"""The scale and the asymptote read off sampled pairs of the Ising chain and the square lattice, against the coupling.

Draws figures/scale.png from data/scale.h5, or from --archive FILE. --quick (below a minute) and --full (minutes)
compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import scale
from isingflow.plotting.scale import scale_figure

if __name__ == "__main__":
    main(__doc__, "scale", scale, scale_figure)
