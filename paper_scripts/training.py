"""Level curves of networks before and after training: one input, two inputs, the published estimator.

Draws figures/training.png from data/training.h5, or from --archive FILE. --quick (20 networks on digits, minutes) and
--full (40 of the paper's on Fashion-MNIST, hours) compute a new archive in results/ first. Needs the extra train.
"""

from _script import main

from isingflow.plotting.training import training_figure
from isingflow.training_studies import training

if __name__ == "__main__":
    main(__doc__, "training", training, training_figure)
