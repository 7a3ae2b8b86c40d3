"""How much of a Gaussian estimate is matrix products; times of counts and of neighbours. Medians of 5, one run."""

import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

from isingflow.divergence.discrete import zhang_grabchak
from isingflow.divergence.gaussian import Moments, large_jackknife
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


def gaussian(rng):
    x, y = (np.split(rng.normal(size=(SAMPLES, COMPONENTS)), BLOCKS) for _ in range(2))
    out = np.empty((COMPONENTS, COMPONENTS))
    p, q = Moments.of_blocks(x), Moments.of_blocks(y)

    def products():
        with threadpool_limits(limits=1):
            for block in (*x, *y):
                np.matmul(block.T, block, out=out)

    def estimate():
        large_jackknife(Moments.of_blocks(x), Moments.of_blocks(y), paired=False)

    return medians(
        products=products,
        moments=lambda: [Moments.of_blocks(one) for one in (x, y)],
        errors=lambda: large_jackknife(p, q, paired=False),
        estimate=estimate,
    )


def main():
    rng = np.random.default_rng(1)
    times = gaussian(rng)
    print(f"normal, d = {COMPONENTS}, n = m = {SAMPLES}, {BLOCKS} blocks, one thread, medians of {RUNS}")
    for name, label in (
        ("products", "block products alone"),
        ("moments", "Moments.of_blocks"),
        ("errors", "large_jackknife"),
        ("estimate", "estimate with its error"),
    ):
        print(f"  {label:<28} {times[name]:7.3f} s   {times['products'] / times[name]:5.2f} of the product rate")
    a, b = (rng.multinomial(10**6, rng.dirichlet(np.ones(SYMBOLS))) for _ in range(2))
    x, y = rng.normal(size=(2, SAMPLES, 3))
    others = medians(counts=lambda: zhang_grabchak(a, b), neighbours=lambda: knn(x, y))
    print(f"Zhang-Grabchak, {SYMBOLS} symbols       {1e3 * others['counts']:7.2f} ms")
    print(f"nearest neighbours, d = 3, n = {SAMPLES}  {1e3 * others['neighbours']:7.1f} ms")


if __name__ == "__main__":
    main()
