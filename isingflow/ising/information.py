"""What spins that decimation removes know of those that it keeps: exact mutual information.

Given the spins of one sublattice, those of the other are independent, each in the field ``K S`` of the sum ``S`` of its
four neighbours. With ``h(x) = ln(2 cosh x) - x tanh x``, the entropy of a spin in a field ``x``, the two sublattices
know of each other, per site, ``s - <h(K S)>``, where ``s`` is the entropy per site; and a spin knows of its neighbours
``h(artanh m) - <h(K S)>``, where ``m`` is its magnetization.

References: Lau & Grassberger, Phys. Rev. E 87, 022128 (2013), for information in the Ising model; Fowler & Heckman,
arXiv:2108.02772, for decimation as a channel.
"""

import math

import numpy as np
from scipy.special import entr, expit

from isingflow.ising import square
from isingflow.parameters import PHASES, choice, finite

STRONG = 400.0
"""Field beyond which the entropy of a spin is 0, also in the numbers there are."""

WEAK = 0.05
"""Coupling below which the law of the four neighbours is taken from the series of their four-point function."""

FOUR_POINT = (2532, 612, 164, 52, 20, 7, 0, 0)
"""Its coefficients in ``tanh(K)**2``, from the seventh power down; the next, 11120, is below 1e-16 there."""


def spin_entropy(local_field) -> np.ndarray:
    """Return the entropy of a spin in a field.

    Parameters
    ----------
    local_field : array_like of float
        Dimensionless.

    Returns
    -------
    numpy.ndarray
        float64, nats, between 0 and ln 2.

    Examples
    --------
    >>> spin_entropy([0.0, 1.0]).round(6).tolist()
    [0.693147, 0.365334]
    """
    x = np.minimum(np.abs(np.asarray(local_field, dtype=np.float64)), STRONG)
    return np.log1p(np.exp(-2 * x)) + 2 * x * expit(-2 * x)


def neighbour_sums(coupling) -> np.ndarray:
    """Return the law of the absolute sum of a site's four neighbours in the infinite lattice.

    From the correlations of neighbours along the diagonal and the row, which give ``<S^2>``, and from ``<s s'>``, which
    is ``<S tanh(K S)> / 4``.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in (0, 100].

    Returns
    -------
    numpy.ndarray
        float64 (3,): probabilities of 0, 2 and 4, right to 1e-13.

    Raises
    ------
    ParameterError
        If `coupling` is out of range.

    Examples
    --------
    >>> neighbour_sums(0.3).round(4).tolist()
    [0.261, 0.4668, 0.2722]
    """
    coupling = finite("coupling", coupling, above=0.0, high=100.0)
    diagonal = square.correlation(coupling, 1, direction="diagonal")
    second = square.correlation(coupling, 2, direction="row")
    if coupling < WEAK:  # the equations below say the same twice as K goes to 0
        pairs, all_four = 4 * diagonal + 2 * second, np.polyval(FOUR_POINT, math.tanh(coupling) ** 2)
        return np.array([3 + 3 * all_four - pairs, 4 - 4 * all_four, 1 + all_four + pairs]) / 8
    moments = [4 * square.bond_correlation(coupling), 4 + 8 * diagonal + 4 * second]
    two, four = np.linalg.solve([[2 * math.tanh(2 * coupling), 4 * math.tanh(4 * coupling)], [4, 16]], moments)
    return np.array([1 - two - four, two, four])


def _entropy_given_neighbours(coupling):
    return float(neighbour_sums(coupling) @ spin_entropy(coupling * np.array([0.0, 2.0, 4.0])))


def sublattice_information(coupling) -> float:
    """Return the mutual information of the two sublattices of the infinite square lattice, per site.

    One of them is what a step of decimation keeps, the other what it removes. Its slope is infinite at ``K_c``, where
    it falls; its maximum lies below, at K = 0.377656.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in (0, 100].

    Returns
    -------
    float
        Nats per site of the lattice.

    Raises
    ------
    ParameterError
        If `coupling` is out of range.

    Examples
    --------
    >>> [round(sublattice_information(coupling), 6) for coupling in (0.3, 0.377656, square.CRITICAL_COUPLING)]
    [0.067753, 0.08127, 0.053087]
    """
    given = _entropy_given_neighbours(coupling)
    return square.log_partition(coupling) - 2 * coupling * square.bond_correlation(coupling) - given


def neighbour_information(coupling, *, phase="symmetric") -> float:
    """Return the mutual information of a spin and its four neighbours in the infinite square lattice.

    Of one phase it has a cusp at ``K_c``, its maximum, because the magnetization sets in with an infinite slope there.
    Of both together it only rises: a neighbour also tells of which phase they are.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in (0, 100].
    phase : {"symmetric", "up"}
        Both phases mixed evenly, or one of them.

    Returns
    -------
    float
        Nats.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    Examples
    --------
    >>> [round(neighbour_information(coupling, phase="up"), 6) for coupling in (0.43, square.CRITICAL_COUPLING, 0.45)]
    [0.403382, 0.439764, 0.155648]
    """
    given = _entropy_given_neighbours(coupling)
    magnetization = square.magnetization(coupling) if choice("phase", phase, PHASES) == "up" else 0.0
    return float(entr((1 + magnetization) / 2) + entr((1 - magnetization) / 2)) - given
