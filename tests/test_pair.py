"""The relative entropy of two spins and its inverse, against the four-state formula and small-change limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isingflow.errors import ParameterError
from isingflow.ising.pair import correlation_from_relative_entropy, relative_entropy

law = settings(deadline=None, derandomize=True, max_examples=100)
inside = st.floats(-0.999, 0.999)


@given(p=inside, q=inside)
@law
def test_four_states(p, q):
    ours, theirs = (np.array([1 + c, 1 - c, 1 - c, 1 + c]) / 4 for c in (p, q))
    found = relative_entropy(p, q)
    assert found == pytest.approx(ours @ np.log(ours / theirs), rel=1e-13, abs=1e-14)
    assert found >= 0
    assert found == pytest.approx(relative_entropy(-p, -q), rel=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.9])
@pytest.mark.parametrize("change", [1e-5, -1e-6])
def test_small_changes_keep_their_digits(correlation, change):
    there = correlation + change
    change = there - correlation  # as it is stored
    # curvature and its slope
    second, third = 1 / (1 - correlation**2), 2 * correlation / (1 - correlation**2) ** 2
    expected = second * change**2 / 2 + 2 * third * change**3 / 6
    assert relative_entropy(correlation, there) == pytest.approx(expected, rel=1e-8, abs=0)
    assert relative_entropy(correlation, correlation) == 0


def test_certain_pairs():
    assert relative_entropy(1.0, 0.5) == pytest.approx(math.log(1 / 0.75), rel=1e-14)
    assert relative_entropy(-1.0, 0.5) == pytest.approx(math.log(1 / 0.25), rel=1e-14)
    assert relative_entropy(0.5, 1.0) == math.inf
    assert relative_entropy(0.5, -1.0) == math.inf
    assert relative_entropy(1.0, 1.0) == 0
    assert relative_entropy(1.0, -1.0) == math.inf
    nearly = math.nextafter(-1.0, 0.0)
    assert relative_entropy(1.0, nearly) == pytest.approx(math.log(2 / (1 + nearly)), rel=1e-14)


@given(p=st.floats(0, 0.999), q=inside)
@law
def test_inverse(p, q):
    low = min(p, q)
    # near equality a square root limits what the value knows of the correlation
    tolerance = 1e-14 / max(p - low, 1e-7)
    assert correlation_from_relative_entropy(relative_entropy(p, low), p) == pytest.approx(low, abs=tolerance)


def test_ends_of_the_inverse():
    for correlation in np.linspace(0, 0.99, 34):
        assert correlation_from_relative_entropy(0.0, correlation) == correlation
    assert correlation_from_relative_entropy(15.0, 0.0) == pytest.approx(-1.0, abs=1e-12)
    assert -1 <= correlation_from_relative_entropy(29.0, 0.9999) < -0.999
    assert correlation_from_relative_entropy(0.001, math.nextafter(1.0, 0.0)) == pytest.approx(
        2 * math.exp(-0.001) - 1, abs=1e-12
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relative_entropy(math.nan, 0.1), "correlation must be finite"),
        (lambda: relative_entropy(0.1, 1.1), r"other must lie in \[-1, 1\], got 1.1"),
        (lambda: correlation_from_relative_entropy(-0.1, 0.5), "value must lie in"),
        (lambda: correlation_from_relative_entropy(31.0, 0.5), "value must lie in"),
        (lambda: correlation_from_relative_entropy(math.nan, 0.5), "value must be finite"),
        (lambda: correlation_from_relative_entropy(0.1, 1.0), "correlation must lie in"),
        (lambda: correlation_from_relative_entropy(0.1, -0.1), "correlation must lie in"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
