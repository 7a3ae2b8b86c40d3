"""Local updates on a checkerboard, 64 spins to a word: 64 lattices at once, or 64 strips of one.

A bit of a word belongs to a lattice of its own (replicas), or to a strip of ``side / 64`` rows of one lattice. Either
way ``spins`` is uint64 (2, rows + 2, stride): the sites with ``x + y`` even and odd apart, site ``(y, x)`` of a strip
in row ``y + 1`` and column ``x // 2 + 1``. Around each colour lies a border that repeats the opposite edge; between
strips it is moved on by one bit. All columns up to the next multiple of eight are updated, those beyond the border for
nothing.
"""

import numpy as np
from numba import njit
from numba.extending import overload

from isingflow.ising._random import below, load_state, store_state
from isingflow.ising._rows import measure_all
from isingflow.ising._words import load_eight, store_eight

LANES = 8
_ONE, _LAST = np.uint64(1), np.uint64(63)


def empty_spins(rows, side):
    """Room for lattices or strips of an even number of rows and an even side, all spins down."""
    columns = side // 2
    return np.zeros((2, rows + 2, columns + 2 + -columns % LANES), np.uint64)


@njit(cache=True, nogil=True)
def repeat_edges(colour, columns, strips):
    """Write the border of one colour, uint64 (rows + 2, stride)."""
    last = len(colour) - 2
    for row in range(1, last + 1):
        colour[row, 0], colour[row, columns + 1] = colour[row, columns], colour[row, 1]
    for column in range(columns + 2):
        above, below_it = colour[last, column], colour[1, column]
        if strips:  # the row above a strip is the last one of the strip before
            above = (above << _ONE) | (above >> _LAST)
            below_it = (below_it >> _ONE) | (below_it << _LAST)
        colour[0, column], colour[last + 1, column] = above, below_it


@njit(cache=True, nogil=True, forceinline=True)
def count(north, south, beside, across):
    """Add four bits: the binary digits of their number, ones, twos and fours."""
    pair, other = north ^ south, beside ^ across
    both, others, carry = north & south, beside & across, pair & other
    return pair ^ other, both ^ others ^ carry, both & others


def new_spins(state, bound, spins, north, south, beside, across):
    """Draw spins between four neighbours; return them and the next state.

    Heat bath with a field: `bound` are five, the probabilities of up given 0 to 4 neighbours that are up. Metropolis
    without: three, the probabilities to flip against four favourable bonds, against three, and else.
    """


@overload(new_spins, jit_options={"forceinline": True})
def _new_spins(state, bound, spins, north, south, beside, across):
    if len(bound) == 5:
        return lambda state, bound, spins, north, south, beside, across: below(
            state, bound, count(north, south, beside, across)
        )

    def metropolis(state, bound, spins, north, south, beside, across):
        # bonds that a flip would mend: none, one, or enough
        ones, twos, fours = count(spins ^ north, spins ^ south, spins ^ beside, spins ^ across)
        flips, state = below(state, bound, (ones, twos | fours))
        return spins ^ flips, state

    return metropolis


@njit(cache=True, nogil=True)
def update_colour(spins, colour, columns, vectors, bound):
    """Draw all spins of one colour anew; return the next state."""
    rows, stride = spins.shape[1] - 2, spins.shape[2]
    here, there = colour * (rows + 2) * stride, (1 - colour) * (rows + 2) * stride
    for row in range(1, rows + 1):
        # of the two neighbours along the row one has the same column, the other the one before or the next
        aside = 1 if (row - 1 + colour) & 1 else -1
        start = row * stride + 1
        for column in range(start, start + columns, LANES):
            other = there + column
            words, vectors = new_spins(
                vectors,
                bound,
                load_eight(spins, here + column),
                load_eight(spins, other - stride),
                load_eight(spins, other + stride),
                load_eight(spins, other),
                load_eight(spins, other + aside),
            )
            store_eight(spins, here + column, words)
    return vectors


@njit(cache=True, nogil=True)
def sweep(spins, side, strips, state, bound, sweeps):
    """Update both colours of all lattices or of the strips of one, `sweeps` times."""
    columns = side // 2
    vectors = load_state(state)
    for _ in range(sweeps):
        for colour in range(2):
            vectors = update_colour(spins, colour, columns, vectors, bound)
            repeat_edges(spins[colour], columns, strips)
    store_state(state, vectors)


@njit(cache=True, nogil=True)
def transpose(square):
    """Exchange bit `j` of word `i` and bit `i` of word `j`: uint64 (64,)."""
    size, mask = 32, np.uint64(0xFFFFFFFF)
    while size:
        shift = np.uint64(size)
        for start in range(0, 64, 2 * size):
            for i in range(start, start + size):
                swapped = ((square[i] >> shift) ^ square[i + size]) & mask
                square[i] ^= swapped << shift
                square[i + size] ^= swapped
        size //= 2
        mask ^= mask << np.uint64(size)


@njit(cache=True, nogil=True)
def to_rows(spins, side, packed):
    """Write packed rows, uint64 (64, rows, ceil(side / 64)): of 64 lattices, or of 64 strips of one."""
    square = np.empty(64, np.uint64)
    for row in range(packed.shape[1]):
        for word in range(packed.shape[2]):
            square[:] = 0
            for x in range(64 * word, min(64 * word + 64, side)):
                square[x - 64 * word] = spins[(x + row) & 1, row + 1, x // 2 + 1]
            transpose(square)
            packed[:, row, word] = square


@njit(cache=True, nogil=True)
def from_rows(packed, side, strips, spins):
    """Read what `to_rows` wrote, borders included."""
    square = np.empty(64, np.uint64)
    for row in range(packed.shape[1]):
        for word in range(packed.shape[2]):
            square[:] = packed[:, row, word]
            transpose(square)
            for x in range(64 * word, min(64 * word + 64, side)):
                spins[(x + row) & 1, row + 1, x // 2 + 1] = square[x - 64 * word]
    for colour in range(2):
        repeat_edges(spins[colour], side // 2, strips)


@njit(cache=True, nogil=True)
def run(spins, side, strips, state, bound, every, packed, lattices, bonds, totals):
    """Sweep and record: int64 `bonds` and `totals` (records, lattices) after every `every` sweeps.

    `packed` uint64 (64, rows, words) is scratch, and `lattices` (lattices, side, words) another view of it.
    """
    for record in range(len(bonds)):
        sweep(spins, side, strips, state, bound, every)
        to_rows(spins, side, packed)
        measure_all(lattices, side, bonds[record], totals[record])
