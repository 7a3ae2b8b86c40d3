"""Error bars of marginal curves: over 2000 independent small studies the pulls have the law that 20 blocks imply.

That is Student's with 19 degrees of freedom. Shares of the pulls below its quantiles are compared at five standard
errors, a false alarm in 1.7 million for each of five in the suite and 140 in the slow runs, with fixed seeds.
"""

import numpy as np
import pytest
from scipy.stats import t

from isingflow.flow.counts import marginal_series, pair_series
from isingflow.ising import square
from isingflow.ising.decimation import pair_counts
from isingflow.ising.sampling import sample_square

STUDIES = 2000
DISTANCES = (1, 2, 4, 8, 16)
QUANTILES = np.array([0.025, 0.16, 0.5, 0.84, 0.975])


def pulls_of_studies(coupling, *, side, samples, distances, rng, **settings):
    """(studies, distances - 1): deviations of forward pair curves from the exact ones over their errors."""
    spins = sample_square(coupling, side=side, samples=samples * STUDIES, rng=rng, **settings).packed
    counts = [pair_counts(spins, ((0, r), (r, 0))) for r in distances]
    exact = pair_series([square.correlation(coupling, r, direction="row", side=side) for r in distances])["exact"]
    found = []
    for start in range(0, samples * STUDIES, samples):
        own = [level[start : start + samples] for level in counts]
        series = marginal_series(own, shape=(1, 2), symmetry="flip", samples=samples)
        found.append((series["value"][1:] - exact[1:]) / series["error"][1:])
    return np.array(found)


def quantile_deviations(pulls):
    """(quantiles, distances - 1): shares of pulls below the quantiles of Student's law, in standard errors."""
    shares = np.mean(pulls < t.ppf(QUANTILES, 19)[:, None, None], axis=1)
    return (shares - QUANTILES[:, None]) / np.sqrt(QUANTILES * (1 - QUANTILES) / len(pulls))[:, None]


def test_pulls_of_small_studies():
    settings = {"algorithm": "replicas", "chains": 128, "burn_in": 400, "thin": 40}
    pulls = pulls_of_studies(0.30, side=32, samples=100, distances=(1, 3), rng=1, **settings)
    assert np.abs(quantile_deviations(pulls)).max() < 5
    # were the error bars an eighth too short, or the values half an error too high, that would be seen
    assert np.abs(quantile_deviations(pulls * 8 / 7)).max() > 5
    assert np.abs(quantile_deviations(pulls + 0.5)).max() > 5


@pytest.mark.slow
@pytest.mark.parametrize("coupling", [0.30, 0.36, 0.40, square.CRITICAL_COUPLING, 0.46, 0.50, 0.60])
def test_pulls_in_every_phase(coupling):
    """Ordered lattices and critical ones have skew laws: blocks of ten configurations of side 64 are near normal."""
    settings = {"algorithm": "swendsen-wang", "chains": 64, "burn_in": 200, "thin": 20}
    pulls = pulls_of_studies(coupling, side=64, samples=200, distances=DISTANCES, rng=2, **settings)
    assert np.abs(quantile_deviations(pulls)).max() < 5
