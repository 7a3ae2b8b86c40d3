"""Onsager, Kaufman and Toeplitz determinants against enumeration, transfer matrices, closed forms and each other.

Nothing here is random.
"""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isingflow.errors import ParameterError
from isingflow.ising import square
from isingflow.ising.square import CRITICAL_COUPLING, SquareTorus

law = settings(deadline=None, derandomize=True, max_examples=30)

COUPLINGS = [0.05, 0.3, CRITICAL_COUPLING, math.nextafter(CRITICAL_COUPLING, 1), 0.5, 1.2]


@functools.cache
def tori(side):
    """Every torus as rows of spins, and its bond sum, counted site by site."""
    sites = [(y, x) for y in range(side) for x in range(side)]
    spins = np.array(list(itertools.product([-1, 1], repeat=side * side)), np.int8)
    at = {site: spins[:, index].astype(np.int64) for index, site in enumerate(sites)}
    bonds = sum(at[y, x] * (at[y, (x + 1) % side] + at[(y + 1) % side, x]) for y, x in sites)
    return at, bonds


def enumerated(coupling, side):
    _, bonds = tori(side)
    weights = np.exp(coupling * (bonds - bonds.max()))
    return weights / weights.sum(), coupling * bonds.max() + math.log(weights.sum())


@functools.cache
def transfer_matrix_row(coupling, side):
    """Correlations along a row, from the spectrum of the symmetric transfer matrix between rows."""
    spins = np.array(list(itertools.product([-1, 1], repeat=side)))
    half = np.exp(coupling / 2 * (spins * np.roll(spins, 1, axis=1)).sum(axis=1))
    values, vectors = np.linalg.eigh(half[:, None] * np.exp(coupling * spins @ spins.T) * half)
    row = vectors**2 @ (values / values.max()) ** side
    return [float(row @ (spins[:, 0] * spins[:, r]) / row.sum()) for r in range(side)]


@pytest.mark.parametrize("side", [2, 3, 4])
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_small_tori(coupling, side):
    at, bonds = tori(side)
    probabilities, log_partition = enumerated(coupling, side)
    assert square.log_partition(coupling, side=side) == pytest.approx(log_partition / side**2, rel=1e-14)
    exact = probabilities @ bonds / (2 * side**2)
    assert square.bond_correlation(coupling, side=side) == pytest.approx(exact, rel=1e-12)
    for distance in range(2 * side + 1):
        exact = probabilities @ (at[0, 0] * at[0, distance % side])
        found = square.correlation(coupling, distance, direction="row", side=side)
        assert found == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("coupling", [-0.3, -CRITICAL_COUPLING, -1.2])
def test_antiferromagnets_on_even_tori(coupling, side):
    _, bonds = tori(side)
    probabilities, log_partition = enumerated(coupling, side)
    assert square.log_partition(coupling, side=side) == pytest.approx(log_partition / side**2, rel=1e-14)
    exact = probabilities @ bonds / (2 * side**2)
    assert square.bond_correlation(coupling, side=side) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("coupling", [0.3, 0.6])
def test_thermodynamics_of_the_plane_is_even(coupling):
    assert square.log_partition(-coupling) == square.log_partition(coupling)
    assert square.bond_correlation(-coupling) == -square.bond_correlation(coupling)
    assert square.specific_heat(-coupling) == square.specific_heat(coupling)


@pytest.mark.parametrize("side", [5, 7, 8])
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_row_correlations_of_transfer_matrices(coupling, side):
    exact = transfer_matrix_row(coupling, side)
    found = [square.correlation(coupling, r, direction="row", side=side) for r in range(side)]
    np.testing.assert_allclose(found, exact, rtol=1e-11, atol=2e-15)
    assert found[1] == pytest.approx(square.bond_correlation(coupling, side=side), rel=1e-12)


def test_row_correlations_of_a_critical_torus():
    # the four terms at 50 digits, 1e-18 beside K_c on either side
    exact = [0.7083224771, 0.5969042875, 0.5017605309, 0.4247185208, 0.3624538296]
    found = [square.correlation(CRITICAL_COUPLING, 2**n, direction="row", side=256) for n in range(5)]
    np.testing.assert_allclose(found, exact, rtol=0, atol=5.1e-11)


@pytest.mark.parametrize("coupling", [0.2, 0.3, 0.6, 0.8])
def test_large_tori_are_the_plane(coupling):
    for what in (square.log_partition, square.bond_correlation):
        # ordered tori have two phases: ln 2 of the whole
        shift = math.log(2) / 96**2 if what is square.log_partition and coupling > CRITICAL_COUPLING else 0.0
        assert what(coupling, side=96) - shift == pytest.approx(what(coupling), rel=1e-13)
    for distance in (1, 2, 5, 10):
        torus = square.correlation(coupling, distance, direction="row", side=96)
        assert torus == pytest.approx(square.correlation(coupling, distance, direction="row"), rel=1e-11)


def test_critical_values():
    root_half, diagonal = math.sqrt(0.5), 2 / math.pi
    assert math.sinh(2 * CRITICAL_COUPLING) == pytest.approx(1, rel=1e-15)
    assert square.log_partition(CRITICAL_COUPLING) == pytest.approx(
        math.log(2) / 2 + 2 * 0.915965594177219015 / math.pi, rel=1e-14
    )
    assert square.bond_correlation(CRITICAL_COUPLING) == pytest.approx(root_half, rel=1e-14)
    assert square.correlation(CRITICAL_COUPLING, 1, direction="row") == pytest.approx(root_half, rel=1e-13)
    assert square.correlation(CRITICAL_COUPLING, 2, direction="row") == pytest.approx(1 - diagonal**2, rel=1e-13)
    for n in (1, 2, 3, 10, 60):
        # McCoy and Wu: (2/pi)^n prod_k (1 - 1/(4 k^2))^(k - n)
        exact = diagonal**n * math.prod((1 - 1 / (4 * k * k)) ** (k - n) for k in range(1, n))
        assert square.correlation(CRITICAL_COUPLING, n, direction="diagonal") == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("coupling", [*COUPLINGS, 3.0, 10.0])
def test_neighbours_along_a_row_are_bonds(coupling):
    exact = square.bond_correlation(coupling)
    assert square.correlation(coupling, 1, direction="row") == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("coupling", [0.1, 0.3, 0.42, 0.46, 0.7])
@pytest.mark.parametrize("side", [None, 6, 7])
def test_bond_is_the_slope_of_the_partition_function(coupling, side):
    h = 1e-3  # differences of fourth order
    lnz = [square.log_partition(coupling + shift * h, side=side) for shift in (-2, -1, 1, 2)]
    slope = (lnz[0] - 8 * lnz[1] + 8 * lnz[2] - lnz[3]) / (12 * h)
    assert 2 * square.bond_correlation(coupling, side=side) == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("coupling", [1e-3, 0.0199, 0.0201, 0.1, 0.3, 0.42, 0.46, 0.7, 1.5])
def test_specific_heat_is_the_slope_of_the_bond(coupling):
    h = min(1e-2 * coupling, 5e-3 * abs(coupling - CRITICAL_COUPLING), 2e-3)
    bond = [square.bond_correlation(coupling + shift * h) for shift in (-2, -1, 1, 2)]
    slope = (bond[0] - 8 * bond[1] + 8 * bond[2] - bond[3]) / (12 * h)
    assert square.specific_heat(coupling) == pytest.approx(2 * coupling**2 * slope, rel=1e-8)


def test_specific_heat_diverges():
    assert square.specific_heat(CRITICAL_COUPLING) == math.inf
    assert square.specific_heat(0.0) == 0.0
    sizes = [square.specific_heat(CRITICAL_COUPLING * (1 + gap)) for gap in (1e-4, 1e-6, 1e-8)]
    # logarithmically: -(8 K_c^2 / pi) ln |1 - K/K_c|
    step = 8 * CRITICAL_COUPLING**2 / math.pi * math.log(100)
    np.testing.assert_allclose(np.diff(sizes), step, rtol=2e-3)


def test_magnetization():
    assert square.magnetization(0.3) == 0.0
    assert square.magnetization(CRITICAL_COUPLING) == 0.0
    for coupling in (0.4407, 0.45, 0.6, 2.0, 100.0):
        exact = (1 - math.sinh(2 * coupling) ** -4) ** 0.125
        assert square.magnetization(coupling) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("direction", ["row", "diagonal"])
@pytest.mark.parametrize("coupling", [0.5, 0.6, 1.0])
def test_distant_spins_are_independent_in_each_phase(coupling, direction):
    far = square.correlation(coupling, 60, direction=direction)
    assert far == pytest.approx(square.magnetization(coupling) ** 2, rel=1e-11)


@pytest.mark.parametrize(("direction", "step"), [("row", 1.0), ("diagonal", math.sqrt(2))])
@pytest.mark.parametrize(("coupling", "power"), [(0.25, 0.5), (0.36, 0.5), (0.5, 2.0), (0.55, 2.0)])
def test_correlation_length_is_that_of_the_decay(coupling, power, direction, step):
    xi = square.correlation_length(coupling, direction=direction)
    r = round(4 * xi / step) + 2

    def rate(distance):
        near, far = (
            square.correlation(coupling, d, direction=direction) - square.magnetization(coupling) ** 2
            for d in (distance, distance + 1)
        )
        return (math.log(near / far) - power * math.log1p(1 / distance)) / step

    # what is left of the prefactor falls as the square of the distance
    limit = (4 * rate(2 * r) - rate(r)) / 3
    assert limit * xi == pytest.approx(1, abs=0.01)
    assert abs(rate(2 * r) * xi - 1) < abs(rate(r) * xi - 1)


def test_correlation_length():
    assert square.correlation_length(0.0) == 0.0
    assert square.correlation_length(CRITICAL_COUPLING) == math.inf
    assert square.correlation_length(0.3) == pytest.approx(-1 / (0.6 + math.log(math.tanh(0.3))), rel=1e-14)
    assert square.correlation_length(0.6) == pytest.approx(0.5 / (1.2 + math.log(math.tanh(0.6))), rel=1e-14)
    near = [square.correlation_length(CRITICAL_COUPLING + gap) for gap in (-1e-9, 1e-9)]
    np.testing.assert_allclose(near, [0.25e9, 0.125e9], rtol=1e-6)
    for coupling, sides in ((0.3, 2), (0.6, 4)):
        exact = math.sqrt(2) / (sides * abs(math.log(math.sinh(2 * coupling))))
        assert square.correlation_length(coupling, direction="diagonal") == pytest.approx(exact, rel=1e-13)


def test_no_coupling_and_no_distance():
    assert square.log_partition(0.0) == square.log_partition(0.0, side=5) == math.log(2)
    assert square.bond_correlation(0.0) == square.bond_correlation(0.0, side=5) == 0.0
    for side in (None, 6):
        assert square.correlation(0.0, 2, direction="row", side=side) == 0.0
        assert square.correlation(0.3, 0, direction="row", side=side) == 1.0
    assert square.correlation(0.3, 18, direction="row", side=6) == 1.0


@pytest.mark.parametrize("coupling", [5.0, 40.0, 100.0])
@pytest.mark.parametrize("side", [None, 2, 6])
def test_strong_couplings(coupling, side):
    both_phases = 0.0 if side is None else math.log(2) / side**2
    assert square.log_partition(coupling, side=side) == pytest.approx(2 * coupling + both_phases, rel=1e-15)
    assert square.bond_correlation(coupling, side=side) == pytest.approx(1.0, rel=1e-13)
    assert square.correlation(coupling, 3, direction="row", side=side) == pytest.approx(1.0, rel=1e-12)
    if side is None:
        assert square.specific_heat(coupling) == pytest.approx(64 * coupling**2 * math.exp(-8 * coupling), abs=1e-9)
        assert square.magnetization(coupling) == pytest.approx(1.0, rel=1e-8)


@pytest.mark.parametrize("coupling", [5e-324, 1e-160, 1e-30, 1e-8, 9.9e-5, 1.01e-4])
@pytest.mark.parametrize("side", [None, 2, 3, 4, 5, 6])
def test_weak_couplings(coupling, side):
    # paths between neighbours by their length; two bonds of a 2 x 2 torus coincide
    t = math.tanh(coupling)
    exact = {2: 2 * t + 6 * t**3, 3: t + t**2 + 2 * t**3, 4: t + 3 * t**3}.get(side, t + 2 * t**3)
    # above 1e-4 terms of order 1/K cancel
    tolerance = 1e-12 if coupling < 1e-4 else 1e-7
    assert square.bond_correlation(coupling, side=side) == pytest.approx(exact, rel=tolerance, abs=0)
    bonds = 2 if side == 2 else 1
    assert square.log_partition(coupling, side=side) == pytest.approx(math.log(2) + bonds * t**2, abs=1e-12)
    for distance, direction in ((1, "row"), (2, "row"), (2, "diagonal")):
        if direction == "row" or side is None:
            found = square.correlation(coupling, distance, direction=direction, side=side)
            neighbour = distance == 1 or (side == 3 and distance == 2)
            assert found == pytest.approx(exact if neighbour else 1.0 if side == distance else 0.0, abs=5e-8)


@pytest.mark.parametrize("side", [2, 3, 4])
def test_relative_entropy_of_small_tori(side):
    for p, q in ((0.4407, 0.3), (0.3, 0.9), (0.2, 0.2)):
        (here, _), (there, _) = enumerated(p, side), enumerated(q, side)
        exact = float(here @ np.log(here / there))
        found = SquareTorus(p, side=side).relative_entropy_to(SquareTorus(q, side=side))
        assert found == pytest.approx(exact, abs=1e-13)
        assert square.relative_entropy_per_site(p, q, side=side) == pytest.approx(exact / side**2, abs=1e-14)
    assert SquareTorus(0.3, side=side).dof == side**2


@given(p=st.floats(-1.5, 1.5), q=st.floats(-1.5, 1.5), side=st.sampled_from([None, 2, 4, 12]))
@law
def test_relative_entropy_is_not_negative(p, q, side):
    assert square.relative_entropy_per_site(p, q, side=side) >= -1e-13


def naive_statistics(spins):
    side = len(spins)
    sums = [0, 0, 0, 0]
    for y in range(side):
        for x in range(side):
            here, right = spins[y][x], spins[y][(x + 1) % side]
            below, across = spins[(y + 1) % side][x], spins[(y + 1) % side][(x + 1) % side]
            sums[0] += here * right + here * below
            sums[1] += here * across + right * below
            sums[2] += here * right * below * across
            sums[3] += here
    return sums


@pytest.mark.parametrize("side", [1, 2, 3])
def test_general_couplings_of_small_tori(side):
    couplings = (0.3, -0.2, 0.15, 0.1)
    spins = square.configurations(side)
    assert spins.dtype == np.int8
    assert len(np.unique(spins.reshape(len(spins), -1), axis=0)) == 2 ** (side * side)
    sums = [naive_statistics(lattice) for lattice in spins.tolist()]
    np.testing.assert_array_equal(square.statistics(spins), sums)
    weights = np.array([math.exp(sum(k * s for k, s in zip(couplings, row, strict=True))) for row in sums])
    nearest, diagonal, plaquette, field = couplings
    found = square.boltzmann_probabilities(nearest, side=side, diagonal=diagonal, plaquette=plaquette, field=field)
    np.testing.assert_allclose(found, weights / weights.sum(), rtol=1e-12)


def test_order_and_multiplicity():
    spins = square.configurations(3)
    index = 1 << 1 | 1 << 5
    assert np.argwhere(spins[index] == 1).tolist() == [[0, 1], [1, 2]]
    for side in (1, 2, 3, 4, 7):
        sites = side * side
        up = np.ones((5, side, side), np.int8)
        assert square.statistics(up).tolist() == [[2 * sites, 2 * sites, sites, sites]] * 5
    # on a 2 x 2 torus every bond is there twice, and a diagonal four times
    assert square.statistics([[1, -1], [1, 1]]).tolist() == [0, 0, -4, 2]
    assert square.boltzmann_probabilities(100.0, side=4).sum() == pytest.approx(1, abs=1e-15)


def test_coupling_from_temperature():
    assert square.coupling_from_temperature(0.01) == 100.0
    assert square.coupling_from_temperature(2 / math.log1p(math.sqrt(2))) == pytest.approx(CRITICAL_COUPLING)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: square.log_partition(math.nan), "coupling must be finite"),
        (lambda: square.log_partition(0.3, side=1), "side must be at least 2, got 1"),
        (lambda: square.log_partition(-0.3, side=3), "a negative coupling needs a torus of even side, got side=3"),
        (lambda: square.bond_correlation(-0.3, side=5), "even side, got side=5"),
        (lambda: SquareTorus(-0.3, side=5), "even side"),
        (lambda: SquareTorus(101, side=4), r"coupling must lie in \[-100, 100\]"),
        (lambda: SquareTorus(0.3, side=4).relative_entropy_to(SquareTorus(0.3, side=6)), "a torus of side 4 can only"),
        (lambda: SquareTorus(0.3, side=4).relative_entropy_to(0.3), "a torus of side 4 can only"),
        (lambda: square.relative_entropy_per_site(0.3, math.inf), "q must be finite"),
        (lambda: square.specific_heat(math.inf), "coupling must be finite"),
        (lambda: square.magnetization(-0.5), r"coupling must lie in \[0, 100\]"),
        (lambda: square.correlation_length(-0.5), r"coupling must lie in \[0, 100\]"),
        (lambda: square.correlation_length(0.5, direction="rows"), "did you mean 'row'"),
        (lambda: square.correlation(-0.5, 1, direction="row"), r"coupling must lie in \[0, 100\]"),
        (lambda: square.correlation(0.5, -1, direction="row"), "distance must be between 0 and 1024"),
        (lambda: square.correlation(0.5, 1025, direction="row"), "distance must be between 0 and 1024"),
        (lambda: square.correlation(0.5, 1.0, direction="row"), "distance must be a whole number"),
        (lambda: square.correlation(0.5, 1, direction="column"), "direction must be one of 'row', 'diagonal'"),
        (lambda: square.correlation(0.5, 1, direction="diagonal", side=4), "on a torus only row correlations"),
        (lambda: square.correlation(0.5, 1, direction="row", side=1), "side must be at least 2"),
        (lambda: square.configurations(5), "side must be between 1 and 4, got 5"),
        (lambda: square.boltzmann_probabilities(0.1, side=2, plaquette=math.nan), "plaquette must be finite"),
        (lambda: square.coupling_from_temperature(0.0), "temperature must lie in"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
