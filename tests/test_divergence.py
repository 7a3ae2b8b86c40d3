"""The common estimator: exact values, laws, and statistics with a false alarm in 2e6 a comparison."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from isingflow import Categorical, Counts, Gaussian, KLEstimate, Moments, ParameterError, kl_divergence
from isingflow.divergence import discrete, gaussian
from isingflow.divergence.estimate import with_error
from isingflow.errors import InfiniteDivergenceWarning
from isingflow.ising.chain import ChainRing, ChainWindow
from isingflow.ising.square import SquareTorus

FEW = settings(max_examples=50, deadline=None, derandomize=True)
probabilities = arrays(np.float64, 6, elements=some.floats(0.01, 1)).map(lambda x: x / x.sum())
covariances = arrays(np.float64, (3, 3), elements=some.floats(-1, 1)).map(lambda x: x @ x.T + 0.1 * np.eye(3))


def ar(correlation, d):
    return correlation ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))


# laws


@FEW
@given(probabilities, probabilities)
def test_categorical_laws_are_non_negative_and_coarse_graining_loses(p, q):
    whole = Categorical(p).relative_entropy_to(Categorical(q))
    pairs = Categorical(p.reshape(3, 2).sum(axis=1)).relative_entropy_to(Categorical(q.reshape(3, 2).sum(axis=1)))
    assert whole >= -1e-15
    assert pairs <= whole + 1e-14
    assert Categorical(p).relative_entropy_to(Categorical(p)) == 0


@FEW
@given(covariances, covariances, arrays(np.float64, 3, elements=some.floats(-2, 2)))
def test_gaussian_laws(cov_p, cov_q, mean):
    p, q = Gaussian(mean, cov_p), Gaussian(np.zeros(3), cov_q)
    value = p.relative_entropy_to(q)
    assert value >= -1e-12
    assert p.relative_entropy_to(p) == pytest.approx(0, abs=1e-13)
    step = np.array([[2.0, 0.3, 0.0], [0.0, 1.0, -0.5], [0.0, 0.0, 0.7]])
    moved = Gaussian(step @ mean + 1, step @ cov_p @ step.T).relative_entropy_to(
        Gaussian(np.ones(3), step @ cov_q @ step.T)
    )
    assert moved == pytest.approx(value, rel=1e-8, abs=1e-10)
    marginal = Gaussian(mean[:2], cov_p[:2, :2]).relative_entropy_to(Gaussian(np.zeros(2), cov_q[:2, :2]))
    assert marginal <= value + 1e-10


def test_any_law_is_taken_and_exact():
    for p, q in (
        (ChainRing(0.6, sites=8), ChainRing(0.3, sites=8)),
        (ChainWindow(0.6, 0.1, width=4), ChainWindow(0.3, width=4)),
        (SquareTorus(0.4407, side=4), SquareTorus(0.3, side=4)),
        (Gaussian([0.0], [[1.0]]), Gaussian([1.0], [[4.0]])),
    ):
        found = kl_divergence(p, q)
        assert (found.value, found.stderr, found.method) == (p.relative_entropy_to(q), 0.0, "exact")
        assert found.dof == p.dof
        assert found.per_dof().value == found.value / p.dof


def test_infinity_is_returned_with_a_warning():
    p, q = Categorical([0.5, 0.5]), Categorical([1.0, 0.0])
    with pytest.warns(InfiniteDivergenceWarning, match="q gives no mass"):
        assert kl_divergence(p, q).value == math.inf
    with pytest.warns(InfiniteDivergenceWarning, match="zhang-grabchak is finite"):
        found = kl_divergence(Counts([[5, 5]] * 20), Counts([[10, 0]] * 20), method="plugin")
    assert (found.value, found.flags) == (math.inf, ("unseen-mass",))
    assert math.isfinite(kl_divergence(Counts([[5, 5]] * 20), Counts([[10, 0]] * 20)).value)


# counts


def test_zhang_grabchak_against_its_series():
    """The definition, sum over v of terms with binomial products, without any digamma."""
    a, b = np.array([5, 3, 0, 12, 1]), np.array([4, 0, 7, 9, 2])
    n, m = a.sum(), b.sum()
    expected = 0.0
    for x, y in zip(a, b, strict=True):
        of_q = sum(np.prod([1 - y / (m - j) for j in range(v)]) / v for v in range(1, m - y + 1))
        of_p = sum(np.prod([1 - (x - 1) / (n - 1 - j) for j in range(v)]) / v for v in range(1, n - x + 1)) if x else 0
        expected += x / n * (of_q - of_p)
    assert discrete.zhang_grabchak(a, b) == pytest.approx(expected, rel=1e-12)


def test_arrays_counts_and_batches_are_the_same():
    rng = np.random.default_rng(1)
    p, q = (rng.random((4000, 3)) < 0.4) * 2 - 1, (rng.random((3000, 3)) < 0.5) * 2 - 1
    before = p.copy(), q.copy()
    found = kl_divergence(p, q)
    assert np.array_equal(p, before[0])
    assert np.array_equal(q, before[1])
    codes = [((x > 0) @ [1, 2, 4]).reshape(20, -1) for x in (p, q)]
    counts = [Counts([np.bincount(row, minlength=8) for row in code], dof=3) for code in codes]
    assert kl_divergence(*counts).value == found.value
    assert kl_divergence(*counts).stderr == found.stderr
    halves = [Counts(one.records[:7], 3).merge(Counts(one.records[7:], 3)) for one in counts]
    assert kl_divergence(*halves).stderr == found.stderr
    assert kl_divergence(p > 0, q > 0).value == found.value


def test_folding():
    counts = Counts(np.arange(16)[None], dof=4)
    flipped = counts.fold("flip").total
    assert flipped.tolist() == [15] * 8
    assert counts.fold("flip+reflect").total.sum() == counts.total.sum()
    assert len(counts.fold("flip+reflect").total) == 6  # of 16 windows of 4 spins
    with pytest.raises(ParameterError, match="folding needs all"):
        Counts([[1, 2, 3]]).fold("flip")


@pytest.mark.parametrize(
    ("symmetry", "width", "n"), [("none", 4, 2000), ("flip", 4, 2000), ("flip+reflect", 8, 10000), ("none", 8, 10000)]
)
def test_windows_of_spins_against_the_exact_law(symmetry, width, n):
    p, q = (ChainWindow(coupling, width=width) for coupling in (0.6, 0.3))
    laws = [law.probabilities() for law in (p, q)]
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(60):
        counts = [
            Counts(rng.multinomial(size // 20, law, size=20), width)
            for size, law in zip((n, n + 400), laws, strict=True)
        ]
        found = kl_divergence(*counts, symmetry=symmetry)
        pulls.append((found.value - p.relative_entropy_to(q)) / found.stderr)
    assert abs(np.mean(pulls)) < 5 * 1.06 / np.sqrt(60)
    assert 0.7 < np.std(pulls) < 1.5


def test_deliberate_mistakes_are_seen():
    """p and q swapped, bits for nats, n for m: each further off than five errors."""
    p, q = Categorical([0.7, 0.2, 0.1]), Categorical([0.2, 0.2, 0.6])
    rng = np.random.default_rng(3)
    a, b = rng.multinomial(2000, p.probs, size=20), rng.multinomial(500, q.probs, size=20)
    right = kl_divergence(Counts(a), Counts(b))
    exact = p.relative_entropy_to(q)
    assert abs(right.value - exact) < 5 * right.stderr
    swapped = kl_divergence(Counts(b), Counts(a))
    assert abs(swapped.value - exact) > 5 * swapped.stderr
    assert abs(right.value / math.log(2) - exact) > 5 * right.stderr / math.log(2)


# moments


def test_unbiased_gaussian_in_the_mean():
    """n = 12, m = 15, d = 3: the mean of 20,000 repetitions."""
    rng = np.random.default_rng(4)
    p, q = Gaussian(np.zeros(3), ar(0.6, 3)), Gaussian(np.full(3, 0.1), 1.2 * ar(0.3, 3))
    repetitions = 20000

    def packed(law, n):
        x = law.mean + rng.normal(size=(repetitions, n, 3)) @ np.linalg.cholesky(law.cov).T
        sums, products = x.sum(axis=1), np.einsum("rni,rnj->rij", x, x)
        return np.concatenate([np.full((repetitions, 1), n), sums, products.reshape(repetitions, 9)], axis=1)

    found = gaussian.unbiased(packed(p, 12), packed(q, 15))
    exact, error = p.relative_entropy_to(q), found.std() / np.sqrt(repetitions)
    assert abs(found.mean() - exact) < 5 * error
    assert error < 0.05 * exact
    wrong_ddof = found + 0.5 * np.log(12 / 11) * 3
    assert abs(wrong_ddof.mean() - exact) > 5 * error
    for half_known in (gaussian.unbiased(p, packed(q, 15)), gaussian.unbiased(packed(p, 12), q)):
        assert abs(half_known.mean() - exact) < 5 * half_known.std() / np.sqrt(repetitions)
    assert gaussian.unbiased(p, q) == pytest.approx(exact, rel=1e-13)


def moments_of(block):
    one = Moments.of(block)
    return one.counts, one.sums, one.products


def test_a_gaussian_against_samples():
    """200 repetitions of each direction: the mean, and the spread of the pulls; 5 sigma, four times."""
    rng = np.random.default_rng(12)
    p, q = Gaussian([0.5, 0.0], ar(0.6, 2)), Gaussian([0.6, 0.1], 1.2 * ar(0.3, 2))
    pulls = []
    for _ in range(200):
        x, y = (rng.multivariate_normal(law.mean, law.cov, 400) for law in (p, q))
        known_p, known_q = kl_divergence(p, y), kl_divergence(x, q)
        assert (known_p.n_p, known_p.n_q, known_q.n_p, known_q.n_q) == (0, 400, 400, 0)
        pulls.append([(one.value - p.relative_entropy_to(q)) / one.stderr for one in (known_p, known_q)])
    mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    assert (np.abs(mean) < 5 * spread / np.sqrt(200)).all()
    assert (np.abs(spread / np.sqrt(19 / 17) - 1) < 5 * 0.06).all()  # Student's t, 19 degrees

    moments = Moments(*(np.concatenate(part) for part in zip(*map(moments_of, np.array_split(y, 20)), strict=True)))
    assert kl_divergence(p, moments).value == pytest.approx(kl_divergence(p, y).value, rel=1e-10)
    with pytest.raises(ParameterError, match="law's 2 components, got 1"):
        kl_divergence(p, y[:, :1])


@pytest.mark.parametrize(("d", "n", "m"), [(1, 400, 500), (5, 1000, 800)])
def test_gaussian_samples_against_the_exact_law(d, n, m):
    rng = np.random.default_rng(5)
    p, q = Gaussian(np.zeros(d), ar(0.6, d)), Gaussian(np.full(d, 0.1), 1.2 * ar(0.3, d))
    pulls = []
    for _ in range(60):
        x, y = (rng.multivariate_normal(law.mean, law.cov, size) for law, size in ((p, n), (q, m)))
        found = kl_divergence(x, y)
        pulls.append((found.value - p.relative_entropy_to(q)) / found.stderr)
    assert abs(np.mean(pulls)) < 5 * 1.06 / np.sqrt(60)
    assert 0.6 < np.std(pulls) < 1.5


def test_moments_are_affinely_invariant_and_merge():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(500, 3)), rng.normal(size=(600, 3)) * 1.3
    step = rng.normal(size=(3, 3)) + 2 * np.eye(3)
    plain, moved = kl_divergence(x, y), kl_divergence(x @ step + 5, y @ step + 5)
    assert moved.value == pytest.approx(plain.value, rel=1e-9)
    assert moved.stderr == pytest.approx(plain.stderr, rel=1e-6)
    one = [Moments.of(block) for block in np.array_split(x, 20)]
    merged = one[0]
    for other in one[1:]:
        merged = merged.merge(other)
    assert kl_divergence(merged, merged, paired=True).value == pytest.approx(0, abs=0.02)
    assert merged.packed().sum(axis=0) == pytest.approx(Moments.of(x).packed()[0])


def test_chains_are_not_crossed_by_blocks():
    rng = np.random.default_rng(7)
    walk = rng.normal(size=(4, 250, 1))
    found = kl_divergence(walk, 1.1 * walk, chains_axis=0)
    assert found.n_p == 1000
    swapped = kl_divergence(walk.transpose(1, 0, 2), 1.1 * walk.transpose(1, 0, 2), chains_axis=1)
    assert swapped.stderr == found.stderr
    with pytest.raises(ParameterError, match="multiple of the 4 chains"):
        kl_divergence(walk, walk, chains_axis=0, blocks=10)


def test_short_blocks_are_flagged():
    """An autoregression with a correlation time of 100: blocks of 10 are too short, blocks of 1000 are not."""
    rng = np.random.default_rng(8)
    slow = np.zeros(20000)
    for step in range(1, len(slow)):
        slow[step] = 0.99 * slow[step - 1] + 0.14 * rng.normal()
    quick = rng.normal(size=20000)
    assert "blocks-too-short" in kl_divergence(slow[:2000], quick[:2000], blocks=200).flags
    assert "blocks-too-short" not in kl_divergence(slow, quick, blocks=20).flags


# the record


def test_an_estimate_reads_well():
    found = KLEstimate(0.24724, 0.00131, "zhang-grabchak", 100, 100, 8, {"blocks": 20})
    assert str(found) == "0.2472(13) nats"
    assert float(found) == 0.24724
    low, high = found.interval(0.95)
    assert high - low == pytest.approx(2 * 2.093 * 0.00131, rel=1e-3)
    with pytest.raises(AttributeError):
        found.value = 1.0


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.24724, 0.00131, "0.2472(13)"),
        (0.24724, 0.000996, "0.2472(10)"),
        (0.5, 0.0999, "0.50(10)"),
        (12.34, 4.56, "12.3(4.6)"),
        (1234.5, 56.7, "1234(57)"),
        (-0.001, 0.01, "-0.001(10)"),
        (math.inf, math.inf, "inf"),
        (2.5, 0.0, "2.5"),
    ],
)
def test_brackets(value, error, text):
    assert with_error(value, error) == text


# bad input

FLOATS = np.random.default_rng(10).normal(size=(100, 2))
SPINS = np.ones((100, 3), np.int8)


@pytest.mark.parametrize(
    ("p", "q", "options", "message"),
    [
        (FLOATS, FLOATS[:, :1], {}, "equal dimensions"),
        (SPINS, SPINS[:, :2], {}, "equal dimensions"),
        (FLOATS, SPINS[:, :2], {}, "both be integers or both be floats"),
        (FLOATS * np.nan, FLOATS, {}, "p must be finite"),
        (FLOATS, FLOATS * np.inf, {}, "q must be finite"),
        (FLOATS[:0], FLOATS, {}, "not be empty"),
        (FLOATS.astype(str), FLOATS, {}, "integers, booleans or floats"),
        (SPINS.astype(float), SPINS.astype(float), {}, "look discrete: pass integers"),
        (np.ones((100, 21), int), np.ones((100, 21), int), {}, "too long for counting: at most 20"),
        (np.arange(300).reshape(100, 3), SPINS, {}, "spins of two values, got 300"),
        (FLOATS[:6], FLOATS, {"blocks": 4}, "sample more, compare fewer"),
        (FLOATS[:15], FLOATS, {}, "blocks need at least"),
        (FLOATS, FLOATS, {"symmetry": "flip"}, "not of floats"),
        (FLOATS, FLOATS, {"method": "plugin"}, "does not fit floats"),
        (FLOATS, FLOATS, {"method": "gausian"}, "did you mean 'gaussian'"),
        (FLOATS, FLOATS, {"error": "bootstrap"}, "error must be one of"),
        (FLOATS, FLOATS, {"blocks": 3}, "blocks must be at least 4"),
        (FLOATS @ [[1, 1], [1, 1]], FLOATS, {}, "covariance of p is singular"),
        (Counts([[1, 2]] * 20), Counts([[1, 2, 3]] * 20), {}, "same symbols"),
        (Counts([[1, 2]] * 20), FLOATS, {}, "both be Counts"),
        (Counts([[1, 2]] * 20), Counts([[1, 2]] * 20), {"chains_axis": 0}, "in order already"),
        (Categorical([1.0]), FLOATS, {}, "and a Gaussian with floats or Moments too, got Categorical and ndarray"),
        (Gaussian([0], [[1]]), Gaussian([0, 0], np.eye(2)), {}, "in 1 dimensions"),
        (Gaussian([0], [[1]]), Categorical([1.0]), {}, "in 1 dimensions"),
        (ChainRing(0.3, sites=4), ChainRing(0.3, sites=5), {}, "ring of 4 sites"),
    ],
)
def test_bad_input(p, q, options, message):
    with pytest.raises(ParameterError, match=message):
        kl_divergence(p, q, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian([0, 0], [[1, 0.5], [0.4, 1]]), "symmetric"),
        (lambda: Gaussian([0, 0], [[1, 2], [2, 1]]), "positive definite"),
        (lambda: Gaussian([0, 0], [[1.0]]), r"shape \(2, 2\)"),
        (lambda: Gaussian([np.nan], [[1.0]]), "mean must be finite"),
        (lambda: Gaussian(["a"], [[1.0]]), "mean must hold real numbers"),
        (lambda: Counts([[1, 2], [1]]), "counts must be integers"),
        (lambda: kl_divergence([[1, 2], [1]], [1, 2]), "p must be an array of samples"),
        (lambda: Categorical([0.5, 0.6]), "sum 1, got sum 1.1"),
        (lambda: Categorical([]), "not be empty"),
        (lambda: Counts([[1.5, 2.0]]), "counts must be integers"),
        (lambda: Counts([[-1, 2]]), "non-negative"),
        (lambda: Moments([1], [[0.0]], [[0.0]]), "moments must have shapes"),
        (lambda: Moments([1], [[np.inf]], [[[0.0]]]), "moments must be finite"),
    ],
)
def test_bad_laws_and_statistics(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
