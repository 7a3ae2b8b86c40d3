"""Records that are no curves: of random networks the phase diagram, maps with their fixed points and histograms; of the
Ising models flows and maps of couplings, configurations, and what pairs of spins say.

They travel from flow to archive to picture as `isingflow.curve.LevelCurve` does, and cannot be changed. A field that is
an array says in its metadata along which others it runs: that is its shape, and the archive's dimension scales.
"""

import dataclasses
import math
from dataclasses import field

import numpy as np

from isingflow.errors import ParameterError
from isingflow.parameters import ENSEMBLES, PHASES, choice, finite, whole

STABILITIES = ("attracting", "repelling", "neutral")
LATTICES = ("chain", "square")
INFORMATION = ("neighbours", "sublattices")
TERMS = ("nearest", "diagonal", "plaquette", "field")


def ascending(name, values) -> np.ndarray:
    """Return values as float64 (n,), or raise `ParameterError` if they are not at least two numbers that rise."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must be a list of numbers, got {values!r}") from error
    if array.ndim != 1 or len(array) < 2 or not (np.isfinite(array).all() and (np.diff(array) > 0).all()):
        raise ParameterError(f"{name} must be at least two finite numbers, each larger than the one before")
    return array


def _along(*axes, dtype=np.float64):
    """Say that a field is an array along these axes: names of fields or properties, its own if it is an axis."""
    return {"axes": axes, "dtype": dtype}


def arrays(record) -> dict:
    """Return the names of a record's arrays, each with the names of its axes."""
    return {item.name: item.metadata["axes"] for item in dataclasses.fields(record) if "axes" in item.metadata}


class _Record:
    """Own the arrays and freeze them, and check their shapes."""

    def __post_init__(self):
        for item in dataclasses.fields(self):
            if item.type is str and not isinstance(getattr(self, item.name), str):
                raise ParameterError(f"{item.name} must be a name, got {getattr(self, item.name)!r}")
        for name, axes in arrays(self).items():
            (dtype,) = (item.metadata["dtype"] for item in dataclasses.fields(self) if item.name == name)
            stored = np.array(getattr(self, name), dtype=dtype)
            stored.setflags(write=False)
            self._set(**{name: stored})
            wanted = (stored.size,) if axes == (name,) else tuple(len(getattr(self, axis)) for axis in axes)
            if stored.shape != wanted:
                along = ", ".join(axes)
                raise ParameterError(f"{name} must have shape {wanted}, along {along}, got {stored.shape}")

    def _set(self, **checked):
        for name, value in checked.items():
            object.__setattr__(self, name, value)


_PLANE = ("bias_variances", "weight_variances")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PhaseDiagram(_Record):
    """What deep random networks settle at, over the plane of weight and bias variance, at infinite width.

    Attributes
    ----------
    activation : str
        As in `isingflow.network.activations.named`.
    residual : float
        ``r``, dimensionless, in [0, 1).
    weight_variances, bias_variances : numpy.ndarray
        float64 (n,), (m,): ``sigma_w^2`` and ``sigma_b^2``, dimensionless, ascending.
    variance : numpy.ndarray
        float64 (m, n): ``q*``, dimensionless; ``inf`` where the variance grows without bound.
    susceptibility : numpy.ndarray
        float64 (m, n): ``chi``, dimensionless; below 1 the phase is ordered, above 1 chaotic.
    correlation : numpy.ndarray
        float64 (m, n): ``c*`` of two different inputs, dimensionless.
    xi_q, xi_c : numpy.ndarray
        float64 (m, n): depth scales of variance and correlation, layers; ``inf`` at the edge of chaos.
    edge : numpy.ndarray
        float64 (m,): weight variance of the edge of chaos at each bias variance.
    uniformity : numpy.ndarray
        float64 (m,): weight variance of the line of uniformity, NaN where there is none.
    crossing : tuple of float
        Weight and bias variance where the two lines cross, NaN if they do not.

    Raises
    ------
    ParameterError
        If shapes differ, or the variances do not ascend.
    """

    activation: str
    residual: float
    weight_variances: np.ndarray = field(metadata=_along("weight_variances"))
    bias_variances: np.ndarray = field(metadata=_along("bias_variances"))
    variance: np.ndarray = field(metadata=_along(*_PLANE))
    susceptibility: np.ndarray = field(metadata=_along(*_PLANE))
    correlation: np.ndarray = field(metadata=_along(*_PLANE))
    xi_q: np.ndarray = field(metadata=_along(*_PLANE))
    xi_c: np.ndarray = field(metadata=_along(*_PLANE))
    edge: np.ndarray = field(metadata=_along("bias_variances"))
    uniformity: np.ndarray = field(metadata=_along("bias_variances"))
    crossing: tuple = (math.nan, math.nan)

    def __post_init__(self):
        super().__post_init__()
        for name in ("weight_variances", "bias_variances"):
            ascending(name, getattr(self, name))
        if np.shape(self.crossing) != (2,):
            raise ParameterError(f"crossing must be two numbers, got {self.crossing!r}")
        self._set(residual=finite("residual", self.residual), crossing=tuple(map(float, self.crossing)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FixedPointMap(_Record):
    """How variance or correlation of one layer follows from that of the layer before, and where it stays.

    Attributes
    ----------
    quantity : {"variance", "correlation"}
        Of what.
    activation : str
        As in `isingflow.network.activations.named`.
    residual, weight_variance, bias_variance : float
        ``r``, ``sigma_w^2``, ``sigma_b^2``, dimensionless.
    x, y : numpy.ndarray
        float64 (k,): the quantity, ascending, and the same one layer further, dimensionless. Correlations are those of
        two inputs whose variance is ``q*``.
    fixed, slopes : numpy.ndarray
        float64 (j,): fixed points, ascending, and slopes of the map there; none if the variance grows without bound.
    stability : tuple of str
        "attracting", "repelling" or "neutral" for each.

    Raises
    ------
    ParameterError
        If shapes differ, `x` does not ascend, or a word is not one of those above.
    """

    quantity: str
    activation: str
    residual: float
    weight_variance: float
    bias_variance: float
    x: np.ndarray = field(metadata=_along("x"))
    y: np.ndarray = field(metadata=_along("x"))
    fixed: np.ndarray = field(metadata=_along("fixed"))
    slopes: np.ndarray = field(metadata=_along("fixed"))
    stability: tuple

    def __post_init__(self):
        super().__post_init__()
        choice("quantity", self.quantity, ("variance", "correlation"))
        self._set(stability=tuple(choice("stability", word, STABILITIES) for word in self.stability))
        if len(self.stability) != len(self.fixed):
            raise ParameterError(f"{len(self.fixed)} fixed points need as many stabilities, got {len(self.stability)}")
        ascending("x", self.x)
        for name in ("residual", "weight_variance", "bias_variance"):
            self._set(**{name: finite(name, getattr(self, name))})


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ActivationEntropy(_Record):
    """Differential entropy of the activations of one neuron over networks, level by level.

    Attributes
    ----------
    activation : {"tanh", "erf"}
        Those whose images have a density.
    residual, weight_variance, bias_variance : float
        ``r``, ``sigma_w^2``, ``sigma_b^2``, dimensionless.
    levels : numpy.ndarray
        float64 (k,): layers, ascending.
    widths : numpy.ndarray
        float64 (k,): neurons of each level.
    value, error : numpy.ndarray
        float64 (k,): ``h(phi(z)) = h(z) + E[ln phi'(z)]``, nats, and one standard error of it.
    exact : numpy.ndarray
        float64 (k,): its mean-field value, nats.
    networks : int
        How many were sampled.
    ensemble : {"conditional", "weights"}
        How they were drawn; the laws are the same.

    Raises
    ------
    ParameterError
        If shapes differ, the levels do not ascend, or a word is not one of those above.
    """

    activation: str
    residual: float
    weight_variance: float
    bias_variance: float
    levels: np.ndarray = field(metadata=_along("levels"))
    widths: np.ndarray = field(metadata=_along("levels"))
    value: np.ndarray = field(metadata=_along("levels"))
    error: np.ndarray = field(metadata=_along("levels"))
    exact: np.ndarray = field(metadata=_along("levels"))
    networks: int
    ensemble: str

    def __post_init__(self):
        super().__post_init__()
        ascending("levels", self.levels)
        choice("activation", self.activation, ("tanh", "erf"))
        choice("ensemble", self.ensemble, ENSEMBLES)
        for name in ("residual", "weight_variance", "bias_variance"):
            self._set(**{name: finite(name, getattr(self, name))})
        self._set(networks=whole("networks", self.networks, low=0))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ActivationHistogram(_Record):
    """The law of one layer's activations or pre-activations: sampled at a finite width, and at infinite width.

    Attributes
    ----------
    activation : str
        As in `isingflow.network.activations.named`.
    weight_variance, bias_variance : float
        ``sigma_w^2``, ``sigma_b^2``, dimensionless.
    layer : int
        Which.
    edges : numpy.ndarray
        float64 (k + 1,): bounds of the bins, dimensionless, ascending.
    density, density_error : numpy.ndarray
        float64 (k,): share of the activations in a bin over its width, and one standard error of it.
    density_exact : numpy.ndarray
        float64 (k,): its mean-field value.
    networks, width, samples : int
        Networks, neurons in a layer, and their product.
    variable : {"activation", "pre-activation"}
        Of what. The input of activations was scaled to have the variance ``q*`` from level 0 on.

    Raises
    ------
    ParameterError
        If shapes differ, `edges` does not ascend, or `variable` is another.
    """

    activation: str
    weight_variance: float
    bias_variance: float
    layer: int
    edges: np.ndarray = field(metadata=_along("edges"))
    density: np.ndarray = field(metadata=_along("centres"))
    density_error: np.ndarray = field(metadata=_along("centres"))
    density_exact: np.ndarray = field(metadata=_along("centres"))
    samples: int
    networks: int
    width: int
    variable: str = "activation"

    def __post_init__(self):
        super().__post_init__()
        ascending("edges", self.edges)
        choice("variable", self.variable, ("activation", "pre-activation"))
        for name in ("weight_variance", "bias_variance"):
            self._set(**{name: finite(name, getattr(self, name))})
        for name in ("layer", "samples", "networks", "width"):
            self._set(**{name: whole(name, getattr(self, name), low=0)})

    @property
    def centres(self) -> np.ndarray:
        """Middles of the bins, float64 (k,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2


def _terms(given) -> tuple:
    return tuple(choice("terms", term, TERMS) for term in given)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CouplingFlow(_Record):
    """Couplings of an Ising model, level by level.

    Attributes
    ----------
    system : {"chain", "square"}
        Of which.
    scheme : str
        The recursion, for instance "exact, factor 2" or "wilson".
    terms : tuple of {"nearest", "diagonal", "plaquette", "field"}
        What the columns of `couplings` belong to.
    levels : numpy.ndarray
        float64 (k,): steps of the recursion, ascending.
    couplings : numpy.ndarray
        float64 (k, t): one row a level, dimensionless.

    Raises
    ------
    ParameterError
        If shapes differ, the levels do not ascend, or a word is not one of those above.
    """

    system: str
    scheme: str
    terms: tuple
    levels: np.ndarray = field(metadata=_along("levels"))
    couplings: np.ndarray = field(metadata=_along("levels", "columns"))

    def __post_init__(self):
        self._set(terms=_terms(self.terms))
        super().__post_init__()
        ascending("levels", self.levels)
        choice("system", self.system, LATTICES)

    @property
    def columns(self) -> np.ndarray:
        """Numbers of the terms, int64 (t,)."""
        return np.arange(len(self.terms))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class InferredFlow(_Record):
    """Couplings inferred from decimated configurations of the square lattice, level by level.

    Attributes
    ----------
    coupling : float
        Nearest-neighbour ``K`` of level 0.
    side, samples : int
        Side of the torus, and configurations.
    phase : {"symmetric", "up"}
        Configurations as they were sampled, or turned so that their magnetization is not negative.
    terms : tuple of {"nearest", "diagonal", "plaquette", "field"}
        What the columns of `couplings` belong to.
    levels : numpy.ndarray
        float64 (k,): decimation steps, ascending.
    couplings, couplings_error : numpy.ndarray
        float64 (k, t): one row a level, dimensionless, and their standard errors.
    log_likelihood : numpy.ndarray
        float64 (k,), nats per spin, of spins left out of the fit, given their environments.
    missing, missing_error : numpy.ndarray
        float64 (k,), nats per spin that the law of the environments gains over the terms, and the standard errors.
    flags : tuple of str
        As of `isingflow.ising.inference.InferredCouplings`, of any level.

    Raises
    ------
    ParameterError
        If shapes differ, the levels do not ascend, or a word is not one of those above.
    """

    coupling: float
    side: int
    samples: int
    phase: str
    terms: tuple
    levels: np.ndarray = field(metadata=_along("levels"))
    couplings: np.ndarray = field(metadata=_along("levels", "columns"))
    couplings_error: np.ndarray = field(metadata=_along("levels", "columns"))
    log_likelihood: np.ndarray = field(metadata=_along("levels"))
    missing: np.ndarray = field(metadata=_along("levels"))
    missing_error: np.ndarray = field(metadata=_along("levels"))
    flags: tuple = ()

    def __post_init__(self):
        self._set(
            coupling=finite("coupling", self.coupling),
            side=whole("side", self.side),
            samples=whole("samples", self.samples),
            phase=choice("phase", self.phase, PHASES),
            terms=_terms(self.terms),
            flags=tuple(map(str, self.flags)),
        )
        super().__post_init__()
        ascending("levels", self.levels)

    @property
    def columns(self) -> np.ndarray:
        """Numbers of the terms, int64 (t,)."""
        return np.arange(len(self.terms))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CouplingMap(_Record):
    """What one step of a recursion of the square lattice makes of a nearest-neighbour coupling.

    Attributes
    ----------
    scheme : str
        The recursion.
    terms : tuple of {"nearest", "diagonal", "plaquette", "field"}
        What the columns of `after` belong to.
    before : numpy.ndarray
        float64 (k,): ``K``, dimensionless, ascending.
    after : numpy.ndarray
        float64 (k, t): the couplings after the step, dimensionless.
    fixed, slopes : numpy.ndarray
        float64 (j,): fixed points, ascending, and slopes of the map there.
    stability : tuple of str
        "attracting", "repelling" or "neutral" for each.

    Raises
    ------
    ParameterError
        If shapes differ, `before` does not ascend, or a word is not one of those above.
    """

    scheme: str
    terms: tuple
    before: np.ndarray = field(metadata=_along("before"))
    after: np.ndarray = field(metadata=_along("before", "columns"))
    fixed: np.ndarray = field(metadata=_along("fixed"))
    slopes: np.ndarray = field(metadata=_along("fixed"))
    stability: tuple

    def __post_init__(self):
        self._set(terms=_terms(self.terms))
        super().__post_init__()
        self._set(stability=tuple(choice("stability", word, STABILITIES) for word in self.stability))
        if len(self.stability) != len(self.fixed):
            raise ParameterError(f"{len(self.fixed)} fixed points need as many stabilities, got {len(self.stability)}")
        ascending("before", self.before)

    @property
    def columns(self) -> np.ndarray:
        """Numbers of the terms, int64 (t,)."""
        return np.arange(len(self.terms))


_COUPLINGS = ("diagonal", "nearest")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CouplingPlane(_Record):
    """A recursion of nearest and diagonal couplings of the square lattice, over their plane.

    Attributes
    ----------
    scheme : str
        The recursion.
    nearest, diagonal : numpy.ndarray
        float64 (n,), (m,): ``K1`` and ``K2``, dimensionless, ascending.
    nearest_step, diagonal_step : numpy.ndarray
        float64 (m, n): by how much one step changes each.
    critical_nearest, critical_diagonal : numpy.ndarray
        float64 (k,): points on the line that flows into the fixed point, `critical_diagonal` ascending.
    fixed : tuple of float
        The fixed point ``(K1, K2)``.

    Raises
    ------
    ParameterError
        If shapes differ, or an axis does not ascend.
    """

    scheme: str
    nearest: np.ndarray = field(metadata=_along("nearest"))
    diagonal: np.ndarray = field(metadata=_along("diagonal"))
    nearest_step: np.ndarray = field(metadata=_along(*_COUPLINGS))
    diagonal_step: np.ndarray = field(metadata=_along(*_COUPLINGS))
    critical_diagonal: np.ndarray = field(metadata=_along("critical_diagonal"))
    critical_nearest: np.ndarray = field(metadata=_along("critical_diagonal"))
    fixed: tuple

    def __post_init__(self):
        super().__post_init__()
        for name in ("nearest", "diagonal", "critical_diagonal"):
            ascending(name, getattr(self, name))
        if np.shape(self.fixed) != (2,):
            raise ParameterError(f"fixed must be two couplings, got {self.fixed!r}")
        self._set(fixed=tuple(map(float, self.fixed)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Configuration(_Record):
    """A window of one decimated configuration of the square lattice.

    Attributes
    ----------
    coupling : float
        ``K`` of the sampled lattice, dimensionless.
    side : int
        Its side.
    level : int
        Decimation steps of length sqrt(2).
    spins : numpy.ndarray
        int8 (rows, columns): -1 and +1.

    Raises
    ------
    ParameterError
        If there are other spins, or a number is out of range.
    """

    coupling: float
    side: int
    level: int
    spins: np.ndarray = field(metadata=_along("rows", "columns", dtype=np.int8))

    def __post_init__(self):
        if np.ndim(self.spins) != 2 or not np.isin(self.spins, (-1, 1)).all():
            raise ParameterError(f"spins must be -1 and +1 in rows and columns, got shape {np.shape(self.spins)}")
        super().__post_init__()
        self._set(coupling=finite("coupling", self.coupling))
        self._set(side=whole("side", self.side), level=whole("level", self.level, low=0))

    @property
    def rows(self) -> np.ndarray:
        """Numbers of the rows, int64."""
        return np.arange(np.shape(self.spins)[0])

    @property
    def columns(self) -> np.ndarray:
        """Numbers of the columns, int64."""
        return np.arange(np.shape(self.spins)[1])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AsymptoteLine(_Record):
    """The exact limit of relative entropy under decimation against the coupling, densely.

    Attributes
    ----------
    system : {"chain", "square"}
        Of which.
    quantity : str
        Of what, as for `isingflow.curve.LevelCurve`.
    per : str
        What it is per.
    before : numpy.ndarray
        float64 (k,): ``K``, dimensionless, ascending.
    asymptote : numpy.ndarray
        float64 (k,): nats.
    critical : float
        The critical coupling, ``inf`` for the chain.

    Raises
    ------
    ParameterError
        If shapes differ, the couplings do not ascend, or the system is another.
    """

    system: str
    quantity: str
    per: str
    before: np.ndarray = field(metadata=_along("before"))
    asymptote: np.ndarray = field(metadata=_along("before"))
    critical: float

    def __post_init__(self):
        super().__post_init__()
        choice("system", self.system, LATTICES)
        ascending("before", self.before)
        self._set(critical=float(self.critical))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class InformationCurve(_Record):
    """Mutual information of kept and removed spins of the square lattice, against the coupling.

    Attributes
    ----------
    quantity : {"neighbours", "sublattices"}
        Of a spin and its neighbours, in one phase; or of the two sublattices.
    per : str
        What it is per.
    side : int
        Of the torus; 0 for the infinite lattice.
    samples : int
        Configurations at every coupling; 0 for exact values.
    before : numpy.ndarray
        float64 (k,): ``K``, dimensionless, ascending.
    information, information_error : numpy.ndarray
        float64 (k,), nats, and the standard errors.
    maximum, maximum_error : float
        Coupling at which it is largest, and the standard error.

    Raises
    ------
    ParameterError
        If shapes differ, the couplings do not ascend, or the quantity is another.
    """

    quantity: str
    per: str
    side: int
    samples: int
    before: np.ndarray = field(metadata=_along("before"))
    information: np.ndarray = field(metadata=_along("before"))
    information_error: np.ndarray = field(metadata=_along("before"))
    maximum: float
    maximum_error: float

    def __post_init__(self):
        super().__post_init__()
        ascending("before", self.before)
        self._set(
            quantity=choice("quantity", self.quantity, INFORMATION),
            side=whole("side", self.side, low=0),
            samples=whole("samples", self.samples, low=0),
            maximum=finite("maximum", self.maximum),
            maximum_error=finite("maximum_error", self.maximum_error, low=0.0),
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ExponentTable(_Record):
    """Exponents of the square lattice by the Monte Carlo renormalization group.

    Attributes
    ----------
    coupling : float
        Nearest-neighbour ``K`` of the configurations.
    rule : str
        How they were blocked.
    factor : int
        By which number.
    sides : tuple of int
        Of the lattices, from the original to the last; there is one step less.
    samples : int
        Configurations.
    even, odd : tuple of str
        Operators, in the order in which they were taken along.
    thermal, thermal_error : numpy.ndarray
        float64 (steps, even): ``y_t`` with the first 1, 2, ... operators and standard errors; NaN where there is none.
    magnetic, magnetic_error : numpy.ndarray
        float64 (steps, odd): ``y_h``, the same.

    Raises
    ------
    ParameterError
        If shapes differ, or the sides are not as many.
    """

    coupling: float
    rule: str
    factor: int
    sides: tuple
    samples: int
    even: tuple
    odd: tuple
    thermal: np.ndarray = field(metadata=_along("steps", "even_counts"))
    thermal_error: np.ndarray = field(metadata=_along("steps", "even_counts"))
    magnetic: np.ndarray = field(metadata=_along("steps", "odd_counts"))
    magnetic_error: np.ndarray = field(metadata=_along("steps", "odd_counts"))

    def __post_init__(self):
        self._set(
            coupling=finite("coupling", self.coupling),
            factor=whole("factor", self.factor, low=2),
            sides=tuple(whole("sides", side) for side in self.sides),
            samples=whole("samples", self.samples),
            even=tuple(map(str, self.even)),
            odd=tuple(map(str, self.odd)),
        )
        super().__post_init__()

    @property
    def steps(self) -> np.ndarray:
        """Numbers of the steps, from 1 on: int64."""
        return np.arange(1, len(self.sides))

    @property
    def even_counts(self) -> np.ndarray:
        """Numbers of even operators taken along: int64."""
        return np.arange(1, len(self.even) + 1)

    @property
    def odd_counts(self) -> np.ndarray:
        """Numbers of odd operators taken along: int64."""
        return np.arange(1, len(self.odd) + 1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainabilityMap(_Record):
    """How well networks are trained, over weight variance and depth, and how well untrained ones tell their input.

    Attributes
    ----------
    source : str
        The images.
    width, epochs : int
        Of the networks, and of their training.
    bias_variance : float
        ``sigma_b^2``.
    weight_variances : numpy.ndarray
        float64 (k,): ``sigma_w^2``, ascending.
    depths : numpy.ndarray
        float64 (d,): layers after level 0, ascending.
    accuracy, loss : numpy.ndarray
        float64 (d, k): share of the test images classified right after the last epoch, and its mean loss, nats.
    information_loss, information_loss_error : numpy.ndarray
        float64 (d, k): relative entropy of the images from their reconstructions by a cascade, nats, standard error.
    ignorant : float
        The same from the mean image.
    dense, xi_c : numpy.ndarray
        float64 (m,): weight variances, and the depth scale of mean field there.
    correlation, correlation_error : float
        Spearman's rank correlation of accuracy and minus the relative entropy over all points, with a bootstrap error.
    training_seconds, cascade_seconds : float
        Spent on all points, on one core each.

    Raises
    ------
    ParameterError
        If shapes differ or axes do not ascend.
    """

    source: str
    width: int
    epochs: int
    bias_variance: float
    weight_variances: np.ndarray = field(metadata=_along("weight_variances"))
    depths: np.ndarray = field(metadata=_along("depths"))
    accuracy: np.ndarray = field(metadata=_along("depths", "weight_variances"))
    loss: np.ndarray = field(metadata=_along("depths", "weight_variances"))
    information_loss: np.ndarray = field(metadata=_along("depths", "weight_variances"))
    information_loss_error: np.ndarray = field(metadata=_along("depths", "weight_variances"))
    ignorant: float
    dense: np.ndarray = field(metadata=_along("dense"))
    xi_c: np.ndarray = field(metadata=_along("dense"))
    correlation: float
    correlation_error: float
    training_seconds: float
    cascade_seconds: float

    def __post_init__(self):
        super().__post_init__()
        for name in ("weight_variances", "depths", "dense"):
            ascending(name, getattr(self, name))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReconstructedImages(_Record):
    """Test images, and what a cascade of reconstructors makes of them from several levels of an untrained network.

    Attributes
    ----------
    weight_variance : float
        ``sigma_w^2`` of the network.
    levels : numpy.ndarray
        float64 (k,): from which, ascending.
    images : numpy.ndarray
        float64 (rows, pixels): shares of the grey.
    reconstructed : numpy.ndarray
        float64 (k, rows, pixels).

    Raises
    ------
    ParameterError
        If shapes differ or the levels do not ascend.
    """

    weight_variance: float
    levels: np.ndarray = field(metadata=_along("levels"))
    images: np.ndarray = field(metadata=_along("rows", "pixels"))
    reconstructed: np.ndarray = field(metadata=_along("levels", "rows", "pixels"))

    def __post_init__(self):
        super().__post_init__()
        ascending("levels", self.levels)

    @property
    def rows(self) -> np.ndarray:
        """Numbers of the images, int64."""
        return np.arange(np.shape(self.images)[0])

    @property
    def pixels(self) -> np.ndarray:
        """Numbers of the pixels, int64."""
        return np.arange(np.shape(self.images)[-1])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PairCorrelation(_Record):
    """Correlations of two spins in a row, inverted from the relative entropy between near and far pairs.

    Attributes
    ----------
    coupling : float
        ``K`` of the square lattice, dimensionless.
    side : int
        Side of the torus.
    distances : numpy.ndarray
        float64 (k,): ``r``, lattice constants, ascending.
    inverted, inverted_error : numpy.ndarray
        float64 (k,): ``c_r`` at which ``D(p_1||p_r)`` takes its sampled value, and one standard error; dimensionless.
    torus, plane : numpy.ndarray
        float64 (k,): the exact ``c_r`` of the torus and of the infinite lattice.

    Raises
    ------
    ParameterError
        If shapes differ, the distances do not ascend, or a number is out of range.
    """

    coupling: float
    side: int
    distances: np.ndarray = field(metadata=_along("distances"))
    inverted: np.ndarray = field(metadata=_along("distances"))
    inverted_error: np.ndarray = field(metadata=_along("distances"))
    torus: np.ndarray = field(metadata=_along("distances"))
    plane: np.ndarray = field(metadata=_along("distances"))

    def __post_init__(self):
        super().__post_init__()
        ascending("distances", self.distances)
        self._set(coupling=finite("coupling", self.coupling), side=whole("side", self.side))
