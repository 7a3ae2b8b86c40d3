"""The exact first step against summed-out stars and an enumerated torus; the recursions' fixed points and limits."""

import itertools
import math

import mpmath
import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.ising import couplings, square
from isingflow.ising.decimation import decimate, windows

COUPLINGS = [-2.0, -0.3, 1e-3, 0.2, 0.440686794, 1.0, 20.0]


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_first_step_sums_out_every_star(coupling):
    step = couplings.exact_first_step(coupling)
    for s in itertools.product([-1, 1], repeat=4):  # around the star
        exact = math.log(2 * math.cosh(coupling * sum(s)))
        # a new bond belongs to two stars, the other terms to one
        edges = sum(s[i - 1] * s[i] for i in range(4))
        found = (
            step.constant
            + step.nearest / 2 * edges
            + step.diagonal * (s[0] * s[2] + s[1] * s[3])
            + step.plaquette * math.prod(s)
        )
        assert found == pytest.approx(exact, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("coupling", [0.3, 0.6, -0.4])
def test_first_step_on_the_4x4_torus(coupling):
    kept = decimate(square.configurations(4))
    codes = (kept.reshape(-1, 8) > 0) @ (1 << np.arange(8))
    marginal = np.bincount(codes, square.boltzmann_probabilities(coupling, side=4))
    _, representatives = np.unique(codes, return_index=True)
    a, b, c, d = np.moveaxis(windows(kept[representatives], (2, 2)).astype(float), -1, 0)
    step = couplings.exact_first_step(coupling)
    terms = step.nearest * a * (b + c) + step.diagonal * (a * d + b * c) + step.plaquette * a * b * c * d
    law = np.exp(8 * step.constant + terms.sum(axis=1))
    np.testing.assert_allclose(law / law.sum(), marginal, rtol=1e-12)
    assert math.log(law.sum()) == pytest.approx(16 * square.log_partition(coupling, side=4), rel=1e-14)


FIXED = {"maris-kadanoff": (0.506981,), "wilson": (1 / 3, 1 / 9), "migdal-kadanoff": (0.304689,)}


@pytest.mark.parametrize("scheme", FIXED)
def test_fixed_points(scheme):
    found = couplings.fixed_point(scheme)
    assert found.couplings == pytest.approx(FIXED[scheme], abs=5e-7)
    assert couplings.RECURSIONS[scheme].step(*found.couplings) == pytest.approx(found.couplings, abs=1e-15)
    assert found.length**2 == pytest.approx(2 ** couplings.RECURSIONS[scheme].levels, rel=1e-15)
    assert found.length**found.thermal_exponent == pytest.approx(found.eigenvalues[0], rel=1e-14)
    assert found.nu == 1 / found.thermal_exponent


@pytest.mark.parametrize(("scheme", "factor"), [("maris-kadanoff", 3 / 8), ("migdal-kadanoff", 1 / 2)])
def test_fixed_points_to_12_digits(scheme, factor):
    with mpmath.workdps(30):
        k = mpmath.findroot(lambda k: factor * mpmath.log(mpmath.cosh(4 * k)) - k, 0.4)
        slope = 4 * factor * mpmath.tanh(4 * k)
    found = couplings.fixed_point(scheme)
    assert found.couplings == pytest.approx([float(k)], rel=1e-13)
    assert found.eigenvalues == pytest.approx([float(slope)], rel=1e-13)


def test_wilson_fixed_point():
    found = couplings.fixed_point("wilson")
    assert found.couplings == pytest.approx((1 / 3, 1 / 9), rel=1e-15)
    assert found.eigenvalues == pytest.approx([(2 + math.sqrt(10)) / 3, (2 - math.sqrt(10)) / 3], rel=1e-14)
    assert found.nu == pytest.approx(math.log(math.sqrt(2)) / math.log((2 + math.sqrt(10)) / 3), rel=1e-14)
    # one relevant direction: from the critical coupling the flow passes by
    flow = couplings.flow(couplings.critical_coupling("wilson"), scheme="wilson", steps=24)
    np.testing.assert_allclose(flow[-1], [1 / 3, 1 / 9], atol=1e-4)


@pytest.mark.parametrize("scheme", couplings.RECURSIONS)
def test_slopes_are_those_of_the_step(scheme):
    recursion = couplings.RECURSIONS[scheme]
    at = np.array([0.37, 0.12][: couplings.flow(0.3, scheme=scheme, steps=0).shape[1]])
    for column, way in enumerate(np.eye(len(at)) * 1e-6):
        slope = np.subtract(recursion.step(*(at + way)), recursion.step(*(at - way))) / 2e-6
        np.testing.assert_allclose(np.array(recursion.slopes(*at))[:, column], slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scheme", FIXED)
def test_flows_part_at_the_critical_coupling(scheme):
    critical = couplings.critical_coupling(scheme)
    for sign, end in ((-1, 0.0), (1, math.inf)):
        assert couplings.flow(critical * (1 + sign * 1e-14), scheme=scheme, steps=200)[-1, 0] == end
    if scheme != "wilson":
        assert critical == couplings.fixed_point(scheme).couplings[0]


def test_departure_is_the_eigenvalue():
    """Two flows part by the eigenvalue at every step: the exponent without the linearised step."""
    for scheme in FIXED:
        found = couplings.fixed_point(scheme)
        critical = couplings.critical_coupling(scheme)
        flows = [couplings.flow(critical + shift, scheme=scheme, steps=14)[:, 0] for shift in (-1e-7, 1e-7)]
        gap = flows[1] - flows[0]
        assert gap[14] / gap[13] == pytest.approx(found.eigenvalues[0], rel=1e-4)


@pytest.mark.parametrize("ask", [couplings.fixed_point, couplings.critical_coupling])
def test_truncation_says_that_it_has_no_fixed_point(ask):
    with pytest.raises(ParameterError, match=r"no fixed point but 0 and infinity.*'maris-kadanoff', 'wilson'"):
        ask("nearest-neighbour")
    with pytest.raises(ParameterError, match="did you mean 'wilson'"):
        ask("wilsn")


@pytest.mark.parametrize("coupling", [0.2, 0.5, 2.0, 100.0])
def test_truncation_has_no_fixed_point(coupling):
    flow = couplings.flow(coupling, scheme="nearest-neighbour", steps=2)[:, 0]
    assert (np.diff(flow) < 0).all()
    np.testing.assert_allclose(flow[1:], [math.log(math.cosh(4 * k)) / 4 for k in flow[:-1]], rtol=1e-11)


def test_weak_and_strong_couplings_keep_their_digits():
    assert couplings.exact_first_step(1e-9).nearest == pytest.approx(2e-18, rel=1e-14)
    assert couplings.exact_first_step(1e-4).plaquette == pytest.approx(-(10 / 3) * 1e-16, rel=1e-6)
    assert couplings.exact_first_step(100.0).nearest == pytest.approx(100 - math.log(2) / 4, rel=1e-15)
    assert couplings.exact_first_step(0.0) == (0, 0, 0, math.log(2))


@pytest.mark.parametrize("scheme", couplings.RECURSIONS)
def test_even_in_the_coupling(scheme):
    up, down = (couplings.flow(sign * 0.37, scheme=scheme, steps=5) for sign in (1, -1))
    np.testing.assert_array_equal(up[1:], down[1:])
    assert couplings.exact_first_step(0.37) == couplings.exact_first_step(-0.37)


@pytest.mark.parametrize(("scheme", "columns"), [("maris-kadanoff", 1), ("wilson", 2), ("migdal-kadanoff", 1)])
def test_runaway_flows_end_in_infinity(scheme, columns):
    flow = couplings.flow(0.9, scheme=scheme, steps=40)
    assert flow.shape == (41, columns)
    assert flow.dtype == np.float64
    finite = np.isfinite(flow).all(axis=1)
    assert finite[0]
    assert (np.diff(finite.astype(int)) <= 0).all()
    assert (np.abs(flow[finite]) <= 100).all()
    assert (flow[~finite] == math.inf).all()
    assert not finite[-1]


def test_no_steps():
    assert couplings.flow(0.3, scheme="wilson", steps=0).tolist() == [[0.3, 0.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: couplings.exact_first_step(math.nan), "coupling must be finite"),
        (lambda: couplings.exact_first_step(-101), r"must lie in \[-100, 100\]"),
        (lambda: couplings.flow(math.inf, scheme="wilson", steps=1), "coupling must be finite"),
        (lambda: couplings.flow(0.3, scheme="migdal-kadanof", steps=1), "did you mean 'migdal-kadanoff'"),
        (lambda: couplings.flow(0.3, scheme="wilson", steps=-1), "steps must be at least 0"),
        (lambda: couplings.flow(0.3, scheme="wilson", steps=1.5), "steps must be a whole number"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
