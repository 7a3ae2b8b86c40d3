"""Regime and scale: fits to what a curve says of a correlation, with jackknifed errors."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares


class Fit(NamedTuple):
    """Fitted parameters, float64 (p,), their replicates (blocks, p) and standard errors (p,)."""

    parameters: np.ndarray
    replicates: np.ndarray
    errors: np.ndarray


def jackknife_errors(replicates) -> np.ndarray:
    """Return standard errors from delete-one-block replicates, float64 (blocks, n) -> (n,)."""
    return np.sqrt((len(replicates) - 1) * np.var(replicates, axis=0))


def jackknifed_fit(model, start, values, replicates, *, bounds=(-np.inf, np.inf)) -> Fit:
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
    bounds : pair
        Of the parameters, lower and upper, as `scipy.optimize.least_squares` takes them.

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
    found = least_squares(lambda parameters: (model(parameters) - values) / errors, start, x_scale="jac", bounds=bounds)
    moved = found.x + ((replicates - values) / errors) @ np.linalg.pinv(found.jac).T
    return Fit(found.x, moved, jackknife_errors(moved))


class Ending(NamedTuple):
    """How a curve ends, as in `isingflow.curve.LevelCurve`."""

    regime: str
    scale: float = np.nan
    scale_error: float = np.nan
    exponent: float = np.nan
    exponent_error: float = np.nan
    fit: str = ""


UNDETERMINED = Ending("undetermined")
LARGEST_RELATIVE_ERROR = 0.25
"""A scale known worse than this is no scale."""


def described(model, lengths) -> str:
    """Return what a curve says of a fit: its model and the range of its data."""
    return f"{model}, {len(lengths)} points from {lengths[0]:g} to {lengths[-1]:g}"


def power_law(what, lengths, values, replicates) -> Ending:
    """Fit ``values ~ length^-exponent``; the ending is critical."""
    logs = np.log(lengths)
    start = np.polyfit(logs, np.log(values), 1)[::-1]
    fit = jackknifed_fit(lambda s: np.exp(s[0] + s[1] * logs), start, values, replicates)
    words = described(f"power law of {what}", lengths)
    return Ending("critical", np.inf, np.nan, -fit.parameters[1], fit.errors[1], words)


class Geometric(NamedTuple):
    """How geometric data end; if they saturate their limit, of all and of each replicate, otherwise None."""

    ending: Ending
    limits: np.ndarray | None = None


def geometric(what, lengths, values, replicates) -> Geometric:
    """Fit ``values = start + slope (exp(rate x) - 1)/rate``, ``x`` from the first length, and tell the regime.

    "growing" and "saturating" with ``scale = 1/|rate|``; "critical", linear in ``x``, where that is longer than the
    range of lengths; "undetermined" where the error of the rate does not allow to tell, or exceeds a quarter of it.

    Parameters
    ----------
    what : str
        What the values are, for the description of the fit.
    lengths, values : numpy.ndarray
        float64 (n,), lengths equidistant, n at least 5.
    replicates : numpy.ndarray
        float64 (blocks, n).

    Returns
    -------
    Geometric

    Examples
    --------
    >>> x = np.arange(10.0)
    >>> noise = np.random.default_rng(1).normal(size=(20, 10)) * 1e-4
    >>> data = 3 - 2 * np.exp(-x / 4)
    >>> found = geometric("data", x, data, data + noise)
    >>> found.ending.regime, round(found.ending.scale, 3), found.limits.shape, round(float(found.limits[0]), 3)
    ('saturating', 4.0, (21,), 3.0)
    """
    x = np.asarray(lengths, dtype=np.float64) - lengths[0]
    middle = len(x) // 2
    # of three equidistant points the differences' ratio gives the rate
    ratio = (values[2 * middle - 1] - values[middle]) / (values[middle - 1] - values[0])
    fastest = 100 / x[-1]  # its exponential is finite, and so is the square of that
    rate = np.log(ratio) / x[middle] if ratio > 0 and ratio != 1 else -1 / x[-1]
    rate = np.clip(rate, -fastest / 2, fastest / 2)

    def shape(rate):
        rate = rate if abs(rate) > 1e-9 else 1e-9
        return np.expm1(rate * x) / rate

    start = np.linalg.lstsq(np.stack([np.ones_like(x), shape(rate)], axis=1), values, rcond=None)[0]
    bounds = ([-np.inf, -np.inf, -np.inf], [np.inf, np.inf, fastest])
    fit = jackknifed_fit(lambda s: s[0] + s[1] * shape(s[2]), [*start, rate], values, replicates, bounds=bounds)
    rate, error = float(fit.parameters[2]), float(fit.errors[2])
    words = described(f"constant and exponential of {what}", lengths)
    undetermined = Geometric(UNDETERMINED._replace(fit=words))
    if abs(rate) * x[-1] < 1:
        return Geometric(Ending("critical", np.inf, fit=words)) if error * x[-1] < 1 else undetermined
    if error > LARGEST_RELATIVE_ERROR * abs(rate):
        return undetermined
    ending = Ending("growing" if rate > 0 else "saturating", 1 / abs(rate), error / rate**2, fit=words)
    if rate > 0:
        return Geometric(ending)
    return Geometric(ending, np.array([s[0] - s[1] / s[2] for s in (fit.parameters, *fit.replicates)]))
