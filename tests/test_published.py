"""Files of the public notebooks, every way in which they can be wrong, and what is made of them: curves and a figure.

Statistical comparisons are at 5 standard errors with fixed seeds.
"""

import dataclasses
import math
import re
import shutil

import h5py
import numpy as np
import pytest
from conftest import contents, curve, finish
from matplotlib.container import ErrorbarContainer

from isingflow import archive, cli, report, study
from isingflow.archive import Archive
from isingflow.errors import ArchiveError, ParameterError
from isingflow.flow import published as flow
from isingflow.flow import published_curve, published_flow
from isingflow.network.published import find_networks, list_networks, read_network, read_result
from isingflow.network.pushforward import pushforward_entropy, pushforward_estimate
from isingflow.parameters import NetworkParameters
from isingflow.plotting import published as plotting
from isingflow.plotting.published import is_published, published_figure, published_normalisation

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


def unwritten(name, shape):
    def change(file):
        del file[name]
        file.create_dataset(name, shape=shape, dtype="f8")

    return change


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
        (HOOKS, put("depth", 1), "depth must be between 2 and 1000000, got 1"),
        (HOOKS, put("depth", 1e300), "depth must be between 2 and 1000000"),
        (PARAMETERS, unwritten("W1", (6, 6)), "W1 was never written"),
        (HOOKS, put("var_bias", h5py.Empty("f8")), "var_bias was never written"),
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


def test_paths_are_directories_or_pairs(good):
    folder, (hooks, parameters, accuracies) = good[0].parent, good
    found = list_networks([hooks, str(parameters), folder])
    assert found == [("e0", hooks, parameters, None), ("e0", hooks, parameters, accuracies)]
    assert list_networks([accuracies, parameters])[0].label == ""
    with pytest.raises(ParameterError, match=r"files must come in pairs HOOKS PARA, got .* without a file of weights"):
        list_networks([folder, hooks])


def test_curve_of_a_file(good):
    network = read_network(*good, order="published")
    found = published_curve(network, samples=50, rng=3, label="e0")
    expected = pushforward_estimate(
        network.weights, network.biases, network.preactivations, samples=50, rng=3, variance="reference"
    )
    assert found.value.tolist() == expected.value.tolist()
    assert found.error.tolist() == expected.error.tolist()
    assert found.family == "network/published estimator, reference variance, e0"
    assert (found.per, found.regime, found.reference, found.samples) == ("layer", "undetermined", "none", 50)
    assert found.parameters == {
        "weight_variance": 1.5,
        "bias_variance": 0.05,
        "width": 6,
        "depth": 12,
        "activation": "tanh",
        "label": "e0",
    }
    assert found.flags == (flow.UNEQUAL, flow.REORDERED)
    assert published_curve(read_network(*good), samples=50, rng=3, variance="layer").family == plotting.FAMILY
    assert flow.REORDERED == plotting.REORDERED


SMALL = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=(30, 20, 30, 10))


def test_curve_of_random_networks_is_a_mean_over_them():
    found = published_flow([[1.0, 2.0, 0.5]], SMALL, networks=3, samples=8, rng=4)
    values = []
    for rng in np.random.default_rng(4).spawn(3):
        before, weights, biases, levels = np.array([1.0, 2.0, 0.5]), [], [], []
        (of_the_network,) = rng.spawn(1)
        for width in SMALL.widths:
            normals = of_the_network.normal(size=(width, len(before) + 1))
            weights.append(normals[:, :-1] * math.sqrt(1.5 / len(before)))
            biases.append(normals[:, -1] * math.sqrt(0.05))
            levels.append(weights[-1] @ before + biases[-1])
            before = np.tanh(levels[-1])
        values.append(pushforward_entropy(weights, biases, levels, samples=8, rng=rng))
    np.testing.assert_allclose(found.value, np.mean(values, axis=0), rtol=1e-10)
    np.testing.assert_allclose(found.error, np.std(values, axis=0, ddof=1) / math.sqrt(3), rtol=1e-10)
    assert (found.samples, found.parameters["samples"], found.flags) == (3, 8, (flow.UNEQUAL,))


@pytest.mark.parametrize("variance", ["layer", "reference"])
@pytest.mark.parametrize(
    ("weight", "more"),
    [
        (1.0, {"width": 150}),
        (2.5, {"width": (150, 150, 100, 150, 150)}),
        (1.5, {"width": 150, "residual": 0.5}),
        (1.2, {"width": 150, "activation": "relu"}),
    ],
)
def test_curve_agrees_with_mean_field(weight, more, variance):
    """Mean field is right to a few nats, whatever the width; the other division gives something else."""
    network = NetworkParameters(weight_variance=weight, bias_variance=0.05, depth=4, **more)
    image, away = [[4.0, -2.0, 1.2]], 4
    found = published_flow(image, network, networks=40, samples=50, rng=5, variance=variance, workers=2)
    assert found.exact[0] == found.value[0] == 0
    assert (np.abs(found.value - found.exact) <= 5 * found.error + away)[1:].all()
    other = published_flow(image, network, networks=2, samples=2, rng=5, variance=OTHER[variance])
    assert (np.abs(found.value - other.exact) > 5 * found.error + away)[1:].all()


OTHER = {"layer": "reference", "reference": "layer"}


def test_curve_has_the_same_bits_with_more_workers():
    one, other = (
        published_flow([[1.0, 2.0]], SMALL, networks=2, samples=600, rng=1, workers=workers) for workers in (1, 2)
    )
    assert contents(one) == contents(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": [[1.0, 2.0], [2.0, 1.0]]}, "the published estimator is of one input, got 2"),
        ({"inputs": [1.0, 2.0]}, "inputs must have shape"),
        ({"networks": 1}, "networks must be at least 2, got 1"),
        ({"samples": 1}, "samples must be at least 2, got 1"),
        ({"variance": "both"}, "variance must be one of"),
        (
            {"network": dataclasses.replace(SMALL, width=(3, 3, 3, 1))},
            "every level must have at least 2 neurons, got 1",
        ),
    ],
)
def test_bad_curves(changes, message):
    given = {"inputs": [[1.0, 2.0]], "network": SMALL, "networks": 2, "samples": 2, "rng": 1}
    with pytest.raises(ParameterError, match=message):
        published_flow(**(given | changes))


def by_epoch():
    """Two epochs of two networks, by hand."""
    value = np.array([0.0, 300.0, 500.0, 400.0, -100.0])
    fields = {"levels": 5, "reference": "none", "exact": math.nan, "per": "layer", "level_name": "layers"}
    curves = []
    for label, factor in (("e0", 1.0), ("e14", 2.0)):
        for weight in (1.5, 2.5):
            parameters = {"weight_variance": weight, "bias_variance": 0.05, "width": 50, "depth": 4, "label": label}
            given = fields | {"value": factor * weight * value, "error": 0.1 * np.abs(value), "length": np.arange(5)}
            quantity = f"published estimator, reference variance, {label}"
            curves.append(curve("network", quantity, weight, **given, parameters=parameters))
    return Archive(tuple(curves))


def bars(figure):
    return [item for item in figure.axes[0].containers if isinstance(item, ErrorbarContainer)]


def test_figure_shows_the_numbers_and_tells_epochs_by_lines():
    found = by_epoch()
    for normalised in (False, True):
        drawn = bars(published_figure(found, normalised=normalised))
        assert [bar.lines[0].get_linestyle() for bar in drawn] == ["-", "-", "--", "--"]
        assert len({bar.lines[0].get_color() for bar in drawn}) == 2
        for bar, one in zip(drawn, found.curves, strict=True):
            unit = 25 * math.log(2 * math.pi * math.e * one.control_value) if normalised else 1
            np.testing.assert_allclose(bar.lines[0].get_ydata(), one.value[: -2 if normalised else None] / unit)
            low, high = np.array([segment[:, 1] for segment in bar.lines[2][0].get_segments()]).T
            np.testing.assert_allclose((high - low) / 2, one.error[: -2 if normalised else None] / unit, atol=1e-12)
    three = Archive((*found.curves, dataclasses.replace(found.curves[0], quantity="published estimator, e20")))
    assert [bar.lines[0].get_linestyle() for bar in bars(published_figure(three))] == ["-", "-", ":", ":", "--"]
    assert "dimensionless" in published_figure(found, normalised=True).axes[0].get_ylabel()
    assert "[nats per layer]" in published_figure(found).axes[0].get_ylabel()
    assert published_figure(found).axes[0].get_xlabel() == "layer $m$"
    flagged = Archive((dataclasses.replace(found.curves[0], flags=(flow.REORDERED,)),))
    assert "order of the public notebook" in published_figure(flagged).axes[0].get_xlabel()


def test_figure_of_random_networks_has_mean_field_as_a_line():
    one = published_flow([[1.0, 2.0]], SMALL, networks=2, samples=2, rng=1)
    figure = published_figure(Archive((one,)))
    assert any(np.array_equal(line.get_ydata(), one.exact) for line in figure.axes[0].lines)
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "published estimator; line: mean field"


def test_normalisation():
    assert published_normalisation(784, 1.5) == pytest.approx(392 * math.log(2 * math.pi * math.e * 1.5), rel=1e-14)
    for wrong in ((784, 0.058), (784, 0.0), (784, -1.0), (784, math.nan), (0, 1.5)):
        with pytest.raises(ParameterError, match=r"a weight variance above 0\.0585"):
            published_normalisation(*wrong)


def test_figures_that_cannot_be(by_hand):
    assert not is_published(by_hand)
    assert not is_published(Archive())
    with pytest.raises(ParameterError, match="holds no curve of the published estimator"):
        published_figure(by_hand)
    short = published_flow([[1.0, 2.0]], dataclasses.replace(SMALL, depth=1, width=5), networks=2, samples=2, rng=1)
    with pytest.raises(ParameterError, match="without the last 2 layers nothing is left of 2"):
        published_figure(Archive((short,)), normalised=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of two networks, after the first and the last epoch."""
    path = tmp_path_factory.mktemp("files")
    for seed, weight in enumerate((1.5, 2.5)):
        for epoch in ("e0-", "e14-"):
            write_network(path, base=f"{10 * weight:.0f}-13", epoch=epoch, weight=weight, seed=seed)
    return path


@pytest.fixture(scope="module")
def evaluated(folder, tmp_path_factory):
    """``isingflow published`` on a pipe: the archive, the exit code and what it printed."""
    path = tmp_path_factory.mktemp("evaluated") / "p.h5"
    return path, *finish("published", folder, "--samples", 300, "--seed", 3, "--normalise", "-o", path)


def test_published_on_a_pipe(evaluated, folder):
    path, code, output, errors = evaluated
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == ", ".join(str(path.with_suffix(end)) for end in (".h5", ".png", ".pdf"))
    found = archive.read(path)
    assert output.startswith(report.published(found))
    assert [(one.parameters["label"], one.control_value) for one in found.curves] == [
        (epoch, weight) for epoch in ("e0", "e14") for weight in (1.5, 2.5)
    ]
    assert found.provenance["command"].startswith(f"isingflow published {folder} --samples 300")
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    network = read_network(*find_networks(folder)[0][1:])
    expected = pushforward_estimate(
        network.weights, network.biases, network.preactivations, samples=5000, rng=1, variance="reference"
    )
    apart = (found.curves[0].value - expected.value)[1:] / np.hypot(found.curves[0].error, expected.error)[1:]
    assert np.abs(apart).max() < 5


def test_published_repeats_bit_for_bit_and_is_redrawn(evaluated, folder, tmp_path, capsys):
    path, _, printed, _ = evaluated
    other = tmp_path / "q.h5"
    arguments = ["published", folder, "--samples", 300, "--seed", 3, "--workers", 1, "-q", "-o", other]
    assert cli.main([str(argument) for argument in arguments]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == printed.splitlines()[:-1]
    one, again = archive.read(path), archive.read(other)
    assert [contents(a) for a in one.curves] == [contents(a) for a in again.curves]
    for name, more in (("plain", []), ("normalised", ["--normalise"])):
        assert cli.main(["figure", str(path), "-o", str(tmp_path / f"{name}.svg"), *more]) == 0
    assert (tmp_path / "plain.svg").read_bytes() != (tmp_path / "normalised.svg").read_bytes()
    capsys.readouterr()
    assert cli.main(["show", str(path), "--points"]) == 0
    assert "push-forward of one network, 300 samples\n" in capsys.readouterr().out


def test_published_as_printed(folder, tmp_path, capsys):
    """A pair of files, the order of the notebook, the variance of each layer."""
    hooks, parameters, _ = find_networks(folder)[1][1:]
    path = tmp_path / "p.h5"
    arguments = [
        "published",
        hooks,
        parameters,
        "--order",
        "published",
        "--variance",
        "layer",
        "--samples",
        20,
        "-o",
        path,
    ]
    assert cli.main([str(argument) for argument in arguments]) == 0
    words = capsys.readouterr().out
    assert "[levels in the order of the public notebook]" in words
    assert "e14" in words
    assert archive.read(path).curves[0].quantity == "published estimator, e14"


def test_a_figure_that_cannot_be_leaves_no_archive(tmp_path, capsys):
    write_network(tmp_path, widths=(6, 5))
    target = tmp_path / "p.h5"
    assert cli.main(["published", str(tmp_path), "--normalise", "-q", "-o", str(target)]) == 2
    assert "without the last 2 layers nothing is left of 2" in capsys.readouterr().err
    assert not target.exists()


def test_networks_of_one_law_have_noise_of_their_own(tmp_path):
    """The same network twice, under two names."""
    for base in ("150-13", "151-13"):
        write_network(tmp_path, base=base, seed=1)
    one, other = study.published([tmp_path], samples=20).curves
    assert one.control_value == other.control_value
    assert (one.value[1:] != other.value[1:]).all()


def test_single_precision_says_the_same_variance(tmp_path):
    write_network(tmp_path, weight=np.float32(1.76))
    hooks, parameters, _ = find_networks(tmp_path)[0][1:]
    with h5py.File(parameters, "a") as file:
        put("var_weight", 1.76)(file)
    assert read_network(hooks, parameters).weight_variance == pytest.approx(1.76, rel=1e-6)


def test_curves_of_two_bias_variances_are_told_apart(tmp_path):
    for base, bias in (("150-13", 0.05), ("151-13", 0.1)):
        write_network(tmp_path, base=base, bias=bias)
    found = study.published([tmp_path], samples=20)
    words = [text.get_text() for text in plotting.published_figure(found).legends[0].get_texts()]
    assert sum("sigma_b^2 = 0.05" in one for one in words) == sum("sigma_b^2 = 0.1" in one for one in words) == 1
