"""Propagation of random networks beside the machine's own matrix products, and one ensemble beside the other.

Medians of interleaved runs in this one call. About six minutes.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from isingflow.network.propagation import propagate
from isingflow.parameters import NetworkParameters

RUNS = 5
CORES = 2
LAW = {"weight_variance": 2.0, "bias_variance": 0.05}
DEEP = 10_000


def stream():
    """A fast generator, as studies have."""
    return np.random.Generator(np.random.SFC64(1))


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def product_rate(width, batch, dtype, repeats):
    """Multiplications and additions per second of numpy's product of a layer, on all cores."""
    rng = np.random.default_rng(1)
    weights, features = (
        rng.standard_normal((width, width)).astype(dtype),
        rng.standard_normal((width, batch)).astype(dtype),
    )
    out = np.empty((width, batch), dtype)
    with threadpool_limits(CORES, user_api="blas"):
        np.matmul(weights, features, out=out)
        spent = seconds(lambda: [np.matmul(weights, features, out=out) for _ in range(repeats)])
    return 2 * width**2 * batch * repeats / spent


def one_network(width, depth, dtype, *, batch=1000, features=784):
    """The same of one network with weights, drawn, multiplied, activated and squared."""
    network = NetworkParameters(**LAW, depth=depth, width=width)
    inputs = np.random.default_rng(2).standard_normal((batch, features))
    kind = {"ensemble": "weights", "keep": "squares", "dtype": dtype, "workers": CORES}
    spent = seconds(lambda: propagate(inputs, network, networks=1, rng=stream(), **kind))
    return 2 * batch * (features * width + depth * width**2) / spent


def rates(depth):
    print(f"\none network with weights, depth {depth}, batch of 1000 inputs, {CORES} cores: share of numpy's product")
    for width in (2048, 784):
        for dtype in ("float64", "float32"):
            one_network(width, 2, dtype)
            pairs = [
                (one_network(width, depth, dtype), product_rate(width, 1000, dtype, depth // 4)) for _ in range(RUNS)
            ]
            shares = sorted(ours / bound for ours, bound in pairs)
            ours, bound = (statistics.median(column) / 1e9 for column in zip(*pairs, strict=True))
            print(
                f"  width {width:4}, {dtype}: {statistics.median(shares):.2f} ({shares[0]:.2f} to {shares[-1]:.2f}); "
                f"{ours:.0f} of {bound:.0f} Gflop/s",
                flush=True,
            )


def ensembles():
    network = NetworkParameters(**LAW, depth=40, width=512)
    inputs = np.random.default_rng(2).standard_normal((2, 64))

    def run(ensemble, networks):
        return seconds(
            lambda: propagate(inputs, network, networks=networks, rng=stream(), ensemble=ensemble, workers=CORES)
        )

    run("conditional", 4), run("weights", 4)
    pairs = [(run("conditional", 2000), run("weights", 40) * 50) for _ in range(RUNS)]
    conditional = statistics.median(pair[0] for pair in pairs)
    ratio = statistics.median(weights / ours for ours, weights in pairs)
    print(f"\n2000 networks, width 512, depth 40, two inputs, {CORES} cores")
    print(
        f"  conditional {conditional:.2f} s, {ratio:.0f} times as fast as drawing the weights (of 40 networks)",
        flush=True,
    )


def scaling():
    network = NetworkParameters(**LAW, depth=50, width=256)
    inputs = np.random.default_rng(2).standard_normal((2, 64))
    found = {}

    def run(workers):
        def work():
            found[workers] = propagate(
                inputs, network, networks=1000, rng=stream(), ensemble="weights", workers=workers
            ).products

        return seconds(work)

    ratios = [run(1) / run(CORES) for _ in range(3)]
    same = found[1].tobytes() == found[CORES].tobytes()
    print("\n1000 networks with weights, width 256, depth 50")
    print(
        f"  {CORES} cores {statistics.median(ratios):.2f} times as fast as one ({ratios}), same bits: {same}",
        flush=True,
    )


def depth_in_memory():
    """In a process of its own, whose largest resident memory is known."""
    found = subprocess.run([sys.executable, __file__, "--deep"], check=True, capture_output=True, text=True)
    print(f"\ndepth {DEEP}, width 1000, ten inputs, weights drawn\n  {found.stdout.strip()}", flush=True)


def deep():
    inputs = np.random.default_rng(2).standard_normal((10, 784))

    def run(depth):
        network = NetworkParameters(**LAW, depth=depth, width=1000)
        kind = {"ensemble": "weights", "keep": "squares", "workers": CORES}
        return seconds(lambda: propagate(inputs, network, networks=1, rng=stream(), **kind))

    def megabytes():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    run(2)
    before = megabytes()
    shallow, spent, after = run(100), run(DEEP), megabytes()
    print(
        f"largest memory {before:.0f} MB at depth 2, {after:.0f} MB at depth {DEEP}; "
        f"{spent:.0f} s, {spent / shallow / (DEEP / 100):.2f} times 100 layers' time a layer"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=100, help="of the one network (default: %(default)s)")
    parser.add_argument("--deep", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.deep:
        deep()
        return
    blas = {f"{one['internal_api']} {one['version']} {one.get('architecture', '')}" for one in threadpool_info()}
    print(f"{platform.machine()}, {os.cpu_count()} cores; numpy {np.__version__}; {', '.join(sorted(blas))}")
    rates(options.depth)
    ensembles()
    scaling()
    depth_in_memory()


if __name__ == "__main__":
    main()
