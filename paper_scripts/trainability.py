"""Where networks can be trained: accuracy over weight variance and depth, and reconstructions of untrained networks.

Draws figures/trainability.png from data/trainability.h5, or from --archive FILE. --quick (24 networks on digits, some
minutes) and --full (the paper's 798 on Fashion-MNIST: days, to be shared out with --folder and --part) compute a new
archive in results/ first. Needs the extra train.
"""

from _script import main

from isingflow.plotting.trainability import trainability_figure
from isingflow.training_studies import trainability

if __name__ == "__main__":
    main(__doc__, "trainability", trainability, trainability_figure, shared=True)
