"""Blocks, jackknife and autocorrelation time: identities, and coverage with a false alarm in 2e6 a comparison."""

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.resampling import autocorrelation_time, block_sums, jackknife, neighbours_alike


def mean_of_p(totals_p, totals_q):
    return totals_p[..., 0] / totals_p[..., 1]


def squared_difference(totals_p, totals_q):
    """Unbiased for independent samples of variance one and equal means zero."""
    p, q = (totals[..., 0] / totals[..., 1] for totals in (totals_p, totals_q))
    return (p - q) ** 2 - 1 / totals_p[..., 1] - 1 / totals_q[..., 1]


def sample(rng, n, mean=0.0):
    return np.stack([rng.normal(mean, size=n), np.ones(n)], axis=1)


def test_block_sums_keep_the_total_and_the_order():
    records = np.arange(46).reshape(23, 2)
    blocks = block_sums(records, 5)
    np.testing.assert_array_equal(blocks.sum(axis=0), records.sum(axis=0))
    np.testing.assert_array_equal(blocks[0], records[:4].sum(axis=0))


def test_jackknife_of_a_mean_is_the_textbook_error():
    blocks = sample(np.random.default_rng(1), 20)
    found = jackknife(mean_of_p, blocks, blocks, paired=True)
    assert found.value == pytest.approx(blocks[:, 0].mean(), rel=1e-14)
    assert found.error == pytest.approx(blocks[:, 0].std(ddof=1) / np.sqrt(20), rel=1e-12)
    assert found.curvature_error == pytest.approx(0, abs=1e-12)


def test_independent_samples_add_their_variances():
    rng = np.random.default_rng(2)
    p, q = sample(rng, 20), sample(rng, 30)
    found = jackknife(lambda a, b: mean_of_p(a, b) - b[..., 0] / b[..., 1], p, q)
    expected = np.hypot(p[:, 0].std(ddof=1) / np.sqrt(20), q[:, 0].std(ddof=1) / np.sqrt(30))
    assert found.error == pytest.approx(expected, rel=1e-12)


def test_paired_samples_share_their_noise():
    blocks = sample(np.random.default_rng(3), 20)
    same = jackknife(lambda a, b: mean_of_p(a, b) - b[..., 0] / b[..., 1], blocks, blocks, paired=True)
    apart = jackknife(lambda a, b: mean_of_p(a, b) - b[..., 0] / b[..., 1], blocks, blocks)
    assert same.error == 0
    assert apart.error > 0.1


@pytest.mark.parametrize("paired", [False, True])
def test_the_quadratic_part_by_itself(paired):
    """Of a product of two block means the quadratic variance is known: s_x^2 s_y^2 / B^2, up to 1/B."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        p, q = sample(rng, 20), sample(rng, 20)
        if paired:
            both = np.concatenate([p[:, :1], q], axis=1)
            result = jackknife(lambda a, b: a[..., 0] * a[..., 1] / a[..., 2] ** 2, both, both, paired=True)
        else:
            result = jackknife(lambda a, b: mean_of_p(a, b) * b[..., 0] / b[..., 1], p, q)
        found.append(result.curvature_error**2 * 400)
    error = np.std(found) / np.sqrt(400)
    assert abs(np.mean(found) - 1) < 5 * error + 1 / 20


@pytest.mark.parametrize(("mean", "lowest", "highest"), [(1.0, 0.9, 1.25), (0.0, 0.4, 1.0)])
def test_errors_are_honest_where_the_linear_part_vanishes_too(mean, lowest, highest):
    """At zero, where the plain jackknife has pulls up to 8 (spread 2.0), they stay on the safe side."""
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(400):
        result = jackknife(squared_difference, sample(rng, 40, mean), sample(rng, 60))
        pulls.append((result.value - mean**2) / result.error)
    assert lowest < np.sqrt(np.mean(np.square(pulls))) < highest
    assert np.abs(pulls).max() < 6


def test_jackknife_refuses():
    blocks = np.ones((20, 2))
    with pytest.raises(ParameterError, match="blocks of p must be at least 4, got 3"):
        jackknife(mean_of_p, blocks[:3], blocks)
    with pytest.raises(ParameterError, match="paired blocks must be equally many, got 20 and 10"):
        jackknife(mean_of_p, blocks, blocks[:10], paired=True)
    with pytest.raises(ParameterError, match="20 blocks need at least 20 records, got 19"):
        block_sums(np.ones(19))


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.9])
def test_autocorrelation_time_of_an_autoregression(memory):
    rng = np.random.default_rng(6)
    chains = np.empty((4, 20000))
    state = rng.normal(size=4)
    for step in range(chains.shape[1]):
        state = memory * state + np.sqrt(1 - memory**2) * rng.normal(size=4)
        chains[:, step] = state
    found = autocorrelation_time(chains)
    exact = 0.5 * (1 + memory) / (1 - memory)
    assert abs(found.time - exact) < 5 * found.error + 0.01 * exact
    assert found.error < 0.1 * exact
    assert found.enough


def test_autocorrelation_time_knows_when_it_cannot_know():
    walk = np.cumsum(np.random.default_rng(7).normal(size=200))
    assert not autocorrelation_time(walk).enough
    assert autocorrelation_time(np.ones(100)).time == 0.5
    with pytest.raises(ParameterError, match="n >= 8"):
        autocorrelation_time(np.ones(7))
    with pytest.raises(ParameterError, match="NaN"):
        autocorrelation_time([np.nan] * 10)


def test_constant_records_are_constant_whatever_their_rounding():
    assert autocorrelation_time(np.full(1001, 0.1))[:2] == (0.5, 0.0)
    assert neighbours_alike(0.1 + 1e-17 * np.arange(20)) == 0
    with pytest.raises(ParameterError, match=r"got \(2, 3, 9\)"):
        autocorrelation_time(np.zeros((2, 3, 9)))
    with pytest.raises(ParameterError, match="real numbers"):
        autocorrelation_time(["a"] * 9)
