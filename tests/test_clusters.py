"""Cluster updates in tiles: naive twins bit for bit, stationarity; energies are compared in test_kaufman.py.

Fixed seeds. False alarms: 5 sigma, or the same one in two million of a t or chi-square distribution, about 40 times;
two in a hundred thousand for the file, were the seeds to change.
"""

import importlib.util
import inspect
import itertools
import math
from collections import deque

import numpy as np
import pytest
from numba import njit
from scipy.stats import chi2, norm

from isingflow.ising import _clusters, _rows, square
from isingflow.ising._random import bounds, generator_state
from isingflow.ising.square import CRITICAL_COUPLING

RARE = 2 * norm.sf(5)
WORD = 2**64 - 1


def bond_bound(coupling):
    return bounds([-math.expm1(-2 * coupling)])[0]


def packed(spins):
    """Words of spins +-1 or bits (..., side, side)."""
    side = spins.shape[-1]
    bits = np.zeros((*spins.shape[:-1], -(-side // 64) * 64), np.uint8)
    bits[..., :side] = spins > 0
    return np.packbits(bits, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def unpacked(words, side):
    """Spins +-1 of words; refuse bits beyond the side."""
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=-1, bitorder="little")
    assert not bits[..., side:].any()
    return bits[..., :side].astype(int) * 2 - 1


def run(kernel, words, state, coupling, updates, every=1, room=None, module=_clusters):
    """Update words in place; return the records, and what the kernel returns."""
    side = words.shape[0]
    bonds, magnetizations = np.full((2, updates // every), np.nan)
    room = module.scratch(side) if room is None else room
    found = getattr(module, kernel)(
        words, side, state, bond_bound(coupling), updates, every, bonds, magnetizations, room
    )
    return bonds, magnetizations, found


class NaiveGenerator:
    """Eight xoshiro256+ side by side; eight words are one number of 512 bits, the first lane lowest."""

    def __init__(self, state):
        self.lanes = [[int(word) for word in lane] for lane in state.T]

    def lane_words(self):
        found = []
        for s in self.lanes:
            found.append((s[0] + s[3]) & WORD)
            shifted = s[1] << 17 & WORD
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= shifted
            s[3] = (s[3] << 45 | s[3] >> 19) & WORD
        return found

    def words(self):
        return sum(word << 64 * lane for lane, word in enumerate(self.lane_words()))

    def below(self, coupling):
        """Numbers u of 64 bits against a bound: of the first 12 bits the lowest come first."""
        bound = min(int(-math.expm1(-2 * coupling) * 2.0**64), WORD)
        drawn, less, tied = [self.words() for _ in range(12)][::-1], 0, 2**512 - 1
        for place in range(64):
            if place >= 12:
                if not tied:
                    break
                drawn.append(self.words())
            if bound >> (63 - place) & 1:
                less |= tied & ~drawn[place]
                tied &= drawn[place]
            else:
                tied &= ~drawn[place]
        return less


class NaiveLattice:
    """Sites (y, x) and bonds (y, x, "right" or "down") of a torus in tiles of 8 rows and 64 columns."""

    def __init__(self, spins, generator, coupling):
        self.side, self.generator, self.coupling = len(spins), generator, coupling
        self.spins = {site: int(spins[site]) for site in itertools.product(range(self.side), repeat=2)}
        self.rows, self.columns = -(-self.side // 8), -(-self.side // 64)
        self.tiles = list(itertools.product(range(self.rows), range(self.columns)))
        self.sites = {tile: [] for tile in self.tiles}
        for site in self.spins:
            self.sites[self.tile(site)].append(site)

    def tile(self, site):
        return site[0] // 8, site[1] // 64

    def bits(self, tile, number):
        """The sites of a tile whose bits are set."""
        return {(y, x) for y, x in self.sites[tile] if number >> (64 * (y % 8) + x % 64) & 1}

    def end(self, bond):
        y, x, direction = bond
        return (y, (x + 1) % self.side) if direction == "right" else ((y + 1) % self.side, x)

    def bonds_of(self, site):
        """The right, down, left and upper bond."""
        y, x = site
        left, above = (y, (x - 1) % self.side), ((y - 1) % self.side, x)
        return (y, x, "right"), (y, x, "down"), (*left, "right"), (*above, "down")

    def crosses(self, bond):
        """Whether it leaves its tile."""
        y, x, direction = bond
        if direction == "right":
            return x == self.side - 1 or x % 64 == 63
        return y == self.side - 1 or y % 8 == 7

    def draw(self, tile):
        found = set()
        for direction in ("right", "down"):
            allowed = self.bits(tile, self.generator.below(self.coupling))
            drawn = {(y, x, direction) for y, x in allowed}
            found |= {bond for bond in drawn if self.spins[bond[:2]] == self.spins[self.end(bond)]}
        return found

    def walk(self, starts, bonds, inside=False):
        """All sites that hang together with some, perhaps by bonds inside a tile only."""
        found, front = set(), list(starts)
        while front:
            site = front.pop()
            if site not in found:
                found.add(site)
                for bond in self.bonds_of(site):
                    if bond in bonds and not (inside and self.crosses(bond)):
                        front += [bond[:2], self.end(bond)]
        return found

    def turn(self, sites):
        for site in sites:
            self.spins[site] *= -1

    def records(self):
        products = [
            self.spins[site] * self.spins[self.end((*site, d))] for site in self.spins for d in ("right", "down")
        ]
        return sum(products), sum(self.spins.values())

    def array(self):
        return np.array(list(self.spins.values())).reshape(self.side, self.side)

    def swendsen_wang(self):
        bonds = set().union(*[self.draw(tile) for tile in self.tiles])
        pruned = bonds - self.rungs(bonds)
        hanging = set()
        for _ in range(_clusters.PASSES):
            self.prune(self.tiles, ("right", "down"), pruned, hanging)
            self.prune(self.tiles[::-1], ("left", "up"), pruned, hanging)
        coins = set().union(*[self.bits(tile, self.generator.words()) for tile in self.tiles])
        done = set()
        for site in [site for tile in self.tiles for site in self.sites[tile]]:
            if site not in done:
                cluster = self.walk([site], bonds)
                done |= cluster
                (first, *others) = sorted(cluster - hanging, key=lambda site: (self.tile(site), site))
                # nothing but one site is left of a tree
                assert not others or all(pruned.intersection(self.bonds_of(site)) for site in others)
                self.turn(cluster if first in coins else ())

    def rungs(self, bonds):
        """Vertical bonds that close a ladder with another one at the left in the same tile."""
        found, held = set(), {}
        for y, x in self.spins:
            below = (y + 1) % self.side
            rails = {(y, x - 1, "right"), (below, x - 1, "right")} <= bonds
            held[y, x] = x % 64 > 0 and rails and ((y, x - 1, "down") in bonds or held[y, x - 1])
            if held[y, x]:
                found.add((y, x, "down"))
        return found

    def prune(self, tiles, directions, bonds, hanging):
        """Cut off sites with one bond, tile by tile, by rounds.

        Bonds from the left and above count as they were before the first round, where they come over an edge.
        """
        own = "right" in directions
        for tile in tiles:
            edge = {bond for site in self.sites[tile] for bond in self.bonds_of(site)[2:] if self.crosses(bond)} & bonds
            later = set()
            for _ in range(_clusters.ROUNDS):
                leaves = {}
                for site in self.sites[tile]:
                    around = self.bonds_of(site)
                    there = [bond in bonds for bond in around[:2]]
                    there += [bond in (edge if self.crosses(bond) else bonds) for bond in around[2:]]
                    if sum(there) == 1 and (any(there[:2]) == own):
                        leaves[site] = around[there.index(True)]
                hanging |= set(leaves)
                postponed = set() if own else {bond for bond in leaves.values() if self.crosses(bond)}
                later |= postponed
                bonds -= set(leaves.values()) - postponed
            bonds -= later

    def wolff(self):
        """One update; return the size of the cluster."""
        digits = max(1, (self.side**2 - 1).bit_length())
        number = self.side**2
        while number >= self.side**2:
            number = self.generator.lane_words()[0] >> (64 - digits)
        seed = divmod(number, self.side)
        bonds, drawn, cluster = set(), set(), set()
        reached = {tile: set() for tile in self.tiles}
        reached[self.tile(seed)].add(seed)
        waiting = deque([self.tile(seed)])
        while waiting:
            tile = waiting.popleft()
            left = (tile[0], (tile[1] - 1) % self.columns)
            above = ((tile[0] - 1) % self.rows, tile[1])
            for other in (tile, left, above):
                if other not in drawn:
                    drawn.add(other)
                    bonds |= self.draw(other)
            grown = self.walk(reached[tile], bonds, inside=True)
            reached[tile] = set()
            cluster |= grown
            for number, other in enumerate(
                [(tile[0], (tile[1] + 1) % self.columns), left, ((tile[0] + 1) % self.rows, tile[1]), above]
            ):
                way = (0, 2, 1, 3)[number]  # right, left, down, up among the bonds of a site
                over = set()
                for site in grown:
                    bond = self.bonds_of(site)[way]
                    if bond in bonds and self.crosses(bond):
                        over.add(self.end(bond) if way < 2 else bond[:2])
                over -= cluster
                reached[other] |= over
                if over and other not in waiting:
                    waiting.append(other)
        self.turn(cluster)
        return len(cluster)


def mismatch(kernel, side, coupling, updates, module=_clusters, room=None):
    """What differs between a kernel and its twin, from a start with clusters of all sizes; "" if nothing does."""
    rng = np.random.default_rng(side)
    spins = np.sign(np.add.outer(np.sin(np.arange(side)), np.cos(np.arange(side))) + 2 * rng.random((side, side)) - 0.6)
    words, state = packed(spins), generator_state(rng)
    naive = NaiveLattice(spins, NaiveGenerator(state), coupling)
    bonds, magnetizations, turned = run(kernel, words, state, coupling, updates, 1, room, module)
    sizes = 0
    for update in range(updates):
        sizes += getattr(naive, kernel)() or 0
        if (bonds[update], magnetizations[update]) != naive.records():
            return f"records of update {update}"
    if (unpacked(words, side) != naive.array()).any():
        return "spins"
    if kernel == "wolff" and turned != sizes:
        return "sites turned"
    if [[int(word) for word in lane] for lane in state.T] != naive.generator.lanes:
        return "generator"
    return ""


KERNELS = ["swendsen_wang", "wolff"]
TWINS = [(side, coupling) for side in (2, 3, 5, 8) for coupling in (0.01, CRITICAL_COUPLING, 1.5, 20.0)]
TWINS += [(side, coupling) for side in (63, 64, 65) for coupling in (CRITICAL_COUPLING, 20.0)]
TWINS += [(100, 0.42), (130, CRITICAL_COUPLING)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("side", "coupling"), TWINS)
def test_kernels_have_the_bits_of_their_naive_twins(kernel, side, coupling):
    updates = 20 if side < 10 else 5 if kernel == "wolff" else 1 + (side < 100)
    assert mismatch(kernel, side, coupling, updates) == ""


def altered(field, change):
    """Room for a side, with one thing wrong in the geometry."""

    def make(side):
        room = _clusters.scratch(side)
        return room._replace(**{field: change(getattr(room, field))})

    return make


BROKEN = {
    "no wrap in a row": altered("last_bit", lambda bits: np.full_like(bits, 63)),
    "no wrap in a column": altered("last_row", lambda rows: np.full_like(rows, 7)),
    "tiles exchanged": altered("tile_above", lambda tiles: np.roll(tiles, 2)),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("fault", BROKEN)
def test_twins_notice_a_broken_geometry(kernel, fault):
    side = 65
    assert mismatch(kernel, side, 0.5, 3, room=_clusters.scratch(side)) == ""
    assert mismatch(kernel, side, 0.5, 3, room=BROKEN[fault](side)) != ""


def mutant(tmp_path, old, new):
    """The module with one place of its source altered, as a module of its own."""
    source = inspect.getsource(_clusters).replace("cache=True, ", "")
    assert source.count(old) == 1
    path = tmp_path / "mutant_clusters.py"
    path.write_text(source.replace(old, new))
    spec = importlib.util.spec_from_file_location("mutant_clusters", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MUTANTS = [
    ("wolff", "shifted_up(right, _ONE), moved_lanes(down, 1)", "shifted_up(right, _ONE), moved_lanes(down, -1)"),
    ("swendsen_wang", "right & ~shifted_down(leaves, _ONE)", "right & ~shifted_up(leaves, _ONE)"),
    ("swendsen_wang", "down & ~shifted_up(held, _ONE)", "down & ~held"),
    ("swendsen_wang", "left = at_left(s.right, right, tile, s)", "left = at_right(s.right, right, tile, s)"),
]


@pytest.mark.parametrize(
    ("kernel", "old", "new"), [MUTANTS[0], *[pytest.param(*one, marks=pytest.mark.slow) for one in MUTANTS[1:]]]
)
def test_twins_notice_a_broken_kernel(tmp_path, kernel, old, new):
    assert mismatch(kernel, 65, 0.5, 3, module=mutant(tmp_path, old, new)) != ""


@pytest.mark.parametrize("kernel", KERNELS)
def test_records_and_halves_of_a_run(kernel):
    side, start = 70, packed(np.random.default_rng(1).choice([-1, 1], (70, 70)))
    whole, state = start.copy(), generator_state(np.random.default_rng(2))
    bonds, magnetizations, turned = run(kernel, whole, state, 0.43, 13, 1)
    halves, other = start.copy(), generator_state(np.random.default_rng(2))
    first = run(kernel, halves, other, 0.43, 8, 4)
    np.testing.assert_array_equal(first[0], bonds[3:8:4])
    np.testing.assert_array_equal(first[1], magnetizations[3:8:4])
    second = run(kernel, halves, other, 0.43, 5, 7)
    assert len(second[0]) == 0
    np.testing.assert_array_equal(halves, whole)
    np.testing.assert_array_equal(other, state)
    if kernel == "wolff":
        assert turned == first[2] + second[2]
    assert (bonds[-1], magnetizations[-1]) == _rows.measure(whole, side)


@pytest.mark.parametrize("side", [2, 3, 5, 8, 63, 64, 65, 128, 130])
def test_measured_sums(side):
    spins = np.random.default_rng(side).choice([-1, 1], (side, side), p=[0.3, 0.7])
    bonds = (spins * (np.roll(spins, 1, 0) + np.roll(spins, 1, 1))).sum()
    assert _rows.measure(packed(spins), side) == (bonds, spins.sum())


def test_random_sites_are_equally_likely():
    state, sites, draws = generator_state(np.random.default_rng(1)), 9, 90_000
    counts = np.bincount([_clusters.random_site(state, sites) for _ in range(draws)], minlength=sites)
    assert len(counts) == sites
    assert ((counts - draws / sites) ** 2).sum() / (draws / sites) < chi2.isf(RARE, sites - 1)


@njit
def update_each(update, lattices, side, state, bond, updates, record, room):
    """Update many small lattices one after another."""
    for lattice in range(len(lattices)):
        update(lattices[lattice], side, state, bond, updates, updates, record, record, room)


def distance_after(kernel, updates, coupling, kernel_coupling, side, samples):
    """Draw exact starts, update them; return the G statistic of the states against their law, and its 5 sigma limit.

    Bins are the states that are expected a hundred times or more; the others together by energy and magnetization,
    and once more together where these are expected less than ten times.
    """
    states = square.configurations(side)
    probabilities = square.boltzmann_probabilities(coupling, side=side)
    rng = np.random.default_rng(17)
    words = packed(states)[rng.choice(len(states), size=samples, p=probabilities)]
    update, room, record = getattr(_clusters, kernel), _clusters.scratch(side), np.empty(1)
    update_each(update, words, side, generator_state(rng), bond_bound(kernel_coupling), updates, record, room)
    codes = (unpacked(words, side).reshape(samples, -1) > 0) @ (1 << np.arange(side * side))
    order = np.argsort((states.reshape(len(states), -1) > 0) @ (1 << np.arange(side * side)))
    codes = order[codes]

    _, classes = np.unique(square.statistics(states)[:, [0, 3]], axis=0, return_inverse=True)
    bins = np.where(samples * probabilities >= 100, len(states) + np.arange(len(states)), classes.ravel())
    expected = samples * np.bincount(bins, probabilities)
    rest = np.flatnonzero((expected < 10) & (expected > 0))
    bins[np.isin(bins, rest)] = 2 * len(states)
    _, bins = np.unique(bins, return_inverse=True)
    expected, counts = samples * np.bincount(bins, probabilities), np.bincount(bins[codes], minlength=bins.max() + 1)
    seen = counts > 0
    g = 2 * np.sum(counts[seen] * np.log(counts[seen] / expected[seen]))
    return g, chi2.isf(RARE, len(expected) - 1)


STATIONARY = [(kernel, updates, side) for kernel in KERNELS for updates, side in [(1, 3), (2, 3), (1, 4), (2, 4)]]


@pytest.mark.parametrize(("kernel", "updates", "side"), STATIONARY)
def test_exact_draws_stay_exact(kernel, updates, side):
    found, limit = distance_after(kernel, updates, 0.35, 0.35, side, 150_000)
    assert found < limit


@pytest.mark.parametrize(("kernel", "updates", "side"), STATIONARY)
def test_a_coupling_two_percent_off_is_noticed(kernel, updates, side):
    found, limit = distance_after(kernel, updates, 0.35, 1.02 * 0.35, side, {3: 400_000, 4: 200_000}[side])
    assert found > limit


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("side", "updates"), [(2, 1000), (3, 20_000)])
def test_every_state_is_reached(kernel, side, updates):
    words, state = packed(np.ones((side, side))), generator_state(np.random.default_rng(2))
    room, bond, nothing, seen = _clusters.scratch(side), bond_bound(0.1), np.empty(0), set()
    for _ in range(updates):
        getattr(_clusters, kernel)(words, side, state, bond, 1, 2, nothing, nothing, room)
        seen.add(words.tobytes())
    assert len(seen) == 2 ** (side * side)
