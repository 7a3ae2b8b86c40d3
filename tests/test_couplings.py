"""The exact first step against summed-out stars and an enumerated torus; the recursions' fixed points and limits."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import brentq

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


@pytest.mark.parametrize(("scheme", "fixed"), [("maris-kadanoff", 0.506981), ("migdal-kadanoff", 0.304689)])
def test_fixed_points(scheme, fixed):
    found = brentq(lambda k: couplings.flow(k, scheme=scheme, steps=1)[1, 0] - k, 0.2, 0.6, xtol=1e-15)
    assert found == pytest.approx(fixed, abs=5e-7)


def test_wilson_fixed_point():
    assert couplings.RECURSIONS["wilson"].step(1 / 3, 1 / 9) == pytest.approx((1 / 3, 1 / 9), rel=1e-15)
    # one relevant direction: from the critical coupling the flow passes by
    critical = brentq(lambda k: runs_away("wilson", k) - 0.5, 0.2, 0.6, xtol=1e-15)
    flow = couplings.flow(critical, scheme="wilson", steps=24)
    np.testing.assert_allclose(flow[-1], [1 / 3, 1 / 9], atol=1e-4)


def runs_away(scheme, coupling):
    return couplings.flow(coupling, scheme=scheme, steps=100)[-1, 0] == math.inf


@pytest.mark.parametrize(
    ("scheme", "critical"), [("maris-kadanoff", 0.506981), ("migdal-kadanoff", 0.304689), ("wilson", 0.392)]
)
def test_flows_part_at_the_fixed_point(scheme, critical):
    assert couplings.flow(critical * 0.99, scheme=scheme, steps=40)[-1, 0] < 1e-6
    assert runs_away(scheme, critical * 1.01)


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
