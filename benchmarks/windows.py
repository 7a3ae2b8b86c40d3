"""Windows, pairs and decimated spins on packed lattices: against plain loops over int8, and against a bound.

Of interleaved runs: the ratios are medians of ratios within one round, since a shared machine changes its speed. The
bound of windows of more than five spins is one addition to a single table for each, of symbols known beforehand; of the
other counts, numpy's count of the set bits of the packed words; of decimation and blocks, a copy of the words.

And 10^9 spins against a target: decimated once and by two, and their 3x3 windows counted, in five seconds. Compiled
loops leave other threads alone, so that a caller with two cores gives each half of the lattices. The time is the
processor's for the slower thread, and that by the clock, which other programs share.
"""

import concurrent.futures
import time

import numpy as np
from numba import njit

from isingflow.ising import decimation
from isingflow.ising.packing import PackedSpins, pack

ROUNDS = 7
SITES = 2**21
TARGET_SPINS, TARGET_SIDE, TARGET_SECONDS = 10**9, 256, 5.0


@njit(nogil=True)
def plain_windows(spins, offsets, counts):
    samples, rows, columns = spins.shape
    for sample in range(samples):
        for y in range(rows):
            for x in range(columns):
                symbol = 0
                for spin in range(len(offsets)):
                    down, right = y + offsets[spin, 0], x + offsets[spin, 1]
                    down -= rows if down >= rows else 0
                    right -= columns if right >= columns else 0
                    symbol |= (spins[sample, down, right] > 0) << spin
                counts[sample, symbol] += 1


@njit(nogil=True)
def plain_pairs(spins, down, right, sums):
    samples, rows, columns = spins.shape
    for sample in range(samples):
        total = 0
        for y in range(rows):
            row, other = spins[sample, y], spins[sample, (y + down) % rows]
            for x in range(columns - right):
                total += row[x] * other[x + right]
            for x in range(columns - right, columns):
                total += row[x] * other[x + right - columns]
        sums[sample] = total


@njit(nogil=True)
def plain_decimation(spins, kept):
    samples, rows, columns = spins.shape
    for sample in range(samples):
        for y in range(rows):
            for k in range(columns // 2):
                kept[sample, y, k] = spins[sample, y, 2 * k + y % 2]


@njit(nogil=True)
def plain_blocks(spins, size, blocks):
    samples, rows, columns = blocks.shape
    for sample in range(samples):
        for y in range(rows):
            for k in range(columns):
                total = 0
                for i in range(size):
                    for j in range(size):
                        total += spins[sample, size * y + i, size * k + j]
                blocks[sample, y, k] = 1 if total > 0 else -1


@njit(nogil=True)
def known_symbols(symbols, table):
    for symbol in symbols:
        table[symbol] += 1


def line(name, ours, plain, bound, things):
    """Print how many things a nanosecond, how many times faster than a plain loop, and what part of the bound."""
    seconds = []
    for _ in range(ROUNDS + 1):
        seconds.append([])
        for run in (ours, plain, bound):
            start = time.thread_time()
            run()
            seconds[-1].append(time.thread_time() - start)
    rounds = np.array(seconds[1:])  # in the first everything is compiled
    nanoseconds = np.median(rounds[:, 0]) / things * 1e9
    faster, of_bound = (np.median(rounds[:, other] / rounds[:, 0]) for other in (1, 2))
    print(f"  {name:<34} {1 / nanoseconds:7.2f} /ns {faster:7.1f} x plain int8 {of_bound:7.2f} of the bound")


def windows(spins, packed, shape, level, rng):
    """Windows at every site."""
    side = packed.columns
    reach = 2 ** (level // 2)
    (ay, ax), (by, bx) = ((reach, reach), (reach, -reach)) if level % 2 else ((0, reach), (reach, 0))
    offsets = np.array([(i * by + j * ay, i * bx + j * ax) for i in range(shape[0]) for j in range(shape[1])]) % side
    size = 2 ** len(offsets)
    counts = np.zeros((len(spins), size), np.int64)
    plain_windows(spins, offsets, counts)
    assert np.array_equal(counts, decimation.window_counts(packed, shape, level=level))
    symbols, table = rng.integers(0, size, spins.size).astype(np.uint16), np.zeros(size, np.int64)
    histogram = len(offsets) > decimation.LARGEST_BY_SUBSETS
    line(
        f"{shape[0]} x {shape[1]} windows, level {level}",
        lambda: decimation.window_counts(packed, shape, level=level),
        lambda: plain_windows(spins, offsets, counts),
        (lambda: known_symbols(symbols, table)) if histogram else (lambda: np.bitwise_count(packed.words).sum()),
        spins.size,
    )


def pairs(spins, packed, down, right):
    """Pairs at one displacement."""
    sums = np.empty(len(spins), np.int64)
    line(
        f"pairs at ({down}, {right})",
        lambda: decimation.pair_counts(packed, [(down, right)]),
        lambda: plain_pairs(spins, down, right, sums),
        lambda: np.bitwise_count(packed.words).sum(),
        spins.size,
    )


def decimated(spins, packed):
    """Spins of the lattice that is decimated."""
    kept = np.empty((len(spins), packed.columns, packed.columns // 2), np.int8)
    line(
        "spins decimated once",
        lambda: decimation.decimate(packed),
        lambda: plain_decimation(spins, kept),
        lambda: packed.words.copy(),
        spins.size,
    )


def blocked(spins, packed, size):
    """Spins of the lattice that is blocked, packed and not."""
    blocks = np.empty((len(spins), packed.columns // size, packed.columns // size), np.int8)
    for name, form in (("packed", packed), ("int8", spins)):
        line(
            f"spins in {size} x {size} blocks, {name}",
            lambda form=form: decimation.block_majority(form, size, rng=1),
            lambda: plain_blocks(spins, size, blocks),
            lambda: packed.words.copy(),
            spins.size,
        )


def decimated_and_counted(spins):
    """What the target is about: the windows, and the seconds they took."""
    start = time.thread_time()
    decimation.decimate(spins)
    decimation.decimate_by(spins, 2)
    return decimation.window_counts(spins, (3, 3)).sum(), time.thread_time() - start


def target(rng):
    """Print the time of the target, and what part of it that is, from bits and from bytes."""
    samples = -(-TARGET_SPINS // TARGET_SIDE**2)
    packed = PackedSpins(rng.integers(0, 2**64, (samples, TARGET_SIDE, TARGET_SIDE // 64), np.uint64), TARGET_SIDE)
    print(f"{samples} lattices of side {TARGET_SIDE}: decimated once, by 2, and 3 x 3 windows; medians of 3")
    for name, spins in (("packed", packed), ("int8", packed.spins())):
        decimated_and_counted(spins[:1])
        for cores in (1, 2):
            parts = [spins[samples * part // cores : samples * (part + 1) // cores] for part in range(cores)]
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                with concurrent.futures.ThreadPoolExecutor(cores) as pool:
                    counted, took = zip(*pool.map(decimated_and_counted, parts), strict=True)
                seconds.append((max(took), time.perf_counter() - start))
                assert sum(counted) == samples * TARGET_SIDE**2
            processor, clock = np.median(seconds, axis=0)
            print(
                f"  {name:<6} on {cores} of the cores: {processor:5.2f} s, {processor / TARGET_SECONDS:.0%} of the "
                f"{TARGET_SECONDS:g} s wanted; {clock:.2f} s by the clock"
            )


def main():
    rng = np.random.default_rng(1)
    for side in (16, 64, 96, 100, 256, 1024):
        spins = rng.choice(np.array([-1, 1], np.int8), (max(1, SITES // side**2), side, side))
        packed = pack(spins)
        print(f"{len(spins)} random lattices of side {side}, packed, on one core; medians of {ROUNDS}")
        for shape, level in (((2, 2), 0), ((2, 2), 3), ((3, 3), 0), ((3, 3), 1), ((3, 3), 2), ((3, 3), 3)):
            if 2 ** ((level + 1) // 2) * max(shape) <= side:
                windows(spins, packed, shape, level, rng)
        pairs(spins, packed, 0, 1)
        pairs(spins, packed, 3, 0)
        decimated(spins, packed)
        blocked(spins, packed, 2)
        if side % 3 == 0:
            blocked(spins, packed, 3)
    target(rng)


if __name__ == "__main__":
    main()
