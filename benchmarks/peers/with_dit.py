"""dit, which compares distributions and answers in bits: here the observed frequencies.

`dit.inference.distribution_from_data` is not used: it hands over logarithms unless told otherwise, and
`kullback_leibler_divergence` takes them for probabilities (2.3).
"""

import math

import numpy as np
from adapter import main, symbols
from dit import Distribution
from dit.divergences import kullback_leibler_divergence


def frequencies(spins):
    seen, counts = np.unique(symbols(spins), return_counts=True)
    return Distribution([(symbol,) for symbol in seen.tolist()], (counts / counts.sum()).tolist())


def methods(kind, d):
    return {
        "frequencies": lambda p, q: kullback_leibler_divergence(frequencies(p), frequencies(q)) * math.log(2),
    }


if __name__ == "__main__":
    main("dit", methods)
