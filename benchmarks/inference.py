"""Couplings by pseudo-likelihood, beside coniii, and beside the counting that they start with.

coniii infers a coupling for every pair and a field for every spin of a small system. Shown every image of a sample by
the symmetries of a 4x4 torus, it finds the same for pairs of a kind, which isingflow has as one term. coniii works in
an environment of its own, made on first use in ``--environments``; one thread each, medians of several runs.
"""

import argparse
import functools
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from accuracy import CACHE, ONE_THREAD, Package, environment, run

from isingflow.ising.decimation import weighted_counts
from isingflow.ising.inference import infer_couplings
from isingflow.ising.packing import PackedSpins
from isingflow.ising.sampling import sample_square

RUNS = 7
CONIII = Package("coniii", "2.4.3", (), python=(3, 10), beside=("scipy<1.11", "numpy<1.24"))
PAIRS = ("nearest", "diagonal", (0, 2), (1, 2), (2, 2))
BONDS = (1, 1, 2, 2, 4)
"""How often a pair of each kind is counted on a torus of side 4: its bonds coincide."""


def images(spins):
    """All images of configurations of a 4x4 torus under its translations, turns and mirror images."""
    turned = [np.rot90(one, turns, axes=(1, 2)) for one in (spins, spins[:, :, ::-1]) for turns in range(4)]
    every = [np.roll(one, step, axis=(1, 2)) for one in turned for step in itertools.product(range(4), repeat=2)]
    return np.concatenate(every)


def kinds():
    """Of every pair of the 16 spins, in coniii's order: the kind it is of."""
    of = {(0, 1): 0, (1, 1): 1, (0, 2): 2, (1, 2): 3, (2, 2): 4}
    sites = list(itertools.product(range(4), repeat=2))
    apart = np.abs([np.subtract(*pair) for pair in itertools.combinations(sites, 2)])
    return np.array([of[tuple(sorted(pair))] for pair in np.minimum(apart, 4 - apart).tolist()])


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def beside_coniii(directory):
    sample = images(sample_square(0.3, diagonal=0.05, field=0.1, side=4, samples=100, rng=1).spins)
    settings = {"terms": (*PAIRS, "field"), "environment": (), "workers": 1}
    found = infer_couplings(sample, **settings)
    mine = statistics.median(seconds(lambda: infer_couplings(sample, **settings)) for _ in range(RUNS))
    python = environment(CONIII, directory)
    with tempfile.TemporaryDirectory() as folder:
        samples_file, results_file = Path(folder, "samples.npy"), Path(folder, "results.json")
        np.save(samples_file, sample.reshape(-1, 16))
        run(
            [python, Path(__file__).parent / "peers" / "with_coniii.py", samples_file, results_file, RUNS],
            env=os.environ | ONE_THREAD,
        )
        theirs = json.loads(results_file.read_text())
    fields, pairs = np.split(np.array(theirs["couplings"]), [16])
    print(f"All pairs of a 4x4 torus, {len(sample)} configurations (100 and their images)")
    print("  term       isingflow     coniii    spread of coniii's")
    for number, (term, bonds) in enumerate(zip(PAIRS, BONDS, strict=True)):
        same = pairs[kinds() == number] / bonds
        print(f"  {term!s:<9} {found.values[number]:10.6f} {same.mean():10.6f} {np.ptp(same):14.1e}")
    print(f"  field     {found.values[-1]:10.6f} {fields.mean():10.6f} {np.ptp(fields):14.1e}")
    other = statistics.median(theirs["seconds"])
    print(
        f"  isingflow {1e3 * mine:.1f} ms, with errors and what is missing; coniii {1e3 * other:.0f} ms: "
        f"{other / mine:.0f} times"
    )


def beside_counting():
    words = np.random.default_rng(1).integers(0, 2**64, (15259, 256, 4), np.uint64)
    packed = PackedSpins(words, 256)
    spins = len(packed) * 256**2
    window = [(i, j) for i in range(3) for j in range(3)]

    def count():
        weighted_counts(packed, window, 2 ** np.arange(9), blocks=20)

    print(f"{spins:.3g} spins, 15259 lattices of side 256; seconds by the clock, medians of {RUNS}")
    for shells in ((), ((0, 2),), ((0, 2), (1, 2))):
        one, two = (functools.partial(infer_couplings, packed, environment=shells, workers=n) for n in (1, 2))
        times = np.array([[seconds(work) for work in (one, two, count)] for _ in range(RUNS)])
        of_one, of_two, alone = np.median(times, axis=0)
        ratio = np.median(times[:, 0] / times[:, 2])
        name = ", ".join(["3x3", *map(str, shells)])
        print(
            f"  environment {name:<20} one thread {of_one:.2f}, two {of_two:.2f}; counting 3x3 windows {alone:.2f}: "
            f"{ratio:.2f} times"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=CACHE, metavar="DIR", help=f"of coniii ({CACHE})")
    options = parser.parse_args()
    beside_counting()
    beside_coniii(options.environments)


if __name__ == "__main__":
    main()
