"""Couplings inferred from configurations, by maximum pseudo-likelihood.

A spin of the Ising model, given all others, is up with probability ``1 / (1 + exp(-2 h))``, where its local field ``h``
is a sum over the terms of the energy: each coupling times what its bonds at this spin give. The pseudo-likelihood is
the product of these probabilities over all spins; it is concave in the couplings, needs no partition function, and the
couplings at its maximum tend to the true ones as the configurations grow.

All that it depends on is how often each environment, the spins around, comes with a spin that is up. These are counted
once. What follows does not depend on how many spins there are, and the counts know more than the terms: each
environment could have a probability of its own. How much more likely that makes spins left out of the fit is what the
terms miss.

References: Besag, J. R. Stat. Soc. B 36, 192 (1974), and The Statistician 24, 179 (1975); for couplings of block spins
Ron & Swendsen, Phys. Rev. E 63, 066128 (2001).
"""

import concurrent.futures
import dataclasses
import itertools
import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from isingflow.errors import ParameterError
from isingflow.ising.decimation import LARGEST_SYMBOL, level_axes, weighted_counts
from isingflow.ising.packing import PackedSpins, pack
from isingflow.parameters import decimation_steps, processors, whole
from isingflow.resampling import ALIKE, neighbours_alike

NAMED = {(0, 1): "nearest", (1, 1): "diagonal"}
TERMS = ("nearest", "diagonal", "plaquette", "field")
"""Terms that have names; bonds further away are called by their displacement."""

AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""The eight spins around one, ``(row, column)``; bit ``j + 1`` of a symbol tells whether spin ``j`` is up, bit 0 the
one in the middle."""

CORNERS = tuple(itertools.product((-1, 1), repeat=2))

COLLINEAR = 1e-9
"""Smallest eigenvalue of the normalised moments of the terms' fields below which they are linearly dependent."""

NEWTON_STEPS, CONVERGED = 20, 1e-10
"""Newton's iteration: its steps at most, and the change of couplings at which it ends."""


@dataclasses.dataclass(frozen=True, eq=False)
class InferredCouplings:
    """Couplings inferred from configurations, and how well their terms describe them.

    Attributes
    ----------
    terms : tuple
        "nearest" (``K1``), "diagonal" (``K2``), "plaquette" (``K3``), "field" (``H``), and displacements of further
        bonds.
    values, errors : numpy.ndarray
        float64 (terms,): dimensionless couplings, and their standard errors.
    covariance : numpy.ndarray
        float64 (terms, terms), of the values.
    log_likelihood : float
        Of a spin given its environment, in nats: held out, each block by the couplings of the others.
    missing, missing_error : float
        Nats per spin by which the law of a spin given its environment is more likely than the terms make it, and the
        standard error: zero within it where nothing is missing, and then it may be negative.
    level : int
        Decimation steps from the configurations to the lattice whose couplings these are.
    samples, spins : int
        Configurations, and how many of their spins were counted with their environments.
    flags : tuple of str
        "blocks-too-short": neighbouring blocks of configurations are correlated, and the errors too small.
    """

    terms: tuple
    values: np.ndarray
    errors: np.ndarray
    covariance: np.ndarray
    log_likelihood: float
    missing: float
    missing_error: float
    level: int
    samples: int
    spins: int
    flags: tuple

    @property
    def couplings(self) -> dict:
        """The value of each term."""
        return dict(zip(self.terms, self.values.tolist(), strict=True))


def infer_couplings(
    spins, *, terms=TERMS, level=0, environment=((0, 2),), blocks=20, workers=None
) -> InferredCouplings:
    """Infer the couplings of configurations, or of what is left of them after decimation.

    Parameters
    ----------
    spins : array_like of int8, or PackedSpins
        (samples, L, L) or, rotated, (samples, L, L/2); values -1 and +1, periodic. Consecutive ones may be correlated.
    terms : sequence of str or pair of int
        "nearest", "diagonal", "plaquette", "field", and further bonds by their displacement ``(rows, columns)`` on the
        lattice of the level, which stands for all its images by the symmetries of the square.
    level : int
        Decimation steps, at least 0: the couplings are those of the lattice of this level, and the environments are
        counted on all its equivalent sublattices, for less noise.
    environment : sequence of pair of int
        Displacements of spins that the law of a spin may depend on beside the eight around it and those of the terms,
        with all their images. Of spins further away than the eight only the sum over the images is counted.
    blocks : int
        Blocks of consecutive configurations that the errors are taken from, at least 4.
    workers : int, optional
        Threads that count; as many as there are processors for this process without it.

    Returns
    -------
    InferredCouplings

    Raises
    ------
    ParameterError
        If there are no such configurations or fewer than blocks, a term is unknown, twice there, does not fit the
        lattice or is a linear combination of others on it, or the configurations do not determine the couplings.

    Notes
    -----
    Without "field" among the terms the environments are taken together with their mirror images in which all spins are
    turned. Errors and covariance are from a jackknife over blocks. What is missing is the mean of what the laws of the
    environments gain over the terms for spins in the fit and for others: one is too large by as much as the other is
    too small.

    Examples
    --------
    >>> from isingflow.ising.sampling import sample_square
    >>> sample = sample_square(0.3, side=64, samples=200, rng=1)
    >>> found = infer_couplings(sample.packed, terms=("nearest", "diagonal"))
    >>> [f"{value:.3f}({round(1000 * error)})" for value, error in zip(found.values, found.errors)]
    ['0.301(1)', '-0.001(1)']
    """
    given = spins if isinstance(spins, PackedSpins) else pack(spins)
    packed, level = _on_square(given, level)
    law = _Law.of(terms, environment, packed.columns, level)
    blocks = whole("blocks", blocks, low=4)
    if len(packed) < blocks:
        raise ParameterError(
            f"{blocks} blocks need at least as many configurations, got {len(packed)}; pass more, or fewer blocks "
            "(at least 4)"
        )
    counts = _counted(packed, law, blocks, processors(workers))
    found = law.fitted(counts)
    return InferredCouplings(level=level, samples=len(given), spins=math.prod(given.shape), **found)


def _on_square(packed, level):
    """Return configurations on a square lattice, and the level on it."""
    _, rows, columns = packed.shape
    level = whole("level", level, low=0)
    if rows == 2 * columns:
        packed, level = _unrolled(packed), level + 1
    elif rows != columns:
        raise ParameterError(
            f"spins must be square lattices (samples, L, L) or rotated ones (samples, L, L/2), got {packed.shape}"
        )
    return packed, decimation_steps(level, rows)


def _unrolled(rotated):
    """Square lattices both of whose sublattices are a rotated one: the other is it, a column further to the right."""
    spins = np.repeat(rotated.spins(), 2, axis=2)
    spins[:, 1::2] = np.roll(spins[:, 1::2], 1, axis=2)
    return pack(spins)


def _counted(packed, law, blocks, workers):
    """Count the environments of spins that are down, and up: int64 (blocks, environments, 2)."""
    workers = min(workers, blocks)
    bounds = [len(packed) * block // blocks for block in range(blocks + 1)]
    shares = [blocks * worker // workers for worker in range(workers + 1)]

    def count(share):
        first, last = share
        samples = packed[bounds[first] : bounds[last]]
        return weighted_counts(samples, law.offsets, law.weights, blocks=last - first)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        counts = np.concatenate(list(pool.map(count, itertools.pairwise(shares))))
    return counts.reshape(blocks, -1, 2)


def _images(displacement):
    """All displacements that the symmetries of the square make of one, each once: ``(row, column)``."""
    y, x = displacement
    return sorted({(i * a, j * b) for a, b in ((y, x), (x, y)) for i, j in CORNERS})


def _placed(displacements, level):
    """Where displacements on the lattice of a level lead to on the original torus: int64 (displacements, 2)."""
    return np.array(displacements) @ np.array(level_axes(level)[::-1])


def _check_fit(pairs, terms, side, level):
    """Raise if bonds of two terms are the same on a torus, or if some are longer than half its way around."""
    reach = side / np.linalg.norm(level_axes(level)[0])
    torus = f"a torus of side {reach:.4g}"
    names = {pair: NAMED.get(pair, pair) for pair in sorted((*pairs, *NAMED))}
    ends = {pair: frozenset(map(tuple, _placed(_images(pair), level) % side)) for pair in names}
    for one, other in itertools.combinations([pair for pair in names if names[pair] in terms], 2):
        if ends[one] == ends[other] != {(0, 0)}:
            raise ParameterError(
                f"the terms {names[one]!r} and {names[other]!r} are collinear: on {torus} they are the same bonds; "
                "leave out one of them, or pass larger configurations"
            )
    for pair in names:
        if 2 * max(pair) > reach or (0, 0) in ends[pair]:
            raise ParameterError(
                f"bonds with displacement {pair} do not fit {torus}; leave them out of terms and environment, or pass "
                "larger configurations"
            )


def _displacements(name, given):
    """Return displacements as ``(smaller, larger)``, or raise."""
    try:
        pairs = [tuple(whole("a displacement", abs(one), low=0) for one in pair) for pair in given]
    except TypeError:
        pairs = [()]
    if any(len(pair) != 2 for pair in pairs) or (0, 0) in pairs:
        raise ParameterError(f"{name} must be displacements (rows, columns) other than (0, 0), got {given!r}")
    return [tuple(sorted(pair)) for pair in pairs]


def _checked_terms(terms):
    """Return terms by name, or by displacement where they have none."""
    if isinstance(terms, str) or not isinstance(terms, (list, tuple)) or not terms:
        raise ParameterError(f"terms must be a list of {', '.join(TERMS)} or displacements, got {terms!r}")
    found = []
    for term in terms:
        if isinstance(term, str):
            if term not in TERMS:
                raise ParameterError(
                    f"terms must be {', '.join(TERMS)} or a displacement (rows, columns), got {term!r}"
                )
            found.append(term)
        else:
            (pair,) = _displacements("terms without a name", [term])
            found.append(NAMED.get(pair, pair))
    twice = [term for n, term in enumerate(found) if term in found[:n]]
    if twice:
        raise ParameterError(f"every term may be there once, got {twice[0]!r} twice (by its name, or by an image)")
    return tuple(found)


@dataclasses.dataclass(frozen=True, eq=False)
class _Law:
    """The law of a spin given its environment: how it is counted, and the fields of the terms in it.

    Attributes
    ----------
    terms : tuple
    offsets : numpy.ndarray
        int64 (spins, 2), where they are: the spin itself, the eight around it, the images of other displacements.
    weights : list of int
        As for `weighted_counts`, equal ones for images of one displacement. Without its lowest bit, the spin itself, a
        symbol is the number of an environment; turning all spins reverses the order of the numbers.
    kinds : numpy.ndarray
        int64 (environments,): the same for those that symmetries of the square turn into each other.
    fields : numpy.ndarray
        float64 (kinds, terms): what each term adds to the local field, by its coupling.
    """

    terms: tuple
    offsets: np.ndarray
    weights: list
    kinds: np.ndarray
    fields: np.ndarray

    @classmethod
    def of(cls, terms, environment, side, level):
        terms = _checked_terms(terms)
        further = dict.fromkeys(term for term in terms if isinstance(term, tuple))
        further |= dict.fromkeys(pair for pair in _displacements("environment", environment) if max(pair) > 1)
        _check_fit(further, terms, side, level)
        spins = _placed(AROUND, level)
        shells = {}
        for pair in further:
            placed = _placed(_images(pair), level)
            # images that are one and the same spin give it as many bonds
            _, once = np.unique(placed % side, axis=0, return_index=True)
            shells[pair] = placed[once], len(placed) // len(once)
        sizes = [len(placed) + 1 for placed, _ in shells.values()]
        environments = 2 ** len(AROUND) * math.prod(sizes)
        if 2 * environments - 1 > LARGEST_SYMBOL:
            raise ParameterError(
                f"the spins that terms and environment reach have {2 * environments} states, more than "
                f"{LARGEST_SYMBOL + 1}; leave out a displacement"
            )
        offsets = np.vstack([[(0, 0)], spins, *(placed for placed, _ in shells.values())])
        weights = [2**n for n in range(len(spins) + 1)]
        for n, size in enumerate(sizes):
            weights += [2 ** (len(spins) + 1) * math.prod(sizes[:n])] * (size - 1)

        number = np.arange(environments)
        around = dict(zip(AROUND, 2.0 * ((number >> np.arange(8)[:, None]) & 1) - 1, strict=True))
        known = {
            "nearest": sum(around[image] for image in _images((0, 1))),
            "diagonal": sum(around[image] for image in _images((1, 1))),
            "plaquette": sum(around[i, 0] * around[0, j] * around[i, j] for i, j in CORNERS),
            "field": np.ones(environments),
        }
        rest = number >> len(AROUND)
        for pair, (placed, bonds) in shells.items():
            rest, up = np.divmod(rest, len(placed) + 1)
            known[pair] = bonds * (2.0 * up - len(placed))
        _, first, kinds = np.unique(_alike(number), return_index=True, return_inverse=True)
        fields = np.stack([known[term][first] for term in terms], axis=1)
        return cls(terms, offsets, weights, kinds, fields)

    def fitted(self, counts):
        """Fit the couplings to int64 counts (blocks, environments, 2); return what `InferredCouplings` tells of it."""
        down, up = counts[..., 0], counts[..., 1]
        if "field" not in self.terms:
            down, up = down + up[:, ::-1], up + down[:, ::-1]
        blocks = len(counts)
        pooled = np.zeros((2, blocks, len(self.fields)))
        for kind, found in zip(pooled, (down, up), strict=True):
            np.add.at(kind, (slice(None), self.kinds), found)
        down, up = pooled / (down + up).sum()
        self._check_independent((down + up).sum(axis=0))
        # the last row is the fit to all blocks, the others to all but one
        down_but, up_but = (np.vstack([part.sum(axis=0) - part, part.sum(axis=0)]) for part in (down, up))
        start = self._most_likely(down_but[-1], up_but[-1])
        couplings = self._polished(np.tile(start, (blocks + 1, 1)), down_but, up_but)
        without, values = couplings[:-1], couplings[-1]
        spread = without - without.mean(axis=0)
        covariance = (blocks - 1) / blocks * spread.T @ spread
        log_likelihood, missing, error = self._missing(down, up, down_but, up_but, couplings, counts.sum())
        alike = max(neighbours_alike(row) for row in without.T)
        return {
            "terms": self.terms,
            "values": values,
            "errors": np.sqrt(np.diag(covariance)),
            "covariance": covariance,
            "log_likelihood": log_likelihood,
            "missing": missing,
            "missing_error": error,
            "flags": ("blocks-too-short",) if alike > ALIKE else (),
        }

    def _check_independent(self, share):
        """Raise if the fields of the terms are linearly dependent in the environments that occur."""
        moments = self.fields.T @ (share[:, None] * self.fields)
        scale = np.sqrt(np.diag(moments))
        if (scale == 0).any():
            (never, *_) = (term for term, size in zip(self.terms, scale, strict=True) if size == 0)
            raise ParameterError(f"the term {never!r} never gives a field in these configurations; leave it out")
        values, vectors = np.linalg.eigh(moments / scale / scale[:, None])
        if values[0] < COLLINEAR:
            share = vectors[:, values < COLLINEAR].any(axis=1, where=np.abs(vectors[:, values < COLLINEAR]) > 1e-3)
            involved = [repr(term) for term, there in zip(self.terms, share, strict=True) if there]
            raise ParameterError(
                f"on this lattice and in these configurations the terms {', '.join(involved)} are collinear: their "
                "fields are linearly dependent, and only a combination of the couplings is determined; leave out one "
                "of them, or pass larger or more varied configurations"
            )

    def _log_likelihoods(self, couplings):
        """Return the logarithms of the probabilities of down and of up: float64 (..., kinds)."""
        field = couplings @ self.fields.T
        return log_expit(-2 * field), log_expit(2 * field)

    def _most_likely(self, down, up):
        """Maximise the pseudo-likelihood from couplings that are zero."""

        def cost(couplings):
            log_down, log_up = self._log_likelihoods(couplings)
            return -(down @ log_down + up @ log_up)

        def slope(couplings):
            return -self._slopes(couplings[None], down, up)[0][0]

        def curvature(couplings):
            return self._slopes(couplings[None], down, up)[1][0]

        start = np.zeros(len(self.terms))
        return minimize(cost, start, jac=slope, hess=curvature, method="trust-exact", options={"gtol": 1e-7}).x

    def _slopes(self, couplings, down, up):
        """First derivatives of the log-likelihoods of rows, and minus their second ones."""
        chance = expit(2 * couplings @ self.fields.T)
        slope = 2 * ((up - (up + down) * chance) @ self.fields)
        weight = 4 * (up + down) * chance * (1 - chance)
        return slope, np.einsum("be,es,et->bst", weight, self.fields, self.fields, optimize=True)

    def _polished(self, couplings, down, up):
        """Newton's iteration, row by row, from couplings that are nearly the most likely."""
        for _ in range(NEWTON_STEPS):
            slope, curvature = self._slopes(couplings, down, up)
            if np.linalg.cond(curvature).max() > 1 / np.finfo(float).eps:
                break
            step = np.linalg.solve(curvature, slope[..., None])[..., 0]
            couplings = couplings + step
            if np.abs(step).max() < CONVERGED:
                return couplings
        raise ParameterError(
            "no finite couplings are the most likely ones: in some block or all of them the signs of a field tell the "
            "spin for certain, as where all spins are alike; pass more configurations, or leave out terms"
        )

    def _missing(self, down, up, down_but, up_but, couplings, spins):
        """Return the log-likelihood of blocks left out, and what the laws of environments gain over the terms.

        An environment's own probability is what was found and one more spin, of the probability that the terms give.
        """
        log_down, log_up = self._log_likelihoods(couplings)
        one = 1 / spins
        total = down_but + up_but + one
        gain_down = np.log((down_but + one * np.exp(log_down)) / total) - log_down
        gain_up = np.log((up_but + one * np.exp(log_up)) / total) - log_up
        share = (down + up).sum(axis=1)
        inside = (down * gain_down[-1] + up * gain_up[-1]).sum(axis=1) / share
        outside = (down * gain_down[:-1] + up * gain_up[:-1]).sum(axis=1) / share
        blocks = len(share)
        larger = blocks / (blocks - 1)  # by which the fit without a block misses more
        gains = (larger * inside + outside) / (larger + 1)
        left_out = ((down * log_down[:-1] + up * log_up[:-1]).sum(axis=1) / share).mean()
        return float(left_out), float(gains.mean()), float(gains.std(ddof=1) / math.sqrt(blocks))


def _alike(number):
    """Number environments so that those that symmetries of the square turn into each other have the same number."""
    bits = (number & 255) >> np.arange(8)[:, None] & 1
    best = number
    for turned in range(2):
        for i, j in CORNERS:
            images = [(i * y, j * x) if turned else (j * x, i * y) for y, x in AROUND]
            places = [AROUND.index(image) for image in images]
            moved = (bits << np.array(places)[:, None]).sum(axis=0)
            best = np.minimum(best, (number & ~255) + moved)
    return best
