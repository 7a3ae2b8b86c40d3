"""Compiled loops of the lattice room. Arguments are validated by the callers; randomness comes in as a Generator."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def sample_ring(rng, first_up, next_up, spins):
    """Fill int8 `spins` (samples, sites); `next_up` float64 (sites - 1, 2, 2): site, this spin, first spin."""
    samples, sites = spins.shape
    for ring in range(samples):
        first = np.int64(rng.random() < first_up)
        this = first
        spins[ring, 0] = 2 * first - 1
        for site in range(1, sites):
            this = np.int64(rng.random() < next_up[site - 1, this, first])
            spins[ring, site] = 2 * this - 1


@njit(cache=True, nogil=True)
def heat_bath(rng, spins, up, sweeps, every, energies, magnetizations):
    """Sweep one int8 lattice (side, side) in typewriter order; record after every `every` sweeps.

    `up` float64 (9, 9, 9): probability of up given the sums of 4 nearest neighbours, of 4 diagonal ones, and of the
    4 triples that close a plaquette, each sum shifted by 4.
    """
    side = spins.shape[0]
    for sweep in range(sweeps):
        for y in range(side):
            above, below = (y - 1) % side, (y + 1) % side
            for x in range(side):
                left, right = (x - 1) % side, (x + 1) % side
                n, s, w, e = spins[above, x], spins[below, x], spins[y, left], spins[y, right]
                nw, ne, sw, se = spins[above, left], spins[above, right], spins[below, left], spins[below, right]
                nearest = n + s + w + e
                diagonal = nw + ne + sw + se
                triples = n * w * nw + n * e * ne + s * w * sw + s * e * se
                spins[y, x] = 2 * np.int8(rng.random() < up[nearest + 4, diagonal + 4, triples + 4]) - 1
        if (sweep + 1) % every == 0:
            record = (sweep + 1) // every - 1
            energies[record], magnetizations[record] = measure(spins)


@njit(cache=True, nogil=True)
def measure(spins):
    """Sum of ``s s'`` over the right and lower bonds, and of ``s``."""
    side = spins.shape[0]
    bonds = np.int64(0)
    total = np.int64(0)
    for y in range(side):
        below = spins[(y + 1) % side]
        row = spins[y]
        for x in range(side - 1):
            bonds += row[x] * (row[x + 1] + below[x])
            total += row[x]
        bonds += row[side - 1] * (row[0] + below[side - 1])
        total += row[side - 1]
    return bonds, total


@njit(cache=True, nogil=True)
def find_root(parent, site):
    """Root of a cluster, halving the path on the way."""
    while parent[site] != site:
        parent[site] = parent[parent[site]]
        site = parent[site]
    return site


@njit(cache=True, nogil=True)
def unite(parent, first, second):
    """Join two clusters under the smaller root."""
    first, second = find_root(parent, first), find_root(parent, second)
    parent[max(first, second)] = min(first, second)


@njit(cache=True, nogil=True)
def draw_bonds(rng, row, below, bond, right, down, uniform):
    """Draw the bonds from a row of spins to the right and down; one uniform number serves both of a site.

    Given on which side of `bond` a uniform number lies, its place there is uniform again. Nothing branches.
    """
    both, second_alone = bond * bond, bond + (1 - bond) * bond
    last = len(row) - 1
    for x in range(last + 1):
        uniform[x] = rng.random()
    for x in range(last):
        right[x] = row[x] == row[x + 1]
    right[last] = row[last] == row[0]
    for x in range(last + 1):
        first = uniform[x] < bond
        second = (uniform[x] < both) | ((uniform[x] >= bond) & (uniform[x] < second_alone))
        down[x] = (row[x] == below[x]) & ((right[x] & second) | (~right[x] & first))
        right[x] &= first


@njit(cache=True, nogil=True)
def swendsen_wang(rng, spins, bond, sweeps, every, energies, magnetizations, parent, bonds):
    """Update one int8 lattice (side, side) by clusters.

    `bond` is the probability ``1 - exp(-2 K)`` that two equal neighbours belong to one cluster; int32 `parent`
    (side**2,) and bool `bonds` (2, side, side) are scratch.
    """
    side = spins.shape[0]
    right, down, uniform = bonds[0], bonds[1], np.empty(side)
    for sweep in range(sweeps):
        for y in range(side):
            start = y * side
            draw_bonds(rng, spins[y], spins[(y + 1) % side], bond, right[y], down[y], uniform)
            # runs of a row need no search, and of the bonds between two runs the first is enough
            run = parent[start] = start
            for x in range(1, side):
                run = run if right[y, x - 1] else start + x
                parent[start + x] = run
            if y > 0:
                above, joined = start - side, False
                for x in range(side):
                    if down[y - 1, x] and not joined:
                        unite(parent, start + x, above + x)
                    joined = (joined | down[y - 1, x]) & right[y - 1, x] & right[y, x]
        for y in range(side):
            if right[y, side - 1]:
                unite(parent, y * side, y * side + side - 1)
        for x in range(side):
            if down[side - 1, x]:
                unite(parent, x, (side - 1) * side + x)
        give_signs(rng, spins.reshape(-1), parent)
        if (sweep + 1) % every == 0:
            record = (sweep + 1) // every - 1
            energies[record], magnetizations[record] = measure(spins)


@njit(cache=True, nogil=True)
def give_signs(rng, spins, parent):
    """Give every cluster a new sign, that of its smallest site: its root, and the first in order; flat int8 `spins`."""
    for start in range(0, len(spins), 53):
        word = np.int64(rng.random() * 9007199254740992.0)  # the 53 bits of a uniform number
        for site in range(start, min(start + 53, len(spins))):
            root = parent[parent[site]]
            parent[site] = root
            spins[site] = np.int8(2 * ((word >> (site - start)) & 1) - 1) if root == site else spins[root]
