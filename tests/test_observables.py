"""Observables against enumeration and Kaufman, and their error bars against the scatter of repetitions.

Fixed seeds. False alarms: 5 sigma, about 40 times; two in a hundred thousand for the file, were the seeds to change.
"""

import dataclasses
import math
import warnings

import numpy as np
import pytest

from isingflow.errors import ParameterError, ShortRunWarning
from isingflow.ising import square
from isingflow.ising.observables import Measured, observables
from isingflow.ising.packing import pack
from isingflow.ising.sampling import sample_square

SCALARS = [
    "bond",
    "energy",
    "specific_heat",
    "magnetization",
    "absolute_magnetization",
    "susceptibility",
    "structure_factor",
    "binder_cumulant",
    "correlation_length",
]
GENERAL = {"coupling": 0.25, "diagonal": 0.05, "plaquette": -0.1, "field": 0.05}
PLAIN = {"coupling": 0.35, "diagonal": 0.0, "plaquette": 0.0, "field": 0.0}
STATES = square.configurations(4)


def exact_values(couplings):
    """Every observable of the 4 x 4 torus, by enumeration, term by term."""
    p = square.boltzmann_probabilities(side=4, **couplings)
    sums = square.statistics(STATES)
    m = sums[:, 3] / 16
    u = -(sums @ list(couplings.values())) / 16
    # structure factor at (pi/2, 0) and (0, pi/2), site by site
    phases = np.exp(1j * np.pi / 2 * np.arange(4))
    along = abs((STATES * phases).sum(axis=(1, 2))) ** 2
    down = abs((STATES * phases[:, None]).sum(axis=(1, 2))) ** 2
    s0, s1 = 16 * p @ m**2, p @ (along + down) / 2 / 16
    return {
        "bond": p @ sums[:, 0] / 32,
        "energy": p @ u,
        "specific_heat": 16 * (p @ u**2 - (p @ u) ** 2),
        "magnetization": p @ m,
        "absolute_magnetization": p @ abs(m),
        "susceptibility": 16 * (p @ m**2 - (p @ abs(m)) ** 2),
        "structure_factor": s0,
        "binder_cumulant": 1 - p @ m**4 / (3 * (p @ m**2) ** 2),
        "correlation_length": math.sqrt(s0 / s1 - 1) / (2 * math.sin(math.pi / 4)),
        "correlation": [
            p @ ((STATES * np.roll(STATES, r, 1) + STATES * np.roll(STATES, r, 2)).mean(axis=(1, 2)) / 2)
            for r in range(3)
        ],
    }


def drawn(couplings, samples, seed):
    p = square.boltzmann_probabilities(side=4, **couplings)
    return STATES[np.random.default_rng(seed).choice(len(STATES), samples, p=p)]


@pytest.mark.parametrize("couplings", [PLAIN, GENERAL])
def test_exact_draws(couplings):
    exact = exact_values(couplings)
    found = observables(drawn(couplings, 200_000, 1), **couplings)
    for name in SCALARS:
        value, error = getattr(found, name)
        assert 0 < error < 0.02, name
        assert abs(value - exact[name]) < 5 * error, name
    assert found.distance.tolist() == [0, 1, 2]
    assert found.correlation[0] == 1
    assert found.correlation_error[0] == 0
    assert (abs(found.correlation - exact["correlation"])[1:] < 5 * found.correlation_error[1:]).all()
    assert (found.samples, found.chains) == (200_000, 1)


def test_a_wrong_coupling_is_noticed():
    off = PLAIN | {"coupling": 1.02 * PLAIN["coupling"]}
    found, exact = observables(drawn(off, 200_000, 1), **off), exact_values(PLAIN)
    for name in ("bond", "absolute_magnetization", "susceptibility", "structure_factor", "correlation_length"):
        assert abs(getattr(found, name).value - exact[name]) > 5 * getattr(found, name).error, name


def test_kaufman():
    sample = sample_square(0.4, side=16, samples=40_000, rng=3)
    found = observables(sample, 0.4)
    assert abs(found.bond.value - square.bond_correlation(0.4, side=16)) < 5 * found.bond.error
    assert found.energy == pytest.approx([-0.8 * found.bond.value, 0.8 * found.bond.error], rel=1e-6)
    step = 1e-4
    slope = (square.bond_correlation(0.4 + step, side=16) - square.bond_correlation(0.4 - step, side=16)) / (2 * step)
    assert abs(found.specific_heat.value - 0.4**2 * 2 * slope) < 5 * found.specific_heat.error
    exact = [square.correlation(0.4, r, direction="row", side=16) for r in range(9)]
    assert (abs(found.correlation - exact)[1:] < 5 * found.correlation_error[1:]).all()
    assert found.correlation_error[1:].max() < 5e-3
    # the plane's exponential length is longer than the second moment on a torus of three of them
    assert 0.7 < found.correlation_length.value / square.correlation_length(0.4) < 1.0


def spread(repetitions, exact):
    """Root mean square of deviations over their errors, for each scalar."""

    def deviations(name):
        return [(value - exact[name]) / error for value, error in (getattr(one, name) for one in repetitions)]

    return {name: math.sqrt(np.mean(np.square(deviations(name)))) for name in SCALARS}


def test_errors_of_independent_draws():
    repetitions = [observables(drawn(PLAIN, 1000, seed), **PLAIN) for seed in range(100)]
    for name, rms in spread(repetitions, exact_values(PLAIN)).items():
        assert abs(rms - 1) < 5 / math.sqrt(2 * 100), name


@pytest.mark.parametrize("chains", [2, 40])
def test_errors_of_slow_chains(chains):
    """Long enough chains tell their autocorrelation; many short ones are compared with each other."""
    exact, repetitions = exact_values(PLAIN), []
    for seed in range(80):
        settings = {"algorithm": "heat-bath", "burn_in": 30, "thin": 1, "chains": chains}
        with warnings.catch_warnings(action="ignore", category=ShortRunWarning):  # of the sampler
            sample = sample_square(0.35, side=4, samples=2000 if chains == 2 else 400, rng=seed, **settings)
        repetitions.append(observables(sample, 0.35))
    for name, rms in spread(repetitions, exact).items():
        assert abs(rms - 1) < 5 / math.sqrt(2 * 80), name
    if chains == 2:  # taken for independent, the same configurations promise too much
        naive = [observables(np.random.default_rng(1).permutation(sample.spins), 0.35)]
        assert naive[0].bond.error < 0.9 * repetitions[-1].bond.error


def test_kinds_of_samples():
    sample = sample_square(0.3, side=6, samples=300, rng=1, chains=30)
    expected = dataclasses.asdict(observables(sample, 0.3))
    for other in (sample.packed, sample.spins):
        found = dataclasses.asdict(observables(other, 0.3, chains=30))
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert expected["chains"] == 30


def test_batches_do_not_matter(monkeypatch):
    sample = sample_square(0.3, side=6, samples=300, rng=1)
    expected = observables(sample, 0.3, diagonal=0.1)
    monkeypatch.setattr("isingflow.ising.observables.BATCH", 100 * 36)
    assert observables(sample, 0.3, diagonal=0.1).energy == expected.energy


def test_frozen_lattices():
    found = observables(np.ones((20, 4, 4), np.int8), 3.0)
    assert found.bond == (1.0, 0.0)
    assert found.binder_cumulant == (pytest.approx(2 / 3), 0.0)
    assert found.specific_heat == (0.0, 0.0)
    assert math.isnan(found.correlation_length.value)  # S(k) = 0


def test_short_runs_warn():
    sample = sample_square(square.CRITICAL_COUPLING, side=16, samples=16, rng=1, algorithm="replicas", chains=2)
    with pytest.warns(ShortRunWarning, match="16 configurations of 2 chains are too few"):
        observables(sample, square.CRITICAL_COUPLING)


@pytest.mark.parametrize(
    ("sample", "settings", "message"),
    [
        (np.ones((7, 4, 4), np.int8), {}, "at least 8 configurations, got 7: sample more"),
        (np.ones((9, 4, 2), np.int8), {}, "square lattices is needed, got rows=4, columns=2"),
        (np.ones((9, 4, 4)), {}, "must be int8"),
        (np.ones((9, 4, 4), np.int8), {"coupling": math.nan}, "coupling must be finite"),
        (np.ones((9, 4, 4), np.int8), {"field": 101}, "field must lie in"),
        (np.ones((9, 4, 4), np.int8), {"chains": 10}, "chains must be between 1 and 9, got 10"),
        (pack(np.ones((9, 4, 4), np.int8)), {"chains": 0}, "chains must be between 1 and 9, got 0"),
    ],
)
def test_bad_input(sample, settings, message):
    with pytest.raises(ParameterError, match=message):
        observables(sample, **{"coupling": 0.3} | settings)


def test_a_measured_value_is_a_pair():
    value, error = Measured(1.0, 0.1)
    assert (value, error) == (1.0, 0.1)
