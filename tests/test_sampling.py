"""The samplers of the square lattice: naive twins bit for bit, stationarity, enumeration, Kaufman's torus.

Fixed seeds. False alarms: 5 sigma, or the same one in two million of a t or chi-square distribution, about 60 times;
three in a hundred thousand for the file, were the seeds to change.
"""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import chi2, norm, t

from isingflow.errors import ParameterError, ShortRunWarning
from isingflow.ising import sampling, square
from isingflow.ising.decimation import pair_correlation
from isingflow.ising.sampling import sample_square
from isingflow.ising.square import CRITICAL_COUPLING

RARE = 2 * norm.sf(5)
CLUSTERS = {"coupling": 0.4}
GENERAL = {"coupling": 0.2, "diagonal": -0.1, "plaquette": 0.15, "field": 0.1}


def update_of(algorithm, side, **couplings):
    return sampling._UPDATES[algorithm](side, **{"diagonal": 0.0, "plaquette": 0.0, "field": 0.0} | couplings)


def exponent(spins, coupling, diagonal=0.0, plaquette=0.0, field=0.0):
    """The logarithm of the weight, term by term."""
    side, total = len(spins), 0.0
    for y, x in itertools.product(range(side), repeat=2):
        here, right = spins[y][x], spins[y][(x + 1) % side]
        below, across = spins[(y + 1) % side][x], spins[(y + 1) % side][(x + 1) % side]
        total += coupling * here * (right + below) + diagonal * (here * across + right * below)
        total += plaquette * here * right * below * across + field * here
    return total


def naive_heat_bath(rng, spins, **couplings):
    """One sweep: each spin from the two weights of the whole lattice."""
    side = len(spins)
    for y, x in itertools.product(range(side), repeat=2):
        weights = []
        for spin in (-1, 1):
            spins[y][x] = spin
            weights.append(exponent(spins, **couplings))
        spins[y][x] = 1 if rng.random() < 1 / (1 + math.exp(weights[0] - weights[1])) else -1


def naive_swendsen_wang(rng, spins, coupling):
    """One update: bonds first, then clusters by walking along them, each with a new sign."""
    side = len(spins)
    joined = {(y, x): [] for y in range(side) for x in range(side)}
    bond = -math.expm1(-2 * coupling)
    for y, x in joined:
        uniform = rng.random()
        for other in ((y, (x + 1) % side), ((y + 1) % side, x)):  # one number serves both, rescaled after the first
            if spins[y][x] == spins[other[0]][other[1]]:
                if uniform < bond:
                    joined[y, x].append(other)
                    joined[other].append((y, x))
                    uniform /= bond
                else:
                    uniform = (uniform - bond) / (1 - bond)
    signs = ""
    while len(signs) < side**2:  # 53 bits of a uniform number, the last one first
        signs += f"{int(rng.random() * 2**53):053b}"[::-1]
    done = set()
    for site, sign in zip(joined, signs, strict=False):
        front = [] if site in done else [site]
        while front:
            y, x = front.pop()
            if (y, x) not in done:
                done.add((y, x))
                spins[y][x] = 2 * int(sign) - 1
                front += joined[y, x]


TWINS = [
    ("heat-bath", naive_heat_bath, {"coupling": 0.35}),
    ("heat-bath", naive_heat_bath, {"coupling": -0.4, "field": 0.2}),
    ("heat-bath", naive_heat_bath, GENERAL),
    ("swendsen-wang", naive_swendsen_wang, {"coupling": 0.1}),
    ("swendsen-wang", naive_swendsen_wang, CLUSTERS),
    ("swendsen-wang", naive_swendsen_wang, {"coupling": 1.5}),
]


@pytest.mark.parametrize(("algorithm", "twin", "couplings"), TWINS)
@pytest.mark.parametrize("side", [2, 3, 6, 9])
def test_kernels_have_the_bits_of_their_naive_twins(algorithm, twin, couplings, side):
    start = np.random.default_rng(side).choice(np.array([-1, 1], np.int8), (side, side))
    spins, ours, theirs = start.copy(), np.random.default_rng(4), np.random.default_rng(4)
    bonds, magnetizations = np.empty((2, 3))
    naive = start.tolist()
    update_of(algorithm, side, **couplings)(ours, spins, 6, 2, bonds, magnetizations)
    for record in range(3):
        for _ in range(2):
            twin(theirs, naive, **couplings)
        assert bonds[record] == exponent(naive, 1.0)
        assert magnetizations[record] == exponent(naive, 0.0, field=1.0)
    np.testing.assert_array_equal(spins, naive)
    assert ours.random() == theirs.random()


def distance_after_two_sweeps(algorithm, couplings, kernel_couplings, side=4, samples=100_000):
    """Draw exact starts, sweep twice; return the G statistic of the states against their law, and its 5 sigma limit.

    Bins are the states that are expected a hundred times or more; the others together by energy and magnetization,
    and once more together where these are expected less than ten times.
    """
    states = square.configurations(side)
    probabilities = square.boltzmann_probabilities(side=side, **couplings)
    rng = np.random.default_rng(17)
    spins = states[rng.choice(len(states), size=samples, p=probabilities)]
    update, record = update_of(algorithm, side, **kernel_couplings), np.empty((2, 1))
    for lattice in spins:
        update(rng, lattice, 2, 2, *record)
    codes = (spins.reshape(samples, -1) > 0) @ (1 << np.arange(side * side))

    _, classes = np.unique(square.statistics(states)[:, [0, 3]], axis=0, return_inverse=True)
    bins = np.where(samples * probabilities >= 100, len(states) + np.arange(len(states)), classes.ravel())
    expected = samples * np.bincount(bins, probabilities)
    rest = np.flatnonzero((expected < 10) & (expected > 0))
    bins[np.isin(bins, rest)] = 2 * len(states)
    _, bins = np.unique(bins, return_inverse=True)
    expected, counts = samples * np.bincount(bins, probabilities), np.bincount(bins[codes], minlength=bins.max() + 1)
    seen = counts > 0
    g = 2 * np.sum(counts[seen] * np.log(counts[seen] / expected[seen]))
    return g, chi2.isf(RARE, len(expected) - 1)


STATIONARY = [
    ("swendsen-wang", {"coupling": 0.4}),
    ("heat-bath", {"coupling": 0.4}),
    ("heat-bath", {"coupling": 0.3, "diagonal": 0.1, "plaquette": -0.1, "field": 0.05}),
]


@pytest.mark.parametrize(("algorithm", "couplings"), STATIONARY)
def test_exact_draws_stay_exact(algorithm, couplings):
    found, limit = distance_after_two_sweeps(algorithm, couplings, couplings)
    assert found < limit


@pytest.mark.parametrize(("algorithm", "couplings"), STATIONARY)
def test_a_coupling_two_percent_off_is_noticed(algorithm, couplings):
    off = couplings | {"coupling": 1.02 * couplings["coupling"]}
    found, limit = distance_after_two_sweeps(algorithm, couplings, off)
    assert found > limit


@pytest.mark.parametrize("algorithm", ["heat-bath", "swendsen-wang"])
@pytest.mark.parametrize(("side", "samples"), [(2, 1000), (3, 20_000)])
def test_every_state_is_reached(algorithm, side, samples):
    sample = sample_square(0.1, side=side, samples=samples, rng=2, algorithm=algorithm, chains=1, burn_in=0, thin=1)
    assert len(np.unique(sample.spins.reshape(samples, -1), axis=0)) == 2 ** (side * side)


def within_five_sigma(independent, expected, largest_error):
    """Compare the mean of independent values with an exact one, at the t value as rare as 5 sigma."""
    error = np.std(independent, axis=0, ddof=1) / math.sqrt(len(independent))
    assert (error < largest_error).all()
    assert (np.abs(np.mean(independent, axis=0) - expected) < t.isf(RARE / 2, len(independent) - 1) * error).all()


@pytest.mark.parametrize("coupling", [0.3, 0.4, CRITICAL_COUPLING, 0.5])
@pytest.mark.parametrize(("algorithm", "burn_in", "thin"), [("swendsen-wang", 100, 3), ("heat-bath", 1000, 10)])
def test_torus_of_kaufman(coupling, algorithm, burn_in, thin):
    chains, each = 64, 200
    sample = sample_square(
        coupling,
        side=16,
        samples=chains * each,
        rng=11,
        algorithm=algorithm,
        chains=chains,
        burn_in=burn_in,
        thin=thin,
    )
    bond = pair_correlation(sample.spins).reshape(chains, each).mean(axis=1)
    within_five_sigma(bond, square.bond_correlation(coupling, side=16), 1.5e-3)
    across = (sample.spins * np.roll(sample.spins, 8, axis=2)).mean(axis=(1, 2)).reshape(chains, each).mean(axis=1)
    exact = square.correlation(coupling, 8, direction="row", side=16)
    within_five_sigma(across, exact, 5e-3)


@pytest.mark.parametrize("side", [2, 3, 4])
@pytest.mark.parametrize(
    "couplings",
    [
        GENERAL,
        {"coupling": -0.3, "diagonal": 0.2, "plaquette": -0.1, "field": -0.3},
        {"coupling": 0.1, "diagonal": 0.0, "plaquette": 0.4, "field": 0.0},
    ],
)
def test_heat_bath_with_general_couplings(side, couplings):
    chains, each = 50, 300
    sample = sample_square(side=side, samples=chains * each, rng=12, chains=chains, burn_in=50, thin=4, **couplings)
    assert sample.algorithm == "heat-bath"
    found = square.statistics(sample.spins).reshape(chains, each, 4).mean(axis=1) / side**2
    probabilities = square.boltzmann_probabilities(side=side, **couplings)
    exact = probabilities @ square.statistics(square.configurations(side)) / side**2
    within_five_sigma(found, exact, 0.03)


def test_seeds():
    def drawn(rng):
        return sample_square(0.35, side=6, samples=10, rng=rng).spins

    first = drawn(3)
    np.testing.assert_array_equal(first, drawn(3))
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(first, drawn(rng))
    assert (drawn(rng) != first).any()
    assert (drawn(4) != first).any()


@pytest.mark.parametrize("algorithm", ["heat-bath", "swendsen-wang"])
def test_thinning_leaves_out(algorithm):
    def drawn(samples, burn_in, thin):
        arguments = {"side": 5, "rng": 8, "algorithm": algorithm, "chains": 1}
        return sample_square(0.4, samples=samples, burn_in=burn_in, thin=thin, **arguments)

    every = drawn(35, 0, 1).spins
    sample = drawn(10, 5, 3)
    np.testing.assert_array_equal(sample.spins, every[7::3])
    assert (sample.burn_in, sample.thin, sample.chains, sample.algorithm) == (5, 3, 1, algorithm)


def test_chains_follow_each_other():
    arguments = {"side": 4, "rng": 5, "burn_in": 10, "thin": 2}
    together = sample_square(0.3, samples=7, chains=3, **arguments)
    assert together.chains == 3
    # chains have streams of their own: more of them change nothing in the first
    alone = sample_square(0.3, samples=2, chains=1, **arguments)
    np.testing.assert_array_equal(together.spins[:2], alone.spins)
    assert sample_square(0.3, samples=2, chains=9, **arguments).chains == 2


@pytest.mark.parametrize("coupling", [0.3, 0.5])
def test_automatic_lengths(coupling):
    sample = sample_square(coupling, side=16, samples=400, rng=6, algorithm="heat-bath")
    assert sample.thin >= 1
    # the pilot runs are part of it, and 20 times the autocorrelation time that they found
    assert sample.burn_in >= sampling.PILOT_SWEEPS["heat-bath"] + 20 * (sample.thin - 0.5)
    # configurations that far apart are nearly independent: close to 1/2 in their own units
    assert 0.5 <= sample.autocorrelation_time / sample.thin < 1.5


def test_automatic_thinning_counts_its_pilots():
    sample = sample_square(0.3, side=8, samples=4, rng=6, burn_in=1)
    assert sample.burn_in >= sampling.PILOT_SWEEPS["swendsen-wang"]
    sample = sample_square(0.3, side=8, samples=4, rng=6, thin=5)
    assert sample.thin == 5
    assert sample.burn_in >= sampling.PILOT_SWEEPS["swendsen-wang"] + 10


def test_measured_autocorrelation_time():
    # independent spins: every sweep is a new lattice
    sample = sample_square(0.0, side=8, samples=4000, rng=1, burn_in=0, thin=2)
    assert sample.algorithm == "heat-bath"
    assert sample.autocorrelation_time == pytest.approx(2 * 0.5, rel=0.2)
    slow = sample_square(CRITICAL_COUPLING, side=16, samples=20_000, rng=1, algorithm="heat-bath", thin=1, burn_in=100)
    fast = sample_square(CRITICAL_COUPLING, side=16, samples=20_000, rng=1, thin=1, burn_in=100)
    assert fast.autocorrelation_time < 10 < slow.autocorrelation_time


@pytest.mark.parametrize(("coupling", "ordered"), [(CRITICAL_COUPLING, True), (3.0, True), (0.3, False), (-3.0, False)])
def test_starts(coupling, ordered):
    update = update_of("heat-bath", 8, coupling=coupling)
    runs = [
        sampling._Chain(update, 8, rng, coupling >= CRITICAL_COUPLING) for rng in np.random.default_rng(1).spawn(20)
    ]
    aligned = [abs(int(run.spins.sum())) == 64 for run in runs]
    assert all(aligned) if ordered else not any(aligned)
    assert len({int(np.sign(run.spins[0, 0])) for run in runs}) == 2  # of both signs


def test_usable_as_an_array():
    sample = sample_square(0.4, side=6, samples=5, rng=1)
    assert len(sample) == 5
    assert np.asarray(sample).dtype == np.int8
    assert np.shares_memory(np.asarray(sample), sample.spins)
    assert not np.shares_memory(np.array(sample), sample.spins)
    assert np.asarray(sample, dtype=float).dtype == np.float64
    assert pair_correlation(sample).shape == (5,)
    assert set(np.unique(sample.spins)) == {-1, 1}


def test_short_pilots_warn(monkeypatch):
    monkeypatch.setattr(sampling, "PILOT_SWEEPS", {"heat-bath": 16, "swendsen-wang": 16})
    monkeypatch.setattr(sampling, "LONGEST_PILOT", 4)
    arguments = {"side": 32, "samples": 2, "rng": 1, "algorithm": "heat-bath"}
    with pytest.warns(ShortRunWarning, match="pilot runs of 64 sweeps are too short") as caught:
        sample = sample_square(CRITICAL_COUPLING, **arguments)
    assert caught[0].filename == __file__
    assert sample.burn_in >= 64
    # with both lengths given there is no pilot
    sample_square(CRITICAL_COUPLING, burn_in=1, thin=1, **arguments)


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
        ({"burn_in": -1}, "burn_in must be at least 0"),
        ({"burn_in": "long"}, "burn_in must be a whole number, got 'long'"),
        ({"thin": 0}, "thin must be at least 1"),
        ({"algorithm": "metropolis"}, "algorithm must be one of"),
        ({"algorithm": "heatbath"}, "did you mean 'heat-bath'"),
        ({"algorithm": "swendsen-wang", "field": 0.1}, "swendsen-wang needs coupling > 0 .*field=0.1.*'heat-bath'"),
        ({"algorithm": "swendsen-wang", "coupling": -0.1}, "swendsen-wang needs coupling > 0"),
        ({"algorithm": "swendsen-wang", "coupling": 0.0}, "swendsen-wang needs coupling > 0"),
        ({"algorithm": "swendsen-wang", "diagonal": 0.1}, "and no diagonal"),
        ({"algorithm": "swendsen-wang", "plaquette": 0.1}, "and no diagonal, plaquette"),
        ({"samples": 10**12}, r"1000000000000 configurations of side 4 need .* GiB of memory, this machine has"),
        ({"rng": None}, "rng must be a numpy Generator or a non-negative integer, got None"),
        ({"rng": -1}, "rng must be"),
    ],
)
def test_bad_input(change, message):
    arguments = {"coupling": 0.3, "side": 4, "samples": 1, "rng": 1} | change
    with pytest.raises(ParameterError, match=message):
        sample_square(arguments.pop("coupling"), **arguments)
