"""A process of coniii that infers fields and all pair couplings by pseudo-likelihood.

Runs inside coniii's own environment: configurations (samples, spins) from a ``.npy`` file; results as JSON.
"""

import json
import sys
import time
import warnings

import numpy as np
from coniii.solvers import Pseudo

warnings.simplefilter("ignore")
samples_file, results_file, runs = sys.argv[1:]
configurations = np.load(samples_file).astype(int)
seconds = []
for _ in range(int(runs) + 1):  # what is compiled on first use is not timed
    start = time.perf_counter()
    found = Pseudo(configurations, iprint=False).solve()
    seconds.append(time.perf_counter() - start)
with open(results_file, "w") as file:
    json.dump({"couplings": np.asarray(found).tolist(), "seconds": seconds[1:]}, file)
