"""The chain's exact sampler, compiled. Arguments are validated by the callers."""

import numpy as np
from numba import njit

from isingflow.ising._random import below, fill, load_state, store_state
from isingflow.ising._words import alike, choose, shifted_up, store_eight

BLOCK = 512
"""Spins that are drawn at a time: the bits of eight words."""

_ONE, _LAST = np.uint64(1), np.uint64(63)


@njit(cache=True, nogil=True, forceinline=True)
def compose(after_down, after_up):
    """Turn maps from one spin to the next into maps from the one before the word: bit j after a spin down, or up.

    Each round composes every map with the one 1, 2, 4, ... places below, which is the identity where there is none.
    """
    for step in range(6):
        places = _ONE << np.uint64(step)
        identity = alike((_ONE << places) - _ONE, after_down)
        down, up = shifted_up(after_down, places), shifted_up(after_up, places) | identity
        after_down, after_up = choose(down, after_up, after_down), choose(up, after_up, after_down)
    return after_down, after_up


@njit(cache=True, nogil=True)
def walk_words(state, this, if_down, if_up, words, spins):
    """Draw a multiple of BLOCK spins with the same probabilities everywhere; return the last one, 0 or 1.

    `if_down` and `if_up` are columns of `isingflow.ising._random.bounds`; uint64 `words` (2, 8) is scratch.
    """
    vectors = load_state(state)
    for start in range(0, len(spins), BLOCK):
        after_down, vectors = below(vectors, if_down)
        after_up, vectors = below(vectors, if_up)
        after_down, after_up = compose(after_down, after_up)
        store_eight(words, 0, after_down)
        store_eight(words, 8, after_up)
        for k in range(8):
            word = words[this, k]
            this = np.int64(word >> _LAST)
            unpack(word, spins[start + 64 * k : start + 64 * k + 64])
    store_state(state, vectors)
    return this


@njit(cache=True, nogil=True)
def unpack(word, spins):
    """Write the spins of a word, int8 (64,)."""
    for bit in range(64):
        spins[bit] = 2 * np.int8((word >> np.uint64(bit)) & _ONE) - 1


@njit(cache=True, nogil=True)
def walk(state, this, if_down, if_up, words, spins):
    """Draw spins, each with its own uint64 bounds of up after a spin down and up; return the last one, 0 or 1."""
    fill(state, words[: (len(spins) + 7) // 8 * 8])
    for k in range(len(spins)):
        after_down, after_up = np.int64(words[k] < if_down[k]), np.int64(words[k] < if_up[k])
        this = after_down ^ (this & (after_down ^ after_up))  # nothing branches
        spins[k] = np.int8(2 * this - 1)
    return this


@njit(cache=True, nogil=True)
def sample_chains(state, firsts, far, next_up, spins):
    """Fill int8 `spins` (samples, sites).

    `firsts`, bool (samples,), tells which first spins are up; a later one is up where a random number is below uint64
    `next_up` (first spin, one before, rows), whose last row is that of the last spin. Further from the end than there
    are rows the first one holds, and so does uint64 `far` (first spin, one before, 64): the same as columns of bits.
    """
    samples, sites = spins.shape
    rows = next_up.shape[2]
    words, composed = np.empty(BLOCK, np.uint64), np.empty((2, 8), np.uint64)
    middle = np.empty((2, 2, BLOCK), np.uint64)
    for first in range(2):
        for this in range(2):
            middle[first, this] = next_up[first, this, 0] if rows else 0
    for sample in range(samples):
        first = this = np.int64(firsts[sample])
        spins[sample, 0] = 2 * first - 1
        blocks = max(0, sites - 1 - rows) // BLOCK * BLOCK
        this = walk_words(state, this, far[first, 0], far[first, 1], composed, spins[sample, 1 : 1 + blocks])
        site = 1 + blocks
        while site < sites:
            row = site - (sites - rows)
            size = min(BLOCK, sites - site if row >= 0 else -row)
            bounds = next_up[first, :, row : row + size] if row >= 0 else middle[first, :, :size]
            this = walk(state, this, bounds[0], bounds[1], words, spins[sample, site : site + size])
            site += size
