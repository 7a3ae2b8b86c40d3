"""Regime and scale: fits to what a curve says of a correlation, with jackknifed errors."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares


class Fit(NamedTuple):
    """Fitted parameters, their standard errors, and the sum of squared deviations in standard errors of the data."""

    parameters: np.ndarray
    errors: np.ndarray
    squares: float


def jackknife_errors(replicates) -> np.ndarray:
    """Return standard errors from delete-one-block replicates, float64 (blocks, n) -> (n,)."""
    return np.sqrt((len(replicates) - 1) * np.var(replicates, axis=0))


def jackknifed_fit(model, start, values, replicates) -> Fit:
    """Fit a model to correlated data, weighted by the errors of the points; jackknife the whole fit.

    A replicate's fit is one Gauss-Newton step away from that of all the data, to the order the jackknife has.

    Parameters
    ----------
    model : callable
        ``model(parameters) -> float64 (n,)``.
    start : sequence of float
        Where the search starts, p parameters.
    values : numpy.ndarray
        float64 (n,): the data.
    replicates : numpy.ndarray
        float64 (blocks, n): the data without each block.

    Returns
    -------
    Fit

    Examples
    --------
    >>> data = np.array([3.0, 5.1, 6.9])
    >>> noise = np.random.default_rng(1).normal(size=(20, 3)) * 0.01
    >>> fit = jackknifed_fit(lambda s: s[0] + s[1] * np.arange(3), [0, 1], data, data + noise - noise.mean(axis=0))
    >>> fit.parameters.round(1).tolist()
    [3.1, 1.9]
    """
    errors = jackknife_errors(replicates)
    found = least_squares(lambda parameters: (model(parameters) - values) / errors, start, x_scale="jac")
    steps = ((replicates - values) / errors) @ np.linalg.pinv(found.jac).T
    return Fit(found.x, jackknife_errors(steps), float(2 * found.cost))


class Ending(NamedTuple):
    """How a curve ends, as in `isingflow.curve.LevelCurve`."""

    regime: str
    scale: float = np.nan
    scale_error: float = np.nan
    exponent: float = np.nan
    exponent_error: float = np.nan


UNDETERMINED = Ending("undetermined")
LARGEST_RELATIVE_ERROR = 0.5
"""A scale known worse than this is no scale."""


def power_law(lengths, values, replicates) -> Ending:
    """Fit ``values ~ length^-exponent``; the ending is critical."""
    logs = np.log(lengths)
    start = np.polyfit(logs, np.log(values), 1)[::-1]
    fit = jackknifed_fit(lambda s: np.exp(s[0] + s[1] * logs), start, values, replicates)
    return Ending("critical", np.inf, np.nan, -fit.parameters[1], fit.errors[1])


def geometric(lengths, values, replicates) -> tuple[Fit, Ending]:
    """Fit ``values = limit + amplitude exp(rate (length - first))``, and tell the regime from the rate.

    "growing" and "saturating" with ``scale = 1/|rate|``; "critical" where that is longer than the range of lengths.

    Returns
    -------
    Fit
        Of (limit, amplitude, rate).
    Ending
        Without an exponent.
    """
    x = np.asarray(lengths, dtype=np.float64) - lengths[0]
    middle = len(x) // 2
    # three equidistant points give the rate: (y_2 - y_1)/(y_1 - y_0)
    ratio = (values[2 * middle - 1] - values[middle - 1]) / (values[middle] - values[0])
    rate = np.log(max(ratio, 1e-12)) / max(x[middle], 1) or 1e-9

    def shape(rate):
        return np.expm1(rate * x) / rate  # linear in x as the rate goes to zero

    def model(s):
        return s[0] + s[1] * shape(s[2] if abs(s[2]) > 1e-12 else 1e-12)

    linear = np.linalg.lstsq(np.stack([np.ones_like(x), shape(rate)], axis=1), values, rcond=None)[0]
    fit = jackknifed_fit(model, [*linear, rate], values, replicates)
    rate, error = fit.parameters[2], fit.errors[2]
    if abs(rate) * x[-1] < 1:
        return fit, Ending("critical", np.inf)
    if error > LARGEST_RELATIVE_ERROR * abs(rate):
        return fit, UNDETERMINED
    return fit, Ending("growing" if rate > 0 else "saturating", 1 / abs(rate), error / rate**2)
