"""`kl_divergence`, one estimator of relative entropy for laws and samples, and `KLEstimate`, what it returns."""

import dataclasses
import math
import warnings

import numpy as np

from isingflow.divergence import discrete, gaussian
from isingflow.divergence.discrete import Counts
from isingflow.divergence.gaussian import Moments
from isingflow.divergence.laws import Gaussian
from isingflow.errors import InfiniteDivergenceWarning, ParameterError
from isingflow.parameters import choice, finite, whole
from isingflow.resampling import block_sums, jackknife

METHODS = ("auto", "exact", "zhang-grabchak", "plugin", "gaussian")
LONGEST_WINDOW = 20
"""Spins in the longest window whose symbols are counted from an array."""

ALIKE = 0.75
"""Correlation of neighbouring blocks beyond which they are too short: by chance once in 400,000 with 20 blocks."""


@dataclasses.dataclass(frozen=True)
class KLEstimate:
    """A relative entropy with its error.

    Attributes
    ----------
    value : float
        Nats, of the whole system given. Never clipped: an unbiased estimate near zero may be negative.
    stderr : float
        One standard error, nats; 0 for exact values, ``inf`` where the value is infinite.
    method : str
        How it was estimated.
    n_p, n_q : int
        Samples of each, 0 for laws.
    dof : int
        Degrees of freedom of one sample: spins of a window, components of a vector.
    diagnostics : dict
        What the estimator knows of its own reliability.
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
        """Return the same per degree of freedom."""
        return dataclasses.replace(self, value=self.value / self.dof, stderr=self.stderr / self.dof, dof=1)

    def interval(self, level=0.95) -> tuple[float, float]:
        """Return the central confidence interval, from Student's law with one degree fewer than blocks.

        Parameters
        ----------
        level : float
            Coverage, in (0, 1).

        Raises
        ------
        ParameterError
            If `level` is out of range.

        Examples
        --------
        >>> KLEstimate(0.5, 0.0, "exact").interval()
        (0.5, 0.5)
        """
        level = finite("level", level, above=0.0, high=1 - 1e-15)
        if self.stderr == 0 or not math.isfinite(self.value):
            return self.value, self.value
        if "blocks" not in self.diagnostics:
            raise ParameterError("an interval needs the number of blocks that the error was estimated from")
        from scipy.stats import t as student

        half = float(student.ppf((1 + level) / 2, self.diagnostics["blocks"] - 1)) * self.stderr
        return self.value - half, self.value + half

    def __str__(self):
        return f"{with_error(self.value, self.stderr)} nats"


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
    digits = 1 - math.floor(math.log10(error))
    if round(error, digits) >= 10 ** (2 - digits):
        digits -= 1
    if digits <= 0:
        return f"{value:.0f}({error:.0f})"
    return f"{value:.{digits}f}({error:.{digits}f})" if error >= 1 else f"{value:.{digits}f}({error * 10**digits:.0f})"


def kl_divergence(
    p, q, *, method="auto", error="auto", blocks=20, chains_axis=None, symmetry="none", paired=False
) -> KLEstimate:
    """Estimate the relative entropy ``D(p||q)`` of what the caller has: laws, spins or activations.

    Parameters
    ----------
    p, q : laws, arrays, `Counts` or `Moments`, both of one kind
        Objects with ``relative_entropy_to``: exact; a `Gaussian` may also meet floats or `Moments`. Integer or boolean
        arrays (n,) of symbols or (n, w) of windows of two-valued spins, or `Counts`: discrete. Float arrays (n,) or
        (n, d), or `Moments`: normal. n may differ.
    method : {"auto", "exact", "zhang-grabchak", "plugin", "gaussian"}
        "auto" takes "exact" for laws, "zhang-grabchak" for integers, the unbiased "gaussian" for floats.
    error : {"auto", "jackknife"}
        Delete-one-block jackknife with its quadratic part kept apart (`isingflow.resampling.jackknife`).
    blocks : int
        Blocks of consecutive samples, at least 4. They must be longer than the autocorrelation time.
    chains_axis : int, optional
        Axis of arrays that counts independent chains; blocks do not cross chains, and their number must be a multiple
        of the chains'. Without it a 2D array is (samples, components).
    symmetry : {"none", "flip", "flip+reflect"}
        Symmetry of both laws of windows of spins, used to fold symbols.
    paired : bool
        Whether sample ``i`` of p and of q come from the same configurations, inputs or networks: blocks are then
        deleted together. The estimate itself is unbiased for independent samples; of paired normal ones in d dimensions
        it is low by up to ``d (d + 3) / (2 n)``.

    Returns
    -------
    KLEstimate
        Of the whole sample space, in nats.

    Raises
    ------
    ParameterError
        If p and q are of different kinds or dimensions, empty, not finite, too few, or look discrete but are floats.

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
    """
    choice("method", method, METHODS)
    choice("error", error, ("auto", "jackknife"))
    choice("symmetry", symmetry, discrete.SYMMETRIES)
    blocks = whole("blocks", blocks, low=4)
    known = [hasattr(one, "relative_entropy_to") for one in (p, q)]
    if all(known):
        return _between_laws(p, q, method)
    if any(known):
        return _law_and_samples(p, q, method, blocks, chains_axis)
    p, q = _statistics(p, q, blocks, chains_axis, method)
    if isinstance(p, Counts):
        _check_method(method, ("auto", "zhang-grabchak", "plugin"), "counts of symbols")
        return _discrete(p.fold(symmetry), q.fold(symmetry), method, blocks, paired)
    _check_method(method, ("auto", "gaussian"), "moments of floats")
    if symmetry != "none":
        raise ParameterError(f"symmetry={symmetry!r} is one of windows of spins, not of floats")
    return _gaussian(p, q, blocks, paired)


def _check_method(method, legal, what):
    if method not in legal:
        raise ParameterError(f"method {method!r} does not fit {what}; legal are {', '.join(map(repr, legal))}")


def _between_laws(p, q, method):
    _check_method(method, ("auto", "exact"), "known laws")
    value = float(p.relative_entropy_to(q))
    if value == math.inf:
        _warn_infinite("q gives no mass to something p does")
    return KLEstimate(value, 0.0 if value < math.inf else math.inf, "exact", dof=getattr(p, "dof", 1))


def _warn_infinite(why):
    warnings.warn(f"the relative entropy is infinite: {why}", InfiniteDivergenceWarning, stacklevel=4)


def _discrete(p, q, method, blocks, paired):
    if p.records.shape[1] != q.records.shape[1] or p.dof != q.dof:
        raise ParameterError(
            f"p and q must have the same symbols, got {p.records.shape[1]} and {q.records.shape[1]} of {p.dof} and "
            f"{q.dof} variables: compare windows of equal size"
        )
    estimator = discrete.plugin if method == "plugin" else discrete.zhang_grabchak
    total_p, total_q = p.total, q.total
    unseen = float(total_p[total_q == 0].sum() / total_p.sum())
    diagnostics = {
        "unseen_mass": unseen,
        "coverage_p": 1 - float(np.sum(total_p == 1) / total_p.sum()),
        "coverage_q": 1 - float(np.sum(total_q == 1) / total_q.sum()),
    }
    name = "plugin" if method == "plugin" else "zhang-grabchak"
    n_p, n_q = int(total_p.sum()), int(total_q.sum())
    flags = ("unseen-mass",) if unseen > 0 else ()
    if name == "plugin" and unseen > 0:
        _warn_infinite("q misses symbols that p shows; zhang-grabchak is finite there")
        return KLEstimate(math.inf, math.inf, name, n_p, n_q, p.dof, diagnostics, flags)
    return _with_jackknife(estimator, p.records, q.records, blocks, paired, name, n_p, n_q, p.dof, diagnostics, flags)


def _law_and_samples(p, q, method, blocks, chains_axis):
    law, samples = (p, q) if hasattr(p, "relative_entropy_to") else (q, p)
    if not isinstance(law, Gaussian) or isinstance(samples, Counts):
        raise ParameterError(
            "a law can be compared with another law, and a Gaussian with floats or Moments too, got "
            f"{type(p).__name__} and {type(q).__name__}"
        )
    _check_method(method, ("auto", "gaussian"), "a Gaussian and samples")
    if not isinstance(samples, Moments):
        chains = _chains("the sample", samples, chains_axis)
        if chains[0].shape[1] != law.dof:
            raise ParameterError(f"the sample must have the law's {law.dof} components, got {chains[0].shape[1]}")
        samples = _moments_about(law.mean, chains, blocks)
        law = Gaussian(np.zeros(law.dof), law.cov)
    return _gaussian(*((law, samples) if hasattr(p, "relative_entropy_to") else (samples, law)), blocks, paired=False)


def _gaussian(p, q, blocks, paired):
    if p.dof != q.dof:
        raise ParameterError(f"p and q must have equal dimensions, got {p.dof} and {q.dof}: compare equal windows")
    d = p.dof
    sampled = {name: one for name, one in (("p", p), ("q", q)) if isinstance(one, Moments)}
    numbers = {name: int(one.counts.sum()) for name, one in sampled.items()}
    needed = {"p": d + 1, "q": d + 5}
    if any(n - 2 * -(-n // blocks) < needed[name] for name, n in numbers.items()):
        raise ParameterError(
            f"a covariance in {d} dimensions needs more samples: with two of {blocks} blocks deleted at least {d + 1} "
            f"of p and {d + 5} of q, got {' and '.join(map(str, numbers.values()))} in all; sample more or compare "
            "fewer components"
        )
    fewest = min(numbers.values())
    flags = ("n-near-d",) if fewest < 3 * d else ()
    diagnostics = {"samples_per_dimension": fewest / d}
    for name, one in sampled.items():
        _, _, cov = gaussian.covariance(one.packed().sum(axis=0))
        scale = np.sqrt(np.diag(cov))
        if not (scale > 0).all() or np.linalg.matrix_rank(cov / np.outer(scale, scale), hermitian=True) < d:
            raise ParameterError(
                f"the covariance of {name} is singular: drop constant or linearly dependent components"
            )
    about = "gaussian", numbers.get("p", 0), numbers.get("q", 0), d, diagnostics, flags
    if len(sampled) == 2:
        return _with_jackknife(gaussian.unbiased, p.packed(), q.packed(), blocks, paired, *about)
    # a sample and a law: the one that is sampled stands for both, and is resampled alone
    estimator = (
        (lambda total, _: gaussian.unbiased(p, total))
        if "q" in sampled
        else (lambda total, _: gaussian.unbiased(total, q))
    )
    (records,) = (one.packed() for one in sampled.values())
    return _with_jackknife(estimator, records, records, blocks, True, *about)


def _with_jackknife(estimator, records_p, records_q, blocks, paired, method, n_p, n_q, dof, diagnostics, flags):
    blocks_p, blocks_q = block_sums(records_p, blocks), block_sums(records_q, blocks)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = jackknife(estimator, blocks_p, blocks_q, paired=paired)
    diagnostics = {**diagnostics, "blocks": blocks, "curvature_error": found.curvature_error}
    if paired:
        diagnostics["replicates"] = found.replicates_p
    if not math.isfinite(found.error):  # without some block there is no estimate
        return KLEstimate(found.value, math.inf, method, n_p, n_q, dof, diagnostics, (*flags, "no-error"))
    if blocks >= 8:
        double = jackknife(estimator, *(block_sums(one, blocks // 2) for one in (blocks_p, blocks_q)), paired=paired)
        diagnostics["error_double_blocks"] = double.error
    # neighbouring blocks are alike where they are shorter than the correlation in the data
    alike = max(_neighbours_alike(one) for one in (found.replicates_p, found.replicates_q))
    diagnostics["neighbouring_blocks_correlation"] = alike
    if alike > ALIKE:
        flags = (*flags, "blocks-too-short")
    return KLEstimate(found.value, found.error, method, n_p, n_q, dof, diagnostics, flags)


def _neighbours_alike(replicates):
    deviations = replicates - replicates.mean()
    total = float(deviations @ deviations)
    return float(deviations[1:] @ deviations[:-1]) / total if total > 0 else 0.0


def _statistics(p, q, blocks, chains_axis, method):
    """Bring both arguments to `Counts` or to `Moments`."""
    for kind in (Counts, Moments):
        if isinstance(p, kind) or isinstance(q, kind):
            if not (isinstance(p, kind) and isinstance(q, kind)):
                raise ParameterError(
                    f"p and q must both be {kind.__name__}, got {type(p).__name__}, {type(q).__name__}"
                )
            if chains_axis is not None:
                raise ParameterError(
                    "chains_axis is for arrays; the records of counts and moments are in order already"
                )
            return p, q
    p, q = (_chains(name, one, chains_axis) for name, one in (("p", p), ("q", q)))
    if p[0].shape[1:] != q[0].shape[1:]:
        raise ParameterError(f"p and q must have equal dimensions, got {p[0].shape[1:]} and {q[0].shape[1:]} a sample")
    kinds = {np.issubdtype(chain.dtype, np.floating) for chain in (*p, *q)}
    if len(kinds) > 1:
        raise ParameterError("p and q must both be integers or both be floats")
    if kinds == {False}:
        return _count(p, q, blocks, method)
    return _moments(p, q, blocks, method)


def _chains(name, samples, chains_axis):
    """A list of chains, each (n, components), of one array; checked, never changed."""
    try:
        array = np.asarray(samples)
    except ValueError as error:
        raise ParameterError(f"{name} must be an array of samples: {error}") from error
    if chains_axis is not None:
        array = np.moveaxis(array, whole("chains_axis", chains_axis, low=-array.ndim, high=array.ndim - 1), 0)
    else:
        array = array[None]
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.size == 0:
        raise ParameterError(f"{name} must be (samples,) or (samples, components) and not be empty, got {array.shape}")
    if array.dtype.kind not in "biuf":
        raise ParameterError(f"{name} must hold integers, booleans or floats, got {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ParameterError(f"{name} must be finite, got NaN or infinite entries")
    return list(array)


def _in_blocks(chains, blocks):
    """Cut chains into blocks that do not cross them."""
    if blocks % len(chains):
        raise ParameterError(f"the number of blocks must be a multiple of the {len(chains)} chains, got {blocks}")
    each = blocks // len(chains)
    if len(chains[0]) < each:
        raise ParameterError(f"{blocks} blocks need at least {each} samples in a chain, got {len(chains[0])}")
    return [block for chain in chains for block in np.array_split(chain, each)]


def _count(p, q, blocks, method):
    values = np.unique(np.concatenate([np.unique(chain) for chain in (*p, *q)]))
    width = p[0].shape[1]
    if width == 1:
        symbols, dof = len(values), 1
        places = np.ones(1, np.int64)
    else:
        if len(values) > 2:
            raise ParameterError(f"windows must hold spins of two values, got {len(values)}: {values[:5].tolist()}...")
        if width > LONGEST_WINDOW:
            raise ParameterError(f"windows of {width} spins are too long for counting: at most {LONGEST_WINDOW}")
        symbols, dof = 2**width, width
        places = 2 ** np.arange(width)

    def tally(block):
        return np.bincount(np.searchsorted(values, block) @ places, minlength=symbols)

    return tuple(Counts(np.array([tally(b) for b in _in_blocks(one, blocks)]), dof) for one in (p, q))


def _moments(p, q, blocks, method):
    everything = np.concatenate([*p, *q])
    if method == "auto" and len(np.unique(everything)) <= 3:
        raise ParameterError("floats with three or fewer distinct values look discrete: pass integers")
    centre = everything.mean(axis=0)  # a common shift changes nothing but the rounding
    return tuple(_moments_about(centre, one, blocks) for one in (p, q))


def _moments_about(centre, chains, blocks):
    records = [Moments.of(block - centre) for block in _in_blocks(chains, blocks)]
    return Moments(*(np.concatenate([getattr(r, f) for r in records]) for f in ("counts", "sums", "products")))
