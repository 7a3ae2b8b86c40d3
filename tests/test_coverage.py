"""How often one and two standard errors cover the exact value: the automatic error of each automatic estimator.

2000 seeds a case. Nominal is Student's law of 20 blocks, 0.670 and 0.940; found shares have to lie within 5 of their
standard errors, which would fail by chance once in 300,000 cases. Boltzmann samples are in test_boltzmann.py.
"""

import itertools
import math

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import t

from isingflow import Categorical, Gaussian, kl_divergence

SEEDS = 2000
NOMINAL = np.array([1 - 2 * t.sf(sigmas, 19) for sigmas in (1, 2)])
MARGIN = 5 * np.sqrt(NOMINAL * (1 - NOMINAL) / SEEDS)

NORMALS = Gaussian([0.0], [[1.0]]), Gaussian([0.3], [[1.5]])
STAY = 0.9
"""Of the correlated series, from one sample to the next; statistical inefficiency 19."""


def window_law(coupling):
    """Probabilities of the eight windows of three neighbouring spins of a chain."""
    spins = itertools.product((-1, 1), repeat=3)
    return np.array([math.exp(coupling * (a * b + b * c)) / (8 * math.cosh(coupling) ** 2) for a, b, c in spins])


WINDOWS = window_law(0.6), window_law(0.3)


def normal_samples(rng, law, n, stay):
    noise = rng.normal(size=n)
    if stay:
        start = stay * rng.normal()
        noise = lfilter([math.sqrt(1 - stay**2)], [1, -stay], noise, zi=[start])[0]
    return (law.mean + math.sqrt(law.cov[0, 0]) * noise)[:, None]


def symbol_samples(rng, probabilities, n, stay):
    """A symbol is kept with probability `stay`, otherwise drawn anew: its law is exact at any time."""
    drawn = rng.choice(len(probabilities), size=n, p=probabilities)
    last = np.where(rng.random(n) < stay, 0, np.arange(n))
    return drawn[np.maximum.accumulate(last)]


CASES = {
    "normal": (normal_samples, NORMALS, 400, 500, 0.0),
    "normal, correlated": (normal_samples, NORMALS, 8000, 10000, STAY),
    "symbols": (symbol_samples, WINDOWS, 1000, 1500, 0.0),
    "symbols, correlated": (symbol_samples, WINDOWS, 8000, 10000, STAY),
}


def pulls(case, seeds=SEEDS, **options):
    draw, laws, n, m, stay = CASES[case]
    known = laws if isinstance(laws[0], Gaussian) else [Categorical(one) for one in laws]
    exact, found = known[0].relative_entropy_to(known[1]), []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        estimate = kl_divergence(draw(rng, laws[0], n, stay), draw(rng, laws[1], m, stay), **options)
        found.append(abs(estimate.value - exact) / estimate.stderr)
    return np.array(found)


def shares(found):
    return np.array([np.mean(found < sigmas) for sigmas in (1, 2)])


@pytest.mark.parametrize("case", CASES)
def test_one_and_two_errors_cover_what_they_should(case):
    assert (np.abs(shares(pulls(case)) - NOMINAL) < MARGIN).all(), shares(pulls(case, 200))


@pytest.mark.parametrize("case", ["normal, correlated", "symbols, correlated"])
def test_blocks_that_know_nothing_of_the_correlation_cover_too_little(case):
    """Proof that the comparison can fail: the same series in an order that hides its correlation."""
    draw, laws, n, m, stay = CASES[case]
    known = laws if isinstance(laws[0], Gaussian) else [Categorical(one) for one in laws]
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        p, q = (rng.permutation(draw(rng, law, size, stay)) for law, size in zip(laws, (n, m), strict=True))
        estimate = kl_divergence(p, q)
        covered.append(abs(estimate.value - known[0].relative_entropy_to(known[1])) < estimate.stderr)
    assert np.mean(covered) < NOMINAL[0] - 5 * math.sqrt(0.67 * 0.33 / 200)
