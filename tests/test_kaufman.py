"""Every algorithm against Kaufman's energy of the torus, from equilibrium and over long runs.

The bond correlation is averaged over independent lattices: they start from Swendsen-Wang configurations far apart, or,
where correlations are short, from their own burn-in, and their means are compared with the exact value at the t value
as rare as 5 sigma. Standard errors are below 1e-4, and below 3e-5 in the slow runs. About 70 comparisons with fixed
seeds: four in a hundred thousand, were the seeds to change.
"""

import functools
import math

import numpy as np
import pytest
from scipy.stats import norm, t

from isingflow.ising import chains, square
from isingflow.ising.sampling import sample_square
from isingflow.ising.square import CRITICAL_COUPLING

RARE = 2 * norm.sf(5)
COUPLINGS = [0.3, 0.4, CRITICAL_COUPLING, 0.5]
SIDES = {
    "heat-bath": (16, 64),
    "replicas": (16, 20, 64, 256),
    "strips": (128, 256),
    "swendsen-wang": (16, 64, 256),
    "wolff": (16, 64, 256),
}
CASES = [
    (algorithm, side, coupling)
    for side in (16, 20, 64, 128, 256)
    for coupling in COUPLINGS
    for algorithm, sides in SIDES.items()
    if side in sides
]
SWEEPS = 8
"""Between records of local updates."""

FEWEST_RECORDS = 5
"""A run too short would see little but its start."""

LONG = [("heat-bath", 64, CRITICAL_COUPLING), ("wolff", 256, 0.3)]
"""Left to the slow runs: heat bath forgets slowly at ``K_c``, and small clusters cover a large lattice slowly."""

WIDEST = 1.9
"""Standard deviation of a lattice's bond correlation is at most this over its side, at ``K_c`` and side 256."""


@functools.lru_cache(maxsize=2)
def equilibrium(side, coupling, lattices):
    """Independent lattices, as packed rows: Swendsen-Wang from order, four autocorrelation times or more apart."""
    thin = 20 if coupling == CRITICAL_COUPLING else 10
    settings = {"algorithm": "swendsen-wang", "chains": 16, "burn_in": 100, "thin": thin}
    return sample_square(coupling, side=side, samples=lattices, rng=21, **settings).packed.words


def clusters_in_a_lattice(rows):
    """One over ``<m^2>``: the mean size of a Wolff cluster is the structure factor, N <m^2> sites."""
    magnetizations = 2 * np.bitwise_count(rows).sum(axis=(1, 2), dtype=np.int64) / rows.shape[1] ** 2 - 1
    return math.ceil(1 / np.mean(magnetizations**2))


class Runs:
    """Runs of an algorithm that start in equilibrium, one for each lattice, to be prolonged."""

    def __init__(self, algorithm, side, coupling, lattices):
        rng = np.random.default_rng(22)
        kinds = {
            "heat-bath": (chains.HeatBath, {"diagonal": 0.0, "plaquette": 0.0}, 2**18 // side**2),
            "replicas": (chains.MultiSpin, {"strips": False}, 64),
            "strips": (chains.MultiSpin, {"strips": True}, 1),
            "swendsen-wang": (chains.Clusters, {"single": False}, 1),
            "wolff": (chains.Clusters, {"single": True}, 1),
        }
        kind, settings, self.together = kinds[algorithm]
        self.rows = equilibrium(side, coupling, lattices).copy()
        self.every = {"swendsen-wang": 1, "wolff": clusters_in_a_lattice(self.rows)}.get(algorithm, SWEEPS)
        self.chain = functools.partial(kind, side=side, rng=rng, coupling=coupling, field=0.0, **settings)
        self.bonds, self.records, self.totals = 2 * side**2, 0, np.zeros(lattices)

    def prolong(self, records):
        """Return mean and standard error of the bond correlation, from the mean of each lattice so far."""
        for start in range(0, len(self.rows), self.together):
            some = slice(start, start + self.together)
            chain = self.chain(self.rows[some])
            self.totals[some] += chain.run(self.every, records)[0].sum(axis=0)
            self.rows[some] = chain.rows()
        self.records += records
        means = self.totals / (self.records * self.bonds)
        return means.mean(), np.std(means, ddof=1) / math.sqrt(len(means))


def compare(algorithm, side, coupling, largest_error):
    # as many lattices as would do, were each one independent configuration, but no more than sites: the time that
    # updates take to forget one grows like these, and beyond them Swendsen-Wang draws another one sooner; the slowest
    # sweeps deserve more
    spread = min(WIDEST, math.sqrt(square.specific_heat(coupling)) / (2 * coupling))
    wanted = (spread / side / largest_error) ** 2
    most = side**2 * (512 if algorithm == "heat-bath" else 1)
    lattices = 1024 * math.ceil(min(wanted, most) / 1024)
    runs = Runs(algorithm, side, coupling, lattices)
    found, error = runs.prolong(max(FEWEST_RECORDS, math.ceil(wanted / lattices)))
    while error >= largest_error:
        found, error = runs.prolong(math.ceil(runs.records * (1.1 * (error / largest_error) ** 2 - 1)))
    assert abs(found - square.bond_correlation(coupling, side=side)) < t.isf(RARE / 2, lattices - 1) * error


@pytest.mark.parametrize(("algorithm", "side", "coupling"), [case for case in CASES if case not in LONG])
def test_energy_of_the_torus(algorithm, side, coupling):
    compare(algorithm, side, coupling, 1e-4)


def test_a_coupling_off_is_noticed():
    found, error = Runs("replicas", 64, 0.4 * 1.002, 512).prolong(300)
    assert error < 1e-4
    assert abs(found - square.bond_correlation(0.4, side=64)) > t.isf(RARE / 2, 511) * error


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "side", "coupling"), CASES)
def test_energy_of_the_torus_closely(algorithm, side, coupling):
    compare(algorithm, side, coupling, 3e-5)
