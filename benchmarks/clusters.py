"""Where a sweep of Swendsen-Wang at the critical coupling spends its time, beside its random bits and its memory.

Times are of the thread alone, medians of 7 alternating runs. `benchmarks/lattice.py` has the comparison with mcising.
"""

import statistics
import time
import types

import numpy as np

from isingflow.ising import _clusters, _rows
from isingflow.ising._random import bounds, fill_below, generator_state
from isingflow.ising.square import CRITICAL_COUPLING

RUNS = 7


def equilibrated(side, sweeps=200):
    """A lattice that started from order, and what its updates need."""
    words = np.zeros((side, -(-side // 64)), np.uint64)
    state, scratch = generator_state(np.random.default_rng(1)), _clusters.scratch(side)
    bond = bounds([-np.expm1(-2 * CRITICAL_COUPLING)])[0]
    records = np.empty((2, 1), np.int64)
    _clusters.swendsen_wang(words, side, state, bond, sweeps, sweeps, *records, scratch)
    return types.SimpleNamespace(words=words, state=state, scratch=scratch, bond=bond)


def median_of(work):
    times = []
    for _ in range(RUNS):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return statistics.median(times)


def parts(side):
    """Where a sweep of Swendsen-Wang spends its time, and what the random bits alone would take."""
    ours = equilibrated(side)
    s, state, bond = ours.scratch, ours.state, ours.bond
    bits = np.empty(2 * len(s.spins), np.uint64)

    def clear():
        s.hanging[:] = 0

    def repeat(*steps):
        return lambda: [step(s) for _ in range(_clusters.PASSES) for step in steps]

    steps = {
        "random bits alone": lambda: fill_below(state, bond, bits),
        "draw bonds": lambda: _clusters.draw_all(s, state, bond),
        "drop rungs": lambda: (_clusters.drop_rungs(s), clear()),
        "prune": repeat(_clusters.prune_downward, _clusters.prune_upward),
        "toss coins": lambda: _clusters.toss(s, state),
        "grow clusters": lambda: _clusters.turn_clusters(s, state, bond),
        "follow": repeat(_clusters.follow_downward, _clusters.follow_upward),
        "measure": lambda: _rows.measure(ours.words, side),
    }
    times = {name: [] for name in steps}
    _clusters.to_tiles(ours.words, side, s.spins)
    for _ in range(RUNS):
        for name, step in steps.items():
            start = time.thread_time()
            step()
            times[name].append((time.thread_time() - start) / side**2 * 1e9)
    found = {name: statistics.median(values[1:]) for name, values in times.items()}
    bound = found.pop("random bits alone")
    whole = sum(found.values()) - found["measure"]
    print(f"swendsen_wang, L = {side}, ns a site: " + ", ".join(f"{name} {one:.3f}" for name, one in found.items()))
    print(
        f"  roofline: random bits {bound:.3f} ns a site ({2 / bound:.1f} Gbit/s), {bound / whole:.0%} of a sweep; "
        f"memory {memory(side):.3f}; the rest are steps that wait for each other, most of all when clusters grow"
    )


def memory(side):
    """Nanoseconds a site of reading and writing all bits of a sweep once, as a copy of an array takes."""
    words = len(_clusters.PLANES) * side**2 // 64
    here, there = np.ones((2, words))
    return median_of(lambda: np.copyto(there, here)) / side**2 * 1e9


def main():
    for side in (256, 1024):
        parts(side)


if __name__ == "__main__":
    main()
