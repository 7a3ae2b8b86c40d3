"""Fits of regime and scale: exact curves, and pulls with a false alarm in 2e6 a comparison."""

import numpy as np
import pytest

from isingflow.flow.scale import geometric, jackknife_errors, jackknifed_fit, power_law
from isingflow.flow.square import row_ending
from isingflow.ising import square

LAYERS = np.arange(4.0, 60.0)


def noisy(values, error, rng):
    """Data with independent relative errors, and jackknife replicates that say so."""
    factors = 1 + error * rng.normal(size=(20, len(values)))
    blocks = values * (1 + (factors - 1) * np.sqrt(20))
    mean = blocks.mean(axis=0)
    return mean, (mean * 20 - blocks) / 19


def test_a_straight_line_is_fitted_with_the_textbook_error():
    rng = np.random.default_rng(1)
    x = np.arange(10.0)
    pulls = []
    for _ in range(200):
        values, replicates = noisy(3 + 0.5 * x, 0.01, rng)
        fit = jackknifed_fit(lambda s: s[0] + s[1] * x, [0.0, 0.0], values, replicates)
        pulls.append((fit.parameters - [3, 0.5]) / fit.errors)
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 5 / np.sqrt(200))
    assert np.all(np.abs(np.std(pulls, axis=0) - 1.06) < 0.3)


@pytest.mark.parametrize(
    ("values", "regime", "scale", "limit"),
    [
        (3 - 2 * np.exp(-LAYERS / 6), "saturating", 6.0, 3.0),
        (1 + 2 * np.exp(-LAYERS / 6), "saturating", 6.0, 1.0),
        (1 + 2 * np.exp(LAYERS / 9), "growing", 9.0, None),
        (1 + 2 * LAYERS, "critical", np.inf, None),
        (1 + np.exp(LAYERS / 200), "critical", np.inf, None),
    ],
)
def test_geometric_data(values, regime, scale, limit):
    found = geometric("data", LAYERS, *noisy(values, 1e-5, np.random.default_rng(2)))
    assert found.ending.regime == regime
    assert found.ending.scale == pytest.approx(scale, rel=0.01)
    if limit is None:
        assert found.limits is None
    else:
        assert abs(found.limits[0] - limit) < 5 * jackknife_errors(found.limits[1:, None])[0]


def test_geometric_data_that_do_not_decide():
    flat = geometric("data", LAYERS, *noisy(np.ones(56), 1e-3, np.random.default_rng(3)))
    assert flat.ending.regime == "undetermined"
    lost = geometric("data", LAYERS, *noisy(1 + 1e-3 * np.exp(-LAYERS / 6), 1e-2, np.random.default_rng(4)))
    assert lost.ending.regime == "undetermined"


def test_power_law():
    found = power_law("data", LAYERS, *noisy(0.7 * LAYERS**-0.25, 1e-3, np.random.default_rng(5)))
    assert found.regime == "critical"
    assert found.scale == np.inf
    assert found.fit == "power law of data, 56 points from 4 to 59"
    assert abs(found.exponent - 0.25) < 5 * found.exponent_error < 0.01


DISTANCES = np.arange(1, 17)


def correlations(coupling, side=256):
    torus = side if coupling == square.CRITICAL_COUPLING else None
    far = square.correlation(coupling, 64, direction="row", side=side)
    return np.array([*(square.correlation(coupling, int(r), direction="row", side=torus) for r in DISTANCES), far])


@pytest.mark.parametrize("coupling", [0.30, 0.36, 0.40, 0.46, 0.48, 0.50])
def test_the_leading_term_of_the_decay_tells_the_scale(coupling):
    """Errors of 2e-4, as 240 configurations of side 256 have; the scale within 3 % and five errors."""
    blocks = correlations(coupling) + 2e-4 * np.sqrt(20) * np.random.default_rng(6).normal(size=(20, 17))
    mean = blocks.mean(axis=0)
    ending, limit, limits = row_ending(DISTANCES, mean, (mean * 20 - blocks) / 19, side=256)
    exact = square.correlation_length(coupling)
    assert ending.regime == "saturating"
    assert abs(ending.scale - exact) < 5 * ending.scale_error + 0.005 * exact
    assert ending.scale_error < 0.1 * exact
    assert limit == pytest.approx(square.magnetization(coupling) ** 2, abs=1e-3)
    assert len(limits) == 20
    model = "one-excitation decay" if coupling < square.CRITICAL_COUPLING else "two-excitation decay to m^2"
    assert ending.fit == f"{model} of <s s'>, 15 points from 2 to 16"


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_at_the_critical_coupling_there_is_an_exponent_instead(side):
    noise = 1e-3 * np.random.default_rng(7).normal(size=(20, 17))
    blocks = correlations(square.CRITICAL_COUPLING, side) * (1 + noise)
    mean = blocks.mean(axis=0)
    ending, limit, _ = row_ending(DISTANCES, mean, (mean * 20 - blocks) / 19, side=side)
    assert ending.regime == "critical"
    assert ending.scale == np.inf
    assert ending.exponent == pytest.approx(0.25, abs=0.005)
    assert limit == 0


def test_noise_alone_is_undetermined():
    blocks = np.random.default_rng(8).normal(size=(20, 17)) * 0.1
    blocks[:, 0] += 0.3
    mean = blocks.mean(axis=0)
    ending, _, _ = row_ending(DISTANCES, mean, (mean * 20 - blocks) / 19, side=256)
    assert ending.regime == "undetermined"
