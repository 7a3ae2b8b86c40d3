"""The common estimator: exact values, laws, and statistics with a false alarm in 2e6 a comparison."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from isingflow import (
    BoltzmannSamples,
    Categorical,
    Counts,
    Gaussian,
    KLEstimate,
    Moments,
    ParameterError,
    kl_divergence,
)
from isingflow.divergence import boltzmann, discrete, gaussian, neighbours, ratio
from isingflow.divergence.estimate import with_error
from isingflow.errors import InfiniteDivergenceWarning
from isingflow.ising import square
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
        found = kl_divergence(p, q)
    assert (found.value, found.flags) == (math.inf, ("infinite",))
    with pytest.warns(InfiniteDivergenceWarning, match="zhang-grabchak is finite"):
        found = kl_divergence(Counts([[5, 5]] * 20), Counts([[10, 0]] * 20), method="plugin")
    assert (found.value, found.flags) == (math.inf, ("unseen-mass", "infinite"))
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


# By Burnside's lemma, patterns that every operation leaves alone, over the operations. Of the rectangle: as they are,
# rows exchanged, columns exchanged, both; of the square also quarter turns and both diagonals. Then the same followed
# by the flip: none where a spin stays in its place, else 2 for each of the cycles, all of them even.
BURNSIDE = {
    (1, 4): (16 + 16 + 4 + 4 + 0 + 0 + 4 + 4) / 8,
    (2, 2): (16 + 4 + 4 + 4 + 2 * 2 + 2 * 8 + 0 + 4 + 4 + 4 + 2 * 2 + 0) / 16,
    (2, 3): (64 + 8 + 16 + 8 + 0 + 8 + 0 + 8) / 8,
    (3, 3): (512 + 64 + 64 + 32 + 2 * 8 + 2 * 64 + 0) / 16,
    (4, 4): (2**16 + 3 * 2**8 + 2 * 2**4 + 2 * 2**10 + 0 + 3 * 2**8 + 2 * 2**4 + 0) / 16,
}


@pytest.mark.parametrize("shape", BURNSIDE)
def test_classes_of_windows(shape):
    rows, columns = shape
    spins = rows * columns
    for one in (shape, shape[::-1]):
        classes = discrete.symmetry_classes(spins, "flip+reflect", one)
        assert classes.max() + 1 == len(set(classes.tolist())) == BURNSIDE[shape]
    assert discrete.symmetry_classes(spins, "flip", shape).max() + 1 == 2 ** (spins - 1)
    assert discrete.symmetry_classes(spins, "none", shape).tolist() == list(range(2**spins))


def orbit(window):
    """All the images of a window, a tuple of rows."""
    found, new = set(), {window}
    while new:
        found |= new
        images = set()
        for one in new:
            images |= {one[::-1], tuple(row[::-1] for row in one), tuple(tuple(1 - up for up in row) for row in one)}
            if len(one) == len(one[0]):
                images.add(tuple(zip(*one, strict=True)))
        new = images - found
    return frozenset(found)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (2, 3), (3, 2), (2, 4), (3, 3)])
def test_classes_are_orbits(shape):
    rows, columns = shape
    orbits = {}
    classes = discrete.symmetry_classes(rows * columns, "flip+reflect", shape)
    for code, members in enumerate(classes.tolist()):
        window = tuple(tuple(code >> (columns * i + j) & 1 for j in range(columns)) for i in range(rows))
        orbits.setdefault(orbit(window), set()).add(members)
    assert all(len(members) == 1 for members in orbits.values())
    assert len(orbits) == classes.max() + 1


def test_a_row_of_spins_is_a_window_of_one_row():
    counts = Counts(np.random.default_rng(1).integers(0, 9, (3, 32)), dof=5)
    for symmetry in discrete.SYMMETRIES:
        expected = counts.fold(symmetry).records
        for shape in ((1, 5), (5, 1), np.array([1, 5])):
            np.testing.assert_array_equal(counts.fold(symmetry, shape).records, expected)


def whole_counts(probabilities):
    return Counts(np.rint(probabilities * 2**55).astype(np.int64)[None], dof=16)


def test_symmetric_laws_may_be_folded():
    p, q = (whole_counts(square.boltzmann_probabilities(coupling, side=4)) for coupling in (0.4407, 0.3))
    unfolded = discrete.plugin(p.total, q.total)
    assert unfolded == pytest.approx(0.787929213, abs=1e-9)
    for symmetry in ("flip", "flip+reflect"):
        folded = [one.fold(symmetry, shape=(4, 4)).total for one in (p, q)]
        assert discrete.plugin(*folded) == pytest.approx(unfolded, rel=1e-12)
    # a law without the symmetry loses by it
    p = whole_counts(square.boltzmann_probabilities(0.4407, side=4, field=0.1))
    unfolded = discrete.plugin(p.total, q.total)
    folded = discrete.plugin(*(one.fold("flip+reflect", shape=(4, 4)).total for one in (p, q)))
    assert folded < unfolded - 0.01


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (4, r"shape must be a pair \(rows, columns\), got 4"),
        ((2, 2, 1), "shape must be a pair"),
        ((2, 3), "shape must be that of windows of 4 spins, got 2 x 3"),
        ((-2, -2), "window rows must be at least 1"),
        ((2, 2.0), "window columns must be a whole number"),
    ],
)
def test_windows_of_another_shape(shape, message):
    for symmetry in discrete.SYMMETRIES:
        with pytest.raises(ParameterError, match=message):
            Counts(np.ones((1, 16), np.int64), dof=4).fold(symmetry, shape=shape)


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


# every method through the one door


def energies(coupling, n, rng):
    """Independent two-valued spins: ``D = ln cosh K_q - ln cosh K_p + (K_p - K_q) tanh K_p``."""
    return BoltzmannSamples(np.where(rng.random(n) < 1 / (1 + math.exp(-2 * coupling)), 1, -1), coupling)


def spins_of(coupling, n, width, rng):
    codes = rng.choice(2**width, size=n, p=ChainWindow(coupling, width=width).probabilities())
    return (codes[:, None] >> np.arange(width) & 1).astype(np.int8)


def normals(law, n, rng):
    return rng.multivariate_normal(law.mean, law.cov, n)


WINDOWS = ChainWindow(0.6, width=4), ChainWindow(0.3, width=4)
NORMAL = Gaussian(np.zeros(2), ar(0.6, 2)), Gaussian(np.full(2, 0.1), 1.2 * ar(0.3, 2))
DIAGONAL = Gaussian(np.zeros(3), np.diag([1.0, 2.0, 0.5])), Gaussian(np.full(3, 0.3), np.diag([1.5, 1.0, 1.0]))
ISOTROPIC = Gaussian(np.zeros(3), np.eye(3)), Gaussian(np.full(3, 0.2), 1.4 * np.eye(3))
SPIN_VALUE = math.log(math.cosh(0.2) / math.cosh(0.7)) + 0.5 * math.tanh(0.7)


def pair_for(method, rng, n=3000, m=4000):
    """Samples of p and q that suit a method, and the exact value."""
    if method in ("zhang-grabchak", "plugin", "markov"):
        return spins_of(0.6, n, 4, rng), spins_of(0.3, m, 4, rng), 0.1059610597417951
    if method == "mbar":
        return energies(0.7, n, rng), energies(0.2, m, rng), SPIN_VALUE
    p, q = {"gaussian-diagonal": DIAGONAL, "gaussian-isotropic": ISOTROPIC}.get(method, NORMAL)
    return normals(p, n, rng), normals(q, m, rng), p.relative_entropy_to(q)


TWO_ERRORS = ("zhang-grabchak", "plugin", "markov", "gaussian", "gaussian-diagonal", "gaussian-isotropic", "mbar")


@pytest.mark.parametrize("method", [*TWO_ERRORS, "knn", "density-ratio"])
def test_every_method_on_unequal_samples_against_the_exact_value(method):
    """Five errors and, where there is one, the known bias; p and q swapped are further off; nothing is changed."""
    p, q, exact = pair_for(method, np.random.default_rng(21))
    before = [np.array(getattr(one, "statistics", one)) for one in (p, q)]
    found = kl_divergence(p, q, method=method)
    bias = {"plugin": 16 / 2 * (1 / 3000 + 1 / 4000), "knn": 0.015, "density-ratio": 0.005}.get(method, 0.0)
    assert abs(found.value - exact) < 5 * found.stderr + bias
    assert 0 < found.stderr < 0.2 * exact
    assert (found.method, found.n_p, found.n_q) == (method, 3000, 4000)
    low, high = found.interval(0.9999)
    assert low < found.value < high
    assert found.per_dof().value == found.value / found.dof
    swapped = kl_divergence(q, p, method=method)
    assert (swapped.n_p, swapped.n_q) == (4000, 3000)
    assert swapped.value != found.value
    assert all(np.array_equal(getattr(one, "statistics", one), old) for one, old in zip((p, q), before, strict=True))


@pytest.mark.parametrize("method", TWO_ERRORS)
@pytest.mark.parametrize("paired", [False, True])
def test_jackknife_and_influence_agree(method, paired):
    """Of 100 blocks the jackknife's error is good to 7 %: 30 % apart is beyond four of these."""
    rng = np.random.default_rng(22)
    p, q, _ = pair_for(method, rng, 20000, 20000)
    if paired and method == "mbar":
        with pytest.raises(ParameterError, match="error='jackknife' only"):
            kl_divergence(p, q, paired=True, error="influence")
        assert kl_divergence(p, q, paired=True).diagnostics["error"] == "jackknife"
        return
    errors = [
        kl_divergence(p, q, method=method, error=error, blocks=100, paired=paired)
        for error in ("jackknife", "influence")
    ]
    assert errors[0].value == pytest.approx(errors[1].value, rel=1e-10)
    assert abs(errors[0].stderr / errors[1].stderr - 1) < 0.3
    assert [one.diagnostics["error"] for one in errors] == ["jackknife", "influence"]
    assert errors[1].diagnostics["autocorrelation_time_p"] == pytest.approx(0.5, abs=0.2)
    assert errors[1].diagnostics["degrees"] > 1000


def test_pairs_are_told_from_independent_samples():
    """q from p with one spin in ten turned: the paired error is smaller, in both ways of telling it."""
    rng = np.random.default_rng(23)
    p = (spins_of(0.6, 20000, 4, rng) * 2 - 1).astype(np.int8)
    q = p * np.where(rng.random(p.shape) < 0.02, -1, 1).astype(np.int8)
    for error in ("jackknife", "influence"):
        together, apart = (kl_divergence(p, q, error=error, paired=paired).stderr for paired in (True, False))
        assert together < 0.6 * apart


def slow_spins(n, rng, width=3):
    """Windows that are replaced once in ten steps: an autocorrelation time of 9.5."""
    fresh = spins_of(0.6, n, width, rng)
    return fresh[np.maximum.accumulate(np.where(rng.random(n) < 0.1, np.arange(n), 0))]


def test_the_influence_error_knows_correlations_and_chains():
    rng = np.random.default_rng(24)
    p, q = (np.stack([slow_spins(5000, rng) for _ in range(4)]) for _ in range(2))
    found = kl_divergence(p, q, chains_axis=0, error="influence")
    assert found.diagnostics["autocorrelation_time_p"] == pytest.approx(9.5, rel=0.3)
    assert "short-run" not in found.flags
    assert "short-run" in kl_divergence(p[:1, :300], q[:1, :300], chains_axis=0, error="influence").flags
    p[:, 100:] = rng.permutation(p[:, 100:], axis=1)
    assert kl_divergence(p, q, chains_axis=0, error="influence").diagnostics["autocorrelation_time_p"] < 5


@pytest.mark.parametrize(
    ("a", "b", "method", "expected"),
    [
        ([50, 30, 20], [20, 30, 50], "plugin", 0.274887219562),
        ([50, 30, 20], [20, 30, 50], "zhang-grabchak", 0.250439704356),
        ([5, 3, 0, 12, 1], [4, 0, 7, 9, 2], "zhang-grabchak", 0.345021645022),
    ],
)
@pytest.mark.parametrize("error", ["jackknife", "influence"])
def test_reference_counts(a, b, method, expected, error):
    p, q = (np.repeat(np.arange(len(counts)), counts) for counts in (a, b))
    found = kl_divergence(p, q, method=method, error=error)
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_a_plugin_without_a_block_has_no_error():
    p, q = np.arange(200) % 3, np.repeat([0, 1, 2], [100, 99, 1])
    found = kl_divergence(p, q, method="plugin")
    assert (found.stderr, found.flags) == (math.inf, ("no-error",))
    assert not any(np.isnan(entry).any() for entry in found.diagnostics.values() if not isinstance(entry, str))
    with pytest.raises(ParameterError, match="an interval needs an error"):
        found.interval()
    assert 0 < kl_divergence(p, q, method="plugin", error="influence").stderr < math.inf


def test_long_windows_by_the_chain_rule():
    """Windows of 40 spins, which nobody can count; exact by additivity of the links."""
    rng = np.random.default_rng(25)

    def windows(coupling, n):
        turns = np.where(rng.random((n, 40)) < 1 / (1 + math.exp(2 * coupling)), -1, 1)
        turns[:, 0] = np.where(rng.random(n) < 0.5, -1, 1)
        return np.cumprod(turns, axis=1)

    p, q = windows(0.6, 2000), windows(0.3, 2500)
    exact = 39 * (math.log(math.cosh(0.3) / math.cosh(0.6)) + 0.3 * math.tanh(0.6))
    for error in ("jackknife", "influence"):
        found = kl_divergence(p, q, method="markov", error=error)
        assert abs(found.value - exact) < 5 * found.stderr < 0.5 * exact
        assert found.dof == 40


def test_large_tables_hold_what_was_seen():
    """16 spins: without the symbols that nobody has seen the value is the same."""
    rng = np.random.default_rng(26)
    p, q = spins_of(0.6, 3000, 16, rng), spins_of(0.3, 4000, 16, rng)
    totals = [np.bincount(one @ (1 << np.arange(16)), minlength=2**16) for one in (p, q)]
    found = kl_divergence(p, q)
    assert found.value == pytest.approx(float(discrete.zhang_grabchak(*totals)), rel=1e-12)
    counts = [streamed(lambda part: Counts.of(part, values=(0, 1)), one, 20) for one in (p, q)]
    assert kl_divergence(*counts).value == found.value
    assert kl_divergence(*counts, symmetry="flip").value == kl_divergence(p, q, symmetry="flip").value


def streamed(kind, samples, batches):
    parts = np.array_split(samples, batches)
    merged = kind(parts[0])
    for part in parts[1:]:
        merged = merged.merge(kind(part))
    return merged


@pytest.mark.parametrize("method", [m for m in TWO_ERRORS if m != "mbar"])
def test_streams_give_the_estimate_of_one_piece(method):
    """As many batches as blocks: values and jackknife errors are those of the array, however they were merged."""
    p, q, _ = pair_for(method, np.random.default_rng(27))
    if method.startswith("gaussian"):
        together = np.concatenate([p, q]).mean(axis=0)

        def kind(part):
            return Moments.of(part, origin=together)
    else:

        def kind(part):
            return Counts.of(part, values=(0, 1))

    whole = kl_divergence(p, q, method=method)
    merged = kl_divergence(streamed(kind, p, 20), streamed(kind, q, 20), method=method)
    assert merged.value == pytest.approx(whole.value, rel=1e-12)
    assert merged.stderr == pytest.approx(whole.stderr, rel=1e-9)
    finer = kl_divergence(streamed(kind, p, 500), streamed(kind, q, 700), method=method, error="influence")
    assert finer.value == pytest.approx(whole.value, rel=1e-12)
    assert finer.stderr == pytest.approx(whole.stderr, rel=0.5)


# energies


def test_energies_through_the_door():
    rng = np.random.default_rng(28)
    p, q = energies(0.7, 4000, rng), energies(0.2, 3000, rng)
    found, straight = kl_divergence(p, q), boltzmann.pooled(p, q)
    assert (found.value, found.method, found.dof) == (straight.value, "mbar", 1)
    assert found.diagnostics["free_energy"] == straight.free_energy
    assert found.diagnostics["effective_samples_p"] == straight.effective_p
    assert found.flags == ()
    assert "poor-overlap" in kl_divergence(energies(-4.0, 4000, rng), energies(4.0, 4000, rng)).flags
    assert kl_divergence(p, q, error="jackknife").stderr == pytest.approx(found.stderr, rel=0.6)


def test_a_ladder_through_the_door():
    pytest.importorskip("pymbar")
    rng = np.random.default_rng(29)
    p, middle, q = (energies(coupling, 1000, rng) for coupling in (0.7, 0.4, 0.2))
    found, straight = kl_divergence(p, q, between=[middle]), boltzmann.ladder(p, q, [middle])
    assert (found.value, found.method) == (straight.value, "mbar-ladder")
    assert found.stderr == pytest.approx(straight.stderr, rel=1e-12)
    assert abs(found.value - SPIN_VALUE) < 5 * found.stderr


# floats without a model


def test_neighbours_through_the_door():
    rng = np.random.default_rng(30)
    p, q = normals(NORMAL[0], 1000, rng), normals(NORMAL[1], 1500, rng)
    blocks = [np.repeat(np.arange(20), [len(part) for part in np.array_split(one, 20)]) for one in (p, q)]
    found = kl_divergence(p, q, method="knn", neighbours=3)
    assert found.value == pytest.approx(neighbours.knn(p, q, neighbours=3), abs=1e-10)
    batches = neighbours.knn_batches(p, q, *blocks, neighbours=3)
    assert found.stderr == pytest.approx(np.std(batches, ddof=1) / math.sqrt(20), rel=1e-9)
    _, of_p, of_q = neighbours.knn_blocks(p, q, *blocks)
    deleted = kl_divergence(p, q, method="knn", error="jackknife")
    assert deleted.stderr == pytest.approx(math.sqrt(19 * (np.var(of_p) + np.var(of_q))), rel=1e-9)
    assert kl_divergence(p, q, method="knn", neighbours=3, workers=2).value == found.value
    wide = rng.normal(size=(2, 400, 11))
    assert "high-dimension" in kl_divergence(*wide, method="knn", forced=True).flags
    chains = [one.reshape(4, -1, 2) for one in (p[:1000], q[:1000])]
    apart = kl_divergence(*chains, method="knn", chains_axis=0)
    assert apart.value == pytest.approx(neighbours.knn(p, q[:1000]), abs=1e-10)


def test_density_ratio_through_the_door():
    rng = np.random.default_rng(31)
    p, q = normals(NORMAL[0], 1000, rng), normals(NORMAL[1], 1500, rng)
    found = kl_divergence(p, q, method="density-ratio")
    straight = ratio.density_ratio(p, q)
    assert found.value == pytest.approx(straight.value, rel=1e-6)
    independent = math.sqrt(np.var(straight.influence_p) / 1000 + np.var(straight.influence_q) / 1500)
    assert found.stderr == pytest.approx(independent, rel=0.3)
    assert found.diagnostics["features"] == 5


# few samples


def test_a_value_without_an_error_must_be_forced():
    """d = 4: 5 of p and 9 of q have an error; 5 and 7 have a value."""
    rng = np.random.default_rng(32)
    x, y = rng.normal(size=(5, 4)), rng.normal(size=(8, 4))
    with pytest.raises(ParameterError, match="declare a model by method='gaussian-diagonal'"):
        kl_divergence(x, y, blocks=4)
    found = kl_divergence(x, y, blocks=4, forced=True)
    assert math.isfinite(found.value)
    assert (found.stderr, found.flags) == (math.inf, ("n-near-d", "no-error"))
    for fewer in ((x[:4], y), (x, y[:6])):
        with pytest.raises(ParameterError, match="needs more samples"):
            kl_divergence(*fewer, blocks=4, forced=True)


# the record


def test_diagnostics_have_the_unit_of_the_value():
    rng = np.random.default_rng(33)
    whole = kl_divergence(spins_of(0.6, 2000, 4, rng), spins_of(0.3, 2000, 4, rng), paired=True)
    share = whole.per_dof()
    for name in ("curvature_error", "error_double_blocks"):
        assert share.diagnostics[name] == whole.diagnostics[name] / 4
    assert np.array_equal(share.diagnostics["replicates"], whole.diagnostics["replicates"] / 4)
    assert share.diagnostics["coverage_p"] == whole.diagnostics["coverage_p"]
    assert whole.diagnostics["block_length_p"] == 100
    apart = kl_divergence(spins_of(0.6, 2000, 4, rng), spins_of(0.3, 2000, 4, rng))
    for name in ("replicates_p", "replicates_q"):
        assert len(apart.diagnostics[name]) == 20
        assert np.array_equal(apart.per_dof().diagnostics[name], apart.diagnostics[name] / 4)


def test_errors_of_longer_blocks_and_degrees_of_freedom():
    rng = np.random.default_rng(34)
    p, q = spins_of(0.6, 2000, 4, rng), spins_of(0.3, 3000, 4, rng)
    double = kl_divergence(p, q, blocks=40).diagnostics["error_double_blocks"]
    assert double == pytest.approx(kl_divergence(p, q, blocks=20).stderr, rel=1e-9)
    found = kl_divergence(p, q, error="influence")
    half = (found.interval(0.95)[1] - found.interval(0.95)[0]) / 2
    assert half == pytest.approx(1.96 * found.stderr, rel=0.01)
    alone = [kl_divergence(one, Gaussian([0.5], [[1.0]]), error="influence") for one in rng.normal(size=(2, 2000, 1))]
    assert [list(one.diagnostics)[-2] for one in alone] == ["autocorrelation_time_p"] * 2


def test_many_components_are_resampled_in_one_decomposition():
    rng = np.random.default_rng(35)
    p, q = rng.normal(size=(400, 65)), rng.normal(size=(500, 65))
    found = kl_divergence(p, q)
    small = kl_divergence(p[:, :64], q[:, :64])
    assert abs(found.value) < 5 * found.stderr
    assert found.stderr == pytest.approx(small.stderr, rel=0.5)
    assert {"blocks", "curvature_error", "block_length_p"} <= set(found.diagnostics)


def test_a_block_that_holds_all_of_a_component_leaves_no_error():
    """Without it the component is constant: no covariance, but for rounding."""
    rng = np.random.default_rng(36)
    p, q = rng.normal(size=(2, 1000, 2))
    p[:, 1] = 0
    p[100:140, 1] = rng.normal(size=40)
    found = kl_divergence(q, p)
    assert (found.stderr, found.flags) == (math.inf, ("no-error",))
    assert 0 < kl_divergence(q, p, error="influence").stderr < math.inf


@pytest.mark.parametrize("constants", [(0.1, 0.3), (1 / 3, 0.7), (1e9 / 7, 1e9 / 3)])
@pytest.mark.parametrize("method", ["gaussian", "gaussian-diagonal", "gaussian-isotropic", "knn"])
def test_constant_components_are_found_whatever_their_rounding(method, constants):
    x, y = np.random.default_rng(37).normal(size=(2, 1000, 2))
    x[:, 1], y[:, 1] = constants
    with pytest.raises(ParameterError, match="constant"):
        kl_divergence(x, y, method=method)


@pytest.mark.parametrize("seed", range(4))
def test_an_offset_that_leaves_no_digits_is_refused(seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 2000, 1))
    for p, q in ((x, y + 1e9), (Gaussian([0.0], [[1.0]]), y + 1e9)):
        with pytest.raises(ParameterError, match="from their origin"):
            kl_divergence(p, q)


def test_short_floats_are_summed_as_long_ones():
    x, y = (1000 + np.random.default_rng(38).normal(size=(2, 20000, 1))).astype(np.float32)
    for method in ("gaussian", "gaussian-diagonal"):
        wide = kl_divergence(x.astype(np.float64), y.astype(np.float64), method=method)
        assert kl_divergence(x, y, method=method).value == pytest.approx(wide.value, rel=1e-9)


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

INTEGERS = np.tile([0, 1], 50)
MANY = np.random.default_rng(39).normal(size=(240, 70))
FLOATS = np.random.default_rng(10).normal(size=(100, 2))
SPINS = np.ones((100, 3), np.int8)
BOLTZMANN = BoltzmannSamples(np.arange(40) % 3, 0.3)


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
        (INTEGERS, INTEGERS, {"between": 5}, "between must be a list"),
        (INTEGERS, INTEGERS, {"symmetry": "flip"}, "not of symbols"),
        (Categorical([1.0]), Categorical([1.0]), {"symmetry": "flip"}, "one of windows of spins, got Categorical"),
        (Categorical([1.0]), Categorical([1.0]), {"chains_axis": 0}, "with two laws"),
        (INTEGERS.astype(np.uint64), INTEGERS, {}, "uint64, int64 have no common type"),
        (np.ma.masked_array(INTEGERS, mask=INTEGERS == 1), INTEGERS, {}, "p must not be masked"),
        (Gaussian([0, 0], np.eye(2)), Moments.of(np.eye(3)), {}, "law's 2 components, got 3"),
        (MANY[:200], MANY, {"paired": True}, "equally many"),
        (Categorical([1.0]), FLOATS, {}, "and a Gaussian with floats or Moments too, got Categorical and ndarray"),
        (Gaussian([0], [[1]]), Gaussian([0, 0], np.eye(2)), {}, "in 1 dimensions"),
        (Gaussian([0], [[1]]), Categorical([1.0]), {}, "in 1 dimensions"),
        (ChainRing(0.3, sites=4), ChainRing(0.3, sites=5), {}, "ring of 4 sites"),
        (SPINS, SPINS, {"method": "markov", "symmetry": "flip"}, "take 'zhang-grabchak'"),
        (SPINS[:, 0], SPINS[:, 0], {"method": "markov"}, "windows of two spins at least"),
        (SPINS[:, 0], SPINS[:, 0], {"symmetry": "flip"}, "one of windows of spins"),
        (SPINS, SPINS, {"method": "gaussian"}, "does not fit counts"),
        (Counts([[1, 2, 3]] * 20), Counts([[1, 2, 3]] * 20), {"method": "markov"}, "windows of two spins"),
        (Counts([[1, 2, 3]] * 20, 2), Counts([[1, 2, 3]] * 20, 2), {"method": "markov"}, r"needs all 2\*\*2"),
        (Counts([[1, 2]] * 7), Counts([[1, 2]] * 7), {"error": "influence"}, "at least 8 samples or records"),
        (Counts([[1, 2]] * 7), Counts([[1, 2]] * 7), {}, "20 blocks need at least 20 records"),
        (SPINS, SPINS[:50], {"paired": True}, "paired samples must be equally many, in as many chains, got 100 and 50"),
        (FLOATS, FLOATS[:50], {"paired": True, "method": "knn"}, "paired samples must be equally many"),
        (FLOATS, FLOATS + 1, {"method": "knn", "error": "influence"}, "'knn' has no error='influence'; legal are"),
        (FLOATS, FLOATS + 1, {"method": "density-ratio", "error": "jackknife"}, "has no error='jackknife'"),
        (Categorical([1.0]), Categorical([1.0]), {"error": "jackknife"}, "'exact' has no error='jackknife'"),
        (np.repeat(FLOATS, 4, axis=0), FLOATS, {"method": "knn"}, "remove repeated samples"),
        (np.zeros((100, 11)), np.zeros((100, 11)), {"method": "knn"}, "or force it"),
        (FLOATS, FLOATS, {"between": [FLOATS]}, "between is for BoltzmannSamples"),
        (BOLTZMANN, FLOATS, {}, "both be BoltzmannSamples"),
        (BOLTZMANN, BOLTZMANN, {"chains_axis": 0}, "know their chains"),
        (BOLTZMANN, BOLTZMANN, {"method": "gaussian"}, "does not fit samples with known energies"),
        (BOLTZMANN, BOLTZMANN, {"method": "mbar", "between": [BOLTZMANN]}, "take 'mbar-ladder'"),
        (BOLTZMANN, BOLTZMANN, {"method": "mbar-ladder", "error": "influence"}, "has no error='influence'"),
        (BOLTZMANN, Categorical([1.0]), {}, "a law can be compared with another law"),
        (FLOATS, FLOATS, {"workers": 0}, "workers must be at least 1"),
        (Moments.of(FLOATS), Moments.of(FLOATS), {"method": "knn"}, "does not fit moments"),
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
