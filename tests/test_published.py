"""Files of the public notebooks: what is read, in which order, and every way in which files can be wrong."""

import re
import shutil

import h5py
import numpy as np
import pytest

from isingflow.errors import ArchiveError, ParameterError
from isingflow.network.published import find_networks, read_network, read_result
from isingflow.network.pushforward import pushforward_entropy

DEPTH = 13
WIDTHS = (6,) * 11 + (4, 3)


def write_network(folder, *, base="150-13", epoch="e0-", widths=WIDTHS, weight=1.5, bias=0.05, seed=1, depth="depth"):
    """Hooks, weights and accuracies as the public notebook writes them: 32-bit arrays, five inputs."""
    rng = np.random.default_rng(seed)
    before = rng.random((5, 6))
    numbers = {"var_weight": weight, "var_bias": bias, depth: len(widths)}
    hooks, parameters = dict(numbers), dict(numbers)
    for level, width in enumerate(widths):
        weights = (rng.normal(size=(width, before.shape[1])) * np.sqrt(weight / before.shape[1])).astype(np.float32)
        biases = (rng.normal(size=width) * np.sqrt(bias)).astype(np.float32)
        hooks[f"in-{level}"] = before @ weights.T + biases
        before = np.tanh(hooks[f"in-{level}"])
        parameters |= {f"W{level}": weights, f"B{level}": biases}
        hooks[f"in-{level}"] = hooks[f"in-{level}"].astype(np.float32)
    files = {
        f"{epoch}hooks-{base}.hdf5": hooks,
        f"{epoch}para-{base}.hdf5": parameters,
        f"acc-{base}.hdf5": numbers | {"accuracies": [0.1, 0.4]},
    }
    for name, content in files.items():
        with h5py.File(folder / name, "w") as file:
            for key, values in content.items():
                file.create_dataset(key, data=values)
    return tuple(folder / name for name in files)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return write_network(folder)


def test_levels_come_by_their_numbers(good):
    network = read_network(*good)
    assert (network.depth, network.weight_variance, network.bias_variance) == (DEPTH, 1.5, 0.05)
    assert network.accuracies.tolist() == [0.1, 0.4]
    assert [len(level) for level in network.preactivations] == list(WIDTHS)
    for level in range(1, DEPTH):  # the last input, carried on by its own weights
        carried = network.weights[level] @ np.tanh(network.preactivations[level - 1]) + network.biases[level]
        np.testing.assert_allclose(network.preactivations[level], carried, atol=1e-5)
    assert {array.dtype for array in (*network.weights, *network.biases, *network.preactivations)} == {
        np.dtype(np.float64)
    }
    with pytest.raises(ValueError, match="read-only"):
        network.weights[0][:] = 0
    with h5py.File(good[0]) as file:
        np.testing.assert_array_equal(network.preactivations[10], file["in-10"][-1])


def test_published_order_is_that_of_the_notebook(good):
    """Written from the notebook's rule: keys as h5py lists them, then sorted by falling size, which is stable."""
    with h5py.File(good[0]) as hooks, h5py.File(good[1]) as parameters:
        levels = sorted((hooks[key][-1] for key in hooks if key.startswith("in")), key=lambda x: -x.shape[0])
        weights, biases = (
            sorted((parameters[key][()] for key in parameters if key.startswith(letter)), key=lambda x: -x.shape[0])
            for letter in "WB"
        )
    network = read_network(*good, order="published")
    for found, expected in ((network.preactivations, levels), (network.weights, weights), (network.biases, biases)):
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    ordered = read_network(*good)
    np.testing.assert_array_equal(network.preactivations[2], ordered.preactivations[10])
    one, other = (
        pushforward_entropy(n.weights, n.biases, n.preactivations, samples=100, rng=1) for n in (ordered, network)
    )
    assert one[1] == other[1] != one[2] != other[2]


def test_few_or_shrinking_levels_have_one_order(tmp_path):
    for base, widths in (("a-5", (6,) * 5), ("b-12", tuple(range(14, 2, -1)))):
        files = write_network(tmp_path, base=base, widths=widths)
        one, other = read_network(*files), read_network(*files, order="published")
        assert all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


def test_only_the_last_input_is_read(good, monkeypatch):
    rows = []
    take = h5py.Dataset.__getitem__

    def watched(dataset, row, **more):
        if dataset.name.startswith("/in-"):
            rows.append(row)
        return take(dataset, row, **more)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    read_network(*good)
    assert rows == [-1] * DEPTH


def test_older_files(tmp_path):
    """``depths`` for ``depth``; and accuracies of several depths in one file, a row each."""
    hooks, parameters, accuracies = write_network(tmp_path, depth="depths", widths=(6, 5, 4))
    assert read_network(hooks, parameters, accuracies).depth == 3
    with h5py.File(accuracies, "w") as file:
        file.update({"var_weight": 1.5, "var_bias": 0.05, "depths": [2, 3], "accuracies": [[0.1, 0.2], [0.3, 0.4]]})
    assert read_network(hooks, parameters, accuracies).accuracies.tolist() == [0.3, 0.4]
    assert read_network(hooks, parameters).accuracies is None


def put(name, values):
    def change(file):
        if name in file:
            del file[name]
        file[name] = values

    return change


def drop(name):
    return lambda file: file.pop(name)


def link(name, target):
    def change(file):
        del file[name]
        file[name] = target

    return change


HOOKS, PARAMETERS, ACCURACIES = 0, 1, 2


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        (HOOKS, drop("var_weight"), "holds no var_weight: it is no such file of the public notebooks"),
        (HOOKS, drop("depth"), "holds no depth"),
        (HOOKS, drop("in-4"), "must hold in-0 to in-12, of depth 13: in-4 is missing"),
        (HOOKS, put("in-13", np.ones((5, 3))), "in-13 is one too many"),
        (HOOKS, put("depth", 12), "must hold in-0 to in-11, of depth 12: in-12 is one too many"),
        (HOOKS, put("depth", 2.5), "depth must be a whole number, got 2.5"),
        (HOOKS, put("depth", [13, 14]), r"depth must be a single number, got shape \(2,\)"),
        (HOOKS, put("depth", 1), "depth must be at least 2, got 1"),
        (HOOKS, put("depth", np.nan), "depth must be a whole number, got nan"),
        (HOOKS, put("var_weight", 2.0), "says weight variance 2, .*para-.* says 1.5: they are not of one network"),
        (HOOKS, put("var_weight", 0.0), "var_weight must be greater than 0, got 0"),
        (HOOKS, put("var_bias", np.inf), "var_bias must be finite, got inf"),
        (HOOKS, put("var_bias", "much"), "var_bias does not hold numbers"),
        (HOOKS, put("in-3", np.ones(6)), r"in-3 must have shape \(inputs, neurons\), got \(6,\)"),
        (HOOKS, put("in-3", np.ones((0, 6))), r"in-3 must have shape \(inputs, neurons\), got \(0, 6\)"),
        (HOOKS, put("in-3", np.full((5, 6), np.nan)), "preactivations of level 3 must be finite"),
        (HOOKS, put("in-3", np.ones((5, 7))), r"weights into level 3 must have shape \(7, 6\), got \(6, 6\)"),
        (HOOKS, put("in-0", np.full((5, 6), b"x")), "in-0 does not hold numbers"),
        (HOOKS, link("in-3", h5py.ExternalLink("/etc/passwd", "/")), "holds no in-3"),
        (HOOKS, link("in-3", h5py.SoftLink("/in-4")), "holds no in-3"),
        (PARAMETERS, put("var_bias", 0.1), "says bias variance 0.05, .* says 0.1"),
        (PARAMETERS, put("depth", 14), "says depth 13, .* says 14"),
        (PARAMETERS, drop("W12"), "must hold W0 to W12, of depth 13: W12 is missing"),
        (PARAMETERS, drop("B0"), "must hold B0 to B12, of depth 13: B0 is missing"),
        (PARAMETERS, put("W2", np.full((6, 6), np.inf)), "weights into level 2 must be finite"),
        (PARAMETERS, put("W2", np.ones((6, 5))), "fit together, order='number': weights into level 2 must have shape"),
        (PARAMETERS, put("B2", np.ones(5)), "biases of level 2 must be 6, got 5"),
        (PARAMETERS, put("B2", np.ones((6, 1))), "biases of level 2 must have shape"),
        (ACCURACIES, put("var_weight", 1.0), "says weight variance 1.5, .*acc-.* says 1"),
        (ACCURACIES, put("depth", [10, 20]), "acc-.*says depth 10, 20, not 13"),
        (ACCURACIES, put("depth", [13, 20, 30]), "3 depths need as many rows of accuracies"),
        (ACCURACIES, put("accuracies", [0.1, np.nan]), "accuracies must be finite numbers"),
        (ACCURACIES, drop("accuracies"), "holds no accuracies"),
    ],
)
def test_wrong_files(good, tmp_path, which, change, message):
    files = [shutil.copy(path, tmp_path) for path in good]
    with h5py.File(files[which], "a") as file:
        change(file)
    with pytest.raises(ArchiveError, match=message) as caught:
        read_network(*files)
    assert re.search("(hooks|para|acc)-150-13.hdf5", str(caught.value))


def test_files_that_are_none(good, tmp_path):
    hooks, parameters, _ = good
    with pytest.raises(ArchiveError, match=r"none\.hdf5 does not exist"):
        read_network(tmp_path / "none.hdf5", parameters)
    with pytest.raises(ArchiveError, match="is not a file"):
        read_network(hooks, tmp_path)
    (tmp_path / "text.hdf5").write_text("W0, W1")
    with pytest.raises(ArchiveError, match=r"text\.hdf5 cannot be read as HDF5: "):
        read_network(tmp_path / "text.hdf5", parameters)
    (tmp_path / "torn.hdf5").write_bytes(parameters.read_bytes()[:5000])
    with pytest.raises(ArchiveError, match=r"torn\.hdf5 cannot be read as HDF5: "):
        read_network(hooks, tmp_path / "torn.hdf5")
    with pytest.raises(ArchiveError, match="must hold in-0 to in-12"):
        read_network(parameters, hooks)
    with pytest.raises(ParameterError, match="order must be one of 'number', 'published', got 'size'"):
        read_network(hooks, parameters, order="size")


def test_results(tmp_path):
    path = tmp_path / "KL-150-3.hdf5"
    content = {"KL": [0.0, 345.9, -2.0], "depth": 3, "var_weight": 1.5, "var_bias": 0.05}
    with h5py.File(path, "w") as file:
        file.update(content)
    found = read_result(path)
    assert (found.value.tolist(), found.depth) == ([0.0, 345.9, -2.0], 3)
    assert (found.weight_variance, found.bias_variance) == (1.5, 0.05)
    for name, value, message in (
        ("depth", 4, "must hold a value for each of 4 levels"),
        ("KL", [0.0, np.nan, 1.0], "holds values that are not finite"),
        ("var_bias", -1.0, "var_bias must lie in"),
        ("KL", None, "holds no KL"),
    ):
        with h5py.File(path, "w") as file:
            file.update({key: item for key, item in (content | {name: value}).items() if item is not None})
        with pytest.raises(ArchiveError, match=message):
            read_result(path)


def test_files_are_paired_by_base_and_epoch(tmp_path):
    for base in ("150-3", "200-3"):
        for epoch in ("e0-", "e14-", "e2-"):
            write_network(tmp_path, base=base, epoch=epoch, widths=(6, 5, 4))
    write_network(tmp_path, base="plain-3", epoch="", widths=(6, 5, 4))
    (tmp_path / "plain").mkdir()
    (tmp_path / "KL-150-pre.hdf5").write_bytes(b"")
    (tmp_path / "e0-para-150-3.hdf5").rename(tmp_path / "e0-parameters-150-3.hdf5")
    found = find_networks(tmp_path)
    assert [(one.label, one.hooks.name) for one in found] == [
        *[(epoch, f"{epoch}-hooks-{base}-3.hdf5") for base in (150, 200) for epoch in ("e0", "e2", "e14")],
        ("", "hooks-plain-3.hdf5"),
    ]
    assert found[0].parameters.name == "e0-parameters-150-3.hdf5"
    assert [one.accuracies.name for one in found[:1] + found[-1:]] == ["acc-150-3.hdf5", "acc-plain-3.hdf5"]
    for one in found:
        assert read_network(*one[1:]).depth == 3
    (tmp_path / "acc-150-3.hdf5").unlink()
    assert find_networks(tmp_path)[0].accuracies is None


def test_directories_that_do_not_tell(tmp_path):
    with pytest.raises(ArchiveError, match="is not a directory"):
        find_networks(tmp_path / "none")
    with pytest.raises(ArchiveError, match="holds no hooks-"):
        find_networks(tmp_path)
    files = write_network(tmp_path, widths=(6, 5, 4))
    shutil.copy(files[1], tmp_path / "e0-parameters-150-13.hdf5")
    with pytest.raises(ArchiveError, match="are two files for one network: keep one"):
        find_networks(tmp_path)
    for path in tmp_path.glob("e0-para*"):
        path.unlink()
    with pytest.raises(ArchiveError, match=r"e0-hooks-150-13\.hdf5 has no file of weights beside it: e0-para-150-13"):
        find_networks(tmp_path)
