"""Samples with known energies: a twin in 50 digits, laws, and statistics with a false alarm in 2e6 a comparison."""

import math
import os
import subprocess
import sys
import types
from decimal import Decimal, localcontext

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from isingflow.divergence import boltzmann
from isingflow.divergence.boltzmann import BoltzmannSamples, ladder, pooled, replicates
from isingflow.errors import ConvergenceError, ParameterError
from isingflow.ising.chain import ChainRing, log_partition
from isingflow.ising.square import configurations, statistics
from isingflow.resampling import influence_error

FEW = settings(max_examples=100, deadline=None, derandomize=True)
BONDS, STATES = np.unique(statistics(configurations(4))[:, 0], return_counts=True)
HIGH, LOW = 0.4407, 0.3
EXACT, REVERSE = 0.7879292129159348, 0.8365884304509331


def law(coupling):
    weights = STATES * np.exp(coupling * (BONDS - BONDS.max()))
    return weights / weights.sum()


def draw(rng, coupling, n, stay=0.0):
    """Bonds of the 4x4 torus, drawn from the law; each repeats the one before with probability `stay`."""
    energies = rng.choice(BONDS, size=n, p=law(coupling))
    fresh = rng.random(n) >= stay
    fresh[0] = True
    return BoltzmannSamples(energies[np.flatnonzero(fresh)[np.cumsum(fresh) - 1]], coupling)


def ring_bonds(rng, coupling, n, sites=16):
    """Sums over the bonds of a ring: an even number of broken ones, each with odds exp(-2K)."""
    broken = np.arange(0, sites + 1, 2)
    weights = np.array([math.comb(sites, k) for k in broken]) * np.exp(-2 * coupling * broken)
    return BoltzmannSamples(sites - 2 * rng.choice(broken, size=n, p=weights / weights.sum()), coupling)


class Twin:
    """The estimator in 60 digits, sample by sample, with weights of the samples; shares no code with the package."""

    def __init__(self, p, q):
        self.n, self.m = len(p), len(q)
        with localcontext() as context:
            context.prec = 60
            step = [Decimal(float(b)) - Decimal(float(a)) for a, b in zip(p.couplings, q.couplings, strict=True)]
            rows = [*p.statistics, *q.statistics]
            self.u = [sum((c * Decimal(float(s)) for c, s in zip(step, row, strict=True)), Decimal(0)) for row in rows]

    def __call__(self, weights=None):
        """Return f, D, reverse and Jensen-Shannon."""
        weights = weights or [Decimal(1)] * len(self.u)
        n, m, half = Decimal(self.n), Decimal(self.m), Decimal(1) / 2
        with localcontext() as context:
            context.prec = 60
            f = sum(self.u) / len(self.u)
            for _ in range(40):
                r = [(u - f).exp() for u in self.u]
                excess = sum(a * (x - 1) / (n + m * x) for a, x in zip(weights, r, strict=True))
                slope = sum(a * (n + m) * x / (n + m * x) ** 2 for a, x in zip(weights, r, strict=True))
                f += excess / slope
                if abs(excess / slope) < Decimal(10) ** -50:
                    break
            else:
                raise AssertionError("no root")
            r = [(u - f).exp() for u in self.u]
            under_p = [a / (n + m * x) for a, x in zip(weights, r, strict=True)]
            under_q = [w * x for w, x in zip(under_p, r, strict=True)]
            forward = f - sum(w * u for w, u in zip(under_p, self.u, strict=True))
            reverse = sum(w * u for w, u in zip(under_q, self.u, strict=True)) - f
            mixture = sum(
                -half * w * ((1 + x) / 2).ln() + half * v * (2 * x / (1 + x)).ln()
                for w, v, x in zip(under_p, under_q, r, strict=True)
            )
            return f, forward, reverse, mixture

    def influence(self, index):
        """Derivatives of D and Jensen-Shannon when mass moves from all samples of one law to one of them."""
        size, first = (self.n, 0) if index < self.n else (self.m, self.n)

        def moved(step):
            weights = [Decimal(1)] * len(self.u)
            for other in range(first, first + size):
                weights[other] -= step
            weights[index] += step * size
            return self(weights)

        with localcontext() as context:
            context.prec = 60
            step = Decimal(10) ** -20
            up, down = moved(step), moved(-step)
            return [float((a - b) / (2 * step)) for a, b in zip(up[1::2], down[1::2], strict=True)]


def normal_pair(seed, n=12, m=9, step=1.0):
    rng = np.random.default_rng(seed)
    return BoltzmannSamples(rng.normal(size=n), 0.2), BoltzmannSamples(rng.normal(step, size=m), 0.2 + step)


# exact values


@pytest.mark.parametrize("step", [3.0, 1.0, 0.1, 1e-3, 1e-6, 1e-9])
def test_against_the_twin_in_many_digits(step):
    """All digits at every distance: D is 2e-19 at the last, where f - <u>_p would have none."""
    p, q = normal_pair(1, step=step)
    found = pooled(p, q)
    f, forward, reverse, mixture = map(float, Twin(p, q)())
    assert found.free_energy == pytest.approx(f, rel=1e-11, abs=1e-15)
    assert found.value == pytest.approx(forward, rel=1e-11, abs=0)
    assert found.reverse == pytest.approx(reverse, rel=1e-11, abs=0)
    assert found.jensen_shannon == pytest.approx(mixture, rel=1e-11, abs=0)


@pytest.mark.parametrize(("n", "m", "step"), [(12, 9, 1.0), (9, 20, 2.0), (10, 10, 1e-6)])
def test_influence_values_are_derivatives(n, m, step):
    p, q = normal_pair(2, n, m, step)
    found, twin = pooled(p, q), Twin(p, q)
    exact = np.array([twin.influence(index) for index in range(n + m)])
    scale = np.abs(exact).max(axis=0)
    plain = np.concatenate([found.influence_p, found.influence_q])
    mixture = np.concatenate([found.jensen_shannon_influence_p, found.jensen_shannon_influence_q])
    np.testing.assert_allclose(plain, exact[:, 0], rtol=0, atol=1e-9 * scale[0])
    np.testing.assert_allclose(mixture, exact[:, 1], rtol=0, atol=1e-9 * scale[1])
    without_f = np.concatenate([size * (part - part.mean()) for size, part in _terms_alone(p, q)])
    if step > 0.1:
        assert np.abs(without_f - exact[:, 0]).max() > 0.01 * scale[0]


def _terms_alone(p, q):
    """The deliberate mistake: influence with f taken as known."""
    n, m = len(p), len(q)
    u = np.concatenate([one.statistics[:, 0] for one in (p, q)]) * (q.couplings - p.couplings)
    x = u - pooled(p, q).free_energy
    terms = (np.expm1(x) - x) / (n + m * np.exp(x))
    return (n, terms[:n]), (m, terms[n:])


def test_delete_one_agrees_with_the_influence():
    rng = np.random.default_rng(3)
    p, q = draw(rng, HIGH, 400), draw(rng, LOW, 300)
    found = pooled(p, q)
    without_p, without_q = replicates(p, q, np.arange(400), np.arange(300))
    for name, psi_p, psi_q in (
        ("value", found.influence_p, found.influence_q),
        ("jensen_shannon", found.jensen_shannon_influence_p, found.jensen_shannon_influence_q),
    ):
        for psi, ones in ((psi_p, getattr(without_p, name)), (psi_q, getattr(without_q, name))):
            pseudo = -(len(psi) - 1) * (ones - ones.mean())
            assert np.corrcoef(psi, pseudo)[0, 1] > 0.999
            assert np.std(pseudo) == pytest.approx(np.std(psi), rel=0.03)


@pytest.mark.parametrize("paired", [False, True])
def test_replicates_are_estimates_of_what_is_left(paired):
    rng = np.random.default_rng(4)
    p, q = draw(rng, HIGH, 300), draw(rng, LOW, 200)
    labels_p, labels_q = p.block_labels(5), rng.permutation(q.block_labels(5))
    found = replicates(p, q, labels_p, labels_q, paired=paired)
    for which, one in enumerate(found):
        for block in range(5):
            keep_p = labels_p != block if paired or which == 0 else labels_p >= 0
            keep_q = labels_q != block if paired or which == 1 else labels_q >= 0
            rest = pooled(*(BoltzmannSamples(s.statistics[k], s.couplings) for s, k in ((p, keep_p), (q, keep_q))))
            for name in one._fields:
                assert getattr(one, name)[block] == pytest.approx(getattr(rest, name), rel=1e-11)


def test_every_state_of_a_uniform_law():
    """K = 0 with all configurations as its sample: ``dK^2 Var(s)/2``, and 32 is the variance of 32 bonds."""
    every = np.repeat(BONDS, STATES)
    found = pooled(BoltzmannSamples(every, 0.0), BoltzmannSamples(every, 1e-6))
    assert found.value == pytest.approx(16e-12, rel=1e-9, abs=0)
    assert found.jensen_shannon == pytest.approx(4e-12, rel=1e-9, abs=0)


# laws

ratios = arrays(np.float64, 10, elements=some.floats(-30, 30))


@FEW
@given(ratios, ratios, some.integers(8, 10))
def test_divergences_are_non_negative_and_mirror(s_p, s_q, m):
    p, q = BoltzmannSamples(s_p, 0.5), BoltzmannSamples(s_q[:m], -0.5)
    try:
        found, mirrored = pooled(p, q), pooled(q, p)
    except ParameterError:
        assume(False)
    assert found.value >= 0
    assert found.reverse >= 0
    assert 0 <= found.jensen_shannon <= math.log(2) * (1 + 1e-12)
    assert found.jensen_shannon <= (found.value + found.reverse) / 4 * (1 + 1e-9)
    assert 0 < found.overlap <= 1 + 1e-12
    assert 1 - 1e-12 <= found.effective_p <= (10 + m) * (1 + 1e-12)
    assert mirrored.value == pytest.approx(found.reverse, rel=1e-9, abs=1e-15)
    assert mirrored.jensen_shannon == pytest.approx(found.jensen_shannon, rel=1e-9, abs=1e-15)
    assert mirrored.free_energy == pytest.approx(-found.free_energy, rel=1e-9, abs=1e-11)


@FEW
@given(ratios, ratios, some.floats(-3, 3))
def test_equal_couplings_are_exactly_zero_apart(s_p, s_q, coupling):
    found = pooled(BoltzmannSamples(s_p, coupling), BoltzmannSamples(s_q, coupling))
    assert (found.value, found.reverse, found.jensen_shannon, found.free_energy) == (0, 0, 0, 0)
    assert not found.influence_p.any()
    assert not found.jensen_shannon_influence_q.any()
    assert found.overlap == pytest.approx(1, rel=1e-12)
    assert found.effective_p == found.effective_q == pytest.approx(20, rel=1e-12)


@FEW
@given(
    arrays(np.float64, (10, 2), elements=some.floats(-2, 2)),
    arrays(np.float64, (9, 2), elements=some.floats(-2, 2)),
    arrays(np.float64, 2, elements=some.floats(-100, 100)),
)
def test_maps_of_the_statistics_change_nothing(s_p, s_q, shift):
    k_p, k_q = np.array([0.3, -0.2]), np.array([-0.5, 0.4])
    mix = np.array([[2.0, 0.5], [-1.0, 1.5]])
    assume(np.ptp(np.concatenate([s_p, s_q]) @ (k_q - k_p)) > 1e-9)
    plain = pooled(BoltzmannSamples(s_p, k_p), BoltzmannSamples(s_q, k_q))
    moved = pooled(*(BoltzmannSamples((s + shift) @ mix, np.linalg.solve(mix, k)) for s, k in ((s_p, k_p), (s_q, k_q))))
    assert moved.value == pytest.approx(plain.value, rel=1e-9, abs=1e-18)
    assert moved.jensen_shannon == pytest.approx(plain.jensen_shannon, rel=1e-9, abs=1e-18)
    assert moved.free_energy == pytest.approx(plain.free_energy + shift @ (k_q - k_p), rel=1e-9, abs=1e-11)
    np.testing.assert_allclose(moved.influence_p, plain.influence_p, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("distance", [1e-300, 1e-12, 1.0, 600.0, 2000.0, 1e5, 1e300])
def test_the_free_energy_is_found_at_any_distance(distance):
    """The root lies between the extremes, however far they are apart; between two lumps it is half way."""
    u = np.concatenate([np.linspace(0, 0.1, 8), np.linspace(1, 1.1, 8)]) * distance
    assert boltzmann._free_energy(u, 8) == pytest.approx(0.55 * distance, rel=1e-9)
    assert u.min() <= boltzmann._free_energy(u[:13], 8) <= u.max()
    assert u.min() <= boltzmann._free_energy(u[::-1], 8) <= u.max()


def test_a_warm_start_far_off_does_no_harm():
    u = np.random.default_rng(5).normal(size=100) * 5
    cold = boltzmann._free_energy(u, 40)
    for near in (cold, cold + 0.1, -1e3, 1e3):
        assert boltzmann._free_energy(u, 40, near=near) == pytest.approx(cold, abs=1e-11)


# statistics


def test_the_torus_against_its_enumeration():
    """4x4, n = 1000, 400 repetitions: standard deviation 0.0144(5), the contract's 0.013; a false alarm in 2e6."""
    rng = np.random.default_rng(6)
    found = [pooled(draw(rng, HIGH, 1000), draw(rng, LOW, 1000)) for _ in range(400)]
    spread = {}
    for name, exact in (("value", EXACT), ("reverse", REVERSE)):
        values = np.array([getattr(one, name) for one in found])
        spread[name] = values.std()
        assert abs(values.mean() - exact) < 5 * values.std() / 20
        assert abs(values.mean() - (EXACT + REVERSE - exact)) > 5 * values.std() / 20  # p and q exchanged
    assert abs(spread["value"] - 0.0144) < 5 * 0.0144 / np.sqrt(800)
    predicted = [math.hypot(one.influence_p.std(), one.influence_q.std()) / math.sqrt(1000) for one in found]
    assert abs(spread["value"] / np.mean(predicted) - 1) < 5 / np.sqrt(800)


@pytest.mark.parametrize(("n", "m"), [(500, 2000), (2000, 500)])
def test_the_ring_with_unequal_numbers(n, m):
    rng = np.random.default_rng(7)
    exact = ChainRing(0.6, sites=16).relative_entropy_to(ChainRing(0.3, sites=16))
    free_energy = 16 * (log_partition(0.3, sites=16) - log_partition(0.6, sites=16))
    found = [pooled(ring_bonds(rng, 0.6, n), ring_bonds(rng, 0.3, m)) for _ in range(300)]
    for name, value in (("value", exact), ("free_energy", free_energy)):
        values = np.array([getattr(one, name) for one in found])
        assert abs(values.mean() - value) < 5 * values.std() / np.sqrt(300) + 1e-3 * abs(value)
        assert values.std() < 0.1 * abs(value)


def test_two_couplings():
    """Nearest and diagonal pairs of the 4x4 torus, against the enumerated law."""
    pairs = statistics(configurations(4))[:, :2]
    k_p, k_q = np.array([0.3, 0.05]), np.array([0.25, 0.1])
    logs = [pairs @ k for k in (k_p, k_q)]
    laws = [np.exp(one - one.max()) / np.exp(one - one.max()).sum() for one in logs]
    exact = float(np.sum(laws[0] * np.log(laws[0] / laws[1])))
    rng = np.random.default_rng(8)
    p, q = (
        BoltzmannSamples(pairs[rng.choice(len(pairs), size=4000, p=one)], k)
        for one, k in zip(laws, (k_p, k_q), strict=True)
    )
    found = pooled(p, q)
    error = math.hypot(influence_error(found.influence_p).error, influence_error(found.influence_q).error)
    assert abs(found.value - exact) < 5 * error
    assert error < 0.05 * exact


def covered(stay, n, m, repetitions, seed):
    """Shares of intervals of one and two errors that hold D, and those of the naive error."""
    rng = np.random.default_rng(seed)
    pulls, naive = [], []
    for _ in range(repetitions):
        found = pooled(draw(rng, HIGH, n, stay), draw(rng, LOW, m, stay))
        error = math.hypot(*(influence_error(psi).error for psi in (found.influence_p, found.influence_q)))
        unaware = math.hypot(found.influence_p.std() / math.sqrt(n), found.influence_q.std() / math.sqrt(m))
        pulls.append(abs(found.value - EXACT) / error)
        naive.append(abs(found.value - EXACT) / unaware)
    pulls = np.array(pulls)
    return np.mean(pulls < 1), np.mean(pulls < 2), np.mean(np.array(naive) < 1)


@pytest.mark.parametrize(("stay", "n", "m", "slack"), [(0.0, 400, 600, 0.01), (0.9, 4000, 5000, 0.03)])
def test_intervals_cover(stay, n, m, slack):
    """2000 seeds: 5 standard deviations of a share, and `slack` for the finite record; naive errors cover 18 %."""
    one, two, naive = covered(stay, n, m, 2000, seed=9)
    assert abs(one - 0.6827) < 5 * math.sqrt(0.6827 * 0.3173 / 2000) + slack
    assert abs(two - 0.9545) < 5 * math.sqrt(0.9545 * 0.0455 / 2000) + slack
    if stay:
        assert naive < 0.35


@pytest.mark.slow
def test_intervals_cover_after_long_runs():
    one, two, _ = covered(0.9, 40000, 40000, 4000, seed=10)
    assert abs(one - 0.6827) < 5 * math.sqrt(0.6827 * 0.3173 / 4000)
    assert abs(two - 0.9545) < 5 * math.sqrt(0.9545 * 0.0455 / 4000)


# the record


def test_samples_are_kept_and_never_changed():
    given_, couplings = np.arange(16), np.array([0.3])
    samples = BoltzmannSamples(given_, couplings)
    given_[0], couplings[0] = 99, 99.0
    assert samples.statistics[0, 0] == 0
    assert samples.couplings.tolist() == [0.3]
    for array in (samples.statistics, samples.couplings):
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        samples.chains = 2
    before = samples.statistics.tobytes()
    pooled(samples, BoltzmannSamples(np.arange(8), 0.4))
    assert samples.statistics.tobytes() == before


def test_batches_are_the_whole():
    rng = np.random.default_rng(11)
    chains = rng.normal(size=(3, 40, 2))

    def samples(part):
        return BoltzmannSamples(part.reshape(-1, 2), [0.1, 0.2], chains=3)

    merged = samples(chains[:, :15]).merge(samples(chains[:, 15:]))
    assert merged.statistics.tobytes() == samples(chains).statistics.tobytes()
    assert merged.chains == 3
    plain = [BoltzmannSamples(part, 0.1) for part in (np.arange(8), np.arange(9))]
    assert plain[0].merge(plain[1]).statistics[:, 0].tolist() == [*range(8), *range(9)]


def test_blocks_cross_no_chain():
    labels = BoltzmannSamples(np.zeros(60), 0.1, chains=3).block_labels(6).reshape(3, 20)
    assert labels.tolist() == [[2 * chain] * 10 + [2 * chain + 1] * 10 for chain in range(3)]
    uneven = np.bincount(BoltzmannSamples(np.zeros(107), 0.1).block_labels(20))
    assert (uneven.min(), uneven.max(), len(uneven)) == (5, 6, 20)


def test_chains_are_independent():
    """Ten chains that stay where they are: joined they look correlated over a tenth of the record, as ten they are."""
    values = np.repeat(np.random.default_rng(12).normal(size=10), 50)
    with_chains = influence_error(values - values.mean(), chains=10)
    assert with_chains.autocorrelation.window < 50
    assert with_chains.error == pytest.approx(
        math.sqrt(2 * with_chains.autocorrelation.time * np.var(values) / 500), rel=1e-12
    )


# the ladder


def torus_states(seed, couplings, n):
    rng = np.random.default_rng(seed)
    return [draw(rng, coupling, n + 100 * index) for index, coupling in enumerate(couplings)]


def test_a_ladder_of_two_is_the_pooled_estimate():
    pytest.importorskip("pymbar")
    p, q = torus_states(13, (HIGH, LOW), 500)
    found, plain = ladder(p, q, []), pooled(p, q)
    for name in ("value", "reverse", "jensen_shannon", "overlap"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), abs=1e-9)
    assert found.free_energies == pytest.approx([0, plain.free_energy], abs=1e-9)
    both, _ = replicates(p, q, p.block_labels(), q.block_labels(), paired=True)
    np.testing.assert_allclose(found.replicates.value, both.value, rtol=0, atol=1e-9)
    assert found.stderr == pytest.approx(math.sqrt(19 * np.var(both.value)), rel=1e-6)


def test_a_ladder_does_not_need_our_starting_values(monkeypatch):
    """pymbar solves by itself: from zeros it arrives where it does from the pairwise free energies."""
    pytest.importorskip("pymbar")
    p, middle, q = torus_states(14, (HIGH, 0.37, LOW), 500)
    found = ladder(p, q, [middle])
    monkeypatch.setattr(boltzmann, "_free_energy", lambda *_, **__: 0.0)
    again = ladder(p, q, [middle])
    assert again.value == pytest.approx(found.value, abs=1e-8)
    assert again.free_energies == pytest.approx(found.free_energies, abs=1e-8)


def test_a_ladder_against_the_enumeration():
    """20 ladders of three states: unbiased to five errors, and pulls of the jackknife of 20 blocks."""
    pytest.importorskip("pymbar")
    couplings = (HIGH, 0.37, LOW)
    found = [ladder(p, q, between) for p, *between, q in (torus_states(s, couplings, 200) for s in range(100, 120))]
    for name, exact in (("value", EXACT), ("reverse", REVERSE)):
        values = np.array([getattr(one, name) for one in found])
        assert abs(values.mean() - exact) < 5 * values.std() / np.sqrt(20)
        assert values.std() < 0.06
    pulls = np.array([(one.value - EXACT) / one.stderr for one in found])
    assert 0.4 < np.std(pulls) < 1.9
    logs = [math.log(np.sum(STATES * np.exp(k * BONDS))) for k in couplings]
    mean = np.mean([one.free_energies for one in found], axis=0)
    assert mean == pytest.approx(np.array(logs) - logs[0], abs=0.05)


def test_a_ladder_bridges_a_gap():
    """Normal laws 8 apart, D = 32: alone they do not meet."""
    pytest.importorskip("pymbar")
    rng = np.random.default_rng(15)
    p, *between, q = (BoltzmannSamples(rng.normal(mean, size=1000), mean) for mean in np.linspace(0, 8, 7))
    found = ladder(p, q, between)
    assert abs(found.value - 32) < 5 * found.stderr
    assert found.stderr < 0.7
    far = BoltzmannSamples(rng.normal(60, size=1000), 60.0)
    with pytest.raises((ParameterError, ConvergenceError), match="insert"):
        ladder(p, far, between)


def test_pymbar_is_silent_and_leaves_the_session_alone():
    pytest.importorskip("pymbar")
    code = """
import logging, numpy as np, warnings
from isingflow.divergence.boltzmann import BoltzmannSamples, ladder
states = [BoltzmannSamples(np.random.default_rng(1).normal(k, size=40), k) for k in (0.0, 0.5, 1.0)]
np.random.seed(3)
before, filters = np.random.get_state(), list(warnings.filters)
ladder(states[0], states[2], states[1:2])
after = np.random.get_state()
assert (before[1] == after[1]).all() and before[2:] == after[2:]
assert logging.getLogger("pymbar").level == logging.NOTSET and not logging.getLogger().handlers
assert filters == list(warnings.filters)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_pymbar(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymbar", None)
    with pytest.raises(ParameterError, match=r"pip install isingflow\[mbar\]"):
        ladder(*normal_pair(16, 40, 40), [])


def test_an_unsolved_ladder_says_so(monkeypatch):
    class Stuck:
        def __init__(self, *_, initial_f_k, **__):
            self.f_k = initial_f_k + np.array([0.0, 0.1])

    monkeypatch.setitem(sys.modules, "pymbar", types.ModuleType("pymbar"))
    sys.modules["pymbar"].MBAR = Stuck
    sys.modules["pymbar"].utils = types.ModuleType("utils")
    sys.modules["pymbar"].utils.ParameterError = ZeroDivisionError
    with pytest.raises(ConvergenceError, match="instead of 1") as caught:
        ladder(*normal_pair(17, 40, 40), [])
    assert caught.value.best.shape == (2,)


# bad input

P, Q = normal_pair(18, 40, 40)
TWO = BoltzmannSamples(np.ones((20, 2)), [0.1, 0.2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoltzmannSamples([[1, 2], [1]], 0.1), "statistics must be an array"),
        (lambda: BoltzmannSamples(["1"] * 8, 0.1), "statistics must be integers or floats"),
        (lambda: BoltzmannSamples([True] * 8, 0.1), "statistics must be integers or floats, got bool"),
        (lambda: BoltzmannSamples([np.nan] * 8, 0.1), "statistics must be finite"),
        (lambda: BoltzmannSamples([1.0] * 8, np.inf), "couplings must be finite"),
        (lambda: BoltzmannSamples(np.ones((8, 2)), 0.1), r"got \(8, 2\) for couplings \(\)"),
        (lambda: BoltzmannSamples(np.ones((8, 0)), []), r"got \(8, 0\) for couplings \(0,\)"),
        (lambda: BoltzmannSamples(np.ones((8, 2, 2)), [0.1, 0.2]), "one column for each"),
        (lambda: BoltzmannSamples(1.0, 0.1), "one column for each"),
        (lambda: BoltzmannSamples([1.0] * 7, 0.1), "at least 8, got 7"),
        (lambda: BoltzmannSamples([1.0] * 25, 0.1, chains=2), "a multiple of 2 samples, at least 16, got 25"),
        (lambda: BoltzmannSamples([1.0] * 8, 0.1, chains=0), "chains must be at least 1"),
        (lambda: P.merge(Q), "only samples of one law"),
        (lambda: P.merge(P.statistics), "only samples of one law"),
        (lambda: P.merge(BoltzmannSamples(np.ones(16), P.couplings, chains=2)), "as many chains, got 1 and 2"),
        (lambda: P.block_labels(41), "at most the number of samples, 40, got 41"),
        (lambda: BoltzmannSamples(np.ones(24), 0.1, chains=3).block_labels(20), "multiple of the 3 chain"),
        (lambda: pooled(P, TWO), "must have the same statistics, got 1 and 2"),
        (lambda: pooled(P, [1.0]), "q must be BoltzmannSamples, got list"),
        (lambda: pooled(P, BoltzmannSamples([1e300] * 8, 1e300)), "overflow"),
        (lambda: pooled(BoltzmannSamples([0.0] * 8, 0.0), BoltzmannSamples([3e3] * 8, 1.0)), "do not overlap"),
        (lambda: pooled(BoltzmannSamples([16] * 8, 0.3), BoltzmannSamples([16] * 9, 3.0)), "the same energy"),
        (lambda: influence_error(np.ones(25), chains=2), "need a multiple of 2"),
        (lambda: replicates(P, Q, P.block_labels()[:5], Q.block_labels()), "labels_p must be integers"),
        (lambda: replicates(P, Q, P.block_labels(), np.zeros(40, int)), "labels_q must name at least 2 blocks"),
        (lambda: replicates(P, Q, P.block_labels(), Q.block_labels() * 2), "none of them empty"),
        (lambda: replicates(P, Q, P.block_labels(), Q.block_labels(5), paired=True), "equally many, got 20 and 5"),
        (lambda: ladder(P, Q, [TWO]), "must have the same statistics"),
        (lambda: ladder(P, Q, [], blocks=3), "blocks must be at least 4"),
        (lambda: ladder(P, Q, [BoltzmannSamples(np.ones(8), 0.5)]), "number of samples, 8, got 20"),
        (lambda: ladder(P, BoltzmannSamples([1e300] * 20, 1e300), []), "overflow"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
