"""Markov chains of the square lattice: what the sampler runs on its threads.

Each starts from packed rows, uint64 (lattices, side, ceil(side / 64)), one lattice or 64, and has the state of a
generator of its own.
"""

import numpy as np
from scipy.special import expit

from isingflow.ising.square import CRITICAL_COUPLING

REPLICAS = 64
"""Lattices that advance together where one spin is one bit of a word."""

MOST_OFFERED = 31 / 32
"""Largest probability with which a flip that costs nothing is made."""


def offered(coupling) -> float:
    """Return the probability with which Metropolis is offered a flip.

    Were it 1, a checkerboard would go through forced cycles at weak coupling and on small tori; below 1 every sweep can
    lead from any state to any other. At zero coupling 1/2 gives independent lattices, at strong ones the most is best.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless.

    Returns
    -------
    float

    Examples
    --------
    >>> offered(0.0), offered(-0.4)
    (0.5, 0.96875)
    """
    return min(MOST_OFFERED, float(expit(16 * abs(coupling))))


def row_words(side) -> int:
    """Words of a packed row."""
    return -(-side // 64)


def uniform_rows(side) -> np.ndarray:
    """Return the packed rows of a lattice with all spins up: uint64 (side, words).

    Examples
    --------
    >>> uniform_rows(3).ravel().tolist()
    [7, 7, 7]
    """
    rows = np.full((side, row_words(side)), 2**64 - 1, np.uint64)
    if side % 64:
        rows[:, -1] = 2 ** (side % 64) - 1
    return rows


def odd_rows(side) -> np.ndarray:
    """Return the packed rows of the lattice whose spins are up where ``x + y`` is odd: uint64 (side, words).

    Examples
    --------
    >>> odd_rows(4).ravel().tolist()
    [10, 5, 10, 5]
    """
    even = np.uint64(0x5555555555555555)
    rows = uniform_rows(side)
    rows[::2] &= ~even
    rows[1::2] &= even
    return rows


COLD = 0.38
"""``K1 + K2`` from which on a lattice with a diagonal coupling starts cold: what is critical where they are equal."""


def start(lattices, side, rng, *, coupling, field, diagonal=0.0, **_) -> np.ndarray:
    """Return packed rows to start from, uint64 (lattices, side, words).

    Hot below the critical coupling, or, with a ferromagnetic diagonal coupling, its sum with that below `COLD`: a hot
    start in the ordered phase leaves stripes, which take for ever to go. From there on cold: all spins along the
    field; without one with a sign of its own for each lattice, and alternating for a negative coupling that an even
    side and the field admit.

    Parameters
    ----------
    lattices, side : int
    rng : numpy.random.Generator
        Advanced.
    coupling, field, diagonal : float
        ``K1``, ``H`` and ``K2``, dimensionless; further couplings do not matter.

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> start(2, 3, np.random.default_rng(1), coupling=1.0, field=0.5).tolist()
    [[[7], [7], [7]], [[7], [7], [7]]]
    """
    words = row_words(side)
    ordered = abs(coupling) >= CRITICAL_COUPLING or (coupling > 0 and diagonal > 0 and coupling + diagonal >= COLD)
    if not ordered or (coupling < 0 and side % 2):
        return rng.integers(0, 2**64, (lattices, side, words), np.uint64) & uniform_rows(side)
    checkered = coupling < 0 and abs(field) < -4 * coupling
    cold = odd_rows(side) if checkered else uniform_rows(side)
    opposite = cold ^ uniform_rows(side)
    along = np.full(lattices, field > 0)
    up = along if field and not checkered else rng.integers(0, 2, lattices).astype(bool)
    return np.where(up[:, None, None], cold, opposite)


class MultiSpin:
    """64 lattices, or one in 64 strips: nearest neighbours and a field, sides even or multiples of 128.

    Heat bath with a field; without one Metropolis (see `offered`), which decorrelates up to three times as fast.

    Parameters
    ----------
    rows : numpy.ndarray
        uint64 (64, side, words), or (1, side, words) in strips: packed rows to start from.
    side : int
        Even; a multiple of 128 in strips.
    rng : numpy.random.Generator
        Seeds the generator.
    strips : bool
        Whether a word holds 64 strips of one lattice rather than 64 lattices.
    coupling, field : float
        ``K1`` and ``H``, dimensionless.
    """

    def __init__(self, rows, side, rng, *, strips, coupling, field, **_):
        from isingflow.ising import _multispin, _random

        self.side, self.strips, self.lattices = side, strips, len(rows)
        self._antiferromagnet = coupling < 0 and not field
        if field:
            probabilities = expit(2 * (coupling * np.arange(-4, 5, 2) + field))
        else:
            probabilities = offered(coupling) * np.exp(-2 * abs(coupling) * np.array([4, 2, 0]))
        self._bound = _random.bounds(probabilities)
        self._turned = odd_rows(side) if self._antiferromagnet else np.zeros_like(rows[0])
        self._packed = (rows ^ self._turned).reshape(64, -1, rows.shape[2])
        self._spins = _multispin.empty_spins(self._packed.shape[1], side)
        _multispin.from_rows(self._packed, side, strips, self._spins)
        self._state = _random.generator_state(rng)

    def run(self, every, records):
        """Advance `every` sweeps `records` times: int64 (2, records, lattices): sums of ``s s'`` over bonds, of s.

        Of an antiferromagnet without a field the second one is the sum of ``(-1)^(x + y) s``.
        """
        from isingflow.ising import _multispin

        found = np.empty((2, records, self.lattices), np.int64)
        lattices = self._packed.reshape(self.lattices, self.side, -1)
        _multispin.run(
            self._spins, self.side, self.strips, self._state, self._bound, every, self._packed, lattices, *found
        )
        if self._antiferromagnet:
            found[0] *= -1
        return found

    def rows(self):
        """Return the lattices as packed rows after the last `run`: uint64 (lattices, side, words)."""
        return self._packed.reshape(self.lattices, self.side, -1) ^ self._turned


class HeatBath:
    """Many lattices in typewriter order: all couplings, all sides.

    Parameters
    ----------
    rows : numpy.ndarray
        uint64 (lattices, side, words): packed rows to start from; a multiple of 16 lattices.
    side : int
        At least 2.
    rng : numpy.random.Generator
        Seeds the generator.
    coupling, diagonal, plaquette, field : float
        ``K1``, ``K2``, ``K3`` and ``H``, dimensionless.
    """

    def __init__(self, rows, side, rng, *, coupling, diagonal, plaquette, field):
        from isingflow.ising import _heat_bath, _random

        self.side, self.lattices = side, len(rows)
        bits = np.unpackbits(rows.view(np.uint8), axis=-1, count=side, bitorder="little")
        self._spins = np.ascontiguousarray(np.moveaxis(2 * bits.astype(np.int8) - 1, 0, -1))
        self._bound = _heat_bath.up_bounds(coupling, diagonal, plaquette, field)
        self._state = _random.generator_state(rng)
        self._scratch = np.empty(self.lattices // 2, np.uint64), np.empty(self.lattices, np.uint16)

    def run(self, every, records):
        """As `MultiSpin.run`."""
        from isingflow.ising import _heat_bath

        found = np.empty((2, records, self.lattices), np.int64)
        _heat_bath.run(self._spins, self._state, self._bound, every, *self._scratch, *found)
        return found

    def rows(self):
        """As `MultiSpin.rows`."""
        packed = np.zeros((self.lattices, self.side, 8 * row_words(self.side)), np.uint8)
        bits = np.packbits(np.moveaxis(self._spins, -1, 0) > 0, axis=-1, bitorder="little")
        packed[..., : bits.shape[-1]] = bits
        return packed.view(np.uint64)


class Clusters:
    """One lattice updated by clusters: nearest neighbours alone, of either sign where the side is even.

    Parameters
    ----------
    rows : numpy.ndarray
        uint64 (1, side, words): packed rows to start from.
    side : int
        At least 2; even for a negative coupling.
    rng : numpy.random.Generator
        Seeds the generator.
    single : bool
        Whether an update is one cluster (Wolff) rather than all of them (Swendsen-Wang).
    coupling : float
        ``K1``, dimensionless, not 0.
    """

    lattices = 1

    def __init__(self, rows, side, rng, *, single, coupling, **_):
        from isingflow.ising import _clusters, _random

        self.side, self._antiferromagnet = side, coupling < 0
        # with every other spin turned an antiferromagnet is a ferromagnet
        self._turned = odd_rows(side) if self._antiferromagnet else np.zeros_like(rows[0])
        self._rows = rows[0] ^ self._turned
        self._bond = _random.bounds([-np.expm1(-2 * abs(coupling))])[0]
        self._state = _random.generator_state(rng)
        self._update = _clusters.wolff if single else _clusters.swendsen_wang
        self._scratch = _clusters.scratch(side)

    def run(self, every, records):
        """As `MultiSpin.run`."""
        found = np.empty((2, records, 1), np.int64)
        arguments = (self._rows, self.side, self._state, self._bond, every * records, every)
        self._update(*arguments, *found[..., 0], self._scratch)
        if self._antiferromagnet:
            found[0] *= -1
        return found

    def rows(self):
        """As `MultiSpin.rows`."""
        return (self._rows ^ self._turned)[None]
