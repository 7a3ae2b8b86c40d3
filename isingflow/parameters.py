"""What is to be computed: frozen, validated, hashable records, and the checks at the door.

A record is written as canonical JSON, and its key is the SHA-256 of that text; random streams
(`isingflow.seeding`) and archives refer to a piece of work by it.
"""

import dataclasses
import difflib
import hashlib
import json
import math
import operator
import os
import re
from collections.abc import Iterable

import numpy as np

from isingflow.errors import ParameterError

LARGEST_COUPLING, LARGEST_VARIANCE = 100.0, 1e12
ALGORITHMS = ("auto", "heat-bath", "replicas", "strips", "swendsen-wang", "wolff")
EXACT_STEP = "exact first step"
MOST_SITES, MOST_STEPS, DEEPEST = 2**40, 60, 1_000_000
"""Beyond what any machine can do: numbers that are a slip of the hand."""

SCHEMES = ("nearest-neighbour", "maris-kadanoff", "wilson", "migdal-kadanoff", EXACT_STEP)
LARGEST_SAMPLED = 1.0
"""Sum of ``K1`` and ``K2`` beyond which less than a spin in a thousand is turned, and samples say little."""

PHASES = ("symmetric", "up")
ENSEMBLES = ("conditional", "weights")
ACTIVATIONS = ("tanh", "erf", "relu", "leaky_relu", "hard_tanh", "linear")
LEAKY_SLOPE = 0.01
INPUTS = ("digits", "noise")
LABELLED = ("digits", "fashion-mnist")
VARIANCES = ("layer", "reference")


def finite(name, value, *, low=-math.inf, high=math.inf, above=-math.inf) -> float:
    """Return `value` as a float, or raise if it is not a finite number in ``[low, high]``, beyond `above`.

    Parameters
    ----------
    name : str
        What the message calls the value.
    value : float
        The value.
    low, high : float
        The closed legal range.
    above : float
        A bound that must be exceeded.

    Raises
    ------
    ParameterError
        If `value` is not a real number, is NaN or infinite, or is out of range.

    Examples
    --------
    >>> finite("coupling", 0.3, low=0)
    0.3
    """
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise ParameterError(f"{name} must be a real number, got {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(f"{name} must be a real number, got {value!r}") from error
    if not math.isfinite(number):
        raise ParameterError(f"{name} must be finite, got {number}")
    if number <= above:
        raise ParameterError(f"{name} must be greater than {above:g}, got {number:g}")
    if not low <= number <= high:
        start = f"({above:g}" if above > low else f"[{low:g}"
        raise ParameterError(f"{name} must lie in {start}, {high:g}], got {number:g}")
    return number


def whole(name, value, *, low=1, high=None) -> int:
    """Return `value` as an int, or raise if it is not a whole number in ``[low, high]``.

    Raises
    ------
    ParameterError
        If `value` is not an integer or is out of range.

    Examples
    --------
    >>> whole("side", 16, low=2)
    16
    """
    if isinstance(value, (bool, np.bool_)):
        raise ParameterError(f"{name} must be a whole number, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ParameterError(f"{name} must be a whole number, got {value!r}") from error
    if number < low or (high is not None and number > high):
        wanted = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ParameterError(f"{name} must be {wanted}, got {number}")
    return number


def chosen_indices(name, given, count) -> tuple:
    """Return one index or several as a tuple of int, or raise if one is not a whole number in ``[0, count - 1]``.

    Parameters
    ----------
    name : str
        What the message calls one of them.
    given : int or sequence of int
        The indices.
    count : int
        How many things there are to choose from.

    Raises
    ------
    ParameterError
        If an index is not a whole number or out of range, or there is none.

    Examples
    --------
    >>> chosen_indices("index of an image", [3, 7], 10)
    (3, 7)
    """
    wanted = np.atleast_1d(np.asarray(given, dtype=object)).ravel().tolist()
    if not wanted:
        raise ParameterError(f"at least one {name} is required, got none")
    return tuple(whole(name, index, low=0, high=count - 1) for index in wanted)


def choice(name, value, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`, or raise and offer the nearest.

    Raises
    ------
    ParameterError
        If `value` is not among `options`.

    Examples
    --------
    >>> choice("direction", "row", ("row", "diagonal"))
    'row'
    """
    options = tuple(options)
    if value in options:
        return value
    nearest = difflib.get_close_matches(str(value), options, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise ParameterError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}{hint}")


def activation(value) -> tuple[str, float]:
    """Return which of `ACTIVATIONS` a name means, and its slope below zero, or raise and offer the nearest.

    Parameters
    ----------
    value : str
        One of them; ``"leaky_relu"`` has slope 0.01, and ``"leaky_relu(0.2)"`` another, in [-1, 1].

    Returns
    -------
    kind : str
    below : float
        0 for relu, 1 for linear, NaN for those that bend.

    Raises
    ------
    ParameterError
        If there is none of that name, or the slope is no number in [-1, 1].

    Examples
    --------
    >>> activation("leaky_relu(0.2)")
    ('leaky_relu', 0.2)
    """
    slopes = {"relu": 0.0, "leaky_relu": LEAKY_SLOPE, "linear": 1.0}
    if isinstance(value, str) and (match := re.fullmatch(r"leaky_relu\((.*)\)", value)):
        try:
            below = float(match[1])
        except ValueError:
            raise ParameterError(f"leaky_relu(slope) needs a number for its slope, got {value!r}") from None
        return "leaky_relu", finite("slope of leaky_relu", below, low=-1.0, high=1.0)
    kind = choice("activation", value, ACTIVATIONS)
    return kind, slopes.get(kind, math.nan)


def coupling(name, value, *, low=-LARGEST_COUPLING) -> float:
    """Return a dimensionless coupling or field as a float in ``[low, 100]``, or raise `ParameterError`."""
    return finite(name, value, low=low, high=LARGEST_COUPLING)


def decimation_steps(steps, side) -> int:
    """Return `steps`, or raise if a square lattice of this `side` cannot be decimated that often.

    ``n`` steps of length sqrt(2) need a side divisible by ``2**ceil(n/2)``.

    Raises
    ------
    ParameterError
        If `steps` is not a whole number of steps that the side admits.
    """
    steps = whole("steps", steps, low=0, high=MOST_STEPS)
    period = 2 ** ((steps + 1) // 2)
    if side % period:
        raise ParameterError(
            f"{steps} decimation steps need a side divisible by {period}, got side={side}; "
            f"this side admits at most {2 * ((side & -side).bit_length() - 1)}"
        )
    return steps


def processors(workers) -> int:
    """Return a number of threads, at least 1; as many as there are processors for this process, given None.

    Raises
    ------
    ParameterError
        If `workers` is no such number.
    """
    if workers is not None:
        return whole("workers", workers)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def within_memory(what, size, *, advice="") -> None:
    """Raise if `size` bytes are more memory than the machine has, where it says how much it has.

    Raises
    ------
    ParameterError
        Naming `what` needs the memory, and the advice.
    """
    if not hasattr(os, "sysconf"):
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > there:
        raise ParameterError(
            f"{what} need {size / 2**30:.1f} GiB of memory, this machine has {there / 2**30:.1f} GiB"
            + (f": {advice}" if advice else "")
        )


def canonical(record) -> str:
    """Return the canonical JSON text of a record: its class and its fields, keys sorted.

    A field that came later is left out while it has its default: keys and streams stay where they were before it.

    Examples
    --------
    >>> canonical(NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=2, width=8))
    '{"NetworkParameters":{"activation":"tanh","bias_variance":0.05,"depth":2,"weight_variance":1.5,"width":8}}'
    """

    def plain(value):
        if dataclasses.is_dataclass(value):
            fields = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
            said = {field.name: plain(x) for field, x in fields.items() if not (field.metadata and x == field.default)}
            return {type(value).__name__: said}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return json.dumps(plain(record), sort_keys=True, separators=(",", ":"), allow_nan=False)


def key(record) -> str:
    """Return the SHA-256 of a record's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()


def _store(record, **checked):
    for name, value in checked.items():
        object.__setattr__(record, name, value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChainParameters:
    """A chain to be sampled, decimated and compared with itself.

    Attributes
    ----------
    coupling : float
        ``K``, dimensionless, in (0, 100].
    field : float
        ``H``, dimensionless, in [-100, 100].
    factor : int
        Spacing of the spins kept by one decimation step, at least 2.
    steps : int
        Number of decimation steps, at least 1.
    sites : int, optional
        Spins on the ring, a multiple of ``factor**steps``; without it the smallest that has 16384.
    samples : int
        Independent rings; at least 20, one for each jackknife block.
    window : int
        Consecutive spins of a decimated ring that are compared, 2 to 12.
    """

    coupling: float
    field: float = 0.0
    factor: int = 2
    steps: int = 10
    sites: int | None = None
    samples: int = 200
    window: int = 4

    def __post_init__(self):
        _store(
            self,
            coupling=finite("coupling", self.coupling, above=0.0, high=LARGEST_COUPLING),
            field=coupling("field", self.field),
            factor=whole("factor", self.factor, low=2, high=MOST_SITES),
            steps=whole("steps", self.steps, high=MOST_STEPS),
            samples=whole("samples", self.samples, low=20),
            window=whole("window", self.window, low=2, high=12),
        )
        period = self.factor**self.steps
        if period > MOST_SITES:
            raise ParameterError(
                f"{self.steps} decimations by {self.factor} need more than {MOST_SITES} sites: take fewer steps"
            )
        sites = -(-(2**14) // period) * period if self.sites is None else self.sites
        _store(self, sites=whole("sites", sites, high=MOST_SITES))
        if self.sites % period:
            raise ParameterError(
                f"{self.steps} decimations by {self.factor} need a number of sites divisible by {period}, "
                f"got sites={self.sites}"
            )
        if self.window * self.factor > self.sites:
            raise ParameterError(
                f"a window of {self.window} spins, decimated once by {self.factor}, needs {self.window * self.factor} "
                f"sites, got sites={self.sites}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquareParameters:
    """A square lattice to be sampled, decimated and compared with itself.

    Attributes
    ----------
    coupling : float
        Nearest-neighbour ``K``, dimensionless, in (0, 100].
    side : int
        Side of the torus, at least 4, divisible by ``2**ceil(steps/2)``.
    samples : int
        Configurations; at least 20, one for each jackknife block.
    steps : int
        Decimation steps of length sqrt(2), at least 1.
    algorithm : str
        As in `isingflow.ising.sampling.sample_square`.
    """

    coupling: float
    side: int = 256
    samples: int = 1000
    steps: int = 8
    algorithm: str = "auto"

    def __post_init__(self):
        _store(
            self,
            coupling=finite("coupling", self.coupling, above=0.0, high=LARGEST_COUPLING),
            side=whole("side", self.side, low=4, high=MOST_SITES),
            samples=whole("samples", self.samples, low=20),
            steps=whole("steps", self.steps, high=MOST_STEPS),
            algorithm=choice("algorithm", self.algorithm, ALGORITHMS),
        )
        decimation_steps(self.steps, self.side)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TruncationParameters:
    """A recursion of the couplings whose predictions for windows of spins are to be sampled.

    Attributes
    ----------
    coupling : float
        ``K`` of level 0, dimensionless, in (0, 1].
    scheme : str
        A recursion of `isingflow.ising.couplings`, or "exact first step".
    side : int
        Side of the torus of level 0, at least ``2 * 2**ceil(steps/2)``.
    samples : int
        Configurations at every level; at least 20, one for each jackknife block.
    steps : int
        Levels after level 0, at least 1.
    """

    coupling: float
    scheme: str
    side: int = 64
    samples: int = 512
    steps: int = 4

    def __post_init__(self):
        _store(
            self,
            coupling=finite("coupling", self.coupling, above=0.0, high=LARGEST_SAMPLED),
            scheme=choice("scheme", self.scheme, SCHEMES),
            samples=whole("samples", self.samples, low=20),
            steps=whole("steps", self.steps, high=MOST_STEPS),
        )
        _store(self, side=whole("side", self.side, low=2 * 2 ** ((self.steps + 1) // 2)))


def shrinking_widths(first, last, *, depth) -> tuple:
    """Return widths that fall, or rise, linearly from level 0 to the last, rounded to whole neurons.

    Parameters
    ----------
    first, last : int
        Neurons at level 0 and at level `depth`, at least 1.
    depth : int
        Number of layers after level 0, at least 1.

    Returns
    -------
    tuple of int
        ``depth + 1`` widths, as `NetworkParameters` takes them.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    Examples
    --------
    >>> shrinking_widths(784, 10, depth=3)
    (784, 526, 268, 10)
    """
    ends = whole("first width", first), whole("last width", last)
    return tuple(np.rint(np.linspace(*ends, whole("depth", depth) + 1)).astype(int).tolist())


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkParameters:
    """A random network: ``z^0 = W^0 x + b^0``, then ``z^l = r z^{l-1} + W^l phi(z^{l-1}) + b^l``.

    Attributes
    ----------
    weight_variance : float
        ``sigma_w^2``, dimensionless, in (0, 1e12]; weights are ``N(0, sigma_w^2 / fan_in)``.
    bias_variance : float
        ``sigma_b^2``, dimensionless, in [0, 1e12].
    depth : int
        Number of layers after level 0, at least 1.
    width : int or tuple of int
        Neurons of every level, at least 1; or of each level 0 to `depth`, as from `shrinking_widths`.
    activation : str
        As in `isingflow.network.activations.named`.
    residual : float
        ``r``, dimensionless, in [0, 10]; the levels of a residual network have one width. From 1 on the variance grows
        without bound.
    """

    weight_variance: float
    bias_variance: float
    depth: int
    width: int | tuple
    activation: str = "tanh"
    residual: float = dataclasses.field(default=0.0, metadata={"since": "0.2"})

    def __post_init__(self):
        _store(
            self,
            weight_variance=finite("weight_variance", self.weight_variance, above=0.0, high=LARGEST_VARIANCE),
            bias_variance=finite("bias_variance", self.bias_variance, low=0.0, high=LARGEST_VARIANCE),
            depth=whole("depth", self.depth, high=DEEPEST),
            residual=finite("residual", self.residual, low=0.0, high=10.0),
        )
        _store(self, width=_width(self.width, self.depth))
        activation(self.activation)
        if self.residual and len(set(self.widths)) > 1:
            raise ParameterError(
                f"a residual network needs levels of one width, got residual={self.residual:g} and "
                f"widths from {min(self.widths)} to {max(self.widths)}"
            )

    @property
    def widths(self) -> tuple:
        """Neurons of each level, from 0 to the depth."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * (self.depth + 1)


def _width(given, depth):
    """One width, or one of each level; a list of equal ones is the one."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        return whole("width", given)
    widths = tuple(whole("width", width) for width in given)
    if len(widths) != depth + 1:
        raise ParameterError(
            f"{depth + 1} widths are needed, of levels 0 to {depth}, or a single one; got {len(widths)}"
        )
    return widths if len(set(widths)) > 1 else widths[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingParameters:
    """A random network that is trained to tell classes of images.

    Attributes
    ----------
    network : NetworkParameters
        Its law; the last width is the number of classes.
    epochs : int
        Passes through the images, at least 1.
    source : {"digits", "fashion-mnist"}
        The images.
    index : int
        Which of several networks of the same law, from 0 on.
    """

    network: NetworkParameters
    epochs: int
    source: str = "digits"
    index: int = 0

    def __post_init__(self):
        _store(
            self,
            epochs=whole("epochs", self.epochs),
            source=choice("source", self.source, LABELLED),
            index=whole("index", self.index, low=0),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnsembleParameters:
    """An ensemble of networks, and the two inputs followed through it.

    Attributes
    ----------
    network : NetworkParameters
        The law of the networks.
    networks : int
        At least 20, one for each jackknife block.
    ensemble : {"conditional", "weights"}
        How they are drawn; the laws are the same.
    source : {"digits", "noise"}
        The inputs: the first zero and the first one of scikit-learn's handwritten digits, or white noise with as many
        features, normalised.
    followed : tuple of int
        Curves wanted: of the first input (1), of both jointly (2).
    label : str
        Appended to the name of the curves, to keep apart ensembles that are not to be shown side by side.
    """

    network: NetworkParameters
    networks: int
    ensemble: str = "conditional"
    source: str = "digits"
    followed: tuple = (1, 2)
    label: str = ""

    def __post_init__(self):
        _store(
            self,
            networks=whole("networks", self.networks, low=20),
            ensemble=choice("ensemble", self.ensemble, ENSEMBLES),
            source=choice("source", self.source, INPUTS),
            followed=tuple(whole("inputs followed", count, high=2) for count in self.followed),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedParameters:
    """The published estimator of the layers of random networks, averaged over these.

    Attributes
    ----------
    network : NetworkParameters
        The law of the networks.
    networks, samples : int
        Networks drawn, at least 2, and samples of level 0 for each, at least 2.
    variance : {"layer", "reference"}
        As for `isingflow.network.pushforward.pushforward_estimate`.
    source : {"digits", "noise"}
        The input: the first zero of scikit-learn's handwritten digits, or white noise of as many features, normalised.
    """

    network: NetworkParameters
    networks: int
    samples: int
    variance: str = "reference"
    source: str = "digits"

    def __post_init__(self):
        _store(
            self,
            networks=whole("networks", self.networks, low=2),
            samples=whole("samples", self.samples, low=2),
            variance=choice("variance", self.variance, VARIANCES),
            source=choice("source", self.source, INPUTS),
        )
