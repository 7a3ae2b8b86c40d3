"""`LevelCurve`: relative entropy level by level, the record that travels from flow to archive to picture."""

import dataclasses
import math

import numpy as np

from isingflow.errors import IsingflowError, ParameterError
from isingflow.parameters import choice

REGIMES = ("saturating", "critical", "growing", "undetermined")
REFERENCES = ("exact", "mean field", "mean field, 1/width", "none")

SERIES = (
    "length",
    "value",
    "error",
    "reverse",
    "reverse_error",
    "step",
    "step_error",
    "jensen_shannon",
    "jensen_shannon_error",
    "exact",
    "exact_reverse",
    "exact_step",
    "exact_jensen_shannon",
)
"""Names of the float64 (levels,) arrays of a curve."""

SUMMARY = (
    "asymptote",
    "asymptote_error",
    "asymptote_exact",
    "scale",
    "scale_error",
    "scale_exact",
    "exponent",
    "exponent_error",
)
"""Names of the float64 numbers of a curve."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LevelCurve:
    """Relative entropy between level 0 and level n of one system, with its error.

    NaN stands for what there is none of: a reference that is not known, the step from the last level, an asymptote of a
    curve that grows.

    Attributes
    ----------
    system : {"chain", "square", "network"}
        What was followed.
    quantity : str
        Which laws are compared, for instance "pair marginal" or "coupling, maris-kadanoff".
    per : str
        What the values are per: "site", "bond", "window", "neuron".
    control : str
        Name of the parameter that drives the system through its phases; a key of `parameters`.
    parameters : mapping
        Names and values (numbers or text) of what was computed.
    levels : numpy.ndarray
        int64 (levels,): RG steps, decimation factors or layers, as `level_name` says.
    level_name : str
        What a level is.
    length : numpy.ndarray
        float64 (levels,): original lattice constants, or layers.
    value, reverse, step : numpy.ndarray
        float64 (levels,): ``D(p_0||p_n)``, ``D(p_n||p_0)``, ``D(p_n||p_{n+1})``, nats.
    jensen_shannon : numpy.ndarray
        float64 (levels,): Jensen-Shannon divergence of levels 0 and n, nats. Windows of spins have one: of whole
        lattices it is not extensive, of Gaussians not known.
    error, reverse_error, step_error, jensen_shannon_error : numpy.ndarray
        float64 (levels,): one standard error of each; 0 where exact.
    exact, exact_reverse, exact_step, exact_jensen_shannon : numpy.ndarray
        float64 (levels,): the references of each.
    reference : {"exact", "mean field", "mean field, 1/width", "none"}
        What the references are. "mean field" is the limit of infinite width; "mean field, 1/width" has the first
        correction at the width of the network in `exact`, `exact_reverse` and `exact_step`, but not in
        `asymptote_exact` and `scale_exact`, which stay mean field.
    regime : {"saturating", "critical", "growing", "undetermined"}
        How the curve ends: at an asymptote approached as ``exp(-length/scale)``; without a scale, with an exponent
        instead; as ``exp(length/scale)``; or the data do not tell.
    asymptote, scale, exponent : float
        In nats, in the unit of `length`, dimensionless; each with its ``_error``. `scale` is ``inf`` where critical.
    asymptote_exact, scale_exact : float
        References.
    fit : str
        Model and range of the fit that tells regime and scale; empty where there was none.
    estimator : str
        Name of the estimator, "exact" for closed forms.
    samples : int
        Configurations or networks; 0 for closed forms.
    flags : tuple of str
        Doubts of the estimator, each once.

    Raises
    ------
    ParameterError
        If the arrays differ in length, or a word is not one of those above.

    Examples
    --------
    >>> curve = LevelCurve(system="chain", quantity="coupling", per="site", control="coupling",
    ...                    parameters={"coupling": 0.8}, levels=[0, 1], length=[1, 2], value=[0.0, 0.1])
    >>> curve.regime, curve.error.tolist()
    ('undetermined', [0.0, 0.0])
    """

    system: str
    quantity: str
    per: str
    control: str
    parameters: dict
    levels: np.ndarray
    level_name: str = "decimation steps"
    length: np.ndarray
    value: np.ndarray
    error: np.ndarray = 0.0
    reverse: np.ndarray = math.nan
    reverse_error: np.ndarray = 0.0
    step: np.ndarray = math.nan
    step_error: np.ndarray = 0.0
    jensen_shannon: np.ndarray = math.nan
    jensen_shannon_error: np.ndarray = 0.0
    exact: np.ndarray = math.nan
    exact_reverse: np.ndarray = math.nan
    exact_step: np.ndarray = math.nan
    exact_jensen_shannon: np.ndarray = math.nan
    reference: str = "none"
    regime: str = "undetermined"
    asymptote: float = math.nan
    asymptote_error: float = math.nan
    asymptote_exact: float = math.nan
    scale: float = math.nan
    scale_error: float = math.nan
    scale_exact: float = math.nan
    exponent: float = math.nan
    exponent_error: float = math.nan
    fit: str = ""
    estimator: str = "exact"
    samples: int = 0
    flags: tuple = ()

    def __post_init__(self):
        choice("system", self.system, ("chain", "square", "network"))
        choice("regime", self.regime, REGIMES)
        choice("reference", self.reference, REFERENCES)
        levels = np.array(self.levels, dtype=np.int64)
        if levels.ndim != 1 or not len(levels):
            raise ParameterError(f"levels must be a non-empty list, got shape {levels.shape}")
        _freeze(self, "levels", levels)
        for name in SERIES:
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim and values.shape != levels.shape:
                raise ParameterError(f"{name} must have {len(levels)} values, one a level, got shape {values.shape}")
            _freeze(self, name, np.broadcast_to(values, levels.shape).copy())
        for name in SUMMARY:
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.control not in self.parameters:
            raise ParameterError(f"the control parameter {self.control!r} is not among {sorted(self.parameters)}")
        object.__setattr__(self, "parameters", dict(self.parameters))
        object.__setattr__(self, "flags", tuple(dict.fromkeys(self.flags)))

    @property
    def family(self) -> str:
        """``system/quantity``: curves of one family differ in their control parameter."""
        return f"{self.system}/{self.quantity}"

    @property
    def control_value(self) -> float:
        """Value of the control parameter."""
        return self.parameters[self.control]

    def distance(self) -> np.ndarray:
        """Return float64 (levels,): ``(value - exact) / error``; NaN where there is no reference or no error."""
        with_error = (self.error > 0) & np.isfinite(self.exact)
        return np.divide(self.value - self.exact, self.error, out=np.full(len(self.levels), np.nan), where=with_error)

    def to_xarray(self):
        """Return the curve as an ``xarray.Dataset`` along ``level``; needs the extra ``isingflow[xarray]``."""
        try:
            import xarray
        except ImportError:
            raise IsingflowError("to_xarray needs xarray: pip install 'isingflow[xarray]'") from None
        units = {"length": "layer" if self.system == "network" else "lattice constant"}
        series = {name: ("level", getattr(self, name), {"units": units.get(name, "nat")}) for name in SERIES}
        attributes = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in (*SERIES, "levels", "parameters", "flags")
        }
        coordinates = {"level": ("level", self.levels, {"long_name": self.level_name}), **self.parameters}
        return xarray.Dataset(series, coordinates, {**attributes, "flags": ", ".join(self.flags)})

    def plot(self, ax):
        """Draw the curve into a matplotlib axes, with error bars and its reference; return the artists."""
        from isingflow.plotting.curves import draw_curve

        return draw_curve(ax, self)


def _freeze(record, name, array):
    array.setflags(write=False)
    object.__setattr__(record, name, array)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ScaleLine:
    """The exact scale of a system against its control parameter, densely.

    Attributes
    ----------
    system : {"chain", "square", "network"}
        Whose scale.
    control : str
        Name of the control parameter.
    values : numpy.ndarray
        float64 (n,): control parameter.
    scale : numpy.ndarray
        float64 (n,): correlation length in lattice constants, or depth scale in layers; ``inf`` at criticality.
    critical : float
        Where the scale diverges; ``inf`` where it does so only in the limit.
    reference : {"exact", "mean field"}
        What the line is.
    """

    system: str
    control: str
    values: np.ndarray
    scale: np.ndarray
    critical: float
    reference: str = "exact"

    def __post_init__(self):
        choice("system", self.system, ("chain", "square", "network"))
        choice("reference", self.reference, REFERENCES[:2])
        for name in ("values", "scale"):
            _freeze(self, name, np.array(getattr(self, name), dtype=np.float64))
        if self.values.ndim != 1 or self.values.shape != self.scale.shape:
            raise ParameterError(f"a line needs as many scales as values, got {self.scale.shape}, {self.values.shape}")
