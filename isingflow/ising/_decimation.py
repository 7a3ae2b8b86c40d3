"""Compiled loops that decimate and block lattices, bytes or bits. Arguments are validated by the callers.

A lattice of bits is laid out as in `isingflow.ising._windows`. Spin ``(y, k)`` of a decimated lattice is the spin
``(top + down y, left + right k)`` of the one it is cut from, `stagger` columns further to the right where ``y`` is odd.

Loops over whole arrays, and by strides that stand in the code, are what LLVM vectorises.
"""

import numpy as np
from numba import njit

NOTHING, EVERYTHING = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)
def every(row, stride, kept):
    """Copy every `stride`-th spin of a row."""
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
def close_up(words, right, groups):
    """Move bits 0, `right`, 2 `right`, ... of each word side by side: those of neighbouring groups, in rounds.

    Before round ``n`` the groups of ``2**n`` bits stand where uint64 `groups` ``[n]`` is set, `right` times as far
    apart as they are long.
    """
    for n in range(len(words)):
        words[n] &= groups[0]
    for joined in range(1, len(groups)):
        gap = np.uint64((right - 1) << (joined - 1))
        for n in range(len(words)):
            words[n] = (words[n] | (words[n] >> gap)) & groups[joined]


@njit(cache=True, nogil=True)
def keep_rows(lattice, width, top, left, down, right, stagger, groups, loose, kept):
    """Decimate a lattice, uint64 (rows * width), to `kept` (rows, words); `loose` has `width` words for each row."""
    # a word holds so many kept spins, and one more where its first one is among the `rest`
    least, rest = 64 // right, 64 % right
    for y in range(len(kept)):
        first = left + stagger * (y % 2)
        source = (top + down * y) * width
        for k in range(width):
            loose[y * width + k] = lattice[source + k] >> np.uint64(first) if first < 64 else NOTHING
            first += (least + (first < rest)) * right - 64
    close_up(loose, right, groups)
    kept[:] = NOTHING
    for y in range(len(kept)):
        first = left + stagger * (y % 2)
        place = 0
        for k in range(width):
            found = least + (first < rest)
            if found:
                word, bit = loose[y * width + k], place % 64
                kept[y, place // 64] |= word << np.uint64(bit)
                if bit + found > 64:
                    kept[y, place // 64 + 1] |= word >> np.uint64(64 - bit)
            place += found
            first += found * right - 64


@njit(cache=True, nogil=True)
def keep_bits(words, down, right, stagger, groups, kept):
    """Decimate uint64 `words` (samples, rows, words), from row and column 0 on."""
    samples, rows, width = words.shape
    lattices = words.reshape(samples, rows * width)
    loose = np.empty(kept.shape[1] * width, np.uint64)
    for sample in range(samples):
        keep_rows(lattices[sample], width, 0, 0, down, right, stagger, groups, loose, kept[sample])


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
def majority_bits(words, size, groups, blocks):
    """Overwrite uint64 `blocks` (samples, rows, words), bits for the ties, with the majority in each block of `words`.

    The lattice decimated by `size` from each site of a block on: these are counted, for 64 blocks at once.
    """
    samples, rows, width = words.shape
    lattices = words.reshape(samples, rows * width)
    loose = np.empty(blocks.shape[1] * width, np.uint64)
    kept = np.empty(blocks.shape[1:], np.uint64)
    bits = kept.reshape(-1)
    equal = np.empty_like(bits)
    places = 0
    while size * size >> places:
        places += 1
    digits = np.empty((places, len(bits)), np.uint64)
    for sample in range(samples):
        digits[:] = NOTHING
        for top in range(size):
            for left in range(size):
                keep_rows(lattices[sample], width, top, left, size, size, 0, groups, loose, kept)
                add_bits(bits, digits)
        compare_bits(digits, size * size // 2, equal, bits)
        found = blocks[sample].reshape(-1)
        for n in range(len(bits)):
            found[n] = bits[n] | (equal[n] & found[n])
