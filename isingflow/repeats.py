"""Independent repeats of a level curve, combined into one with one error bar."""

import dataclasses
import math

import numpy as np
from scipy.special import fdtrc

from isingflow.curve import SERIES, SUMMARY, LevelCurve

SCATTERED = "repeats scatter beyond their errors"
APART = "repeats end differently"

FALSE_ALARMS = 1e-6
"""Probability that a curve whose errors are right is called scattered, at most."""

DEGREES = 19
"""Of freedom of an error from 20 blocks."""


def combined(curves) -> LevelCurve:
    """Return the mean of independent repeats, equally weighted, with the error that follows from theirs.

    Errors are independent: that of the mean is the root of the sum of squares over the number. Where the repeats
    scatter more than their errors say (F-test, level by level), the curve gets a flag. Asymptote, scale and exponent
    are means, too, if all repeats end in one regime; else there are none, and the curve gets a flag.

    Parameters
    ----------
    curves : sequence of LevelCurve
        Of one family, the same levels and parameters. One alone is returned as it is.

    Returns
    -------
    LevelCurve
        With `samples` of all together.

    Examples
    --------
    >>> from isingflow.flow import chain_flow
    >>> repeats = [chain_flow(0.4, quantity="pair marginal", sites=1024, samples=40, rng=seed) for seed in range(4)]
    >>> one = combined(repeats)
    >>> one.samples, bool(one.error[1] < repeats[0].error[1])
    (160, True)
    """
    first = curves[0]
    if len(curves) == 1:
        return first
    fields = {name: np.array([getattr(curve, name) for curve in curves]) for name in (*SERIES, *SUMMARY)}
    found = {name: _error(rows) if name.endswith("error") else _mean(rows) for name, rows in fields.items()}
    flags = [flag for curve in curves for flag in curve.flags]
    if _scattered(fields["value"], fields["error"]):
        flags.append(SCATTERED)
    regime = first.regime
    if any(curve.regime != regime for curve in curves):
        regime = "undetermined"
        found |= {name: math.nan for name in SUMMARY if not name.endswith("_exact")}
        flags.append(APART)
    return dataclasses.replace(
        first,
        **found,
        regime=regime,
        fit="; ".join(dict.fromkeys(filter(None, (curve.fit for curve in curves)))),
        samples=sum(curve.samples for curve in curves),
        flags=tuple(flags),
    )


def _mean(rows):
    """The mean of the first axis, exactly the value where all are the same."""
    mean = np.add.reduce(rows, axis=0) / len(rows)
    return np.where((rows == rows[0]).all(axis=0), rows[0], mean)


def _error(rows):
    return np.sqrt(np.add.reduce(rows**2, axis=0)) / len(rows)


def _scattered(values, errors):
    known = (errors > 0).all(axis=0)
    if not known.any():
        return False
    ratio = values[:, known].var(axis=0, ddof=1) / np.mean(errors[:, known] ** 2, axis=0)
    return bool(fdtrc(len(values) - 1, DEGREES * len(values), ratio.max()) < FALSE_ALARMS / known.sum())
