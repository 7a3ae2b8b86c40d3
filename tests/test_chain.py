"""The chain against enumerated rings, explicit transfer matrices, and the laws that hold for every coupling.

False alarms: the samples are tested with fixed seeds at 5 sigma, one in two million a test.
"""

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, norm, t

from isingflow.errors import ParameterError
from isingflow.ising import chain
from isingflow.ising.chain import ChainRing, ChainWindow

law = settings(deadline=None, derandomize=True, max_examples=60)
couplings = st.floats(-3, 3)
fields = st.floats(-2, 2)
pairs = st.tuples(couplings, fields)

POINTS = [(0.6, 0.0), (0.3, 0.2), (-0.7, 0.4), (-0.2, -1.1), (0.0, 0.5), (0.0, 0.0), (1.5, -0.01), (-3.0, 2.0)]


def enumerated(coupling, field, sites):
    """Return every configuration of the ring, its probability, and the partition function."""
    spins = np.array(list(itertools.product([-1, 1], repeat=sites)))
    weights = np.array(
        [math.exp(sum(coupling * s[i - 1] * s[i] + field * s[i] for i in range(sites))) for s in spins.tolist()]
    )
    return spins, weights / weights.sum(), weights.sum()


def relative_entropy(p, q):
    return float(p @ np.log(p / q))


def transfer(coupling, field):
    spins = np.array([-1, 1])
    return np.exp(coupling * np.outer(spins, spins) + field * np.add.outer(spins, spins) / 2)


def infinite_chain(coupling, field, width):
    """Window probabilities from a numerical eigenvector of the transfer matrix; bit j of the index is spin j."""
    matrix = transfer(coupling, field)
    values, vectors = np.linalg.eigh(matrix)
    right = np.abs(vectors[:, 1])
    found = np.empty(2**width)
    for index in range(2**width):
        bits = [index >> j & 1 for j in range(width)]
        steps = math.prod(matrix[a, b] for a, b in itertools.pairwise(bits))
        found[index] = right[bits[0]] * steps * right[bits[-1]] / values[1] ** (width - 1)
    return found


@pytest.mark.parametrize(("coupling", "field"), POINTS)
@pytest.mark.parametrize("sites", range(1, 7))
def test_partition_function_of_small_rings(coupling, field, sites):
    _, _, total = enumerated(coupling, field, sites)
    assert sites * chain.log_partition(coupling, field, sites=sites) == pytest.approx(math.log(total), abs=1e-13)


@pytest.mark.parametrize("sites", range(1, 7))
@pytest.mark.parametrize(("p", "q"), [*itertools.pairwise(POINTS), (POINTS[1], POINTS[1])])
def test_relative_entropy_of_small_rings(p, q, sites):
    exact = relative_entropy(enumerated(*p, sites)[1], enumerated(*q, sites)[1])
    assert ChainRing(*p, sites=sites).relative_entropy_to(ChainRing(*q, sites=sites)) == pytest.approx(exact, abs=1e-13)


@pytest.mark.parametrize(("coupling", "field"), [(0.8, 0.3), (-0.5, -0.2), (2.0, -1.0), (0.4, 0.0)])
def test_rings_tend_to_the_infinite_chain(coupling, field):
    assert chain.log_partition(coupling, field, sites=2000) == pytest.approx(
        chain.log_partition(coupling, field), rel=1e-13
    )
    other = (0.1, 0.1)
    assert chain.relative_entropy_per_site((coupling, field), other, sites=2000) == pytest.approx(
        chain.relative_entropy_per_site((coupling, field), other), rel=1e-12
    )


@pytest.mark.parametrize(("coupling", "field"), POINTS)
@pytest.mark.parametrize("width", [1, 2, 5])
def test_window_probabilities(coupling, field, width):
    found = ChainWindow(coupling, field, width=width).probabilities()
    np.testing.assert_allclose(found, infinite_chain(coupling, field, width), rtol=1e-12)
    assert found.sum() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("width", [1, 2, 3, 8])
@pytest.mark.parametrize(("p", "q"), list(itertools.pairwise(POINTS)))
def test_relative_entropy_of_windows(p, q, width):
    found = ChainWindow(*p, width=width).relative_entropy_to(ChainWindow(*q, width=width))
    exact = relative_entropy(infinite_chain(*p, width), infinite_chain(*q, width))
    assert found == pytest.approx(exact, rel=1e-13)
    # one spin, and one rate for each further one
    single = relative_entropy(infinite_chain(*p, 1), infinite_chain(*q, 1))
    assert found == pytest.approx(single + (width - 1) * chain.relative_entropy_per_site(p, q), rel=1e-13)


@pytest.mark.parametrize(("coupling", "field"), POINTS)
def test_correlation_is_that_of_a_window(coupling, field):
    index = np.arange(2**7)
    probabilities = infinite_chain(coupling, field, 7)
    spin = [2 * (index >> j & 1) - 1 for j in range(7)]
    assert chain.magnetization(coupling, field) == pytest.approx(probabilities @ spin[3], abs=1e-14)
    for distance in range(7):
        exact = probabilities @ (spin[0] * spin[distance])
        assert chain.correlation(coupling, distance, field) == pytest.approx(exact, abs=1e-14)


@pytest.mark.parametrize(("coupling", "field"), [(0.6, 0.0), (0.9, 0.3), (-0.7, 0.0), (-0.4, 0.6), (2.0, -0.01)])
def test_correlation_length(coupling, field):
    connected = [chain.correlation(coupling, r, field) - chain.magnetization(coupling, field) ** 2 for r in (2, 3)]
    rate = -math.log(abs(connected[1] / connected[0]))
    assert chain.correlation_length(coupling, field) == pytest.approx(1 / rate, rel=1e-10)


def test_correlation_length_without_field():
    assert chain.correlation_length(0.0) == 0.0
    assert chain.correlation_length(0.7) == pytest.approx(-1 / math.log(math.tanh(0.7)), rel=1e-14)
    assert chain.correlation_length(30.0) == pytest.approx(math.exp(60) / 2, rel=1e-12)


@pytest.mark.parametrize(("coupling", "field"), POINTS)
@pytest.mark.parametrize("factor", [2, 3, 6])
def test_decimated_ring_is_the_marginal(coupling, field, factor):
    spins, probabilities, _ = enumerated(coupling, field, 6)
    marginal = {}
    for kept, probability in zip(spins[:, ::factor].tolist(), probabilities, strict=True):
        marginal[tuple(kept)] = marginal.get(tuple(kept), 0.0) + probability
    decimated, exact, _ = enumerated(*chain.decimate_couplings(coupling, field, factor=factor), 6 // factor)
    np.testing.assert_allclose([marginal[tuple(kept)] for kept in decimated.tolist()], exact, rtol=1e-12)


@pytest.mark.parametrize("coupling", [-100, -30, -2, -0.5, 0.4, 2, 30, 50, 100])
@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_decimation_without_a_field(coupling, factor):
    # tanh K' = tanh^b K, written with the dual couplings where tanh K is 1 to double precision
    if abs(coupling) < 1:
        exact = math.atanh(math.tanh(coupling) ** factor)
    else:
        exact = -math.log(math.tanh(factor * math.atanh(math.exp(-2 * abs(coupling))))) / 2
        exact *= math.copysign(1, coupling) ** factor
    assert chain.decimate_couplings(coupling, factor=factor) == (pytest.approx(exact, rel=1e-13, abs=0), 0.0)


@pytest.mark.parametrize("coupling", [-40.0, -20.0, -3.0])
@pytest.mark.parametrize("field", [0.0, 0.3, -9.0])
def test_strong_antiferromagnets_keep_their_sign(coupling, field):
    # one bond decimated by 1 is itself; by 3 it is T^3 entry by entry
    assert chain.decimate_couplings(coupling, field, factor=1) == pytest.approx((coupling, field), rel=1e-13)
    matrix = np.linalg.matrix_power(transfer(coupling, field), 3)  # positive entries: nothing cancels
    exact = (
        math.log(matrix[1, 1] * matrix[0, 0] / matrix[0, 1] ** 2) / 4,
        math.log(matrix[1, 1] / matrix[0, 0]) / 2,
    )
    assert chain.decimate_couplings(coupling, field, factor=3) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("sites", [3, 5])
@pytest.mark.parametrize("coupling", [-15.0, -40.0])
def test_rings_that_frustrate_an_antiferromagnet(coupling, sites):
    # all but one bond are satisfied, in 2 N states
    bond = -(sites - 2) / sites
    zero = (0.0, 0.0)
    exact = coupling * bond + math.log(2) - (coupling * bond + math.log(2 * sites) / sites)
    assert chain.relative_entropy_per_site((coupling, 0.0), zero, sites=sites) == pytest.approx(exact, rel=1e-9)
    samples = 4000
    spins = chain.sample(coupling, sites=sites, samples=samples, rng=3)
    broken = spins == np.roll(spins, -1, axis=1)
    assert (broken.sum(axis=1) == 1).all()
    spread = math.sqrt(samples * (1 / sites) * (1 - 1 / sites))
    assert (np.abs(broken.sum(axis=0) - samples / sites) < 5 * spread).all()


def test_even_factors_lose_the_sign():
    assert chain.decimate_couplings(-0.7, 0.3) == chain.decimate_couplings(-0.7, 0.3, factor=2)
    assert chain.decimate_couplings(-0.7, factor=2) == pytest.approx(chain.decimate_couplings(0.7, factor=2))
    assert chain.decimate_couplings(-0.7, factor=3)[0] == pytest.approx(-chain.decimate_couplings(0.7, factor=3)[0])
    assert chain.decimate_couplings(-0.7, 0.3, factor=2)[0] > 0


@given(coupling=st.floats(-50, 50), field=st.floats(-8, 8))
@law
def test_decimation_is_a_semigroup(coupling, field):
    once = chain.decimate_couplings(coupling, field, factor=6)
    twice = chain.decimate_couplings(*chain.decimate_couplings(coupling, field, factor=2), factor=3)
    assert once == pytest.approx(twice, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("coupling", [1e-6, 1e-3, 0.1, 1.0, 10.0, 50.0])
@pytest.mark.parametrize("field", [0.0, 1e-8, 0.5, -3.0])
def test_semigroup_keeps_the_digits(coupling, field):
    once = chain.decimate_couplings(coupling, field, factor=6)
    twice = chain.decimate_couplings(*chain.decimate_couplings(coupling, field, factor=2), factor=3)
    assert once == pytest.approx(twice, rel=1e-12, abs=0)


@given(p=pairs, q=pairs, factor=st.sampled_from([2, 3, 4]), kept=st.integers(1, 8))
@law
def test_decimation_of_whole_rings_loses_information(p, q, factor, kept):
    whole = ChainRing(*p, sites=factor * kept).relative_entropy_to(ChainRing(*q, sites=factor * kept))
    after = [ChainRing(*chain.decimate_couplings(*law, factor=factor), sites=kept) for law in (p, q)]
    assert after[0].relative_entropy_to(after[1]) <= whole + 1e-12


def test_windows_of_fixed_size_may_gain():
    couplings = [(2.0, 0.0), (1.5, 0.0)]
    windows = []
    for _ in range(2):
        windows.append([ChainWindow(*law, width=2) for law in couplings])
        couplings = [chain.decimate_couplings(*law) for law in couplings]
    before, after = (p.relative_entropy_to(q) for p, q in windows)
    assert after > before


@given(p=pairs, q=pairs, width=st.integers(1, 6))
@law
def test_relative_entropy_is_not_negative_and_even_in_the_field(p, q, width):
    reversed_p, reversed_q = ((coupling, -field) for coupling, field in (p, q))
    value = ChainWindow(*p, width=width).relative_entropy_to(ChainWindow(*q, width=width))
    assert value >= 0
    assert value == pytest.approx(
        ChainWindow(*reversed_p, width=width).relative_entropy_to(ChainWindow(*reversed_q, width=width)), rel=1e-9
    )
    ring = chain.relative_entropy_per_site(p, q, sites=width)
    assert ring >= -1e-14
    assert ring == pytest.approx(chain.relative_entropy_per_site(reversed_p, reversed_q, sites=width), abs=1e-13)
    assert ChainWindow(*p, width=width).relative_entropy_to(ChainWindow(*p, width=width)) == 0


@given(pair=pairs)
@law
def test_field_reversal(pair):
    coupling, field = pair
    assert chain.log_partition(coupling, field) == pytest.approx(chain.log_partition(coupling, -field), abs=1e-14)
    assert chain.magnetization(coupling, field) == pytest.approx(-chain.magnetization(coupling, -field), abs=1e-15)
    there, back = chain.decimate_couplings(coupling, field), chain.decimate_couplings(coupling, -field)
    assert there == pytest.approx((back[0], -back[1]), rel=1e-12)


@pytest.mark.parametrize("coupling", [1e-2, 1e-4, 1e-6, 1e-8])
def test_small_relative_entropies_keep_their_digits(coupling):
    # K tanh K - ln cosh K, and the one of its mirror image, ln cosh K
    k2 = coupling**2
    forward = k2 / 2 - k2**2 / 4 + k2**3 / 9 - 17 * k2**4 / 360
    backward = k2 / 2 - k2**2 / 12 + k2**3 / 45 - 17 * k2**4 / 2520
    zero = (0.0, 0.0)
    relative = 1e-13 + 4e-16 / coupling  # what a probability near 1/2 knows of the coupling
    assert chain.relative_entropy_per_site((coupling, 0.0), zero) == pytest.approx(forward, rel=relative, abs=0)
    assert chain.relative_entropy_per_site(zero, (coupling, 0.0)) == pytest.approx(backward, rel=relative, abs=0)
    # a field alone: independent spins, H tanh H - ln cosh H
    assert chain.relative_entropy_per_site((0.0, coupling), zero) == pytest.approx(forward, rel=relative, abs=0)


@pytest.mark.parametrize("coupling", [-100.0, -1.0, 0.0, 1.0, 100.0])
@pytest.mark.parametrize("field", [-100.0, 0.0, 100.0])
def test_the_whole_legal_range_is_finite(coupling, field):
    numbers = [
        chain.log_partition(coupling, field),
        chain.log_partition(coupling, field, sites=6),
        chain.magnetization(coupling, field),
        chain.correlation(coupling, 5, field),
        *chain.decimate_couplings(coupling, field, factor=3),
        chain.relative_entropy_per_site((coupling, field), (0.3, 0.1)),
        chain.relative_entropy_per_site((0.3, 0.1), (coupling, field)),
        chain.relative_entropy_per_site((coupling, field), (-coupling, 0.1), sites=6),
        chain.correlation_length(coupling, field),
    ]
    assert np.isfinite(numbers).all()
    spins = chain.sample(coupling, field, sites=6, samples=4, rng=1)
    if coupling > 1 or (coupling >= 0 and field):
        assert (spins == spins[:, :1]).all()
    if coupling < -99 and not field:
        assert (spins == -np.roll(spins, 1, axis=1)).all()


@pytest.mark.parametrize("strong", [5.0, 20.0, 60.0, 100.0])
def test_strong_couplings_stay_finite(strong):
    # bonds are independent: D(K||K') = (K - K') tanh K + ln cosh K' - ln cosh K
    exact = (0.3 - strong) * math.tanh(0.3) + strong + math.log1p(math.exp(-2 * strong)) - math.log(2 * math.cosh(0.3))
    assert chain.relative_entropy_per_site((0.3, 0.0), (strong, 0.0)) == pytest.approx(exact, rel=1e-13)
    exact = (0.3 + strong) * math.tanh(0.3) + strong + math.log1p(math.exp(-2 * strong)) - math.log(2 * math.cosh(0.3))
    assert chain.relative_entropy_per_site((0.3, 0.0), (-strong, 0.0)) == pytest.approx(exact, rel=1e-13)


class Xoshiro:
    """One lane of the generator."""

    def __init__(self, words):
        self.s = [int(word) for word in words]

    def __call__(self):
        a, b, c, d = self.s
        e, f = b ^ a ^ c, a ^ d ^ b
        g = d ^ b
        self.s = [f, e, c ^ a ^ (b << 17 & WORD), (g << 45 | g >> 19) & WORD]
        return a + d & WORD


WORD = 2**64 - 1


def bits_below(lanes, bound):
    """512 bits that are set where a number, drawn digit by digit, is below a bound."""
    digits = [[lane() for lane in lanes] for _ in range(12)][::-1]
    while True:
        numbers = [
            int("".join(str(word[i] >> j & 1) for word in digits), 2) for i, j in itertools.product(range(8), range(64))
        ]
        places = len(digits)
        if places == 64 or bound >> 64 - places not in numbers:
            return [number < bound >> 64 - places for number in numbers]
        digits.append([lane() for lane in lanes])


def settled_bonds(coupling, field):
    """From how many bonds on the power of the transfer matrix is a projector, to 2^-60 of its smallest entry."""
    with mpmath.workdps(700):
        k, h = mpmath.mpf(coupling), mpmath.mpf(field)
        root = mpmath.sqrt(mpmath.sinh(h) ** 2 + mpmath.exp(-4 * k))
        ratio = (mpmath.cosh(h) - root) / (mpmath.cosh(h) + root)
        rare = (1 - abs(mpmath.sinh(h)) / root) if h else mpmath.mpf(1)
        return int(mpmath.ceil(1 + (mpmath.log(rare) - 60 * mpmath.log(2)) / mpmath.log(abs(ratio)))) if ratio else 1


def sampled_one_by_one(coupling, field, sites, samples, seed, boundary):
    """The sampler again: probabilities from powers of the transfer matrix, spins one after the other.

    Where 512 spins and more are further from the end than the powers matter, they take theirs bit by bit, after a spin
    down and up; the others compare a word each.
    """
    matrix = transfer(coupling, field)
    matrix /= np.linalg.eigvalsh(matrix)[-1] if coupling > 0 else np.abs(np.linalg.eigvalsh(matrix)).max()
    end = np.exp(np.array([-field, field]) / 2)
    rows = min(sites - 1, settled_bonds(coupling, field))
    powers = [np.eye(2)]
    for _ in range(sites):
        powers.append(powers[-1] @ matrix)
    if boundary == "periodic":
        first_up = powers[sites][1, 1] / np.trace(powers[sites])
    else:
        weights = end * (powers[sites - 1] @ end)
        first_up = weights[1] / weights.sum()

    def up(site, this, first):
        site = max(site, sites - rows)
        way = powers[sites - site][:, first] if boundary == "periodic" else powers[sites - site - 1] @ end
        weights = matrix[this] * way
        return weights[1] / weights.sum()

    rng = np.random.default_rng(seed)
    spins = np.empty((samples, sites), np.int8)
    firsts = rng.random(samples) < first_up
    lanes = [Xoshiro(column) for column in rng.integers(0, 2**64, (4, 8), np.uint64).T]
    bounds = {
        (site, this, first): int(min(up(site, this, first), 1 - 2.0**-53) * 2**64)
        for site, this, first in itertools.product(range(1, sites), range(2), range(2))
    }
    for ring, first in zip(spins, map(int, firsts), strict=True):
        ups, this = [first], first
        while sites - 1 - rows - (len(ups) - 1) >= 512:
            after = [bits_below(lanes, bounds[len(ups), before, first]) for before in (0, 1)]
            for k in range(512):
                this = int(after[this][k])
                ups.append(this)
        while len(ups) < sites:
            far = len(ups) < sites - rows
            size = min(512, (sites - rows if far else sites) - len(ups))
            words = [lane() for _ in range(-(-size // 8)) for lane in lanes]
            for word in words[:size]:
                this = int(word < bounds[len(ups), this, first])
                ups.append(this)
        ring[:] = 2 * np.array(ups) - 1
    return spins


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
@pytest.mark.parametrize(("coupling", "field"), POINTS)
@pytest.mark.parametrize("sites", [1, 2, 3, 17])
def test_sampler_has_the_bits_of_its_naive_twin(coupling, field, sites, boundary):
    found = chain.sample(coupling, field, sites=sites, samples=50, rng=5, boundary=boundary)
    np.testing.assert_array_equal(found, sampled_one_by_one(coupling, field, sites, 50, 5, boundary))


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
@pytest.mark.parametrize(("coupling", "field"), [(0.4, 0.0), (0.3, -0.2), (-0.5, 0.1)])
@pytest.mark.parametrize("sites", [700, 1300])
def test_long_chains_have_the_bits_of_their_naive_twin(coupling, field, sites, boundary):
    found = chain.sample(coupling, field, sites=sites, samples=2, rng=6, boundary=boundary)
    np.testing.assert_array_equal(found, sampled_one_by_one(coupling, field, sites, 2, 6, boundary))


def enumerated_open(coupling, field, sites):
    """Probabilities of the open chain; bit j of the index, counted from the left, is set where spin j is up."""
    spins = 2 * ((np.arange(2**sites)[:, None] >> np.arange(sites)[::-1]) & 1) - 1
    weights = np.exp(coupling * (spins[:, 1:] * spins[:, :-1]).sum(axis=1) + field * spins.sum(axis=1))
    return weights / weights.sum()


def distance_from_law(coupling, field, sites, drawn_with, samples=40_000):
    """G statistic of sampled open chains against enumeration, and its limit at 5 sigma."""
    spins = chain.sample(drawn_with, field, sites=sites, samples=samples, rng=8, boundary="open")
    counts = np.bincount((spins > 0) @ (1 << np.arange(sites)[::-1]), minlength=2**sites)
    expected = samples * enumerated_open(coupling, field, sites)
    rare = expected < 10
    if rare.any():
        counts, expected = (np.append(a[~rare], a[rare].sum()) for a in (counts, expected))
    seen = counts > 0
    g = 2 * np.sum(counts[seen] * np.log(counts[seen] / expected[seen]))
    return g, chi2.isf(2 * norm.sf(5), len(expected) - 1)


@pytest.mark.parametrize(("coupling", "field"), [(0.6, 0.0), (0.3, -0.4), (-0.7, 0.2)])
@pytest.mark.parametrize("sites", [1, 2, 5, 8])
def test_sampled_open_chains_follow_their_law(coupling, field, sites):
    found, limit = distance_from_law(coupling, field, sites, coupling)
    assert found < limit


@pytest.mark.parametrize(("coupling", "field"), [(0.6, 0.0), (0.3, -0.4)])
def test_a_coupling_off_is_noticed(coupling, field):
    found, limit = distance_from_law(coupling, field, 8, 1.02 * coupling, samples=2_000_000)
    assert found > limit


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
def test_long_chains_have_their_correlations(boundary):
    # 16 independent chains: correlations at several distances, some of them across words and blocks
    coupling, field, sites = 0.8, 0.05, 100_000
    spins = chain.sample(coupling, field, sites=sites, samples=16, rng=3, boundary=boundary).astype(np.float64)
    for distance in (1, 2, 7):
        found = (spins[:, distance:] * spins[:, :-distance]).mean(axis=1)
        error = found.std(ddof=1) / 4
        assert abs(found.mean() - chain.correlation(coupling, distance, field)) < t.isf(norm.sf(5), 15) * error
        assert error < 2e-3
    across = spins[:, 512:-1:512] * spins[:, 513::512]  # a block ends with the first of each pair
    assert abs(across.mean() - chain.correlation(coupling, 1, field)) < 5 / math.sqrt(across.size)


@pytest.mark.parametrize(("coupling", "field"), [(0.6, 0.0), (0.3, -0.4), (-0.7, 0.2)])
@pytest.mark.parametrize("sites", [1, 2, 5, 6])
def test_sampled_rings_follow_their_law(coupling, field, sites):
    samples = 20_000
    spins = chain.sample(coupling, field, sites=sites, samples=samples, rng=7)
    assert spins.dtype == np.int8
    codes = (spins > 0) @ (1 << np.arange(sites)[::-1])
    counts = np.bincount(codes, minlength=2**sites)
    expected = samples * enumerated(coupling, field, sites)[1]
    rare = expected < 10
    if rare.any():
        counts, expected = (np.append(a[~rare], a[rare].sum()) for a in (counts, expected))
    distance = np.sum((counts - expected) ** 2 / expected)
    assert distance < chi2.isf(2 * norm.sf(5), len(expected) - 1)


def test_a_generator_moves_on_and_a_seed_does_not():
    rng = np.random.default_rng(9)
    first, second = (chain.sample(0.4, sites=20, samples=3, rng=rng) for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(first, chain.sample(0.4, sites=20, samples=3, rng=9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chain.log_partition(math.nan), "coupling must be finite, got nan"),
        (lambda: chain.log_partition(0.1, math.inf), "field must be finite, got inf"),
        (lambda: chain.log_partition(101), r"coupling must lie in \[-100, 100\], got 101"),
        (lambda: chain.log_partition("0.3"), "coupling must be a real number, got '0.3'"),
        (lambda: chain.log_partition(0.3, sites=0), "sites must be at least 1, got 0"),
        (lambda: chain.decimate_couplings(0.3, factor=0), "factor must be at least 1"),
        (lambda: chain.decimate_couplings(0.3, factor=2.0), "factor must be a whole number"),
        (lambda: chain.correlation(0.3, -1), "distance must be at least 0"),
        (lambda: chain.relative_entropy_per_site(0.3, (0.1, 0)), r"p must be a pair \(coupling, field\), got 0.3"),
        (lambda: chain.relative_entropy_per_site((0.3, 0), (0.1,)), "q must be a pair"),
        (lambda: chain.relative_entropy_per_site((0.3, 0), (0.1, math.nan)), "field must be finite"),
        (lambda: ChainWindow(0.3, width=0), "width must be at least 1"),
        (lambda: ChainWindow(math.nan, width=1), "coupling must be finite"),
        (lambda: ChainWindow(0.3, width=21).probabilities(), "width must be between 1 and 20, got 21"),
        (lambda: ChainWindow(0.3, width=2).relative_entropy_to(ChainWindow(0.3, width=3)), "window of 2 spins"),
        (lambda: ChainWindow(0.3, width=2).relative_entropy_to(ChainRing(0.3, sites=2)), "window of 2 spins"),
        (lambda: ChainRing(0.3, sites=0), "sites must be at least 1"),
        (lambda: ChainRing(0.3, sites=4).relative_entropy_to(ChainRing(0.3, sites=5)), "ring of 4 sites"),
        (lambda: chain.sample(0.3, sites=4, samples=0, rng=1), "samples must be at least 1"),
        (lambda: chain.sample(0.3, sites=4, samples=1, rng=1, boundary="free"), "boundary must be one of"),
        (
            lambda: chain.sample(0.3, sites=10**9, samples=10**6, rng=1),
            "1000000 configurations of 1000000000 sites need",
        ),
        (lambda: chain.sample(0.3, sites=4, samples=1, rng=None), "rng must be a numpy Generator"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_degrees_of_freedom():
    assert ChainWindow(0.3, width=5).dof == 5
    assert ChainRing(0.3, sites=7).dof == 7
