"""Entropy, mutual information and the Jensen-Shannon divergence, by the means of `kl_divergence`."""

import numpy as np

from isingflow.divergence import discrete, gaussian, samples
from isingflow.divergence.boltzmann import BoltzmannSamples
from isingflow.divergence.discrete import Counts
from isingflow.divergence.estimate import (
    NEAR,
    KLEstimate,
    both_are,
    centred,
    check_error,
    check_method,
    checked_between,
    from_energies,
    from_totals,
    refuse_chains_axis,
    refuse_singular,
    statistics_of,
    tallied,
)
from isingflow.divergence.gaussian import Moments
from isingflow.divergence.laws import Categorical
from isingflow.errors import ParameterError
from isingflow.parameters import choice, whole

ERRORS = ("auto", "jackknife", "influence")
TOTALS = ERRORS[1:]
"""Errors of estimates from totals, the automatic one first."""

LOW_COVERAGE = 0.99
"""Share of the law whose symbols the sample shows, below which what is not seen may exceed the error."""


def jensen_shannon(
    p, q, *, method="auto", error="auto", blocks=20, chains_axis=None, symmetry="none", paired=False, between=()
) -> KLEstimate:
    """Estimate the Jensen-Shannon divergence ``[D(p||h) + D(q||h)]/2`` with ``h = (p + q)/2``: at most ln 2, symmetric.

    Parameters
    ----------
    p, q : Categorical laws, `BoltzmannSamples`, integer arrays or `Counts`, both of one kind
        As in `kl_divergence`.
    method : str
        "auto", or "exact" for laws, "jackknife-corrected" for integers (the plug-in value less its bias of order
        ``1/n``), "mbar" or "mbar-ladder" for samples with known energies.
    error, blocks, chains_axis, symmetry, paired, between
        As in `kl_divergence`.

    Returns
    -------
    KLEstimate
        In nats. From integers it may be negative, or exceed ln 2.

    Raises
    ------
    ParameterError
        For floats and `Moments`, and as in `kl_divergence`.

    References
    ----------
    Lin, IEEE Trans. Inf. Theory 37, 145 (1991), eq. (4.1).

    Examples
    --------
    >>> print(jensen_shannon(Categorical([1.0, 0.0]), Categorical([0.5, 0.5])))
    0.2157615543 nats
    >>> rng = np.random.default_rng(1)
    >>> print(jensen_shannon(rng.random(4000) < 0.5, rng.random(4000) < 0.3))
    0.0237(27) nats
    """
    choice("error", error, ERRORS)
    choice("symmetry", symmetry, discrete.SYMMETRIES)
    resampled = {"error": error, "blocks": whole("blocks", blocks, low=4), "paired": paired}
    between = checked_between(between, p)
    if any(hasattr(one, "relative_entropy_to") for one in (p, q)):
        return _between_laws(p, q, method, error)
    if both_are(BoltzmannSamples, p, q, chains_axis):
        return from_energies(p, q, "jensen_shannon", method, between=between, **resampled)
    if both_are(Moments, p, q, chains_axis):
        _refuse_floats()
    if not both_are(Counts, p, q, chains_axis):
        p, q = (samples.in_chains(name, one, chains_axis) for name, one in (("p", p), ("q", q)))
        samples.same_components(p, q)
        if samples.are_floats(p, q):
            _refuse_floats()
    method = check_method(method, ("jackknife-corrected",), "counts of symbols")
    error = check_error(error, TOTALS, method)
    given = tallied(p, q, symmetry)
    n_p, n_q = (one.number for one in given)
    if min(n_p, n_q) < 2:
        raise ParameterError(f"a bias can be told from two observations at least, got {n_p} of p and {n_q} of q")
    statistics = statistics_of(given, error, resampled["blocks"])
    about = {"method": method, "n_p": n_p, "n_q": n_q, "dof": given[0].dof}
    about |= _covered(**dict(zip("pq", statistics, strict=True)))
    resampled["error"] = error
    return from_totals(
        discrete.jensen_shannon, discrete.jensen_shannon_gradient, given, statistics, **resampled, **about
    )


def _refuse_floats():
    raise ParameterError(
        "the Jensen-Shannon divergence of floats has no estimator here, since a mixture of normal laws is not normal: "
        "bin the samples and pass integers, or take kl_divergence in both directions"
    )


def _between_laws(p, q, method, error):
    if not (isinstance(p, Categorical) and isinstance(q, Categorical)):
        raise ParameterError(
            "the Jensen-Shannon divergence of laws is exact for two Categorical ones, got "
            f"{type(p).__name__} and {type(q).__name__}: a mixture of normal or Boltzmann laws is no such law; of "
            "windows pass Categorical(law.probabilities())"
        )
    check_error(error, (), check_method(method, ("exact",), "known laws"))
    if len(p.probs) != len(q.probs):
        raise ParameterError(f"p and q must have the same symbols, got {len(p.probs)} and {len(q.probs)}")
    mixture = Categorical((p.probs + q.probs) / 2)
    return KLEstimate((p.relative_entropy_to(mixture) + q.relative_entropy_to(mixture)) / 2, 0.0, "exact")


def _covered(**statistics):
    """Good-Turing coverage of each sample as diagnostics, and the flag that it is low, for `from_totals`."""
    coverage = {}
    for name, one in statistics.items():
        total = one.sum(axis=0)
        coverage[f"coverage_{name}"] = 1 - float(np.sum(total == 1) / total.sum())
    return {"diagnostics": coverage, "flags": ("low-coverage",) if min(coverage.values()) < LOW_COVERAGE else ()}


def entropy(given, *, method="auto", error="auto", blocks=20, chains_axis=None) -> KLEstimate:
    """Estimate the entropy of a law, of spins, or the differential entropy of activations.

    Parameters
    ----------
    given : law, array, `Counts` or `Moments`
        A law with ``entropy()``; integers or floats as in `kl_divergence`.
    method : str
        "auto", or "exact" for laws, "zhang" for integers (bias-reduced, low by what is not yet seen), "gaussian" for
        floats (unbiased for a normal law).
    error, blocks, chains_axis
        As in `kl_divergence`.

    Returns
    -------
    KLEstimate
        In nats; a differential entropy may be negative.

    Raises
    ------
    ParameterError
        As in `kl_divergence`.

    References
    ----------
    Zhang, Neural Comput. 24, 1368 (2012); Misra, Singh & Demchuk, J. Multivar. Anal. 92, 324 (2005), for normal laws.

    Examples
    --------
    >>> print(entropy(np.random.default_rng(1).integers(4, size=2000)))  # ln 4 = 1.3863
    1.3851(15) nats
    """
    choice("error", error, ERRORS)
    blocks = whole("blocks", blocks, low=4)
    if hasattr(given, "relative_entropy_to"):
        if not hasattr(given, "entropy"):
            raise ParameterError(f"a law needs a method entropy(), {type(given).__name__} has none")
        check_error(error, (), check_method(method, ("exact",), "known laws"))
        return KLEstimate(float(given.entropy()), 0.0, "exact", dof=getattr(given, "dof", 1))
    if isinstance(given, BoltzmannSamples):
        raise ParameterError("the entropy of samples with known energies is not estimated: two laws are needed")
    if isinstance(given, (Counts, Moments)):
        refuse_chains_axis(type(given), chains_axis)
        return (_of_symbols if isinstance(given, Counts) else _of_points)(given, method, error, blocks)
    array = samples.in_chains("the sample", given, chains_axis)
    if array.dtype.kind != "f":
        return _of_symbols(array, method, error, blocks)
    if method == "auto":
        samples.refuse_discrete_floats(array)
    return _of_points(array, method, error, blocks)


def _of_symbols(given, method, error, blocks):
    method = check_method(method, ("zhang",), "counts of symbols")
    error = check_error(error, TOTALS, method)
    (tally,) = samples.seen(samples.tables(given) if isinstance(given, Counts) else samples.symbols(given)[0])
    statistics = statistics_of([tally], error, blocks)
    about = {"method": method, "n_p": tally.number, "dof": tally.dof}
    about |= _covered(p=statistics[0])
    return from_totals(
        discrete.entropy, _alone(discrete.entropy_gradient), [tally], statistics, **_how(error, blocks), **about
    )


def _of_points(given, method, error, blocks):
    method = check_method(method, ("gaussian",), "floats")
    error = check_error(error, TOTALS, method)
    points = samples.MomentRecords(given) if isinstance(given, Moments) else centred(given)[0]
    return _from_moments(points, gaussian.entropy, gaussian.entropy_gradient, method, error, blocks)


def _from_moments(points, value, gradient, method, error, blocks):
    d, n = points.dof, points.number
    spared = int(points.sizes(blocks).max()) * 2 if error == "jackknife" and n >= blocks else 0
    if n - spared < d + 1:
        deleted = f", with two of {blocks} blocks deleted," if spared else ""
        raise ParameterError(
            f"a covariance in {d} dimensions needs more samples:{deleted} at least {d + 1}, got {n} in all; sample "
            "more or take fewer components"
        )
    statistics = statistics_of([points], error, blocks)
    refuse_singular("the sample", statistics[0].sum(axis=0), d)
    about = {"method": method, "n_p": n, "dof": d, "diagnostics": {"samples_per_dimension": n / d}}
    about["flags"] = ("n-near-d",) if n < NEAR * d else ()
    return from_totals(value, _alone(gradient), [points], statistics, **_how(error, blocks), **about)


def _alone(gradient):
    return lambda total: (gradient(total),)


def _how(error, blocks):
    return {"error": error, "blocks": blocks}


def mutual_information(x, y, *, method="auto", error="auto", blocks=20, chains_axis=None) -> KLEstimate:
    """Estimate the mutual information ``H(x) + H(y) - H(x, y)`` of variables observed together.

    Parameters
    ----------
    x, y : array_like of int, bool or float
        (n,) or (n, components), both integers or both floats: sample ``i`` of x belongs to sample ``i`` of y.
    method : str
        "auto", or "zhang" for integers, from three bias-reduced entropies: high by what of the joint law is not yet
        seen; "gaussian" for floats, unbiased for a joint normal law.
    error, blocks, chains_axis
        As in `kl_divergence`.

    Returns
    -------
    KLEstimate
        In nats; may be negative where x and y are nearly independent. `n_q` is 0, `dof` that of x and y together.

    Raises
    ------
    ParameterError
        If x and y differ in the number of samples, and as in `kl_divergence`.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.random(4000) < 0.5
    >>> print(mutual_information(x, x ^ (rng.random(4000) < 0.1)))  # exact: 0.3681
    0.3676(92) nats
    """
    choice("error", error, ERRORS)
    blocks = whole("blocks", blocks, low=4)
    if any(
        isinstance(one, (Counts, Moments, BoltzmannSamples)) or hasattr(one, "relative_entropy_to") for one in (x, y)
    ):
        raise ParameterError(
            "mutual information needs arrays of x and y observed together, no laws or separate records"
        )
    x, y = (samples.in_chains(name, one, chains_axis) for name, one in (("x", x), ("y", y)))
    if x.shape[:2] != y.shape[:2]:
        raise ParameterError(
            f"x and y must be observed together, got {x.shape[1]} and {y.shape[1]} samples in {x.shape[0]} and "
            f"{y.shape[0]} chain(s)"
        )
    dof = x.shape[2] + y.shape[2]
    if samples.are_floats(x, y, names=("x", "y")):
        if method == "auto":
            for one in (x, y):
                samples.refuse_discrete_floats(one)
        method = check_method(method, ("gaussian",), "floats")
        error = check_error(error, TOTALS, method)
        split = x.shape[2]
        (points,) = centred(np.concatenate([x, y], axis=2))
        return _from_moments(
            points,
            lambda packed: gaussian.mutual_information(packed, split),
            lambda packed: gaussian.mutual_information_gradient(packed, split),
            method,
            error,
            blocks,
        )
    method = check_method(method, ("zhang",), "counts of symbols")
    error = check_error(error, TOTALS, method)
    of_x, of_y = samples.symbols(x)[0], samples.symbols(y)[0]
    size = of_x.size * of_y.size
    if size > samples.LARGEST_TABLE:
        raise ParameterError(
            f"a joint table of {of_x.size} and {of_y.size} symbols is too large for counting: at most "
            f"{samples.LARGEST_TABLE} entries; take smaller windows or fewer symbols"
        )
    shape = of_x.size, of_y.size
    joint = samples.Tallied(of_x.places * of_y.size + of_y.places, size, dof)
    statistics = statistics_of([joint], error, blocks)
    about = {"method": method, "n_p": joint.number, "dof": dof, **_covered(p=statistics[0])}

    def value(tables):
        tables = tables.reshape(*tables.shape[:-1], *shape)
        return (
            discrete.entropy(tables.sum(axis=-1))
            + discrete.entropy(tables.sum(axis=-2))
            - discrete.entropy(tables.reshape(*tables.shape[:-2], -1))
        )

    def gradient(total):
        table = total.reshape(shape)
        by_x, by_y = discrete.entropy_gradient(table.sum(axis=1)), discrete.entropy_gradient(table.sum(axis=0))
        return by_x[:, None] + by_y - discrete.entropy_gradient(total).reshape(shape)

    return from_totals(
        value, lambda total: (gradient(total).ravel(),), [joint], statistics, **_how(error, blocks), **about
    )
