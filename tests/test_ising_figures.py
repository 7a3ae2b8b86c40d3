"""Studies and figures of the Ising models: tiny studies through the same functions, and every number drawn."""

import dataclasses
import importlib
import os
import runpy
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ROOT, contents
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from isingflow import archive, ising_studies
from isingflow.errors import ArchiveError, ParameterError
from isingflow.ising.couplings import RECURSIONS
from isingflow.ising.square import CRITICAL_COUPLING
from isingflow.parameters import ChainParameters, SquareParameters, TruncationParameters
from isingflow.plotting.figures import ISING, figure_of

SCRIPTS = sorted(path for path in (ROOT / "paper_scripts").glob("*.py") if not path.name.startswith("_"))
SQUARES = tuple(
    SquareParameters(coupling=coupling, side=32, samples=40, steps=2) for coupling in (0.3, CRITICAL_COUPLING, 0.5)
)
TASKS = {
    "chain": tuple(
        ChainParameters(coupling=0.8, field=field, factor=factor, steps=2, sites=factor**2 * 16, samples=20)
        for field in (0.0, 0.1)
        for factor in (2, 3)
    ),
    "marginals": SQUARES,
    "configurations": SQUARES,
    "scale": (ChainParameters(coupling=0.5, sites=64, steps=3, samples=20), *SQUARES),
    "inferred": tuple(
        (SquareParameters(coupling=coupling, side=32, samples=200, steps=2), phase)
        for coupling, phase in ((0.3, "symmetric"), (0.46, "symmetric"), (0.46, "up"))
    ),
    "information": tuple(
        SquareParameters(coupling=coupling, side=side, samples=4000, steps=1)
        for side in (8, 16)
        for coupling in np.arange(0.30, 0.445, 0.005).round(3).tolist()
    ),
    "renormalization": (SquareParameters(coupling=CRITICAL_COUPLING, side=16, samples=1000, steps=1),),
    "truncation": (*SQUARES, TruncationParameters(coupling=0.3, scheme="maris-kadanoff", side=32, samples=40, steps=2)),
}
"""Of tiny studies, by the name of their figure; the others sample nothing."""


def tiny(name, **settings):
    """The archive of a figure, of tiny tasks."""
    with pytest.MonkeyPatch.context() as patch:
        if name in TASKS:
            patch.setattr(ising_studies, f"{name.removesuffix('s')}_tasks", lambda quick: TASKS[name])
        patch.setattr(ising_studies, "SHOWN_SPINS", 8)
        patch.setattr(ising_studies, "DECAY_COUPLINGS", (0.3, CRITICAL_COUPLING))
        return getattr(ising_studies, name)(quick=True, **settings)


@pytest.fixture(scope="module")
def found():
    """Archives of all figures, each made when it is first asked for."""

    class Archives(dict):
        def __missing__(self, name):
            self[name] = tiny(name)
            return self[name]

    return Archives()


def panels(figure):
    """What is drawn, by the letter of the panel, or by its number where it has none."""
    found = {}
    for number, axes in enumerate(figure.axes):
        bars = [
            path.vertices for kind in axes.collections if isinstance(kind, LineCollection) for path in kind.get_paths()
        ]
        arrows = [np.transpose([kind.U, kind.V]) for kind in axes.collections if isinstance(kind, Quiver)]
        images = [np.asarray(image.get_array()) for image in axes.images]
        lines = [line.get_xydata() for line in axes.lines]
        found[axes.get_title(loc="left")[1:2] or str(number)] = [*lines, *bars, *arrows, *images]
    return found


def changed(name, one, other):
    """Letters of the panels that differ."""
    before, after = (panels(figure_of(record)) for record in (one, other))
    return "".join(
        letter
        for letter, drawn in before.items()
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(drawn, after[letter], strict=True))
    )


def records(found):
    """Everything of an archive that can be compared by bits."""
    fields = (field.name for field in dataclasses.fields(found) if field.name not in ("provenance", "grid"))
    return [contents(record) for name in fields for record in getattr(found, name)]


def with_curve(found, family, name, level=1):
    """The archive with one number of the first curve of a family that is a tenth larger."""
    index = next(i for i, curve in enumerate(found.curves) if curve.family == family)
    values = getattr(found.curves[index], name)
    if np.ndim(values):
        values = values.copy()
        values[level] *= 1.1
    else:
        values *= 1.1
    curves = list(found.curves)
    curves[index] = dataclasses.replace(curves[index], **{name: values})
    return dataclasses.replace(found, curves=tuple(curves))


@pytest.mark.parametrize(
    ("figure", "field", "change", "message"),
    [
        ("plane", "flows", {"terms": ("nearest", "diagnal")}, "terms must be one of .* did you mean 'diagonal'"),
        ("plane", "flows", {"terms": ("nearest",)}, r"couplings must have shape \(.*, 1\), along levels, columns"),
        ("plane", "flows", {"system": "network"}, "system must be one of 'chain', 'square'"),
        ("plane", "flows", {"scheme": 3}, "scheme must be a name, got 3"),
        ("plane", "coupling_maps", {"stability": ()}, "1 fixed points need as many stabilities, got 0"),
        ("plane", "coupling_maps", {"before": np.zeros(101)}, "before must be at least two finite numbers"),
        ("plane", "planes", {"fixed": (1.0,)}, "fixed must be two couplings"),
        ("configurations", "configurations", {"spins": np.zeros((8, 8))}, r"spins must be -1 and \+1"),
        ("configurations", "configurations", {"spins": np.ones(8)}, r"in rows and columns, got shape \(8,\)"),
        ("configurations", "configurations", {"level": -1}, "level must be at least 0, got -1"),
        ("information", "information", {"quantity": "pairs"}, "quantity must be one of 'neighbours', 'sublattices'"),
        ("information", "information", {"maximum_error": -1.0}, "maximum_error must lie in"),
        ("renormalization", "exponents", {"sides": (16, 8)}, r"thermal must have shape \(1, 7\), along steps, even_"),
        ("renormalization", "exponents", {"factor": 1}, "factor must be at least 2"),
        ("inferred", "inferred", {"phase": "down"}, "phase must be one of 'symmetric', 'up'"),
        ("inferred", "inferred", {"missing": [0.0]}, r"missing must have shape \(3,\), along levels"),
        ("inferred", "inferred", {"terms": ("nearest", "third", "field")}, "terms must be one of"),
        ("scale", "asymptotes", {"asymptote": [1.0]}, "asymptote must have shape"),
        ("scale", "correlations", {"distances": [2.0] * 15}, "distances must be at least two finite numbers"),
    ],
)
def test_wrong_records(figure, field, change, message, found):
    record = getattr(found[figure], field)[0]
    with pytest.raises(ParameterError, match=message):
        dataclasses.replace(record, **change)


def test_records_own_their_arrays(found):
    spins = np.array(found["configurations"].configurations[0].spins)
    one = dataclasses.replace(found["configurations"].configurations[0], spins=spins)
    spins[0, 0] *= -1
    assert one.spins[0, 0] == -spins[0, 0]
    assert one.spins.dtype == np.int8
    assert not one.spins.flags.writeable


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["configurations/1/spins"].__setitem__((0, 0), 3), r"spins must be -1 and \+1"),
        (lambda file: file["configurations/1"].__delitem__("spins"), "holds no spins"),
        (lambda file: file["configurations/1"].attrs.__delitem__("level"), "no readable"),
    ],
)
def test_damaged_configurations(change, message, found, tmp_path):
    archive.write(tmp_path / "a.h5", found["configurations"])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        change(file)
    with pytest.raises(ArchiveError, match=message):
        archive.read(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ISING)
def test_the_archive_says_its_figure_and_comes_back(name, found, tmp_path):
    path = tmp_path / "a.h5"
    archive.write(path, found[name])
    read = archive.read(path)
    assert read.provenance["figure"] == name
    assert sorted(map(str, records(read))) == sorted(map(str, records(found[name])))
    assert changed(name, found[name], read) == ""


@pytest.mark.parametrize("name", ISING)
def test_panels_have_letters_titles_and_labels(name, found):
    figure = figure_of(found[name])
    assert isinstance(figure, Figure)
    if name == "configurations":  # one letter a row
        assert [axes.get_ylabel()[:3] for axes in figure.axes[::2]] == ["(a)", "(b)", "(c)"]
        return
    titled = [axes for axes in figure.axes if axes.get_title(loc="left")]
    letters = [axes.get_title(loc="left")[:3] for axes in titled]
    assert letters == [f"({letter})" for letter in "abcdefghij"[: len(titled)]]
    shared = name == "truncation"  # then only the outer ones have labels
    places = [axes.get_subplotspec() for axes in titled]
    assert all(axes.get_xlabel() for axes, at in zip(titled, places, strict=True) if at.is_last_row() or not shared)
    assert all(axes.get_ylabel() for axes, at in zip(titled, places, strict=True) if at.is_first_col() or not shared)


def test_inverted_correlations_are_those_the_curve_says(found):
    """An exact curve gives back the exact correlations; the curve of another coupling does not."""
    curves = {curve.control_value: curve for curve in found["scale"].curves if curve.system == "square"}
    exact = dataclasses.replace(curves[0.3], value=curves[0.3].exact)
    inverted = ising_studies.inverted_correlation(exact)
    np.testing.assert_allclose(inverted.inverted, inverted.torus, rtol=1e-9)
    other = dataclasses.replace(curves[0.3], value=curves[CRITICAL_COUPLING].exact)
    assert not np.allclose(ising_studies.inverted_correlation(other).inverted, inverted.torus, rtol=1e-2)
    # one standard error of the value moves the correlation by its own, to first order
    moved = ising_studies.inverted_correlation(dataclasses.replace(exact, value=exact.value + 1e-6, error=1e-6))
    np.testing.assert_allclose(inverted.inverted - moved.inverted, moved.inverted_error, rtol=1e-3)


def test_points_read_off_samples_lie_on_the_exact_ones(found):
    """Within 5 standard errors."""
    one = found["scale"].correlations[0]
    assert np.nanmax(np.abs(one.inverted - one.torus) / one.inverted_error) < 5


def test_wilsons_critical_line_flows_into_its_fixed_point(found):
    (plane,) = found["plane"].planes
    step = RECURSIONS["wilson"].step
    after = np.array(plane.critical_nearest), np.array(plane.critical_diagonal)
    for _ in range(12):
        after = step(*after)
    np.testing.assert_allclose(after[0], plane.fixed[0], atol=1e-4)
    np.testing.assert_allclose(after[1], plane.fixed[1], atol=1e-4)
    np.testing.assert_allclose(step(*plane.fixed), plane.fixed, rtol=1e-14)
    off = step(plane.critical_nearest + 1e-3, plane.critical_diagonal)
    for _ in range(12):
        off = step(*off)
    assert (off[0] > 2 * plane.fixed[0]).all()


def test_fixed_points_of_the_recursions(found):
    fixed = {one.scheme: one.fixed.tolist() for one in found["plane"].coupling_maps}
    assert fixed["nearest-neighbour"] == [0.0]
    assert fixed["maris-kadanoff"] == pytest.approx([0, 0.506981], abs=1e-6)
    assert fixed["migdal-kadanoff"] == pytest.approx([0, 0.304689], abs=1e-6)
    slope = found["plane"].coupling_maps[2].slopes[1]
    assert slope == pytest.approx(2 * np.tanh(4 * fixed["migdal-kadanoff"][1]), rel=1e-8)
    for one in found["couplings"].coupling_maps:
        curves = found["couplings"].families()[f"square/coupling, {one.scheme}"]
        for curve in curves:
            if curve.control_value in one.fixed:
                assert curve.value.max() < 1e-12


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "scale" else pytest.mark.slow) for name in TASKS]
)
def test_two_workers_give_the_bits_of_one(name, found):
    assert records(tiny(name, workers=2)) == records(found[name])


@pytest.mark.parametrize(
    ("figure", "family", "name", "letters"),
    [
        ("marginals", "square/row pair marginal", "value", "a"),
        ("marginals", "square/row pair marginal", "error", "a"),
        ("marginals", "square/row pair marginal", "exact", "a"),
        ("marginals", "square/row pair marginal", "asymptote_exact", "a"),
        ("marginals", "square/row pair marginal", "reverse", "b"),
        ("marginals", "square/row pair marginal", "exact_reverse", "b"),
        ("marginals", "square/row pair marginal", "step_error", "c"),
        ("marginals", "square/row pair marginal", "exact_step", "c"),
        ("marginals", "square/pair marginal", "value", "d"),
        ("marginals", "square/pair marginal", "exact", "d"),
        ("marginals", "square/2x2 marginal", "value", "e"),
        ("marginals", "square/2x2 marginal", "reverse_error", "f"),
        ("chain", "chain/coupling", "value", "a"),
        ("chain", "chain/coupling", "asymptote", "a"),
        ("chain", "chain/coupling", "reverse", "b"),
        ("chain", "chain/window marginal", "value", "d"),
        ("chain", "chain/window marginal", "error", "d"),
        ("chain", "chain/window marginal", "exact", "d"),
        ("chain", "chain/window marginal in a field", "value", "e"),
        ("couplings", "square/coupling, nearest-neighbour", "value", "a"),
        ("couplings", "square/coupling, nearest-neighbour", "asymptote", "d"),
        ("couplings", "square/coupling, maris-kadanoff", "value", "b"),
        ("couplings", "square/coupling, migdal-kadanoff", "value", "cf"),
        ("scale", "square/row pair marginal", "scale", "ab"),
        ("scale", "square/row pair marginal", "scale_error", "ab"),
        ("scale", "square/row pair marginal", "asymptote", "c"),
        ("scale", "chain/pair marginal", "scale", "a"),
        ("scale", "chain/pair marginal", "asymptote_error", "c"),
    ],
)
def test_one_number_of_a_curve_altered_is_seen(figure, family, name, letters, found):
    assert changed(figure, found[figure], with_curve(found[figure], family, name)) == letters


def with_record(found, field, index, name, at):
    """The archive with one number of a record a hundredth larger, or one spin turned."""
    several = list(getattr(found, field))
    values = getattr(several[index], name)
    if np.ndim(values):
        values = np.array(values)
        values[at] = -values[at] if name == "spins" else 1.01 * values[at]
        values = tuple(values) if name == "fixed" and field == "planes" else values
    else:
        values *= 1.01
    several[index] = dataclasses.replace(several[index], **{name: values})
    return dataclasses.replace(found, **{field: tuple(several)})


@pytest.mark.parametrize(
    ("figure", "field", "index", "name", "at", "letters"),
    [
        ("chain", "flows", 0, "couplings", (1, 0), "f"),
        ("couplings", "coupling_maps", 1, "fixed", 1, "e"),
        ("plane", "flows", 0, "couplings", (1, 1), "a"),
        ("plane", "flows", -1, "couplings", (1, 0), "d"),
        ("plane", "planes", 0, "nearest_step", (2, 3), "a"),
        ("plane", "planes", 0, "critical_nearest", 3, "a"),
        ("plane", "planes", 0, "fixed", 0, "a"),
        ("plane", "coupling_maps", 0, "after", (7, 0), "b"),
        ("plane", "coupling_maps", 1, "fixed", 1, "c"),
        ("plane", "coupling_maps", 3, "after", (7, 1), "ae"),
        ("plane", "coupling_maps", 3, "after", (7, 2), "e"),
        ("configurations", "configurations", 3, "spins", (1, 2), "3"),
        ("inferred", "inferred", 0, "couplings", (1, 1), "a"),
        ("inferred", "inferred", 0, "couplings_error", (1, 0), "a"),
        ("inferred", "inferred", 0, "missing", 2, "b"),
        ("inferred", "inferred", 2, "missing_error", 2, "b"),
        ("inferred", "inferred", 2, "couplings", (2, 3), "c"),
        ("inferred", "inferred", 2, "couplings_error", (2, 3), "c"),
        ("information", "information", 0, "information", 3, "a"),
        ("information", "information", 3, "information", 3, "b"),
        ("information", "information", 4, "information", 3, "a"),
        ("information", "information", 5, "information_error", 3, "b"),
        ("information", "information", 4, "maximum", None, "c"),
        ("information", "information", 5, "maximum_error", None, "c"),
        ("renormalization", "exponents", 0, "thermal", (0, 1), "a"),
        ("renormalization", "exponents", 0, "magnetic_error", (1, 1), "b"),
        ("renormalization", "exponents", 1, "thermal_error", (0, 1), "c"),
        ("renormalization", "exponents", 1, "magnetic", (1, 1), "d"),
        ("inferred", "planes", 0, "nearest_step", (2, 3), "a"),
        ("inferred", "planes", 0, "critical_nearest", 3, "a"),
        ("inferred", "coupling_maps", 0, "after", (7, 1), "a"),
        ("scale", "asymptotes", 1, "asymptote", 2, "c"),
        ("scale", "correlations", 1, "inverted", 2, "d"),
        ("scale", "correlations", 1, "inverted_error", 2, "d"),
        ("scale", "correlations", 0, "torus", 2, "d"),
        ("scale", "correlations", 0, "plane", 2, "d"),
    ],
)
def test_one_number_of_a_record_altered_is_seen(figure, field, index, name, at, letters, found):
    assert changed(figure, found[figure], with_record(found[figure], field, index, name, at)) == letters


@pytest.mark.parametrize("name", ISING)
def test_what_is_missing_is_said(name):
    draw = getattr(importlib.import_module(f"isingflow.plotting.{name}"), f"{name}_figure")
    with pytest.raises(ParameterError, match="the archive holds no"):
        draw(archive.Archive())


def test_a_figure_of_a_later_version():
    with pytest.raises(ParameterError, match="for a figure 'other', which this version does not know"):
        figure_of(archive.Archive(provenance={"figure": "other"}))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_say_how_they_are_called(path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(path), run_name="__main__")
    words = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(word in words for word in ("--quick", "--full", "--archive", "--output", "--workers"))
    assert len(path.read_text().splitlines()) <= 60


def test_a_script_as_a_process(tmp_path):
    script, picture = ROOT / "paper_scripts" / "plane.py", tmp_path / "new.png"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script, "--output", picture], env=environment, timeout=60, check=True)
    assert done.returncode == 0
    assert picture.stat().st_size > 50_000


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_figures_of_the_archives_that_come_along(path):
    """Each draws the figure of its own name, which lies beside its caption."""
    found = archive.read(ROOT / "data" / f"{path.stem}.h5")
    assert found.provenance.get("figure", path.stem) == path.stem
    assert len(figure_of(found).axes) > 2
    assert (ROOT / "figures" / f"{path.stem}.png").exists()
    assert (ROOT / "figures" / f"{path.stem}.md").exists()
