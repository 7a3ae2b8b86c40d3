"""A process of mcising that updates lattices on request: a line of JSON in, a line of JSON out.

Runs inside mcising's own environment. A request names algorithm, side, temperature and updates; the answer has the
seconds they took, and with "series" the record of ``|m|`` after each.
"""

import json
import sys
import time

import numpy as np
from mcising import IsingSimulation

simulations = {}
for line in sys.stdin:
    request = json.loads(line)
    algorithm, side, temperature = request["algorithm"], request["side"], request["temperature"]
    if (algorithm, side) not in simulations:
        simulations[algorithm, side] = IsingSimulation(side, 1.0, 0.0, 0.0, 0.0, 1, algorithm)
        # from a random start Wolff takes thousands of updates before clusters grow
        simulations[algorithm, side].set_spins(np.ones_like(simulations[algorithm, side].get_spins()))
    simulation = simulations[algorithm, side]
    answer = {}
    start = time.perf_counter()
    if request.get("series"):
        answer["series"] = []
        for _ in range(request["updates"]):
            simulation.sweep(1, temperature=temperature)
            answer["series"].append(abs(simulation.magnetization()))
    else:
        simulation.sweep(request["updates"], temperature=temperature)
    answer["seconds"] = time.perf_counter() - start
    print(json.dumps(answer), flush=True)
