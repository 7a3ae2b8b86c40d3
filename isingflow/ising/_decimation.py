"""Compiled loops that decimate and block lattices, bytes or bits. Arguments are validated by the callers.

A lattice of bits is laid out as in `isingflow.ising._windows`. Spin ``(y, k)`` of a decimated lattice is the spin
``(top + down y, left + right k)`` of the one it is cut from, `stagger` columns further to the right where ``y`` is odd.

Loops over whole arrays, and by strides that stand in the code, are what LLVM vectorises.
"""

import numpy as np
from numba import njit

ROUNDS = 5
"""In which 32 bits come side by side: every other one of a word."""

NOTHING, EVERYTHING = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)
def every(row, stride, kept):
    """Copy every `stride`-th spin of a row, or word."""
    for k in range(len(kept)):
        kept[k] = row[stride * k]


@njit(cache=True, nogil=True)
def keep_spins(spins, down, right, stagger, kept):
    """Decimate int8 `spins` (samples, rows, columns), from row and column 0 on."""
    for sample in range(len(kept)):
        for y in range(kept.shape[1]):
            row = spins[sample, down * y, stagger * (y % 2) :]
            if right == 1:
                every(row, 1, kept[sample, y])
            elif right == 2:
                every(row, 2, kept[sample, y])
            else:
                every(row, right, kept[sample, y])


@njit(cache=True, nogil=True)
def stretch(width, words, right):
    """Return how many words of a row become one: its 64 kept spins are spread over `right` words, if there are many."""
    return right if words > 1 else width


@njit(cache=True, nogil=True)
def find_kept(width, left, right, stagger, groups, rows, tables):
    """Write to uint64 `tables` (3, rows * words), for each word of the rows that are kept from, padded to stretches:

    its first kept spin, a mask of all of them once it is bit 0, and their place in the word that they come to.
    """
    # a word holds so many kept spins, and one more where its first one is among the `rest`
    least, rest = 64 // right, 64 % right
    length = tables.shape[1] // rows
    tables[:] = NOTHING
    for y in range(rows):
        first, place = left + stagger * (y % 2), 0
        for k in range(width):
            found = least + (first < rest)
            if found:
                tables[0, y * length + k] = first
                tables[1, y * length + k] = groups[0]
                tables[2, y * length + k] = place % 64
            place += found
            first += found * right - 64


@njit(cache=True, nogil=True)
def close_up(words, first, mask, places, gaps, groups):
    """Move the spins of each word that are kept side by side and to their place, neighbouring groups in rounds.

    After round ``n`` the groups of up to ``2**(n + 1)`` bits stand where ``groups[n + 1]`` is set, ``gaps[n]`` closer
    to their neighbours. All is uint64.
    """
    for n in range(len(words)):
        word = (words[n] >> first[n]) & mask[n]
        for joined in range(ROUNDS):
            word = (word | (word >> gaps[joined])) & groups[joined + 1]
        words[n] = word << places[n]


@njit(cache=True, nogil=True)
def join(words, stride, joined):
    """Write the bits set in any of `stride` words at a time."""
    for n in range(len(joined)):
        word = words[stride * n]
        for k in range(1, stride):
            word |= words[stride * n + k]
        joined[n] = word


@njit(cache=True, nogil=True)
def keep_rows(lattice, width, top, down, tables, gaps, groups, loose, rows, kept):
    """Decimate a lattice, uint64 (rows * width), to `kept` (rows * words); `loose` is as long as `tables` are."""
    length = len(loose) // rows
    if down == 1 and length == width:
        every(lattice, 1, loose)
    else:
        for y in range(rows):
            for k in range(width):
                loose[y * length + k] = lattice[(top + down * y) * width + k]
    close_up(loose, tables[0], tables[1], tables[2], gaps, groups)
    together = len(loose) // len(kept)
    if together == 1:
        join(loose, 1, kept)
    elif together == 2:
        join(loose, 2, kept)
    else:
        join(loose, together, kept)


@njit(cache=True, nogil=True)
def keep_bits(words, down, right, stagger, gaps, groups, kept):
    """Decimate uint64 `words` (samples, rows, words), from row and column 0 on."""
    samples, rows, width = words.shape
    lattices, theirs = words.reshape(samples, rows * width), kept.reshape(samples, kept[0].size)
    loose = np.zeros(kept[0].size * stretch(width, kept.shape[2], right), np.uint64)
    tables = np.empty((3, len(loose)), np.uint64)
    find_kept(width, 0, right, stagger, groups, kept.shape[1], tables)
    for sample in range(samples):
        keep_rows(lattices[sample], width, 0, down, tables, gaps, groups, loose, kept.shape[1], theirs[sample])


@njit(cache=True, nogil=True)
def add_blocks(row, size, sums):
    """Add the spins of each block's part of a row to int64 `sums`."""
    for k in range(len(sums)):
        for j in range(size):
            sums[k] += row[size * k + j]


@njit(cache=True, nogil=True)
def majority_spins(spins, size, ties, blocks):
    """Write the majority of int8 `spins` (samples, rows, columns) in each block; ties by the bits of uint64 `ties`."""
    sums = np.empty(blocks.shape[2], np.int64)
    for sample in range(len(blocks)):
        for y in range(blocks.shape[1]):
            # one more only matters where the others are as many up as down
            for k in range(len(sums)):
                sums[k] = (ties[sample, y, k // 64] >> np.uint64(k % 64)) & np.uint64(1)
            for i in range(size):
                row = spins[sample, size * y + i]
                if size == 2:
                    add_blocks(row, 2, sums)
                elif size == 3:
                    add_blocks(row, 3, sums)
                else:
                    add_blocks(row, size, sums)
            for k in range(len(sums)):
                blocks[sample, y, k] = 1 if sums[k] > 0 else -1


@njit(cache=True, nogil=True)
def add_bits(bits, digits):
    """Add each of the uint64 `bits` to a binary number whose digits are at the same place of `digits`, lowest first."""
    for digit in digits:
        for n in range(len(bits)):
            carry = bits[n] & digit[n]
            digit[n] ^= bits[n]
            bits[n] = carry


@njit(cache=True, nogil=True)
def compare_bits(digits, number, equal, more):
    """Write where the binary numbers of `digits` are equal to `number`, and where they are more."""
    equal[:] = EVERYTHING
    more[:] = NOTHING
    for place in range(len(digits) - 1, -1, -1):
        digit = digits[place]
        if (number >> place) & 1:
            for n in range(len(equal)):
                equal[n] &= digit[n]
        else:
            for n in range(len(equal)):
                more[n] |= equal[n] & digit[n]
                equal[n] &= ~digit[n]


@njit(cache=True, nogil=True)
def majority_bits(words, size, gaps, groups, blocks):
    """Overwrite uint64 `blocks` (samples, rows, words), bits for the ties, with the majority in each block of `words`.

    The lattice decimated by `size` from each site of a block on: these are counted, for 64 blocks at once.
    """
    samples, rows, width = words.shape
    lattices, theirs = words.reshape(samples, rows * width), blocks.reshape(samples, blocks[0].size)
    loose = np.zeros(blocks[0].size * stretch(width, blocks.shape[2], size), np.uint64)
    tables = np.empty((size, 3, len(loose)), np.uint64)
    for left in range(size):
        find_kept(width, left, size, 0, groups, blocks.shape[1], tables[left])
    bits, equal = np.empty(blocks[0].size, np.uint64), np.empty(blocks[0].size, np.uint64)
    places = 0
    while size * size >> places:
        places += 1
    digits = np.empty((places, len(bits)), np.uint64)
    for sample in range(samples):
        digits[:] = NOTHING
        for top in range(size):
            for left in range(size):
                keep_rows(lattices[sample], width, top, size, tables[left], gaps, groups, loose, blocks.shape[1], bits)
                add_bits(bits, digits)
        compare_bits(digits, size * size // 2, equal, bits)
        found = theirs[sample]
        for n in range(len(bits)):
            found[n] = bits[n] | (equal[n] & found[n])
