"""Swendsen's Monte Carlo renormalization group: exponents from correlations of block spins.

The couplings ``K'_a`` of blocked configurations depend on those before, ``K_b``. Their derivatives follow from
correlations alone, of the sums ``S`` of the operators before and ``S'`` after a step,

    ``<S'_a S_b>_c = d<S'_a>/dK_b = sum_c <S'_a S'_c>_c dK'_c/dK_b``,

of as many operators as are taken along. At a fixed point the largest eigenvalue of ``dK'/dK`` is ``b**y``: ``y_t`` for
operators that stay when all spins are turned, ``y_h`` for those that change sign.

References: Swendsen, Phys. Rev. Lett. 42, 859 (1979), eqs. (4)-(6); Phys. Rev. Lett. 52, 2321 (1984), for couplings by
matching; Pawley, Swendsen, Wallace & Wilson, Phys. Rev. B 29, 4030 (1984), for the tables.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np

from isingflow.errors import ParameterError
from isingflow.ising.decimation import block_majority, decimate_by
from isingflow.ising.packing import PackedSpins, pack
from isingflow.ising.sampling import SquareSample
from isingflow.parameters import choice, whole
from isingflow.resampling import block_sums
from isingflow.seeding import generator

OPERATORS = {
    "nearest": ((0, 0), (0, 1)),
    "diagonal": ((0, 0), (1, 1)),
    "plaquette": ((0, 0), (0, 1), (1, 0), (1, 1)),
    "third": ((0, 0), (0, 2)),
    "knight": ((0, 0), (1, 2)),
    "diamond": ((0, 1), (1, 0), (1, 2), (2, 1)),
    "fifth": ((0, 0), (2, 2)),
    "magnetization": ((0, 0),),
    "corner": ((0, 0), (0, 1), (1, 0)),
    "three in a row": ((0, 0), (0, 1), (0, 2)),
    "wedge": ((0, 0), (1, 1), (0, 2)),
    "cross": ((1, 1), (0, 1), (1, 0), (1, 2), (2, 1)),
}
"""One product of spins of each operator, ``(row, column)``; the others are its images by the symmetries of the square.
Bonds are called by the neighbours they lead to, "knight" by a knight's move."""

EVEN = tuple(name for name, spins in OPERATORS.items() if len(spins) % 2 == 0)
ODD = tuple(name for name, spins in OPERATORS.items() if len(spins) % 2)
"""Operators that stay, and that change sign, when all spins are turned: in the order in which they are taken along."""

RULES = ("majority", "decimation")

SMALLEST, LAST = 2, 4
"""Sides of the smallest lattice that can be asked for, and of the last one without being asked."""

SINGULAR = 1e-10
"""Below it an eigenvalue of the operators' correlation matrix is zero, and so is a share of an operator's variance."""


def _images(spins):
    """All products that the symmetries of the square make of one, each once, from its corner on."""
    found = set()
    for i, j, turned in itertools.product((1, -1), (1, -1), (False, True)):
        moved = [(i * y, j * x) for y, x in ((x, y) if turned else (y, x) for y, x in spins)]
        top, left = (min(values) for values in zip(*moved, strict=True))
        found.add(tuple(sorted((y - top, x - left) for y, x in moved)))
    return sorted(found)


def _checked_operators(name, given, legal):
    if isinstance(given, str) or not isinstance(given, (list, tuple)) or not given:
        raise ParameterError(f"{name} must be a list of operators, of {', '.join(legal)}; got {given!r}")
    for number, operator in enumerate(given):
        choice(f"{name} operators", operator, legal)
        if operator in given[:number]:
            raise ParameterError(f"every operator may be there once, got {operator!r} twice in {name}")
    return tuple(given)


def operator_sums(spins, operators=(*EVEN, *ODD)) -> np.ndarray:
    """Sum products of spins over square lattices.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (samples, L, L), values -1 and +1, periodic.
    operators : sequence of str
        Of `OPERATORS`.

    Returns
    -------
    numpy.ndarray
        int64 (samples, operators): over all sites and all images of an operator's product; on sides so short that
        some coincide these count with multiplicity.

    Raises
    ------
    ParameterError
        If there are no such configurations, an operator is unknown or twice there, or two of its spins are the same
        on a side as short.

    Examples
    --------
    >>> operator_sums(np.ones((1, 4, 4), np.int8), ("nearest", "plaquette", "magnetization", "corner")).tolist()
    [[32, 16, 16, 64]]
    """
    packed = _packed(spins)
    return _sums(packed, _checked_operators("operators", operators, tuple(OPERATORS)))


def _packed(spins):
    """Return configurations packed, or raise if they are no square lattices."""
    packed = spins.packed if isinstance(spins, SquareSample) else spins
    packed = packed if isinstance(packed, PackedSpins) else pack(packed)
    if packed.shape[1] != packed.columns:
        raise ParameterError(f"spins must be square lattices (samples, L, L), got {packed.shape}")
    return packed


def _sums(packed, operators):
    from isingflow.ising import _operators

    samples, side, _ = packed.shape
    products = [(number, image) for number, name in enumerate(operators) for image in _images(OPERATORS[name])]
    for number, image in products:
        if len({(y % side, x % side) for y, x in image}) < len(image):
            raise ParameterError(f"the operator {operators[number]!r} does not fit a side of {side}: leave it out")
    ends = np.cumsum([0, *(len(image) for _, image in products)])
    down, right = np.ascontiguousarray(np.array([spin for _, image in products for spin in image]).T)
    shifts, copy_of = np.unique(right % side, return_inverse=True)
    odd = np.empty((samples, len(products)), np.int64)
    _operators.count_odd(packed.words, side, shifts, copy_of, down, ends, odd)
    sums = np.zeros((samples, len(operators)), np.int64)
    for product, (number, image) in enumerate(products):
        # where an odd number of spins is up the product is -1 if there is an even number of them, else +1
        sums[:, number] += (-1) ** len(image) * (side**2 - 2 * odd[:, product])
    return sums


@dataclasses.dataclass(frozen=True, eq=False)
class MonteCarloRG:
    """Exponents by the Monte Carlo renormalization group, step by step and operator by operator.

    Attributes
    ----------
    rule : {"majority", "decimation"}
    factor : int
        ``b``, rows and columns of a block.
    sides : tuple of int
        Of the lattices, from the original to the last.
    samples : int
        Configurations.
    even, odd : tuple of str
        Operators, in the order in which they are taken along.
    thermal, thermal_error : numpy.ndarray
        float64 (steps, even): ``y_t`` of a step with the first 1, 2, ... operators, and its standard error. NaN where
        the largest eigenvalue is not real and positive.
    magnetic, magnetic_error : numpy.ndarray
        float64 (steps, odd): ``y_h``, the same.
    """

    rule: str
    factor: int
    sides: tuple
    samples: int
    even: tuple
    odd: tuple
    thermal: np.ndarray
    thermal_error: np.ndarray
    magnetic: np.ndarray
    magnetic_error: np.ndarray


def exponent_table(found) -> str:
    """Return exponents as a table: a row for every number of operators, a column for every step.

    Parameters
    ----------
    found : MonteCarloRG
        Or a record with the same fields, `isingflow.diagram.ExponentTable`.

    Returns
    -------
    str
    """
    steps = [f"{a} -> {b}" for a, b in itertools.pairwise(found.sides)]
    lines = [f"{found.rule}, b = {found.factor}, {found.samples} configurations of side {found.sides[0]}"]
    for name, label, operators in (("thermal", "y_t", found.even), ("magnetic", "y_h", found.odd)):
        values, errors = getattr(found, name), getattr(found, f"{name}_error")
        lines += ["", f"{label:<20}" + "".join(f"{step:>14}" for step in steps)]
        for number, operator in enumerate(operators):
            row = (_cell(*pair) for pair in zip(values[:, number], errors[:, number], strict=True))
            lines.append(f"{number + 1:>2} {operator:<17}" + "".join(f"{cell:>14}" for cell in row))
    return "\n".join(lines)


def _cell(value, error):
    if not math.isfinite(value) or not math.isfinite(error):
        return "not real"
    digits = max(1, 1 - math.floor(math.log10(error))) if error else 6
    digits -= round(error * 10**digits) >= 100  # two digits of the error, even where it is rounded up
    return f"{value:.{digits}f}({round(error * 10**digits)})"


def monte_carlo_rg(
    spins, *, rule="majority", factor=2, levels=None, even=EVEN, odd=ODD, rng=None, blocks=20
) -> MonteCarloRG:
    """Find the exponents of a critical point from configurations, blocked again and again.

    Parameters
    ----------
    spins : array_like of int8, PackedSpins, or iterator of them
        (samples, L, L) of a law without a field, values -1 and +1, periodic; consecutive ones may be correlated. An
        iterator, as from `isingflow.ising.sampling.iter_square`, is read batch by batch.
    rule : {"majority", "decimation"}
        The sign of a block's majority, ties by chance, or one spin of every block. Decimation has no fixed point at
        ``K_c``: its eigenvalues do not settle.
    factor : int
        ``b``, rows and columns of a block, at least 2.
    levels : int, optional
        Steps, at least 1, that leave a side of 2 or more; as many as leave one of 4 without it.
    even, odd : sequence of str
        Operators of `EVEN` and `ODD`, in the order in which they are taken along.
    rng : numpy.random.Generator or int, optional
        Decides ties; required for the majority of even blocks.
    blocks : int
        Jackknife blocks of consecutive configurations, at least 4.

    Returns
    -------
    MonteCarloRG

    Raises
    ------
    ParameterError
        If there are no such configurations or fewer than five for each operator and block, the side cannot be divided
        that often, an operator is unknown or twice there, operators are linearly dependent, or `rng` is missing.

    Examples
    --------
    >>> from isingflow.ising.sampling import sample_square
    >>> from isingflow.ising.square import CRITICAL_COUPLING
    >>> sample = sample_square(CRITICAL_COUPLING, side=16, samples=4000, rng=1)
    >>> found = monte_carlo_rg(sample, even=("nearest",), odd=("magnetization",), rng=1)
    >>> print(exponent_table(found))  # exact: y_t = 1, y_h = 1.875
    majority, b = 2, 4000 configurations of side 16
    <BLANKLINE>
    y_t                        16 -> 8        8 -> 4
     1 nearest               0.885(14)     0.937(15)
    <BLANKLINE>
    y_h                        16 -> 8        8 -> 4
     1 magnetization       1.88112(98)    1.8718(23)
    """
    even, odd = _checked_operators("even", even, EVEN), _checked_operators("odd", odd, ODD)
    series = _series(spins, (*even, *odd), rule, factor, levels, rng)
    blocks = _checked_blocks(blocks, len(series.sums[0]), max(len(even), len(odd)))
    found = {}
    for name, operators, own in (("thermal", even, slice(len(even))), ("magnetic", odd, slice(len(even), None))):
        steps = []
        for fine, coarse in itertools.pairwise(level[:, own] for level in series.sums):
            moments = _moments(fine, coarse, blocks, centred=name == "thermal")
            steps.append([_exponent(moments, n + 1, operators, factor) for n in range(len(operators))])
        values, errors = np.moveaxis(np.array(steps), 2, 0)
        found |= {name: values, f"{name}_error": errors}
    return MonteCarloRG(rule, factor, series.sides, len(series.sums[0]), even, odd, **found)


def _checked_blocks(blocks, samples, operators):
    blocks = whole("blocks", blocks, low=4)
    needed = 5 * blocks * operators
    if samples < needed:
        raise ParameterError(
            f"{operators} operators and {blocks} blocks need at least {needed} configurations, got {samples}; pass "
            "more, or fewer operators or blocks"
        )
    return blocks


@dataclasses.dataclass(frozen=True)
class _Series:
    """Sides of the lattices of all levels, and the sums of the operators there: int64 (samples, operators) each."""

    sides: tuple
    sums: list


def _series(spins, operators, rule, factor, levels, rng):
    """Block configurations and sum the operators, batch by batch."""
    rule, factor = choice("rule", rule, RULES), whole("factor", factor, low=2)
    if rule == "majority" and factor % 2 == 0 and rng is None:
        raise ParameterError("blocks of an even size have ties, which need random bits: pass rng, or an odd factor")
    rng = None if rng is None else generator(rng)
    sides, rows = None, []
    for batch in spins if isinstance(spins, Iterator) else [spins]:
        packed = _packed(batch)
        if sides is None:
            sides = _checked_sides(packed.columns, factor, levels)
        elif packed.columns != sides[0]:
            raise ParameterError(f"all batches must have the same side, got {sides[0]} and {packed.columns}")
        sums = [_sums(packed, operators)]
        for _ in sides[1:]:
            packed = block_majority(packed, factor, rng=rng) if rule == "majority" else decimate_by(packed, factor)
            sums.append(_sums(packed, operators))
        rows.append(sums)
    if sides is None:
        raise ParameterError("there are no configurations: the iterator is empty")
    return _Series(sides, [np.concatenate(level) for level in zip(*rows, strict=True)])


def _checked_sides(side, factor, levels):
    wanted, least = (1, LAST) if levels is None else (whole("levels", levels), SMALLEST)
    sides = [side]
    while sides[-1] % factor == 0 and sides[-1] // factor >= least:
        sides.append(sides[-1] // factor)
    if len(sides) <= wanted:
        raise ParameterError(
            f"lattices of side {side} can be blocked by {factor} {len(sides) - 1} times if a side of {least} is to be "
            f"left, got levels={levels}"
        )
    return tuple(sides if levels is None else sides[: wanted + 1])


def _moments(fine, coarse, blocks, *, centred):
    """Means and second moments of all samples and of those without each block.

    Sums without field have no mean that changes sign; others are taken as deviations, for less rounding.
    """
    fine, coarse = (one - one.mean(axis=0) * centred for one in (fine.astype(np.float64), coarse.astype(np.float64)))
    both = np.concatenate([fine, coarse], axis=1)
    products = block_sums(both[:, :, None] * both[:, None, :], blocks)
    firsts = block_sums(both, blocks)
    sizes = block_sums(np.ones(len(both)), blocks)
    without = [np.concatenate([one.sum(axis=0)[None], one.sum(axis=0) - one]) for one in (sizes, firsts, products)]
    number, first, second = without
    mean = first / number[:, None] * centred
    covariance = second / number[:, None, None] - mean[:, :, None] * mean[:, None, :]
    width = fine.shape[1]
    return covariance[:, width:, :width], covariance[:, width:, width:]


def _exponent(moments, count, operators, factor):
    """Return the exponent from the first operators and its standard error; NaN if the eigenvalue is not positive."""
    mixed, own = (one[:, :count, :count] for one in moments)
    _check_apart(own, operators[:count])
    eigenvalues = np.linalg.eigvals(np.linalg.solve(own, mixed))
    rows = np.arange(len(eigenvalues))
    largest = eigenvalues[rows, np.argmax(np.abs(eigenvalues), axis=1)]
    if (np.abs(largest.imag) > 1e-9 * np.abs(largest)).any() or (largest.real <= 0).any():
        return math.nan, math.nan
    exponents = np.log(largest.real) / math.log(factor)
    spread = exponents[1:] - exponents[1:].mean()
    blocks = len(spread)
    return exponents[0], math.sqrt((blocks - 1) / blocks * (spread @ spread))


def _check_apart(own, operators):
    """Raise if an operator does not vary, or one is told by others, in all samples or in those without a block."""
    variance = np.einsum("naa->na", own)
    varies = variance > SINGULAR * variance[0]
    if not varies.all():
        raise ParameterError(
            f"the operator {operators[int(np.argmin(varies.all(axis=0)))]!r} is the same in all blocked configurations "
            "or in all but one block of them; pass more, or leave it out"
        )
    scale = np.sqrt(variance)
    normed = own / scale[:, :, None] / scale[:, None, :]
    if np.linalg.eigvalsh(normed).min() < SINGULAR:
        raise ParameterError(
            f"the operators {', '.join(operators)} are linearly dependent in the blocked configurations; pass "
            "more, fewer levels, or leave the last operator out"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class MatchedCouplings:
    """Couplings after one step less those before, by matching two lattices.

    Attributes
    ----------
    operators : tuple of str
        Whose couplings.
    sides : tuple of int
        Of the lattices on which the two were compared.
    shifts, errors : numpy.ndarray
        float64 (sides, operators): ``K' - K``, dimensionless, and standard errors.
    """

    operators: tuple
    sides: tuple
    shifts: np.ndarray
    errors: np.ndarray


def match_couplings(
    large, small, *, rule="majority", factor=2, levels=None, operators=("nearest",), rng=None, blocks=20
) -> MatchedCouplings:
    """Find how couplings change in one step, by matching a lattice with one that is smaller by the factor of the step.

    Both have the same couplings. The larger one, blocked ``n + 1`` times, and the smaller one, blocked ``n`` times,
    have the same side; what differs in the means of the operators there is the effect of the couplings after one step,
    and their derivatives by the couplings tell how much these differ. After more steps the irrelevant ones have died
    away, and more operators than relevant ones cannot be told apart.

    Parameters
    ----------
    large, small : array_like of int8, PackedSpins, or iterator of them
        (samples, b L, b L) and (samples, L, L), values -1 and +1, periodic, of the same law without a field.
    rule, factor, rng, blocks
        As for `monte_carlo_rg`.
    levels : int, optional
        Steps of the smaller lattice, at least 1; as many as leave lattices of side 4 without it.
    operators : sequence of str
        Of `EVEN`.

    Returns
    -------
    MatchedCouplings
        For the smaller lattice blocked 0, 1, ... `levels` times.

    Raises
    ------
    ParameterError
        If the sides do not fit, or as for `monte_carlo_rg`.

    Notes
    -----
    Of nearest neighbours alone ``K' - K = (b**y_t - 1) (K - K_c)`` near the critical point, linearised.

    Examples
    --------
    >>> from isingflow.ising.sampling import sample_square
    >>> large, small = (sample_square(0.44, side=side, samples=2000, rng=1) for side in (16, 8))
    >>> match_couplings(large, small, rng=1).sides
    (8, 4)
    """
    operators = _checked_operators("operators", operators, EVEN)
    rng = None if rng is None else generator(rng)
    coarse = _series(small, operators, rule, factor, levels, rng)
    fine = _series(_larger(large, factor, coarse.sides[0]), operators, rule, factor, len(coarse.sides), rng)
    for series in (fine, coarse):
        blocks = _checked_blocks(blocks, len(series.sums[0]), len(operators))
    shifts, errors = [], []
    for level, blocked in enumerate(coarse.sums):
        mixed, own = _moments(coarse.sums[0], blocked, blocks, centred=True)
        _check_apart(own, operators)
        theirs, ours = (_means(one, blocks) for one in (fine.sums[level + 1], blocked))
        change = np.linalg.solve(mixed[0], theirs[0] - ours[0])
        of_large = np.linalg.solve(mixed[0], (theirs[1:] - ours[0])[:, :, None])[:, :, 0]
        of_small = np.linalg.solve(mixed[1:], (theirs[0] - ours[1:])[:, :, None])[:, :, 0]
        variance = sum((blocks - 1) * np.var(one, axis=0) for one in (of_large, of_small))
        shifts.append(change)
        errors.append(np.sqrt(variance))
    return MatchedCouplings(operators, coarse.sides, np.array(shifts), np.array(errors))


def _larger(spins, factor, side):
    """Yield the batches of a lattice that is larger than one of a side by a factor."""
    for batch in spins if isinstance(spins, Iterator) else [spins]:
        packed = _packed(batch)
        if packed.columns != factor * side:
            raise ParameterError(
                f"the larger lattice must be {factor} times as large as the smaller one, got sides {packed.columns} "
                f"and {side}"
            )
        yield packed


def _means(sums, blocks):
    """Means over all samples and over those without each block: float64 (1 + blocks, operators)."""
    parts, sizes = block_sums(sums.astype(np.float64), blocks), block_sums(np.ones(len(sums)), blocks)
    totals = np.concatenate([parts.sum(axis=0)[None], parts.sum(axis=0) - parts])
    return totals / np.concatenate([[sizes.sum()], sizes.sum() - sizes])[:, None]
