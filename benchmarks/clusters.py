"""Cluster updates at the critical coupling on one core: independent samples of |m| a second, and what takes the time.

Times are of the thread alone, medians of runs that alternate with those of the peer. Autocorrelation times are ours,
for both: the algorithms are the same. mcising 1.1.0 is measured where a Python that has it is named. Two minutes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from isingflow.ising import _clusters
from isingflow.ising._random import bounds, fill_below, generator_state
from isingflow.ising.square import CRITICAL_COUPLING, bond_correlation
from isingflow.resampling import autocorrelation_time

RUNS = 7
SECONDS = 0.15
"""Of a run, about."""
SERIES = {64: 40_000, 256: 8000, 1024: 1000}
"""Sweeps behind an autocorrelation time; four times as many Wolff updates."""
ALGORITHMS = ("swendsen_wang", "wolff")

PEER = f"""
import sys, time
import numpy as np
from mcising._core import IsingSimulation
lattices = {{}}
for line in sys.stdin:
    algorithm, side, updates = line.split()
    side, temperature = int(side), {1 / CRITICAL_COUPLING!r}
    if (algorithm, side) not in lattices:
        lattice = lattices[algorithm, side] = IsingSimulation(side, 1.0, 0.0, 0.0, 0.0, 1, algorithm)
        lattice.set_spins(np.ones((side, side), np.int8))
        lattice.sweep({{64: 400, 256: 200, 1024: 60}}[side], temperature=temperature)
    lattice = lattices[algorithm, side]
    start = time.thread_time()
    sites = lattice.sweep(int(updates), temperature=temperature)[1]
    print(time.thread_time() - start, sites, flush=True)
"""


class Ours:
    """One lattice, started from order and equilibrated; what its updates recorded."""

    def __init__(self, algorithm, side):
        self.algorithm, self.side = algorithm, side
        self.words = np.zeros((side, -(-side // 64)), np.uint64)
        self.state = generator_state(np.random.default_rng(1))
        self.bond = bounds([1 - np.exp(-2 * CRITICAL_COUPLING)])[:, 0].copy()
        self.scratch = _clusters.scratch(side)
        sweeps = SERIES[side] * (4 if algorithm == "wolff" else 1)
        self.run(sweeps // 10)
        self.bonds, self.magnetizations = self.run(sweeps, 1)[2:]

    def run(self, updates, every=None):
        """Seconds of the thread, sites that were updated, and the records."""
        every = updates if every is None else every
        bonds, magnetizations = np.empty((2, updates // every))
        update = getattr(_clusters, self.algorithm)
        start = time.thread_time()
        turned = update(
            self.words, self.side, self.state, self.bond, updates, every, bonds, magnetizations, self.scratch
        )
        spent = time.thread_time() - start
        return spent, turned or updates * self.side**2, bonds, magnetizations


class Peer:
    """mcising in its own Python."""

    def __init__(self, python):
        self.process = subprocess.Popen(
            [python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(self, algorithm, side, updates):
        self.process.stdin.write(f"{algorithm} {side} {updates}\n")
        spent, sites = self.process.stdout.readline().split()
        return float(spent), int(sites)


def compare(algorithm, side, peer):
    ours = Ours(algorithm, side)
    time_scale = autocorrelation_time([np.abs(ours.magnetizations)]).time
    bond = ours.bonds.mean() / (2 * side**2)
    spread = ours.bonds.std() / (2 * side**2)
    error = spread * np.sqrt(2 * autocorrelation_time([ours.bonds]).time / len(ours.bonds))
    pull = (bond - bond_correlation(CRITICAL_COUPLING, side=side)) / error
    updates = max(1, int(SECONDS / ours.run(20)[0] * 20))
    theirs = max(1, updates // 8)
    pairs = []
    for _ in range(RUNS):
        spent, sites, _, _ = ours.run(updates)
        pairs.append([spent / updates, spent / sites])
        if peer:
            spent, sites = peer.run(algorithm, side, theirs)
            pairs[-1] += [spent / theirs, spent / sites, spent / sites / pairs[-1][1]]
    found = [statistics.median(column) for column in zip(*pairs, strict=True)]
    print(f"  {algorithm}, tau {time_scale:.2f} updates, <s s'> {pull:+.1f} sigma from Kaufman's")
    row(found[0], found[1], time_scale, "isingflow")
    if peer:
        # clusters are as large on average: times a site compare what times an update only do after long runs
        row(found[2], found[3], time_scale, "mcising")
        ratios = sorted(pair[4] for pair in pairs)
        print(f"    {found[4]:.1f} times as fast a site ({ratios[0]:.1f} to {ratios[-1]:.1f})", flush=True)


def row(update, site, time_scale, name):
    print(
        f"    {name:10}{1 / update:12,.0f} updates/s {site * 1e9:8.2f} ns a site updated "
        f"{1 / (2 * time_scale * update):12,.1f} independent samples/s",
        flush=True,
    )


def median_of(work):
    times = []
    for _ in range(RUNS):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return statistics.median(times)


def parts(side):
    """Where a sweep of Swendsen-Wang spends its time, and what the random bits alone would take."""
    ours = Ours("swendsen_wang", side)
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
        "measure": lambda: _clusters.measure(ours.words, side),
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = os.environ.get("MCISING_PYTHON")
    parser.add_argument("--peer", metavar="PYTHON", default=named, help="has mcising 1.1.0 (default: $MCISING_PYTHON)")
    parser.add_argument("--sides", type=int, nargs="+", default=list(SERIES), choices=SERIES, metavar="L")
    options = parser.parse_args()
    peer = Peer(options.peer) if options.peer else None
    print(f"{os.cpu_count()} cores, one used; Python {sys.version.split()[0]}; medians of {RUNS}")
    for side in options.sides:
        print(f"L = {side}")
        for algorithm in ALGORITHMS:
            compare(algorithm, side, peer)
    parts(1024)


if __name__ == "__main__":
    main()
