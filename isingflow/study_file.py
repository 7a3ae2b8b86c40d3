"""Studies as TOML: a system, its fixed parameters, a grid of others, and what is to be estimated at each point.

system = "square"                 # chain | square | truncation | network | published
estimators = ["pair marginal"]    # all of the system's without it
seed = 1
repeats = 4                       # independent ones of every point, combined into one curve
output = "results/square.h5"

[parameters]
samples = 400

[grid]                            # every combination
coupling = {from = 0.3, to = 0.5, step = 0.02}
algorithm = ["wolff", "heat-bath"]

[[zipped]]                        # one axis: values side by side
side = [32, 64]
steps = [4, 6]
"""

import dataclasses
import functools
import hashlib
import json
import math
import tomllib
from pathlib import Path

import numpy as np

from isingflow.errors import ParameterError
from isingflow.grid import Axis, Grid
from isingflow.parameters import (
    ChainParameters,
    EnsembleParameters,
    NetworkParameters,
    PublishedParameters,
    SquareParameters,
    TruncationParameters,
    canonical,
    choice,
    finite,
    whole,
)
from isingflow.seeding import checked_seed

FOLLOWED = {"one input": 1, "two inputs": 2}
"""Estimators of networks, and how many inputs they follow."""

_WINDOWS = ("pair marginal", "2x2 marginal", "2x3 marginal", "3x3 marginal", "4x4 marginal")
SYSTEMS = {
    "chain": (ChainParameters, ("coupling", "window marginal", "pair marginal"), 3),
    "square": (SquareParameters, ("coupling", "row pair marginal", *_WINDOWS), 4),
    "truncation": (TruncationParameters, ("marginals",), 1),
    "network": (EnsembleParameters, tuple(FOLLOWED), 2),
    "published": (PublishedParameters, ("published estimator",), 1),
}
"""Of each system: the record of a point, its estimators, and how many of them are meant without a list."""

_KEYS = ("system", "estimators", "seed", "repeats", "output", "parameters", "grid", "zipped")
_RANGE = ("from", "to", "step", "points", "spacing")
_OF_STUDIES = ("network", "followed", "label")
"""Fields of records that a study fills in itself."""

MOST_TASKS = 1_000_000
LARGEST = 2**63 - 1
"""Whole number of TOML."""

DIGITS = 12
"""Significant ones of the values of a range: 0.35 is meant, not 0.35000000000000003."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One piece of work: a point of a grid, once.

    Attributes
    ----------
    parameters : dataclass instance
        A record of `isingflow.parameters`.
    estimators : tuple of str
        What is wanted of it.
    seed : int
        Root seed of the study.
    repeat : int
        Which of several independent repeats, from 0.
    """

    parameters: object
    estimators: tuple
    seed: int
    repeat: int = 0

    @property
    def key(self) -> str:
        """SHA-256 of all that the result depends on, in hexadecimal."""
        text = json.dumps([canonical(self.parameters), self.estimators, self.seed, self.repeat])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Study:
    """What a study file says, checked; made by `read` or `of`.

    Attributes
    ----------
    name : str
        What messages call it.
    system : str
        One of `SYSTEMS`.
    estimators : tuple of str
    seed, repeats : int
    output : pathlib.Path
        The archive.
    fixed : dict
        Parameters that all points share.
    grid : Grid
        The others.

    Examples
    --------
    >>> study = Study.of({"system": "chain", "grid": {"coupling": {"from": 0.4, "to": 0.8, "step": 0.2}}, "repeats": 2})
    >>> len(study), study.task(5).parameters.coupling, study.task(5).repeat
    (6, 0.8, 1)
    """

    name: str
    system: str
    estimators: tuple
    seed: int
    repeats: int
    output: Path
    fixed: dict
    grid: Grid

    @classmethod
    def read(cls, path, changes=()) -> "Study":
        """Read a study file.

        Parameters
        ----------
        path : str or path
            A TOML file.
        changes : sequence of str
            ``key=value`` texts that override what the file says, the value in TOML or a bare word. ``side=64`` and
            ``parameters.side=64`` fix a parameter, ``side=[32, 64]`` and ``grid.side=...`` vary it.

        Raises
        ------
        ParameterError
            In one line, if the file is missing, is no TOML, or asks for what there is none of.
        """
        path = Path(path)
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise ParameterError(f"cannot read the study {path}: {reason}") from None
        try:
            said = _parsed(text)
            for change in changes:
                _change(said, change)
            return cls._checked(said, path.stem)
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from None

    @classmethod
    def of(cls, said, name="study") -> "Study":
        """Take what a study file would say as a mapping.

        Raises
        ------
        ParameterError
            As for `read`.
        """
        return cls._checked(dict(said), name)

    @classmethod
    def _checked(cls, said, name):
        for key in said:
            choice("a key of the study", key, _KEYS)
        if "system" not in said:
            raise ParameterError(f"system is missing: one of {', '.join(SYSTEMS)}")
        system = choice("system", said["system"], SYSTEMS)
        fixed = _table(said, "parameters")
        axes = [Axis((key,), (_values(f"grid.{key}", given),)) for key, given in _table(said, "grid").items()]
        axes += [_zipped(number, table) for number, table in enumerate(_tables(said, "zipped"), start=1)]
        names = [name for axis in axes for name in axis.names]
        for key in (*fixed, *names):
            choice(f"a parameter of {system!r}", key, parameter_names(system))
        for key in names:
            if key in fixed or names.count(key) > 1:
                raise ParameterError(f"{key} is given twice: once in [parameters], [grid] or [[zipped]] is enough")
        for key, value in fixed.items():
            _plain(f"parameters.{key}", value, several=key == "width")
        study = cls(
            name=name,
            system=system,
            estimators=_estimators(system, said.get("estimators")),
            seed=checked_seed(said.get("seed", 1)),
            repeats=whole("repeats", said.get("repeats", 1)),
            output=_output(said.get("output", f"{name}.h5")),
            fixed=fixed,
            grid=Grid(tuple(axes)),
        )
        if len(study) > MOST_TASKS:
            raise ParameterError(
                f"the grid of {' x '.join(names)} and {study.repeats} repeats make {len(study)} tasks, "
                f"more than {MOST_TASKS}: make several studies of it"
            )
        for point in range(len(study.grid)):
            study.parameters(point)
        return study

    def __len__(self):
        """Number of tasks."""
        return len(self.grid) * self.repeats

    def parameters(self, point):
        """Return the record of one point of the grid, counted from 0."""
        varied = self.grid.point(point)
        try:
            return _record(self.system, self.fixed | varied, self.estimators)
        except ParameterError as error:
            at = ", ".join(f"{name} = {value}" for name, value in varied.items())
            raise ParameterError(f"{error} (at {at})" if at else str(error)) from None

    def task(self, number) -> Task:
        """Return one task, counted from 0: repeats of a point follow each other."""
        point, repeat = divmod(number, self.repeats)
        return Task(self.parameters(point), self.estimators, self.seed, repeat)

    def says(self) -> str:
        """Return the study as JSON, as archives record it."""
        axes = [dict(zip(axis.names, axis.columns, strict=True)) for axis in self.grid.axes]
        said = {"system": self.system, "estimators": self.estimators, "seed": self.seed, "repeats": self.repeats}
        return json.dumps(said | {"parameters": self.fixed, "axes": axes})


@functools.cache
def parameter_names(system) -> tuple:
    """Return the parameters that a study of a system may give.

    Examples
    --------
    >>> parameter_names("square")
    ('coupling', 'side', 'samples', 'steps', 'algorithm')
    """
    names = _names(SYSTEMS[system][0])
    of_network = _names(NetworkParameters) if "network" in names else ()
    return (*of_network, *(name for name in names if name not in _OF_STUDIES))


def _names(kind):
    return tuple(field.name for field in dataclasses.fields(kind))


def _record(system, values, estimators):
    """The record of a point from its parameters, those of networks in one of their own."""
    kind, given = SYSTEMS[system][0], dict(values)
    if "network" in _names(kind):
        of_network = {name: given.pop(name) for name in _names(NetworkParameters) if name in given}
        given["network"] = NetworkParameters(**_complete(NetworkParameters, of_network))
    if system == "network":
        given["followed"] = tuple(FOLLOWED[name] for name in estimators)
    record = kind(**_complete(kind, given))
    if system == "chain" and record.field and estimators == ("pair marginal",):
        raise ParameterError(f"the pair marginal needs a chain without a field, got field = {record.field:g}")
    return record


def _complete(kind, given):
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING and field.name not in given:
            raise ParameterError(f"{field.name} is missing: give it in [parameters] or [grid]")
    return given


def _parsed(text):
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ParameterError("no TOML of a study: lists or tables are nested too deep") from None
    except ValueError as error:
        words = str(error).partition(" (at ")[0]
    lines = text.splitlines()
    number = max(number for number in range(len(lines)) if _is_toml("\n".join(lines[:number])))
    raise ParameterError(f"no TOML: {words}, at or after line {number + 1}: {lines[number].strip()[:80]}")


def _is_toml(text):
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


def _change(said, change):
    """Carry out one ``key=value``."""
    key, equals, text = change.partition("=")
    key, text = key.strip(), text.strip()
    if not (key and equals and text):
        raise ParameterError(f"a change must be KEY=VALUE, such as side=64, got {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    table, dot, name = key.rpartition(".")
    if not dot:
        if key in _KEYS:
            said[key] = value
            return
        name, table = key, "grid" if isinstance(value, (list, dict)) and key != "width" else "parameters"
    choice("the table of a change", table, ("parameters", "grid"))
    for other in ("parameters", "grid"):
        if isinstance(said.get(other), dict):
            said[other].pop(name, None)
    for zipped in said.get("zipped", []) if isinstance(said.get("zipped", []), list) else []:
        if isinstance(zipped, dict) and name in zipped:
            raise ParameterError(f"{name} varies together with others in [[zipped]]: change the file")
    said.setdefault(table, {})
    _table(said, table)[name] = value


def _table(said, name):
    found = said.get(name, {})
    if not isinstance(found, dict):
        raise ParameterError(f"{name} must be a table, [{name}], got {found!r}")
    return found


def _tables(said, name):
    found = said.get(name, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) and table for table in found):
        raise ParameterError(f"{name} must be tables, [[{name}]], with a list for each parameter, got {found!r}")
    return found


def _zipped(number, table):
    columns = {name: _values(f"zipped.{name}", given, repeated=True) for name, given in table.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        words = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ParameterError(f"lists of [[zipped]] number {number} must be of one length: {words}")
    rows = list(zip(*columns.values(), strict=True))
    twice = next((row for row in rows if rows.count(row) > 1), None) if len(set(rows)) < len(rows) else None
    if twice is not None:
        raise ParameterError(f"[[zipped]] lists {dict(zip(columns, twice, strict=True))} twice")
    return Axis(tuple(columns), tuple(columns.values()))


def _values(name, given, *, repeated=False):
    """The values of an axis, from a list or a range."""
    if isinstance(given, dict):
        return _range(name, given)
    if not isinstance(given, list):
        wanted = "a list, or a range such as {from = 0.3, to = 0.5, step = 0.1}"
        raise ParameterError(f"{name} must be {wanted}, got {given!r}")
    if not given:
        raise ParameterError(f"{name} must list at least one value, got none")
    values = tuple(_plain(name, value) for value in given)
    kinds = {isinstance(value, str) for value in values}
    if len(kinds) > 1:
        raise ParameterError(f"{name} must list either numbers or texts, got both")
    if not repeated and len(set(values)) < len(values):
        twice = next(value for number, value in enumerate(values) if value in values[:number])
        raise ParameterError(f"{name} lists {twice!r} twice")
    return values


def _plain(name, value, *, several=False):
    """A number or a text; for some parameters also a list of numbers."""
    if several and isinstance(value, list):
        for one in value:
            _plain(name, one)
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        hint = "; lists belong in [grid]" if isinstance(value, list) else ""
        raise ParameterError(f"{name} must be a number or a text, got {value!r}{hint}")
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise ParameterError(f"{name} must be a whole number below 2**63, got one of {len(str(abs(value)))} digits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f"{name} must be finite, got {value}")
    return value


def _range(name, given):
    for key in given:
        choice(f"a key of the range {name}", key, _RANGE)
    for key in ("from", "to"):
        if key not in given:
            raise ParameterError(f"the range {name} needs {key!r}")
    if ("step" in given) == ("points" in given):
        raise ParameterError(f"the range {name} needs either 'step' or 'points'")
    low, high = (finite(f"{name}.{key}", _plain(f"{name}.{key}", given[key])) for key in ("from", "to"))
    spacing = choice(f"{name}.spacing", given.get("spacing", "linear"), ("linear", "log"))
    if low >= high:
        raise ParameterError(f"the range {name} must rise, got from = {low:g}, to = {high:g}")
    if "points" in given:
        points = whole(f"{name}.points", given["points"], low=2, high=MOST_TASKS)
        if spacing == "log" and low <= 0:
            raise ParameterError(f"the range {name} with spacing 'log' must begin above 0, got from = {low:g}")
        values = np.geomspace(low, high, points) if spacing == "log" else np.linspace(low, high, points)
    else:
        step = finite(f"{name}.step", _plain(f"{name}.step", given["step"]), above=0.0)
        if "spacing" in given:
            raise ParameterError(f"the range {name} with 'step' has no 'spacing': give 'points'")
        if (high - low) / step > MOST_TASKS:
            raise ParameterError(f"{name}.step makes more than {MOST_TASKS} values, got {step:g}")
        values = low + step * np.arange(int((high - low) / step * (1 + 1e-12)) + 1)
    whole_numbers = all(isinstance(given[key], int) for key in ("from", "to", "step") if key in given)
    rounded = [float(f"{value:.{DIGITS}g}") for value in values.tolist()]
    if whole_numbers and all(value.is_integer() for value in rounded):
        rounded = [int(value) for value in rounded]
    if len(set(rounded)) < len(rounded):
        raise ParameterError(f"the range {name} has values that are equal to {DIGITS} digits: take fewer")
    return tuple(rounded)


def _estimators(system, given):
    known, usual = SYSTEMS[system][1:]
    if given is None:
        return known[:usual]
    if not isinstance(given, list) or not given:
        raise ParameterError(f"estimators must be a list of {', '.join(map(repr, known))}, got {given!r}")
    wanted = [choice("estimators", name, known) for name in given]
    return tuple(name for name in known if name in wanted)


def _output(given):
    if not isinstance(given, str) or not given or "\0" in given:
        raise ParameterError(f"output must be the name of a file, got {given!r}")
    if Path(given).suffix.lower() not in (".h5", ".hdf5"):
        raise ParameterError(f"output must end in .h5, got {given!r}")
    return Path(given)
