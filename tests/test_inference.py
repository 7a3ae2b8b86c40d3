"""Inferred couplings: exact laws of small tori, fields spelled out site by site, and samples with known couplings.

Statistics are at 5 sigma with fixed seeds: a right program fails one of them once in a million.
"""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit
from scipy.stats import f, kstest, t

from isingflow.errors import ParameterError
from isingflow.flow.inferred import inferred_flow
from isingflow.ising import inference
from isingflow.ising.couplings import exact_first_step
from isingflow.ising.decimation import decimate, weighted_counts
from isingflow.ising.inference import TERMS, infer_couplings
from isingflow.ising.packing import pack
from isingflow.ising.sampling import sample_square
from isingflow.ising.square import boltzmann_probabilities, configurations

EVEN = ("nearest", "diagonal", "plaquette")


def noise(*shape, seed=1):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), shape)


@pytest.mark.parametrize("side", [3, 5, 64, 70])
@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_weighted_counts(side, blocks):
    spins = noise(5, side, side, seed=side)
    offsets, weights = [(0, 0), (-1, 2), (2, -2), (1, 1)], [1, 2, 2, 6]
    found = weighted_counts(pack(spins), offsets, weights, blocks=blocks)
    assert found.shape == (blocks, 12)
    expected = np.zeros((blocks, 12), int)
    bounds = [5 * block // blocks for block in range(blocks + 1)]
    for block, (first, last) in enumerate(itertools.pairwise(bounds)):
        up = sum(
            weight * (np.roll(spins[first:last], (-y, -x), axis=(1, 2)) > 0)
            for (y, x), weight in zip(offsets, weights, strict=True)
        )
        expected[block] = np.bincount(up.ravel(), minlength=12)
    np.testing.assert_array_equal(found, expected)


def test_weighted_counts_refuse():
    lattice = pack(noise(4, 8, 8))
    with pytest.raises(ParameterError, match="smallest weight must be at least 0, got -1"):
        weighted_counts(lattice, [(0, 0)], [-1], blocks=1)
    with pytest.raises(ParameterError, match="sum of the weights must be between 1 and 65535, got 65536"):
        weighted_counts(lattice, [(0, 0), (0, 1)], [1, 65535], blocks=1)
    with pytest.raises(ParameterError, match="blocks must be between 1 and 4, got 5"):
        weighted_counts(lattice, [(0, 0)], [1], blocks=5)


def fields(spins, terms, axes=((0, 1), (1, 0))):
    """What the terms give at every site of square lattices, each bond and plaquette by name: (terms, ...)."""
    (ay, ax), (by, bx) = axes

    def at(i, j):
        return np.roll(spins, (-i * by - j * ay, -i * bx - j * ax), axis=(1, 2)).astype(float)

    def images(i, j):
        return {(a * y, b * x) for y, x in ((i, j), (j, i)) for a in (1, -1) for b in (1, -1)}

    named = {
        "nearest": lambda: at(0, 1) + at(1, 0) + at(0, -1) + at(-1, 0),
        "diagonal": lambda: at(1, 1) + at(1, -1) + at(-1, 1) + at(-1, -1),
        "plaquette": lambda: sum(at(0, i) * at(j, 0) * at(j, i) for i in (1, -1) for j in (1, -1)),
        "field": lambda: np.ones(spins.shape),
    }
    return np.stack([named[term]() if term in named else sum(at(*image) for image in images(*term)) for term in terms])


def most_likely(spins, local):
    """Couplings by a general optimiser on the pseudo-likelihood of every single spin."""
    rows = local.reshape(len(local), -1)
    up = spins.ravel() > 0

    def cost(couplings):
        field = couplings @ rows
        slope = rows @ np.where(up, -2 * np.exp(log_expit(-2 * field)), 2 * np.exp(log_expit(2 * field)))
        return -np.where(up, log_expit(2 * field), log_expit(-2 * field)).mean(), slope / len(up)

    return minimize(cost, np.zeros(len(rows)), jac=True, method="BFGS", options={"gtol": 1e-10}).x


@pytest.mark.parametrize(
    "terms", [TERMS, ("nearest",), ("plaquette", "field"), ("nearest", (0, 2)), ("field", (2, 1), "nearest")]
)
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_most_likely_couplings(terms, level):
    spins = sample_square(0.25, field=0.1, side=16, samples=40, rng=3).spins
    reach = 2 ** (level // 2)
    axes = ((reach, reach), (reach, -reach)) if level % 2 else ((0, reach), (reach, 0))
    found = infer_couplings(spins, terms=terms, level=level)
    np.testing.assert_allclose(found.values, most_likely(spins, fields(spins, terms, axes)), atol=2e-6)
    assert found.spins == spins.size


def test_rotated_lattices():
    """Of a rotated lattice one sublattice is there: the same as from the original with the other one thrown away."""
    rotated = decimate(sample_square(0.3, side=16, samples=60, rng=2).spins)
    square = np.zeros((60, 16, 16), np.int8)
    for y in range(16):
        square[:, y, y % 2 :: 2] = rotated[:, y]
    local = fields(square, EVEN, ((1, 1), (1, -1)))
    kept = square != 0
    expected = most_likely(square[kept], np.stack([one[kept] for one in local]))
    found = infer_couplings(rotated, terms=EVEN)
    np.testing.assert_allclose(found.values, expected, atol=2e-6)
    assert (found.level, found.samples, found.spins) == (1, 60, rotated.size)
    again = infer_couplings(pack(rotated), terms=EVEN, level=2)
    expected = most_likely(square[kept], np.stack([one[kept] for one in fields(square, EVEN, ((2, 2), (2, -2)))]))
    np.testing.assert_allclose(again.values, expected, atol=2e-6)
    assert again.level == 3


def law_of_torus(side, terms, couplings):
    """Expected counts of the environments on a small torus, four times, as for four blocks."""
    law = inference._Law.of(terms, (), side, 0)
    spins = configurations(side)
    probabilities = boltzmann_probabilities(*couplings[:1], side=side, **dict(zip(NAMES, couplings[1:], strict=True)))
    counts = 0.0
    for first in range(0, len(spins), 4096):
        part = pack(spins[first : first + 4096])
        counts = counts + probabilities[first : first + 4096] @ weighted_counts(
            part, law.offsets, law.weights, blocks=len(part)
        )
    return law.fitted(np.tile(counts.reshape(1, -1, 2), (4, 1, 1)))


NAMES = ("diagonal", "plaquette", "field")


@pytest.mark.parametrize("side", [2, 3, 4])
@pytest.mark.parametrize("couplings", [(0.3, 0.1, -0.2, 0.15), (-0.2, 0.25, 0.3, -0.4)])
def test_exact_laws_of_small_tori(side, couplings):
    found = law_of_torus(side, TERMS, couplings)
    np.testing.assert_allclose(found["values"], couplings, atol=1e-8)
    assert abs(found["missing"]) < 1e-5  # the prior of an environment is of one spin, and there are few
    without_field = law_of_torus(side, EVEN, (*couplings[:3], 0.0))
    np.testing.assert_allclose(without_field["values"], couplings[:3], atol=1e-8)


def test_what_is_missing_is_seen():
    found = law_of_torus(4, ("nearest", "field"), (0.3, 0.1, -0.2, 0.15))
    assert found["missing"] > 0.01


@pytest.fixture(scope="module", params=[0.3, 0.4])
def decimated(request):
    return request.param, sample_square(request.param, side=256, samples=400, rng=11).packed


def test_first_step(decimated):
    coupling, packed = decimated
    exact = np.array(exact_first_step(coupling)[:3])
    found = infer_couplings(packed, terms=(*EVEN, (0, 2), (1, 2)), level=1)
    assert found.errors.max() < 5e-4
    bound = t.isf(3e-7, 19)  # 5 sigma of a normal law
    assert (np.abs(found.values - [*exact, 0, 0]) < bound * found.errors).all()
    assert abs(found.missing) < bound * found.missing_error
    assert not found.flags
    short = infer_couplings(packed, terms=EVEN, level=1)
    assert (np.abs(short.values - exact) < bound * short.errors).all()
    assert abs(short.missing) < bound * short.missing_error
    # each of these would be noticed: couplings one per cent off, a term that is left out, one more step
    assert (np.abs(short.values[:2] - 1.05 * exact[:2]) > bound * short.errors[:2]).all()
    assert infer_couplings(packed, terms=EVEN[:2], level=1).missing > bound * short.missing_error
    second = infer_couplings(packed, terms=EVEN, level=2)
    assert second.missing > bound * second.missing_error


def test_random_couplings():
    """50 draws of all four couplings: Hotelling's law of their deviations, by the covariances that came with them."""
    rng = np.random.default_rng(5)
    deviations, covariances = [], []
    for _ in range(50):
        drawn = rng.uniform((-0.15, -0.1, -0.15, -0.3), (0.25, 0.1, 0.15, 0.3))
        named = dict(zip(NAMES, drawn[1:], strict=True))
        sample = sample_square(drawn[0], **named, side=16, samples=256, algorithm="heat-bath", rng=rng)
        found = infer_couplings(sample.packed)
        deviations.append(found.values - drawn)
        covariances.append(found.covariance)
        assert abs(found.missing) < 6 * found.missing_error

    def agreement(deviations):
        squares = np.einsum("da,dab,db->d", deviations, np.linalg.inv(covariances), deviations)
        return kstest(f.sf(squares * 16 / (19 * 4), 4, 16), "uniform").pvalue

    assert agreement(np.array(deviations)) > 6e-7
    # fields half a per cent of the largest too strong would be noticed
    assert agreement(np.array(deviations) + np.array([0, 0, 0, 0.01])) < 6e-7


def test_threads_change_nothing():
    spins = noise(40, 16, 16)
    one, three = (infer_couplings(spins, workers=workers) for workers in (1, 3))
    np.testing.assert_array_equal(one.values, three.values)
    np.testing.assert_array_equal(one.covariance, three.covariance)
    assert (one.missing, one.missing_error) == (three.missing, three.missing_error)


def test_correlated_blocks_are_flagged():
    """Configurations that drift from one coupling to another: blocks are shorter than what they remember."""
    parts = [sample_square(k, side=32, samples=20, rng=1).spins for k in np.linspace(0.1, 0.35, 40)]
    assert infer_couplings(np.concatenate(parts), terms=("nearest",)).flags == ("blocks-too-short",)


def test_couplings_by_name():
    found = infer_couplings(noise(40, 16, 16), terms=("nearest", (2, 0)))
    assert list(found.couplings) == ["nearest", (0, 2)]
    assert found.couplings["nearest"] == found.values[0]


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        (
            (40, 16, 12),
            {},
            r"square lattices \(samples, L, L\) or rotated ones \(samples, L, L/2\), got \(40, 16, 12\)",
        ),
        (
            (40, 4, 4),
            {"terms": ("nearest", (0, 3))},
            r"'nearest' and \(0, 3\) are collinear: on a torus of side 4 they",
        ),
        ((40, 4, 4), {"terms": [(0, 3)]}, r"displacement \(0, 3\) do not fit a torus of side 4"),
        ((40, 4, 4), {"level": 1}, r"displacement \(0, 2\) do not fit a torus of side 2.828"),
        ((40, 8, 8), {"level": 7}, "7 decimation steps need a side divisible by 16"),
        ((40, 8, 8), {"level": 6, "environment": ()}, r"displacement \(0, 1\) do not fit a torus of side 1"),
        ((19, 8, 8), {}, "20 blocks need at least as many configurations, got 19"),
        ((40, 8, 8), {"blocks": 3}, "blocks must be at least 4, got 3"),
        ((40, 8, 8), {"terms": "nearest"}, "terms must be a list of nearest, diagonal, plaquette, field"),
        ((40, 8, 8), {"terms": []}, "terms must be a list"),
        ((40, 8, 8), {"terms": ["third"]}, "terms must be nearest, .* got 'third'"),
        ((40, 8, 8), {"terms": [3]}, r"displacements \(rows, columns\) other than \(0, 0\), got \[3\]"),
        ((40, 8, 8), {"terms": [(0, 0)]}, r"other than \(0, 0\)"),
        ((40, 8, 8), {"terms": ["diagonal", (1, -1)]}, "got 'diagonal' twice"),
        ((40, 8, 8), {"terms": [(0, 2), (2, 0)]}, r"got \(0, 2\) twice"),
        ((40, 8, 8), {"environment": 2}, "environment must be displacements"),
        (
            (40, 8, 8),
            {"environment": ((0, 2), (1, 2), (2, 2))},
            "have 115200 states, more than 65536; leave out a displacement",
        ),
        ((40, 8, 8), {"workers": 0}, "workers must be at least 1"),
    ],
)
def test_bad_input(shape, given, message):
    with pytest.raises(ParameterError, match=message):
        infer_couplings(noise(*shape), **given)


def test_undetermined_couplings():
    """All spins alike; stripes, whose fields are the same combination everywhere; an energy no spin ever gains."""
    alike = np.ones((40, 8, 8), np.int8)
    with pytest.raises(ParameterError, match="no finite couplings are the most likely ones"):
        infer_couplings(alike, terms=["nearest"])
    with pytest.raises(ParameterError, match="'nearest', 'diagonal', 'plaquette', 'field' are collinear"):
        infer_couplings(alike)
    stripes = noise(40, 8, 1) * np.ones(8, np.int8)
    with pytest.raises(ParameterError, match="'nearest', 'diagonal', 'plaquette' are collinear"):
        infer_couplings(stripes)
    alternating = np.where(np.arange(8) % 4 < 2, 1, -1) * np.ones((40, 8, 1))
    with pytest.raises(ParameterError, match="'diagonal' never gives a field"):
        infer_couplings(alternating.astype(np.int8), terms=["diagonal"])


def test_flow_of_one_phase():
    """Both phases together stay a law of long range; one of them becomes independent spins of the magnetization m."""
    settings = {"side": 128, "samples": 400, "steps": 7, "rng": 1}
    both, up = (inferred_flow(0.5, phase=phase, **settings) for phase in ("symmetric", "up"))
    bound = t.isf(3e-7, 19)
    field = np.arctanh((1 - np.sinh(1.0) ** -4) ** 0.125)
    assert (np.abs(up.couplings[-1] - [0, 0, 0, field]) < bound * up.couplings_error[-1]).all()
    assert abs(up.missing[-1]) < bound * up.missing_error[-1]
    assert both.missing[-1] > bound * both.missing_error[-1]
    for flow, first in ((both, (0.5, 0, 0)), (up, (0.5, 0, 0, 0))):
        assert (np.abs(flow.couplings[0] - first) < bound * flow.couplings_error[0]).all()
        step = [*exact_first_step(0.5)[:3], 0.0][: len(first)]
        assert (np.abs(flow.couplings[1] - step) < bound * flow.couplings_error[1]).all()
    assert (both.phase, both.side, both.samples, both.terms) == ("symmetric", 128, 400, EVEN)
    assert up.terms == TERMS


def test_flow_does_not_depend_on_threads():
    one, two = (inferred_flow(0.3, side=32, samples=40, steps=2, rng=1, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.couplings, two.couplings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"phase": "down"}, "phase must be one of 'symmetric', 'up', got 'down'"),
        ({"steps": 12}, "12 decimation steps need a side divisible by 64"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"samples": 19}, "samples must be at least 20"),
        ({"coupling": math.nan}, "coupling must be finite"),
        ({"side": 2, "steps": 1}, "side must be at least 4, got 2"),
        ({"steps": 10}, "10 decimation steps leave a torus of side 1, and couplings need one of 4; at most 6"),
    ],
)
def test_flow_refuses(given, message):
    with pytest.raises(ParameterError, match=message):
        inferred_flow(**{"coupling": 0.3, "side": 32, "samples": 40, "steps": 2, "rng": 1} | given)
