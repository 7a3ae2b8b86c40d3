"""Pictures: what is drawn is what the archive says, all of it; and drawing is all that plotting does."""

import dataclasses
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, chart, comparison, curve
from matplotlib.collections import LineCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from isingflow import archive
from isingflow.errors import ParameterError
from isingflow.plotting.compare import NEEDED, compare_figure
from isingflow.plotting.curves import draw_curve, draw_family
from isingflow.plotting.phases import phases_figure


def drawn(figure):
    """Everything drawn: a list of arrays for each panel."""
    found = []
    for axes in figure.axes:
        lines = [line.get_xydata() for line in axes.lines]
        bars = [
            path.vertices
            for collection in axes.collections
            for path in collection.get_paths()
            if isinstance(collection, LineCollection | ContourSet)
        ]
        steps = [np.r_[patch.get_data().values, patch.get_data().edges] for patch in axes.patches]
        found.append([np.asarray(item, dtype=float) for item in (*lines, *bars, *steps)])
    return found


def same(one, other):
    return len(one) == len(other) and all(
        a.shape == b.shape and np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True)
    )


def panels_changed(one, other):
    return "".join(letter for letter, a, b in zip("abcdefgh", drawn(one), drawn(other), strict=False) if not same(a, b))


def test_six_panels_with_titles_labels_and_units(by_hand):
    figure = compare_figure(by_hand)
    assert [axes.get_title(loc="left")[:3] for axes in figure.axes] == [f"({letter})" for letter in "abcdef"]
    for axes in figure.axes[:5]:
        assert re.search(r"\[nats per \w+\]", axes.get_ylabel())
    assert "[lattice constants, layers]" in figure.axes[5].get_ylabel()
    assert all(axes.get_xlabel() and axes.get_legend() for axes in figure.axes)


def test_same_archive_same_picture(by_hand, tmp_path):
    archive.write(tmp_path / "a.h5", by_hand)
    assert panels_changed(compare_figure(by_hand), compare_figure(archive.read(tmp_path / "a.h5"))) == ""


def altered(found, family, name):
    curves = list(found.curves)
    index = next(i for i, one in enumerate(curves) if one.family == family)
    value = getattr(curves[index], name)
    value = value * np.where(np.arange(value.size) == 2, 1.25, 1) if np.ndim(value) else value * 1.25
    curves[index] = dataclasses.replace(curves[index], **{name: value})
    return dataclasses.replace(found, curves=tuple(curves))


@pytest.mark.parametrize(
    ("family", "name", "panels"),
    [
        *[("chain/window marginal", name, "a") for name in ("value", "error", "exact", "asymptote_exact")],
        *[("square/pair marginal", name, "b") for name in ("value", "error", "exact")],
        *[("network/two inputs", name, "c") for name in ("value", "error", "exact")],
        ("square/coupling, maris-kadanoff", "value", "d"),
        *[("network/one input", name, "e") for name in ("value", "error", "exact")],
        *[("network/one input, weights", name, "e") for name in ("value", "error")],
        *[("chain/pair marginal", name, "f") for name in ("scale", "scale_error")],
        *[("square/row pair marginal", name, "f") for name in ("scale", "scale_error")],
    ],
)
def test_one_number_altered_is_seen(by_hand, family, name, panels):
    assert panels_changed(compare_figure(by_hand), compare_figure(altered(by_hand, family, name))) == panels


@pytest.mark.parametrize("reference", ["mean field", "mean field, 1/width"])
def test_network_lines_are_named(by_hand, reference):
    curves = [dataclasses.replace(one, reference=reference) for one in by_hand.curves if one.system == "network"]
    others = [one for one in by_hand.curves if one.system != "network"]
    figure = compare_figure(dataclasses.replace(by_hand, curves=(*others, *curves)))
    words = {
        "mean field": "mean field, width to infinity",
        "mean field, 1/width": "mean field and its 1/width correction",
    }
    for panel in (figure.axes[2], figure.axes[4]):
        assert panel.get_legend().get_texts()[-1].get_text() == words[reference]


def test_scale_lines_altered_are_seen(by_hand):
    for index, line in enumerate(by_hand.lines):
        lines = list(by_hand.lines)
        lines[index] = dataclasses.replace(line, scale=line.scale * 1.1)
        other = dataclasses.replace(by_hand, lines=tuple(lines))
        assert panels_changed(compare_figure(by_hand), compare_figure(other)) == "f"


def test_points_and_bars_are_the_numbers():
    one = curve("chain", "x", 0.4, pulls=1.0)
    axes = Figure().subplots()
    line, points = draw_curve(axes, one)
    np.testing.assert_array_equal(line.get_xydata(), np.transpose([one.levels, one.exact]))
    np.testing.assert_array_equal(points.lines[0].get_xydata(), np.transpose([one.levels, one.value]))
    bars = np.array(points.lines[2][0].get_segments())
    np.testing.assert_array_equal(bars[:, 0, 1], one.value - one.error)
    np.testing.assert_array_equal(bars[:, 1, 1], one.value + one.error)


def test_every_so_many_points_but_all_of_the_reference():
    one = curve("chain", "x", 0.4)
    line, points = draw_curve(Figure().subplots(), one, every=2)
    assert line.get_xdata().tolist() == [0, 1, 2, 3, 4, 5]
    assert points.lines[0].get_xdata().tolist() == [0, 2, 4]


def test_negative_and_missing_values_are_drawn_as_they_are():
    value = np.array([0.0, -0.01, np.nan, 0.02, np.inf, 0.03])
    axes = Figure().subplots()
    (points,) = draw_curve(axes, curve("chain", "x", 0.4, value=value, exact=np.nan))
    np.testing.assert_array_equal(points.lines[0].get_ydata(), value)


def test_more_curves_than_colours():
    curves = [curve("chain", "x", 0.1 * n) for n in range(1, 9)]
    axes = Figure().subplots()
    assert len(draw_family(axes, curves)) == 16
    assert len(axes.get_legend_handles_labels()[1]) == 8


@pytest.mark.parametrize("name", NEEDED)
def test_missing_family(by_hand, name):
    less = dataclasses.replace(by_hand, curves=tuple(c for c in by_hand.curves if c.family != name))
    with pytest.raises(ParameterError, match=f"the archive holds no comparison: {name} missing"):
        compare_figure(less)


@pytest.mark.parametrize("index", [1, 2])
def test_missing_scale_line(by_hand, index):
    less = dataclasses.replace(by_hand, lines=tuple(np.delete(np.array(by_hand.lines, object), index)))
    with pytest.raises(ParameterError, match=r"scale line of the (square|network) missing"):
        compare_figure(less)


def phase_panels(figure):
    """Panels by their letters; the colour bar has none, the corner of (d) is in (d)."""
    return {axes.get_title(loc="left")[1:2]: axes for axes in figure.axes if axes.get_title(loc="left")}


def seen(one, other):
    """Letters of the panels that differ, "i" for the inset of (d)."""
    found = ""
    for letter, axes in phase_panels(one).items():
        panels = [(axes, phase_panels(other)[letter])]
        panels += zip(axes.child_axes, panels[0][1].child_axes, strict=True)
        for name, pair in zip((letter, "i"), panels, strict=False):
            found += name * (not same(*(drawn(SimpleNamespace(axes=[axes]))[0] for axes in pair)))
    return found


def altered_record(found, field, name, index, value):
    """The archive with one number of the first record changed."""
    record, *others = getattr(found, field)
    given = getattr(record, name)
    if np.ndim(given):
        new = np.array(given)
        new[index] = value
        new = tuple(new) if isinstance(given, tuple) else new
    else:
        new = value
    return dataclasses.replace(found, **{field: (dataclasses.replace(record, **{name: new}), *others)})


def test_five_panels_with_titles_labels_and_units():
    figure = phases_figure(chart())
    panels = phase_panels(figure)
    assert list(panels) == list("abcde")
    assert (
        panels["a"].get_title(loc="left") == r"(a) tanh network, residual strength 0.25: depth scale $\xi_c$ [layers]"
    )
    assert all(axes.get_xlabel() and axes.get_ylabel() and axes.get_legend() for axes in panels.values())
    for letter in "ab":
        assert {text.get_text() for text in panels[letter].texts} >= {"ordered", "chaotic"}
        legend = [text.get_text() for text in panels[letter].get_legend().get_texts()]
        assert legend[:3] == ["edge of chaos", "line of uniformity", "their crossing"]
    words = [text.get_text() for text in panels["d"].get_legend().get_texts()]
    assert words[2:] == ["attracting", "repelling", "neutral"]


def test_same_phases_same_picture(tmp_path):
    archive.write(tmp_path / "a.h5", chart())
    assert seen(phases_figure(chart()), phases_figure(archive.read(tmp_path / "a.h5"))) == ""


@pytest.mark.parametrize(
    ("field", "name", "index", "value", "panels"),
    [
        ("diagrams", "xi_c", (1, 1), 13.0, "a"),
        ("diagrams", "variance", (1, 3), 1.2, "b"),
        ("diagrams", "correlation", (1, 3), 0.5, "b"),
        ("diagrams", "edge", 2, 1.7, "ab"),
        ("diagrams", "uniformity", 2, 1.7, "ab"),
        ("diagrams", "crossing", 0, 1.8, "ab"),
        ("diagrams", "weight_variances", 3, 2.1, "ab"),
        ("diagrams", "bias_variances", 3, 0.32, "ab"),
        ("maps", "y", 2, 0.77, "c"),
        ("maps", "fixed", 0, 0.2, "c"),
        ("maps", "weight_variance", None, 1.6, "b"),
        ("maps", "bias_variance", None, 0.06, "b"),
        ("histograms", "density", 1, 0.7, "e"),
        ("histograms", "density_error", 1, 0.03, "e"),
        ("histograms", "density_exact", 1, 0.7, "e"),
        ("histograms", "edges", 1, -0.4, "e"),
        ("histograms", "weight_variance", None, 1.6, "a"),
    ],
)
def test_one_number_of_the_phases_altered_is_seen(field, name, index, value, panels):
    other = altered_record(chart(), field, name, index, value)
    assert seen(phases_figure(chart()), phases_figure(other)) == panels


def test_correlations_altered_are_seen_in_both_their_pictures():
    found = chart()
    other = dataclasses.replace(found, maps=found.maps[2:])
    new = altered_record(other, "maps", "y", 2, 0.77)
    assert seen(phases_figure(other), phases_figure(new)) == "di"


def test_stability_is_seen():
    found = chart()
    other = altered_record(found, "maps", "stability", 0, "attracting")
    styles = [
        [line.get_fillstyle() for line in phase_panels(phases_figure(one))["c"].lines if line.get_marker() == "o"]
        for one in (found, other)
    ]
    assert styles == [["none", "full"], ["full", "full"]]


def test_phases_without_maps_histograms_and_lines():
    found = chart()
    grows = np.full_like(found.diagrams[0].variance, np.inf)
    lines = {"uniformity": np.full(6, np.nan), "crossing": (np.nan, np.nan), "variance": grows, "xi_c": grows}
    diagram = dataclasses.replace(found.diagrams[0], **lines)
    panels = phase_panels(phases_figure(archive.Archive(diagrams=(diagram,))))
    for letter in "ab":
        assert [text.get_text() for text in panels[letter].texts] == ["variance grows\nwithout bound"]
        assert [text.get_text() for text in panels[letter].get_legend().get_texts()] == ["edge of chaos"]
    for letter in "cde":
        assert panels[letter].texts[0].get_text().startswith("none in the archive")


def test_no_phases(by_hand):
    with pytest.raises(ParameterError, match="the archive holds no phase diagram"):
        phases_figure(by_hand)


def test_plotting_knows_nothing_that_computes_and_no_pyplot():
    code = f"""if True:
        import sys
        sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
        from isingflow.plotting.compare import compare_figure
        from isingflow.plotting.phases import phases_figure
        from conftest import chart, comparison
        compare_figure(comparison())
        phases_figure(chart())
        names = {{".".join(name.split(".")[:2]) for name in sys.modules}}
        print(sorted(names & {{"matplotlib.pyplot", "numba", "scipy", "sklearn", "isingflow.study", "isingflow.ising",
              "isingflow.network", "isingflow.divergence", "isingflow.flow"}}))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_quick_comparison_is_drawn(quick):
    figure = compare_figure(archive.read(quick[0]))
    assert all(len(panel) > 2 for panel in drawn(figure))
    assert len(figure.axes) == len(compare_figure(comparison()).axes)
