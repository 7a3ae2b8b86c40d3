"""Density ratio: exact values of its calibration, laws, and statistics with a false alarm in 2e6 a comparison."""

import numpy as np
import pytest

from isingflow.divergence import ratio
from isingflow.divergence.laws import Gaussian
from isingflow.divergence.ratio import density_ratio
from isingflow.errors import ParameterError


def contract(d):
    def covariance(correlation):
        return correlation ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))

    return Gaussian(np.zeros(d), covariance(0.6)), Gaussian(np.full(d, 0.1), 1.2 * covariance(0.3))


def draw(law, n, rng):
    return law.mean + rng.normal(size=(n, law.dof)) @ np.linalg.cholesky(law.cov).T


def error(found):
    return np.hypot(*(np.std(one) / np.sqrt(len(one)) for one in (found.influence_p, found.influence_q)))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_two_scores_are_calibrated_exactly(share, scale):
    """Scores 0 and 1, of q in equal parts: the bound is the relative entropy of two coins."""
    scores_p, scores_q = scale * (np.arange(10) < 10 * share), scale * (np.arange(6) % 2)
    slope, logs_p, logs_q = ratio._calibrated(scores_p + 3 * scale, scores_q + 3 * scale)
    exact = np.log(2) + share * np.log(share) + (1 - share) * np.log(1 - share)
    assert logs_p.mean() == pytest.approx(exact, abs=1e-12)
    assert slope * scale == pytest.approx(np.log(share / (1 - share)), abs=1e-9)
    assert np.exp(logs_q).mean() == pytest.approx(1, abs=1e-12)


def test_calibration_is_the_highest_bound():
    """No other offset and slope gives more, whatever the sign and the scale of the scores."""
    rng = np.random.default_rng(1)
    scores_p, scores_q = -300 * rng.normal(0.5, size=400), -300 * rng.normal(size=300)
    slope, logs_p, _ = ratio._calibrated(scores_p, scores_q)
    offset = logs_p[0] - slope * scores_p[0]

    def bound(a, b):
        return np.mean(a + b * scores_p) - np.mean(np.exp(a + b * scores_q)) + 1

    best = bound(offset, slope)
    assert best == pytest.approx(logs_p.mean(), abs=1e-12)
    assert slope < 0
    for a in np.linspace(-0.5, 0.5, 21):
        for b in np.linspace(0.5, 1.5, 21):
            assert bound(offset + a, b * slope) <= best + 1e-12


def test_what_is_returned():
    rng = np.random.default_rng(2)
    p, q = (draw(law, n, rng) for law, n in zip(contract(2), (500, 700), strict=True))
    before = p.copy(), q.copy()
    found = density_ratio(p, q)
    assert found.influence_p.shape == (500,)
    assert found.influence_q.shape == (700,)
    assert found.influence_p.mean() == pytest.approx(0, abs=1e-12)
    assert found.influence_q.mean() == pytest.approx(0, abs=1e-12)
    ratios = 1 - found.influence_q
    assert ratios.min() > 0
    assert ratios.mean() == pytest.approx(1, abs=1e-12)
    assert found.diagnostics["effective_samples"] == pytest.approx(ratios.sum() ** 2 / (ratios**2).sum())
    assert found.diagnostics["features"] == 5
    assert found.flags == ()
    np.testing.assert_array_equal(p, before[0])
    np.testing.assert_array_equal(q, before[1])
    assert density_ratio(p, q).value == found.value
    scale = np.array([1e-3, 1e5])
    assert density_ratio(p * scale + 7, q * scale + 7).value == pytest.approx(found.value, rel=1e-4)


@pytest.mark.parametrize(("d", "n", "m"), [(1, 1500, 500), (1, 500, 1500), (2, 800, 1200), (5, 3000, 2000)])
def test_samples_against_the_exact_law(d, n, m):
    """The mean of 30 within what features to be learnt take away, and the error of the spread."""
    rng = np.random.default_rng(3)
    p, q = contract(d)
    exact = p.relative_entropy_to(q)
    found = [density_ratio(draw(p, n, rng), draw(q, m, rng)) for _ in range(30)]
    values, errors = np.array([one.value for one in found]), np.array([error(one) for one in found])
    of_mean = values.std(ddof=1) / np.sqrt(30)
    lost = (1 / n + 1 / m) / 2 * found[0].diagnostics["features"]
    assert exact - lost - 5 * of_mean < values.mean() < exact + 5 * of_mean
    assert 0.5 < np.sqrt(np.mean(errors**2)) / values.std(ddof=1) < 1.6


def test_known_ratio_of_unequal_spreads():
    """Exact 0.3181 and 0.8069: the direction matters."""
    rng = np.random.default_rng(4)
    p, q = rng.normal(size=(3000, 1)), 2 * rng.normal(size=(2000, 1))
    for found, exact in ((density_ratio(p, q), np.log(2) - 3 / 8), (density_ratio(q, p), 3 / 2 - np.log(2))):
        assert abs(found.value - exact) < 5 * error(found)
        assert error(found) < 0.15 * exact


def test_equal_laws_in_many_components_give_almost_nothing():
    """65 features and 400 samples: what a classifier sees in its own training samples is 0.1 and more."""
    rng = np.random.default_rng(5)
    found = [density_ratio(rng.normal(size=(200, 10)), rng.normal(size=(200, 10))) for _ in range(10)]
    values = np.array([one.value for one in found])
    assert values.min() >= 0
    assert values.mean() < 0.02
    assert found[0].flags == ("n-near-d",)


def test_folds_are_contiguous():
    """Of equal laws a slow series betrays nothing, unless neighbours in time are split between folds."""
    rng = np.random.default_rng(6)
    steps = rng.normal(size=(2, 1000, 4))
    series = steps.copy()
    for step in range(1, 1000):
        series[:, step] = 0.98 * series[:, step - 1] + np.sqrt(1 - 0.98**2) * steps[:, step]
    order = np.argsort(np.arange(1000) % 5, kind="stable")
    slow, split = density_ratio(*series), density_ratio(*series[:, order])
    assert split.value > 3 * slow.value


def test_fifty_components_give_a_flagged_lower_bound():
    rng = np.random.default_rng(7)
    p, q = contract(50)
    found = density_ratio(draw(p, 1000, rng), draw(q, 1000, rng))
    assert 3 < found.value < p.relative_entropy_to(q)
    assert set(found.flags) == {"poor-overlap", "n-near-d"}


def test_failures_to_converge_are_flagged(monkeypatch):
    rng = np.random.default_rng(8)
    p, q = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 0.5
    monkeypatch.setattr(ratio, "ITERATIONS", 1)
    found = density_ratio(p, q)
    assert "not-converged" in found.flags
    assert found.diagnostics["unconverged_fits"] == 5


def test_a_component_of_two_values():
    """Its square is constant, here to the last bit; alone it is a coin, whose relative entropy is known."""
    p = np.tile([1.0, 1.0, 1.0, -1.0, -1.0], 160)[:, None]
    assert density_ratio(p, -p).value == pytest.approx(0.2 * np.log(1.5), abs=1e-9)


P = np.random.default_rng(9).normal(size=(100, 2))
Q = np.random.default_rng(10).normal(size=(90, 2))


@pytest.mark.parametrize(
    ("p", "q", "options", "message"),
    [
        (P, Q + 50, {}, "do not overlap: no sample of q .* beyond ln m = 4.5 cannot be seen by 90 samples"),
        (P[:9], Q, {}, "5 folds in 2 dimensions need at least 10 samples of p and of q, got 9 and 90"),
        (P, Q[:9], {}, "got 100 and 9"),
        (P * [1, 0], Q * [1, 0], {}, "drop constant or linearly dependent"),
        (P[:, :1] @ [[1, 2]], Q[:, :1] @ [[1, 2]], {}, "drop constant or linearly dependent"),
        (P, Q, {"folds": 1}, "folds must be at least 2"),
    ],
)
def test_bad_samples(p, q, options, message):
    with pytest.raises(ParameterError, match=message):
        density_ratio(p, q, **options)
