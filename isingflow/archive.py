"""One study, one HDF5 file. The schema lives here.

A family of curves, ``system/quantity``, is a group. Its datasets have the axes ``(<control>, level)``, both of them
dimension scales: the control parameter by its own name and the level. Every estimate ``x`` has its ``x_error`` beside
it; parameters are coordinates, text parameters attributes of the group. What there is none of is NaN. The group
``scale_lines/system`` holds the exact scale against the control parameter. The records of `isingflow.diagram` are
numbered groups, for instance below ``phase_diagrams`` and ``configurations``: arrays are datasets, along dimension
scales, numbers and texts attributes. Attributes of the file say the format, the schema and the provenance.
``h5dump``, h5py and ``xarray.open_dataset(path, engine="h5netcdf", group=...)`` read it.

A file is written under a temporary name, synced, closed and renamed: whole or not at all. Nothing in it is a pickle or
a reference, links out of it are not followed, and every dataset carries a checksum. So does all else that is read: in
structures without one a wrong bit can send the HDF5 library into an endless loop. Hence the file format of HDF5 1.10,
and text of fixed length, which does not lie in the global heap.
"""

import contextlib
import dataclasses
import io
import itertools
import os
import re
import tempfile
from pathlib import Path

import h5py
import numpy as np

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
from isingflow.errors import ArchiveError, ParameterError
from isingflow.parameters import within_memory

FORMAT = "isingflow"
SCHEMA = 5
"""1 holds curves and lines alone, 2 no reference "mean field, 1/width", 3 no entropies, 4 neither Jensen-Shannon
divergences nor what was fitted, nor the records of the Ising models; the rest is the same."""

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

    def families(self) -> dict:
        """Return the curves by family, in order."""
        found = {}
        for curve in self.curves:
            found.setdefault(curve.family, []).append(curve)
        return found


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
    image = io.BytesIO()  # HDF5 writing to a full disk fails late and loudly; Python does not
    with h5py.File(image, "w", libver=_FILE_FORMAT, track_order=True) as file:
        _describe(file, {"format": FORMAT, "schema": SCHEMA, **archive.provenance})
        for curves in archive.families().values():
            _write_family(file, curves)
        for line in archive.lines:
            _write_line(file, line)
        for parent, (field, _) in _RECORDS.items():
            for number, record in enumerate(getattr(archive, field), start=1):
                _write_record(_ordered_group(file, parent, str(number)), record)
    try:
        _replace(path, image.getbuffer(), overwrite=overwrite)
    except ArchiveError:
        raise
    except OSError as error:
        raise ArchiveError(f"cannot write {path}: {error.strerror or error}") from error


def _replace(path, content, *, overwrite):
    handle, temporary = tempfile.mkstemp(prefix=".isingflow-", suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        check_target(path, overwrite=overwrite)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


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


def _write_family(file, curves):
    first = curves[0]
    for curve in curves[1:]:
        different = [name for name in _TEXTS if getattr(curve, name) != getattr(first, name)]
        if different or curve.parameters.keys() != first.parameters.keys():
            raise ParameterError(f"curves of the family {first.family} differ in {different or 'their parameters'}")
    group = _ordered_group(file, first.system, _slug(first.quantity))
    longest = max(curves, key=lambda curve: len(curve.levels)).levels
    for curve in curves:
        if not np.array_equal(curve.levels, longest[: len(curve.levels)]):
            raise ParameterError(f"curves of the family {first.family} have different levels")
    _describe(group, {name: getattr(first, name) for name in _TEXTS})
    words = {"flags": [", ".join(curve.flags) for curve in curves], "fit": [curve.fit for curve in curves]}
    for name, texts in words.items():
        encoded = [text.encode() for text in texts]
        group.attrs.create(name, encoded, dtype=_text_type(max(encoded, key=len)))

    control = _dataset(group, first.control, [curve.control_value for curve in curves], "1")
    level = _dataset(group, "level", longest, "1", first.level_name)
    control.make_scale(first.control)
    level.make_scale("level")

    def beside(name, rows, unit, *axes):
        dataset = _dataset(group, name, rows, unit, _LONG_NAMES.get(name, "standard error" * name.endswith("_error")))
        for axis, scale in enumerate(axes):
            dataset.dims[axis].attach_scale(scale)
        return dataset

    length = _LENGTH_UNIT[first.system]
    units = {"length": length, "scale": length, "scale_error": length, "scale_exact": length}
    units |= {"exponent": "1", "exponent_error": "1"}
    for name in SERIES:
        rows = np.full((len(curves), len(longest)), np.nan)
        for row, curve in zip(rows, curves, strict=True):
            row[: len(curve.levels)] = getattr(curve, name)
        beside(_NAMES.get(name, name), rows, units.get(name, "nat"), control, level)
    for name in SUMMARY:
        beside(name, [getattr(curve, name) for curve in curves], units.get(name, "nat"), control)
    regime = beside("regime", np.array([REGIMES.index(c.regime) for c in curves], np.int8), "1", control)
    regime.attrs["flag_values"] = np.arange(len(REGIMES), dtype=np.int8)
    regime.attrs["flag_meanings"] = " ".join(REGIMES)
    beside("level_count", [len(curve.levels) for curve in curves], "1", control)
    beside("sample_count", [curve.samples for curve in curves], "1", control)
    for name in first.parameters:
        values = [curve.parameters[name] for curve in curves]
        if name == first.control:
            continue
        if isinstance(values[0], str):
            if len(set(values)) > 1:
                raise ParameterError(f"curves of the family {first.family} differ in {name}: give them other names")
            _describe(group, {f"parameter_{name}": values[0]})
        else:
            beside(f"parameter_{name}", values, "1", control)


def _dataset(group, name, values, unit, long_name=""):
    shape = np.shape(values)
    # of nothing there are no chunks, unless it may grow
    layout = {"chunks": tuple(max(1, n) for n in shape), "maxshape": tuple(n or None for n in shape)}
    dataset = group.create_dataset(name, data=np.asarray(values), fletcher32=True, **layout)
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
            return Archive(tuple(curves), tuple(lines), words, **records)
    except ArchiveError:
        raise
    except (OSError, RuntimeError, LookupError, AttributeError, TypeError, ArithmeticError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArchiveError(f"{path} is no readable isingflow archive: {reason}") from error


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


def _numbers(group, name):
    dataset = _child(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf":
        raise ArchiveError(f"{group.file.filename}: {group.name}/{name} does not hold numbers")
    if dataset.external or dataset.is_virtual:
        raise ArchiveError(f"{group.file.filename}: {group.name}/{name} lies in another file, which is not followed")
    within_memory(f"the numbers of {group.name}/{name}", dataset.nbytes)
    return dataset[()]


def _read_family(group):
    texts = {name: _plain(group.attrs[name]) for name in _TEXTS}
    control, system = texts["control"], group.name.split("/")[1]
    older = group.file.attrs["schema"] < 5
    series = [name for name in SERIES if not (older and name in _SINCE_5)]
    series = {name: _numbers(group, _NAMES.get(name, name)) for name in series}
    summary = {name: _numbers(group, name) for name in SUMMARY}
    levels, counts, regimes = (_numbers(group, name) for name in ("level", "level_count", "regime"))
    samples = _numbers(group, "sample_count")
    prefix = "parameter_"
    words = {name.removeprefix(prefix): _plain(v) for name, v in group.attrs.items() if name.startswith(prefix)}
    numbers = {name.removeprefix(prefix): _numbers(group, name) for name in group if name.startswith(prefix)}
    if not (np.isin(counts, np.arange(1, len(levels) + 1)).all() and np.isin(regimes, np.arange(len(REGIMES))).all()):
        raise ValueError(f"{group.name} holds a number of levels or a regime there is none of")
    for index, value in enumerate(_numbers(group, control)):
        own = slice(0, int(counts[index]))
        yield LevelCurve(
            system=system,
            parameters={control: float(value), **{n: v[index].item() for n, v in numbers.items()}, **words},
            levels=levels[own],
            regime=REGIMES[regimes[index]],
            samples=int(samples[index]),
            flags=tuple(filter(None, _plain(group.attrs["flags"][index]).split(", "))),
            fit="" if older else _plain(group.attrs["fit"][index]),
            **texts,
            **{name: rows[index, own] for name, rows in series.items()},
            **{name: values[index] for name, values in summary.items()},
        )


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
