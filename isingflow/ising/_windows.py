"""Compiled loops over bit-packed lattices: pairs and windows. Arguments are validated by the callers.

A lattice is uint64 (rows, words): spin x of a row is bit ``x % 64`` of word ``x // 64``; bits beyond its
columns are zero. Displacements down are in [0, rows), those to the right, and shifts, in [0, columns).

LLVM vectorises a loop over a whole array, but not one over ``array[n + start]`` where `start` might be negative: slices
are passed to functions of their own. A slice costs as much as tens of words, so none is made for a single row.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from isingflow.ising._words import population

LANES = 32
BLOCK = 64
MOST = 2**31
"""Sites of several lattices whose symbols are counted before tables of 32 bits are emptied."""


@intrinsic
def symbols_of_word(typing, lattice, places, weights, symbols):
    """Set uint16 ``symbols[x]`` to the sum of uint16 ``weights[j]`` over the set bits ``x`` of ``lattice[places[j]]``.

    For every `x` below 64; uint64 `lattice`. A word is a vector of flags that choose the weight or nothing: one or two
    instructions for many symbols, where the processor has such vectors, while LLVM needs six times as long with the
    plain loop over `x` and `j`. The first flag is the lowest bit on little-endian machines, and numba supports no
    others.
    """

    def generate(context, builder, signature, arguments):
        lattice, places, weights, symbols = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, arguments, strict=True)
        )
        spins = builder.extract_value(places.shape, 0)
        vector, flags = ir.VectorType(ir.IntType(16), LANES), ir.VectorType(ir.IntType(1), LANES)
        nothing, lane = ir.Constant(vector, [0] * LANES), ir.IntType(32)
        everywhere = ir.Constant(ir.VectorType(lane, LANES), [0] * LANES)
        for first in range(0, 64, LANES):
            found = cgutils.alloca_once_value(builder, nothing)
            with cgutils.for_range(builder, spins) as loop:
                place = builder.load(builder.gep(places.data, [loop.index]))
                word = builder.load(builder.gep(lattice.data, [place]))
                part = builder.trunc(builder.lshr(word, ir.Constant(word.type, first)), ir.IntType(LANES))
                weight = builder.load(builder.gep(weights.data, [loop.index]))
                weight = builder.insert_element(nothing, weight, ir.Constant(lane, 0))
                weight = builder.shuffle_vector(weight, nothing, everywhere)
                chosen = builder.select(builder.bitcast(part, flags), weight, nothing)
                builder.store(builder.add(builder.load(found), chosen), found)
            target = builder.gep(symbols.data, [ir.Constant(spins.type, first)])
            builder.store(builder.load(found), builder.bitcast(target, vector.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(lattice, places, weights, symbols), generate


@njit(cache=True, nogil=True)
def shift_down(words, bit, shifted):
    """Write the bits of each word from `bit` on, followed by those of the next word, to uint64 `shifted`."""
    low, high = words[: len(shifted)], words[1 : len(shifted) + 1]
    for n in range(len(shifted)):
        shifted[n] = (low[n] >> bit) | ((high[n] << np.uint64(1)) << (np.uint64(63) - bit))


@njit(cache=True, nogil=True)
def rotate(lattice, columns, shift, rotated):
    """Write a lattice, uint64 (rows * words), with its rows rotated to the left by `shift` columns, to `rotated`.

    Where there is room for more rows, the first ones follow after the last.
    """
    width = (columns + 63) // 64
    last = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 * width - columns)
    one, most = np.uint64(1), np.uint64(63)
    # what comes from the right moves down by `shift` bits, what comes in again from the left moves up by the others
    ahead, down = shift // 64, np.uint64(shift % 64)
    behind, up = (columns - shift) // 64, np.uint64((columns - shift) % 64)
    if width == 1:
        for y in range(len(lattice)):
            row = lattice[y]
            rotated[y] = ((row >> down) | ((row << one) << np.uint64(columns - shift - 1))) & last
    else:
        # right but for the words into which the left end of the row comes
        end = len(lattice) - ahead - 1
        shift_down(lattice[ahead:], down, rotated[:end])
        rotated[end] = lattice[end + ahead]  # stays where the shift is by whole words
        for y in range(len(lattice) // width):
            row = y * width
            for k in range(behind, width):
                word = lattice[row + k - behind] << up
                if k > behind:
                    word |= (lattice[row + k - behind - 1] >> one) >> (most - up)
                if k + ahead < width:
                    word |= lattice[row + k + ahead] >> down
                if k + ahead + 1 < width:
                    word |= (lattice[row + k + ahead + 1] << one) << (most - down)
                rotated[row + k] = word
            rotated[row + width - 1] &= last
    for n in range(len(lattice), len(rotated)):
        rotated[n] = rotated[n - len(lattice)]


@njit(cache=True, nogil=True)
def count_symbols(words, columns, shifts, copy_of, down, weights, counts):
    """Add to int64 `counts` (blocks, symbols) the windows at every site of uint64 `words` (samples, rows, words).

    Spin ``j`` of the window is int64 `down[j]` rows below the site and `shifts[copy_of[j]]` columns to its right. A
    symbol is the sum of the uint16 `weights` of the spins that are up. Blocks are consecutive samples, equally many.
    """
    samples, rows, width = words.shape
    blocks = len(counts)
    lattices = words.reshape(samples, rows * width)
    copies = np.empty((len(shifts), (rows + down.max()) * width), np.uint64)
    flat = copies.reshape(-1)
    first = copy_of * copies.shape[1] + down * width
    places, symbols = np.empty_like(first), np.empty(64, np.uint16)
    # neighbouring windows are often equal: four tables keep one addition from waiting for the last
    tables = np.zeros((4, counts.shape[1]), np.uint32)
    sites = 0
    for block in range(blocks):
        for sample in range(block * samples // blocks, (block + 1) * samples // blocks):
            if sites + rows * columns > MOST:
                empty(tables, counts[block])
                sites = 0
            sites += rows * columns
            for copy in range(len(shifts)):
                rotate(lattices[sample], columns, shifts[copy], copies[copy])
            for y in range(rows):
                for k in range(width):
                    for spin in range(len(first)):
                        places[spin] = first[spin] + y * width + k
                    symbols_of_word(flat, places, weights, symbols)
                    add_symbols(symbols, min(64, columns - 64 * k), tables)
        empty(tables, counts[block])
        sites = 0


@njit(cache=True, nogil=True)
def empty(tables, counts):
    """Add four tables of uint32 to int64 `counts`, and clear them."""
    for symbol in range(len(counts)):
        even = np.int64(tables[0, symbol]) + np.int64(tables[2, symbol])
        counts[symbol] += even + np.int64(tables[1, symbol]) + np.int64(tables[3, symbol])
    tables[:] = 0


@njit(cache=True, nogil=True)
def add_symbols(symbols, sites, tables):
    """Count the first symbols in uint32 `tables` (4, 2**w)."""
    for x in range(0, sites - 7, 8):
        for i in range(8):
            tables[i % 4, symbols[x + i]] += np.uint32(1)
    for x in range(sites - sites % 8, sites):
        tables[x % 4, symbols[x]] += np.uint32(1)


@njit(cache=True, nogil=True)
def count_all_up(words, columns, shifts, copy_of, down, counts):
    """Add to int64 `counts` (samples, 2**w) at how many sites all the spins of a subset of a window are up.

    Bit ``j`` of the subset's index is set where spin ``j`` is in it; the window is given as for `count_symbols`.
    """
    samples, rows, width = words.shape
    lattices = words.reshape(samples, rows * width)
    copies = np.empty((len(shifts), (rows + down.max()) * width), np.uint64)
    up = np.empty((counts.shape[1], BLOCK), np.uint64)
    up[0] = np.uint64(0xFFFFFFFFFFFFFFFF)
    for sample in range(samples):
        for copy in range(len(shifts)):
            rotate(lattices[sample], columns, shifts[copy], copies[copy])
        counts[sample, 0] += rows * columns
        for start in range(0, rows * width, BLOCK):
            end = min(start + BLOCK, rows * width)
            for spin in range(len(down)):
                row = down[spin] * width
                spins = copies[copy_of[spin], row + start : row + end]
                for rest in range(1 << spin):
                    subset = rest + (1 << spin)
                    counts[sample, subset] += intersect(spins, up[rest], up[subset])


@njit(cache=True, nogil=True)
def intersect(ones, others, common):
    """Write the bits set in both to uint64 `common`; return how many they are."""
    total = 0
    for n in range(len(ones)):
        common[n] = ones[n] & others[n]
        total += population(common[n])
    return total


@njit(cache=True, nogil=True)
def differences(ones, others):
    """Return how many bits of two uint64 arrays differ."""
    total = 0
    for n in range(len(ones)):
        total += population(ones[n] ^ others[n])
    return total


@njit(cache=True, nogil=True)
def count_unequal(ones, others, columns, down, right, counts):
    """Add to int64 `counts` (samples,) the unequal pairs of a spin of `ones` and that of `others` at a displacement."""
    samples, rows, width = ones.shape
    size = rows * width
    these, those = ones.reshape(samples, size), others.reshape(samples, size)
    rotated = np.empty(size + down * width, np.uint64)
    for sample in range(samples):
        rotate(those[sample], columns, right, rotated)
        counts[sample] += differences(these[sample], rotated[down * width :])
