"""Monte Carlo RG: operators by loops over sites, steps of a small torus by its exact couplings, known exponents.

Statistics are at 5 sigma with fixed seeds, by Student's law with 19 degrees.
"""

import itertools

import numpy as np
import pytest
from scipy.stats import t

from isingflow.errors import ParameterError
from isingflow.ising import square
from isingflow.ising.packing import pack
from isingflow.ising.renormalization import (
    ODD,
    OPERATORS,
    exponent_table,
    match_couplings,
    monte_carlo_rg,
    operator_sums,
)
from isingflow.ising.sampling import iter_square, sample_square

BOUND = t.isf(3e-7, 19)
CRITICAL = square.CRITICAL_COUPLING


def noise(*shape, seed=1):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


def images(spins):
    """Products that turning and mirroring make of one, told apart by their spins up to a translation."""
    found = {}
    for turns, mirror in itertools.product(range(4), (False, True)):
        moved = [(x, y) if mirror else (y, x) for y, x in spins]
        for _ in range(turns):
            moved = [(x, -y) for y, x in moved]
        first = min(moved)
        found[frozenset((y - first[0], x - first[1]) for y, x in moved)] = moved
    return list(found.values())


def test_every_image_is_there_once():
    numbers = dict.fromkeys(OPERATORS, 2) | dict.fromkeys(("plaquette", "diamond", "magnetization", "cross"), 1)
    numbers |= dict.fromkeys(("knight", "corner", "wedge"), 4)
    assert {name: len(images(spins)) for name, spins in OPERATORS.items()} == numbers
    up = np.ones((1, 8, 8), np.int8)
    assert operator_sums(up, list(OPERATORS)).tolist() == [[64 * number for number in numbers.values()]]


@pytest.mark.parametrize("side", [3, 4, 5, 64, 67])
def test_operators(side):
    spins = noise(2, side, side, seed=side)
    there = [name for name in OPERATORS if side > 2]
    expected = []
    for name in there:
        total = 0
        for product in images(OPERATORS[name]):
            total += np.prod([np.roll(spins, spin, axis=(1, 2)) for spin in product], axis=0).sum(axis=(1, 2))
        expected.append(total)
    np.testing.assert_array_equal(operator_sums(spins, there), np.transpose(expected))
    np.testing.assert_array_equal(operator_sums(pack(spins), there), np.transpose(expected))


THREE = ("nearest", "diagonal", "plaquette")


def law_of_kept(couplings):
    """Law of the 2x2 torus that decimating 4x4 leaves, by enumeration: probabilities and statistics of 16 states."""
    probabilities = square.boltzmann_probabilities(couplings[0], diagonal=couplings[1], plaquette=couplings[2], side=4)
    kept = square.configurations(4)[:, ::2, ::2].reshape(-1, 4) > 0
    law = np.bincount(kept @ [1, 2, 4, 8], weights=probabilities, minlength=16)
    return law, square.statistics(square.configurations(2))[:, :3]


def exact_couplings(couplings):
    """Of the 2x2 torus after the step: three of them give every even law with its symmetries."""
    law, statistics = law_of_kept(couplings)
    design = np.concatenate([statistics, np.ones((16, 1))], axis=1)
    found, *_ = np.linalg.lstsq(design, np.log(law), rcond=None)
    np.testing.assert_allclose(design @ found, np.log(law), atol=1e-12)
    return found[:3]


def test_the_step_of_a_small_torus():
    """Derivatives of the exact couplings, by differences, have the eigenvalues that samples say."""
    start = np.array([0.35, 0.05, -0.02])
    width = 1e-5
    steps = np.eye(3) * width
    derivative = np.transpose([exact_couplings(start + d) - exact_couplings(start - d) for d in steps]) / (2 * width)
    named = {"diagonal": 0.05, "plaquette": -0.02}
    sample = sample_square(0.35, **named, side=4, samples=60000, algorithm="heat-bath", rng=1)
    found = monte_carlo_rg(sample, rule="decimation", levels=1, even=THREE, odd=("magnetization",))
    exact = np.log2(np.abs(np.linalg.eigvals(derivative)).max())
    assert found.sides == (4, 2)
    assert abs(found.thermal[0, 2] - exact) < BOUND * found.thermal_error[0, 2]
    # with one operator the derivative of its mean is that of the coupling only if there were no others
    assert abs(found.thermal[0, 0] - exact) > BOUND * found.thermal_error[0, 0]


def test_free_spins():
    """Without couplings the field of a spin is its own, whether its neighbours are removed or not."""
    found = monte_carlo_rg(noise(4000, 8, 8), rule="decimation", even=("nearest",), odd=("magnetization",))
    assert abs(found.magnetic[0, 0]) < BOUND * found.magnetic_error[0, 0]


@pytest.fixture(scope="module")
def critical():
    return sample_square(CRITICAL, side=32, samples=6000, rng=5)


def test_exponents(critical):
    found = monte_carlo_rg(critical, rng=1)
    assert found.sides == (32, 16, 8, 4)
    # what few operators leave out is 3 per cent of y_t in the first step, and less further on
    assert (np.abs(found.thermal[:, 3] - 1) < 0.03 + BOUND * found.thermal_error[:, 3]).all()
    assert (np.abs(found.magnetic[:, 3] - 1.875) < 0.00875 + BOUND * found.magnetic_error[:, 3]).all()
    assert found.thermal_error[0, 3] < 0.02
    assert found.magnetic_error[0, 3] < 0.001
    # in the disordered phase the same would be noticed
    warm = monte_carlo_rg(sample_square(0.4, side=32, samples=6000, rng=5), rng=1)
    assert (np.abs(warm.magnetic[:, 3] - 1.875) > 0.00875 + BOUND * warm.magnetic_error[:, 3]).all()


def test_eigenvalues_of_decimation_do_not_settle(critical):
    found = monte_carlo_rg(critical, rule="decimation")
    fallen = found.thermal[0, 3] - found.thermal[-1, 3]
    assert fallen > 0.1 + BOUND * np.hypot(found.thermal_error[0, 3], found.thermal_error[-1, 3])
    assert found.magnetic[0, 0] - 1.875 > 0.1 + BOUND * found.magnetic_error[0, 0]


def test_batches_are_one_sample():
    whole = sample_square(0.42, side=36, samples=900, rng=2, chains=1, algorithm="swendsen-wang", burn_in=50, thin=1)
    batches = iter([whole.packed[:500], whole.spins[500:]])
    one, two = (monte_carlo_rg(given, factor=3, even=THREE, odd=ODD[:2], blocks=4) for given in (whole, batches))
    assert one.sides == (36, 12, 4)
    assert one.samples == two.samples == 900
    np.testing.assert_array_equal(one.thermal, two.thermal)
    np.testing.assert_array_equal(one.magnetic_error, two.magnetic_error)
    drawn = iter_square(0.42, side=36, samples=900, batch=300, rng=2)
    assert monte_carlo_rg(drawn, factor=3, even=THREE, odd=ODD[:2], blocks=4).samples == 900


def test_matching_finds_the_critical_coupling():
    """From 0.43 on, 2.4 per cent off: linear in the distance, and one coupling of many."""
    large, small = (sample_square(0.43, side=side, samples=4000, rng=3) for side in (64, 32))
    found = match_couplings(large, small, rng=1)
    assert found.sides == (32, 16, 8, 4)
    critical = 0.43 - found.shifts[:, 0]  # b**y_t - 1 is 1
    errors = found.errors[:, 0]
    assert (np.abs(critical[1:] - CRITICAL) < 0.0015 + BOUND * errors[1:]).all()
    assert (np.abs(0.43 - critical[1:]) > 5 * errors[1:]).all()


def test_table():
    found = monte_carlo_rg(noise(4000, 8, 8), rule="decimation", even=("nearest",), odd=("magnetization",))
    lines = exponent_table(found).splitlines()
    assert lines[0] == "decimation, b = 2, 4000 configurations of side 8"
    assert lines[2].split() == ["y_t", "8", "->", "4"]
    assert lines[6].startswith(" 1 magnetization")


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((400, 8, 4), {}, r"square lattices \(samples, L, L\), got \(400, 8, 4\)"),
        ((400, 8, 8), {"rule": "average"}, "rule must be one of 'majority', 'decimation'"),
        ((400, 8, 8), {"rng": None}, "ties, which need random bits: pass rng, or an odd factor"),
        ((400, 6, 6), {}, "side 6 can be blocked by 2 0 times if a side of 4 is to be left, got levels=None"),
        ((400, 8, 8), {"levels": 3}, "side 8 can be blocked by 2 2 times if a side of 2 is to be left, got levels=3"),
        ((400, 8, 8), {"factor": 1}, "factor must be at least 2"),
        ((400, 8, 8), {"even": "nearest"}, "even must be a list of operators, of nearest,"),
        ((400, 8, 8), {"even": ["neighbours"]}, "even operators must be one of 'nearest'"),
        ((400, 8, 8), {"even": ["magnetization"]}, "even operators must be one of 'nearest'"),
        ((400, 8, 8), {"odd": ["corner", "corner"]}, "got 'corner' twice in odd"),
        ((400, 8, 8), {"blocks": 3}, "blocks must be at least 4"),
        ((400, 8, 8), {}, "7 operators and 20 blocks need at least 700 configurations, got 400"),
        ((4000, 4, 4), {"levels": 1}, "the operator 'third' does not fit a side of 2: leave it out"),
        ((0, 8, 8), {}, "spins must not be empty"),
    ],
)
def test_bad_input(shape, given, message):
    with pytest.raises(ParameterError, match=message):
        monte_carlo_rg(noise(*shape), **{"rng": 1} | given)


def test_dependent_operators():
    alike = np.ones((4000, 8, 8), np.int8)
    with pytest.raises(ParameterError, match="the operator 'nearest' is the same in all blocked configurations"):
        monte_carlo_rg(alike, rng=1)
    rows = noise(4000, 8, 1) * np.ones(8, np.int8)  # neighbours in a column are those of a diagonal
    with pytest.raises(ParameterError, match="the operators nearest, diagonal are linearly dependent"):
        monte_carlo_rg(rows, rule="decimation", odd=("magnetization",))


def test_matching_refuses():
    large, small = noise(400, 16, 16), noise(400, 16, 16)
    with pytest.raises(ParameterError, match="must be 2 times as large as the smaller one, got sides 16 and 16"):
        match_couplings(large, small, rule="decimation", levels=1)
    with pytest.raises(ParameterError, match="must be 2 times as large as the smaller one, got sides 8 and 16"):
        match_couplings(noise(400, 8, 8), large, rng=1)
    frozen = np.ones((400, 16, 16), np.int8)
    frozen[0, 0, 0] = -1  # without its block none varies
    with pytest.raises(ParameterError, match="the operator 'nearest' is the same in all blocked configurations"):
        match_couplings(frozen, frozen[:, ::2, ::2], rng=1)
    with pytest.raises(ParameterError, match="the iterator is empty"):
        monte_carlo_rg(iter([]), rng=1)
    with pytest.raises(ParameterError, match="the same side, got 16 and 8"):
        monte_carlo_rg(iter([large, noise(400, 8, 8)]), rng=1)
