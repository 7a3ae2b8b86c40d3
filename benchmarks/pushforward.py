"""The published estimator beside the same numbers by loops over pairs of neurons, as its public notebook has them.

The loops are timed for two layers: into the first, the averages alone; into the second, also the samples carried there.
All further layers cost what the second does, so that a whole network is extrapolated from these. They are written here
anew, in the notebook's way. Ours is the median of several runs on the same samples.
"""

import argparse
import functools
import math
import os
import statistics
import time

import numpy as np
from meanfield import machine
from threadpoolctl import threadpool_limits

from isingflow.network.pushforward import pushforward_entropy

RUNS = 5
WEIGHT_VARIANCE, BIAS_VARIANCE = 1.5, 0.05


def seconds(work):
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def network(width, depth, rng):
    """Weights, biases and levels of one network, those into level 0 left out."""
    weights = [math.sqrt(WEIGHT_VARIANCE / width) * rng.standard_normal((width, width)) for _ in range(depth - 1)]
    biases = [math.sqrt(BIAS_VARIANCE) * rng.standard_normal(width) for _ in weights]
    levels = [0.4 * rng.standard_normal(width)]
    for weight, bias in zip(weights, biases, strict=True):
        levels.append(weight @ np.tanh(levels[-1]) + bias)
    return weights, biases, levels


def carried(phi, weight, bias):
    """Activations (neurons, samples) of the next level: neuron by neuron, sample by sample."""
    samples = phi.T.copy()
    return np.array(
        [[np.tanh(np.sum(row * sample) + shift) for sample in samples] for row, shift in zip(weight, bias, strict=True)]
    )


def mean_square(phi, weight, bias, mean):
    """``E|W phi + b - mean|^2``, multiplied out over pairs of neurons, of which a list is kept (5 GB at width 784)."""
    columns, shift = weight.T.copy(), bias - mean
    products = [one * other for one in phi for other in phi]
    averages = iter([np.sum(product) / len(product) for product in products])
    total = np.sum(shift**2)
    for one, column in zip(phi, columns, strict=True):
        total += 2 * np.mean(one) * np.sum(column * shift)
        for another in columns:
            total += next(averages) * np.sum(column * another)
    return total


def by_pairs(weights, biases, levels, samples):
    """Return the estimator at levels 1 and 2, and the seconds that each took."""
    phi, reference, values, times = np.tanh(samples).T.copy(), levels[0].var(), [], []
    for m in (1, 2):
        start = time.perf_counter()
        if m == 2:
            phi = carried(phi, weights[0], biases[0])
        square = mean_square(phi, weights[m - 1], biases[m - 1], levels[m].mean())
        times.append(time.perf_counter() - start)
        logarithms = len(levels[m]) / 2 * math.log(levels[m].var() / (math.e * reference))
        values.append(logarithms + square / (2 * reference))
    return np.array(values), times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=784, metavar="N", help="neurons of a level (default: %(default)s)")
    parser.add_argument("--depth", type=int, default=30, metavar="N", help="levels (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="of level 0 (default: %(default)s)")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    weights, biases, levels = network(options.width, options.depth, rng)
    samples = levels[0].mean() + levels[0].std() * rng.standard_normal((options.samples, options.width))
    ours = functools.partial(pushforward_entropy, weights, biases, levels, samples=samples, variance="reference")
    print(f"{machine()}; float64")
    print(
        f"{options.depth} levels of {options.width} neurons, {options.samples} samples; seconds for the whole network"
    )

    with threadpool_limits(limits=1):
        values, times = by_pairs(weights, biases, levels, samples)
    whole = times[0] + (options.depth - 2) * times[1]
    print(f"  {'loops over pairs':<24}{whole:>10.1f}   extrapolated from {times[0]:.1f} and {times[1]:.1f} a layer")
    for workers in sorted({1, os.cpu_count() or 1}):
        found = ours(workers=workers)
        taken = statistics.median(seconds(functools.partial(ours, workers=workers))[0] for _ in range(RUNS))
        words = f"isingflow, {workers} thread" + "s" * (workers > 1)
        print(f"  {words:<24}{taken:>10.3f}   {whole / taken:.0f} x as fast")
    deviation = np.abs(found[1:3] / values - 1).max()
    print(f"largest relative deviation at levels 1 and 2: {deviation:.1e}")


if __name__ == "__main__":
    main()
