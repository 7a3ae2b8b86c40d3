"""Estimators of normal laws: identities, exact values in the mean and influence functions.

Means of 20,000 repetitions are compared within 5 standard errors: a false alarm in 2e6 a comparison.
"""

import math

import numpy as np
import pytest

from isingflow import kl_divergence
from isingflow.divergence import expansion, gaussian
from isingflow.divergence.expansion import expanded_jackknife
from isingflow.divergence.gaussian import (
    Moments,
    diagonal,
    diagonal_gradient,
    entropy,
    entropy_gradient,
    isotropic,
    isotropic_gradient,
    mutual_information,
    mutual_information_gradient,
    unbiased,
    unbiased_gradient,
)
from isingflow.divergence.laws import Gaussian
from isingflow.errors import ParameterError
from isingflow.resampling import jackknife

REPETITIONS = 20000


def ar(correlation, d):
    return correlation ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))


def pair(seed, d, n, m, *, same=False, paired=False):
    """Samples of two laws that differ in mean and covariance, or not."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, d))
    other = (noise + rng.normal(size=(n, d))) / math.sqrt(2) if paired else rng.normal(size=(m, d))
    roots = np.linalg.cholesky(ar(0.6, d)), np.linalg.cholesky(ar(0.6, d) if same else 1.2 * ar(0.3, d))
    return noise @ roots[0].T, other @ roots[1].T + (0.0 if same else 0.1)


def blocks(samples, number=20):
    return Moments.of_blocks(np.array_split(samples, number))


# moments


def test_streaming_batches_are_one_piece():
    x = np.random.default_rng(1).normal(size=(1000, 4)) + 3
    origin = [3.0, 3.0, 3.0, 2.0]
    merged = Moments.of(x[:100], origin)
    for start in range(100, 1000, 100):
        merged = merged.merge(Moments.of(x[start : start + 100], origin))
    whole = Moments.of(x, origin)
    np.testing.assert_allclose(merged.packed().sum(axis=0), whole.packed()[0], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(gaussian.covariance(whole.packed()[0])[2], np.cov(x.T), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(whole.squares()[0, 5:], np.square(x - origin).sum(axis=0), rtol=1e-12)
    at_once = Moments.of_blocks(np.split(x, 10), origin)
    np.testing.assert_array_equal(at_once.packed(), merged.packed())
    fewer = at_once.blocked(5)
    np.testing.assert_allclose(fewer.packed(), at_once.packed().reshape(5, 2, -1).sum(axis=1), rtol=1e-13)
    np.testing.assert_array_equal(fewer.origin, origin)
    assert at_once.blocked(10) is at_once


def test_an_origin_saves_digits():
    x = np.random.default_rng(2).normal(size=(1000, 2))
    far = gaussian.covariance(Moments.of(x + 1e6, [1e6, 1e6]).packed()[0])[2]
    np.testing.assert_allclose(far, np.cov(x.T), rtol=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Moments([0], [[0.0]], [[[0.0]]]), "counts must be at least 1, got 0: leave out empty"),
        (lambda: Moments([1.5], [[0.0]], [[[0.0]]]), "whole numbers"),
        (lambda: Moments([np.nan], [[0.0]], [[[0.0]]]), "whole numbers"),
        (lambda: Moments([1], [[0.0]], [[[np.nan]]]), "moments must be finite"),
        (lambda: Moments([1], [[0.0]], [[[0.0]]], [1.0, 2.0]), "origin must be finite, of shape"),
        (lambda: Moments.of(np.ones((3, 2)), [1.0]), "origin must have shape"),
        (lambda: Moments.of(np.ones(3)), "samples must be"),
        (lambda: Moments.of(np.ones((0, 2))), "samples must be"),
        (lambda: Moments.of_blocks([]), "got none"),
        (lambda: Moments.of([[np.inf]]), "must be finite"),
        (lambda: Moments.of([[1.0]]).merge(Moments.of([[1.0]], [1.0])), "equal origins"),
        (lambda: Moments.of([[1.0]]).blocked(2), "need at least 2 records"),
        (lambda: mutual_information(Moments.of(np.eye(3)).packed()[0], 3), "split must be between 1 and 2"),
        (lambda: mutual_information_gradient(Moments.of(np.eye(3)).packed()[0], 0), "split must be between 1 and 2"),
    ],
)
def test_bad_moments(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_large_finite_sums_are_finite():
    assert Moments([1, 1], [[1e308], [1e308]], np.full((2, 1, 1), 1e308)).dof == 1


# exactly unbiased


def repeated(seed, law, n):
    """Totals of many repetitions: packed, and their squares."""
    d = law.dof
    noise = np.random.default_rng(seed).normal(size=(REPETITIONS, n, d))
    x = law.mean + noise @ np.linalg.cholesky(law.cov).T
    products = np.einsum("rni,rnj->rij", x, x)
    start = np.concatenate([np.full((REPETITIONS, 1), float(n)), x.sum(axis=1)], axis=1)
    squares = np.einsum("rii->ri", products)
    return (np.concatenate([start, one.reshape(REPETITIONS, -1)], axis=1) for one in (products, squares))


def pull(values, exact):
    return (values.mean() - exact) / (values.std() / math.sqrt(len(values)))


MEANS = np.zeros(3), np.array([0.3, -0.2, 0.1])


@pytest.mark.parametrize(
    ("estimator", "cov_p", "cov_q", "n", "m"),
    [
        (diagonal, [1.0, 0.5, 2.0], [1.5, 0.4, 1.0], 7, 9),
        (isotropic, [0.7, 0.7, 0.7], [1.2, 1.2, 1.2], 4, 5),
    ],
)
def test_declared_models_in_the_mean(estimator, cov_p, cov_q, n, m):
    p, q = (Gaussian(mean, np.diag(cov)) for mean, cov in zip(MEANS, (cov_p, cov_q), strict=True))
    (_, a), (_, b) = repeated(3, p, n), repeated(4, q, m)
    exact = p.relative_entropy_to(q)
    found = estimator(a, b)
    assert abs(pull(found, exact)) < 5
    assert found.std() / math.sqrt(REPETITIONS) < 0.05 * exact
    # a variance divided by all samples, and n taken for m
    wrong = b.copy()
    wrong[:, 0] += 1
    wrong[:, 1:4] *= (m + 1) / m
    wrong[:, 4:] *= (m + 1) / m
    assert abs(pull(estimator(a, wrong), exact)) > 5
    plain = found - 1.5 * (math.log(n / (n - 1)) - math.log(m / (m - 1)))
    assert abs(pull(plain, exact)) > 5


def test_all_models_agree_in_one_dimension():
    x, y = pair(5, 1, 30, 40)
    full, squares = ([getattr(Moments.of(one), name)()[0] for one in (x, y)] for name in ("packed", "squares"))
    expected = unbiased(*full)
    assert diagonal(*squares) == pytest.approx(expected, rel=1e-12)
    assert isotropic(*squares) == pytest.approx(expected, rel=1e-12)


def test_diagonal_is_a_sum_over_components():
    x, y = pair(6, 4, 50, 60)
    each = sum(unbiased(Moments.of(x[:, [i]]).packed()[0], Moments.of(y[:, [i]]).packed()[0]) for i in range(4))
    assert diagonal(Moments.of(x).squares()[0], Moments.of(y).squares()[0]) == pytest.approx(each, rel=1e-12)


def test_entropy_and_mutual_information_in_the_mean():
    law = Gaussian(MEANS[1], ar(0.6, 3) * 1.7)
    packed, _ = repeated(7, law, 8)
    exact = 0.5 * (3 * (1 + math.log(2 * math.pi)) + math.log(np.linalg.det(law.cov)))
    found = entropy(packed)
    assert abs(pull(found, exact)) < 5
    assert abs(pull(found + 1.5 * math.log(7 / 8), exact)) > 5
    joint = 0.5 * math.log(law.cov[0, 0] * np.linalg.det(law.cov[1:, 1:]) / np.linalg.det(law.cov))
    found = mutual_information(packed, 1)
    assert abs(pull(found, joint)) < 5
    _, _, cov = gaussian.covariance(packed)
    plugin = 0.5 * np.log(cov[:, 0, 0] * np.linalg.det(cov[:, 1:, 1:]) / np.linalg.det(cov))
    assert abs(pull(plugin, joint)) > 5


# influence

PAIRS = {
    "unbiased": (unbiased, unbiased_gradient, Moments.packed),
    "diagonal": (diagonal, diagonal_gradient, Moments.squares),
    "isotropic": (isotropic, isotropic_gradient, Moments.squares),
}
SINGLES = {
    "entropy": (entropy, entropy_gradient),
    "mutual information": (lambda x: mutual_information(x, 1), lambda x: mutual_information_gradient(x, 1)),
}


def reweighted(estimator, records, gradient):
    """The derivative by random weights that keep the number of samples: numerical, and from influence values."""
    weights = np.random.default_rng(8).normal(size=len(records))
    weights -= (weights @ records[:, 0]) / records[:, 0].sum()
    step = 1e-5
    up, down = (estimator((1 + sign * step * weights) @ records) for sign in (1, -1))
    return (up - down) / (2 * step), weights @ gradient.of_totals(records) / records[:, 0].sum()


@pytest.mark.parametrize("name", PAIRS)
def test_influence_is_the_derivative_by_weights(name):
    estimator, gradients, packing = PAIRS[name]
    x, y = pair(9, 3, 60, 70)
    p, q = (packing(blocks(one, 7)) for one in (x, y))
    total_p, total_q = p.sum(axis=0), q.sum(axis=0)
    of_p, of_q = gradients(total_p, total_q)
    for numerical, exact in (
        reweighted(lambda one: estimator(one, total_q), p, of_p),
        reweighted(lambda one: estimator(total_p, one), q, of_q),
    ):
        assert exact == pytest.approx(numerical, rel=1e-7)
    for gradient, samples, records in ((of_p, x, p), (of_q, y, q)):
        values = gradient.of_points(samples)
        assert values.mean() == pytest.approx(0, abs=1e-13 * len(values) * np.abs(values).max())
        sums = [part.sum() for part in np.array_split(values, 7)]
        np.testing.assert_allclose(gradient.of_totals(records), sums, rtol=1e-9, atol=1e-11)
        full = blocks(samples, 7).packed()
        np.testing.assert_allclose(gradient.of_totals(full), sums, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", SINGLES)
def test_influence_on_one_law(name):
    estimator, gradient = SINGLES[name]
    x, _ = pair(10, 3, 60, 70)
    records = blocks(x, 7).packed()
    found = gradient(records.sum(axis=0))
    numerical, exact = reweighted(estimator, records, found)
    assert exact == pytest.approx(numerical, rel=1e-7)
    values = found.of_points(x)
    assert values.mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.of_totals(records), [part.sum() for part in np.array_split(values, 7)], rtol=1e-9)


@pytest.mark.parametrize("name", PAIRS)
def test_influence_is_what_deleting_a_sample_shows(name):
    """To first order in 1/n: the differences are of order (influence)^2 / n, at n = 4000 a few per mille."""
    estimator, gradients, packing = PAIRS[name]
    x, y = pair(11, 3, 4000, 4000)
    totals = [packing(Moments.of(one))[0] for one in (x, y)]
    each = [packing(blocks(one, 4000)) for one in (x, y)]
    deleted = estimator(totals[0] - each[0], totals[1]), estimator(totals[0], totals[1] - each[1])
    for gradient, samples, without in zip(gradients(*totals), (x, y), deleted, strict=True):
        shown = -(len(samples) - 1) * (without - without.mean())
        values = gradient.of_points(samples)
        assert np.sqrt(np.mean((shown - values) ** 2)) < 0.01 * values.std()


def test_influence_with_a_known_law():
    x, y = pair(12, 3, 60, 70)
    p, q = (blocks(one, 7).packed() for one in (x, y))
    law = Gaussian([0.1, 0.2, 0.3], ar(0.2, 3))
    of_p, nothing = unbiased_gradient(p.sum(axis=0), law)
    assert nothing is None
    numerical, exact = reweighted(lambda one: unbiased(one, law), p, of_p)
    assert exact == pytest.approx(numerical, rel=1e-7)
    nothing, of_q = unbiased_gradient(law, q.sum(axis=0))
    assert nothing is None
    numerical, exact = reweighted(lambda one: unbiased(law, one), q, of_q)
    assert exact == pytest.approx(numerical, rel=1e-7)


def test_influence_refuses_other_shapes():
    x, y = pair(13, 3, 60, 70)
    of_p, _ = unbiased_gradient(Moments.of(x).packed()[0], Moments.of(y).packed()[0])
    with pytest.raises(ParameterError, match=r"records must be \(records, 13\), got"):
        of_p.of_totals(Moments.of(x).squares())
    with pytest.raises(ParameterError, match=r"samples must be \(n, 3\)"):
        of_p.of_points(x[:, :2])


# many components


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(("d", "n"), [(5, 4000), (20, 4000), (64, 6400)])
def test_expansion_against_deleting_blocks(d, n, same, paired):
    """Exact traces; what is left is of third order, and of the diagonal of the kernels at p = q."""
    x, y = pair(14, d, n, n if paired else n + 400, same=same, paired=paired)
    p, q = blocks(x), blocks(y)
    deleted = jackknife(unbiased, p.packed(), q.packed(), paired=paired)
    found = expanded_jackknife(p, q, paired=paired)
    assert found.value == pytest.approx(deleted.value, rel=1e-11, abs=1e-12)
    assert found.error == pytest.approx(deleted.error, rel=0.12 if same else 0.03)
    assert found.curvature_error == pytest.approx(deleted.curvature_error, rel=0.04)
    if not same:
        for name in ("replicates_p", "replicates_q"):
            expected = getattr(deleted, name) - np.mean(getattr(deleted, name))
            difference = getattr(found, name) - np.mean(getattr(found, name)) - expected
            assert np.std(difference) < 0.15 * np.std(expected)


@pytest.mark.parametrize("paired", [False, True])
def test_expansion_where_the_means_are_far_apart(paired):
    """Three standard deviations, where the kernels of means and covariances matter; the third order is small."""
    x, y = pair(18, 3, 40000, 40000, paired=paired)
    p, q = blocks(x), blocks(y + np.array([3.0, 0.0, -1.0]))
    deleted = jackknife(unbiased, p.packed(), q.packed(), paired=paired)
    found = expanded_jackknife(p, q, paired=paired)
    assert found.error == pytest.approx(deleted.error, rel=0.01)
    assert found.curvature_error == pytest.approx(deleted.curvature_error, rel=0.01)
    for name in ("replicates_p", "replicates_q"):
        assert np.std(getattr(found, name)) == pytest.approx(np.std(getattr(deleted, name)), rel=0.02)
        assert np.mean(getattr(found, name)) == pytest.approx(found.value, rel=1e-12)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_probes_against_exact_traces(same, paired, monkeypatch):
    """16 probes in 64 dimensions, over 30 samples: the mean of the squared curvature, within 5 errors of the mean."""
    ratios = []
    for seed in range(30):
        p, q = map(blocks, pair(seed, 64, 4000, 4000, same=same, paired=paired))
        exact = expanded_jackknife(p, q, paired=paired)
        with monkeypatch.context() as fewer:
            fewer.setattr(expansion, "PROBES", 16)
            found = expanded_jackknife(p, q, paired=paired)
        assert found.value == exact.value
        ratios.append((found.curvature_error / exact.curvature_error) ** 2)
    assert abs(np.mean(ratios) - 1) < 5 * np.std(ratios) / math.sqrt(30)
    assert np.std(ratios) < 0.5


@pytest.mark.parametrize("paired", [False, True])
def test_the_least_quadratic_part(paired, monkeypatch):
    """Two probes in 64 dimensions tell nothing but the diagonal: for normal samples the bound is near the truth."""
    for seed in range(10):
        p, q = map(blocks, pair(seed, 64, 4000, 4000, same=True, paired=paired))
        exact = expanded_jackknife(p, q, paired=paired)
        with monkeypatch.context() as fewer:
            fewer.setattr(expansion, "PROBES", 2)
            found = expanded_jackknife(p, q, paired=paired)
        assert found.curvature_error**2 > 0.3 * exact.curvature_error**2
        assert found.error >= found.curvature_error


def test_expansion_is_affinely_invariant():
    x, y = pair(15, 8, 2000, 2400)
    plain = expanded_jackknife(blocks(x), blocks(y), paired=False)
    step = np.random.default_rng(15).normal(size=(8, 8)) + 3 * np.eye(8)
    moved = expanded_jackknife(blocks(x @ step + 7), blocks(y @ step + 7), paired=False)
    assert moved.value == pytest.approx(plain.value, rel=1e-8)
    assert moved.error == pytest.approx(plain.error, rel=1e-8)
    assert moved.curvature_error == pytest.approx(plain.curvature_error, rel=1e-8)


def test_bits_do_not_depend_on_threads():
    from threadpoolctl import threadpool_limits

    samples = pair(16, 150, 4000, 4000)
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            p, q = (Moments.of_blocks(np.split(one, 20)) for one in samples)
            found.append(expanded_jackknife(p, q, paired=False))
    one, two = found
    assert (one.value, one.error, one.curvature_error) == (two.value, two.error, two.curvature_error)


@pytest.mark.parametrize(
    ("p", "q", "paired", "message"),
    [
        (np.ones((40, 2)), np.ones((40, 3)), False, "equal dimensions, got 2 and 3"),
        (np.ones((40, 2)), np.ones((40, 2)), False, "covariance of p is singular"),
        (np.ones((20, 20)), np.ones((40, 20)), False, "20 components need at least 21 samples of p, got 20"),
        (np.ones((40, 20)), np.ones((24, 20)), False, "20 components need at least 25 samples of q, got 24"),
    ],
)
def test_expansion_refuses(p, q, paired, message):
    with pytest.raises(ParameterError, match=message):
        expanded_jackknife(blocks(p), blocks(q), paired=paired)


def test_expansion_refuses_blocks_and_origins():
    p = np.random.default_rng(17).normal(size=(40, 2))
    with pytest.raises(ParameterError, match="blocks of p must be at least 4, got 3"):
        expanded_jackknife(blocks(p, 3), blocks(p), paired=False)
    with pytest.raises(ParameterError, match="equally many, got 20 and 10"):
        expanded_jackknife(blocks(p), blocks(p, 10), paired=True)
    with pytest.raises(ParameterError, match="equal origins"):
        expanded_jackknife(blocks(p), Moments.of_blocks(np.split(p, 20), [1.0, 0.0]), paired=False)


@pytest.mark.parametrize(("d", "n"), [(10, 25), (20, 40)])
def test_errors_of_few_samples(d, n):
    """300 pairs of samples: the error fits the spread to 20 %, where that of deleted blocks is twice too large or more.

    The spread is known to 4 %, so that a fifth is 5 sigma.
    """
    values, errors, deleted = [], [], []
    for seed in range(300):
        p, q = np.random.default_rng(seed).normal(size=(2, n, d))
        found = kl_divergence(p, q)
        values.append(found.value)
        errors.append(found.stderr)
        if seed < 20:
            packed = [Moments.of_blocks(np.array_split(one, 20)).packed() for one in (p, q)]
            deleted.append(jackknife(unbiased, *packed).error)
    spread = np.std(values)
    assert "n-near-d" in found.flags
    assert abs(np.sqrt(np.mean(np.square(errors))) / spread - 1) < 0.2
    assert np.sqrt(np.mean(np.square(deleted))) > 2 * spread
