"""The kernels of local updates: naive twins bit for bit, stationarity by G-tests, small tori by enumeration.

The twins walk over sites and neighbours of lists, and decide with whole numbers. False alarms: 5 sigma, or what is as
rare of a chi-square law, about 20 times; one in a hundred thousand for the file, were the seeds to change.
"""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import chi2, norm

from isingflow.ising import _multispin, chains, square
from isingflow.ising.chains import HeatBath, MultiSpin
from isingflow.ising.sampling import sample_square

RARE = 2 * norm.sf(5)
ALL = 2**64 - 1


def to_rows(spins):
    """Pack arrays of spins (lattices, side, side) by hand."""
    side = spins.shape[-1]
    words = np.zeros((*spins.shape[:2], -(-side // 64)), np.uint64)
    for x in range(side):
        words[..., x // 64] |= (spins[..., x] > 0).astype(np.uint64) << np.uint64(x % 64)
    return words


def to_spins(rows, side):
    """The inverse."""
    bits = [rows[..., x // 64] >> np.uint64(x % 64) & np.uint64(1) for x in range(side)]
    return 2 * np.stack(bits, axis=-1).astype(np.int8) - 1


def random_spins(*shape, seed=1):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


def checkered(side):
    return (1 - 2 * (np.indices((side, side)).sum(axis=0) % 2)).astype(np.int8)


class Xoshiro:
    def __init__(self, words):
        self.s = [int(word) for word in words]

    def __call__(self):
        a, b, c, d = self.s
        e, f = b ^ a ^ c, a ^ d ^ b
        g = d ^ b
        self.s = [f, e, c ^ a ^ (b << 17 & ALL), (g << 45 | g >> 19) & ALL]
        return a + d & ALL


def naive_multispin(spins, lanes, rule):
    """One sweep of lattices (64, side, side), or of one in strips: (1, side, side).

    Eight words are decided at a time, with as many random words as their 512 bits need. `rule` tells what a spin
    becomes when its number is below a bound, and else.
    """
    lattices, side, _ = spins.shape
    height = side if lattices == 64 else side // 64
    for colour, h in itertools.product(range(2), range(height)):
        sites = [x for x in range(side) if (x + h + colour) % 2 == 0]
        for first in range(0, len(sites), 8):
            digits = [[lane() for lane in lanes] for _ in range(12)][::-1]
            rules = {}
            for i, j in itertools.product(range(8), range(64)):
                lattice, y, x = (j, h, sites[first + i]) if lattices == 64 else (0, j * height + h, sites[first + i])
                neighbours = ((y - 1) % side, x), ((y + 1) % side, x), (y, (x - 1) % side), (y, (x + 1) % side)
                around = sum(int(spins[lattice, *site]) for site in neighbours)
                rules[i, j] = lattice, y, x, *rule(int(spins[lattice, y, x]), around)
            while True:
                places = len(digits)
                numbers = {(i, j): int("".join(str(word[i] >> j & 1) for word in digits), 2) for i, j in rules}
                if places == 64 or all(numbers[key] != rule[3] >> 64 - places for key, rule in rules.items()):
                    break
                digits.append([lane() for lane in lanes])
            for key, (lattice, y, x, bound, if_below, else_) in rules.items():
                spins[lattice, y, x] = if_below if numbers[key] < bound >> 64 - places else else_


def metropolis(coupling):
    """Flip with a share of the probability of Metropolis."""
    share = min(31 / 32, 1 / (1 + math.exp(-16 * abs(coupling))))

    def rule(spin, around):
        return int(2.0**64 * (share * min(1.0, math.exp(-2 * coupling * spin * around)))), -spin, spin

    return rule


def with_field(coupling, field):
    """Heat bath."""

    def rule(_, around):
        return min(int(2.0**64 / (1 + math.exp(-2 * (coupling * around + field)))), ALL), 1, -1

    return rule


@pytest.mark.parametrize(("side", "strips"), [(16, False), (32, False), (128, True)])
@pytest.mark.parametrize(("coupling", "field"), [(0.4, 0.0), (-0.35, 0.0), (0.3, -0.2), (3.0, 0.0)])
def test_multispin_has_the_bits_of_its_naive_twin(side, strips, coupling, field):
    spins = random_spins(1 if strips else 64, side, side)
    chain = MultiSpin(to_rows(spins), side, np.random.default_rng(3), strips=strips, coupling=coupling, field=field)
    lanes = [Xoshiro(column) for column in chain._state.T]
    rule = with_field(coupling, field) if field else metropolis(coupling)
    for _ in range(1 if strips or side == 32 else 2):
        found = chain.run(1, 1)
        naive_multispin(spins, lanes, rule)
    np.testing.assert_array_equal(to_spins(chain.rows(), side), spins)
    bonds = (spins * (np.roll(spins, 1, 1) + np.roll(spins, 1, 2))).sum(axis=(1, 2))
    order = spins * checkered(side) if coupling < 0 and not field else spins
    np.testing.assert_array_equal(found[:, 0], [bonds, order.sum(axis=(1, 2))])


def naive_heat_bath(spins, lanes, coupling, diagonal, plaquette, field):
    """One sweep of lattices (lattices, side, side) in typewriter order; a random word serves two lattices."""
    lattices, side, _ = spins.shape
    for y, x in itertools.product(range(side), repeat=2):
        words = [lane() for _ in range(lattices // 16) for lane in lanes]
        for lattice, here in enumerate(spins):

            def at(dy, dx, here=here, y=y, x=x):
                return int(here[(y + dy) % side, (x + dx) % side])

            nearest = at(0, 1) + at(0, -1) + at(1, 0) + at(-1, 0)
            corners = [(dy, dx) for dy in (-1, 1) for dx in (-1, 1)]
            across = sum(at(*corner) for corner in corners)
            triples = sum(at(dy, dx) * at(dy, 0) * at(0, dx) for dy, dx in corners)
            local = coupling * nearest + diagonal * across + plaquette * triples + field
            uniform = words[lattice // 2] >> 32 * (lattice % 2) & 0xFFFFFFFF
            here[y, x] = 1 if uniform < min(int(2.0**32 / (1 + math.exp(-2 * local))), 2**32 - 1) else -1


GENERAL = {"coupling": 0.2, "diagonal": -0.1, "plaquette": 0.15, "field": 0.1}


@pytest.mark.parametrize("side", [2, 3, 4, 7])
def test_general_heat_bath_has_the_bits_of_its_naive_twin(side):
    spins = random_spins(64, side, side)
    chain = HeatBath(to_rows(spins), side, np.random.default_rng(3), **GENERAL)
    lanes = [Xoshiro(column) for column in chain._state.T]
    for _ in range(3):
        found = chain.run(1, 1)
        naive_heat_bath(spins, lanes, **GENERAL)
    np.testing.assert_array_equal(to_spins(chain.rows(), side), spins)
    statistics = square.statistics(spins)
    np.testing.assert_array_equal(found[:, 0], statistics[:, [0, 3]].T)


@pytest.mark.parametrize("side", [2, 4, 6, 16, 20, 62, 64, 66, 100, 128, 130])
def test_rows_and_columns_of_bits(side):
    packed = to_rows(random_spins(64, side, side))
    spins = _multispin.empty_spins(side, side)
    _multispin.from_rows(packed, side, False, spins)
    for colour, y, x in itertools.product(range(2), range(side), range(0, side, 2)):
        site = x + (y + colour) % 2
        bits = [int(word) >> site % 64 & 1 for word in packed[:, y, site // 64]]
        assert int(spins[colour, y + 1, site // 2 + 1]) == sum(bit << j for j, bit in enumerate(bits))
    back = np.empty_like(packed)
    _multispin.to_rows(spins, side, back)
    np.testing.assert_array_equal(back, packed)


def draws(make, side, couplings, kernel_couplings, sweeps, samples=2**17):
    """Exact Boltzmann draws, swept: G statistic of the states against their law, and its limit at 5 sigma.

    Bins are states expected ten times or more; the others together by energy and magnetization, and once more where
    these are expected less than ten times.
    """
    states = square.configurations(side)
    probabilities = square.boltzmann_probabilities(side=side, **couplings)
    rng = np.random.default_rng(17)
    spins = states[rng.choice(len(states), size=samples, p=probabilities)]
    codes = []
    for block in spins.reshape(-1, 64, side, side):
        chain = make(to_rows(block), side, rng, **kernel_couplings)
        chain.run(sweeps, 1)
        codes.append(to_spins(chain.rows(), side).reshape(64, -1) > 0)
    codes = np.concatenate(codes) @ (1 << np.arange(side * side))
    order = (states.reshape(len(states), -1) > 0) @ (1 << np.arange(side * side))
    expected_of_code = np.empty(len(states))
    expected_of_code[order] = samples * probabilities

    statistics = np.empty((len(states), 4))
    statistics[order] = square.statistics(states)
    _, classes = np.unique(statistics.round(), axis=0, return_inverse=True)
    bins = np.where(expected_of_code >= 10, len(states) + np.arange(len(states)), classes.ravel())
    expected = np.bincount(bins, expected_of_code)
    bins[np.isin(bins, np.flatnonzero((expected < 10) & (expected > 0)))] = 3 * len(states)
    _, bins = np.unique(bins, return_inverse=True)
    expected = np.bincount(bins, expected_of_code)
    if expected[-1] < 10:  # what is left over joins its neighbour
        bins[bins == len(expected) - 1] -= 1
        expected = np.bincount(bins, expected_of_code)
    counts = np.bincount(bins[codes], minlength=len(expected))
    seen = counts > 0
    g = 2 * np.sum(counts[seen] * np.log(counts[seen] / expected[seen]))
    return g, chi2.isf(RARE, len(expected) - 1)


def replicas(rows, side, rng, **couplings):
    return MultiSpin(rows, side, rng, strips=False, **couplings)


def all_couplings(rows, side, rng, **couplings):
    return HeatBath(rows, side, rng, **{"diagonal": 0.0, "plaquette": 0.0} | couplings)


STATIONARY = [
    (replicas, 4, {"coupling": 0.4, "field": 0.0}),
    (replicas, 4, {"coupling": 0.35, "field": 0.1}),
    (replicas, 4, {"coupling": -0.4, "field": 0.0}),
    (replicas, 2, {"coupling": 0.2, "field": 0.0}),
    (all_couplings, 4, {"coupling": 0.4, "field": 0.0}),
    (all_couplings, 3, {"coupling": 0.4, "field": 0.0}),
    (all_couplings, 4, {"coupling": 0.3, "diagonal": 0.1, "plaquette": -0.1, "field": 0.05}),
    (all_couplings, 3, {"coupling": 0.3, "diagonal": 0.1, "plaquette": -0.1, "field": 0.05}),
]


@pytest.mark.parametrize("sweeps", [1, 2])
@pytest.mark.parametrize(("make", "side", "couplings"), STATIONARY)
def test_exact_draws_stay_exact(make, side, couplings, sweeps):
    found, limit = draws(make, side, couplings, couplings, sweeps)
    assert found < limit


@pytest.mark.parametrize(("make", "side", "couplings"), STATIONARY)
def test_a_coupling_two_percent_off_is_noticed(make, side, couplings):
    samples = 2**17 if abs(couplings["coupling"]) > 0.25 and side == 4 else 2**20
    found, limit = draws(make, side, couplings, couplings | {"coupling": 1.02 * couplings["coupling"]}, 2, samples)
    assert found > limit


@pytest.mark.parametrize(("make", "side"), [(replicas, 4), (all_couplings, 3), (all_couplings, 4)])
def test_every_state_is_reached(make, side):
    rng = np.random.default_rng(2)
    chain = make(chains.start(64, side, rng, coupling=0.02, field=0.0), side, rng, coupling=0.02, field=0.0)
    seen = set()
    for _ in range(25_000 if side == 4 else 500):
        chain.run(1, 1)
        seen.update(((to_spins(chain.rows(), side).reshape(64, -1) > 0) @ (1 << np.arange(side * side))).tolist())
    assert len(seen) == 2 ** (side * side)


def test_a_diagonal_coupling_orders_from_a_cold_start():
    """A hot start at these couplings leaves stripes in some lattices of 64."""
    spins = sample_square(0.42, diagonal=0.21, side=32, samples=1024, chains=64, burn_in=50, thin=1, rng=1).spins
    assert (np.abs(spins.mean(axis=(1, 2))) > 0.9).all()
    below = chains.start(64, 32, np.random.default_rng(1), coupling=0.25, diagonal=0.12, field=0.0)
    assert len(np.unique(below)) > 64
    above = chains.start(64, 32, np.random.default_rng(1), coupling=0.25, diagonal=0.14, field=0.0)
    assert set(np.unique(above).tolist()) == {0, 2**32 - 1}
