"""Mutual information of kept and removed spins: small tori by enumeration, the plane by its exact correlations.

Statistics are at 5 sigma with fixed seeds, by Student's law with 19 degrees.
"""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import t

from isingflow.errors import ParameterError
from isingflow.flow.mutual_information import (
    enumerated_information,
    located_maximum,
    torus_information,
    window_information,
)
from isingflow.ising import square
from isingflow.ising.information import (
    neighbour_information,
    neighbour_sums,
    spin_entropy,
    sublattice_information,
)
from isingflow.ising.packing import PackedSpins, pack, turned_up
from isingflow.ising.sampling import sample_square

BOUND = t.isf(3e-7, 19)
CRITICAL = square.CRITICAL_COUPLING


def noise(*shape, seed=1):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


def entropy_of(law):
    return -sum(p * math.log(p) for p in law.values() if p > 0)


def by_dictionaries(coupling, side, kept, removed, *, turn):
    """``H(kept) + H(removed) - H(both)`` over all configurations, spelled out."""
    laws = {}, {}, {}
    for spins, p in zip(square.configurations(side), square.boltzmann_probabilities(coupling, side=side), strict=True):
        if turn and spins.sum() < 0:
            spins = -spins
        ours, theirs = (tuple(int(spins[y % side, x % side]) for y, x in sites) for sites in (kept, removed))
        for law, key in zip(laws, (ours, theirs, (ours, theirs)), strict=True):
            law[key] = law.get(key, 0.0) + p
    return entropy_of(laws[0]) + entropy_of(laws[1]) - entropy_of(laws[2])


@pytest.mark.parametrize("turn", [True, False])
@pytest.mark.parametrize(("coupling", "side"), [(0.3, 3), (0.6, 3), (CRITICAL, 4)])
def test_enumeration(coupling, side, turn):
    phase = "up" if turn else "symmetric"
    neighbours = [(-1, 0), (0, -1), (0, 1), (1, 0)]
    found = enumerated_information(coupling, side=side, phase=phase)
    assert found == pytest.approx(by_dictionaries(coupling, side, neighbours, [(0, 0)], turn=turn), abs=1e-12)
    sites = list(itertools.product(range(2), range(3)))
    kept, removed = ([site for site in sites if sum(site) % 2 == parity] for parity in (0, 1))
    found = enumerated_information(coupling, side=side, window=(2, 3), phase=phase)
    assert found == pytest.approx(by_dictionaries(coupling, side, kept, removed, turn=turn), abs=1e-12)


@pytest.mark.parametrize("coupling", [0.1, 0.3, CRITICAL, 0.8])
def test_sublattices_know_entropy_less_that_between_neighbours(coupling):
    """The two ways to say it agree on the 4x4 torus, where both can be enumerated."""
    direct = enumerated_information(coupling, window="sublattices", phase="symmetric") / 16
    spins = square.configurations(4)
    sums = sum(np.roll(spins, step, axis=axis) for step in (1, -1) for axis in (1, 2))[:, 0, 0]
    between = square.boltzmann_probabilities(coupling, side=4) @ spin_entropy(coupling * sums)
    entropy = square.log_partition(coupling, side=4) - 2 * coupling * square.bond_correlation(coupling, side=4)
    assert direct == pytest.approx(entropy - between, abs=1e-12)


@pytest.mark.parametrize("coupling", [0.3, 0.44, 0.6])
def test_samples_of_a_small_torus(coupling):
    packed = sample_square(coupling, side=4, samples=20000, rng=7).packed
    for window, phase in itertools.product(("cross", (2, 2), (2, 3), (3, 3)), ("up", "symmetric")):
        exact = enumerated_information(coupling, window=window, phase=phase)
        found = window_information(packed, window, phase=phase)
        assert abs(found.value - exact) < BOUND * found.error
        other = enumerated_information(coupling / 2, window=window, phase=phase)
        assert abs(found.value - other) > BOUND * found.error  # another coupling would be noticed
    found = torus_information(packed, coupling)
    exact = enumerated_information(coupling, window="sublattices", phase="symmetric") / 16
    assert abs(found.value - exact) < BOUND * found.error


def test_error_bars():
    """Pulls of 60 samples of two hundred configurations: neither the bars nor the values are far off."""
    exact = enumerated_information(0.4, phase="up")
    pulls = []
    for seed in range(60):
        found = window_information(sample_square(0.4, side=4, samples=400, rng=seed, algorithm="replicas").packed)
        pulls.append((found.value - exact) / found.error)
    spread = np.sqrt(np.mean(np.square(pulls)))
    # of Student's law: sqrt(19/17) = 1.06, within 5 standard errors of a root mean square of 60
    assert 0.55 < spread < 1.6
    assert abs(np.mean(pulls)) < 5 / math.sqrt(60)


@pytest.mark.parametrize("coupling", [0.3, 0.5])
def test_samples_approach_the_plane(coupling):
    packed = sample_square(coupling, side=128, samples=400, rng=2).packed
    found = window_information(packed)
    assert abs(found.value - neighbour_information(coupling, phase="up")) < BOUND * found.error
    found = torus_information(packed, coupling)
    assert abs(found.value - sublattice_information(coupling)) < BOUND * found.error


def test_law_of_the_neighbours():
    for coupling in (1e-3, 0.2, CRITICAL, 1.0):
        law = neighbour_sums(coupling)
        assert law.sum() == pytest.approx(1, abs=1e-12)
        squares = law @ [0, 4, 16]
        row, diagonal = (square.correlation(coupling, n, direction=name) for n, name in ((2, "row"), (1, "diagonal")))
        assert squares == pytest.approx(4 + 8 * diagonal + 4 * row, rel=1e-9)
    # in 120 digits, from Toeplitz determinants and the equation of the bonds
    exact = [0.3729998899955435915948586, 0.4999910180874593958068698, 0.1270090919169970125982716]
    np.testing.assert_allclose(neighbour_sums(0.04), exact, rtol=0, atol=3e-16)
    below, above = neighbour_sums(np.nextafter(0.05, 0)), neighbour_sums(0.05)
    np.testing.assert_allclose(below, above, rtol=0, atol=1e-13)
    np.testing.assert_allclose(neighbour_sums(1e-300), [0.375, 0.5, 0.125], rtol=0, atol=1e-16)
    packed = sample_square(0.3, side=128, samples=400, rng=2).packed
    spins = packed.spins()
    sums = sum(np.roll(spins, step, axis=axis) for step in (1, -1) for axis in (1, 2))
    shares = [(np.abs(sums) == size).mean(axis=(1, 2)) for size in (0, 2, 4)]
    for share, exact in zip(shares, neighbour_sums(0.3), strict=True):
        assert abs(share.mean() - exact) < 6 * share.std() / math.sqrt(len(share) / 2)


def test_where_the_plane_knows_most():
    """A cusp at ``K_c`` for one phase; for sublattices a maximum below it, and an infinite slope at it."""
    up = [neighbour_information(CRITICAL + d, phase="up") for d in (-1e-3, -1e-6, 0.0, 1e-6, 1e-3)]
    assert up[0] < up[1] < up[2] > up[3] > up[4]
    assert (up[2] - up[3]) / 1e-6 > 100 * (up[2] - up[1]) / 1e-6 > 0
    bounds = {"bounds": (0.3, 0.5), "method": "bounded", "options": {"xatol": 1e-9}}
    largest = minimize_scalar(lambda coupling: -sublattice_information(coupling), **bounds).x
    assert largest == pytest.approx(0.377656, abs=1e-6)
    slopes = [(sublattice_information(CRITICAL + d) - sublattice_information(CRITICAL)) / d for d in (1e-3, 1e-4, 1e-5)]
    # logarithmic: the same step of the slope for every power of ten
    np.testing.assert_allclose(np.diff(slopes), -0.979, atol=0.002)


def test_limits():
    assert neighbour_information(1e-4) == pytest.approx(2e-8, rel=1e-5)  # four bonds, K^2 / 2 each
    assert sublattice_information(1e-4) == pytest.approx(1e-8, rel=1e-5)
    assert neighbour_information(5.0) == pytest.approx(math.log(2), abs=1e-12)
    assert neighbour_information(5.0, phase="up") == pytest.approx(0, abs=1e-12)
    assert spin_entropy(0.0) == math.log(2)
    assert spin_entropy([400.0, 1e308, -math.inf]).tolist() == [0, 0, 0]
    assert sublattice_information(1e-300) == neighbour_information(1e-300) == 0
    assert spin_entropy(-1.3) == spin_entropy(1.3)


def test_levels():
    """After two steps the same as of the decimated lattice, but counted on all its sublattices."""
    spins = sample_square(0.42, side=32, samples=400, rng=4).spins
    one, other = window_information(spins, level=2), window_information(spins[:, ::2, ::2])
    assert one.error < other.error
    assert abs(one.value - other.value) < BOUND * math.hypot(one.error, other.error)
    same = np.repeat(np.repeat(spins[:, ::2, ::2], 2, axis=1), 2, axis=2)  # every sublattice the same lattice
    assert window_information(same, level=2).value == pytest.approx(
        window_information(spins[:, ::2, ::2]).value, rel=1e-4
    )


def test_turned_up():
    spins = noise(50, 5, 70)
    found = turned_up(pack(spins)).spins()
    signs = np.where(spins.sum(axis=(1, 2), keepdims=True) < 0, -1, 1)
    np.testing.assert_array_equal(found, spins * signs)
    assert (signs < 0).any()
    assert isinstance(turned_up(pack(spins)), PackedSpins)
    with pytest.raises(ParameterError, match="packed must be PackedSpins, got ndarray; pack int8 spins first"):
        turned_up(spins)


def test_located_maximum():
    couplings = np.linspace(0.3, 0.5, 41)

    def curve(x):
        return 1 - 30 * (x - 0.42) ** 2 - 60 * (x - 0.42) ** 3

    found = located_maximum(couplings, curve(couplings), np.full(41, 1e-3))
    assert found.place == pytest.approx(0.42, abs=1e-9)
    assert found.value == pytest.approx(1.0, abs=1e-9)
    rng = np.random.default_rng(3)
    places = [
        located_maximum(couplings, curve(couplings) + rng.normal(0, 1e-3, 41), np.full(41, 1e-3)) for _ in range(200)
    ]
    spread = np.std([one.place for one in places])
    assert np.mean([one.error for one in places]) == pytest.approx(spread, rel=0.25)  # 5 standard errors of a spread
    with pytest.raises(ParameterError, match=r"six points or more above 0\.93 of it, within the range"):
        located_maximum(couplings, couplings, np.full(41, 1e-3))
    with pytest.raises(ParameterError, match="got 4"):
        located_maximum(couplings[::5], curve(couplings[::5]), np.full(9, 1e-3))
    values, errors = curve(couplings), np.full(41, 1e-3)
    for given in (([], [], []), (couplings, values[1:], errors), (couplings, values, 1e-3)):
        with pytest.raises(ParameterError, match="must be as many, at least one, got shapes"):
            located_maximum(*given)
    for given in (
        (couplings[::-1], values, errors),
        (couplings, np.full(41, np.nan), errors),
        (couplings, values, 0 * errors),
        (couplings, values, np.nan * errors),
    ):
        with pytest.raises(ParameterError, match="couplings must ascend, values be finite, and errors positive"):
            located_maximum(*given)


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((40, 8, 4), {}, r"square lattices \(samples, L, L\), got \(40, 8, 4\)"),
        ((19, 8, 8), {}, "at least 20 configurations, got 19"),
        ((40, 8, 8), {"window": "square"}, r"window must be 'cross' or a pair \(rows, columns\), got 'square'"),
        ((40, 8, 8), {"window": 3}, r"window must be 'cross' or a pair \(rows, columns\), got 3"),
        ((40, 8, 8), {"window": (1, 1)}, "spins in a window must be between 2 and 16, got 1"),
        ((40, 8, 8), {"window": (5, 4)}, "spins in a window must be between 2 and 16, got 20"),
        ((40, 2, 2), {}, "does not fit a torus of side 2: spins of it are the same"),
        ((40, 8, 8), {"level": 5}, "does not fit a torus of side 8|decimation steps need a side"),
        ((40, 8, 8), {"phase": "down"}, "phase must be one of 'symmetric', 'up'"),
        ((20, 8, 8), {"window": (4, 4)}, "a window of 16 spins needs more samples: .* show .*% of its law"),
    ],
)
def test_bad_windows(shape, given, message):
    with pytest.raises(ParameterError, match=message):
        window_information(noise(*shape), **given)


def test_other_bad_input():
    with pytest.raises(ParameterError, match="two sublattices if its side is even, got 5"):
        torus_information(noise(40, 5, 5), 0.3)
    with pytest.raises(ParameterError, match="two sublattices if its side is even, got 3"):
        enumerated_information(0.3, side=3, window="sublattices")
    with pytest.raises(ParameterError, match="coupling must be greater than 0"):
        torus_information(noise(40, 4, 4), 0.0)
    with pytest.raises(
        ParameterError, match=r"window must be 'cross', 'sublattices' or a pair \(rows, columns\), got 'x'"
    ):
        enumerated_information(0.3, window="x")
    with pytest.raises(ParameterError, match="does not fit a torus of side 2"):
        enumerated_information(0.3, side=2)
    with pytest.raises(ParameterError, match="side must be between 1 and 4"):
        enumerated_information(0.3, side=5)
    with pytest.raises(ParameterError, match="coupling must be greater than 0"):
        neighbour_sums(-0.1)
    with pytest.raises(ParameterError, match="phase must be one of"):
        neighbour_information(0.3, phase="down")
