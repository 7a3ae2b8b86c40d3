"""The installation against packaged reference values, and its samplers against exact ones."""

import dataclasses
import importlib.resources
import json
import math
import re
from collections.abc import Iterator

import numpy as np

from isingflow.divergence import discrete
from isingflow.divergence.laws import Categorical, Gaussian
from isingflow.ising import chain, square
from isingflow.ising.decimation import decimate, pair_correlation
from isingflow.ising.sampling import sample_square
from isingflow.network import meanfield
from isingflow.network.inputs import input_kernel
from isingflow.network.propagation import propagate
from isingflow.parameters import ALGORITHMS, NetworkParameters

BIAS_VARIANCE = 0.05
RELATIVE_TOLERANCE = 1e-8
SIGMAS = 5.0


@dataclasses.dataclass(frozen=True)
class Check:
    """One value compared with its reference.

    Attributes
    ----------
    name : str
        What it is.
    found, expected : float
        The value and its reference.
    tolerance : float
        The largest legal distance.
    unit : str
        "" for computed values, "se" for sampled ones, whose tolerance is 5 standard errors.
    """

    name: str
    found: float
    expected: float
    tolerance: float
    unit: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value agrees."""
        return abs(self.found - self.expected) <= self.tolerance

    def __str__(self):
        difference = self.found - self.expected
        distance = f"{SIGMAS * difference / self.tolerance:+.2f} se" if self.unit else f"{difference:+.1e}"
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name:<62} {self.found:>17.12g}  {distance}"


def reference_values() -> dict:
    """Return the packaged references: "computed" float, required to 1e-8; "printed" text, to its last digit."""
    return json.loads(importlib.resources.files("isingflow").joinpath("reference_values.json").read_text())


def checks() -> Iterator[Check]:
    """Yield every check, first the exact values, then the samplers.

    Examples
    --------
    >>> next(checks()).passed
    True
    """
    references = reference_values()
    for name, expected in references["computed"].items():
        yield Check(name, value_of(name), expected, RELATIVE_TOLERANCE * abs(expected))
    for name, printed in references["printed"].items():
        digits = len(printed.split(".")[1])
        yield Check(name, value_of(name), float(printed), 0.5001 * 10.0**-digits)
    yield from _sampled()


def value_of(name) -> float:
    """Return what this installation computes for a reference of this name.

    Raises
    ------
    KeyError
        If there is no formula for the name.
    """
    for pattern, formula in _FORMULAS.items():
        found = re.fullmatch(pattern, name)
        if found:
            return float(formula(*found.groups()))
    raise KeyError(name)


def _decimated(coupling, times, field=0.0):
    level = (coupling, field)
    for _ in range(int(times)):
        level = chain.decimate_couplings(*level)
    return level


def _rings(sites, times):
    p, q = (chain.ChainRing(*_decimated(k, times), sites=int(sites) >> int(times)) for k in (0.6, 0.3))
    return p.relative_entropy_to(q)


def _windows(width):
    p, q = (chain.ChainWindow(coupling, width=int(width)) for coupling in (0.6, 0.3))
    return p.relative_entropy_to(q)


def _per_site(p, q):
    return chain.relative_entropy_per_site((p, 0.0), (q, 0.0))


def _small_tori(keep):
    """``D(0.4407||0.3)`` between 4x4 tori of which only some spins are kept, from their enumeration."""
    kept = keep(square.configurations(4)).reshape(2**16, -1)
    codes = (kept > 0) @ (1 << np.arange(kept.shape[1]))
    p, q = (
        Categorical(np.bincount(codes, square.boltzmann_probabilities(coupling, side=4))) for coupling in (0.4407, 0.3)
    )
    return p.relative_entropy_to(q)


def _ar(correlation, dimension):
    return correlation ** np.abs(np.subtract.outer(np.arange(dimension), np.arange(dimension)))


def _autoregressive(dimension):
    d = int(dimension)
    p, q = Gaussian(np.zeros(d), _ar(0.6, d)), Gaussian(np.full(d, 0.1), 1.2 * _ar(0.3, d))
    return p.relative_entropy_to(q)


def _isotropic(variance, dimension=1, mean=0.0):
    d = int(dimension)
    p, q = Gaussian(np.zeros(d), np.eye(d)), Gaussian(np.full(d, float(mean)), float(variance) * np.eye(d))
    return p.relative_entropy_to(q)


def _variance(weight, layer):
    network = NetworkParameters(weight_variance=float(weight), bias_variance=BIAS_VARIANCE, depth=int(layer), width=1)
    return meanfield.pair_levels(0.5, 0.0, network)[0][-1]


def _settled(weight):
    return meanfield.fixed_point_variance(float(weight), BIAS_VARIANCE)


def _crossing(which):
    return meanfield.uniformity_crossing()[("weight", "bias").index(which)]


def _one_input(variance):
    return Gaussian([0.0], [[0.5]]).relative_entropy_to(Gaussian([0.0], [[variance]]))


def _torus(side, what):
    side = int(side)
    if what.startswith("ln Z"):
        return side**2 * square.log_partition(float(what[5:-1]), side=side)
    if what.startswith("sum"):
        return 2 * side**2 * square.bond_correlation(0.4407, side=side)
    p, q = map(float, what[2:-1].split("||"))
    return square.SquareTorus(p, side=side).relative_entropy_to(square.SquareTorus(q, side=side))


def _row_or_diagonal(direction, distance, coupling):
    at = square.CRITICAL_COUPLING if coupling.startswith("K_c") else float(coupling)
    return square.correlation(at, int(distance), direction=direction)


_FORMULAS = {
    r"chain: D\(0.6\|\|0.3\) per site": lambda: _per_site(0.6, 0.3),
    r"chain: window of (\d+) spins": _windows,
    r"chain: ring of (\d+)": lambda sites: _rings(sites, 0),
    r"chain: rings of 16, decimated once": lambda: _rings(16, 1),
    r"chain: rings of 16, decimated twice": lambda: _rings(16, 2),
    r"chain: rings of 16, decimated three times": lambda: _rings(16, 3),
    r"chain: flow from 1, forward, step (\d)": lambda n: _per_site(1.0, _decimated(1.0, n)[0]),
    r"chain: flow from 1, reverse, step (\d)": lambda n: _per_site(_decimated(1.0, n)[0], 1.0),
    r"chain: flow from 1, limit": lambda: _per_site(1.0, 0.0),
    r"chain: both decimated (\d) times, .*": lambda n: _per_site(_decimated(0.6, n)[0], _decimated(0.3, n)[0]),
    r"chain: K after (\d) steps .*": lambda n: _decimated(0.8, n, 0.1)[0],
    r"chain: H after (\d) steps .*": lambda n: _decimated(0.8, n, 0.1)[1],
    r"chain: D after (\d) steps .*": lambda n: chain.relative_entropy_per_site((0.8, 0.1), _decimated(0.8, n, 0.1)),
    r"torus 4: .* checkerboard": lambda: _small_tori(decimate),
    r"torus 4: .* decimated to 2x2": lambda: _small_tori(lambda spins: decimate(spins, steps=2)),
    r"torus (\d+): (.*)": _torus,
    r"plane: D\((.*)\|\|(.*)\) per site": lambda p, q: square.relative_entropy_per_site(float(p), float(q)),
    r"plane: ln z\(K_c\)": lambda: square.log_partition(square.CRITICAL_COUPLING),
    r"plane: <s s'> at (.*)": lambda k: square.bond_correlation(float(k)),
    r"plane: diagonal neighbours at (.*)": lambda k: _row_or_diagonal("diagonal", 1, k),
    r"plane: (row|diagonal) distance (\d) at (.*)": _row_or_diagonal,
    r"Gaussian: N\(0,1\)\|\|N\(1,(\d)\)": lambda variance: _isotropic(variance, mean=1.0),
    r"Gaussian: N\(0,AR.*, (\d+) dimensions": _autoregressive,
    r"Gaussian: N\(0,I\)\|\|N\(0,1.5 I\), (\d+) dimensions": lambda d: _isotropic(1.5, d),
    r"Gaussian: N\(0,1\)\|\|N\(0,1.44\)": lambda: _isotropic(1.44),
    r"network: variance from 0.5 at weight variance (.*), layer (\d)": _variance,
    r"network: fixed-point variance at weight variance (.*)": _settled,
    r"network: one input .* variance (.*), limit": lambda weight: _one_input(_settled(weight)),
    r"network: one input .* variance (.*), layer (\d)": lambda weight, layer: _one_input(_variance(weight, layer)),
    r"network: chi at (.*)": lambda w: meanfield.susceptibility(float(w), BIAS_VARIANCE),
    r"network: q\* at (.*)": _settled,
    r"network: c\* at (.*)": lambda w: meanfield.fixed_point_correlation(float(w), BIAS_VARIANCE),
    r"network: xi_c at (.*)": lambda w: meanfield.depth_scales(float(w), BIAS_VARIANCE).xi_c,
    r"network: xi_q at (.*)": lambda w: meanfield.depth_scales(float(w), BIAS_VARIANCE).xi_q,
    r"network: edge of chaos .*": lambda: meanfield.critical_weight_variance(BIAS_VARIANCE),
    r"network: uniformity": meanfield.uniformity_variance,
    r"network: uniformity crosses the edge at (weight|bias) variance": _crossing,
    r"counts: plug-in": lambda: discrete.plugin([50, 30, 20], [20, 30, 50]),
    r"counts: Zhang-Grabchak": lambda: discrete.zhang_grabchak([50, 30, 20], [20, 30, 50]),
    r"counts with an unseen symbol: .*": lambda: discrete.zhang_grabchak([5, 3, 0, 12, 1], [4, 0, 7, 9, 2]),
}


def _sampled():
    """The samplers against exact values, with fixed seeds; by chance one in two million misses 5 standard errors."""
    rings = chain.sample(0.7, 0.2, sites=32, samples=4000, rng=1)
    neighbours = (rings * np.roll(rings, 1, axis=1)).mean(axis=1)
    yield _within("sampled chain: <s s'> at (0.7, 0.2)", neighbours, chain.correlation(0.7, 1, 0.2))
    for algorithm in ALGORITHMS[1:]:
        side = 128 if algorithm == "strips" else 16
        # a chain a value: independent of the others
        settings = {"samples": 4096, "chains": 64, "burn_in": 400, "thin": 5, "algorithm": algorithm}
        sample = sample_square(0.4, side=side, rng=2, **settings)
        bonds = pair_correlation(sample.packed).reshape(64, -1).mean(axis=1)
        yield _within(
            f"sampled torus {side}, {algorithm}: <s s'> at 0.4", bonds, square.bond_correlation(0.4, side=side)
        )
    network = NetworkParameters(weight_variance=1.5, bias_variance=BIAS_VARIANCE, depth=1, width=32)
    inputs = [[1.0, -1.0, 1.0, -1.0]]
    for ensemble in ("conditional", "weights"):
        found = propagate(inputs, network, networks=4000, rng=3, ensemble=ensemble).second_moment[:, 0]
        yield _within(f"sampled network, {ensemble}: variance at level 0", found, input_kernel(inputs, network)[0, 0])


def _within(name, independent, expected):
    error = float(np.std(independent, ddof=1)) / math.sqrt(len(independent))
    return Check(name, float(np.mean(independent)), float(expected), SIGMAS * error, "se")
