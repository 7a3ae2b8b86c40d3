"""Equilibrium configurations of the square lattice."""

import dataclasses
import math
import warnings

import numpy as np
from scipy.special import expit

from isingflow.errors import ParameterError, ShortRunWarning
from isingflow.ising.square import CRITICAL_COUPLING
from isingflow.parameters import ALGORITHMS, choice, whole, within_memory
from isingflow.parameters import coupling as checked_coupling
from isingflow.resampling import autocorrelation_time
from isingflow.seeding import generator

PILOT_SWEEPS = {"swendsen-wang": 128, "heat-bath": 1024}
LONGEST_PILOT = 16  # times as long, where the autocorrelation time asks for it


@dataclasses.dataclass(frozen=True, eq=False)
class SquareSample:
    """Configurations and how they were made; usable as an array.

    Attributes
    ----------
    spins : numpy.ndarray
        int8 (samples, side, side), values -1 and +1; chain after chain, each in the order of its sweeps.
    algorithm : str
        "swendsen-wang" or "heat-bath".
    chains : int
        Independent Markov chains.
    burn_in, thin : int
        Sweeps discarded at the start of each chain, and from one configuration to the next.
    autocorrelation_time : float
        Integrated, in sweeps, the largest of energy and ``|m|``, from the configurations returned where they are
        enough to tell, else from the pilot runs.
    """

    spins: np.ndarray
    algorithm: str
    chains: int
    burn_in: int
    thin: int
    autocorrelation_time: float

    def __array__(self, dtype=None, copy=None):
        return np.array(self.spins, dtype=dtype, copy=copy)

    def __len__(self):
        return len(self.spins)


def sample_square(
    coupling,
    *,
    side,
    samples,
    rng,
    diagonal=0.0,
    plaquette=0.0,
    field=0.0,
    algorithm="auto",
    chains=4,
    burn_in="auto",
    thin="auto",
) -> SquareSample:
    """Sample the Ising model on a periodic square lattice.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K1``, dimensionless, in [-100, 100].
    side : int
        Side of the torus, at least 2. Below 6 bonds coincide and count with multiplicity.
    samples : int
        Configurations, at least 1.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    diagonal, plaquette, field : float
        ``K2``, ``K3`` and ``H``, dimensionless, in [-100, 100].
    algorithm : {"auto", "heat-bath", "swendsen-wang"}
        Heat bath in typewriter order knows every coupling; Swendsen-Wang's clusters need ``K1 > 0`` alone, and are
        what "auto" takes there.
    chains : int
        Independent Markov chains, at least 1; more than `samples` are not started.
    burn_in, thin : int or "auto"
        Sweeps to discard, and between configurations (at least 1). "auto" measures the integrated autocorrelation
        time of energy and ``|m|`` in pilot runs: the pilots and 20 times that are discarded, and configurations are
        that far apart.

    Returns
    -------
    SquareSample

    Raises
    ------
    ParameterError
        If an argument is out of range, the algorithm does not fit the couplings, or memory would not suffice.

    Warns
    -----
    ShortRunWarning
        If the pilot runs are too short to know their own autocorrelation time.

    References
    ----------
    Swendsen & Wang, Phys. Rev. Lett. 58, 86 (1987); Creutz, Phys. Rev. D 21, 2308 (1980) (heat bath).

    Examples
    --------
    >>> sample = sample_square(0.3, side=8, samples=100, rng=1)
    >>> sample.spins.shape, sample.algorithm
    ((100, 8, 8), 'swendsen-wang')
    """
    couplings = {"coupling": coupling, "diagonal": diagonal, "plaquette": plaquette, "field": field}
    couplings = {name: checked_coupling(name, value) for name, value in couplings.items()}
    side, samples = whole("side", side, low=2), whole("samples", samples)
    chains = min(whole("chains", chains), samples)
    algorithm = _algorithm(choice("algorithm", algorithm, ALGORITHMS), **couplings)
    burn_in = burn_in if burn_in == "auto" else whole("burn_in", burn_in, low=0)
    thin = thin if thin == "auto" else whole("thin", thin)
    rng = generator(rng)
    within_memory(f"{samples} configurations of side {side}", samples * side**2)

    update = _UPDATES[algorithm](side, **couplings)
    ordered = couplings["coupling"] >= CRITICAL_COUPLING
    runs = [_Chain(update, side, stream, ordered) for stream in rng.spawn(chains)]
    time = 0.5
    if "auto" in (burn_in, thin):
        time = _pilot_time(runs, PILOT_SWEEPS[algorithm])
    if burn_in == "auto":
        for run in runs:
            run.sweep(math.ceil(20 * time))
    else:
        for run in runs:
            run.sweep(max(0, burn_in - run.sweeps))
    burn_in = runs[0].sweeps
    thin = max(1, round(time)) if thin == "auto" else thin

    spins = np.empty((samples, side, side), np.int8)
    bounds = [samples * chain // chains for chain in range(chains + 1)]
    records = [run.fill(spins[start:stop], thin) for run, start, stop in zip(runs, bounds, bounds[1:], strict=False)]
    shortest = min(record.shape[1] for record in records)
    if shortest >= 8:
        measured = [autocorrelation_time([record[quantity, :shortest] for record in records]) for quantity in (0, 1)]
        if all(found.enough for found in measured):
            time = thin * max(found.time for found in measured)
    return SquareSample(spins, algorithm, chains, burn_in, thin, time)


def _algorithm(algorithm, *, coupling, diagonal, plaquette, field):
    fits = coupling > 0 and diagonal == plaquette == field == 0
    if algorithm == "swendsen-wang" and not fits:
        raise ParameterError(
            "swendsen-wang needs coupling > 0 and no diagonal, plaquette or field, got "
            f"{coupling=}, {diagonal=}, {plaquette=}, {field=}; use algorithm='heat-bath'"
        )
    if algorithm == "auto":
        return "swendsen-wang" if fits else "heat-bath"
    return algorithm


def _swendsen_wang(side, *, coupling, **_):
    from isingflow.ising import _kernels

    parent, bonds = np.empty(side**2, np.int32), np.empty((2, side, side), np.bool_)
    bond = -math.expm1(-2 * coupling)

    def update(rng, spins, sweeps, every, energies, magnetizations):
        _kernels.swendsen_wang(rng, spins, bond, sweeps, every, energies, magnetizations, parent, bonds)

    return update


def _heat_bath(_, *, coupling, diagonal, plaquette, field):
    from isingflow.ising import _kernels

    nearest, across, triples = np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij")
    up = expit(2 * (coupling * nearest + diagonal * across + plaquette * triples + field))

    def update(rng, spins, sweeps, every, energies, magnetizations):
        _kernels.heat_bath(rng, spins, up, sweeps, every, energies, magnetizations)

    return update


_UPDATES = {"swendsen-wang": _swendsen_wang, "heat-bath": _heat_bath}


class _Chain:
    """One Markov chain: a lattice, its stream, and how many sweeps it has seen."""

    def __init__(self, update, side, rng, ordered):
        self.update, self.rng, self.sweeps = update, rng, 0
        if ordered:
            self.spins = np.full((side, side), rng.integers(2) * 2 - 1, np.int8)
        else:
            self.spins = rng.integers(0, 2, (side, side), np.int8) * 2 - 1

    def sweep(self, sweeps, every=1):
        """Advance; return float64 (2, sweeps // every): the sums of ``s s'`` over bonds, and ``|sum s|``."""
        bonds, magnetizations = np.empty((2, sweeps // every))
        self.update(self.rng, self.spins, sweeps, every, bonds, magnetizations)
        self.sweeps += sweeps
        return np.stack([bonds, np.abs(magnetizations)])

    def fill(self, out, thin):
        """Store a configuration after every `thin` sweeps; return the record as `sweep` does."""
        record = np.empty((2, len(out)))
        for index, spins in enumerate(out):
            record[:, index] = self.sweep(thin, thin)[:, 0]
            spins[:] = self.spins
        return record


def _pilot_time(runs, sweeps):
    """Autocorrelation time in sweeps from pilot runs, doubled until they are long enough."""
    record = [run.sweep(sweeps)[:, sweeps // 2 :] for run in runs]
    longest = LONGEST_PILOT * sweeps
    while True:
        found = [autocorrelation_time([one[quantity] for one in record]) for quantity in (0, 1)]
        time = max(one.time for one in found)
        if all(one.enough for one in found):
            return time
        if runs[0].sweeps >= longest:
            warnings.warn(
                f"pilot runs of {runs[0].sweeps} sweeps are too short to know an autocorrelation time of about "
                f"{time:.0f}: set burn_in and thin, or choose another algorithm",
                ShortRunWarning,
                stacklevel=3,
            )
            return time
        # everything so far counts as burn-in of the next, longer pilot
        sweeps = runs[0].sweeps
        record = [run.sweep(sweeps) for run in runs]
