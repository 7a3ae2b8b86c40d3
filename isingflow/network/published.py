"""Files of the public notebooks of Erdmenger, Grosvenor & Jefferson (github.com/ro-jefferson/entropy_dnn).

HDF5 files that the notebook which trains networks writes, each with the numbers ``var_weight``, ``var_bias`` and
``depth`` (older ones ``depths``), the depth L counting the levels:

- ``hooks-*``: ``in-0`` to ``in-(L-1)``, (inputs, n_l), the pre-activations of every input that went through the network
  in that epoch. The last of them is the last image of the validation set, after the last step of training; the
  published curves belong to it.
- ``para-*``: ``W0`` to ``W(L-1)``, (n_l, n_{l-1}), and ``B0`` to ``B(L-1)``, after the epoch. ``W0`` leads from the
  image into level 0, and ``Wl`` from ``in-(l-1)`` to ``in-l``.
- ``acc-*``: ``accuracies`` after each epoch.

``e0-`` before the name says the first epoch, ``e14-`` the fifteenth: already ``e0-`` is after one epoch of training.
The notebook which evaluates the estimator writes ``KL-*``: ``KL``, a value for each level, ``depth`` values in all.

That notebook takes the levels by falling width, and those of equal width in the alphabetical order of their keys:
in-0, in-1, in-10, in-11, ..., in-2, in-20. From eleven levels of one width on, the levels of its result are therefore
not those of the network: at place 2 of a network of depth 30 stands level 10, at place 12 level 2. Weights and biases
are taken in the same order. ``order="published"`` here repeats it, to compare with published numbers; the order of the
network is ``order="number"``.
"""

import contextlib
import dataclasses
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isingflow.errors import ArchiveError, IsingflowError, ParameterError
from isingflow.network.pushforward import checked_layers
from isingflow.parameters import NetworkParameters, choice, finite, whole, within_memory

ORDERS = ("number", "published")
KINDS = {"hooks": "hooks", "para": "para", "parameters": "para", "acc": "acc", "accuracies": "acc"}
_NAME = re.compile(rf"(?:e(?P<epoch>\d+)-)?(?P<kind>{'|'.join(KINDS)})-(?P<base>.+)\.hdf5")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PublishedNetwork:
    """One network and its last input, from the files of the public notebooks.

    Attributes
    ----------
    weights : tuple of float64 (n_l, n_{l-1})
        Of every level in turn, those from the image into level 0 first.
    biases, preactivations : tuple of float64 (n_l,)
        Of every level in turn.
    weight_variance, bias_variance : float
        What the weights, times their fan-in, and the biases were drawn with; dimensionless.
    depth : int
        Number of levels, the last of them the output.
    accuracies : float64 (epochs,) or None
        Share of validation images classified rightly, after each epoch.
    order : {"number", "published"}
        Order of the levels, as for `read_network`.
    """

    weights: tuple
    biases: tuple
    preactivations: tuple
    weight_variance: float
    bias_variance: float
    depth: int
    accuracies: np.ndarray | None = None
    order: str = "number"

    @property
    def law(self) -> NetworkParameters:
        """What such networks are drawn with; its depth counts the layers after level 0."""
        return NetworkParameters(
            weight_variance=self.weight_variance,
            bias_variance=self.bias_variance,
            depth=self.depth - 1,
            width=[len(level) for level in self.preactivations],
        )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PublishedResult:
    """What the public notebook found for one network.

    Attributes
    ----------
    value : float64 (depth,)
        The published estimator at every level, nats; divided by the variance of level 0, in the order of the notebook.
    weight_variance, bias_variance : float
        Of the network, dimensionless.
    depth : int
        Number of levels.
    """

    value: np.ndarray
    weight_variance: float
    bias_variance: float
    depth: int


class PublishedFiles(NamedTuple):
    """Files that belong together.

    Attributes
    ----------
    label : str
        ``"e14"``; ``""`` where the names say no epoch.
    hooks, parameters : pathlib.Path
    accuracies : pathlib.Path or None
    """

    label: str
    hooks: Path
    parameters: Path
    accuracies: Path | None


def read_network(hooks, parameters, accuracies=None, *, order="number") -> PublishedNetwork:
    """Read one network of the public notebooks, and the last of its inputs; of the other inputs nothing is read.

    Parameters
    ----------
    hooks, parameters : str or path
        The files of its pre-activations, and of its weights and biases.
    accuracies : str or path, optional
        The file of its accuracies.
    order : {"number", "published"}
        Order of the levels: as they follow one another in the network, or as the public notebook takes them.

    Returns
    -------
    PublishedNetwork

    Raises
    ------
    ArchiveError
        If a file is missing, damaged or holds something else; if levels are missing, or are not finite, or do not fit
        together; or if the files say different variances or depths.
    ParameterError
        If `order` is none of those, or the file is too large for the machine's memory.

    Examples
    --------
    >>> import h5py, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> hooks, parameters = f"{folder.name}/hooks-150-2.hdf5", f"{folder.name}/para-150-2.hdf5"
    >>> numbers = {"var_weight": 1.5, "var_bias": 0.05, "depth": 2}
    >>> with h5py.File(hooks, "w") as file:
    ...     file.update(numbers | {"in-0": [[5.0, 6.0], [1.0, -1.0]], "in-1": [[7.0], [8.0]]})
    >>> with h5py.File(parameters, "w") as file:
    ...     file.update(numbers | {"W0": np.eye(2), "B0": [0.0, 0.0], "W1": [[1.0, 2.0]], "B1": [3.0]})
    >>> [level.tolist() for level in read_network(hooks, parameters).preactivations]
    [[1.0, -1.0], [8.0]]
    >>> folder.cleanup()
    """
    choice("order", order, ORDERS)
    with _opened(hooks) as file:
        said = _variances(file)
        depth = _depth(file)
        levels = _numbered(file, "in-", depth, last=True)
    with _opened(parameters) as file:
        _check_same(hooks, (*said, depth), parameters, (*_variances(file), _depth(file)))
        weights, biases = _numbered(file, "W", depth), _numbered(file, "B", depth)
    shares = None
    if accuracies is not None:
        with _opened(accuracies) as file:
            _check_same(hooks, said, accuracies, _variances(file))
            shares = _accuracies(file, depth)
    taken = _published_order(levels) if order == "published" else range(depth)
    weights, biases, levels = ([several[level] for level in taken] for several in (weights, biases, levels))
    try:
        checked_layers(weights, biases, levels)
    except ParameterError as error:
        raise ArchiveError(f"{hooks} and {parameters} do not fit together, order={order!r}: {error}") from error
    for array in (*weights, *biases, *levels):
        array.setflags(write=False)
    return PublishedNetwork(
        weights=tuple(weights),
        biases=tuple(biases),
        preactivations=tuple(levels),
        weight_variance=said[0],
        bias_variance=said[1],
        depth=depth,
        accuracies=shares,
        order=order,
    )


def read_result(path) -> PublishedResult:
    """Read a file ``KL-*`` of the public notebook.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    PublishedResult

    Raises
    ------
    ArchiveError
        If the file is missing, damaged or holds something else.

    Examples
    --------
    >>> import h5py, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with h5py.File(f"{folder.name}/KL-150-2.hdf5", "w") as file:
    ...     file.update({"var_weight": 1.5, "var_bias": 0.05, "depth": 2, "KL": [0.0, 345.9]})
    >>> read_result(f"{folder.name}/KL-150-2.hdf5").value.tolist()
    [0.0, 345.9]
    >>> folder.cleanup()
    """
    with _opened(path) as file:
        value, depth = _numbers(file, "KL"), _depth(file)
        if value.shape != (depth,):
            raise ArchiveError(f"{path} must hold a value for each of {depth} levels, got shape {value.shape}")
        if not np.isfinite(value).all():
            raise ArchiveError(f"{path} holds values that are not finite")
        weight, bias = _variances(file)
        value.setflags(write=False)
        return PublishedResult(value=value, weight_variance=weight, bias_variance=bias, depth=depth)


def find_networks(directory) -> list[PublishedFiles]:
    """Return which files of a directory belong together, by their names.

    The names are ``hooks-{base}.hdf5``, ``para-{base}.hdf5`` (or ``parameters-``) and ``acc-{base}.hdf5`` (or
    ``accuracies-``), the first two also with an epoch before: ``e14-hooks-150-30.hdf5``.

    Parameters
    ----------
    directory : str or path

    Returns
    -------
    list of PublishedFiles
        By base, then by epoch.

    Raises
    ------
    ArchiveError
        If there is no such directory, it holds no hooks, or some without parameters or with two of them.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ArchiveError(f"{directory} is not a directory")
    found = {}
    for path in sorted(directory.iterdir()):
        if name := _NAME.fullmatch(path.name):
            found.setdefault((KINDS[name["kind"]], name["base"], int(name["epoch"] or -1)), []).append(path)
    twice = [paths for paths in found.values() if len(paths) > 1]
    if twice:
        raise ArchiveError(f"{' and '.join(map(str, twice[0]))} are two files for one network: keep one")
    networks = []
    for kind, base, epoch in sorted(found):
        if kind != "hooks":
            continue
        hooks = found[kind, base, epoch][0]
        if ("para", base, epoch) not in found:
            raise ArchiveError(f"{hooks} has no file of weights beside it: {hooks.name.replace('hooks', 'para')}")
        parameters, accuracies = found["para", base, epoch][0], found.get(("acc", base, -1), [None])[0]
        networks.append(PublishedFiles("" if epoch < 0 else f"e{epoch}", hooks, parameters, accuracies))
    if not networks:
        raise ArchiveError(f"{directory} holds no hooks-*.hdf5: give the files themselves if they have other names")
    return networks


def list_networks(paths) -> list[PublishedFiles]:
    """Return the networks of directories, and of pairs of files, hooks first and parameters after.

    Parameters
    ----------
    paths : sequence of str or path
        Directories, as for `find_networks`, and files of any name, two for each network.

    Returns
    -------
    list of PublishedFiles
        In the order given.

    Raises
    ------
    ArchiveError
        As from `find_networks`.
    ParameterError
        If there is no path, or the last file has none to go with it.
    """
    rest, networks = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)], []
    if not rest:
        raise ParameterError("at least one directory or pair of files is required, got none")
    while rest:
        hooks = rest.pop(0)
        if not hooks.exists():
            raise ArchiveError(f"{hooks} does not exist")
        if hooks.is_dir():
            networks += find_networks(hooks)
        elif rest:
            name = _NAME.fullmatch(hooks.name)
            label = f"e{int(name['epoch'])}" if name and name["epoch"] else ""
            networks.append(PublishedFiles(label, hooks, rest.pop(0), None))
        else:
            raise ParameterError(f"files must come in pairs HOOKS PARA, got {hooks} without a file of weights")
    return networks


@contextlib.contextmanager
def _opened(path):
    import h5py

    path = Path(path)
    if not path.is_file():
        raise ArchiveError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except IsingflowError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArchiveError(f"{path} cannot be read as HDF5: {reason}") from error


def _dataset(file, name):
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise ArchiveError(f"{file.filename} holds no {name}: it is no such file of the public notebooks")
    dataset = file[name]
    if dataset.dtype.kind not in "iuf" or dataset.external or dataset.is_virtual:
        raise ArchiveError(f"{file.filename}: {name} does not hold numbers")
    if dataset.size is None or dataset.id.get_storage_size() == 0 < dataset.size:
        raise ArchiveError(f"{file.filename}: {name} was never written")
    return dataset


def _numbers(file, name, row=()):
    """A dataset, or one row of it, as float64."""
    dataset = _dataset(file, name)
    within_memory(f"the numbers of {name}", 8 * dataset.size // (dataset.shape[0] if row else 1))
    return np.asarray(dataset[row], dtype=np.float64)


def _single(file, name):
    values = _numbers(file, name)
    if values.size != 1:
        raise ArchiveError(f"{file.filename}: {name} must be a single number, got shape {values.shape}")
    return values.item()


def _said(file, check, name, value, **allowed):
    try:
        return check(name, value, **allowed)
    except ParameterError as error:
        raise ArchiveError(f"{file.filename}: {error}") from error


def _variances(file):
    """Weight variance and bias variance."""
    weight = _said(file, finite, "var_weight", _single(file, "var_weight"), above=0.0)
    return weight, _said(file, finite, "var_bias", _single(file, "var_bias"), low=0.0)


def _depth_name(file):
    return "depths" if "depths" in file and "depth" not in file else "depth"


def _depth(file):
    depth = _single(file, _depth_name(file))
    return _said(file, whole, "depth", int(depth) if depth.is_integer() else depth, low=2, high=10**6)


def _check_same(one, said, other, says):
    names = ("weight variance", "bias variance", "depth")
    for name, a, b in zip(names, said, says, strict=False):
        if not math.isclose(a, b, rel_tol=1e-6):  # one may be of single precision
            raise ArchiveError(f"{one} says {name} {a:g}, {other} says {b:g}: they are not of one network")


def _numbered(file, prefix, depth, *, last=False):
    """The datasets with this prefix in the order of their numbers, 0 to depth - 1; the last row alone if asked."""
    numbers = sorted(int(name[len(prefix) :]) for name in file if re.fullmatch(rf"{prefix}(0|[1-9]\d*)", name))
    if len(numbers) != depth or numbers != list(range(depth)):
        missing = next((number for number in range(depth) if number not in numbers), None)
        what = f"{prefix}{numbers[-1]} is one too many" if missing is None else f"{prefix}{missing} is missing"
        raise ArchiveError(f"{file.filename} must hold {prefix}0 to {prefix}{depth - 1}, of depth {depth}: {what}")
    if not last:
        return [_numbers(file, f"{prefix}{number}") for number in numbers]
    for number in numbers:
        shape = _dataset(file, f"{prefix}{number}").shape
        if len(shape) != 2 or not shape[0]:
            raise ArchiveError(f"{file.filename}: {prefix}{number} must have shape (inputs, neurons), got {shape}")
    return [_numbers(file, f"{prefix}{number}", row=-1) for number in numbers]


def _accuracies(file, depth):
    """Of this depth: older files hold several, a row for each."""
    values, depths = _numbers(file, "accuracies"), _numbers(file, _depth_name(file)).ravel()
    rows = np.flatnonzero(depths == depth)
    if not len(rows):
        raise ArchiveError(f"{file.filename} says depth {', '.join(f'{d:g}' for d in depths)}, not {depth}")
    if len(depths) > 1:
        if len(values) != len(depths):
            raise ArchiveError(f"{file.filename}: {len(depths)} depths need as many rows of accuracies")
        values = values[rows[0]]
    values = np.atleast_1d(values)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ArchiveError(f"{file.filename}: accuracies must be finite numbers, one for each epoch")
    values.setflags(write=False)
    return values


def _published_order(levels):
    """Falling width, and among equal ones the alphabetical order of the keys."""
    return sorted(sorted(range(len(levels)), key=str), key=lambda level: -len(levels[level]))
