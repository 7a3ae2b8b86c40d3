"""One study, one HDF5 file. The schema lives here.

A family of curves, ``system/quantity``, is a group. Its datasets have the axes ``(<control>, level)``, both of them
dimension scales: the control parameter by its own name and the level. Those of a study on a grid have the axes of the
grid and the level, and the attribute ``axes`` names what varies along each. Every estimate ``x`` has its ``x_error``
beside it; parameters are coordinates, texts that all curves share attributes. What there is none of is NaN. The group
``scale_lines/system`` holds the exact scale against the control parameter. The records of `isingflow.diagram` are
numbered groups, for instance below ``phase_diagrams`` and ``configurations``: arrays are datasets, along dimension
scales, numbers and texts attributes. Attributes of the file say the format, the schema and the provenance.
``h5dump``, h5py and ``xarray.open_dataset(path, engine="h5netcdf", group=...)`` read it.

A file is written under a temporary name, synced, closed and renamed: whole or not at all. Nothing in it is a pickle or
a reference, links out of it are not followed, and every dataset carries a checksum. So does all else that is read: in
structures without one a wrong bit can send the HDF5 library into an endless loop. Hence the file format of HDF5 1.10,
and text of fixed length, which does not lie in the global heap.
"""

import dataclasses
import html
import io
import itertools
import re
import tempfile
from pathlib import Path

import h5py
import numpy as np

from isingflow import files
from isingflow.curve import REGIMES, SERIES, SUMMARY, LevelCurve, ScaleLine
from isingflow.diagram import (
    ActivationEntropy,
    ActivationHistogram,
    AsymptoteLine,
    Configuration,
    CouplingFlow,
    CouplingMap,
    CouplingPlane,
    ExponentTable,
    FixedPointMap,
    InferredFlow,
    InformationCurve,
    PairCorrelation,
    PhaseDiagram,
    ReconstructedImages,
    TrainabilityMap,
    arrays,
)
from isingflow.errors import ArchiveError, IsingflowError, ParameterError
from isingflow.grid import Axis, Grid
from isingflow.parameters import choice, within_memory

FORMAT = "isingflow"
SCHEMA = 6
"""1 holds curves and lines alone, 2 no reference "mean field, 1/width", 3 no entropies, 4 neither Jensen-Shannon
divergences nor what was fitted, nor the records of the Ising models, 5 no grids; the rest is the same."""

LARGEST_CHUNK = 2**20
"""Bytes that a dataset is read in at most, by those who read a part of it, where it has as many rows."""

_UNDETERMINED = REGIMES.index("undetermined")
_FILE_FORMAT = ("v110", "v110")
_SYSTEMS = ("chain", "square", "network")

_RECORDS = {
    "phase_diagrams": ("diagrams", PhaseDiagram),
    "maps": ("maps", FixedPointMap),
    "histograms": ("histograms", ActivationHistogram),
    "entropies": ("entropies", ActivationEntropy),
    "coupling_flows": ("flows", CouplingFlow),
    "coupling_maps": ("coupling_maps", CouplingMap),
    "coupling_planes": ("planes", CouplingPlane),
    "configurations": ("configurations", Configuration),
    "asymptote_lines": ("asymptotes", AsymptoteLine),
    "pair_correlations": ("correlations", PairCorrelation),
    "inferred_flows": ("inferred", InferredFlow),
    "information_curves": ("information", InformationCurve),
    "exponent_tables": ("exponents", ExponentTable),
    "trainability_maps": ("trainability", TrainabilityMap),
    "reconstructed_images": ("reconstructions", ReconstructedImages),
}
"""Groups of the file, and the fields and the kinds of records they hold."""

_WORDS = ("stability", "terms", "flags", "even", "odd")
"""Fields of records that are several texts."""

_LATER = ("variable",)
"""Fields that records of older files do not have: their defaults are meant."""

_SINCE_5 = ("jensen_shannon", "jensen_shannon_error", "exact_jensen_shannon")
"""Series that curves of older files do not have."""

_NAMES = {
    "error": "value_error",
    "weight_variances": "weight_variance",
    "bias_variances": "bias_variance",
    "edges": "edge",
    "centres": "centre",
    "levels": "level",
    "widths": "width",
    "slopes": "slope",
    "distances": "distance",
}
_TEXTS = ("quantity", "per", "control", "level_name", "reference", "estimator")
_LENGTH_UNIT = {"chain": "lattice constant", "square": "lattice constant", "network": "layer"}
_LONG_NAMES = {
    "length": "distance of neighbours, or depth",
    "value": "D(p_0||p_n)",
    "reverse": "D(p_n||p_0)",
    "step": "D(p_n||p_{n+1})",
    "jensen_shannon": "Jensen-Shannon divergence of p_0 and p_n",
    "exact": "reference of D(p_0||p_n)",
    "exact_reverse": "reference of D(p_n||p_0)",
    "exact_step": "reference of D(p_n||p_{n+1})",
    "exact_jensen_shannon": "reference of the Jensen-Shannon divergence",
    "asymptote": "limit of D(p_0||p_n)",
    "asymptote_exact": "reference of the limit",
    "scale": "scale of the approach or of the growth",
    "scale_exact": "reference of the scale",
    "exponent": "effective exponent over the range of the data, at criticality",
}
_OF_RECORDS = {
    "weight_variances": "weight variance sigma_w^2",
    "bias_variances": "bias variance sigma_b^2",
    "variance": "variance q* that a deep network settles at",
    "susceptibility": "growth chi of a small difference in one layer",
    "correlation": "correlation c* that two inputs settle at",
    "xi_q": "depth scale of the variance",
    "xi_c": "depth scale of the correlation",
    "edge": "weight variance of the edge of chaos",
    "uniformity": "weight variance of the line of uniformity",
    "x": "in one layer",
    "y": "in the next layer",
    "fixed": "fixed points",
    "slopes": "slope of the map at the fixed points",
    "edges": "bounds of the bins",
    "centres": "middles of the bins",
    "density": "share of the activations over the width of the bin",
    "density_error": "standard error",
    "density_exact": "mean-field density, mean over the bin",
    "levels": "layer, or step of a recursion",
    "widths": "neurons",
    "value": "entropy of the activations",
    "error": "standard error",
    "exact": "mean-field entropy",
    "couplings": "couplings of the terms",
    "couplings_error": "standard error",
    "depths": "layers after level 0",
    "accuracy": "share of the test images classified right",
    "loss": "mean cross entropy of the last epoch",
    "information_loss": "relative entropy of images from their reconstructions",
    "information_loss_error": "standard error",
    "dense": "weight variance sigma_w^2",
    "pixels": "number of the pixel",
    "images": "shares of the grey",
    "reconstructed": "the same as reconstructed from a level",
    "steps": "number of the step",
    "even_counts": "even operators taken along",
    "odd_counts": "odd operators taken along",
    "thermal": "thermal exponent y_t",
    "thermal_error": "standard error",
    "magnetic": "magnetic exponent y_h",
    "magnetic_error": "standard error",
    "information": "mutual information of kept and removed spins",
    "information_error": "standard error",
    "log_likelihood": "log-likelihood of a spin given its environment, left out of the fit",
    "missing": "gain of the law of the environments over the terms, per spin",
    "missing_error": "standard error",
    "columns": "number of the term, or of the column",
    "rows": "number of the row",
    "before": "nearest-neighbour coupling K",
    "after": "couplings of the terms after one step",
    "nearest": "nearest-neighbour coupling K1",
    "diagonal": "diagonal coupling K2",
    "nearest_step": "change of K1 in one step",
    "diagonal_step": "change of K2 in one step",
    "critical_nearest": "K1 on the critical line",
    "critical_diagonal": "K2 on the critical line",
    "spins": "spins, -1 and +1",
    "asymptote": "exact limit of D(p_0||p_n)",
    "distances": "distance in a row",
    "inverted": "correlation inverted from D(p_1||p_r)",
    "inverted_error": "standard error",
    "torus": "exact correlation of the torus",
    "plane": "exact correlation of the infinite lattice",
}
_UNITS_OF_RECORDS = {
    "xi_q": "layer",
    "xi_c": "layer",
    "value": "nat",
    "error": "nat",
    "exact": "nat",
    "asymptote": "nat",
    "loss": "nat",
    "information_loss": "nat",
    "information_loss_error": "nat",
    "depths": "layer",
    "information": "nat",
    "information_error": "nat",
    "log_likelihood": "nat",
    "missing": "nat",
    "missing_error": "nat",
    "distances": "lattice constant",
}


@dataclasses.dataclass(frozen=True)
class Archive:
    """What a study found.

    Attributes
    ----------
    curves : tuple of LevelCurve
    lines : tuple of ScaleLine
    provenance : dict of str to str or int
        Versions, seed, command, times.
    diagrams : tuple of PhaseDiagram
    maps : tuple of FixedPointMap
    histograms : tuple of ActivationHistogram
    entropies : tuple of ActivationEntropy
    flows : tuple of CouplingFlow
    coupling_maps : tuple of CouplingMap
    planes : tuple of CouplingPlane
    configurations : tuple of Configuration
    asymptotes : tuple of AsymptoteLine
    correlations : tuple of PairCorrelation
    inferred : tuple of InferredFlow
    information : tuple of InformationCurve
    exponents : tuple of ExponentTable
    trainability : tuple of TrainabilityMap
    reconstructions : tuple of ReconstructedImages
    grid : Grid
        On which every curve lies, at the point that its parameters say; without axes if there is none.
    """

    curves: tuple = ()
    lines: tuple = ()
    provenance: dict = dataclasses.field(default_factory=dict)
    diagrams: tuple = ()
    maps: tuple = ()
    histograms: tuple = ()
    entropies: tuple = ()
    flows: tuple = ()
    coupling_maps: tuple = ()
    planes: tuple = ()
    configurations: tuple = ()
    asymptotes: tuple = ()
    correlations: tuple = ()
    inferred: tuple = ()
    information: tuple = ()
    exponents: tuple = ()
    trainability: tuple = ()
    reconstructions: tuple = ()
    grid: Grid = dataclasses.field(default_factory=Grid)

    def families(self) -> dict:
        """Return the curves by family, in order."""
        found = {}
        for curve in self.curves:
            found.setdefault(curve.family, []).append(curve)
        return found

    def to_xarray(self, family):
        """Return one family as an ``xarray.Dataset``; needs the extra ``isingflow[xarray]``.

        Parameters
        ----------
        family : str
            ``system/quantity``, such as "square/pair marginal"; a key of `families`.

        Returns
        -------
        xarray.Dataset
            Along the axes of the grid, or the control parameter where there is none, and ``level``. What varies
            together with an axis, and the parameters, are coordinates.

        Raises
        ------
        ParameterError
            If there is no such family.
        IsingflowError
            If xarray or h5netcdf are not there.
        """
        families = self.families()
        choice("family", family, families)
        try:
            import h5netcdf  # noqa: F401  the engine
            import xarray
        except ImportError:
            raise IsingflowError("to_xarray needs xarray and h5netcdf: pip install 'isingflow[xarray]'") from None
        image = _image(Archive(tuple(families[family]), grid=self.grid))
        system, quantity = family.split("/", 1)
        with xarray.open_dataset(image, engine="h5netcdf", group=f"{system}/{_slug(quantity)}") as file:
            found = file.load()
        texts = {name: found[name] for name in found.variables if found[name].dtype.kind == "S"}
        found = found.assign({name: (text.dims, np.char.decode(text.values, "utf-8")) for name, text in texts.items()})
        beside = [name for axis in self.grid.axes for name in axis.names[1:]]
        beside += [name for name in found.data_vars if name.startswith("parameter_")]
        return found.set_coords(beside).rename({name: name.removeprefix("parameter_") for name in beside})

    def _repr_html_(self):
        """What notebooks show: the families, how many curves each has, and where the archive came from."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{len(curves)}</td><td>{html.escape(_span(curves))}</td></tr>"
            for name, curves in self.families().items()
        )
        held = {field: len(getattr(self, field)) for field, _ in _RECORDS.values()}
        others = ", ".join(f"{count} {field.replace('_', ' ')}" for field, count in held.items() if count)
        axes = " x ".join(f"{' with '.join(axis.names)} ({len(axis)})" for axis in self.grid.axes)
        words = {"grid": axes, "also": others, **self.provenance}
        shown = ("grid", "also", "version", "root_seed", "command", "finished", "tasks", "tasks_done")
        told = "".join(
            f"<tr><th>{name.replace('_', ' ')}</th><td colspan=2>{html.escape(str(words[name]))}</td></tr>"
            for name in shown
            if words.get(name, "") != ""
        )
        head = "<tr><th>family</th><th>curves</th><th>control parameter</th></tr>"
        return f"<table><caption>isingflow archive</caption>{head}{rows}{told}</table>"


def _span(curves):
    values = [curve.control_value for curve in curves]
    return f"{curves[0].control} {min(values):.6g} to {max(values):.6g}"


def check_target(path, *, overwrite=False) -> Path:
    """Return the path if a file can be written there, or raise before any work is done.

    Raises
    ------
    ArchiveError
        If it exists and is not to be overwritten, or its directory is missing or not writable.
    """
    path = Path(path)
    try:
        there = path.exists()
    except OSError as error:
        raise ArchiveError(f"cannot write {path}: {error.strerror}") from error
    if path.is_dir():
        raise ArchiveError(f"{path} is a directory: name a file")
    if there and not path.is_file():
        raise ArchiveError(f"{path} is not a regular file, which it would be replaced by")
    if there and not overwrite:
        raise ArchiveError(f"{path} exists: choose another name, or overwrite it with --force")
    if not path.parent.is_dir():
        raise ArchiveError(f"the directory {path.parent} does not exist")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ArchiveError(f"cannot write into {path.parent}: {error.strerror}") from error
    return path


def write(path, archive: Archive, *, overwrite=False) -> None:
    """Write an archive, whole or not at all.

    Parameters
    ----------
    path : str or path
        Where to.
    archive : Archive
        What.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ArchiveError
        If the file cannot be written, or exists and is not to be replaced.
    ParameterError
        If curves of one family do not fit side by side.
    """
    path = check_target(path, overwrite=overwrite)
    content = _image(archive)
    try:
        files.write_whole(
            path, content.getbuffer(), mark=path.name, check=lambda: check_target(path, overwrite=overwrite)
        )
    except ArchiveError:
        raise
    except OSError as error:
        raise ArchiveError(f"cannot write {path}: {error.strerror or error}") from error


def _image(archive):
    """The file, in memory: HDF5 writing to a full disk fails late and loudly, Python does not."""
    image = io.BytesIO()
    with h5py.File(image, "w", libver=_FILE_FORMAT, track_order=True) as file:
        _describe(file, {"format": FORMAT, "schema": SCHEMA, **archive.provenance})
        for curves in archive.families().values():
            _write_family(file, curves, archive.grid)
        for line in archive.lines:
            _write_line(file, line)
        for parent, (field, _) in _RECORDS.items():
            for number, record in enumerate(getattr(archive, field), start=1):
                _write_record(_ordered_group(file, parent, str(number)), record)
    return image


def _slug(text):
    return re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")


def _ordered_group(file, parent, name):
    """A new group below another, which remembers the order of what it holds."""
    if parent not in file:
        file.create_group(parent, track_order=True)
    return file[parent].create_group(name, track_order=True)


def _describe(group, attributes):
    for name, value in attributes.items():
        if isinstance(value, str):
            group.attrs.create(name, value.encode(), dtype=_text_type(value.encode()))
        else:
            group.attrs[name] = value


def _text_type(text):
    return h5py.string_dtype("utf-8", max(1, len(text)))


def _write_family(file, curves, grid):
    """Curves of one family along the axes of the grid, or where there is none along their control parameter."""
    first = curves[0]
    for curve in curves[1:]:
        if curve.control != first.control or curve.parameters.keys() != first.parameters.keys():
            raise ParameterError(f"curves of the family {first.family} differ in their parameters")
    group = _ordered_group(file, first.system, _slug(first.quantity))
    axes = grid.axes or (Axis((first.control,), (tuple(curve.control_value for curve in curves),)),)
    places = _places(curves, grid)
    levels = max((curve.levels for curve in curves), key=len)
    for curve in curves:
        if not np.array_equal(curve.levels, levels[: len(curve.levels)]):
            raise ParameterError(f"curves of the family {first.family} have different levels")
    if grid.axes:
        _describe(group, {"axes": "; ".join(", ".join(axis.names) for axis in axes)})
    scales = [_write_axis(group, axis) for axis in axes]
    level = _dataset(group, "level", levels, "1", first.level_name)
    level.make_scale("level")

    def over_grid(name, values, empty, unit="1"):
        rows = np.full(tuple(map(len, axes)), empty)
        rows[tuple(places.T)] = values
        dataset = _dataset(group, name, rows, unit, _long_name(name))
        _attach(dataset, scales)
        return dataset

    def told(name, values):
        """Attributes are texts that all curves share."""
        if not isinstance(values[0], str):
            over_grid(name, values, 0 if all(isinstance(value, int) for value in values) else np.nan)
        elif len(set(values)) == 1:
            _describe(group, {name: values[0]})
        else:
            encoded = [value.encode() for value in values]
            over_grid(name, encoded, np.array(b"", _bytes_type(encoded)))

    length = _LENGTH_UNIT[first.system]
    units = {"length": length, "scale": length, "scale_error": length, "scale_exact": length}
    units |= {"exponent": "1", "exponent_error": "1"}
    for name in SERIES:
        rows = np.full((*map(len, axes), len(levels)), np.nan)
        for place, curve in zip(places, curves, strict=True):
            rows[(*place, slice(len(curve.levels)))] = getattr(curve, name)
        stored = _NAMES.get(name, name)
        _attach(_dataset(group, stored, rows, units.get(name, "nat"), _long_name(stored)), [*scales, level])
    for name in SUMMARY:
        over_grid(name, [getattr(curve, name) for curve in curves], np.nan, units.get(name, "nat"))
    regime = over_grid("regime", [REGIMES.index(curve.regime) for curve in curves], np.int8(_UNDETERMINED))
    regime.attrs["flag_values"] = np.arange(len(REGIMES), dtype=np.int8)
    regime.attrs["flag_meanings"] = " ".join(REGIMES)
    over_grid("level_count", [len(curve.levels) for curve in curves], 0)
    over_grid("sample_count", [curve.samples for curve in curves], 0)
    for name in (*_TEXTS, "fit"):
        told(name, [getattr(curve, name) for curve in curves])
    told("flags", [", ".join(curve.flags) for curve in curves])
    along = {name for axis in axes for name in axis.names}
    for name in first.parameters:
        if name not in along:
            told(f"parameter_{name}", [curve.parameters[name] for curve in curves])


def _places(curves, grid):
    """int64 (curves, axes): where each curve lies."""
    if not grid.axes:
        return np.arange(len(curves))[:, None]
    try:
        places = [grid.place(curve.parameters) for curve in curves]
    except KeyError as error:
        raise ParameterError(f"a curve of the family {curves[0].family} is not on the grid: {error}") from None
    if len(set(places)) < len(places):
        raise ParameterError(f"the family {curves[0].family} has two curves at one point of the grid")
    return np.array(places)


def _write_axis(group, axis):
    """The scale of an axis, and beside it what varies together with it."""
    datasets = []
    for name, column in zip(axis.names, axis.columns, strict=True):
        if isinstance(column[0], str):
            encoded = [value.encode() for value in column]
            column = np.array(encoded, _bytes_type(encoded))
        datasets.append(_dataset(group, name, column, "1"))
    datasets[0].make_scale(axis.name)
    for dataset in datasets[1:]:
        dataset.dims[0].attach_scale(datasets[0])
    return datasets[0]


def _attach(dataset, scales):
    for dimension, scale in zip(dataset.dims, scales, strict=True):
        dimension.attach_scale(scale)


def _bytes_type(texts):
    return f"S{max(1, *map(len, texts))}"


def _long_name(name):
    return _LONG_NAMES.get(name, "standard error" * name.endswith("_error"))


def _dataset(group, name, values, unit, long_name=""):
    values = np.asarray(values)
    rows = max(1, LARGEST_CHUNK * len(values) // max(1, values.nbytes))
    # of nothing there are no chunks, unless it may grow
    chunks = tuple(max(1, n) for n in (min(rows, len(values)), *values.shape[1:]))
    layout = {"chunks": chunks, "maxshape": tuple(n or None for n in values.shape)}
    if values.dtype.kind == "S":
        values = values.astype(h5py.string_dtype("utf-8", values.dtype.itemsize))
    dataset = group.create_dataset(name, data=values, fletcher32=True, **layout)
    dataset.attrs["units"] = unit
    if long_name:
        dataset.attrs["long_name"] = long_name
    return dataset


def _write_line(file, line):
    group = _ordered_group(file, "scale_lines", line.system)
    control = _dataset(group, line.control, line.values, "1")
    control.make_scale(line.control)
    scale = _dataset(group, "scale", line.scale, _LENGTH_UNIT[line.system], "correlation length or depth scale")
    scale.dims[0].attach_scale(control)
    _describe(group, {"control": line.control, "critical": line.critical, "reference": line.reference})


def _write_record(group, record):
    """Axes first, as dimension scales; then the arrays along them; the other fields are attributes."""
    axes_of = arrays(record)
    scales = {}
    for axis in dict.fromkeys(itertools.chain.from_iterable(axes_of.values())):
        unit = _UNITS_OF_RECORDS.get(axis, "1")
        scales[axis] = _dataset(group, _NAMES.get(axis, axis), getattr(record, axis), unit, _OF_RECORDS[axis])
        scales[axis].make_scale(_NAMES.get(axis, axis))
    for name in (name for name in axes_of if name not in scales):
        unit = _UNITS_OF_RECORDS.get(name, "1")
        dataset = _dataset(group, _NAMES.get(name, name), getattr(record, name), unit, _OF_RECORDS[name])
        for dimension, axis in enumerate(axes_of[name]):
            dataset.dims[dimension].attach_scale(scales[axis])
    others = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    others = {name: value for name, value in others.items() if name not in axes_of}
    others |= {name: ", ".join(others[name]) for name in _WORDS if name in others}
    _describe(group, others)


def read(path) -> Archive:
    """Read an archive.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Archive

    Raises
    ------
    ArchiveError
        If the file is missing, no archive of this package, of a newer schema, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ArchiveError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    try:
        with h5py.File(path, "r") as file:
            _check_format(path, file)
            groups = [group for name in _SYSTEMS for group in _groups(file, name)]
            curves = [curve for group in groups for curve in _read_family(group)]
            lines = [_read_line(group) for group in _groups(file, "scale_lines")]
            words = {name: _plain(value) for name, value in file.attrs.items() if name not in ("format", "schema")}
            records = {
                field: tuple(_read_record(group, kind) for group in _groups(file, parent))
                for parent, (field, kind) in _RECORDS.items()
            }
            grids = {_read_axes(group) for group in groups}
            if len(grids) > 1:
                raise ValueError("its families lie on several grids")
            return Archive(tuple(curves), tuple(lines), words, grid=Grid(*grids), **records)
    except ArchiveError:
        raise
    except (OSError, RuntimeError, LookupError, AttributeError, TypeError, ArithmeticError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArchiveError(f"{path} is no readable isingflow archive: {reason}") from error


def provenance_of(path) -> dict:
    """Return what a file says of its making, without reading the rest; nothing if it is no archive.

    Raises
    ------
    ArchiveError
        If the file cannot be opened at all.
    """
    try:
        with h5py.File(path, "r") as file:
            return {name: _plain(value) for name, value in file.attrs.items()}
    except PermissionError as error:
        raise ArchiveError(f"cannot read {path}: {error.strerror}") from None
    except (OSError, RuntimeError, TypeError, ValueError):
        return {}


def _check_format(path, file):
    if _plain(file.attrs.get("format", "")) != FORMAT:
        raise ArchiveError(f"{path} is an HDF5 file of something else: it does not say format={FORMAT!r}")
    schema = int(file.attrs.get("schema", 0))
    if not 1 <= schema <= SCHEMA:
        raise ArchiveError(f"{path} has schema {schema}; this version reads up to {SCHEMA}: update isingflow")


def _plain(value):
    value = value.decode() if isinstance(value, bytes) else value
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"an attribute is neither text nor a number but {type(value).__name__}")
    return value


def _child(group, name):
    """A member of a group, if it lies in the same file."""
    if "/" in name or group.get(name, getlink=True) is None:
        raise ArchiveError(f"{group.file.filename}: {group.name} holds no {name}")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ArchiveError(f"{group.file.filename}: {name} is a link out of its group, which is not followed")
    return group[name]


def _groups(file, name):
    if name not in file:
        return []
    return [_child(_child(file, name), member) for member in file[name]]


def _inner(group, name):
    """A dataset whose values lie in the same file."""
    dataset = _child(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise ArchiveError(f"{group.file.filename}: {group.name}/{name} is no dataset")
    if dataset.external or dataset.is_virtual:
        raise ArchiveError(f"{group.file.filename}: {group.name}/{name} lies in another file, which is not followed")
    return dataset


def _numbers(group, name):
    dataset = _inner(group, name)
    if dataset.dtype.kind not in "iuf":
        raise ArchiveError(f"{group.file.filename}: {group.name}/{name} does not hold numbers")
    within_memory(f"the numbers of {group.name}/{name}", dataset.nbytes)
    return dataset[()]


def _read_family(group):
    control, system = _plain(group.attrs["control"]), group.name.split("/")[1]
    schema = group.file.attrs["schema"]
    on_grid = _read_axes(group)
    axes = on_grid or (Axis((control,), (_column(group, control),)),)
    series = [name for name in SERIES if not (schema < 5 and name in _SINCE_5)]
    series = {name: _numbers(group, _NAMES.get(name, name)) for name in series}
    summary = {name: _numbers(group, name) for name in SUMMARY}
    levels, counts, regimes = (_numbers(group, name) for name in ("level", "level_count", "regime"))
    samples = _numbers(group, "sample_count")
    possible = np.arange(0 if on_grid else 1, len(levels) + 1)
    if not (np.isin(counts, possible).all() and np.isin(regimes, np.arange(len(REGIMES))).all()):
        raise ValueError(f"{group.name} holds a number of levels or a regime there is none of")
    if counts.shape != tuple(map(len, axes)):
        raise ValueError(f"{group.name} does not fit its axes")
    texts = {name: _told(group, name, counts.shape) for name in _TEXTS}
    fits = np.full(counts.shape, "") if schema < 5 else _told(group, "fit", counts.shape)
    flags = _told(group, "flags", counts.shape)
    named = [name for name in (*group, *group.attrs) if name.startswith("parameter_")]
    others = {name.removeprefix("parameter_"): _told(group, name, counts.shape) for name in named}
    grid = Grid(axes)
    for number, place in enumerate(np.ndindex(*counts.shape)):
        if counts[place]:
            own = slice(0, int(counts[place]))
            yield LevelCurve(
                system=system,
                parameters=grid.point(number) | {name: values[place].item() for name, values in others.items()},
                levels=levels[own],
                regime=REGIMES[regimes[place]],
                samples=int(samples[place]),
                flags=tuple(filter(None, flags[place].item().split(", "))),
                fit=fits[place].item(),
                **{name: values[place].item() for name, values in texts.items()},
                **{name: rows[place][own] for name, rows in series.items()},
                **{name: values[place] for name, values in summary.items()},
            )


def _read_axes(group):
    """The axes of the grid that a family lies on; none if it lies along its control parameter alone."""
    said = _plain(group.attrs.get("axes", ""))
    axes = [axis.split(", ") for axis in said.split("; ")] if said else []
    return tuple(Axis(tuple(names), tuple(_column(group, name) for name in names)) for names in axes)


def _column(group, name):
    return tuple(_values(group, name).tolist())


def _told(group, name, shape):
    """A parameter or a text of every curve: from an attribute that all share, or one by one."""
    if name not in group.attrs:
        return _values(group, name)
    value = group.attrs[name]
    if isinstance(value, np.ndarray):
        return np.array([_plain(one) for one in value]).reshape(shape)
    return np.full(shape, _plain(value))


def _values(group, name):
    """An array of numbers, or of texts of fixed length."""
    dataset = _inner(group, name)
    if dataset.dtype.kind != "S":
        return _numbers(group, name)
    within_memory(f"the texts of {group.name}/{name}", dataset.nbytes)
    return np.char.decode(dataset[()], "utf-8")


def _read_line(group):
    control = _plain(group.attrs["control"])
    return ScaleLine(
        system=group.name.split("/")[-1],
        control=control,
        values=_numbers(group, control),
        scale=_numbers(group, "scale"),
        critical=float(group.attrs["critical"]),
        reference=_plain(group.attrs["reference"]),
    )


def _read_record(group, kind):
    fields = {name: _numbers(group, _NAMES.get(name, name)) for name in arrays(kind)}
    for field in dataclasses.fields(kind):
        name = field.name
        if name in fields or (name in _LATER and name not in group.attrs):
            continue
        value = group.attrs[name]
        fields[name] = tuple(map(_plain, value)) if isinstance(value, np.ndarray) else _plain(value)
    fields |= {name: tuple(filter(None, fields[name].split(", "))) for name in _WORDS if name in fields}
    return kind(**fields)
