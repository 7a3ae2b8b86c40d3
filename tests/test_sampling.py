"""The sampler of the square lattice: exact tori, what it picks and reports, its batches, and what it refuses.

Its kernels have tests of their own. Fixed seeds. False alarms: 5 sigma, or the same one in two million of a t
distribution, about 60 times; three in a hundred thousand for the file, were the seeds to change.
"""

import math
import warnings

import numpy as np
import pytest
from scipy.stats import norm, t

from isingflow.errors import ParameterError, ShortRunWarning
from isingflow.ising import chains as markov
from isingflow.ising import sampling, square
from isingflow.ising.decimation import pair_correlation
from isingflow.ising.packing import PackedSpins
from isingflow.ising.sampling import iter_square, memory_needed, sample_square
from isingflow.ising.square import CRITICAL_COUPLING

RARE = 2 * norm.sf(5)
FAST = ["replicas", "strips", "swendsen-wang", "wolff"]
GENERAL = {"coupling": 0.2, "diagonal": -0.1, "plaquette": 0.15, "field": 0.1}
SIDES = {"heat-bath": 6, "replicas": 6, "strips": 128, "swendsen-wang": 5, "wolff": 5}


def within_five_sigma(independent, expected, largest_error):
    """Compare the mean of independent values with an exact one, at the t value as rare as 5 sigma."""
    error = np.std(independent, axis=0, ddof=1) / math.sqrt(len(independent))
    assert (error < largest_error).all()
    assert (np.abs(np.mean(independent, axis=0) - expected) < t.isf(RARE / 2, len(independent) - 1) * error).all()


@pytest.mark.parametrize("side", [2, 3, 4])
@pytest.mark.parametrize(
    "couplings",
    [
        GENERAL,
        {"coupling": -0.3, "diagonal": 0.2, "plaquette": -0.1, "field": -0.3},
        {"coupling": 0.1, "diagonal": 0.0, "plaquette": 0.4, "field": 0.0},
    ],
)
def test_general_couplings_by_enumeration(side, couplings):
    chains, each = 128, 300
    sample = sample_square(side=side, samples=chains * each, rng=12, chains=chains, burn_in=50, thin=4, **couplings)
    assert sample.algorithm == "heat-bath"
    found = square.statistics(sample.spins).reshape(chains, each, 4).mean(axis=1) / side**2
    probabilities = square.boltzmann_probabilities(side=side, **couplings)
    exact = probabilities @ square.statistics(square.configurations(side)) / side**2
    within_five_sigma(found, exact, 0.02)


@pytest.mark.parametrize("algorithm", ["heat-bath", "replicas"])
def test_field_by_enumeration(algorithm):
    chains, each = 128, 300
    arguments = {"side": 4, "samples": chains * each, "rng": 12, "chains": chains, "burn_in": 50, "thin": 4}
    sample = sample_square(0.35, field=-0.2, algorithm=algorithm, **arguments)
    found = square.statistics(sample.spins).reshape(chains, each, 4).mean(axis=1) / 16
    probabilities = square.boltzmann_probabilities(0.35, side=4, field=-0.2)
    within_five_sigma(found, probabilities @ square.statistics(square.configurations(4)) / 16, 0.02)


@pytest.mark.parametrize("algorithm", ["heat-bath", "replicas", "swendsen-wang", "wolff"])
def test_antiferromagnet_by_enumeration(algorithm):
    chains, each = 128, 300
    arguments = {"side": 4, "samples": chains * each, "rng": 13, "chains": chains, "burn_in": 50, "thin": 4}
    sample = sample_square(-0.5, algorithm=algorithm, **arguments)
    found = square.statistics(sample.spins).reshape(chains, each, 4).mean(axis=1) / 16
    probabilities = square.boltzmann_probabilities(-0.5, side=4)
    within_five_sigma(found, probabilities @ square.statistics(square.configurations(4)) / 16, 0.02)


@pytest.mark.parametrize("algorithm", SIDES)
def test_seeds_and_workers(algorithm):
    def drawn(rng, **settings):
        settings = {"side": SIDES[algorithm], "samples": 130, "chains": 130, "burn_in": 3, "thin": 1} | settings
        with warnings.catch_warnings(action="ignore", category=ShortRunWarning):
            return sample_square(0.35, rng=rng, algorithm=algorithm, **settings).packed.words

    first = drawn(3)
    np.testing.assert_array_equal(first, drawn(3, workers=1))
    np.testing.assert_array_equal(first, drawn(3, workers=3))
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(first, drawn(rng))
    assert (drawn(rng) != first).any()
    assert (drawn(4) != first).any()


@pytest.mark.filterwarnings("ignore::isingflow.errors.ShortRunWarning")
@pytest.mark.parametrize("algorithm", SIDES)
def test_thinning_leaves_out(algorithm):
    def drawn(samples, burn_in, thin):
        arguments = {"side": SIDES[algorithm], "rng": 8, "algorithm": algorithm, "chains": 1}
        return sample_square(0.4, samples=samples, burn_in=burn_in, thin=thin, **arguments)

    every = drawn(35, 0, 1).spins
    sample = drawn(10, 5, 3)
    np.testing.assert_array_equal(sample.spins, every[7::3])
    assert (sample.burn_in, sample.thin, sample.chains, sample.algorithm) == (5, 3, 1, algorithm)


@pytest.mark.filterwarnings("ignore::isingflow.errors.ShortRunWarning")
@pytest.mark.parametrize(("algorithm", "chains"), [("wolff", 3), ("swendsen-wang", 3), ("replicas", 70)])
def test_chains_follow_each_other(algorithm, chains):
    arguments = {"side": 4, "rng": 5, "burn_in": 10, "thin": 2, "algorithm": algorithm}
    together = sample_square(0.3, samples=2 * chains + 1, chains=chains, **arguments)
    assert together.chains == chains
    # chains have streams of their own: more of them change nothing in the first
    alone = sample_square(0.3, samples=2, chains=1, **arguments)
    np.testing.assert_array_equal(together.spins[:2], alone.spins)
    # the last one alone has three
    longer = sample_square(0.3, samples=3 * chains, chains=chains, **arguments)
    np.testing.assert_array_equal(together.spins[-3:], longer.spins[-3:])
    assert sample_square(0.3, samples=2, chains=9, **arguments).chains == 2


@pytest.mark.parametrize("algorithm", ["replicas", "swendsen-wang"])
@pytest.mark.parametrize("batch", [128, 256, 400])
def test_batches_are_one_sample(algorithm, batch):
    arguments = {"side": 6, "samples": 1024, "rng": 3, "chains": 128, "burn_in": 20, "thin": 2, "algorithm": algorithm}
    whole = sample_square(0.3, **arguments)
    with warnings.catch_warnings(action="ignore", category=ShortRunWarning):
        batches = [*iter_square(0.3, batch=batch, **arguments)]
    assert [len(one) for one in batches] == [batch] * (1024 // batch) + [1024 % batch] * (1024 % batch > 0)
    if 1024 % batch == 0:  # each chain continues where it was
        words = np.concatenate([one.packed.words.reshape(128, -1, 6, 1) for one in batches], axis=1)
        np.testing.assert_array_equal(words.reshape(-1, 6, 1), whole.packed.words)


def test_batches_are_checked_at_once():
    with pytest.raises(ParameterError, match="batch must be at least 1, got 0"):
        iter_square(0.3, side=4, samples=3, rng=1, batch=0)
    with pytest.raises(ParameterError, match=r"batches of 1000000000 configurations .* ask for smaller ones"):
        iter_square(0.3, side=256, samples=10**10, batch=10**9, rng=1)
    batches = iter_square(0.3, side=256, samples=10**12, batch=10, rng=1)  # larger than any memory
    assert next(batches).spins.shape == (10, 256, 256)


@pytest.mark.parametrize("algorithm", SIDES)
def test_memory_is_known(algorithm):
    import tracemalloc

    side, samples = 256, 200
    arguments = {"side": side, "samples": samples, "algorithm": algorithm}
    settings = {"burn_in": 1, "thin": 1, "chains": 200 if "strips" not in algorithm else 8, "workers": 1}
    with warnings.catch_warnings(action="ignore", category=ShortRunWarning):
        sample_square(0.3, rng=1, **{"burn_in": 1, "thin": 1} | arguments | {"samples": 1})  # compiled
        tracemalloc.start()
        sample_square(0.3, rng=1, **arguments, **settings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.7 < memory_needed(0.3, **arguments, **settings) / peak < 1.4


@pytest.mark.parametrize("coupling", [0.3, 0.5])
def test_automatic_lengths(coupling):
    sample = sample_square(coupling, side=16, samples=4000, rng=6, algorithm="replicas")
    assert sample.thin >= 1
    # the pilot runs are part of it, and 20 times the autocorrelation time that they found
    assert sample.burn_in >= sampling.PILOT["replicas"] + 20 * (sample.thin - 0.5)
    # configurations that far apart are nearly independent: close to 1/2 in their own units
    assert 0.5 <= sample.autocorrelation_time / sample.thin < 1.5


def test_automatic_thinning_counts_its_pilots():
    sample = sample_square(0.3, side=8, samples=4, rng=6, burn_in=1)
    assert sample.burn_in >= sampling.PILOT["replicas"]
    sample = sample_square(0.3, side=8, samples=4, rng=6, thin=5)
    assert sample.thin == 5
    assert sample.burn_in >= sampling.PILOT["replicas"] + 10


def test_measured_autocorrelation_time():
    # independent spins: every sweep is a new lattice
    sample = sample_square(0.0, side=8, samples=8000, rng=1, burn_in=0, thin=2)
    assert sample.algorithm == "replicas"
    assert sample.autocorrelation_time == pytest.approx(2 * 0.5, rel=0.2)
    arguments = {"side": 16, "samples": 20_000, "rng": 1, "thin": 1, "burn_in": 1000, "chains": 4}
    slow = sample_square(CRITICAL_COUPLING, algorithm="heat-bath", **arguments)
    fast = sample_square(CRITICAL_COUPLING, algorithm="swendsen-wang", **arguments)
    assert fast.autocorrelation_time < 10 < slow.autocorrelation_time
    assert 0 < fast.autocorrelation_error < 1


@pytest.mark.parametrize(
    ("settings", "algorithm"),
    [
        ({"coupling": 0.3}, "replicas"),
        ({"coupling": 0.3, "side": 512}, "strips"),
        ({"coupling": 0.3, "side": 576}, "replicas"),
        ({"coupling": 0.3, "side": 15}, "heat-bath"),
        ({"coupling": CRITICAL_COUPLING}, "swendsen-wang"),
        ({"coupling": CRITICAL_COUPLING, "side": 15}, "swendsen-wang"),
        ({"coupling": -CRITICAL_COUPLING}, "swendsen-wang"),
        ({"coupling": -CRITICAL_COUPLING, "side": 15}, "heat-bath"),
        ({"coupling": CRITICAL_COUPLING, "field": 0.1}, "replicas"),
        ({"coupling": 0.0}, "replicas"),
        ({"coupling": 3.0}, "replicas"),
        ({"coupling": 0.2, "diagonal": 0.1}, "heat-bath"),
        ({"coupling": 0.2, "plaquette": 0.1, "field": 0.1}, "heat-bath"),
    ],
)
def test_what_is_picked(settings, algorithm):
    settings = {"side": 16, "samples": 1} | settings
    with warnings.catch_warnings(action="ignore", category=ShortRunWarning):
        sample = sample_square(rng=1, burn_in=0, thin=1, **settings)
    assert sample.algorithm == algorithm
    assert sample.spins.shape == (1, settings["side"], settings["side"])


COLD = {"coupling": 3.0, "field": 0.0}


@pytest.mark.parametrize(
    ("couplings", "side", "kind"),
    [
        (COLD, 8, "uniform"),
        ({"coupling": CRITICAL_COUPLING, "field": 0.0}, 9, "uniform"),
        ({"coupling": 0.3, "field": 0.0}, 8, "random"),
        ({"coupling": -3.0, "field": 0.0}, 8, "checkered"),
        ({"coupling": -3.0, "field": 1.0}, 8, "checkered"),
        ({"coupling": -3.0, "field": 0.0}, 9, "random"),
        ({"coupling": -0.5, "field": 3.0}, 8, "up"),
        ({"coupling": 3.0, "field": 0.1}, 8, "up"),
        ({"coupling": 3.0, "field": -0.1}, 70, "down"),
    ],
)
def test_starts(couplings, side, kind):
    rows = markov.start(64, side, np.random.default_rng(1), **couplings)
    spins = PackedSpins(rows, side).spins()
    pattern = (-1) ** np.add.outer(np.arange(side), np.arange(side)) if kind == "checkered" else np.ones((side, side))
    alignment = (spins * pattern).sum(axis=(1, 2)) / side**2
    if kind in ("uniform", "checkered"):
        assert set(alignment) == {-1, 1}
    elif kind == "random":
        assert (np.abs(alignment) < 0.8).all()
    else:
        assert set(alignment) == {1 if kind == "up" else -1}


def test_usable_as_an_array():
    sample = sample_square(0.4, side=6, samples=5, rng=1)
    assert len(sample) == 5
    assert np.asarray(sample).dtype == np.int8
    assert np.shares_memory(np.asarray(sample), sample.spins)
    assert not np.shares_memory(np.array(sample), sample.spins)
    assert np.asarray(sample, dtype=float).dtype == np.float64
    assert pair_correlation(sample).shape == (5,)
    np.testing.assert_array_equal(pair_correlation(sample.packed), pair_correlation(sample.spins))
    assert set(np.unique(sample.spins)) == {-1, 1}


def test_short_pilots_warn(monkeypatch):
    monkeypatch.setattr(sampling, "PILOT", dict.fromkeys(sampling.PILOT, 16))
    monkeypatch.setattr(sampling, "LONGEST_PILOT", 4)
    arguments = {"side": 32, "samples": 2, "rng": 1, "algorithm": "replicas"}
    with pytest.warns(ShortRunWarning, match="pilot runs of 64 updates are too short") as caught:
        sample = sample_square(CRITICAL_COUPLING, **arguments)
    assert caught[0].filename == __file__
    assert sample.burn_in >= 64
    with pytest.warns(ShortRunWarning, match="pilot runs of 64") as caught:
        [_] = iter_square(CRITICAL_COUPLING, **arguments)
    assert caught[0].filename == __file__


def test_short_runs_warn():
    arguments = {"side": 32, "burn_in": 1, "thin": 1, "rng": 1}
    with pytest.warns(ShortRunWarning, match="2 configurations of 2 chains, 1 updates apart, are too few") as caught:
        sample = sample_square(CRITICAL_COUPLING, samples=2, **arguments)
    assert caught[0].filename == __file__
    assert math.isnan(sample.autocorrelation_time)
    assert math.isnan(sample.autocorrelation_error)
    with pytest.warns(ShortRunWarning, match="40 configurations of 4 chains"):
        sample_square(CRITICAL_COUPLING, samples=40, algorithm="replicas", chains=4, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coupling": math.nan}, "coupling must be finite, got nan"),
        ({"coupling": 101}, r"coupling must lie in \[-100, 100\]"),
        ({"diagonal": math.inf}, "diagonal must be finite"),
        ({"plaquette": "1"}, "plaquette must be a real number"),
        ({"field": math.nan}, "field must be finite"),
        ({"side": 1}, "side must be at least 2, got 1"),
        ({"side": 4.0}, "side must be a whole number"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"chains": 0}, "chains must be at least 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"burn_in": -1}, "burn_in must be at least 0"),
        ({"burn_in": "long"}, "burn_in must be a whole number, got 'long'"),
        ({"thin": 0}, "thin must be at least 1"),
        ({"algorithm": "metropolis"}, "algorithm must be one of"),
        ({"algorithm": "heatbath"}, "did you mean 'heat-bath'"),
        ({"algorithm": "swendsen-wang", "field": 0.1}, "swendsen-wang needs coupling > 0.*field=0.1.*'heat-bath'"),
        ({"algorithm": "wolff", "coupling": -0.1, "side": 5}, "wolff needs coupling > 0, or < 0 on an even side"),
        ({"algorithm": "swendsen-wang", "coupling": 0.0}, "swendsen-wang needs coupling > 0"),
        ({"algorithm": "wolff", "diagonal": 0.1}, "and no diagonal"),
        ({"algorithm": "swendsen-wang", "plaquette": 0.1}, "and no diagonal, plaquette"),
        ({"algorithm": "replicas", "plaquette": 0.1}, "needs diagonal = plaquette = 0, got .*plaquette=0.1"),
        ({"algorithm": "replicas", "side": 5}, "even side for its checkerboard, got side=5: use .* side=6"),
        ({"algorithm": "strips", "side": 64}, "side divisible by 128.*got side=64.*replicas.*side=128"),
        ({"samples": 10**12}, r"1000000000000 configurations of side 4.* need .* GiB of memory, .*iter_square"),
        ({"side": 10**6}, r"1 configurations of side 1000000, sampled with 'replicas', need .* GiB"),
        ({"rng": None}, "rng must be a numpy Generator or a non-negative integer, got None"),
        ({"rng": -1}, "rng must be"),
    ],
)
def test_bad_input(change, message):
    arguments = {"coupling": 0.3, "side": 4, "samples": 1, "rng": 1} | change
    with pytest.raises(ParameterError, match=message):
        sample_square(arguments.pop("coupling"), **arguments)


def test_unpacking_is_refused_where_it_does_not_fit(monkeypatch):
    sample = sample_square(0.3, side=8, samples=3, rng=1)
    monkeypatch.setattr("os.sysconf", lambda name: 1)
    with pytest.raises(ParameterError, match="3 unpacked configurations of side 8 need"):
        _ = sample.spins


def test_unknown_settings():
    with pytest.raises(ParameterError, match="no settings of a sample: colour; there are diagonal"):
        memory_needed(0.3, side=8, samples=1, colour=1)
