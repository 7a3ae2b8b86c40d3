"""What recursions of the couplings truncate: their marginals beside the true ones of the square lattice.

Draws figures/truncation.png from data/truncation.h5, or from --archive FILE, and prints the differences. --quick
(half a minute) and --full (minutes) compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising_studies import truncation
from isingflow.plotting.truncation import truncation_figure
from isingflow.report import truncation as table

if __name__ == "__main__":
    main(__doc__, "truncation", truncation, truncation_figure, table=table)
