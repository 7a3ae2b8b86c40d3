"""Cluster updates of the square lattice, 512 sites at a time: Swendsen-Wang and Wolff.

A lattice is cut into tiles of 8 rows and 64 columns, a vector each, row of tiles by row of tiles. Bit x of lane y of a
vector is site (y, x) of its tile; where the side is no multiple, the last tiles have bits that stay zero. The bond of a
site to its right and the one to the site below belong to its tile.

A cluster grows inside a tile until it stops there, then over the tile's edges; the tiles it has reached wait in a
queue, first in, first out. Swendsen-Wang first prunes: sites that hang on a single bond are cut off, tile by tile,
until little more than loops is left, and turn later with the site they hung on.

Functions called within a sweep count no references to arrays (`_nrt=False`): that would be two atomic additions for
each array of `Scratch`, and cost more than what they do.
"""

from collections import namedtuple

import numpy as np
from numba import njit

from isingflow.ising._random import advance, below, load_state, store_state
from isingflow.ising._rows import measure
from isingflow.ising._words import (
    LANES,
    agree,
    alike,
    any_set,
    choose,
    first_lane,
    load_eight,
    moved_lanes,
    population,
    shifted_down,
    shifted_up,
    store_eight,
)

BITS = 64

PASSES, ROUNDS = 2, 4
"""Pruning: passes over the lattice, each downward and upward again, and rounds in a tile before the next one."""

_ONE = np.uint64(1)
_ALL = np.uint64(2**64 - 1)

PLANES = ("spins", "right", "down", "right_pruned", "down_pruned", "hanging", "coins", "free", "reached", "flips")

Scratch = namedtuple(
    "Scratch",
    "right_tile left_tile tile_below tile_above last_bit last_row one_row inside "
    "spins right down right_pruned down_pruned hanging coins free reached flips grown drawn waiting touched queue",
)


def scratch(side):
    """Make what the kernels need beside a configuration of a side, about 1.4 bytes a site, for one call at a time.

    First the lattice in tiles: `right_tile`, `left_tile`, `tile_below`, `tile_above` and `last_row` int64 (tiles,),
    `last_bit` uint64 (tiles,), `one_row` uint64 (64,), row after row of a tile alone, and `inside`, uint64 (8 tiles,),
    the bits that are sites. Then room, its content of no meaning between calls: bits of all sites, uint64 (8 tiles,);
    the tile last grown in, uint64 (8,); flags uint8 (tiles,); tiles whose bonds are drawn, and those that wait, int64.
    """
    columns, rows = -(-side // BITS), -(-side // LANES)
    tiles = np.arange(rows * columns).reshape(rows, columns)
    last_bit = np.full(tiles.shape, BITS - 1, np.uint64)
    last_bit[:, -1] = (side - 1) % BITS
    last_row = np.full(tiles.shape, LANES - 1)
    last_row[-1] = (side - 1) % LANES
    within = np.arange(LANES) <= last_row[..., None]
    inside = (_ALL >> (np.uint64(BITS - 1) - last_bit))[..., None] * within.astype(np.uint64)
    neighbours = [np.roll(tiles, shift, axis) for shift, axis in [(-1, 1), (1, 1), (-1, 0), (1, 0)]]
    return Scratch(
        *[one.ravel() for one in (*neighbours, last_bit, last_row)],
        one_row=(np.eye(LANES, dtype=np.uint64) * _ALL).ravel(),
        inside=inside.ravel(),
        **{name: np.zeros(inside.size, np.uint64) for name in PLANES},
        grown=np.zeros(LANES, np.uint64),
        drawn=np.zeros(tiles.size, np.uint8),
        waiting=np.zeros(tiles.size, np.uint8),
        touched=np.zeros(tiles.size, np.int64),
        queue=np.zeros(1 << int(tiles.size).bit_length(), np.int64),
    )


@njit(cache=True, nogil=True)
def to_tiles(words, side, spins):
    """Copy rows of words into tiles."""
    columns = words.shape[1]
    for y in range(side):
        start = (y // LANES) * columns * LANES + y % LANES
        for w in range(columns):
            spins[start + w * LANES] = words[y, w]


@njit(cache=True, nogil=True)
def to_words(spins, side, words):
    """Copy tiles into rows of words."""
    columns = words.shape[1]
    for y in range(side):
        start = (y // LANES) * columns * LANES + y % LANES
        for w in range(columns):
            words[y, w] = spins[start + w * LANES]


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def at_right(bits, here, tile, s):
    """Bits of the sites to the right."""
    other = load_eight(bits, LANES * s.right_tile[tile])
    return shifted_down(here, _ONE) | shifted_up(other, s.last_bit[tile])


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def at_left(bits, here, tile, s):
    """Bits of the sites to the left; one of them also behind the last site."""
    left = s.left_tile[tile]
    return shifted_up(here, _ONE) | shifted_down(load_eight(bits, LANES * left), s.last_bit[left])


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def at_below(bits, here, tile, s):
    """Bits of the sites below."""
    other = alike(bits[LANES * s.tile_below[tile]], here)
    return choose(load_eight(s.one_row, LANES * s.last_row[tile]), other, moved_lanes(here, -1))


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def at_above(bits, here, tile, s):
    """Bits of the sites above; one row of them also below the last row."""
    above = s.tile_above[tile]
    other = alike(bits[LANES * above + s.last_row[above]], here)
    return choose(load_eight(s.one_row, 0), other, moved_lanes(here, 1))


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def draw_bonds(tile, s, vectors, bond):
    """Draw the bonds of a tile: first all to the right, then all down, kept where spins are equal."""
    right, vectors = below(vectors, bond)
    down, vectors = below(vectors, bond)
    start = LANES * tile
    here, inside = load_eight(s.spins, start), load_eight(s.inside, start)
    store_eight(s.right, start, agree(here, at_right(s.spins, here, tile, s), right & inside))
    store_eight(s.down, start, agree(here, at_below(s.spins, here, tile, s), down & inside))
    return vectors


@njit(cache=True, nogil=True, _nrt=False)
def draw_all(s, state, bond):
    """Draw the bonds of all tiles."""
    vectors = load_state(state)
    for tile in range(len(s.drawn)):
        vectors = draw_bonds(tile, s, vectors, bond)
    store_state(state, vectors)


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def draw_around(tile, drawn, s, state, bond):
    """Draw the bonds of the sites of a tile, where that is still to be done; return the new number of tiles `drawn`.

    Three tiles have them: itself, the one at its left and the one above.
    """
    for number in range(3):
        other = tile if number == 0 else s.left_tile[tile] if number == 1 else s.tile_above[tile]
        if not s.drawn[other]:
            store_state(state, draw_bonds(other, s, load_state(state), bond))
            s.drawn[other] = 1
            s.touched[drawn] = other
            drawn += 1
    return drawn


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def fill_tile(sites, right, down):
    """All sites that hang together with some of them by bonds inside the tile."""
    from_left, from_above = shifted_up(right, _ONE), moved_lanes(down, 1)
    left_2 = right & shifted_down(right, np.uint64(1))
    left_4 = left_2 & shifted_down(left_2, np.uint64(2))
    left_8 = left_4 & shifted_down(left_4, np.uint64(4))
    above_2 = from_above & moved_lanes(from_above, 1)
    below_2 = down & moved_lanes(down, -1)
    above_4 = above_2 & moved_lanes(above_2, 2)
    below_4 = below_2 & moved_lanes(below_2, -2)
    while True:
        # a carry runs to the right as far as there are bonds
        step = shifted_up(sites, _ONE) & from_left
        rightward = sites | step | (from_left & ~(from_left + step))
        leftward = sites | (right & shifted_down(sites, np.uint64(1)))
        leftward = leftward | (left_2 & shifted_down(leftward, np.uint64(2)))
        leftward = leftward | (left_4 & shifted_down(leftward, np.uint64(4)))
        leftward = leftward | (left_8 & shifted_down(leftward, np.uint64(8)))
        wide = rightward | leftward
        downward = wide | (from_above & moved_lanes(wide, 1))
        upward = wide | (down & moved_lanes(wide, -1))
        downward = downward | (above_2 & moved_lanes(downward, 2))
        upward = upward | (below_2 & moved_lanes(upward, -2))
        downward = downward | (above_4 & moved_lanes(downward, 4))
        upward = upward | (below_4 & moved_lanes(upward, -4))
        grown = downward | upward
        if not any_set(grown ^ sites):
            return sites
        sites = grown


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def enqueue(tile, due, tail, s):
    """Let a tile wait, if that is due and it does not yet; return the new end of the queue."""
    s.queue[tail & (len(s.queue) - 1)] = tile
    already = s.waiting[tile]
    s.waiting[tile] = already | due
    return tail + np.int64(due & (already ^ 1))


@njit(cache=True, nogil=True, forceinline=True, _nrt=False)
def grow(tile, flip, right_bonds, down_bonds, s, state, bond):
    """Grow a cluster from the sites of a tile that are `reached`; return how many tiles had to draw their bonds.

    Its sites are `free` no longer; they join `flips` if all bits of `flip` are set, and not if none is.
    """
    drawn = head = 0
    tail = enqueue(tile, np.uint8(1), 0, s)
    while head < tail:
        tile = s.queue[head & (len(s.queue) - 1)]
        head += 1
        s.waiting[tile] = 0
        start = LANES * tile
        drawn = draw_around(tile, drawn, s, state, bond)
        free, right, down = load_eight(s.free, start), load_eight(right_bonds, start), load_eight(down_bonds, start)
        reached = load_eight(s.reached, start)
        store_eight(s.reached, start, reached ^ reached)
        grown = fill_tile(reached, right, down) & free
        store_eight(s.grown, 0, grown)
        store_eight(s.free, start, free & ~grown)
        store_eight(s.flips, start, load_eight(s.flips, start) | (grown & alike(flip, grown)))

        other = s.right_tile[tile]
        place = LANES * other
        over = shifted_down(grown & right, s.last_bit[tile]) & load_eight(s.free, place)
        store_eight(s.reached, place, load_eight(s.reached, place) | over)
        tail = enqueue(other, np.uint8(any_set(over)), tail, s)

        other = s.left_tile[tile]
        place, last = LANES * other, s.last_bit[other]
        over = shifted_up(shifted_down(load_eight(right_bonds, place), last) & grown, last) & load_eight(s.free, place)
        store_eight(s.reached, place, load_eight(s.reached, place) | over)
        tail = enqueue(other, np.uint8(any_set(over)), tail, s)

        other, row = s.tile_below[tile], s.last_row[tile]
        word = s.grown[row] & down_bonds[start + row] & s.free[LANES * other]
        s.reached[LANES * other] |= word
        tail = enqueue(other, np.uint8(word != 0), tail, s)

        other = s.tile_above[tile]
        place = LANES * other + s.last_row[other]
        word = s.grown[0] & down_bonds[place] & s.free[place]
        s.reached[place] |= word
        tail = enqueue(other, np.uint8(word != 0), tail, s)
    return drawn


@njit(cache=True, nogil=True, _nrt=False)
def drop_rungs(s):
    """Copy the bonds without those that close a ladder: of its vertical bonds the first one in a word stays."""
    for tile in range(len(s.drawn)):
        start = LANES * tile
        right, down = load_eight(s.right, start), load_eight(s.down, start)
        rails = right & at_below(s.right, right, tile, s)
        step = rails & down
        held = step | (rails & ~(rails + step))
        store_eight(s.right_pruned, start, right)
        store_eight(s.down_pruned, start, down & ~shifted_up(held, _ONE))


@njit(cache=True, nogil=True, _nrt=False)
def prune_downward(s):
    """Cut off sites whose only bond goes right or down."""
    for tile in range(len(s.drawn)):
        start = LANES * tile
        right, down = load_eight(s.right_pruned, start), load_eight(s.down_pruned, start)
        hanging = load_eight(s.hanging, start)
        none = right ^ right
        from_left = at_left(s.right_pruned, none, tile, s)
        from_above = at_above(s.down_pruned, none, tile, s)
        for _ in range(ROUNDS):
            leaves = (right ^ down) & ~(from_left | shifted_up(right, _ONE) | from_above | moved_lanes(down, 1))
            hanging = hanging | leaves
            right = right & ~leaves
            down = down & ~leaves
        store_eight(s.right_pruned, start, right)
        store_eight(s.down_pruned, start, down)
        store_eight(s.hanging, start, hanging)


@njit(cache=True, nogil=True, _nrt=False)
def prune_upward(s):
    """Cut off sites whose only bond goes left or up."""
    for tile in range(len(s.drawn) - 1, -1, -1):
        start = LANES * tile
        right, down = load_eight(s.right_pruned, start), load_eight(s.down_pruned, start)
        inside = load_eight(s.inside, start)
        none = right ^ right
        from_left = at_left(s.right_pruned, none, tile, s)
        from_above = at_above(s.down_pruned, none, tile, s)
        cut = none
        for _ in range(ROUNDS):
            left, up = from_left | shifted_up(right, _ONE), from_above | moved_lanes(down, 1)
            leaves = (left ^ up) & inside & ~(right | down)
            cut = cut | leaves
            right = right & ~shifted_down(leaves, _ONE)
            down = down & ~moved_lanes(leaves, -1)
        store_eight(s.right_pruned, start, right)
        store_eight(s.down_pruned, start, down)
        store_eight(s.hanging, start, load_eight(s.hanging, start) | cut)
        # bonds that belong to the tiles at the left and above
        other = s.left_tile[tile]
        right = load_eight(s.right_pruned, LANES * other)
        store_eight(s.right_pruned, LANES * other, right & ~shifted_up(cut, s.last_bit[other]))
        store_eight(s.grown, 0, cut)
        other = s.tile_above[tile]
        s.down_pruned[LANES * other + s.last_row[other]] &= ~s.grown[0]


@njit(cache=True, nogil=True, _nrt=False)
def follow_downward(s):
    """Turn the sites that hung on the left or above with those they hung on."""
    for tile in range(len(s.drawn)):
        start = LANES * tile
        flips = load_eight(s.flips, start)
        inside = load_eight(s.inside, start)
        none = flips ^ flips
        right, down = load_eight(s.right, start), load_eight(s.down, start)
        left = at_left(s.right, right, tile, s) & inside
        up = at_above(s.down, down, tile, s) & inside
        outer = (at_left(s.flips, none, tile, s) & left) | (at_above(s.flips, none, tile, s) & up)
        flips = flips | outer
        for _ in range(ROUNDS):
            flips = flips | (shifted_up(flips, _ONE) & left) | (moved_lanes(flips, 1) & up)
        store_eight(s.flips, start, flips)


@njit(cache=True, nogil=True, _nrt=False)
def follow_upward(s):
    """Turn the sites that hung on the right or below with those they hung on."""
    for tile in range(len(s.drawn) - 1, -1, -1):
        start = LANES * tile
        flips = load_eight(s.flips, start)
        none = flips ^ flips
        right, down = load_eight(s.right, start), load_eight(s.down, start)
        outer = (at_right(s.flips, none, tile, s) & right) | (at_below(s.flips, none, tile, s) & down)
        flips = flips | outer
        for _ in range(ROUNDS):
            flips = flips | (shifted_down(flips, _ONE) & right) | (moved_lanes(flips, -1) & down)
        store_eight(s.flips, start, flips)


@njit(cache=True, nogil=True, _nrt=False)
def toss(s, state):
    """Toss a coin for every site; sites without bonds that hang on none turn by theirs, those with bonds are `free`."""
    vectors = load_state(state)
    for tile in range(len(s.drawn)):
        start = LANES * tile
        coins, vectors = advance(vectors)
        right, down = load_eight(s.right_pruned, start), load_eight(s.down_pruned, start)
        inside, hanging = load_eight(s.inside, start), load_eight(s.hanging, start)
        bonds = right | down | at_left(s.right_pruned, right, tile, s) | at_above(s.down_pruned, down, tile, s)
        store_eight(s.coins, start, coins)
        store_eight(s.free, start, bonds & inside)
        store_eight(s.flips, start, coins & inside & ~(bonds | hanging))
    store_state(state, vectors)


@njit(cache=True, nogil=True, _nrt=False)
def turn_clusters(s, state, bond):
    """Let the clusters that are left turn, each by the coin of its first site in flat order."""
    for place in range(len(s.free)):
        while s.free[place] != 0:
            first = s.free[place] & (~s.free[place] + _ONE)
            flip = _ALL if s.coins[place] & first else np.uint64(0)
            s.reached[place] = first
            grow(place // LANES, flip, s.right_pruned, s.down_pruned, s, state, bond)


@njit(cache=True, nogil=True)
def swendsen_wang(words, side, state, bond, sweeps, every, bonds, magnetizations, s):
    """Give all clusters of a configuration new signs, `sweeps` times; record after every `every` of them.

    uint64 `words` (side, ceil(side / 64)): bit ``x % 64`` of word ``x // 64`` of row y is spin (y, x), those beyond
    the side zero. `state` uint64 (4, 8) and `bond` uint64 (64,), a column of `bounds`: the generator, and the
    probability that equal neighbours hang together. Recorded are the sums of ``s s'`` over the bonds and of ``s``,
    at least ``sweeps // every`` of each. `s` is `scratch(side)`.

    Random words of a sweep: for each tile those of its bonds to the right, then down; for each tile a word of coins.
    """
    to_tiles(words, side, s.spins)
    s.reached[:] = 0
    s.waiting[:] = 0
    s.drawn[:] = 1
    for sweep in range(sweeps):
        draw_all(s, state, bond)
        drop_rungs(s)
        s.hanging[:] = 0
        for _ in range(PASSES):
            prune_downward(s)
            prune_upward(s)
        toss(s, state)
        turn_clusters(s, state, bond)
        for _ in range(PASSES):
            follow_downward(s)
            follow_upward(s)
        for place in range(len(s.spins)):
            s.spins[place] ^= s.flips[place]
        if (sweep + 1) % every == 0:
            record = (sweep + 1) // every - 1
            to_words(s.spins, side, words)
            bonds[record], magnetizations[record] = measure(words, side)
    to_words(s.spins, side, words)


@njit(cache=True, nogil=True, _nrt=False)
def random_site(state, sites):
    """Draw one of `sites` sites: as many highest bits of a first lane as they need, again until it is a site."""
    digits = 1
    while (sites - 1) >> digits:
        digits += 1
    vectors = load_state(state)
    while True:
        words, vectors = advance(vectors)
        store_state(state, vectors)
        site = np.int64(first_lane(words) >> np.uint64(BITS - digits))
        if site < sites:
            return site


@njit(cache=True, nogil=True, _nrt=False)
def turn_one(place, first, s, state, bond):
    """Turn the cluster of a site, one bit of one word in flat order; return its size."""
    s.reached[place] = first
    drawn = grow(place // LANES, _ALL, s.right, s.down, s, state, bond)
    size = np.int64(0)
    for index in range(drawn):
        tile = s.touched[index]
        s.drawn[tile] = 0
        for word in range(LANES * tile, LANES * tile + LANES):
            size += population(s.flips[word])
            s.spins[word] ^= s.flips[word]
            s.flips[word] = 0
            s.free[word] = s.inside[word]
    return size


@njit(cache=True, nogil=True)
def wolff(words, side, state, bond, updates, every, bonds, magnetizations, s):
    """Turn the cluster of a random site, `updates` times; return how many sites have turned.

    The arguments are those of `swendsen_wang`. Random words of an update: the site; then, whenever a tile that the
    cluster has reached has its turn, the bonds of this tile, the one at its left and the one above, where these have
    none yet, to the right and then down.
    """
    to_tiles(words, side, s.spins)
    s.reached[:] = 0
    s.waiting[:] = 0
    s.drawn[:] = 0
    s.flips[:] = 0
    s.free[:] = s.inside
    columns, turned = words.shape[1], np.int64(0)
    for update in range(updates):
        site = random_site(state, side * side)
        y, x = site // side, site % side
        place = ((y // LANES) * columns + x // BITS) * LANES + y % LANES
        turned += turn_one(place, _ONE << np.uint64(x % BITS), s, state, bond)
        if (update + 1) % every == 0:
            record = (update + 1) // every - 1
            to_words(s.spins, side, words)
            bonds[record], magnetizations[record] = measure(words, side)
    to_words(s.spins, side, words)
    return turned
