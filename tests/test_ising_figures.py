"""Studies and figures of the Ising models: tiny studies through the same functions, and every number drawn."""

import dataclasses
import importlib
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, contents
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from isingflow import archive, ising_studies
from isingflow.errors import ParameterError
from isingflow.ising.square import CRITICAL_COUPLING
from isingflow.parameters import SquareParameters
from isingflow.plotting.figures import figure_of

SCRIPTS = sorted(path for path in (ROOT / "paper_scripts").glob("*.py") if not path.name.startswith("_"))
SQUARES = tuple(
    SquareParameters(coupling=coupling, side=32, samples=40, steps=2) for coupling in (0.3, CRITICAL_COUPLING, 0.5)
)
TASKS = {"marginals": SQUARES}
"""Of tiny studies, by the name of their figure; the other studies are quick as they are."""

FIGURES = ("marginals",)


def tiny(name, **settings):
    """The archive of a figure, of tiny tasks."""
    with pytest.MonkeyPatch.context() as patch:
        if name in TASKS:
            patch.setattr(ising_studies, f"{name.removesuffix('s')}_tasks", lambda quick: TASKS[name])
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
    """What is drawn, by the letter of the panel."""
    found = {}
    for axes in figure.axes:
        bars = [
            path.vertices for bars in axes.collections if isinstance(bars, LineCollection) for path in bars.get_paths()
        ]
        found[axes.get_title(loc="left")[1:2]] = [*(line.get_xydata() for line in axes.lines), *bars]
    return found


def changed(name, one, other):
    """Letters of the panels that differ."""
    pairs = (panels(figure_of(record)) for record in (one, other))
    before, after = pairs
    return "".join(
        letter
        for letter, drawn in before.items()
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(drawn, after[letter], strict=True))
    )


def records(found):
    """Everything of an archive that can be compared by bits."""
    fields = (field.name for field in dataclasses.fields(found) if field.name != "provenance")
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


@pytest.mark.parametrize("name", FIGURES)
def test_the_archive_says_its_figure_and_comes_back(name, found, tmp_path):
    path = tmp_path / "a.h5"
    archive.write(path, found[name])
    read = archive.read(path)
    assert read.provenance["figure"] == name
    assert sorted(map(str, records(read))) == sorted(map(str, records(found[name])))
    assert changed(name, found[name], read) == ""


@pytest.mark.parametrize("name", FIGURES)
def test_panels_have_letters_titles_and_labels(name, found):
    figure = figure_of(found[name])
    assert isinstance(figure, Figure)
    titled = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left")[:3] for axes in titled] == [f"({letter})" for letter in "abcdef"[: len(titled)]]
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in titled)


@pytest.mark.parametrize("name", TASKS)
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
    ],
)
def test_one_number_of_a_curve_altered_is_seen(figure, family, name, letters, found):
    assert changed(figure, found[figure], with_curve(found[figure], family, name)) == letters


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_missing_is_said(name):
    draw = getattr(importlib.import_module(f"isingflow.plotting.{name}"), f"{name}_figure")
    with pytest.raises(ParameterError, match="the archive holds no"):
        draw(archive.Archive())


def test_a_figure_of_a_later_version():
    with pytest.raises(ParameterError, match="for a figure 'other', which this version does not know"):
        figure_of(archive.Archive(provenance={"figure": "other"}))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_say_how_they_are_called(path):
    done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert all(word in done.stdout for word in ("--quick", "--full", "--archive", "--output", "--workers"))
    assert len(path.read_text().splitlines()) <= 60


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_draw_their_archives(path, tmp_path):
    """All nine from the archives in data/, in the way of ``isingflow figure``."""
    found = archive.read(ROOT / "data" / f"{path.stem}.h5")
    figure_of(found).savefig(tmp_path / "new.png", dpi=20)
    assert (tmp_path / "new.png").stat().st_size > 2000
    assert (ROOT / "figures" / f"{path.stem}.png").exists()
    assert (ROOT / "figures" / f"{path.stem}.md").exists()
