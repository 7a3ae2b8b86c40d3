"""Two spins without magnetization: their law is one number, the correlation ``c = <s s'>``."""

import math

from scipy.optimize import brentq

from isingflow.parameters import finite


def relative_entropy(correlation, other) -> float:
    """Return ``D(p||q)`` of two pairs with correlations ``c_p`` and ``c_q``, in nats.

    ``sum_{+-} (1 +- c_p)/2 ln[(1 +- c_p)/(1 +- c_q)]``: the pair window of any spin-flip-symmetric Ising model.

    Parameters
    ----------
    correlation, other : float
        ``c_p`` and ``c_q``, dimensionless, in [-1, 1].

    Returns
    -------
    float
        ``inf`` where q excludes what p does not.

    Raises
    ------
    ParameterError
        If a correlation is not finite or out of range.

    Examples
    --------
    >>> round(relative_entropy(0.352249535, 0.028397360), 5)
    0.05379
    """
    p = finite("correlation", correlation, low=-1.0, high=1.0)
    q = finite("other", other, low=-1.0, high=1.0)
    total = 0.0
    for here, there in ((1 + p, 1 + q), (1 - p, 1 - q)):
        if here > 0:
            if there == 0:
                return math.inf
            change = (there - here) / here
            logarithm = math.log1p(change) if change > -0.5 else math.log(there / here)
            total += here / 2 * (change - logarithm)  # non-negative terms: nothing cancels
        else:
            total += there / 2
    return total


def jensen_shannon(correlation, other) -> float:
    """Return the Jensen-Shannon divergence of two pairs with correlations ``c_p`` and ``c_q``, in nats.

    Parameters
    ----------
    correlation, other : float
        ``c_p`` and ``c_q``, dimensionless, in [-1, 1].

    Returns
    -------
    float
        At most ln 2, which opposite pairs have.

    Raises
    ------
    ParameterError
        If a correlation is not finite or out of range.

    Examples
    --------
    >>> round(jensen_shannon(1.0, -1.0), 9)
    0.693147181
    """
    p = finite("correlation", correlation, low=-1.0, high=1.0)
    q = finite("other", other, low=-1.0, high=1.0)
    middle = (p + q) / 2
    return (relative_entropy(p, middle) + relative_entropy(q, middle)) / 2


def correlation_from_relative_entropy(value, correlation) -> float:
    """Return the ``c_q`` below ``c_p`` at which `relative_entropy` takes this value: its inverse.

    Parameters
    ----------
    value : float
        Relative entropy in nats, at least 0, below 30 (where ``c_q`` is -1 to double precision).
    correlation : float
        ``c_p``, dimensionless, in [0, 1).

    Returns
    -------
    float
        Negative where the value exceeds that of independent spins, as a noisy one may.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    Examples
    --------
    >>> round(correlation_from_relative_entropy(relative_entropy(0.7, 0.2), 0.7), 12)
    0.2
    """
    correlation = finite("correlation", correlation, low=0.0, high=math.nextafter(1.0, 0.0))
    # in u = artanh c_q, which has no ends; far down D grows like (1 + c_p)|u| >= |u|
    value = finite("value", value, low=0.0, high=(1 + correlation) * 15)
    top = math.atanh(correlation)
    if value <= relative_entropy(correlation, math.tanh(top)):
        return correlation
    root = brentq(lambda u: relative_entropy(correlation, math.tanh(u)) - value, -17.0, top, xtol=1e-15)
    return math.tanh(root)
