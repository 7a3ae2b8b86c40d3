"""Approximate recursions for the couplings of the decimated square lattice, each named for what it is.

Only the first step from a nearest-neighbour model is exact (`exact_first_step`); every recursion closes it in its
own way. All are even in ``K`` and know no field.

References: Maris & Kadanoff, Am. J. Phys. 46, 652 (1978); Wilson, Rev. Mod. Phys. 47, 773 (1975), section VI;
Migdal, Sov. Phys. JETP 42, 743 (1975); Kadanoff, Ann. Phys. 100, 359 (1976).
"""

import math
from typing import NamedTuple

import numpy as np

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
    """A recursion, the number of sqrt(2) levels of one step, and what it does to ``(K1, K2)``."""

    levels: int
    step: object


RECURSIONS = {
    "nearest-neighbour": Recursion(1, lambda k: (_log_cosh(4 * k) / 4,)),
    "maris-kadanoff": Recursion(1, lambda k: (3 * _log_cosh(4 * k) / 8,)),
    "wilson": Recursion(1, lambda k1, k2: (2 * k1**2 + k2, k1**2)),
    "migdal-kadanoff": Recursion(2, lambda k: (_log_cosh(4 * k) / 2,)),
}
"""By name: truncation to nearest neighbours, Maris and Kadanoff's, Wilson's quadratic, Migdal and Kadanoff's b = 2."""


def flow(coupling, *, scheme, steps) -> np.ndarray:
    """Return the couplings along an approximate renormalization-group flow.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K`` at level 0, dimensionless, in [-100, 100].
    scheme : {"nearest-neighbour", "maris-kadanoff", "wilson", "migdal-kadanoff"}
        The recursion. A step of "migdal-kadanoff" is one of length 2 (two sqrt(2) levels), of the others sqrt(2).
        Fixed points: none but 0 and infinity; 0.506981; (1/3, 1/9); 0.304689.
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
