"""Two workers against one on the same tasks: the same bits, and how much sooner."""

import statistics
import time

import numpy as np

from isingflow.parameters import SquareParameters
from isingflow.study import run

RUNS = 3


def main():
    tasks = [SquareParameters(coupling=0.30 + 0.02 * i, side=128, samples=400, steps=6) for i in range(12)]
    run(tasks[:1], seed=1)  # kernels are compiled and cached
    times, values = {1: [], 2: []}, {}
    for _ in range(RUNS):
        for workers, seconds in times.items():
            start = time.perf_counter()
            curves = run(tasks, seed=1, workers=workers)
            seconds.append(time.perf_counter() - start)
            values[workers] = np.concatenate([curve.value for curve in curves])
    one, two = (statistics.median(times[workers]) for workers in (1, 2))
    print(f"{len(tasks)} lattice tasks, medians of {RUNS} interleaved runs")
    print(f"  one worker  {one:6.2f} s")
    print(f"  two workers {two:6.2f} s, {one / two:.2f} times as fast, start of the processes included")
    print(f"  same bits: {values[1].tobytes() == values[2].tobytes()}")


if __name__ == "__main__":
    main()
