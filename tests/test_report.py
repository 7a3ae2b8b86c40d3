"""The archive as text: a line a point, distances of the right kind, doubts in sight."""

import dataclasses
import math

import numpy as np
import pytest
from conftest import curve

from isingflow import report
from isingflow.archive import Archive


def test_distances_are_the_pulls():
    sampled = curve("chain", "x", 0.4, pulls=np.array([9.0, -1.0, 2.0, 0.5, 0.0, 3.0]))
    np.testing.assert_allclose(report.distances(Archive((sampled,))), [-1, 2, 0.5, 0, 3], atol=1e-12)


def test_distances_leave_out_what_is_not_exact_or_has_no_error():
    mean_field = curve("network", "x", 1.5, pulls=1.0, reference="mean field", asymptote=1.0, asymptote_error=0.1)
    closed = curve("square", "y", 0.3, error=0.0, samples=0)
    unknown = curve("square", "z", 0.3, exact=math.nan, reference="none")
    assert report.distances(Archive((mean_field, closed, unknown))).shape == (0,)
    assert report.distances(Archive()).shape == (0,)


def test_a_shared_ending_counts_once():
    ending = {
        "scale": 2.0,
        "scale_error": 0.5,
        "scale_exact": 3.0,
        "asymptote": 1.1,
        "asymptote_error": 0.1,
        "asymptote_exact": 1.0,
    }
    curves = tuple(curve("chain", name, 0.4, levels=1, **ending) for name in ("x", "y"))
    np.testing.assert_allclose(sorted(report.distances(Archive(curves))), [-2, 1])
    other = curve("square", "x", 0.4, levels=1, **ending)
    assert len(report.distances(Archive((*curves, other)))) == 4
    critical = curve("square", "x", 0.4, levels=1, **ending | {"scale": math.inf})
    np.testing.assert_allclose(report.distances(Archive((critical,))), [1])


def test_table_has_a_line_for_every_sampled_point(by_hand):
    lines = report.table(by_hand).splitlines()
    sampled = [found for found in by_hand.curves if found.samples]
    assert len(sampled) < len(by_hand.curves)
    for found in sampled:
        start = f"{found.control_value:>16.7g}"
        for level in found.levels[1:]:
            assert any(line.startswith(f"{start} {level:>18d} ") for line in lines)
    points = [line for line in lines if line[:16].strip().replace(".", "").isdigit()]
    assert len(points) == sum(len(found.levels) - 1 for found in sampled)


def test_standard_errors_where_exact_and_percent_where_mean_field():
    exact = report.table(Archive((curve("chain", "x", 0.4, pulls=2.0, levels=2),)))
    assert "0.520(10)            0.5     +2.00 se" in exact
    assert "1 distances from exact values: root mean square 2.00, largest 2.00 standard errors" in exact
    assert "%" not in exact
    mean_field = report.table(Archive((curve("network", "x", 1.5, pulls=2.0, levels=2, reference="mean field"),)))
    assert "0.520(10)            0.5      +4.00 %" in mean_field
    assert "1 distances from mean field: median 4.00 %, largest 4.00 %" in mean_field
    assert " se" not in mean_field


def test_corrected_mean_field_says_so_and_its_scale_is_mean_field():
    tail = {"regime": "growing", "scale": 2.0, "scale_error": 0.5, "scale_exact": 2.5}
    one = curve("network", "x", 1.5, pulls=2.0, levels=2, reference="mean field, 1/width", **tail)
    assert report.distances(Archive((one,))).shape == (0,)
    words = report.table(Archive((one,)))
    assert "50 networks\nreference: mean field, 1/width\n" in words
    assert "0.520(10)            0.5      +4.00 %" in words
    assert "growing, scale 2.00(50) (mean field 2.5, -20.00 %)" in words
    conclusion = "mean field, 1/width: median 4.00 %, largest 4.00 %; root mean square 2.00 standard errors"
    assert f"1 distances from {conclusion}" in words
    both = report.table(Archive((one, curve("network", "y", 1.5, pulls=1.0, levels=2, reference="mean field"))))
    assert conclusion in both
    assert "1 distances from mean field: median 2.00 %" in both


def test_mean_field_of_nothing_known():
    unknown = curve("network", "three inputs", 1.5, reference="mean field", exact=math.nan)
    single = curve("network", "x", 1.5, reference="mean field", levels=1)
    zero = curve("network", "y", 1.5, reference="mean field", exact=0.0)
    words = report.table(Archive((unknown, single, zero)))
    assert "mean field:" not in words.splitlines()[-1]
    assert "nan" not in words


def test_endings_and_flags(by_hand):
    words = report.table(by_hand)
    assert "saturating, scale 2.00(50) (exact 3, -2.00 se), asymptote 1.010(20) (exact 1, +0.50 se)" in words
    assert "critical, scale" not in words
    assert "critical, effective exponent 0.250(10)" in words
    assert "undetermined [short run] [unseen symbol]" in words
    assert "maris-kadanoff" not in words  # a closed form, not a sampled curve
    assert "network/two inputs: D(p_0||p_n) in nats per neuron; by hand, 50 networks" in words


def test_model_and_range_of_a_fit(by_hand):
    told = dataclasses.replace(by_hand.curves[0], fit="power law of <s s'>, 15 points from 2 to 16", flags=("doubt",))
    words = report.contents(Archive((told, *by_hand.curves[1:])))
    assert "; fit: power law of <s s'>, 15 points from 2 to 16 [doubt]" in words
    assert words.count("fit:") == 1


def test_contents(by_hand):
    words = report.contents(by_hand)
    assert f"root_seed: {2**64 - 1}" in words
    assert "command" not in words
    assert words.count("levels: saturating") == 3
    assert "[short run] [unseen symbol]" in words
    assert "sites 64, field 0.5, kind Bézier" in words
    assert "scale of network against weight_variance: 2 mean field points" in words
    assert all(family in words for family in by_hand.families())


@pytest.mark.parametrize("archive", [Archive(), Archive(provenance={"version": "0"})])
def test_nothing(archive):
    assert report.table(archive)
    assert report.contents(archive) == "".join(f"{name:>14}: {value}" for name, value in archive.provenance.items())


def test_distances_do_not_depend_on_order(by_hand):
    turned = dataclasses.replace(by_hand, curves=by_hand.curves[::-1])
    np.testing.assert_array_equal(np.sort(report.distances(turned)), np.sort(report.distances(by_hand)))
