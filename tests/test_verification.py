"""Every packaged reference value, to the digits it is known to, and the samplers within five standard errors."""

import math

import pytest

from isingflow import verification

REFERENCES = verification.reference_values()


@pytest.mark.parametrize("name", REFERENCES["computed"])
def test_computed_references(name):
    assert verification.value_of(name) == pytest.approx(REFERENCES["computed"][name], rel=1e-8)


def test_every_check_passes():
    found = list(verification.checks())
    assert len(found) == len(REFERENCES["computed"]) + len(REFERENCES["printed"]) + 8
    assert [str(check) for check in found if not check.passed] == []


def test_a_wrong_value_fails():
    check = verification.Check("x", 1.0, 1.0 + 1e-7, 1e-8)
    assert not check.passed
    assert str(check).startswith("FAIL x")
    assert not verification.Check("x", math.nan, 1.0, 1e-8).passed
    with pytest.raises(KeyError):
        verification.value_of("no such thing")
