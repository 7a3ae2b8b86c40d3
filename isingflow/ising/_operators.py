"""Compiled loops over bit-packed lattices: sums of products of spins. Arguments are validated by the callers.

Lattices and displacements are as in `isingflow.ising._windows`.
"""

import numpy as np
from numba import njit

from isingflow.ising._windows import rotate
from isingflow.ising._words import population


@njit(cache=True, nogil=True)
def toggle(spins, parity):
    """Turn the bits of uint64 `parity` where those of `spins` are set."""
    for n in range(len(parity)):
        parity[n] ^= spins[n]


@njit(cache=True, nogil=True)
def total(words):
    """Return the number of set bits."""
    found = 0
    for n in range(len(words)):
        found += population(words[n])
    return found


@njit(cache=True, nogil=True)
def count_odd(words, columns, shifts, copy_of, down, ends, odd):
    """Write to int64 `odd` (samples, products) at how many sites an odd number of a product's spins is up.

    The lattices are uint64 `words` (samples, rows, words). The spins of product ``k`` are those from ``ends[k]`` to
    ``ends[k + 1]``: `down[j]` rows below the site and `shifts[copy_of[j]]` columns to its right.
    """
    samples, rows, width = words.shape
    size = rows * width
    lattices = words.reshape(samples, size)
    copies = np.empty((len(shifts), size + down.max() * width), np.uint64)
    parity = np.empty(size, np.uint64)
    for sample in range(samples):
        for copy in range(len(shifts)):
            rotate(lattices[sample], columns, shifts[copy], copies[copy])
        for product in range(len(ends) - 1):
            parity[:] = 0
            for spin in range(ends[product], ends[product + 1]):
                toggle(copies[copy_of[spin], down[spin] * width :], parity)
            odd[sample, product] = total(parity)
