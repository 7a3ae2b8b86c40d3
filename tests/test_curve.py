"""Level curves: validation, distances, and the ways out of the package."""

import math
import sys

import numpy as np
import pytest
from conftest import curve
from matplotlib.figure import Figure

from isingflow.curve import SERIES, SUMMARY, LevelCurve, ScaleLine
from isingflow.errors import IsingflowError, ParameterError

FIELDS = {
    "system": "chain",
    "quantity": "coupling",
    "per": "site",
    "control": "coupling",
    "parameters": {"coupling": 0.8},
    "levels": [0, 1, 2],
    "length": [1, 2, 4],
    "value": [0.0, 0.1, 0.2],
}


def test_what_is_not_given_there_is_none_of():
    plain = LevelCurve(**FIELDS)
    assert all(getattr(plain, name).shape == (3,) and getattr(plain, name).dtype == np.float64 for name in SERIES)
    assert plain.levels.dtype == np.int64
    assert np.isnan([plain.exact, plain.reverse, plain.step]).all()
    assert not np.any([plain.error, plain.reverse_error, plain.step_error])
    assert np.isnan([getattr(plain, name) for name in SUMMARY]).all()
    assert (plain.family, plain.control_value, plain.regime) == ("chain/coupling", 0.8, "undetermined")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"system": "cube"}, "system must be one of 'chain', 'square', 'network', got 'cube'"),
        ({"regime": "saturated"}, "got 'saturated'; did you mean 'saturating'"),
        ({"reference": "known"}, "reference must be one of 'exact', 'mean field', 'mean field, 1/width', 'none'"),
        ({"levels": []}, r"levels must be a non-empty list, got shape \(0,\)"),
        ({"levels": 3}, r"levels must be a non-empty list, got shape \(\)"),
        ({"value": [0.0, 0.1]}, r"value must have 3 values, one a level, got shape \(2,\)"),
        ({"error": [[0.0, 0.1, 0.2]]}, r"error must have 3 values, one a level, got shape \(1, 3\)"),
        ({"control": "field"}, r"the control parameter 'field' is not among \['coupling'\]"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ParameterError, match=message):
        LevelCurve(**FIELDS | changes)


def test_a_curve_does_not_change_under_anybody():
    value, parameters = np.zeros(3), {"coupling": 0.8}
    one = LevelCurve(**FIELDS | {"value": value, "parameters": parameters, "flags": ["b", "a", "b"]})
    value[1] = parameters["coupling"] = 7.0
    assert (one.value[1], one.control_value, one.flags) == (0.0, 0.8, ("b", "a"))
    with pytest.raises(ValueError, match="read-only"):
        one.value[1] = 1.0


def test_distance_in_standard_errors():
    one = curve("chain", "x", 0.4, pulls=np.arange(6.0) - 2)
    np.testing.assert_allclose(one.distance(), [math.nan, -1, 0, 1, 2, 3], atol=1e-12)
    assert np.isnan(LevelCurve(**FIELDS, error=0.1).distance()).all()


def test_to_xarray():
    pytest.importorskip("xarray")
    one = curve("network", "x", 1.5, scale=3.0, flags=("a", "b"))
    data = one.to_xarray()
    for name in SERIES:
        np.testing.assert_array_equal(data[name], getattr(one, name))
        assert data[name].attrs["units"] == ("layer" if name == "length" else "nat")
    np.testing.assert_array_equal(data["level"], one.levels)
    assert float(data["weight_variance"]) == 1.5
    assert (data.attrs["scale"], data.attrs["flags"], data.attrs["system"]) == (3.0, "a, b", "network")


def test_to_xarray_without_xarray(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(IsingflowError, match=r"pip install 'isingflow\[xarray\]'"):
        LevelCurve(**FIELDS).to_xarray()


def test_plot():
    axes = Figure().subplots()
    line, points = curve("chain", "x", 0.4, pulls=1.0).plot(axes)
    assert line in axes.lines
    assert points in axes.containers
    (closed,) = LevelCurve(**FIELDS).plot(axes)
    assert closed.get_ydata().tolist() == [0.0, 0.1, 0.2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"system": "cube"}, "system must be one of"),
        ({"reference": "none"}, "reference must be one of 'exact', 'mean field', got 'none'"),
        ({"scale": [1.0]}, "a line needs as many scales as values"),
        ({"values": [[1.0, 2.0]], "scale": [[1.0, 2.0]]}, "a line needs as many scales as values"),
    ],
)
def test_lines_refused(changes, message):
    fields = {"system": "chain", "control": "coupling", "values": [1, 2], "scale": [1, 2], "critical": math.inf}
    ScaleLine(**fields)
    with pytest.raises(ParameterError, match=message):
        ScaleLine(**fields | changes)
