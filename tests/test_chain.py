"""The chain against enumerated rings, explicit transfer matrices, and the laws that hold for every coupling.

False alarms: the samples are tested with fixed seeds at 5 sigma, one in two million a test.
"""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, norm

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


class EightLanes:
    """xoshiro256+ in eight lanes, and comparisons of its bits with bounds, as naively as can be."""

    def __init__(self, rng):
        self.s0, self.s1, self.s2, self.s3 = rng.integers(0, 2**64, (4, 8), np.uint64)

    def bits(self):
        """Return the next 512 random bits, word after word from the lowest bit up."""
        words = self.s0 + self.s3
        shifted = self.s1 << np.uint64(17)
        self.s2 = self.s2 ^ self.s0
        self.s3 = self.s3 ^ self.s1
        self.s1 = self.s1 ^ self.s2
        self.s0 = self.s0 ^ self.s3
        self.s2 = self.s2 ^ shifted
        self.s3 = self.s3 << np.uint64(45) | self.s3 >> np.uint64(19)
        return (words[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).ravel()

    def below(self, probabilities):
        """Compare 512 numbers with probabilities: their first twelve bits, the last first, and more while one ties."""
        # rounded: a half that is not quite one would tie at other places
        bounds = np.array([min(int(round(p, 14) * 2.0**64), 2**64 - 1) for p in probabilities], np.uint64)
        numbers = sum(self.bits() << np.uint64(place) for place in range(12))
        for drawn in range(12, 65):
            if drawn > 12:
                numbers = numbers << np.uint64(1) | self.bits()
            limits = bounds >> np.uint64(64 - drawn)
            if (numbers != limits).all():
                break
        return (numbers < limits).astype(int)


def draw_middles(lanes, matrix, spins, positions):
    """Draw the spins (n, 512) at `positions` between the first and the last: every half, quarter, eighth, ..."""
    power = functools.cache(lambda distance: np.linalg.matrix_power(matrix, distance))
    steps = len(positions) - 1
    for level in reversed(range(20)):
        half = 2**level
        for here in range(half, steps, 2 * half):
            left, right = here - half, min(here + half, steps)
            from_left, to_right = power(positions[here] - positions[left]), power(positions[right] - positions[here])
            weights = from_left[spins[left]] * to_right[spins[right]]
            spins[here] = lanes.below(weights[:, 1] / weights.sum(axis=1))


def sampled_naively(coupling, field, sites, samples, seed, boundary, stretch):
    """The sampler again, from powers of the transfer matrix: ends, then the last stretches, then the others."""
    lanes = EightLanes(np.random.default_rng(seed))
    matrix = transfer(coupling, field)
    matrix /= np.abs(np.linalg.eigvalsh(matrix)).max()
    length = sites if boundary == "periodic" else sites - 1
    around = np.linalg.matrix_power(matrix, length)
    cuts = [*range(0, length, stretch), length] if length else [0, 0]
    chains = -(-samples // 512) * 512
    ends = np.zeros((len(cuts), chains), int)
    for batch in np.split(ends, chains // 512, axis=1):
        if boundary == "periodic":
            batch[0] = batch[-1] = lanes.below(np.full(512, around[1, 1] / np.trace(around)))
        else:
            half = np.exp(field / 2 * np.array([-1, 1]))
            joint = around * np.outer(half, half)
            batch[0] = lanes.below(np.full(512, joint[1].sum() / joint.sum()))
            batch[-1] = lanes.below((joint[:, 1] / joint.sum(axis=1))[batch[0]])
        draw_middles(lanes, matrix, batch, cuts)

    found = np.zeros((chains, length + 1), int)
    whole = [(one, place) for one in range(samples) for place in range(len(cuts) - 2)]
    for pieces in (
        [(one, len(cuts) - 2) for one in range(chains)],
        whole + [None] * (-len(whole) % 512),
    ):
        for start in range(0, len(pieces), 512):
            together = pieces[start : start + 512]
            _, place = together[0]
            spins = np.zeros((cuts[place + 1] - cuts[place] + 1, 512), int)
            for lane, piece in enumerate(together):
                if piece:
                    spins[[0, -1], lane] = ends[[piece[1], piece[1] + 1], piece[0]]
            draw_middles(lanes, matrix, spins, range(len(spins)))
            for lane, piece in enumerate(together):
                if piece:
                    first, last = cuts[piece[1]], cuts[piece[1] + 1]
                    found[piece[0], first : last + 1] = spins[:, lane]
    return (2 * found - 1)[:samples, :sites]


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
@pytest.mark.parametrize(("coupling", "field"), POINTS)
@pytest.mark.parametrize("sites", [1, 2, 3, 17, 65])
def test_sampler_has_the_bits_of_its_naive_twin(coupling, field, sites, boundary):
    found = chain.sample(coupling, field, sites=sites, samples=50, rng=5, boundary=boundary)
    np.testing.assert_array_equal(
        found, sampled_naively(coupling, field, sites, 50, 5, boundary, stretch=chain.STRETCH)
    )


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
@pytest.mark.parametrize(
    ("sites", "samples"), [(64, 3), (128, 2), (129, 515), (130, 1), (191, 4), (300, 260), (449, 2), (2500, 1)]
)
def test_long_chains_have_the_bits_of_their_naive_twin(monkeypatch, sites, samples, boundary):
    monkeypatch.setattr(chain, "STRETCH", 64)
    found = chain.sample(-0.4, 0.3, sites=sites, samples=samples, rng=6, boundary=boundary)
    np.testing.assert_array_equal(found, sampled_naively(-0.4, 0.3, sites, samples, 6, boundary, stretch=64))


def enumerated_open(coupling, field, sites):
    """Probabilities of the open chain, in the order of `enumerated`."""
    spins = np.array(list(itertools.product([-1, 1], repeat=sites)))
    weights = np.exp(coupling * (spins[:, 1:] * spins[:, :-1]).sum(axis=1) + field * spins.sum(axis=1))
    return weights / weights.sum()


def distance_from_law(coupling, field, sites, boundary, off=1.0):
    """G statistic of samples, drawn with couplings that are `off`, against enumeration, and its limit at 5 sigma."""
    samples = 400_000
    spins = chain.sample(off * coupling, off * field, sites=sites, samples=samples, rng=7, boundary=boundary)
    assert spins.dtype == np.int8
    assert spins.shape == (samples, sites)
    counts = np.bincount((spins > 0) @ (1 << np.arange(sites)[::-1]), minlength=2**sites)
    law = enumerated(coupling, field, sites)[1] if boundary == "periodic" else enumerated_open(coupling, field, sites)
    expected = samples * law
    rare = expected < 10
    if rare.any():
        counts, expected = (np.append(a[~rare], a[rare].sum()) for a in (counts, expected))
    seen = counts > 0
    statistic = 2 * np.sum(counts[seen] * np.log(counts[seen] / expected[seen]))
    return statistic, chi2.isf(2 * norm.sf(5), len(expected) - 1)


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
@pytest.mark.parametrize(("coupling", "field"), [(0.6, 0.0), (0.3, -0.4), (-0.7, 0.2)])
@pytest.mark.parametrize("sites", [1, 2, 5, 6, 8])
def test_samples_follow_their_law(coupling, field, sites, boundary):
    found, limit = distance_from_law(coupling, field, sites, boundary)
    assert found < limit


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
@pytest.mark.parametrize(("coupling", "field"), [(0.6, 0.0), (0.3, -0.4), (-0.7, 0.2)])
def test_couplings_off_by_two_percent_are_noticed(coupling, field, boundary):
    found, limit = distance_from_law(coupling, field, 8, boundary, off=1.02)
    assert found > limit


def mean_and_error(values):
    return values.mean(), values.std(ddof=1) / math.sqrt(len(values))


def around_a_ring(matrix, *distances):
    """Mean of the product of spins of a ring that are these distances apart."""
    product = np.eye(2)
    for distance in distances:
        product = product @ np.diag([-1.0, 1.0]) @ np.linalg.matrix_power(matrix, distance)
    return np.trace(product) / np.trace(np.linalg.matrix_power(matrix, sum(distances)))


@pytest.mark.parametrize(("coupling", "field"), [(3.0, 0.0), (2.5, 0.003), (-2.0, 0.3)])
def test_rings_of_several_stretches(coupling, field):
    sites, samples = 2 * chain.STRETCH + 321, 400
    spins = chain.sample(coupling, field, sites=sites, samples=samples, rng=11).astype(float)
    matrix = transfer(coupling, field) / math.exp(chain.log_partition(coupling, field))
    value, error = mean_and_error(spins.mean(axis=1))
    assert abs(value - around_a_ring(matrix, sites)) < 5 * error
    for distance in (1, 2, 63, 200, 1024):
        value, error = mean_and_error((spins * np.roll(spins, distance, axis=1)).mean(axis=1))
        assert abs(value - around_a_ring(matrix, distance, sites - distance)) < 5 * error
    # the bonds at the cuts are like all others
    flips = (spins != np.roll(spins, -1, axis=1)).sum(axis=0)
    share = (1 - around_a_ring(matrix, 1, sites - 1)) / 2
    for site in (0, 1, chain.STRETCH - 1, chain.STRETCH, 2 * chain.STRETCH - 1, 2 * chain.STRETCH, sites - 1):
        assert abs(flips[site] - samples * share) < 5 * math.sqrt(samples * share * (1 - share)) + 3


@pytest.mark.parametrize(("coupling", "field"), [(1.5, 0.0), (0.8, 0.2), (-1.2, 0.7)])
def test_open_chains_at_their_free_ends(coupling, field):
    sites, samples = chain.STRETCH + 100, 20_000
    spins = chain.sample(coupling, field, sites=sites, samples=samples, rng=12, boundary="open")
    matrix = transfer(coupling, field) / math.exp(chain.log_partition(coupling, field))
    end, spin = np.exp(field / 2 * np.array([-1.0, 1.0])), np.array([-1.0, 1.0])

    def exact(site):
        left, right = (np.linalg.matrix_power(matrix, distance) @ end for distance in (site, sites - 1 - site))
        return left @ (spin * right) / (left @ right)

    for site in (0, 1, 2, 5, 600, chain.STRETCH - 1, chain.STRETCH, sites - 2, sites - 1):
        value, error = mean_and_error(spins[:, site])
        assert abs(value - exact(site)) < 5 * error
    if not field:
        for distance in (1, 2, 5, sites - 1):
            value, error = mean_and_error(spins[:, 0] * spins[:, distance])
            assert abs(value - math.tanh(coupling) ** distance) < 5 * error
    # a ring has no free end
    ring = chain.sample(coupling, field, sites=sites, samples=samples, rng=12)
    value, error = mean_and_error(ring[:, 0] if field else ring[:, 0] * ring[:, -1])
    assert abs(value - (exact(0) if field else 0.0)) > 5 * error


@pytest.mark.parametrize("boundary", chain.BOUNDARIES)
@pytest.mark.parametrize("sites", [5, 64, 1500])
def test_samples_of_extreme_couplings(sites, boundary):
    options = {"sites": sites, "samples": 70, "rng": 3, "boundary": boundary}
    ordered = chain.sample(100.0, **options)
    assert (ordered == ordered[:, :1]).all()
    assert abs(ordered[:, 0].sum()) < 5 * math.sqrt(70)
    assert (chain.sample(100.0, 3.0, **options) == 1).all()
    assert (chain.sample(0.0, -100.0, **options) == -1).all()
    staggered = chain.sample(-100.0, **options)
    # an open chain has no bond around, so only what parity says of its ends
    assert ((staggered == np.roll(staggered, -1, axis=1)).sum(axis=1) == sites % 2).all()


def test_correlation_lengths_beyond_the_chain():
    coupling, sites, samples = 8.0, 20_000, 4000
    spins = chain.sample(coupling, sites=sites, samples=samples, rng=4, boundary="open")
    walls = (spins[:, 1:] != spins[:, :-1]).sum()
    expected = samples * (sites - 1) / (1 + math.exp(2 * coupling))
    assert abs(walls - expected) < 5 * math.sqrt(expected)
    apart = (spins[:, 0] != spins[:, -1]).mean()
    exact = (1 - math.tanh(coupling) ** (sites - 1)) / 2
    assert abs(apart - exact) < 5 * math.sqrt(exact * (1 - exact) / samples)


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
