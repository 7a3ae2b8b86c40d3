"""Nearest neighbours: twins by brute force, laws, and statistics with a false alarm in 2e6 a comparison."""

import numpy as np
import pytest

from isingflow.divergence.laws import Gaussian
from isingflow.divergence.neighbours import check_dimension, knn, knn_batches, knn_blocks, whitened
from isingflow.errors import ParameterError


def naive(p, q, neighbours):
    """The definition, from all distances."""
    rho = np.sort(np.linalg.norm(p[:, None] - p, axis=-1), axis=1)[:, neighbours]
    nu = np.sort(np.linalg.norm(p[:, None] - q, axis=-1), axis=1)[:, neighbours - 1]
    return p.shape[1] * np.mean(np.log(nu) - np.log(rho)) + np.log(len(q) / (len(p) - 1))


def contract(d):
    def covariance(correlation):
        return correlation ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))

    return Gaussian(np.zeros(d), covariance(0.6)), Gaussian(np.full(d, 0.1), 1.2 * covariance(0.3))


def draw(law, n, rng):
    return law.mean + rng.normal(size=(n, law.dof)) @ np.linalg.cholesky(law.cov).T


def in_blocks(n, blocks=20):
    return np.arange(n) * blocks // n


def walk(rng, n, d, memory):
    series = rng.normal(size=(n, d))
    for step in range(1, n):
        series[step] = memory * series[step - 1] + np.sqrt(1 - memory**2) * series[step]
    return series


def test_by_hand():
    """rho = 1, 1, 2 and nu = 2, 1, 3 for k = 1; in one dimension m / (n - 1) = 1."""
    p, q = np.array([[0.0], [1.0], [3.0]]), np.array([[2.0], [-2.0]])
    assert knn(p, q, neighbours=1, whiten=False) == pytest.approx(np.log(2 * 1 * 1 / (1 * 1 * 2)) / 3, abs=1e-15)
    q = np.array([[4.0], [-2.0]])
    assert knn(p, q, neighbours=1, whiten=False) == pytest.approx(np.log(2 * 3 * 1 / (1 * 1 * 2)) / 3, abs=1e-15)


@pytest.mark.parametrize("neighbours", [1, 4])
@pytest.mark.parametrize("d", [1, 3])
def test_against_all_distances(d, neighbours):
    rng = np.random.default_rng(1)
    p, q = rng.normal(size=(150, d)), 1.3 * rng.normal(size=(230, d)) + 0.2
    assert knn(p, q, neighbours=neighbours, whiten=False) == pytest.approx(naive(p, q, neighbours), abs=1e-12)
    assert knn(p, q, neighbours=neighbours) == pytest.approx(naive(*whitened(p, q), neighbours), abs=1e-12)


@pytest.mark.parametrize("memory", [0.0, 0.99])
@pytest.mark.parametrize("neighbours", [1, 4])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_replicates_are_deletions(d, neighbours, memory):
    """Blocks of unequal length; with memory most neighbours are in one block, and more must be asked for."""
    rng = np.random.default_rng(2)
    p, q = walk(rng, 310, d, memory), 1.2 * walk(rng, 405, d, memory)
    blocks_p, blocks_q = in_blocks(len(p), 7), in_blocks(len(q), 7)
    value, without_p, without_q = knn_blocks(p, q, blocks_p, blocks_q, neighbours=neighbours)
    _, without_both, same = knn_blocks(p, q, blocks_p, blocks_q, neighbours=neighbours, paired=True)
    batches = knn_batches(p, q, blocks_p, blocks_q, neighbours=neighbours)
    p, q = whitened(p, q)
    assert value == pytest.approx(naive(p, q, neighbours), abs=1e-12)
    assert same is without_both
    for block in range(7):
        kept_p, kept_q = blocks_p != block, blocks_q != block
        assert without_p[block] == pytest.approx(naive(p[kept_p], q, neighbours), abs=1e-12)
        assert without_q[block] == pytest.approx(naive(p, q[kept_q], neighbours), abs=1e-12)
        assert without_both[block] == pytest.approx(naive(p[kept_p], q[kept_q], neighbours), abs=1e-12)
        assert batches[block] == pytest.approx(naive(p[~kept_p], q[~kept_q], neighbours), abs=1e-12)


def test_replicates_to_the_last_neighbour():
    """Two blocks apart from each other: without one of them all that is left is asked for."""
    rng = np.random.default_rng(3)
    p, q = (np.concatenate([rng.normal(size=(5, 2)), rng.normal(size=(40, 2)) + 50]) for _ in "pq")
    blocks = np.repeat([0, 1], [5, 40])
    _, without_p, without_q = knn_blocks(p, q, blocks, blocks, whiten=False)
    for block in (0, 1):
        assert without_p[block] == pytest.approx(naive(p[blocks != block], q, 4), abs=1e-12)
        assert without_q[block] == pytest.approx(naive(p, q[blocks != block], 4), abs=1e-12)


def test_workers_and_chunks_change_no_bit(monkeypatch):
    rng = np.random.default_rng(4)
    p, q = rng.normal(size=(1000, 2)), rng.normal(size=(1200, 2))
    blocks = in_blocks(1000), in_blocks(1200)
    before = p.copy(), q.copy()
    one, two = (knn_blocks(p, q, *blocks, workers=workers) for workers in (1, 2))
    assert one[0] == two[0] == knn(p, q, workers=2)
    for found, same in zip(one[1:], two[1:], strict=True):
        np.testing.assert_array_equal(found, same)
    monkeypatch.setattr("isingflow.divergence.neighbours.ROWS", 64)
    np.testing.assert_allclose(knn_blocks(p, q, *blocks)[1], one[1], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(p, before[0])
    np.testing.assert_array_equal(q, before[1])


def test_affine_invariance():
    rng = np.random.default_rng(5)
    p, q = rng.normal(size=(300, 3)), 1.3 * rng.normal(size=(400, 3))
    step = np.array([[1.0, 0.4, 0.0], [0.0, 1e-4, 0.0], [-0.3, 0.0, 1e4]])
    assert knn(p @ step + 7, q @ step + 7) == pytest.approx(knn(p, q), abs=1e-8)
    assert knn(3 * p, 3 * q, whiten=False) == pytest.approx(knn(p, q, whiten=False), abs=1e-12)
    assert abs(knn(p @ step, q @ step, whiten=False) - knn(p, q)) > 0.01


@pytest.mark.parametrize(("n", "m"), [(1500, 500), (500, 1500), (1000, 1000)])
def test_one_dimension_against_the_exact_law(n, m):
    """60 estimates, bias below 0.005; n and m exchanged, or n for n - 1 and k - 1 for k, are further off."""
    rng = np.random.default_rng(6)
    p, q = contract(1)
    exact = p.relative_entropy_to(q)
    found = np.array([knn(draw(p, n, rng), draw(q, m, rng)) for _ in range(60)])
    error = found.std(ddof=1) / np.sqrt(60)
    assert error < 0.01
    assert abs(found.mean() - exact) < 5 * error + 0.005
    if n != m:
        assert abs(found.mean() + np.log(n / m) - exact) > 5 * error + 0.005


@pytest.mark.parametrize("d", [1, 2])
def test_batches_know_the_error_and_the_jackknife_exaggerates(d):
    """Of 100 seeds; the errors are known to 2 %, the standard deviation to 7 %, 5 sigma are 36 %."""
    rng = np.random.default_rng(7)
    p, q = contract(d)
    values, batched, jackknifed = [], [], []
    for _ in range(100):
        x, y = draw(p, 1000, rng), draw(q, 1500, rng)
        blocks = in_blocks(1000), in_blocks(1500)
        value, *without = knn_blocks(x, y, *blocks)
        values.append(value)
        batched.append(np.var(knn_batches(x, y, *blocks), ddof=1) / 20)
        jackknifed.append(19 * sum(np.var(one) for one in without))
    deviation = np.std(values, ddof=1)
    assert 0.64 < np.sqrt(np.mean(batched)) / deviation < 1.36
    assert np.sqrt(np.mean(jackknifed)) > 1.2 * np.sqrt(np.mean(batched))


def test_dimensions():
    assert check_dimension(5) == ()
    assert check_dimension(6) == check_dimension(50, forced=True) == ("high-dimension",)
    with pytest.raises(ParameterError, match="at most 10 dimensions, and reliably in 5, got 11"):
        check_dimension(11)


P = np.random.default_rng(8).normal(size=(100, 2))
Q = np.random.default_rng(9).normal(size=(90, 2))
BLOCKS = in_blocks(100, 5), in_blocks(90, 5)


@pytest.mark.parametrize(
    ("p", "q", "options", "message"),
    [
        (P, P, {}, "coincide: pass integers if the data are discrete, or remove"),
        (np.repeat(P, 2, axis=0), Q, {}, "more than 1% of the samples"),
        (P, np.repeat(Q, 2, axis=0), {}, "more than 1% of the samples"),
        (np.concatenate([P, P[:1]]), Q, {"neighbours": 1}, "remove repeated samples"),
        (P, np.concatenate([Q, P[:1]]), {"neighbours": 1}, "remove repeated samples"),
        (P[:, :1] @ [[1, 2]], Q[:, :1] @ [[1, 2]], {}, "drop constant or linearly dependent"),
        (P * [1, 0], Q * [1, 0], {}, "drop constant or linearly dependent"),
        (P[:4], Q, {}, "at least 5 samples of p and 4 of q in all that is compared, got 4 and 90"),
        (P, Q[:3], {}, "got 100 and 3: sample more"),
        (P, Q[:1], {"neighbours": 1}, "at least 2 samples of p and 2 of q"),
        (P, Q, {"neighbours": 0}, "neighbours must be at least 1"),
    ],
)
def test_bad_samples(p, q, options, message):
    with pytest.raises(ParameterError, match=message):
        knn(p, q, **options)


def test_a_few_repeats_are_no_harm():
    """Eight in 1000 coincide with another, as floats of single precision may."""
    rng = np.random.default_rng(10)
    p, q = rng.normal(size=(600, 2)), rng.normal(size=(400, 2))
    repeated = np.concatenate([p, p[::80]])
    assert abs(knn(repeated, q) - knn(p, q)) < 0.02
    blocks = in_blocks(608, 4)
    _, without, _ = knn_blocks(repeated, q, blocks, in_blocks(400, 4), whiten=False)
    for block in range(4):
        assert without[block] == pytest.approx(naive(repeated[blocks != block], q, 4), abs=1e-12)


@pytest.mark.parametrize(
    ("blocks", "options", "message"),
    [
        ((BLOCKS[0][:50], BLOCKS[1]), {}, r"blocks of p must be integers \(100,\), got int64 \(50,\)"),
        ((BLOCKS[0], BLOCKS[1] / 2), {}, "blocks of q must be integers"),
        ((BLOCKS[0] * 2, BLOCKS[1]), {}, "numbered from 0, at least two and none empty"),
        ((BLOCKS[0], BLOCKS[1] * 0), {}, "numbered from 0, at least two and none empty"),
        ((BLOCKS[0] - 1, BLOCKS[1]), {}, "numbered from 0"),
        ((in_blocks(100, 4), BLOCKS[1]), {"paired": True}, "paired blocks must be equally many, got 4 and 5"),
        ((in_blocks(100, 2), BLOCKS[1]), {"neighbours": 60}, "got 50 and 72"),
    ],
)
def test_bad_blocks(blocks, options, message):
    with pytest.raises(ParameterError, match=message):
        knn_blocks(P, Q, *blocks, **options)
