"""The leading terms of the decay against exact correlations, plain sums, and their asymptotic powers.

Nothing here is random.
"""

import cmath
import math

import numpy as np
import pytest

from isingflow.ising import decay, square


def plain_sums(distance, mass, momenta=96):
    """Both terms by the book: `cosh e_q = cosh e_0 + 1 - cos q`."""
    grid = [math.pi * (2 * k + 1) / momenta for k in range(momenta)]
    energy = [math.acosh(math.cosh(mass) + 1 - math.cos(q)) for q in grid]
    one = sum(math.exp(-distance * e) / math.sinh(e) for e in energy) / momenta
    two = 0.0
    for q, e in zip(grid, energy, strict=True):
        for p, f in zip(grid, energy, strict=True):
            factor = ((cmath.exp(1j * q) - cmath.exp(1j * p)) * cmath.exp(-1j * (p + q) / 2) / 2j).real
            factor /= math.sinh((e + f) / 2)
            two += math.exp(-distance * (e + f)) / (math.sinh(e) * math.sinh(f)) * factor**2
    return one, two / (2 * momenta**2)


@pytest.mark.parametrize("mass", [0.5, 1.3])
@pytest.mark.parametrize("distance", [1, 3.5, 8])
def test_terms_are_their_sums(mass, distance):
    one, two = plain_sums(distance, mass)
    assert decay.disordered([distance], 1 / mass)[0] == pytest.approx(one, rel=1e-10)
    assert decay.ordered([distance], 0.5 / mass)[0] == pytest.approx(two, rel=1e-10)


def coupling_of(mass, ordered):
    """`sinh 2K` from `cosh e_0 = sinh 2K + 1/sinh 2K - 1`."""
    half = (math.cosh(mass) + 1) / 2
    sinh = half + math.sqrt(half**2 - 1) * (1 if ordered else -1)
    return math.asinh(sinh) / 2


@pytest.mark.parametrize("scale", [0.7, 2.0, 5.0, 12.0])
def test_below_the_critical_coupling(scale):
    coupling = coupling_of(1 / scale, ordered=False)
    assert square.correlation_length(coupling) == pytest.approx(scale, rel=1e-10)
    distances = [2, 3, 5, 9, round(4 * scale) + 9] if scale > 1 else [2, 3, 5, 9]
    exact = [square.correlation(coupling, r, direction="row") for r in distances]
    ratio = exact / decay.disordered(distances, scale)
    np.testing.assert_allclose(ratio / ratio[-1], 1, atol=0.01)


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0, 6.0, 12.0])
def test_above_the_critical_coupling(scale):
    coupling = coupling_of(0.5 / scale, ordered=True)
    assert square.correlation_length(coupling) == pytest.approx(scale, rel=1e-9)
    distances = [2, 3, 5, 9] if scale > 0.9 else [2, 3]
    exact = np.array([square.correlation(coupling, r, direction="row") for r in distances])
    connected = exact / square.magnetization(coupling) ** 2 - 1
    np.testing.assert_allclose(connected / decay.ordered(distances, scale), 1, atol=2e-3 if scale > 9 else 1e-3)


@pytest.mark.parametrize(("term", "power"), [(decay.disordered, 0.5), (decay.ordered, 2.0)])
def test_powers_of_the_prefactors(term, power):
    scale, distances = 2.0, np.array([60.0, 61.0, 150.0, 151.0])
    values = np.log(term(distances, scale)) + distances / scale
    slopes = -np.diff(values)[::2] / np.diff(np.log(distances))[::2]
    assert abs(slopes[1] - power) < abs(slopes[0] - power)
    assert slopes[1] == pytest.approx(power, rel=0.05)


@pytest.mark.parametrize("side", [16, 64, 256])
def test_at_the_critical_coupling_on_a_torus(side):
    distances = np.arange(1, side // 4 + 1)
    on = {"coupling": square.CRITICAL_COUPLING, "direction": "row"}
    torus, plane = (
        np.array([square.correlation(distance=int(r), side=of, **on) for r in distances]) for of in (side, None)
    )
    # conformal theory knows no lattice: what is left falls with its constant over the side
    deviations = torus / plane / decay.critical_on_torus(distances, side) - 1
    assert np.abs(deviations).max() < 0.06 / side
    assert torus[-1] / plane[-1] > 1.1
