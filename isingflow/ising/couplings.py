"""Approximate recursions for the couplings of the decimated square lattice, each named for what it is.

Only the first step from a nearest-neighbour model is exact (`exact_first_step`); every recursion closes it in its
own way. All are even in ``K`` and know no field.

References: Maris & Kadanoff, Am. J. Phys. 46, 652 (1978); Wilson, Rev. Mod. Phys. 47, 773 (1975), section VI;
Migdal, Sov. Phys. JETP 42, 743 (1975); Kadanoff, Ann. Phys. 100, 359 (1976).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import root

from isingflow.errors import ParameterError
from isingflow.parameters import choice, whole
from isingflow.parameters import coupling as checked_coupling


def _log_cosh(x):
    x = abs(x)
    return x + math.log1p(math.exp(-2 * x)) - math.log(2) if x > 0.5 else math.log1p(2 * math.sinh(x / 2) ** 2)


class FirstStep(NamedTuple):
    """Couplings after one sqrt(2) decimation, and the constant ``A`` per kept spin, all dimensionless."""

    nearest: float
    diagonal: float
    plaquette: float
    constant: float


def exact_first_step(coupling) -> FirstStep:
    """Return the exact couplings of the square lattice with every other spin summed out.

    ``K1' = 1/4 ln cosh 4K``, ``K2' = 1/8 ln cosh 4K``, ``K3' = 1/8 ln cosh 4K - 1/2 ln cosh 2K`` and
    ``A = ln 2 + 1/8 ln cosh 4K + 1/2 ln cosh 2K``, so that ``ln z(K1', K2', K3') = 2 ln z(K) - A``.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in [-100, 100].

    Returns
    -------
    FirstStep

    Raises
    ------
    ParameterError
        If `coupling` is not finite or out of range.

    References
    ----------
    Maris & Kadanoff (1978), eq. (18).

    Examples
    --------
    >>> [round(value, 6) for value in exact_first_step(0.3)]
    [0.148422, 0.074211, -0.010857, 0.852426]
    """
    coupling = checked_coupling("coupling", coupling)
    four, two = _log_cosh(4 * coupling), _log_cosh(2 * coupling)
    return FirstStep(four / 4, four / 8, four / 8 - two / 2, math.log(2) + four / 8 + two / 2)


class Recursion(NamedTuple):
    """A recursion, the number of sqrt(2) levels of one step, and what it does to ``(K1, K2)``.

    ``slopes`` are the rows of the derivative of a step; ``near`` is a guess of its fixed point, ``()`` where there is
    none but 0 and infinity.
    """

    levels: int
    step: object
    slopes: object
    near: tuple


RECURSIONS = {
    "nearest-neighbour": Recursion(1, lambda k: (_log_cosh(4 * k) / 4,), lambda k: ((math.tanh(4 * k),),), ()),
    "maris-kadanoff": Recursion(
        1, lambda k: (3 * _log_cosh(4 * k) / 8,), lambda k: ((1.5 * math.tanh(4 * k),),), (0.5,)
    ),
    "wilson": Recursion(
        1, lambda k1, k2: (2 * k1**2 + k2, k1**2), lambda k1, k2: ((4 * k1, 1.0), (2 * k1, 0.0)), (0.3, 0.1)
    ),
    "migdal-kadanoff": Recursion(2, lambda k: (_log_cosh(4 * k) / 2,), lambda k: ((2 * math.tanh(4 * k),),), (0.3,)),
}
"""By name: truncation to nearest neighbours, Maris and Kadanoff's, Wilson's quadratic, Migdal and Kadanoff's b = 2."""

STEPS_TO_TELL = 200
"""Steps after which a flow from the double next to the critical coupling has left the fixed point: 70 would do."""


def flow(coupling, *, scheme, steps) -> np.ndarray:
    """Return the couplings along an approximate renormalization-group flow.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K`` at level 0, dimensionless, in [-100, 100].
    scheme : {"nearest-neighbour", "maris-kadanoff", "wilson", "migdal-kadanoff"}
        The recursion. A step of "migdal-kadanoff" is one of length 2 (two sqrt(2) levels), of the others sqrt(2).
        Fixed points: see `fixed_point`.
    steps : int
        Number of steps, at least 0.

    Returns
    -------
    numpy.ndarray
        float64 (steps + 1, k): ``K1``, and ``K2`` for "wilson". A flow that leaves [-100, 100], towards infinite
        coupling, is cut before: its remaining rows are ``inf``.

    Raises
    ------
    ParameterError
        If an argument is not finite or out of range.

    Examples
    --------
    >>> flow(0.3, scheme="maris-kadanoff", steps=2).round(6).tolist()
    [[0.3], [0.222633], [0.132402]]
    """
    recursion = RECURSIONS[choice("scheme", scheme, RECURSIONS)]
    state = (checked_coupling("coupling", coupling), 0.0)[: recursion.step.__code__.co_argcount]
    levels = [state]
    for _ in range(whole("steps", steps, low=0)):
        if all(math.isfinite(value) for value in state):
            state = recursion.step(*state)
            if max(map(abs, state)) > 100:
                state = (math.inf,) * len(state)
        levels.append(state)
    return np.array(levels, dtype=np.float64)


class FixedPoint(NamedTuple):
    """The non-trivial fixed point of a recursion.

    Attributes
    ----------
    couplings : tuple of float
        ``K1``, and ``K2`` for "wilson", dimensionless.
    eigenvalues : tuple of float
        Of the linearised step, largest first; the first is the thermal one.
    length : float
        ``b``, the length of a step in lattice constants: sqrt(2) or 2.
    thermal_exponent : float
        ``y_t = ln lambda / ln b``; exact: 1.
    nu : float
        ``1 / y_t``, the exponent of the correlation length; exact: 1.
    """

    couplings: tuple
    eigenvalues: tuple
    length: float
    thermal_exponent: float
    nu: float


def fixed_point(scheme) -> FixedPoint:
    """Return the non-trivial fixed point of a recursion, and the exponents it predicts.

    ================  ====================  ===================  ======  ======
    recursion         fixed point           eigenvalues          y_t     nu
    ================  ====================  ===================  ======  ======
    maris-kadanoff    0.506981              1.448922             1.0700  0.9346
    wilson            (1/3, 1/9)            (2 +- sqrt(10)) / 3  1.5661  0.6385
    migdal-kadanoff   0.304689              1.678574             0.7472  1.3383
    exact             (infinitely many)                          1       1
    ================  ====================  ===================  ======  ======

    Parameters
    ----------
    scheme : {"maris-kadanoff", "wilson", "migdal-kadanoff"}
        As in `flow`.

    Returns
    -------
    FixedPoint

    Raises
    ------
    ParameterError
        If there is no such recursion, or it is "nearest-neighbour", which has none.

    References
    ----------
    Maris & Kadanoff (1978); Wilson (1975), section VI; Migdal (1975); Kadanoff (1976).

    Examples
    --------
    >>> [round(value, 6) for value in fixed_point("wilson").couplings]
    [0.333333, 0.111111]
    >>> round(fixed_point("migdal-kadanoff").nu, 4)
    1.3383
    """
    recursion = _with_fixed_point(scheme)

    def residual(couplings):
        return np.subtract(recursion.step(*couplings), couplings)

    def slopes(couplings):
        return np.array(recursion.slopes(*couplings)) - np.eye(len(recursion.near))

    found = root(residual, recursion.near, jac=slopes, tol=1e-12).x
    found = found - np.linalg.solve(slopes(found), residual(found))  # Newton's last step, to the last digits
    couplings = tuple(found.tolist())
    eigenvalues = np.sort(np.linalg.eigvals(np.array(recursion.slopes(*couplings))))[::-1].tolist()
    length = 2 ** (recursion.levels / 2)
    exponent = math.log(eigenvalues[0]) / math.log(length)
    return FixedPoint(couplings, tuple(eigenvalues), length, exponent, 1 / exponent)


def critical_coupling(scheme) -> float:
    """Return the nearest-neighbour ``K`` from which the flow of a recursion reaches its fixed point.

    From below it the flow runs to zero, from above to infinite coupling. For recursions of one coupling it is the
    fixed point itself; for "wilson" it is 0.392092. Exact: ``ln(1 + sqrt 2) / 2 = 0.440687``.

    Parameters
    ----------
    scheme : {"maris-kadanoff", "wilson", "migdal-kadanoff"}
        As in `flow`.

    Returns
    -------
    float
        Dimensionless.

    Raises
    ------
    ParameterError
        As `fixed_point`.

    Examples
    --------
    >>> round(critical_coupling("wilson"), 6)
    0.392092
    """
    recursion = _with_fixed_point(scheme)
    if len(recursion.near) == 1:
        return fixed_point(scheme).couplings[0]
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if math.isinf(flow(middle, scheme=scheme, steps=STEPS_TO_TELL)[-1, 0]):
            high = middle
        else:
            low = middle
    return low


def _with_fixed_point(scheme) -> Recursion:
    recursion = RECURSIONS[choice("scheme", scheme, RECURSIONS)]
    if not recursion.near:
        raise ParameterError(
            f"{scheme!r} has no fixed point but 0 and infinity, its couplings fall at every step; those that have one "
            f"are {', '.join(repr(name) for name, one in RECURSIONS.items() if one.near)}"
        )
    return recursion
