"""Equilibrium configurations of the square lattice."""

import concurrent.futures
import dataclasses
import functools
import itertools
import math
import warnings

import numpy as np

from isingflow.errors import ParameterError, ShortRunWarning
from isingflow.ising import chains as markov
from isingflow.ising.packing import PackedSpins
from isingflow.ising.square import correlation_length
from isingflow.parameters import ALGORITHMS, choice, processors, whole, within_memory
from isingflow.parameters import coupling as checked_coupling
from isingflow.resampling import autocorrelation_time
from isingflow.seeding import generator

PILOT = {
    "heat-bath": 256,
    "replicas": 256,
    "strips": 1024,
    "swendsen-wang": 128,
    "wolff": 512,
}
"""Updates of the first pilot run."""

LONGEST_PILOT = 64  # times as long, where the autocorrelation time asks for it

CHAINS = {"heat-bath": 128, "replicas": 128, "strips": 4, "swendsen-wang": 4, "wolff": 4}
"""Default number of chains: whole words where a word holds 64 of them, and work for two threads at least."""

BLOCK = 128
"""Sides that 64 strips of an even number of rows divide."""

LONG = 8.0
"""Correlation length, in lattice constants, from which on clusters are the faster way to independent lattices."""

LARGE = 512
"""Side from which on one lattice in strips is preferred to 64 lattices."""


@dataclasses.dataclass(frozen=True, eq=False)
class SquareSample:
    """Configurations and how they were made; usable as an array.

    Attributes
    ----------
    packed : isingflow.ising.packing.PackedSpins
        The configurations, a bit a spin: chain after chain, each in the order of its updates. Decimation and windows
        take them as they are.
    algorithm : str
        As in `sample_square`, what "auto" picked.
    chains : int
        Independent Markov chains.
    burn_in, thin : int
        Updates discarded at the start of each chain, and from one configuration to the next: sweeps, or clusters of
        "wolff".
    autocorrelation_time, autocorrelation_error : float
        Integrated, in updates, the larger one of energy and ``|m|`` (staggered, of an antiferromagnet without a field),
        and its standard error: from the configurations returned where they are enough to tell, else from the pilot
        runs. NaN where neither tell.
    """

    packed: PackedSpins
    algorithm: str
    chains: int
    burn_in: int
    thin: int
    autocorrelation_time: float
    autocorrelation_error: float

    @functools.cached_property
    def spins(self) -> np.ndarray:
        """int8 (samples, side, side), values -1 and +1; unpacked when first asked for."""
        samples, side, _ = self.packed.shape
        within_memory(f"{samples} unpacked configurations of side {side}", samples * side**2)
        return self.packed.spins()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.spins, dtype=dtype, copy=copy)

    def __len__(self):
        return len(self.packed)


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
    chains="auto",
    burn_in="auto",
    thin="auto",
    workers=None,
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
    algorithm : {"auto", "heat-bath", "replicas", "strips", "swendsen-wang", "wolff"}
        "heat-bath" knows every coupling and side, in typewriter order. "replicas" (even sides) and "strips" (multiples
        of 128) know nearest neighbours and the field, are some thirty times as fast, and update a checkerboard with a
        bit for a spin: of 64 lattices in a word, or of 64 strips of one lattice; by heat bath with a field, by
        Metropolis' rule without one, of whose flips a few are not offered (`isingflow.ising.chains.offered`).
        "swendsen-wang" and "wolff" update clusters, for nearest neighbours alone (``K1 < 0``: even sides). "auto" takes
        clusters where the correlation length is beyond 8, else the fastest local update that fits, strips from side
        512 on.
    chains : int or "auto"
        Independent Markov chains, at least 1; more than `samples` are not started. "auto": 128 of "heat-bath" and
        "replicas", which advance by 64 whether asked for or not, else 4.
    burn_in, thin : int or "auto"
        Updates to discard, and between configurations (at least 1): sweeps, or clusters of "wolff". "auto" measures the
        integrated autocorrelation time of energy and ``|m|`` in pilot runs: the pilots and 20 times that are discarded,
        and configurations are that far apart.
    workers : int, optional
        Threads that the chains run on; as many as there are processors for this process without it. The numbers do not
        depend on it.

    Returns
    -------
    SquareSample

    Raises
    ------
    ParameterError
        If an argument is out of range, the algorithm does not fit couplings or side, or memory would not suffice.

    Warns
    -----
    ShortRunWarning
        If the runs are too short to know their own autocorrelation time.

    See Also
    --------
    iter_square : batches of an ensemble larger than memory.

    References
    ----------
    Swendsen & Wang, Phys. Rev. Lett. 58, 86 (1987); Wolff, Phys. Rev. Lett. 62, 361 (1989); Creutz, Phys. Rev. D 21,
    2308 (1980) (heat bath); Metropolis et al., J. Chem. Phys. 21, 1087 (1953); Jacobs & Rebbi, J. Comput. Phys. 41, 203
    (1981) (64 lattices in a word).

    Examples
    --------
    >>> sample = sample_square(0.3, side=8, samples=100, rng=1)
    >>> sample.spins.shape, sample.algorithm
    ((100, 8, 8), 'replicas')
    """
    request = _Request(coupling, side, samples, diagonal, plaquette, field, algorithm, chains, burn_in, thin, workers)
    within_memory(
        f"{request.samples} configurations of side {request.side}, sampled with {request.algorithm!r},",
        request.memory(request.samples),
        advice="ask for fewer, or take them in batches from iter_square",
    )
    return next(_batches(request, generator(rng), request.samples))


def iter_square(
    coupling,
    *,
    side,
    samples,
    rng,
    batch=1024,
    diagonal=0.0,
    plaquette=0.0,
    field=0.0,
    algorithm="auto",
    chains="auto",
    burn_in="auto",
    thin="auto",
    workers=None,
):
    """Sample an ensemble larger than memory: yield it in batches of the same chains.

    Parameters
    ----------
    batch : int
        Configurations in a batch, at least 1; the last one may have fewer. Every chain gives its share to each.
    coupling, side, samples, rng, diagonal, plaquette, field, algorithm, chains, burn_in, thin, workers
        As in `sample_square`. Arguments are checked, and the memory for a batch, before the iterator is returned.

    Returns
    -------
    iterator of SquareSample

    Raises
    ------
    ParameterError
        As `sample_square`.

    Examples
    --------
    >>> [len(batch) for batch in iter_square(0.3, side=8, samples=100, batch=64, rng=1)]
    [64, 36]
    """
    request = _Request(coupling, side, samples, diagonal, plaquette, field, algorithm, chains, burn_in, thin, workers)
    batch = min(whole("batch", batch), request.samples)
    within_memory(
        f"batches of {batch} configurations of side {request.side}, sampled with {request.algorithm!r},",
        request.memory(batch),
        advice="ask for smaller ones",
    )
    rng = generator(rng)
    return (sample for sample in _batches(request, rng, batch))


def memory_needed(coupling, *, side, samples, **settings) -> int:
    """Return the bytes that `sample_square` with the same arguments allocates, before it does.

    Unpacking the configurations takes ``samples * side**2`` more.

    Parameters
    ----------
    coupling, side, samples, **settings
        As in `sample_square`, without ``rng``.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        As `sample_square`.

    Examples
    --------
    >>> round(memory_needed(0.3, side=1024, samples=1000) / 2**20)  # MiB
    126
    """
    defaults = dict.fromkeys(("diagonal", "plaquette", "field"), 0.0)
    defaults |= dict.fromkeys(("algorithm", "chains", "burn_in", "thin"), "auto") | {"workers": None}
    if unknown := sorted(set(settings) - set(defaults)):
        raise ParameterError(f"no settings of a sample: {', '.join(unknown)}; there are {', '.join(defaults)}")
    request = _Request(coupling, side, samples, **defaults | settings)
    return request.memory(request.samples)


@dataclasses.dataclass
class _Request:
    """The arguments of a sample, validated."""

    coupling: float
    side: int
    samples: int
    diagonal: float
    plaquette: float
    field: float
    algorithm: str
    chains: int
    burn_in: int
    thin: int
    workers: int

    def __post_init__(self):
        for name in ("coupling", "diagonal", "plaquette", "field"):
            setattr(self, name, checked_coupling(name, getattr(self, name)))
        self.side, self.samples = whole("side", self.side, low=2), whole("samples", self.samples)
        self.algorithm = self._fitting(choice("algorithm", self.algorithm, ALGORITHMS))
        chains = CHAINS[self.algorithm] if self.chains == "auto" else whole("chains", self.chains)
        self.chains = min(chains, self.samples)
        self.burn_in = self.burn_in if self.burn_in == "auto" else whole("burn_in", self.burn_in, low=0)
        self.thin = self.thin if self.thin == "auto" else whole("thin", self.thin)
        self.workers = processors(self.workers)

    def _fitting(self, algorithm):
        """Check that the algorithm fits the couplings and the side, or pick one that does."""
        general = self.diagonal or self.plaquette
        parallel = not general and self.side % 2 == 0
        clusters = not general and not self.field and (self.coupling > 0 or (self.coupling < 0 and self.side % 2 == 0))
        if algorithm == "auto":
            if clusters and correlation_length(abs(self.coupling)) > LONG:
                return "swendsen-wang"
            if not parallel:
                return "heat-bath"
            return "strips" if self.side >= LARGE and self.side % BLOCK == 0 else "replicas"
        given = ", ".join(f"{name}={getattr(self, name):g}" for name in ("coupling", "diagonal", "plaquette", "field"))
        if algorithm in ("swendsen-wang", "wolff") and not clusters:
            raise ParameterError(
                f"{algorithm} needs coupling > 0, or < 0 on an even side, and no diagonal, plaquette or field; got "
                f"{given}, side={self.side}: use algorithm='heat-bath'"
            )
        if algorithm in ("replicas", "strips") and general:
            raise ParameterError(f"{algorithm} needs diagonal = plaquette = 0, got {given}: use algorithm='heat-bath'")
        if algorithm == "replicas" and self.side % 2:
            raise ParameterError(
                f"replicas needs an even side for its checkerboard, got side={self.side}: "
                f"use algorithm='heat-bath', or side={self.side + 1}"
            )
        if algorithm == "strips" and self.side % BLOCK:
            raise ParameterError(
                f"strips needs a side divisible by {BLOCK}, for 64 strips of an even number of rows, got "
                f"side={self.side}: use algorithm='replicas', or side={-(-self.side // BLOCK) * BLOCK}"
            )
        return algorithm

    def start(self, rng):
        """Start the chains, each run with a stream of its own."""
        couplings = {name: getattr(self, name) for name in ("coupling", "diagonal", "plaquette", "field")}
        make, lattices = {
            "heat-bath": (markov.HeatBath, markov.REPLICAS),
            "replicas": (functools.partial(markov.MultiSpin, strips=False), markov.REPLICAS),
            "strips": (functools.partial(markov.MultiSpin, strips=True), 1),
            "swendsen-wang": (functools.partial(markov.Clusters, single=False), 1),
            "wolff": (functools.partial(markov.Clusters, single=True), 1),
        }[self.algorithm]
        streams = rng.spawn(-(-self.chains // lattices))
        return [
            make(markov.start(lattices, self.side, one, **couplings), self.side, one, **couplings) for one in streams
        ]

    def memory(self, samples):
        """Bytes for packed configurations and for the chains."""
        rows = 8 * self.side * markov.row_words(self.side)
        each = {
            "heat-bath": 64 * self.side**2 + 64 * rows,
            "replicas": 8 * self.side * (self.side + 18) + 64 * rows,
            "strips": self.side * (self.side + 18) // 8 + 64 * self.side + rows,
            "swendsen-wang": 15 * rows,
            "wolff": 15 * rows,
        }[self.algorithm]
        lattices = 64 if self.algorithm in ("heat-bath", "replicas") else 1
        return samples * rows + -(-self.chains // lattices) * each


class _Threads:
    """The runs of a sample, and how the threads share them."""

    def __init__(self, request, rng):
        self.request, self.runs, self.updates = request, request.start(rng), 0

    def _each(self, work, *items):
        threads = min(self.request.workers, len(self.runs))
        if threads == 1:
            return list(map(work, self.runs, *items))
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, self.runs, *items))

    def advance(self, updates, every=None):
        """Advance all chains: float64 (2, chains, records), the sums of ``s s'`` over bonds, and ``|sum s|``."""
        every = every or max(updates, 1)
        records = self._each(lambda run: run.run(every, updates // every))
        self.updates += updates // every * every
        return self._series(records)

    def _series(self, records):
        series = np.concatenate(records, axis=2)[:, :, : self.request.chains].swapaxes(1, 2).astype(np.float64)
        series[1] = np.abs(series[1])
        return series

    def fill(self, words, thin):
        """Store a configuration after every `thin` updates: uint64 (samples, side, words); return the records."""
        chains, lattices = self.request.chains, self.runs[0].lattices
        bounds = [len(words) * chain // chains for chain in range(chains + 1)]
        slots = [range(*ends) for ends in itertools.pairwise(bounds)]
        longest, shortest = max(map(len, slots)), min(map(len, slots))

        def collect(run, slots):
            record = np.empty((2, longest, lattices), np.int64)
            for draw in range(longest):
                record[:, draw] = run.run(thin, 1)[:, 0]
                for rows, slot in zip(run.rows(), slots, strict=False):  # lanes beyond the chains asked for go nowhere
                    if draw < len(slot):
                        words[slot[draw]] = rows
            return record

        records = self._each(collect, [slots[first : first + lattices] for first in range(0, chains, lattices)])
        self.updates += longest * thin
        return self._series(records)[..., :shortest]


def _batches(request, rng, batch):
    """Yield samples of `batch` configurations each."""
    threads = _Threads(request, rng)
    time, error = math.nan, math.nan
    if "auto" in (request.burn_in, request.thin):
        time, error = _pilot_time(threads, PILOT[request.algorithm])
    if request.burn_in == "auto":
        threads.advance(math.ceil(20 * time))
    else:
        threads.advance(max(0, request.burn_in - threads.updates))
    burn_in = threads.updates
    thin = max(1, round(time)) if request.thin == "auto" else request.thin
    for first in range(0, request.samples, batch):
        words = np.empty((min(batch, request.samples - first), request.side, markov.row_words(request.side)), np.uint64)
        record = threads.fill(words, thin)
        found, enough = _longest_time(record) if record.shape[2] >= 8 else (None, False)
        if enough:
            time, error = thin * found.time, thin * found.error
        elif math.isnan(time):
            warnings.warn(
                f"{len(words)} configurations of {request.chains} chains, {thin} updates apart, are too few to know "
                "their own autocorrelation time: sample more, or leave burn_in and thin to 'auto'",
                ShortRunWarning,
                stacklevel=3,
            )
        packed = PackedSpins(words, request.side)
        yield SquareSample(packed, request.algorithm, request.chains, burn_in, thin, time, error)


def _longest_time(record):
    """The larger autocorrelation time of energy and ``|m|``, and whether the records are enough to know both."""
    found = [autocorrelation_time(quantity) for quantity in record]
    return max(found, key=lambda one: one.time), all(one.enough for one in found)


def _pilot_time(threads, updates):
    """Autocorrelation time in updates from pilot runs, doubled until they are long enough."""
    every = 1
    record = threads.advance(updates, every)[..., updates // 2 :]
    longest = LONGEST_PILOT * updates
    while True:
        found, enough = _longest_time(record)
        if enough:
            return every * found.time, every * found.error
        if threads.updates >= longest:
            warnings.warn(
                f"pilot runs of {threads.updates} updates are too short to know an autocorrelation time of about "
                f"{every * found.time:.0f}: set burn_in and thin, or choose another algorithm",
                ShortRunWarning,
                stacklevel=4,
            )
            return every * found.time, every * found.error
        # everything so far counts as burn-in of the next, longer pilot
        every = max(1, threads.updates // updates)
        record = threads.advance(threads.updates, every)
