"""Entropy, mutual information, Jensen-Shannon: exact values, then means of many; a false alarm in 2e6 a comparison."""

import math

import numpy as np
import pytest

from isingflow import (
    BoltzmannSamples,
    Categorical,
    Counts,
    Gaussian,
    Moments,
    ParameterError,
    entropy,
    jensen_shannon,
    kl_divergence,
    mutual_information,
)
from isingflow.divergence import boltzmann, discrete, gaussian
from isingflow.ising.chain import ChainWindow

P, Q = Categorical([0.5, 0.3, 0.2]), Categorical([0.1, 0.3, 0.6])


def drawn(law, n, rng):
    return rng.choice(len(law.probs), size=n, p=law.probs)


def js_of_frequencies(p, q):
    h = (p + q) / 2
    return sum(x * math.log(x / z) / 2 for one in (p, q) for x, z in zip(one, h, strict=True) if x > 0)


# Jensen-Shannon


def test_jensen_shannon_of_laws():
    found = jensen_shannon(P, Q)
    assert found.value == pytest.approx(js_of_frequencies(P.probs, Q.probs), rel=1e-14)
    assert (found.stderr, found.method) == (0.0, "exact")
    assert jensen_shannon(Q, P).value == pytest.approx(found.value, rel=1e-14)
    assert jensen_shannon(P, P).value == 0
    assert jensen_shannon(Categorical([1, 0]), Categorical([0, 1])).value == pytest.approx(math.log(2), rel=1e-15)


def test_jensen_shannon_against_deleting_every_observation():
    """The corrected value from its definition: observations of p, then of q, deleted one by one."""
    p, q = np.repeat([0, 1, 2, 3], [9, 5, 0, 7]), np.repeat([0, 1, 2, 3], [4, 1, 11, 10])

    def plain(x, y):
        return js_of_frequencies(*(np.bincount(one, minlength=4) / len(one) for one in (x, y)))

    value = plain(p, q)
    without_p = np.mean([plain(np.delete(p, i), q) for i in range(len(p))])
    without_q = np.mean([plain(p, np.delete(q, i)) for i in range(len(q))])
    expected = value + (len(p) - 1) * (value - without_p) + (len(q) - 1) * (value - without_q)
    assert jensen_shannon(p, q, error="influence").value == pytest.approx(expected, rel=1e-12)
    assert jensen_shannon(p, q).value == pytest.approx(expected, rel=1e-12)


def test_jensen_shannon_of_samples():
    rng = np.random.default_rng(1)
    p, q = drawn(P, 5000, rng), drawn(Q, 7000, rng)
    exact = jensen_shannon(P, Q).value
    jack, influence = (jensen_shannon(p, q, error=error, blocks=100) for error in ("jackknife", "influence"))
    for found in (jack, influence):
        assert abs(found.value - exact) < 5 * found.stderr < 0.2 * exact
        assert (found.n_p, found.n_q, found.dof) == (5000, 7000, 1)
    assert abs(jack.stderr / influence.stderr - 1) < 0.3
    records = [Counts([np.bincount(part, minlength=3) for part in np.array_split(one, 100)]) for one in (p, q)]
    assert jensen_shannon(*records, blocks=100).value == pytest.approx(jack.value, rel=1e-12)
    assert jensen_shannon(*records, blocks=100).stderr == pytest.approx(jack.stderr, rel=1e-9)
    assert jensen_shannon(p, p, paired=True).stderr < 0.1 * jensen_shannon(p, q).stderr


def test_samples_that_show_little_of_the_law_are_flagged():
    rng = np.random.default_rng(11)
    x, y = rng.integers(150, size=(2, 5000))
    for found in (
        mutual_information(x, y),
        entropy(rng.integers(2, size=(1000, 20))),
        jensen_shannon(*(x * 150 + y).reshape(2, -1)),
    ):
        assert found.flags == ("low-coverage",)
    assert mutual_information(x % 4, y % 4).flags == entropy(x).flags == jensen_shannon(x, y).flags == ()


def test_jensen_shannon_of_energies():
    rng = np.random.default_rng(2)
    p, q = (
        BoltzmannSamples(np.where(rng.random(4000) < 1 / (1 + math.exp(-2 * coupling)), 1, -1), coupling)
        for coupling in (0.7, 0.2)
    )
    exact = js_of_frequencies(*(np.array([1, math.exp(2 * k)]) / (1 + math.exp(2 * k)) for k in (0.7, 0.2)))
    found = jensen_shannon(p, q)
    assert found.value == boltzmann.pooled(p, q).jensen_shannon
    assert abs(found.value - exact) < 5 * found.stderr < exact
    assert jensen_shannon(p, q, error="jackknife").stderr == pytest.approx(found.stderr, rel=0.6)
    assert jensen_shannon(p, q).value != kl_divergence(p, q).value


# entropy


def test_entropy_of_laws():
    assert entropy(Categorical([0.25] * 4)).value == pytest.approx(math.log(4), rel=1e-15)
    assert math.copysign(1, entropy(Categorical([1.0, 0.0])).value) == 1
    cov = np.array([[2.0, 0.5], [0.5, 1.0]])
    found = entropy(Gaussian([1.0, -1.0], cov))
    assert found.value == pytest.approx(math.log(2 * math.pi * math.e) + math.log(1.75) / 2, rel=1e-14)
    assert (found.stderr, found.dof) == (0.0, 2)


def test_entropy_in_the_mean():
    """20,000 samples of 30: Zhang's is low by what is not seen, here less than an error; the plug-in by 1/30."""
    rng = np.random.default_rng(3)
    counts = rng.multinomial(30, P.probs, size=20000)
    found = discrete.entropy(counts)
    error = found.std() / math.sqrt(20000)
    assert abs(found.mean() - P.entropy()) < 5 * error
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = -np.nansum(counts / 30 * np.log(counts / 30), axis=1)
    assert abs(plain.mean() - P.entropy()) > 20 * error
    one = np.repeat(np.arange(3), counts[0])
    assert entropy(one).value == pytest.approx(found[0], rel=1e-13)


@pytest.mark.parametrize("error", ["jackknife", "influence"])
def test_entropy_of_samples(error):
    rng = np.random.default_rng(4)
    symbols = drawn(P, 5000, rng)
    found = entropy(symbols, error=error)
    assert abs(found.value - P.entropy()) < 5 * found.stderr < 0.1
    assert (found.method, found.n_p, found.n_q) == ("zhang", 5000, 0)
    spread = math.sqrt(np.sum(P.probs * np.log(P.probs) ** 2) - P.entropy() ** 2)
    assert found.stderr == pytest.approx(spread / math.sqrt(5000), rel=0.05 if error == "influence" else 0.5)
    records = Counts([np.bincount(part, minlength=3) for part in np.array_split(symbols, 20)])
    assert entropy(records, error=error).value == pytest.approx(found.value, rel=1e-12)
    low, high = found.interval(0.9999)
    assert low < found.value < high
    windows = entropy(np.array([[0, 1], [1, 1]] * 50), error=error)
    assert windows.dof == 2
    assert windows.value == pytest.approx(float(discrete.entropy([50, 50])), rel=1e-13)


@pytest.mark.parametrize("error", ["jackknife", "influence"])
def test_entropy_of_floats(error):
    rng = np.random.default_rng(5)
    law = Gaussian([100.0, 0.0], [[2.0, 0.5], [0.5, 1.0]])
    samples = rng.multivariate_normal(law.mean, law.cov, 4000)
    found = entropy(samples, error=error)
    assert abs(found.value - law.entropy()) < 5 * found.stderr
    assert found.stderr == pytest.approx(1 / math.sqrt(4000), rel=0.1 if error == "influence" else 0.5)  # sqrt(d/2n)
    batches = [Moments.of(part, origin=law.mean) for part in np.array_split(samples, 20)]
    merged = batches[0]
    for batch in batches[1:]:
        merged = merged.merge(batch)
    assert entropy(merged, error=error).value == pytest.approx(found.value, rel=1e-12)


def test_gaussian_entropy_in_the_mean():
    """20,000 samples of 6 in two dimensions."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(20000, 6, 2))
    products = np.einsum("rni,rnj->rij", x, x).reshape(20000, 4)
    packed = np.concatenate([np.full((20000, 1), 6.0), x.sum(axis=1), products], axis=1)
    found = gaussian.entropy(packed)
    assert abs(found.mean() - math.log(2 * math.pi * math.e)) < 5 * found.std() / math.sqrt(20000)


# mutual information


@pytest.mark.parametrize("error", ["jackknife", "influence"])
def test_mutual_information_of_symbols(error):
    """A fair bit through a channel that turns one in ten: ln 2 - h(0.1); and its variance in closed form."""
    rng = np.random.default_rng(7)
    x = rng.random(8000) < 0.5
    y = x ^ (rng.random(8000) < 0.1)
    found = mutual_information(x, y, error=error)
    exact = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    assert abs(found.value - exact) < 5 * found.stderr
    spread = 0.3 * math.log(9)  # of ln p(x, y) / p(x) p(y)
    assert found.stderr == pytest.approx(spread / math.sqrt(8000), rel=0.1 if error == "influence" else 0.5)
    assert mutual_information(y, x, error=error).value == pytest.approx(found.value, rel=1e-10)
    shuffled = mutual_information(x, rng.permutation(y), error=error)
    assert abs(shuffled.value) < 1e-3


def test_mutual_information_of_identical_variables_is_the_entropy():
    rng = np.random.default_rng(8)
    x = drawn(P, 3000, rng)
    assert mutual_information(x, x).value == pytest.approx(entropy(x).value, rel=1e-12)
    assert mutual_information(x, x).stderr == pytest.approx(entropy(x).stderr, rel=1e-9)
    assert mutual_information(x, 2 - x, error="influence").stderr == pytest.approx(
        entropy(x, error="influence").stderr, rel=1e-9
    )


def test_mutual_information_of_unlike_alphabets():
    """Three symbols against two, by hand; in chains too."""
    x, y = np.repeat([0, 1, 2, 2], [10, 20, 30, 40]), np.repeat([0, 1, 0, 1], [10, 20, 30, 40])
    of_x, of_y, joint = (float(discrete.entropy(one)) for one in ([10, 20, 70], [40, 60], [10, 20, 30, 40]))
    for one, other in ((x, y), (y, x)):
        found = mutual_information(one.reshape(2, 50), other.reshape(2, 50), chains_axis=0)
        assert found.value == pytest.approx(of_x + of_y - joint, rel=1e-12)


def test_mutual_information_of_windows():
    """Two halves of a window of four spins: independent but for the link between them."""
    rng = np.random.default_rng(9)
    law = ChainWindow(0.8, width=4)
    codes = rng.choice(16, size=20000, p=law.probabilities())
    windows = codes[:, None] >> np.arange(4) & 1
    found = mutual_information(windows[:, :2], windows[:, 2:])
    exact = 0.8 * math.tanh(0.8) - math.log(math.cosh(0.8))
    assert abs(found.value - exact) < 5 * found.stderr < 0.2 * exact
    assert found.dof == 4


@pytest.mark.parametrize("error", ["jackknife", "influence"])
def test_mutual_information_of_floats(error):
    rng = np.random.default_rng(10)
    x = rng.normal(size=6000)
    y = 0.6 * x + 0.8 * rng.normal(size=6000)
    found = mutual_information(x, y, error=error)
    assert abs(found.value + math.log(1 - 0.36) / 2) < 5 * found.stderr
    assert found.stderr == pytest.approx(0.6 / math.sqrt(6000), rel=0.1 if error == "influence" else 0.5)
    assert (found.method, found.n_p, found.n_q, found.dof) == ("gaussian", 6000, 0, 2)
    assert mutual_information(3 * x + 5, -y, error=error).value == pytest.approx(found.value, rel=1e-9)


# bad input

FLOATS = np.random.default_rng(11).normal(size=(100, 2))
BITS = np.arange(100) % 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jensen_shannon(FLOATS, FLOATS), "a mixture of normal laws is not normal: bin the samples"),
        (lambda: jensen_shannon(Moments.of(FLOATS), Moments.of(FLOATS)), "a mixture of normal laws is not normal"),
        (lambda: jensen_shannon(Gaussian([0], [[1]]), Gaussian([0], [[1]])), "exact for two Categorical"),
        (lambda: jensen_shannon(P, BITS), "exact for two Categorical"),
        (lambda: jensen_shannon(P, Categorical([1.0])), "same symbols, got 3 and 1"),
        (lambda: jensen_shannon(P, Q, error="influence"), "has no error='influence'"),
        (lambda: jensen_shannon(BITS, BITS, method="plugin"), "does not fit counts"),
        (lambda: jensen_shannon(BITS[:1], BITS), "two observations at least"),
        (lambda: jensen_shannon(BITS, FLOATS[:, 0]), "both be integers or both be floats"),
        (lambda: jensen_shannon(BITS, BITS, between=[1]), "between is for BoltzmannSamples"),
        (lambda: entropy(FLOATS * np.nan), "the sample must be finite"),
        (lambda: entropy(np.ones((100, 2))), "look discrete"),
        (lambda: entropy(FLOATS[:2]), "at least 3, got 2 in all"),
        (lambda: entropy(FLOATS @ [[1, 1], [1, 1]]), "covariance of the sample is singular"),
        (lambda: entropy(np.ones((100, 21), int)), "too long for counting"),
        (lambda: entropy(Moments.of(FLOATS), chains_axis=0), "in order already"),
        (lambda: entropy(BITS, method="gaussian"), "does not fit counts"),
        (lambda: entropy(BoltzmannSamples(np.arange(40) % 3, 0.3)), "two laws are needed"),
        (lambda: entropy(ChainWindow(0.3, width=4)), "ChainWindow has none"),
        (lambda: mutual_information(BITS, BITS[:50]), "observed together, got 100 and 50 samples"),
        (lambda: mutual_information(BITS, FLOATS), "x and y must both be integers or both be floats"),
        (lambda: mutual_information(Counts([[1, 2]]), BITS), "needs arrays of x and y"),
        (lambda: mutual_information(np.arange(2000), np.arange(2000)), "2000 and 2000 symbols is too large"),
        (lambda: mutual_information(FLOATS, FLOATS), "covariance of the sample is singular"),
        (lambda: mutual_information(BITS, BITS, error="batches"), "error must be one of"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
