"""What holds for every relative entropy, or for every estimate of one, without knowing its value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from isingflow import BoltzmannSamples, Categorical, Counts, Gaussian, Moments, kl_divergence
from isingflow.divergence.estimate import OF_FLOATS, OF_SYMBOLS
from isingflow.ising import chain, square

FEW = settings(max_examples=50, deadline=None, derandomize=True)
couplings = some.floats(0.05, 1.5)
probabilities = arrays(np.float64, 4, elements=some.floats(0.01, 1)).map(lambda x: x / x.sum())
covariances = arrays(np.float64, (3, 3), elements=some.floats(-1, 1)).map(lambda x: x @ x.T + 0.1 * np.eye(3))


def exactly(p, q):
    return kl_divergence(p, q).value


@FEW
@given(probabilities, probabilities, probabilities, probabilities)
def test_independent_parts_add(p, q, r, s):
    parts = exactly(Categorical(p), Categorical(q)) + exactly(Categorical(r), Categorical(s))
    whole = exactly(Categorical(np.outer(p, r).ravel()), Categorical(np.outer(q, s).ravel()))
    assert whole == pytest.approx(parts, rel=1e-12, abs=1e-14)


@FEW
@given(covariances, covariances, covariances, covariances)
def test_independent_normal_parts_add(a, b, c, d):
    def joint(first, second):
        return Gaussian(np.zeros(6), np.block([[first, np.zeros((3, 3))], [np.zeros((3, 3)), second]]))

    parts = exactly(*(Gaussian(np.zeros(3), one) for one in (a, b)))
    parts += exactly(*(Gaussian(np.zeros(3), one) for one in (c, d)))
    assert exactly(joint(a, c), joint(b, d)) == pytest.approx(parts, rel=1e-9, abs=1e-11)


@FEW
@given(covariances, covariances, arrays(np.float64, (2, 3), elements=some.floats(-2, 2)))
def test_a_linear_map_of_both_laws_loses(cov_p, cov_q, layer):
    """Data processing: one layer of a network, applied to whole laws."""
    if np.linalg.svd(layer, compute_uv=False).min() < 0.05:
        layer = layer + np.eye(2, 3) * 3
    before = exactly(*(Gaussian(np.zeros(3), one) for one in (cov_p, cov_q)))
    after = exactly(*(Gaussian(np.zeros(2), layer @ one @ layer.T) for one in (cov_p, cov_q)))
    assert after <= before * (1 + 1e-8) + 1e-10


@FEW
@given(couplings, couplings, some.sampled_from([2, 4]))
def test_decimation_of_both_rings_loses(k_p, k_q, factor):
    """Data processing, by the couplings that the decimated rings have."""
    before = exactly(*(chain.ChainRing(k, sites=16) for k in (k_p, k_q)))
    decimated = [chain.decimate_couplings(k, factor=factor) for k in (k_p, k_q)]
    after = exactly(*(chain.ChainRing(*k, sites=16 // factor) for k in decimated))
    assert after <= before * (1 + 1e-10) + 1e-14


@pytest.mark.parametrize(("k_p", "k_q"), [(0.4407, 0.3), (0.3, 0.4407), (0.2, 0.9)])
def test_decimation_of_both_tori_loses(k_p, k_q):
    """The 4 x 4 torus, its checkerboard and its 2 x 2 sublattice, all states counted."""
    up = square.configurations(4) > 0
    laws = [square.boltzmann_probabilities(side=4, coupling=k) for k in (k_p, k_q)]
    row, column = np.indices((4, 4))
    values = []
    for kept in (row >= 0, (row + column) % 2 == 0, (row % 2 == 0) & (column % 2 == 0)):
        codes = up[:, kept] @ (1 << np.arange(kept.sum()))
        values.append(exactly(*(Categorical(np.bincount(codes, law)) for law in laws)))
    assert values[0] > values[1] > values[2] > 0
    if (k_p, k_q) == (0.4407, 0.3):
        assert values == pytest.approx([0.7879292129159348, 0.5970157287570861, 0.3449664148635312], rel=1e-10)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(41)
    return rng.normal(size=(400, 2)) @ [[1.0, 0.4], [0.0, 1.0]], 0.2 + rng.normal(size=(500, 2))


@pytest.mark.parametrize("method", OF_FLOATS)
def test_estimates_know_nothing_of_origin_and_units(points, method):
    """A shift and other units of each component, where the declared model allows them; of two components a mixture."""
    p, q = points
    maps = [np.eye(2) * 3.0]
    maps += [np.diag([100.0, 0.01])] * (method != "gaussian-isotropic")
    maps += [np.array([[2.0, 0.3], [-1.0, 5.0]])] * (method in ("gaussian", "knn"))
    expected = kl_divergence(p, q, method=method).value
    for step in maps:
        found = kl_divergence(p @ step + [7.0, -3.0], q @ step + [7.0, -3.0], method=method).value
        # the classifier's ridge penalty knows the units of squares, after each feature has been scaled
        assert found == pytest.approx(expected, rel=2e-2 if method == "density-ratio" else 1e-8)


def read_only(array):
    array.setflags(write=False)
    return array


@pytest.mark.parametrize("method", [*OF_FLOATS, *OF_SYMBOLS, "mbar", "records of floats", "records of integers"])
def test_no_input_is_changed(points, method):
    rng = np.random.default_rng(42)
    if method in OF_FLOATS:
        p, q = points
    elif method == "records of floats":
        p, q = (np.concatenate([one.T @ one for one in np.split(each[:400], 20)]) for each in points)
    else:
        p, q = (rng.integers(0, 2, size=(n, 3)) for n in (400, 500))
    arrays_given = [read_only(one.copy()) for one in (p, q)]
    if method == "mbar":
        given_to = [BoltzmannSamples(one, np.full(3, k)) for one, k in zip(arrays_given, (0.1, 0.2), strict=True)]
    elif method == "records of floats":
        given_to = [
            Moments(np.full(20, 20), np.zeros((20, 2)), read_only(one.reshape(20, 2, 2))) for one in arrays_given
        ]
    elif method == "records of integers":
        given_to = [Counts(read_only(one[:400].reshape(20, 60)[:, :8].copy() + 1), 3) for one in arrays_given]
    else:
        given_to = arrays_given
    kl_divergence(*given_to, method=method if " " not in method else "auto")
    for before, after in zip((p, q), arrays_given, strict=True):
        np.testing.assert_array_equal(before, after)
