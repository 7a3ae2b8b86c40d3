"""The study of random networks: its tasks, histograms of pre-activations, figure and command."""

import dataclasses
import math

import numpy as np
import pytest
from conftest import contents, finish
from scipy import stats

from isingflow import archive, report, study
from isingflow.archive import Archive
from isingflow.errors import ParameterError
from isingflow.flow.phases import preactivation_histograms
from isingflow.parameters import NetworkParameters, PublishedParameters, canonical
from isingflow.plotting.networks import is_networks, networks_figure

LAW = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=4, width=300)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Of the command itself, with two workers."""
    path = tmp_path_factory.mktemp("networks") / "networks.h5"
    code, output, errors = finish("networks", "--quick", "--workers", "2", "-o", path)
    assert (code, errors) == (0, "")
    return path, output


def test_bins_hold_the_normal_law_of_mean_field():
    first, last = preactivation_histograms([[1.0, 0.0]], LAW, levels=[0, 4], networks=2, rng=1, bins=12)
    spread = math.sqrt(2.0 / 2 + 0.05)
    np.testing.assert_allclose(first.edges, 4 * spread * np.linspace(-1, 1, 13), rtol=1e-14)
    expected = np.diff(stats.norm(0, spread).cdf(first.edges)) / np.diff(first.edges)
    np.testing.assert_allclose(first.density_exact, expected, rtol=1e-9)
    assert (first.layer, last.layer, last.variable) == (0, 4, "pre-activation")
    assert last.samples == 2 * 300


@pytest.mark.parametrize(("activation", "residual"), [("tanh", 0.0), ("relu", 0.0), ("tanh", 0.5)])
def test_sampled_histograms_against_the_normal_law(activation, residual):
    """Within 5 standard errors, where some 20 neurons are seen; not of a variance that is 10 % off."""
    network = dataclasses.replace(LAW, activation=activation, residual=residual, width=1000)
    found = preactivation_histograms([[1.0, -1.0]], network, levels=[0, 2, 4], networks=100, rng=2, workers=2)
    for one in found:
        seen = one.density * np.diff(one.edges) * one.samples > 20
        errors = one.density_error[seen]
        assert np.abs((one.density - one.density_exact)[seen] / errors).max() < 5
        spread = np.sqrt(1.1 * np.sum(one.density_exact * one.centres**2 * np.diff(one.edges)))
        wrong = np.diff(stats.norm(0, spread).cdf(one.edges)) / np.diff(one.edges)
        assert np.abs((one.density - wrong)[seen] / errors).max() > 5


def test_batches_and_workers_change_no_histogram(monkeypatch):
    given = {"levels": [1, 3], "networks": 9, "rng": 3}
    one = preactivation_histograms([[1.0]], LAW, **given)
    monkeypatch.setattr("isingflow.flow.phases.BATCH", 4)
    for other, same in zip(preactivation_histograms([[1.0]], LAW, workers=3, **given), one, strict=True):
        np.testing.assert_array_equal(other.density, same.density)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [[1.0], [2.0]]}, "a histogram is that of one input, got 2 inputs"),
        ({"network": dataclasses.replace(LAW, width=(3, 4, 5, 6, 7))}, "levels of one width, got 5 different ones"),
        ({"levels": 5}, "level must be between 0 and 4, got 5"),
        ({"networks": 1}, "networks must be at least 2, got 1"),
        ({"bins": 0}, "bins must be at least 1, got 0"),
    ],
)
def test_bad_input(change, message):
    given = {"inputs": [[1.0]], "network": LAW, "levels": [0], "networks": 2, "rng": 1} | change
    with pytest.raises(ParameterError, match=message):
        preactivation_histograms(given.pop("inputs"), given.pop("network"), **given)


def test_a_published_task_is_a_record():
    task = PublishedParameters(network=LAW, networks=2, samples=3)
    assert '"samples":3,"source":"digits","variance":"reference"' in canonical(task)
    with pytest.raises(ParameterError, match=r"variance must be one of .* did you mean 'layer'"):
        PublishedParameters(network=LAW, networks=2, samples=3, variance="layers")


def test_the_command_writes_what_the_library_finds(quick):
    """One worker gives the bits of two; and the words are those of the archive."""
    path, output = quick
    found = archive.read(path)
    same = study.networks(quick=True)
    for name, curves in same.families().items():
        assert [contents(curve) for curve in found.families()[name]] == [contents(curve) for curve in curves]
    for one, other in zip(found.histograms, same.histograms, strict=True):
        np.testing.assert_array_equal(one.density, other.density)
    assert output.startswith(report.networks(found))
    assert {one.variable for one in found.histograms} == {"pre-activation"}
    assert "pre-activations in layer 15 of 20 networks" in report.contents(found)
    assert "density of pre-activations, layer 15" in report.table(found)
    assert path.with_suffix(".png").stat().st_size > 50_000


def test_phases_are_told_by_two_inputs_alone(quick):
    families = archive.read(quick[0]).families()
    told = {curve.control_value: curve.regime for curve in families["network/two inputs"]}
    assert (told[1.25], told[1.5], told[1.760955], told[2.5]) == ("growing", "growing", "critical", "saturating")
    for name in ("one input", "published estimator, reference variance"):
        assert {curve.regime for curve in families[f"network/{name}"]} <= {"saturating", "undetermined"}


def test_every_number_of_the_figure_comes_from_the_archive(quick):
    """A change of one number changes its panel and no other."""
    found = archive.read(quick[0])

    def drawn(record):
        figure = networks_figure(record)
        return [
            [np.asarray(line.get_xydata(), dtype=float) for line in axes.lines]
            + [np.asarray(path.vertices) for bars in axes.collections for path in bars.get_paths()]
            + [patch.get_data().values for patch in axes.patches]
            for axes in figure.axes
        ]

    def changed(record):
        pairs = zip("abcdef", before, drawn(record), strict=True)
        return "".join(
            letter
            for letter, a, b in pairs
            if not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))
        )

    before = drawn(found)
    assert changed(found) == ""
    for index, panel in ((0, "a"), (8, "b"), (16, "c")):
        for name in ("value", "error", "exact"):
            values = getattr(found.curves[index], name).copy()
            values[1::2] *= 1.01
            values[2::2] *= 1.01
            curves = list(found.curves)
            curves[index] = dataclasses.replace(curves[index], **{name: values})
            assert changed(dataclasses.replace(found, curves=tuple(curves))) == panel
    curves = [dataclasses.replace(curve, scale=1.01 * curve.scale) for curve in found.curves]
    assert changed(dataclasses.replace(found, curves=tuple(curves))) == "f"
    for index, panel in ((0, "d"), (-1, "e")):
        histograms = list(found.histograms)
        for name in ("density", "density_error", "density_exact"):
            more = {name: 1.01 * getattr(found.histograms[index], name)}
            histograms[index] = dataclasses.replace(found.histograms[index], **more)
            assert changed(dataclasses.replace(found, histograms=tuple(histograms))) == panel


def test_what_is_missing_is_named(quick):
    found = archive.read(quick[0])
    assert is_networks(found)
    assert not is_networks(Archive(found.curves))
    with pytest.raises(ParameterError, match=r"network/two inputs, .* scale line of the network, histograms"):
        networks_figure(Archive(found.families()["network/one input"]))
