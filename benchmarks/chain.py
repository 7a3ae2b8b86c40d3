"""Exact samples of the chain beside a plain loop with a uniform number a spin. One core, medians of 7 in one run."""

import statistics
import time

import numpy as np
from numba import njit

from isingflow.ising import chain

RUNS = 7
SPINS = 4_000_000


@njit
def plain(rng, up, spins):
    """Rings of one table for all sites: the least a loop with numpy's generator can do; not exact near the end."""
    for ring in range(len(spins)):
        this = np.int64(rng.random() < 0.5)
        for site in range(spins.shape[1]):
            this = np.int64(rng.random() < up[this])
            spins[ring, site] = 2 * this - 1


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(coupling, field, sites, boundary):
    """Median seconds of ours, the loop and of writing, and how many spins that was."""
    samples = SPINS // sites
    spins, rng, up = np.empty((samples, sites), np.int8), np.random.default_rng(1), np.array([0.3, 0.6])
    works = (
        lambda: chain.sample(coupling, field, sites=sites, samples=samples, rng=1, boundary=boundary),
        lambda: plain(rng, up, spins),
        lambda: np.full((samples, sites), 1, np.int8),
    )
    for work in works:
        work()
    times = [[seconds(work) for work in works] for _ in range(RUNS)]
    return [statistics.median(column) for column in zip(*times, strict=True)], spins.size


def main():
    print(f"spins/ns on one core, {RUNS} alternating runs (times a plain loop; of the speed of writing ones)")
    for coupling, field in ((0.6, 0.0), (0.4, 0.1), (3.0, 0.0), (6.0, 0.0), (-0.7, 0.2)):
        for sites in (1_000_000, 1024, 16):
            for boundary in chain.BOUNDARIES:
                (ours, loop, ones), size = compare(coupling, field, sites, boundary)
                print(
                    f"  K = {coupling:4}, H = {field}, {sites:8} sites, {boundary:8}  {size / ours / 1e9:5.2f}"
                    f"   ({loop / ours:5.1f} times; {ones / ours:.3f})"
                )


if __name__ == "__main__":
    main()
