"""Averages of activations: against brute-force quadrature, closed forms, and each other."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from isingflow.errors import ParameterError
from isingflow.network.activations import _KOLMOGOROV, named

NAMES = ("tanh", "erf", "relu", "leaky_relu", "leaky_relu(0.2)", "leaky_relu(-0.5)", "hard_tanh", "linear")
ODD = ("tanh", "erf", "hard_tanh", "linear")


def panels(breaks, end=9, nodes=30):
    """Nodes and weights of E[f(x)], f smooth between the breaks."""
    x, weights = np.polynomial.legendre.leggauss(nodes)
    ends = np.unique(np.clip([*np.linspace(-end, end, 9), *breaks], -end, end))
    half = np.diff(ends)[:, None] / 2
    x = ends[:-1, None] + half * (x + 1)
    return x.ravel(), (half * weights * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)).ravel()


def brute(phi, first, second, correlation):
    """E[(phi(u) - phi(v))^2] and E[phi'(u) phi'(v)] by panels between the kinks: over u, and for each u over v."""
    one, other = math.sqrt(first), math.sqrt(second)
    rest = math.sqrt(1 - correlation**2)
    kinks = np.array(phi.kinks)
    x, weights = panels([*kinks / one, *kinks / (correlation * other)])
    total = np.zeros(2)
    for u, weight in zip(x, weights, strict=True):
        y, inner = panels((kinks / other - correlation * u) / rest)
        v = other * (correlation * u + rest * y)
        found = (phi(one * u) - phi(v)) ** 2, phi.slope(one * u) * phi.slope(v)
        total += weight * np.sum(inner * found, axis=1)
    return total


@pytest.mark.parametrize("name", NAMES)
def test_averages_against_brute_force(name):
    phi = named(name)
    for (first, second), c in itertools.product([(2.0, 2.0), (0.3, 3.0)], [-0.9, 0.2, 0.95]):
        squared = first + second - 2 * c * math.sqrt(first * second)
        q_1 = np.array([first])
        q_2 = q_1 if first == second else np.array([second])
        found = np.ravel(phi.pair(q_1, q_2, np.array([squared])))
        np.testing.assert_allclose(found, brute(phi, first, second, c), rtol=1e-12)
    for variance in (1e-3, 0.5, 6.0):
        x, weights = panels(np.array(phi.kinks) / math.sqrt(variance), 12, 60)
        moment, slope = phi.moment(np.array([variance]))
        u = math.sqrt(variance) * x
        assert moment[0] == pytest.approx(np.sum(weights * phi(u) ** 2), rel=1e-12)
        # d/dq E[f(sqrt(q) x)] = E[x f'] / (2 sqrt q), f = phi^2
        expected = np.sum(weights * x * phi(u) * phi.slope(u)) / math.sqrt(variance)
        assert slope[0] == pytest.approx(expected, rel=1e-12)


def test_error_functions_of_tanh_are_a_gauss_rule():
    """With twelve nodes, exact for polynomials in ln s up to degree 23, averaged with Kolmogorov's law."""
    nodes, weights = _KOLMOGOROV
    centred = np.log(nodes) + 0.2

    def exact(order):
        def integrand(t):
            return (t + 0.2) ** order * stats.kstwobign.pdf(math.exp(t)) * math.exp(t)

        return integrate.quad(integrand, -2.2, 1.7, epsabs=1e-14, epsrel=1e-12, limit=200)[0]

    for order in (0, 1, 2, 5, 10, 16, 23):
        assert np.sum(weights * centred**order) == pytest.approx(exact(order), rel=1e-8)
    assert abs(np.sum(weights * centred**24) / exact(24) - 1) > 1e-7
    # of the mixed laws the variance is pi^2/12 and the density at zero, the slope of tanh, half
    assert np.sum(weights * nodes**2) == pytest.approx(math.pi**2 / 12, rel=1e-14)
    assert np.sum(weights / nodes) * math.sqrt(2 / math.pi) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("variance", [1e-8, 1e-3, 0.1, 1.0, 10.0, 1e3, 2e4])
def test_tanh_at_every_variance(variance):
    """The trapezoid rule of E[tanh^2] and E[tanh'^2] converges geometrically; here to beyond sixteen digits."""
    root, phi = math.sqrt(variance), named("tanh")
    x = np.linspace(-11, 11, int(4000 * max(1, root / 3)) + 1)
    weights = np.exp(-(x**2) / 2)
    weights /= weights.sum()
    moment = phi.second_moment(np.array([variance]))[0]
    assert moment == pytest.approx(np.sum(weights * np.tanh(root * x) ** 2), rel=3e-14)
    slopes = phi.slope_product(*2 * [np.array([variance])], np.zeros(1))[0]
    assert slopes == pytest.approx(np.sum(weights * phi.slope(root * x) ** 2), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variance", [0.05, 1.0, 30.0])
def test_small_differences_keep_their_digits(name, variance):
    phi, q = named(name), np.array([variance])
    slope = phi.slope_product(q, q, np.zeros(1))[0]
    for squared in (1e-12, 1e-25, 1e-100):
        # kinks add a term of order sqrt(d / q)
        allowed = 1e-12 + 3 * math.sqrt(squared / variance) * bool(phi.kinks)
        assert phi.difference(q, q, np.array([squared]))[0] / squared == pytest.approx(slope, rel=allowed)
        # of two arrays, as for inputs of different norms
        assert phi.difference(q, q.copy(), np.array([squared]))[0] / squared == pytest.approx(slope, rel=allowed)


@pytest.mark.parametrize("name", NAMES)
def test_ends_of_the_range(name):
    """No variance, equal inputs, opposite inputs: no NaN, and what they must be."""
    phi = named(name)
    zero, one, four = np.zeros(1), np.ones(1), 4 * np.ones(1)
    difference, slopes = phi.pair(zero, zero, zero)
    assert difference[0] == 0
    assert np.isfinite(slopes[0])
    assert phi.moment(zero)[0][0] == 0
    assert phi.difference(zero, one, one)[0] == pytest.approx(phi.second_moment(one)[0], rel=1e-14)
    assert phi.difference(one, one, zero)[0] == 0
    if name in ODD:
        assert phi.difference(one, one, four)[0] == pytest.approx(4 * phi.second_moment(one)[0], rel=1e-14)
        assert phi.slope_product(one, one, four)[0] == pytest.approx(phi.slope_product(one, one, zero)[0], rel=1e-14)


def test_closed_forms():
    """Of erf and relu, as published, and of linear."""
    q = np.array([0.8])
    for c in (-0.7, 0.0, 0.3, 0.9):
        squared = 2 * q * (1 - c)
        angle = math.acos(c)
        product = {name: named(name).second_moment(q) - named(name).difference(q, q, squared) / 2 for name in NAMES}
        assert product["erf"] == pytest.approx(2 / math.pi * math.asin(2 * c * 0.8 / (1 + 1.6)), abs=1e-15)
        arccosine = 0.8 / (2 * math.pi) * (math.sin(angle) + (math.pi - angle) * c)
        assert product["relu"] == pytest.approx(arccosine, rel=1e-14)
        assert product["linear"] == pytest.approx(0.8 * c, abs=1e-15)
        for slope in (0.2, -0.5):
            mixed = slope * 0.8 * c + (1 - slope) ** 2 * arccosine
            assert product[f"leaky_relu({slope})"] == pytest.approx(mixed, rel=1e-13)
    assert named("relu").moment(q) == (0.4, 0.5)


@pytest.mark.parametrize("name", NAMES)
def test_hermite_coefficients(name):
    """Against their definition; kinks make the integrand of high orders hard for quadrature, so to order 11."""
    phi = named(name)
    for variance in (0.2, 3.0):
        found = phi.hermite(np.array([variance]), 12)[0]
        x, weights = panels(np.array(phi.kinks) / math.sqrt(variance), 12, 60)
        polynomials = [special.eval_hermitenorm(n, x) / math.sqrt(math.factorial(n)) for n in range(12)]
        expected = [np.sum(weights * phi(math.sqrt(variance) * x) * polynomial) for polynomial in polynomials]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("name", "tolerance"), [("tanh", 1e-14), ("erf", 1e-14), ("relu", 1e-6), ("hard_tanh", 1e-6)])
def test_power_series_of_the_correlation(name, tolerance):
    """``E[phi(u) phi(v)] = sum a_n(q_1) a_n(q_2) c^n``; for kinks the terms fall as powers."""
    phi, q_1, q_2 = named(name), np.array([0.4]), np.array([1.5])
    for c in (-0.8, 0.3, 0.9):
        squared = q_1 + q_2 - 2 * c * np.sqrt(q_1 * q_2)
        moments = phi.second_moment(q_1) + phi.second_moment(q_2)
        product = (moments - phi.difference(q_1, q_2, squared))[0] / 2
        series = np.sum(phi.hermite(q_1, 400) * phi.hermite(q_2, 400) * c ** np.arange(400))
        assert series == pytest.approx(product, abs=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_derivatives(name):
    phi = named(name)
    z = np.array([-2.3, -0.6, 0.31, 0.7, 1.9])
    np.testing.assert_allclose(phi.slope(z), (phi(z + 1e-6) - phi(z - 1e-6)) / 2e-6, rtol=1e-8, atol=1e-9)
    assert phi(0.0) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tahn", "did you mean 'tanh'"),
        ("leaky_relu(x)", "needs a number for its slope, got 'leaky_relu\\(x\\)'"),
        ("leaky_relu(2)", r"slope of leaky_relu must lie in \[-1, 1\], got 2"),
        ("leaky_relu(nan)", "slope of leaky_relu must be finite"),
        (np.tanh, "activation must be one of 'tanh', 'erf'"),
    ],
)
def test_refused_names(name, message):
    with pytest.raises(ParameterError, match=message):
        named(name)
