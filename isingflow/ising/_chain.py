"""Spins of a chain between two that are known: the middle one first, then those of the halves, and so on.

A stretch has `steps` bonds between its first spin, 0, and its last, `steps`. At every level the stretches between known
spins are ``2 half`` long, but for the last one, which may be shorter; `levels` hold a table for it beside that of the
others. Eight words side by side are 512 stretches, a bit each.
"""

import numpy as np
from numba import njit

from isingflow.ising._random import BITS, DRAWN, advance, load_state, store_state
from isingflow.ising._words import (
    LANES,
    agree,
    alike,
    any_set,
    choose,
    compare,
    load_eight,
    shifted_down,
    shifted_up,
    store_eight,
    store_signs,
)

STRETCHES = BITS * LANES
"""Stretches side by side."""


@njit(cache=True, nogil=True)
def draw_ends(state, first, last, levels, closed, ends):
    """Fill uint64 `ends` (n, stretches + 1, 8): the spins at which 512 n chains are cut.

    Bounds, uint64 (64, 4) each, are those of `between`: of the `first` spins, of the `last` given the first on either
    side (unless they are the same, on a `closed` ring), and in `levels` (n, 2, 64, 4) of those in the middle.
    """
    vectors = load_state(state)
    steps = ends.shape[1] - 1
    for chains in ends:
        one = load_eight(chains, 0)
        one, vectors = between(vectors, first, one, one)
        store_eight(chains, 0, one)
        if not closed:
            one, vectors = between(vectors, last, one, one)
        store_eight(chains, LANES * steps, one)
        vectors = fill_middles(vectors, levels, steps, chains)
    store_state(state, vectors)


@njit(cache=True, nogil=True)
def fill_stretches(state, levels, lefts, rights, steps, places, stretch, count, rows, spins):
    """Fill stretches of int8 `spins` (samples, sites), all of them with `steps` bonds and `count` spins to store.

    `lefts` and `rights`, uint64 (words,), are the known ends; bit `i` belongs to the stretch that begins at site
    ``stretch (places[0] + i % places[1])`` of sample ``i // places[1]``. uint64 `rows` (n, 8), n a multiple of 64
    beyond `steps`, is scratch. Up to 63 sites beyond a stretch are written to as well: those of the stretches that
    follow must be stored later.
    """
    vectors = load_state(state)
    flat, sites = spins.reshape(-1), spins.shape[1]
    stretches = len(spins) * places[1]
    start, place = places[0] * stretch, 0
    for base in range(0, stretches, STRETCHES):
        store_eight(rows, 0, load_eight(lefts, base // BITS))
        store_eight(rows, LANES * steps, load_eight(rights, base // BITS))
        vectors = fill_middles(vectors, levels, steps, rows)
        for block in range(0, count, BITS):
            transpose(rows, block)
        for lane in range(LANES):
            for row in range(min(BITS, stretches - base - lane * BITS)):
                for block in range(0, count, BITS):
                    store_bits(rows[block + row, lane], flat, start + block)
                start, place = start + stretch, place + 1
                if place == places[1]:
                    start, place = start + sites - places[1] * stretch, 0
    store_state(state, vectors)


@njit(cache=True, nogil=True, forceinline=True)
def fill_middles(state, levels, steps, rows):
    """Draw rows 1 to ``steps - 1`` from 0 and `steps`; return the next state of the generator.

    `levels` uint64 (n, 2, 64, 4): whether the last stretch, bit of the bound for up, spins at the ends (``2 left +
    right``), all bits of a word set or none.
    """
    half = 1 << len(levels) >> 1
    for level in range(len(levels)):
        for start in range(0, steps - half, 2 * half):
            right = min(start + 2 * half, steps)
            known = load_eight(rows, LANES * start), load_eight(rows, LANES * right)
            middle, state = between(state, levels[level, np.int64(right == steps)], *known)
            store_eight(rows, LANES * (start + half), middle)
        half >>= 1
    return state


@njit(cache=True, nogil=True, forceinline=True)
def between(state, bound, left, right):
    """Return words whose bits are set with the probability that belongs to those of two others, and the next state.

    As `_random.below`, with the bound uint64 (64, 4) chosen bit by bit.
    """
    words, state = advance(state)
    limit = chosen(bound[DRAWN - 1], left, right)
    less = ~words & limit
    tied = ~(words ^ limit)
    for k in range(DRAWN - 2, -1, -1):
        words, state = advance(state)
        limit = chosen(bound[k], left, right)
        less = compare(words, limit, less)
        tied = agree(words, limit, tied)
    k = DRAWN
    while any_set(tied) and k < BITS:
        words, state = advance(state)
        limit = chosen(bound[k], left, right)
        less = less | (tied & limit & ~words)
        tied = agree(words, limit, tied)
        k += 1
    return less, state


@njit(cache=True, nogil=True, forceinline=True)
def chosen(bound, left, right):
    """One of four words, bit by bit."""
    up = choose(right, alike(bound[3], left), alike(bound[2], left))
    down = choose(right, alike(bound[1], left), alike(bound[0], left))
    return choose(left, up, down)


@njit(cache=True, nogil=True)
def transpose(rows, first):
    """Transpose the 64 x 64 bits of every column of uint64 `rows` (n, 8), 64 rows from `first` on."""
    width, low = 32, np.uint64(0x00000000FFFFFFFF)
    while width:
        places = np.uint64(width)
        for pair in range(32):
            upper = first + pair + (pair // width) * width  # those without the bit `width`
            one, other = load_eight(rows, LANES * upper), load_eight(rows, LANES * (upper + width))
            moved = (shifted_down(one, places) ^ other) & alike(low, one)
            store_eight(rows, LANES * upper, one ^ shifted_up(moved, places))
            store_eight(rows, LANES * (upper + width), other ^ moved)
        width >>= 1
        low ^= low << np.uint64(width)


@njit(cache=True, nogil=True, forceinline=True)
def store_bits(word, spins, start):
    """Write the bits of a word as int8 spins, -1 and +1, as far as there is room."""
    if start + BITS <= len(spins):
        store_signs(spins, start, word)
    else:
        for bit in range(len(spins) - start):
            spins[start + bit] = np.int8(2 * (word >> np.uint64(bit) & np.uint64(1))) - np.int8(1)
