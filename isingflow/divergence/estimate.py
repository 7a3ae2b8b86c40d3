"""`kl_divergence`, one estimator of relative entropy for laws and samples, and `KLEstimate`, what it returns."""

import dataclasses
import math
import warnings

import numpy as np

from isingflow.divergence import boltzmann, discrete, expansion, gaussian, samples
from isingflow.divergence.boltzmann import BoltzmannSamples
from isingflow.divergence.discrete import Counts
from isingflow.divergence.gaussian import Moments
from isingflow.divergence.laws import Gaussian
from isingflow.errors import InfiniteDivergenceWarning, ParameterError
from isingflow.parameters import choice, finite, whole, within_memory
from isingflow.resampling import ALIKE, block_sums, influence_error, jackknife, neighbours_alike

ERRORS = {
    "exact": (),
    "zhang-grabchak": ("jackknife", "influence"),
    "plugin": ("jackknife", "influence"),
    "markov": ("jackknife", "influence"),
    "gaussian": ("jackknife", "influence"),
    "gaussian-diagonal": ("jackknife", "influence"),
    "gaussian-isotropic": ("jackknife", "influence"),
    "knn": ("batches", "jackknife"),
    "density-ratio": ("influence",),
    "mbar": ("influence", "jackknife"),
    "mbar-ladder": ("jackknife",),
}
"""The errors that each method of `kl_divergence` has; the first is the automatic one."""

METHODS = ("auto", *ERRORS)
OF_SYMBOLS = ("zhang-grabchak", "plugin", "markov")
OF_MOMENTS = ("gaussian", "gaussian-diagonal", "gaussian-isotropic")
OF_FLOATS = (*OF_MOMENTS, "knn", "density-ratio")
OF_ENERGIES = ("mbar", "mbar-ladder")

NEAR = 3
"""Samples a component below which a covariance is hardly known."""

POOR_OVERLAP = 0.03
"""Overlap of Boltzmann samples below which values and errors are not to be trusted."""


@dataclasses.dataclass(frozen=True)
class KLEstimate:
    """A relative entropy, or another entropy estimated by the same means, with its error.

    Attributes
    ----------
    value : float
        Nats, of the whole system given. Never clipped: an unbiased estimate near zero may be negative.
    stderr : float
        One standard error, nats; 0 for exact values, ``inf`` where the value is infinite.
    method : str
        How it was estimated.
    n_p, n_q : int
        Samples of each, 0 for laws and where there is no second sample.
    dof : int
        Degrees of freedom of one sample: spins of a window, components of a vector.
    diagnostics : dict
        What the estimator knows of its own reliability. Of all entropies in it the unit is that of `value`.
    flags : tuple of str
        Reasons for doubt, empty where there are none.
    """

    value: float
    stderr: float
    method: str
    n_p: int = 0
    n_q: int = 0
    dof: int = 1
    diagnostics: dict = dataclasses.field(default_factory=dict, compare=False)
    flags: tuple = ()

    def __float__(self):
        return self.value

    def per_dof(self):
        """Return the same per degree of freedom, the entropies among the diagnostics too."""
        diagnostics = {
            name: entry / self.dof if name in _ENTROPIES else entry for name, entry in self.diagnostics.items()
        }
        value, stderr = self.value / self.dof, self.stderr / self.dof
        return dataclasses.replace(self, value=value, stderr=stderr, dof=1, diagnostics=diagnostics)

    def interval(self, level=0.95) -> tuple[float, float]:
        """Return the central confidence interval, from Student's law with the degrees of freedom of the error.

        Parameters
        ----------
        level : float
            Coverage, in (0, 1).

        Raises
        ------
        ParameterError
            If `level` is out of range, or nothing is known of the error.

        Examples
        --------
        >>> KLEstimate(0.5, 0.0, "exact").interval()
        (0.5, 0.5)
        """
        level = finite("level", level, above=0.0, high=1 - 1e-15)
        if self.stderr == 0 or not math.isfinite(self.value):
            return self.value, self.value
        degrees = self.diagnostics.get("degrees", self.diagnostics.get("blocks", 1) - 1)
        if not degrees or not math.isfinite(self.stderr):
            raise ParameterError(
                "an interval needs an error, and the blocks or degrees of freedom that it was estimated from"
            )
        from scipy.stats import t as student

        half = float(student.ppf((1 + level) / 2, degrees)) * self.stderr
        return self.value - half, self.value + half

    def __str__(self):
        return f"{with_error(self.value, self.stderr)} nats"


_ENTROPIES = {"curvature_error", "error_double_blocks", "replicates", "replicates_p", "replicates_q", "free_energy"}


def with_error(value, error) -> str:
    """Return a value with the two leading digits of its error in brackets.

    Examples
    --------
    >>> with_error(0.24724, 0.00131), with_error(12.3, 4.5), with_error(0.25, 0.0)
    ('0.2472(13)', '12.3(4.5)', '0.25')
    """
    if error == 0 or not math.isfinite(value):
        return f"{value:.10g}"
    if not math.isfinite(error):
        return f"{value:.4g}(?)"
    if error < 1e-290:
        return f"{value:.10g}({error:.1e})"
    digits = 1 - math.floor(math.log10(error))
    if round(error, digits) >= 10 ** (2 - digits):
        digits -= 1
    if digits <= 0:
        return f"{value:.0f}({error:.0f})"
    return f"{value:.{digits}f}({error:.{digits}f})" if error >= 1 else f"{value:.{digits}f}({error * 10**digits:.0f})"


def kl_divergence(
    p,
    q,
    *,
    method="auto",
    error="auto",
    blocks=20,
    chains_axis=None,
    symmetry="none",
    paired=False,
    between=(),
    neighbours=4,
    forced=False,
    workers=1,
) -> KLEstimate:
    """Estimate the relative entropy ``D(p||q)`` of what the caller has: laws, energies, spins or activations.

    Parameters
    ----------
    p, q : laws, `BoltzmannSamples`, arrays, `Counts` or `Moments`, both of one kind
        Objects with ``relative_entropy_to``: exact; a `Gaussian` may also meet floats or `Moments`. `BoltzmannSamples`:
        samples with known energies. Integer or boolean arrays (n,) of symbols or (n, w) of windows of two-valued spins,
        or `Counts`: discrete. Float arrays (n,) or (n, d), or `Moments`: laws with densities. n may differ.
    method : str
        "auto" is the first of each kind.

        - laws: "exact".
        - energies: "mbar", from the pooled samples of both (`isingflow.divergence.boltzmann.pooled`); "mbar-ladder",
          through the samples of `between` (automatic where there are any; needs the package pymbar).
        - integers: "zhang-grabchak", bias-reduced and finite; "markov", the chain rule for windows of a Markov chain of
          order one, of any length; "plugin", biased upward and ``inf`` where q misses a symbol of p.
        - floats: "gaussian", unbiased for normal laws; "gaussian-diagonal", of independent components;
          "gaussian-isotropic", of independent components of equal variance; "knn", nearest neighbours, for at most 5
          components; "density-ratio", from a quadratic classifier. The last two need the samples, not `Moments`.
    error : {"auto", "jackknife", "influence"}
        "jackknife" deletes blocks, with its quadratic part kept apart (`isingflow.resampling.jackknife`); "influence"
        is `isingflow.resampling.influence_error`, with the autocorrelation time of the influence values: linear, hence
        too small where p and q agree. "auto" is the jackknife for integers, the Gaussians and the ladder, influence
        for "mbar" (paired: jackknife) and "density-ratio", and the scatter of blocks for "knn", where the jackknife is
        1.3 to 1.6 times too large.
    blocks : int
        Blocks of consecutive samples, at least 4. They must be longer than the autocorrelation time.
    chains_axis : int, optional
        Axis of arrays that counts independent chains; blocks do not cross chains, and their number must be a multiple
        of the chains'. Without it a 2D array is (samples, components).
    symmetry : {"none", "flip", "flip+reflect"}
        Symmetry of both laws of windows of spins, used to fold symbols.
    paired : bool
        Whether sample ``i`` of p and of q come from the same configurations, inputs or networks: blocks are then
        deleted together; beside a law it means nothing. The estimate itself is unbiased for independent samples; of
        paired normal ones in d dimensions it is low by up to ``d (d + 3) / (2 n)``.
    between : sequence of BoltzmannSamples
        Intermediate states of a ladder, in order from p to q.
    neighbours : int
        For "knn": the rank of the neighbours whose distances are compared, at least 1.
    forced : bool
        Whether to accept "knn" beyond 10 components, and "gaussian" with so few samples that the value is unbiased but
        its variance infinite: then without an error, and flagged.
    workers : int
        Threads of "knn"; the result does not depend on them.

    Returns
    -------
    KLEstimate
        Of the whole sample space, in nats.

    Raises
    ------
    ParameterError
        If p and q are of different kinds or dimensions, empty, not finite, too few, or look discrete but are floats; if
        the method or the error does not fit them.
    ConvergenceError
        If the ladder finds no free energies.

    Warns
    -----
    InfiniteDivergenceWarning
        If the value is ``inf``: a law or the plug-in where q gives no mass to something p does.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> p, q = rng.normal(size=(4000, 1)), 1.2 * rng.normal(size=(5000, 1))  # exact: 0.02954
    >>> print(kl_divergence(p, q))
    0.0311(44) nats
    >>> print(kl_divergence(p, q, method="knn"))
    0.030(17) nats
    """
    choice("method", method, METHODS)
    choice("error", error, ("auto", "jackknife", "influence"))
    choice("symmetry", symmetry, discrete.SYMMETRIES)
    blocks, workers = whole("blocks", blocks, low=4), whole("workers", workers)
    resampled = {"error": error, "blocks": blocks, "paired": paired}
    between = checked_between(between, p)
    known = [hasattr(one, "relative_entropy_to") for one in (p, q)]
    if symmetry != "none" and (any(known) or isinstance(p, BoltzmannSamples)):
        raise ParameterError(f"symmetry={symmetry!r} is one of windows of spins, got {type(p).__name__}")
    if all(known):
        if chains_axis is not None:
            raise ParameterError(f"chains_axis is for arrays, got {chains_axis!r} with two laws")
        return _between_laws(p, q, method, error)
    if any(known):
        return _law_and_samples(p, q, method, chains_axis, forced=forced, **resampled)
    if both_are(BoltzmannSamples, p, q, chains_axis):
        return from_energies(p, q, "value", method, between=between, **resampled)
    if both_are(Counts, p, q, chains_axis):
        return _discrete(p, q, method, symmetry, **resampled)
    if not both_are(Moments, p, q, chains_axis):
        p, q = (samples.in_chains(name, one, chains_axis) for name, one in (("p", p), ("q", q)))
        samples.same_components(p, q)
        if not samples.are_floats(p, q):
            return _discrete(p, q, method, symmetry, **resampled)
    if symmetry != "none":
        raise ParameterError(f"symmetry={symmetry!r} is one of windows of spins, not of floats")
    if isinstance(p, Moments):
        method = check_method(method, OF_MOMENTS, "moments of floats")
        p, q = _same_origin(p, q, method)
        return _gaussian(p, q, method, forced=forced, **resampled)
    if method == "auto":
        samples.refuse_discrete_floats(p, q)
    method = check_method(method, OF_FLOATS, "floats")
    p, q = centred(p, q, squares=method in OF_MOMENTS[1:])
    if method == "knn":
        return _knn(p, q, neighbours=neighbours, forced=forced, workers=workers, **resampled)
    if method == "density-ratio":
        return _density_ratio(p, q, **resampled)
    return _gaussian(p, q, method, forced=forced, **resampled)


def checked_between(between, p) -> tuple:
    """Return the states between p and q, or raise if they or p are no samples with known energies."""
    if isinstance(between, BoltzmannSamples) or not hasattr(between, "__iter__"):
        raise ParameterError(f"between must be a list of BoltzmannSamples, got {type(between).__name__}")
    between = tuple(between)
    if between and not isinstance(p, BoltzmannSamples):
        raise ParameterError("between is for BoltzmannSamples: states between those of p and q")
    if not all(isinstance(one, BoltzmannSamples) for one in between):
        raise ParameterError("between must be a list of BoltzmannSamples, got others in it")
    return between


def both_are(kind, p, q, chains_axis) -> bool:
    """Return whether both are records of this kind, or raise if only one is, or if they are to have axes."""
    if not (isinstance(p, kind) or isinstance(q, kind)):
        return False
    if not (isinstance(p, kind) and isinstance(q, kind)):
        raise ParameterError(f"p and q must both be {kind.__name__}, got {type(p).__name__}, {type(q).__name__}")
    refuse_chains_axis(kind, chains_axis)
    return True


def refuse_chains_axis(kind, chains_axis) -> None:
    """Raise if `chains_axis` is given for a kind of record that has no axes."""
    if chains_axis is not None:
        raise ParameterError(
            "chains_axis is for arrays; BoltzmannSamples know their chains, and the records of counts and moments are "
            f"in order already, got {chains_axis!r} with {kind.__name__}"
        )


def check_method(method, legal, what) -> str:
    """Return the method, the first of the `legal` ones for "auto", or raise if it does not fit."""
    if method == "auto":
        return legal[0]
    if method not in legal:
        raise ParameterError(
            f"method {method!r} does not fit {what}; legal are {', '.join(map(repr, ('auto', *legal)))}"
        )
    return method


def check_error(error, legal, method) -> str:
    """Return the error, the first of the `legal` ones for "auto", or raise if the method has no such error."""
    if error == "auto" and legal:
        return legal[0]
    if error != "auto" and error not in legal:
        options = ("auto", *(one for one in legal if one != "batches"))
        raise ParameterError(
            f"method {method!r} has no error={error!r}; legal are {', '.join(map(repr, dict.fromkeys(options)))}"
        )
    return error


def centred(*arrays, squares=False) -> list[samples.Points]:
    """Return arrays of floats less their common mean, which changes nothing but the rounding."""
    number = sum(one.shape[0] * one.shape[1] for one in arrays)
    centre = sum(one.sum(axis=(0, 1), dtype=np.float64) for one in arrays) / number
    return [samples.Points(one.astype(np.float64) - centre, squares) for one in arrays]


def from_totals(
    value, gradient, given, statistics, *, error, blocks, paired=False, diagnostics=None, flags=(), **about
) -> KLEstimate:
    """Return a function of the totals of one or two samples, with its error.

    Parameters
    ----------
    value : callable
        ``value(*totals) -> float64 (...)`` on arrays of totals (..., k).
    gradient : callable
        ``gradient(*totals)``: one gradient for each sample, as its ``influence`` takes them.
    given : sequence
        One or two samples in a form of `isingflow.divergence.samples`.
    statistics : sequence of numpy.ndarray
        (blocks, k) each: theirs, as `blocked` gives them.
    error : {"jackknife", "influence"}
    blocks : int
    paired : bool
        Whether samples are to be deleted, or their influence added, together.
    diagnostics, flags, about
        Of the estimate, as far as they are known already.
    """
    about = {**about, "diagnostics": {**(diagnostics or {}), "error": error}, "flags": tuple(flags)}
    if paired:
        _check_pairs(given[0], given[-1])
    if error == "influence":
        totals = [one.sum(axis=0) for one in statistics]
        moved = [one.influence(by) for one, by in zip(given, gradient(*totals), strict=True)]
        return by_influence(float(value(*totals)), moved, [one.chains for one in given], paired=paired, **about)
    entries = sum(one.shape[1] for one in statistics)
    within_memory(f"jackknife replicates of {entries} totals (error='influence' has none)", 32 * blocks**2 * entries)

    def deleting(blocked):
        with np.errstate(divide="ignore", invalid="ignore"):
            if len(blocked) == 1:
                return jackknife(lambda total, _: value(total), *blocked, *blocked, paired=True)
            return jackknife(value, *blocked, paired=paired)

    found = deleting(statistics)
    double = deleting([block_sums(one, blocks // 2) for one in statistics]).error if blocks >= 8 else None
    return by_jackknife(found, double, blocks, paired=paired or len(statistics) == 1, **about)


def _check_pairs(p, q):
    if (p.influences, p.chains) != (q.influences, q.chains):
        raise ParameterError(
            f"paired samples must be equally many, in as many chains, got {p.influences} and {q.influences} in "
            f"{p.chains} and {q.chains}"
        )


def statistics_of(given, error, blocks) -> list[np.ndarray]:
    """Return the additive statistics of samples: of each block for the jackknife, otherwise of all together."""
    return [one.blocked(blocks) if error == "jackknife" else one.total[None] for one in given]


def by_jackknife(found, double, blocks, *, paired, diagnostics, flags, **about) -> KLEstimate:
    """Return an estimate from what the jackknife found, and from the error at twice the block length."""
    diagnostics = {**diagnostics, "blocks": blocks}
    both = {"replicates_p": found.replicates_p, "replicates_q": found.replicates_q}
    diagnostics |= {"replicates": found.replicates_p} if paired else both
    if not math.isfinite(found.error):  # without some block there is no estimate
        return KLEstimate(found.value, math.inf, diagnostics=diagnostics, flags=(*flags, "no-error"), **about)
    if math.isfinite(found.curvature_error):
        diagnostics["curvature_error"] = found.curvature_error
    if double is not None:
        diagnostics["error_double_blocks"] = double
    lengths = {name: about.get(f"n_{name}", 0) / blocks for name in "pq"}
    diagnostics |= {f"block_length_{name}": length for name, length in lengths.items() if length}
    alike = max(map(neighbours_alike, (found.replicates_p, found.replicates_q)))
    return KLEstimate(found.value, found.error, **_marked_alike(alike, diagnostics, flags), **about)


def _marked_alike(alike, diagnostics, flags):
    # neighbouring blocks are alike where they are shorter than the correlation in the data
    return {
        "diagnostics": {**diagnostics, "neighbouring_blocks_correlation": alike},
        "flags": (*flags, "blocks-too-short") if alike > ALIKE else flags,
    }


def by_influence(value, moved, chains, *, paired, diagnostics, flags, **about) -> KLEstimate:
    """Return an estimate with the error that the influence values of one or two samples tell.

    Parameters
    ----------
    value : float
        Nats.
    moved : list of numpy.ndarray
        float64 (n,) each: the deviation of the estimate is the sum of their means.
    chains : list of int
        Independent chains in each.
    paired : bool
        Whether to add them up sample by sample.
    diagnostics, flags, about
        As in `from_totals`.
    """
    for values, several in zip(moved, chains, strict=True):
        if len(values) < boltzmann.FEWEST * several:
            raise ParameterError(
                f"error='influence' needs at least {boltzmann.FEWEST} samples or records in each of {several} "
                f"chain(s), got {len(values)} in all: sample more, or keep batches apart when they are merged"
            )
    if paired:
        moved = [sum(moved)]
    found = [influence_error(values, chains=several) for values, several in zip(moved, chains, strict=False)]
    variances = np.array([one.error**2 for one in found])
    total = float(variances.sum())
    degrees = [one.degrees for one in found]
    # Welch and Satterthwaite
    joint = total**2 / float(np.sum(variances**2 / degrees)) if total > 0 else min(degrees)
    names = "pq" if len(found) == 2 or paired else ("p" if about["n_p"] else "q")
    times = {
        f"autocorrelation_time_{name}": found[min(i, len(found) - 1)].autocorrelation.time
        for i, name in enumerate(names)
    }
    if not all(one.autocorrelation.enough for one in found):
        flags = (*flags, "short-run")
    return KLEstimate(
        value, math.sqrt(total), diagnostics={**diagnostics, **times, "degrees": joint}, flags=flags, **about
    )


def _between_laws(p, q, method, error):
    check_error(error, ERRORS[check_method(method, ("exact",), "known laws")], "exact")
    value = float(p.relative_entropy_to(q))
    dof = getattr(p, "dof", 1)
    if value == math.inf:
        _warn_infinite("q gives no mass to something p does")
        return KLEstimate(value, math.inf, "exact", dof=dof, flags=("infinite",))
    return KLEstimate(value, 0.0, "exact", dof=dof)


def _warn_infinite(why):
    warnings.warn(f"the relative entropy is infinite: {why}", InfiniteDivergenceWarning, stacklevel=4)


_SYMBOL_ESTIMATORS = {
    "zhang-grabchak": (discrete.zhang_grabchak, discrete.zhang_grabchak_gradient),
    "plugin": (discrete.plugin, discrete.plugin_gradient),
    "markov": (discrete.markov, discrete.markov_gradient),
}


def _discrete(p, q, method, symmetry, *, error, blocks, paired):
    method = check_method(method, OF_SYMBOLS, "counts of symbols")
    error = check_error(error, ERRORS[method], method)
    given = tallied(p, q, symmetry, pairs=method == "markov")
    value, gradient = _SYMBOL_ESTIMATORS[method]
    statistics = statistics_of(given, error, blocks)
    a, b = (one.sum(axis=0) for one in statistics)
    diagnostics, flags = _unseen(a, b, tables=given[0].dof - 1 if method == "markov" else 1)
    about = {"method": method, "n_p": given[0].number, "n_q": given[1].number, "dof": given[0].dof}
    if method == "plugin" and flags:
        _warn_infinite("q misses symbols that p shows; zhang-grabchak is finite there")
        return KLEstimate(math.inf, math.inf, diagnostics=diagnostics, flags=(*flags, "infinite"), **about)
    resampled = {"error": error, "blocks": blocks, "paired": paired}
    return from_totals(value, gradient, given, statistics, diagnostics=diagnostics, flags=flags, **resampled, **about)


def tallied(p, q, symmetry="none", *, pairs=False) -> list:
    """Return two `Counts`, or two arrays of integers (chains, n, w), as samples of common symbols or pairs."""
    if pairs and symmetry != "none":
        raise ParameterError(
            f"symmetry={symmetry!r} folds symbols of whole windows, method 'markov' counts pairs: take 'zhang-grabchak'"
        )
    if not isinstance(p, Counts):
        found = samples.neighbour_pairs(p, q) if pairs else samples.symbols(p, q)
        if symmetry != "none":
            if found[0].dof == 1 or found[0].size != 2 ** found[0].dof:
                raise ParameterError(f"symmetry={symmetry!r} is one of windows of spins, (n, w), not of symbols")
            classes = discrete.symmetry_classes(found[0].dof, symmetry)
            found = [one.mapped(classes) for one in found]
        return found if pairs else samples.seen(*found)
    if p.records.shape[1] != q.records.shape[1] or p.dof != q.dof:
        raise ParameterError(
            f"p and q must have the same symbols, got {p.records.shape[1]} and {q.records.shape[1]} of {p.dof} and "
            f"{q.dof} variables: compare windows of equal size"
        )
    found = [samples.tables(one.fold(symmetry), pairs=pairs) for one in (p, q)]
    return found if pairs else samples.seen(*found)


def _unseen(a, b, *, tables=1):
    """Diagnostics and flags of the totals of p and q; of several tables side by side those of the worst."""
    a, b = a.reshape(tables, -1), b.reshape(tables, -1)
    n, m = a.sum(axis=1), b.sum(axis=1)
    unseen = float(np.max(np.sum(a * (b == 0), axis=1) / n))
    diagnostics = {
        "unseen_mass": unseen,
        "coverage_p": 1 - float(np.max(np.sum(a == 1, axis=1) / n)),
        "coverage_q": 1 - float(np.max(np.sum(b == 1, axis=1) / m)),
    }
    return diagnostics, ("unseen-mass",) if unseen > 0 else ()


def _law_and_samples(p, q, method, chains_axis, **options):
    law_first = hasattr(p, "relative_entropy_to")
    law, sample = (p, q) if law_first else (q, p)
    if not isinstance(law, Gaussian) or isinstance(sample, (Counts, BoltzmannSamples)):
        raise ParameterError(
            "a law can be compared with another law, and a Gaussian with floats or Moments too, got "
            f"{type(p).__name__} and {type(q).__name__}"
        )
    method = check_method(method, ("gaussian",), "a Gaussian and samples")
    if isinstance(sample, Moments):
        refuse_chains_axis(Moments, chains_axis)
        if sample.dof != law.dof:
            raise ParameterError(f"the moments must have the law's {law.dof} components, got {sample.dof}")
        law, sample = _about(law, sample.origin), samples.MomentRecords(sample)
    else:
        chains = samples.in_chains("the sample", sample, chains_axis)
        if chains.shape[2] != law.dof:
            raise ParameterError(f"the sample must have the law's {law.dof} components, got {chains.shape[2]}")
        law, sample = _about(law, law.mean), samples.Points(chains - law.mean)
    return _gaussian(*((law, sample) if law_first else (sample, law)), method, **{**options, "paired": False})


def _about(law, origin):
    return Gaussian(law.mean - origin, law.cov)


def _same_origin(p, q, method):
    """Both `Moments` as records; sums about different origins cannot be compared."""
    if p.dof == q.dof:
        gaussian.check_origins(p, q)
    return [samples.MomentRecords(one, method in OF_MOMENTS[1:]) for one in (p, q)]


_MOMENT_ESTIMATORS = {
    "gaussian": (gaussian.unbiased, gaussian.unbiased_gradient),
    "gaussian-diagonal": (gaussian.diagonal, gaussian.diagonal_gradient),
    "gaussian-isotropic": (gaussian.isotropic, gaussian.isotropic_gradient),
}


def _gaussian(p, q, method, **options):
    with gaussian.one_blas_thread():
        return _of_moments(p, q, method, **options)


def _of_moments(p, q, method, *, error, blocks, paired, forced):
    if p.dof != q.dof:
        raise ParameterError(f"p and q must have equal dimensions, got {p.dof} and {q.dof}: compare equal windows")
    error = check_error(error, ERRORS[method], method)
    d = p.dof
    joint = d if method == "gaussian" else 1  # components whose covariances are estimated
    sampled = {name: one for name, one in (("p", p), ("q", q)) if not isinstance(one, Gaussian)}
    if paired:
        _check_pairs(p, q)
    enough = _enough_samples(sampled, joint, error, blocks, forced)
    given = list(sampled.values())
    fewest = min(one.number for one in given)
    expanded = d > expansion.LARGE or fewest < expansion.FEW * d
    expanded = expanded and method == "gaussian" and error == "jackknife" and len(given) == 2
    numbers = {f"n_{name}": sampled[name].number if name in sampled else 0 for name in "pq"}
    about = {"method": method, "dof": d, **numbers, "diagnostics": {"samples_per_dimension": fewest / d}}
    about["flags"] = ("n-near-d",) if fewest < NEAR * joint or not enough else ()
    if expanded and enough:
        about["diagnostics"]["error"] = error
        found = expansion.expanded_jackknife(*(one.moments(blocks) for one in given), paired=paired)
        return by_jackknife(found, None, blocks, paired=paired, **about)

    statistics = statistics_of(given, error if enough else "influence", blocks)
    totals = {name: one.sum(axis=0) for name, one in zip(sampled, statistics, strict=True)}
    for name, total in totals.items():
        refuse_singular(name, total, d, squares=method != "gaussian")
    value, gradient = _MOMENT_ESTIMATORS[method]
    if not enough:
        both = (totals.get("p", p), totals.get("q", q))
        return KLEstimate(float(value(*both)), math.inf, **about | {"flags": (*about["flags"], "no-error")})
    if len(given) == 1:  # a law and a sample: a function of one total
        value, gradient = _beside_law(p, q, value, gradient)
    return from_totals(value, gradient, given, statistics, error=error, blocks=blocks, paired=paired, **about)


def _beside_law(p, q, value, gradient):
    if isinstance(p, Gaussian):
        return lambda total: value(p, total), lambda total: gradient(p, total)[1:]
    return lambda total: value(total, q), lambda total: gradient(total, q)[:1]


def _enough_samples(sampled, d, error, blocks, forced):
    """Whether the error is finite too; raise if the value is not unbiased, or if the error is not and not forced."""
    numbers = {name: one.number for name, one in sampled.items()}
    spared = dict.fromkeys(sampled, 0)
    if error == "jackknife" and min(numbers.values()) >= blocks:
        spared = {name: int(np.sort(one.sizes(blocks))[-2:].sum()) for name, one in sampled.items()}
    if all(numbers[name] - spared[name] >= d + (1 if name == "p" else 5) for name in sampled):
        return True
    if forced and all(number >= d + (1 if name == "p" else 3) for name, number in numbers.items()):
        return False
    deleted = f", with two of {blocks} blocks deleted," if error == "jackknife" else ""
    raise ParameterError(
        f"a covariance in {d} dimensions needs more samples:{deleted} at least {d + 1} of p and {d + 5} of q, got "
        f"{' and '.join(map(str, numbers.values()))} in all; sample more, compare fewer components, declare a model by "
        "method='gaussian-diagonal' or 'gaussian-isotropic', or force a value without an error by forced=True"
    )


def refuse_singular(name, total, d, *, squares=False) -> None:
    """Raise if the covariance of a total of moments is singular, or where these are squares a variance zero."""
    if squares:
        if gaussian.constant(total[1 + d :], total[1 + d :] - total[1 : 1 + d] ** 2 / total[0]).any():
            raise ParameterError(f"a variance of {name} is zero: drop constant components")
        return
    gaussian.checked_root(name, gaussian.covariance(total)[2])


def _knn(p, q, *, error, blocks, paired, neighbours, forced, workers):
    from isingflow.divergence import neighbours as nearest

    error = check_error(error, ERRORS["knn"], "knn")
    flags = nearest.check_dimension(p.dof, forced=forced)
    labels = p.labels(blocks), q.labels(blocks)
    if paired:
        _check_pairs(p, q)
    _refuse_constants(p, q)
    options = {"neighbours": neighbours, "workers": workers}
    diagnostics = {"error": error, "blocks": blocks, "samples_per_dimension": min(p.number, q.number) / p.dof}
    if error == "batches":
        value = nearest.knn(p.flat, q.flat, **options)
        batches = nearest.knn_batches(p.flat, q.flat, *labels, **options)
        stderr = float(np.std(batches, ddof=1)) / math.sqrt(blocks)
        alike = neighbours_alike(batches)
    else:
        value, *without = nearest.knn_blocks(p.flat, q.flat, *labels, paired=paired, **options)
        stderr = _delete_one_error(without[:1] if paired else without)
        alike = max(map(neighbours_alike, without))
    marked = _marked_alike(alike, diagnostics, flags)
    return KLEstimate(value, stderr, "knn", p.number, q.number, p.dof, **marked)


def _refuse_constants(p, q):
    for name, one in (("p", p), ("q", q)):
        refuse_singular(name, samples.Points(one.points, squares=True).total, one.dof, squares=True)


def _delete_one_error(replicates):
    return math.sqrt(sum((len(one) - 1) * float(np.var(one)) for one in replicates))


def _density_ratio(p, q, *, error, blocks, paired):
    from isingflow.divergence.ratio import density_ratio

    error = check_error(error, ERRORS["density-ratio"], "density-ratio")
    if paired:
        _check_pairs(p, q)
    _refuse_constants(p, q)
    found = density_ratio(p.flat, q.flat)
    about = {"method": "density-ratio", "n_p": p.number, "n_q": q.number, "dof": p.dof, "flags": found.flags}
    diagnostics = {**found.diagnostics, "error": error}
    moved = [found.influence_p, found.influence_q]
    return by_influence(found.value, moved, [p.chains, q.chains], paired=paired, diagnostics=diagnostics, **about)


def from_energies(p, q, quantity, method, *, between, error, blocks, paired) -> KLEstimate:
    """Return the "value" or the "jensen_shannon" of what `isingflow.divergence.boltzmann` finds, with its error."""
    method = check_method(method, OF_ENERGIES[::-1] if between else OF_ENERGIES, "samples with known energies")
    if method == "mbar" and between:
        raise ParameterError("method 'mbar' is one of two states: drop those between, or take 'mbar-ladder'")
    if error == "auto" and paired:
        error = "jackknife"
    error = check_error(error, ERRORS[method], method)
    about = {"method": method, "n_p": len(p), "n_q": len(q), "dof": 1}
    if paired:
        _check_pairs(p, q)
    if method == "mbar-ladder":
        found = boltzmann.ladder(p, q, between, blocks=blocks)
        without = getattr(found.replicates, quantity)
        diagnostics = {"error": error, "blocks": blocks, "overlap": found.overlap}
        diagnostics["free_energy"] = float(found.free_energies[-1])
        flags = ("poor-overlap",) if found.overlap < POOR_OVERLAP else ()
        marked = _marked_alike(neighbours_alike(without), diagnostics, flags)
        return KLEstimate(getattr(found, quantity), _delete_one_error([without]), **marked, **about)
    found = boltzmann.pooled(p, q)
    about["diagnostics"] = {
        "error": error,
        "overlap": found.overlap,
        "effective_samples_p": found.effective_p,
        "effective_samples_q": found.effective_q,
        "free_energy": found.free_energy,
    }
    about["flags"] = ("poor-overlap",) if found.overlap < POOR_OVERLAP else ()
    value = getattr(found, quantity)
    if error == "influence":
        if paired:
            raise ParameterError("paired samples with known energies have error='jackknife' only")
        prefix = "" if quantity == "value" else f"{quantity}_"
        moved = [getattr(found, f"{prefix}influence_{name}") for name in "pq"]
        return by_influence(value, moved, [p.chains, q.chains], paired=False, **about)
    labels = [one.block_labels(blocks) for one in (p, q)]
    without = [getattr(one, quantity) for one in boltzmann.replicates(p, q, *labels, paired=paired)]
    about["diagnostics"]["blocks"] = blocks
    if paired:
        about["diagnostics"]["replicates"] = without[0]
    marked = _marked_alike(max(map(neighbours_alike, without)), about.pop("diagnostics"), about.pop("flags"))
    return KLEstimate(value, _delete_one_error(without[:1] if paired else without), **marked, **about)
