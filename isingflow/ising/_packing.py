"""Compiled loops over spins of one byte that become bits. Arguments are validated by the callers."""

import numpy as np
from numba import njit

from isingflow.ising._words import load_signs


@njit(cache=True, nogil=True)
def only_signs(spins):
    """Whether all int8 values (samples, rows, columns) are -1 or +1."""
    samples, rows, columns = spins.shape
    for sample in range(samples):
        others = 0
        for y in range(rows):
            for x in range(columns):
                # one more than a spin is 0 or 2
                others |= (spins[sample, y, x] + 1) & ~2
        if others:
            return False
    return True


@njit(cache=True, nogil=True)
def pack_rows(spins, words):
    """Set the bits of spins that are up: int8 (rows, columns), contiguous, to uint64 (rows, words)."""
    rows, columns = spins.shape
    for y in range(rows):
        for k in range(columns // 64):
            words[y, k] = load_signs(spins, y * columns + 64 * k)
        if columns % 64:
            word = np.uint64(0)
            for x in range(columns - columns % 64, columns):
                word |= np.uint64(spins[y, x] > 0) << np.uint64(x % 64)
            words[y, columns // 64] = word
