"""Random bits for compiled code: a generator in eight lanes, and bits that are set with a given probability.

The state is uint64 (4, 8): xoshiro256+ of Blackman & Vigna (ACM Trans. Math. Softw. 47, 36, 2021), one stream a lane,
one output a step. Every bit position of a word is a sequence of random bits of its own.

A number u is compared with a bound bit by bit: the first `DRAWN` bits in one pass from the least significant one up,
and further ones, down to 2^-64, only while a bit position is still tied, once in 2^DRAWN.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from isingflow.ising._words import (
    agree,
    alike,
    any_set,
    choose,
    compare,
    exclusive_or,
    load_eight,
    shifted_down,
    shifted_up,
    store_eight,
)

DRAWN = 12
"""Bits that are always compared: fewer leave more ties, more cost more."""

BITS = 64

_SHIFT, _TURN, _BACK = np.uint64(17), np.uint64(45), np.uint64(19)


def generator_state(rng):
    """Seed the eight lanes from a numpy Generator: uint64 (4, 8)."""
    return rng.integers(0, 2**64, (4, 8), np.uint64)


def whole_bounds(probabilities):
    """Write probabilities in [0, 1] in units of 2^-64, uint64 of the same shape; 1 stands for ``1 - 2^-53``."""
    return (np.minimum(probabilities, np.nextafter(1.0, 0.0)) * 2.0**BITS).astype(np.uint64)


def bounds(probabilities):
    """Write probabilities in [0, 1] as bounds for `below`: a tuple of uint64 (64,), all bits of a word set or none.

    Word 0 is the most significant bit of `whole_bounds`.
    """
    places = np.arange(BITS - 1, -1, -1, dtype=np.uint64)
    bits = (whole_bounds(np.asarray(probabilities))[:, None] >> places) & np.uint64(1)
    return tuple(bits * np.uint64(2**64 - 1))


@njit(cache=True, nogil=True, forceinline=True)
def load_state(state):
    """The generator as four vectors, to be kept in registers."""
    return load_eight(state, 0), load_eight(state, 8), load_eight(state, 16), load_eight(state, 24)


@njit(cache=True, nogil=True, forceinline=True)
def store_state(state, vectors):
    """Write the generator back."""
    for row in range(4):
        store_eight(state, 8 * row, vectors[row])


@njit(cache=True, nogil=True, forceinline=True)
def advance(state):
    """Return random words and the next state."""
    s0, s1, s2, s3 = state
    words = s0 + s3
    s2_next = exclusive_or(s2, s0, shifted_up(s1, _SHIFT))
    s3 = s3 ^ s1
    s1 = exclusive_or(s1, s2, s0)
    s0 = s0 ^ s3
    return words, (s0, s1, s2_next, shifted_up(s3, _TURN) | shifted_down(s3, _BACK))


def limit(bound, k, lanes, like):
    """Bit `k` of the bound that holds in each lane, as `below` has it."""


@overload(limit, jit_options={"forceinline": True})
def _limit(bound, k, lanes, like):
    if isinstance(bound, types.Array):
        return lambda bound, k, lanes, like: alike(bound[k], like)
    if len(bound) == 3:

        def up_to_two(bound, k, lanes, like):
            ones, twos = lanes
            low = choose(ones, alike(bound[1][k], like), alike(bound[0][k], like))
            return choose(twos, alike(bound[2][k], like), low)

        return up_to_two

    def up_to_four(bound, k, lanes, like):
        ones, twos, fours = lanes
        low = choose(ones, alike(bound[1][k], like), alike(bound[0][k], like))
        high = choose(ones, alike(bound[3][k], like), alike(bound[2][k], like))
        return choose(fours, alike(bound[4][k], like), choose(twos, high, low))

    return up_to_four


@njit(cache=True, nogil=True, forceinline=True)
def below(state, bound, lanes=None):
    """Return words whose bits are set with given probabilities, and the next state.

    `bound` is one of `bounds`, or a tuple of three or five, chosen by a number up to 2 or 4 whose binary digits are the
    words of `lanes`, the lowest first.
    """
    words, state = advance(state)
    bits = limit(bound, DRAWN - 1, lanes, words)
    less = ~words & bits
    tied = ~(words ^ bits)
    for k in range(DRAWN - 2, -1, -1):
        words, state = advance(state)
        bits = limit(bound, k, lanes, words)
        less = compare(words, bits, less)
        tied = agree(words, bits, tied)
    k = DRAWN
    while any_set(tied) and k < BITS:
        words, state = advance(state)
        bits = limit(bound, k, lanes, words)
        less = less | (tied & bits & ~words)
        tied = agree(words, bits, tied)
        k += 1
    return less, state


@njit(cache=True, nogil=True)
def fill_below(state, bound, out):
    """Fill uint64 `out` (n,), n a multiple of 8, with bits that are set with a probability."""
    vectors = load_state(state)
    for start in range(0, len(out), 8):
        words, vectors = below(vectors, bound)
        store_eight(out, start, words)
    store_state(state, vectors)


@njit(cache=True, nogil=True)
def fill(state, out):
    """Fill uint64 `out` (n,), n a multiple of 8, with random words."""
    vectors = load_state(state)
    for start in range(0, len(out), 8):
        words, vectors = advance(vectors)
        store_eight(out, start, words)
    store_state(state, vectors)
