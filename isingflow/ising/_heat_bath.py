"""Heat bath with every coupling, side by side on many lattices: int8 ``spins`` (side, side, lattices).

The lattices are the fast axis: a loop over them is a vector, and the sites need no colouring, so that any side will do.
"""

import numpy as np
from numba import njit
from scipy.special import expit

from isingflow.ising._random import fill

LANES = 16
"""Lattices come in multiples of this: a random word serves two, and words come by eights."""

LARGEST = 4 * (25 + 5 + 1)
"""Largest number of surroundings: 25, 5 and 1 times the sums of nearest and diagonal neighbours, and of triples."""


def up_bounds(coupling, diagonal, plaquette, field):
    """Probability of up in units of 2^-32, uint32 (249,), by the number of the surroundings plus `LARGEST`."""
    nearest, across, triples = np.meshgrid(*[np.arange(-4, 5, 2)] * 3, indexing="ij")
    up = expit(2 * (coupling * nearest + diagonal * across + plaquette * triples + field))
    bounds = np.zeros(2 * LARGEST + 1, np.uint32)
    bounds[25 * nearest + 5 * across + triples + LARGEST] = np.minimum(np.floor(2.0**32 * up), 2.0**32 - 1)
    return bounds


@njit(cache=True, nogil=True)
def surroundings(spins, y, x, numbers):
    """Write the number of each lattice's surroundings at a site into uint16 `numbers` (lattices,)."""
    side, _, lattices = spins.shape
    above, under = (y - 1 if y else side - 1), (y + 1 if y + 1 < side else 0)
    left, right = (x - 1 if x else side - 1), (x + 1 if x + 1 < side else 0)
    for lattice in range(lattices):
        north, south = np.int16(spins[above, x, lattice]), np.int16(spins[under, x, lattice])
        west, east = np.int16(spins[y, left, lattice]), np.int16(spins[y, right, lattice])
        northwest, northeast = np.int16(spins[above, left, lattice]), np.int16(spins[above, right, lattice])
        southwest, southeast = np.int16(spins[under, left, lattice]), np.int16(spins[under, right, lattice])
        across = northwest + northeast + southwest + southeast
        triples = north * (west * northwest + east * northeast) + south * (west * southwest + east * southeast)
        numbers[lattice] = 25 * (north + south + west + east) + 5 * across + triples + LARGEST


@njit(cache=True, nogil=True)
def draw(spins, y, x, uniform, bound, numbers):
    """Draw the spins of a site, from one uniform uint32 a lattice."""
    for lattice in range(len(numbers)):
        spins[y, x, lattice] = 2 * np.int8(uniform[lattice] < bound[numbers[lattice]]) - 1


@njit(cache=True, nogil=True)
def sweep(spins, state, bound, sweeps, words, numbers):
    """Draw every spin anew in typewriter order; uint64 `words` (lattices / 2,) and uint16 `numbers` are scratch."""
    side = spins.shape[0]
    uniform = words.view(np.uint32)
    for _ in range(sweeps):
        for y in range(side):
            for x in range(side):
                fill(state, words)
                surroundings(spins, y, x, numbers)
                draw(spins, y, x, uniform, bound, numbers)


@njit(cache=True, nogil=True)
def add_products(here, down, right, bonds, totals):
    """Add a site's spins, and their products with those below and at the right."""
    for lattice in range(len(here)):
        bonds[lattice] += here[lattice] * (down[lattice] + right[lattice])
        totals[lattice] += here[lattice]


@njit(cache=True, nogil=True)
def measure(spins, bonds, totals):
    """Write each lattice's sum of ``s s'`` over its 2 side^2 bonds, and of ``s``."""
    side = len(spins)
    bonds[:], totals[:] = 0, 0
    for y in range(side):
        for x in range(side):
            add_products(spins[y, x], spins[(y + 1) % side, x], spins[y, (x + 1) % side], bonds, totals)


@njit(cache=True, nogil=True)
def run(spins, state, bound, every, words, numbers, bonds, totals):
    """Sweep and record: int64 `bonds` and `totals` (records, lattices) after every `every` sweeps."""
    for record in range(len(bonds)):
        sweep(spins, state, bound, every, words, numbers)
        measure(spins, bonds[record], totals[record])
