"""Lattices as packed rows, uint64 (side, ceil(side / 64)): bit ``x % 64`` of word ``x // 64`` is set if spin x is up.

Bits beyond the side are zero.
"""

import numpy as np
from numba import njit

from isingflow.ising._words import population

_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def measure(lattice, side):
    """Sum of ``s s'`` over the 2 side^2 bonds, and of ``s``: int64."""
    rows, words = lattice.shape
    last = np.uint64((side - 1) % 64)
    unequal, up = 0, 0
    for y in range(rows):
        row, under = lattice[y], lattice[y + 1 if y + 1 < rows else 0]
        before = row[words - 1] >> last  # the spin at side - 1 comes before that at 0
        for word in range(words):
            here = row[word]
            left = (here << _ONE) | (before & _ONE)
            if word == words - 1:
                left &= (_ONE << last) | ((_ONE << last) - _ONE)
            unequal += population(here ^ left) + population(here ^ under[word])
            up += population(here)
            before = here >> np.uint64(63)
    return 2 * side * rows - 2 * unequal, 2 * up - side * rows


@njit(cache=True, nogil=True)
def measure_all(lattices, side, bonds, totals):
    """Write the sums of `measure` for each lattice of uint64 (lattices, side, words)."""
    for lattice in range(len(lattices)):
        bonds[lattice], totals[lattice] = measure(lattices[lattice], side)
