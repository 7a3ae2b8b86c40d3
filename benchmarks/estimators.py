"""How much of a Gaussian estimate is matrix products; times of counts and of neighbours. Medians of 5, one run."""

import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

from isingflow import kl_divergence
from isingflow.divergence import expansion
from isingflow.divergence.discrete import zhang_grabchak
from isingflow.divergence.neighbours import knn

RUNS = 5
COMPONENTS, SAMPLES, BLOCKS = 1000, 10_000, 20
SYMBOLS = 2**16


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(**works):
    """Interleaved runs after one to warm up."""
    for work in works.values():
        work()
    times = {name: [] for name in works}
    for _ in range(RUNS):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in times.items()}


def flops():
    """Of all matrix products and factorisations behind an estimate, those with a transpose counted as any other."""
    d = COMPONENTS
    passes = 2 * 2 * SAMPLES * d**2
    probes = 2 * BLOCKS * d**2 * expansion.PROBES * (3 + 3)  # deviations of p twice and of q; three kernels
    return passes, passes + probes + 2 * 2 * d**3 + 2 * d**3


def normal(rng):
    p, q = rng.normal(size=(2, SAMPLES, COMPONENTS))
    blocks = [*np.split(p, BLOCKS), *np.split(q, BLOCKS)]
    out = np.empty((COMPONENTS, COMPONENTS))

    def alone(left, right):
        with threadpool_limits(limits=1):
            np.matmul(left, right, out=out)

    return medians(
        product=lambda: alone(p.T, q),
        blocks=lambda: [alone(block.T, block) for block in blocks],
        estimate=lambda: kl_divergence(p, q, blocks=BLOCKS),
    )


def main():
    rng = np.random.default_rng(1)
    times = normal(rng)
    rate = 2 * SAMPLES * COMPONENTS**2 / times["product"]
    one_pass, everything = flops()
    print(f"normal, d = {COMPONENTS}, n = m = {SAMPLES}, {BLOCKS} blocks, one thread, medians of {RUNS}")
    print(f"  a product of two matrices       {rate / 1e9:6.1f} Gflop/s")
    for label, work, time_taken in (
        ("products of the blocks alone", one_pass, times["blocks"]),
        ("kl_divergence with its error", everything, times["estimate"]),
    ):
        print(f"  {label}    {time_taken:6.2f} s, {work / time_taken / rate:5.2f} of that rate")
    print(f"  one pass over the samples takes {times['blocks'] / times['estimate']:.2f} of the estimate's time")
    a, b = (rng.multinomial(10**6, rng.dirichlet(np.ones(SYMBOLS))) for _ in range(2))
    x, y = rng.normal(size=(2, SAMPLES, 3))
    others = medians(counts=lambda: zhang_grabchak(a, b), neighbours=lambda: knn(x, y))
    print(f"Zhang-Grabchak, {SYMBOLS} symbols       {1e3 * others['counts']:7.2f} ms")
    print(f"nearest neighbours, d = 3, n = {SAMPLES}  {1e3 * others['neighbours']:7.1f} ms")


if __name__ == "__main__":
    main()
