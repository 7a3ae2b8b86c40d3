"""Grids: axes, archives that lie on them, and their figure."""

import dataclasses
import math

import h5py
import numpy as np
import pytest
from conftest import contents, curve
from test_plotting import drawn, same

from isingflow import archive, report
from isingflow.archive import Archive
from isingflow.errors import ArchiveError, ParameterError
from isingflow.grid import Axis, Grid
from isingflow.plotting.figures import figure_of
from isingflow.plotting.grid import grid_figure

GRID = Grid(
    (
        Axis(("coupling",), ((0.3, 0.4, 0.5),)),
        Axis(("kind", "sites"), (("é", "b"), (8, 16))),
    )
)


def on_grid(points=range(6)):
    """Two families by hand on some points of a grid, with levels, flags and texts of their own."""
    curves = [
        dataclasses.replace(
            curve(system, quantity, 0.3, levels=4 + point % 2, flags=("doubt",) * (point % 2)),
            value=np.arange(4 + point % 2) * (point + 1) / 10,
            per="site" if point % 2 else "bond",
            parameters=GRID.point(point) | {"steps": point, "word": "a" * point, "field": 0.5},
        )
        for system, quantity in (("square", "pair marginal"), ("square", "coupling, wilson"))
        for point in points
    ]
    return Archive(tuple(curves), provenance={"figure": "grid", "tasks": 6, "tasks_done": len(points)}, grid=GRID)


def test_points_and_places_are_inverse():
    assert [GRID.place(GRID.point(number)) for number in range(len(GRID))] == list(np.ndindex(GRID.shape))
    assert (len(Grid()), Grid().shape, Grid().point(0)) == (1, (), {})


@pytest.mark.parametrize("points", [range(6), [4], [0, 3]])
def test_round_trip(tmp_path, points):
    archive.write(tmp_path / "a.h5", on_grid(points))
    found = archive.read(tmp_path / "a.h5")
    assert [contents(c) for c in found.curves] == [contents(c) for c in on_grid(points).curves]
    assert found.grid == GRID


def test_plain_h5py_reads_it(tmp_path):
    archive.write(tmp_path / "a.h5", on_grid([1, 4]))
    with h5py.File(tmp_path / "a.h5") as file:
        group = file["square/pair_marginal"]
        assert group.attrs["axes"] == b"coupling; kind, sites"
        assert group["value"].shape == (3, 2, 5)
        assert [axis[0].name.split("/")[-1] for axis in group["value"].dims] == ["coupling", "kind", "level"]
        assert [text.decode() for text in group["kind"]] == ["é", "b"]
        assert group["sites"].dims[0][0] == group["kind"]
        np.testing.assert_array_equal(group["level_count"], [[0, 5], [0, 0], [4, 0]])
        np.testing.assert_array_equal(group["value"][0, 1], np.arange(5) * 2 / 10)
        assert np.isnan(group["value"][1]).all()


def test_xarray_gives_texts_as_texts(tmp_path):
    pytest.importorskip("xarray")
    dataset = on_grid([1, 4]).to_xarray("square/pair marginal")
    assert dataset.kind.values.tolist() == ["é", "b"]
    assert dataset.sites.dims == ("kind",)
    assert dataset.word.sel(coupling=0.5, kind="é") == "aaaa"
    assert dataset.value.sel(coupling=0.5, kind="é", level=2) == 1.0
    assert math.isnan(dataset.value.sel(coupling=0.5, kind="b", level=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coupling": 0.31}, "is not on the grid"),
        ({"kind": "b", "sites": 8}, "is not on the grid"),
        ({"coupling": 0.4}, "has two curves at one point"),
    ],
)
def test_curves_beside_the_grid(tmp_path, change, message):
    found = on_grid([0, 2])
    moved = dataclasses.replace(found.curves[0], parameters=found.curves[0].parameters | change)
    with pytest.raises(ParameterError, match=message):
        archive.write(tmp_path / "a.h5", dataclasses.replace(found, curves=(moved, found.curves[1])))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda group: group["level_count"].__setitem__((0, 0), 9), "a number of levels or a regime there is none of"),
        (lambda group: group.attrs.__setitem__("axes", "coupling"), "does not fit its axes"),
        (lambda group: group.attrs.__setitem__("axes", "coupling; nothing"), "holds no nothing"),
        (
            lambda group: group.__delitem__("word") if "word" in group else group.__delitem__("regime"),
            "holds no regime",
        ),
    ],
)
def test_damaged_grids(tmp_path, edit, message):
    archive.write(tmp_path / "a.h5", on_grid())
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        edit(file["square/pair_marginal"])
    with pytest.raises(ArchiveError, match=message):
        archive.read(tmp_path / "a.h5")


# report and picture


def test_report():
    words = report.grid(on_grid([0, 1, 4])).splitlines()
    assert words == [
        "     3 points along coupling 0.3, 0.4, 0.5",
        "     2 points along kind é, b, with sites 8, 16",
        "partial: 3 of 6 tasks are done",
        "     3 curves square/pair marginal: 3 undetermined, 1 with doubts: see isingflow show",
        "     3 curves square/coupling, wilson: 3 undetermined, 1 with doubts: see isingflow show",
    ]
    assert "coupling 0.3, kind b, sites 16, 5 levels" in report.contents(on_grid([1]))


def test_figure_has_a_panel_for_each_quantity_and_says_where_it_is():
    figure = figure_of(on_grid())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "(a) square, pair marginal",
        "(b) square, coupling, wilson",
    ]
    assert figure.get_suptitle() == "kind = b, sites = 16"
    assert [axes.get_ylabel().split("[")[1] for axes in figure.axes] == ["nats per site]"] * 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("$K$ = 0.3", "$K$ = 0.4", "$K$ = 0.5", "reference", "open: with doubts")
    ]


@pytest.mark.parametrize(("index", "panels"), [(3, [0]), (9, [1]), (2, [])])
def test_one_number_altered_is_seen(index, panels):
    """Points 1, 3 and 5 of the grid are drawn, those in the middle of the second axis."""
    found = on_grid()
    before = drawn(grid_figure(found))
    value = found.curves[index].value.copy()
    value[2] += 0.05
    curves = list(found.curves)
    curves[index] = dataclasses.replace(curves[index], value=value)
    after = drawn(grid_figure(dataclasses.replace(found, curves=tuple(curves))))
    assert [number for number, (a, b) in enumerate(zip(before, after, strict=True)) if not same(a, b)] == panels


def test_partial_and_empty_archives():
    assert len(figure_of(on_grid([0])).axes) == 2
    with pytest.raises(ParameterError, match="holds no curves"):
        grid_figure(Archive(grid=GRID))
