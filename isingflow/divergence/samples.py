"""What the caller has, brought to one form: samples in chains, or records of their additive statistics.

Every form has a `total` and two verbs. ``blocked(blocks)`` adds the statistics up over blocks of consecutive samples
that cross no chain. ``influence(gradient)`` says how each sample (or record) moves an estimate with that gradient by
the total: the deviation of the estimate is the mean of these values.
"""

import dataclasses

import numpy as np

from isingflow.divergence import discrete
from isingflow.divergence.gaussian import Moments
from isingflow.errors import ParameterError
from isingflow.parameters import whole
from isingflow.resampling import block_sums

FEW_SYMBOLS = 2**12
"""Symbols up to which those that were never seen are kept in the tables."""

LARGEST_TABLE = 2**discrete.LONGEST_WINDOW
"""Entries of the largest table in which samples are counted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Tallied:
    """Samples that each add one to some places of a table.

    Attributes
    ----------
    places : numpy.ndarray
        int64 (chains, n, k): where each sample counts.
    size : int
        Entries of the table.
    dof : int
        Variables in a sample.
    """

    places: np.ndarray
    size: int
    dof: int

    @property
    def chains(self) -> int:
        """Independent chains, one after the other in the influence values."""
        return len(self.places)

    @property
    def number(self) -> int:
        """Samples of all chains."""
        return self.places.shape[0] * self.places.shape[1]

    @property
    def influences(self) -> int:
        """Influence values."""
        return self.number

    @property
    def total(self) -> np.ndarray:
        """int64 (size,)."""
        return np.bincount(self.places.ravel(), minlength=self.size)

    def blocked(self, blocks) -> np.ndarray:
        """int64 (blocks, size)."""
        cut = in_blocks(self.places, blocks)
        return np.array([np.bincount(block.ravel(), minlength=self.size) for block in cut])

    def influence(self, gradient) -> np.ndarray:
        """float64 (number,)."""
        return self.number * gradient[self.places].sum(axis=-1).ravel()

    def only(self, kept):
        """Return the same in a table of the `kept` entries, bool (size,); no sample counts in another."""
        return Tallied((np.cumsum(kept) - 1)[self.places], int(kept.sum()), self.dof)

    def mapped(self, targets):
        """Return the same with every place moved to its target, int64 (size,)."""
        return Tallied(targets[self.places], int(targets.max()) + 1, self.dof)


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """Tables of counts, record by record.

    Attributes
    ----------
    records : numpy.ndarray
        int64 (records, size).
    number : int
        Samples of all records.
    dof : int
        Variables in a sample.
    """

    records: np.ndarray
    number: int
    dof: int
    chains = 1

    @property
    def influences(self) -> int:
        """Influence values."""
        return len(self.records)

    @property
    def size(self) -> int:
        """Entries of the table."""
        return self.records.shape[1]

    @property
    def total(self) -> np.ndarray:
        """int64 (size,)."""
        return self.records.sum(axis=0)

    def blocked(self, blocks) -> np.ndarray:
        """int64 (blocks, size)."""
        return block_sums(self.records, blocks)

    def influence(self, gradient) -> np.ndarray:
        """float64 (records,)."""
        return len(self.records) * (self.records @ gradient)

    def only(self, kept):
        """Return the same in tables of the `kept` entries, bool (size,)."""
        return Tables(self.records[:, kept], self.number, self.dof)


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Samples with components, less a common origin.

    Attributes
    ----------
    points : numpy.ndarray
        float64 (chains, n, d).
    squares : bool
        Whether the statistics are sums of squares alone, (1 + 2 d,) instead of (1 + d + d^2,).
    """

    points: np.ndarray
    squares: bool = False

    @property
    def chains(self) -> int:
        """Independent chains, one after the other in `flat` and in the influence values."""
        return len(self.points)

    @property
    def number(self) -> int:
        """Samples of all chains."""
        return self.points.shape[0] * self.points.shape[1]

    @property
    def influences(self) -> int:
        """Influence values."""
        return self.number

    @property
    def dof(self) -> int:
        """Components."""
        return self.points.shape[2]

    @property
    def flat(self) -> np.ndarray:
        """float64 (number, d)."""
        return self.points.reshape(-1, self.dof)

    @property
    def total(self) -> np.ndarray:
        """float64 (k,)."""
        return _squares(self.flat) if self.squares else Moments.of(self.flat).packed()[0]

    def sizes(self, blocks) -> np.ndarray:
        """int64 (blocks,): samples in each block."""
        return np.array([len(block) for block in in_blocks(self.points, blocks)])

    def labels(self, blocks) -> np.ndarray:
        """int64 (number,): the block of each sample."""
        return np.repeat(np.arange(blocks), self.sizes(blocks))

    def moments(self, blocks) -> Moments:
        """Return one record for each block."""
        return Moments.of_blocks(in_blocks(self.points, blocks))

    def blocked(self, blocks) -> np.ndarray:
        """float64 (blocks, k)."""
        cut = in_blocks(self.points, blocks)
        return np.array([_squares(block) for block in cut]) if self.squares else Moments.of_blocks(cut).packed()

    def influence(self, gradient) -> np.ndarray:
        """float64 (number,)."""
        return gradient.of_points(self.flat)


def _squares(block):
    columns = np.ascontiguousarray(block.T)  # numpy adds in pairs only along what is contiguous
    return np.concatenate([[len(block)], columns.sum(axis=1), (columns**2).sum(axis=1)])


@dataclasses.dataclass(frozen=True, eq=False)
class MomentRecords:
    """`Moments`, record by record.

    Attributes
    ----------
    given : Moments
        As the caller gave them.
    squares : bool
        As in `Points`.
    """

    given: Moments
    squares: bool = False
    chains = 1

    @property
    def number(self) -> int:
        """Samples of all records."""
        return int(self.given.counts.sum())

    @property
    def influences(self) -> int:
        """Influence values."""
        return len(self.given.counts)

    @property
    def dof(self) -> int:
        """Components."""
        return self.given.dof

    @property
    def total(self) -> np.ndarray:
        """float64 (k,)."""
        return self._records().sum(axis=0)

    def sizes(self, blocks) -> np.ndarray:
        """int64 (blocks,): samples in each block."""
        return block_sums(self.given.counts, blocks)

    def moments(self, blocks) -> Moments:
        """Return one record for each block."""
        return self.given.blocked(blocks)

    def blocked(self, blocks) -> np.ndarray:
        """float64 (blocks, k)."""
        return block_sums(self._records(), blocks)

    def influence(self, gradient) -> np.ndarray:
        """float64 (records,)."""
        records = self._records()
        return len(records) / self.number * gradient.of_totals(records)

    def _records(self):
        return self.given.squares() if self.squares else self.given.packed()


def in_chains(name, samples, chains_axis) -> np.ndarray:
    """Return an array of samples as (chains, n, components), checked and never changed.

    Parameters
    ----------
    name : str
        What messages call it.
    samples : array_like of int, bool or float
        (n,) or (n, components), and an axis of chains if there is one.
    chains_axis : int, optional
        That axis.

    Raises
    ------
    ParameterError
        If it is ragged, empty, of another shape or type, or not finite.

    Examples
    --------
    >>> in_chains("p", [0, 1, 1], None).shape
    (1, 3, 1)
    """
    if isinstance(samples, np.ma.MaskedArray):
        raise ParameterError(f"{name} must not be masked: pass the samples that count")
    try:
        array = np.asarray(samples)
    except ValueError as error:
        raise ParameterError(f"{name} must be an array of samples: {error}") from error
    if chains_axis is not None:
        array = np.moveaxis(array, whole("chains_axis", chains_axis, low=-array.ndim, high=array.ndim - 1), 0)
    else:
        array = array[None]
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.size == 0:
        raise ParameterError(
            f"{name} must be (samples,) or (samples, components), with chains_axis one more, and not be empty, "
            f"got {np.shape(samples)}"
        )
    if array.dtype.kind not in "biuf":
        raise ParameterError(f"{name} must hold integers, booleans or floats, got {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ParameterError(f"{name} must be finite, got NaN or infinite entries")
    return array


def in_blocks(chains, blocks) -> list:
    """Cut chains (chains, n, ...) into blocks that do not cross them, of lengths as alike as possible.

    Raises
    ------
    ParameterError
        If `blocks` is no multiple of the chains' number, or there are fewer samples than blocks.
    """
    if blocks % len(chains):
        raise ParameterError(f"the number of blocks must be a multiple of the {len(chains)} chains, got {blocks}")
    each = blocks // len(chains)
    if len(chains[0]) < each:
        raise ParameterError(f"{blocks} blocks need at least {each} samples in a chain, got {len(chains[0])}")
    return [block for chain in chains for block in np.array_split(chain, each)]


def are_floats(first, second, *, names=("p", "q")) -> bool:
    """Return whether two arrays (chains, n, components) both hold floats, or raise if one does and one does not."""
    kinds = {one.dtype.kind == "f" for one in (first, second)}
    if len(kinds) > 1:
        raise ParameterError(f"{names[0]} and {names[1]} must both be integers or both be floats")
    return kinds.pop()


def same_components(p, q) -> None:
    """Raise if arrays (chains, n, components) differ in their components."""
    if p.shape[2:] != q.shape[2:]:
        raise ParameterError(f"p and q must have equal dimensions, got {p.shape[2:]} and {q.shape[2:]} a sample")


def refuse_discrete_floats(*arrays) -> None:
    """Raise if arrays of floats have three or fewer distinct values among them all."""
    # most arrays show more than three values at once
    for length in (64, None):
        values = np.unique(np.concatenate([np.unique(one.reshape(-1)[:length]) for one in arrays]))
        if len(values) > 3:
            return
    raise ParameterError("floats with three or fewer distinct values look discrete: pass integers, or name a method")


def symbols(*arrays) -> list[Tallied]:
    """Return arrays of integers as samples of symbols, common to all of them.

    Parameters
    ----------
    *arrays : numpy.ndarray
        int or bool (chains, n, w): symbols of any values where w is 1, otherwise windows of spins of two values.

    Raises
    ------
    ParameterError
        If windows hold more than two values or are too long for counting.

    Examples
    --------
    >>> symbols(np.array([[[-1, 1], [1, 1]]]))[0].places.ravel().tolist()
    [2, 3]
    """
    width = arrays[0].shape[2]
    if width > 1:
        codes = [discrete.window_symbols(up.reshape(-1, width)).reshape(up.shape[:2]) for up in spins(*arrays)]
        return [Tallied(one[..., None], 2**width, width) for one in codes]
    values = _values(arrays)
    return [Tallied(np.searchsorted(values, one), len(values), 1) for one in arrays]


def neighbour_pairs(*arrays) -> list[Tallied]:
    """Return windows of spins, int or bool (chains, n, w), as samples of their w - 1 pairs of neighbours."""
    width = arrays[0].shape[2]
    _check_pairs(width)
    codes = [discrete.pair_codes(up.reshape(-1, width)).reshape(*up.shape[:2], -1) for up in spins(*arrays)]
    return [Tallied(one, 4 * (width - 1), width) for one in codes]


def _check_pairs(width):
    if width < 2:
        raise ParameterError("method 'markov' needs windows of two spins at least, (n, w), got one variable a sample")


def spins(*arrays) -> list[np.ndarray]:
    """Return windows of two-valued spins as bool arrays: which spins have the higher of all values."""
    values = _values(arrays)
    if len(values) > 2:
        raise ParameterError(f"windows must hold spins of two values, got {len(values)}: {values[:5].tolist()}...")
    return [one != values[0] for one in arrays]


def _values(arrays):
    if np.result_type(*arrays).kind == "f":
        raise ParameterError(f"integers of types {', '.join(str(one.dtype) for one in arrays)} have no common type")
    return np.unique(np.concatenate([np.unique(one) for one in arrays]))


def tables(counts, *, pairs=False) -> Tables:
    """Return `Counts` as tables of symbols, or of all pairs of neighbouring spins.

    Parameters
    ----------
    counts : Counts
        Of windows of spins where pairs are wanted, all ``2**dof`` symbols.
    pairs : bool
        Whether to count pairs.

    Raises
    ------
    ParameterError
        If pairs are wanted of other symbols.

    Examples
    --------
    >>> tables(discrete.Counts([[3, 0, 1, 5]], dof=2), pairs=True).records.tolist()  # spin 0 is the first of the pair
    [[3, 1, 0, 5]]
    """
    number = int(counts.total.sum())
    if not pairs:
        return Tables(counts.records, number, counts.dof)
    _check_pairs(counts.dof)
    if counts.records.shape[1] != 2**counts.dof:
        raise ParameterError(
            f"method 'markov' needs all 2**{counts.dof} symbols of {counts.dof} spins, got {counts.records.shape[1]}"
        )
    shows = np.zeros((2**counts.dof, 4 * (counts.dof - 1)), np.int64)
    np.put_along_axis(shows, discrete.pair_places(counts.dof), 1, axis=1)
    return Tables(counts.records @ shows, number, counts.dof)


def seen(*samples) -> list:
    """Return samples of symbols in tables without those entries that no sample shows, if they are large."""
    if samples[0].size <= FEW_SYMBOLS:
        return list(samples)
    kept = sum(one.total for one in samples) > 0
    return [one.only(kept) for one in samples]
