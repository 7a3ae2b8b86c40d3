"""Coupling flows beyond nearest neighbours: ladders against enumeration, windows against decimated lattices.

Statistical tests ask for 5 standard errors at fixed seeds: with 15 degrees of freedom (16 blocks) one in 6000 numbers
fails by chance with another seed.
"""

import itertools
import math

import numpy as np
import pytest
from conftest import contents
from conftest import curve as made_by_hand

from isingflow import archive, ising_studies, report, study
from isingflow.divergence.boltzmann import pooled
from isingflow.errors import ParameterError
from isingflow.flow import recursions, square_flow
from isingflow.flow.recursions import first_step, sampled_coupling_curve, truncated_curves
from isingflow.flow.square import sampled_curves
from isingflow.ising import couplings, square
from isingflow.parameters import SCHEMES, SquareParameters, TruncationParameters
from isingflow.plotting.truncation import truncation_figure

K_C = square.CRITICAL_COUPLING
COUPLINGS = (0.30, 0.40, K_C, 0.46, 0.50)


def transfer_log_partition(side, nearest, diagonal, plaquette):
    """``ln Z`` per site of a torus by the matrix between whole rows: all couplings act within two of them."""
    rows = 2 * ((np.arange(2**side)[:, None] >> np.arange(side)) & 1) - 1
    beside = np.roll(rows, -1, axis=1)
    bonds = rows * beside
    exponent = nearest * rows @ rows.T + plaquette * bonds @ bonds.T
    exponent = exponent + diagonal * (rows @ beside.T + beside @ rows.T)
    exponent = exponent + nearest / 2 * (bonds.sum(axis=1)[:, None] + bonds.sum(axis=1))
    values = np.linalg.eigvalsh(np.exp(exponent - exponent.max()))
    total = np.sum((values / values[-1]) ** side)
    return (exponent.max() + math.log(values[-1]) + math.log(total) / side) / side


def law(*three):
    """Probabilities of the 4x4 torus."""
    return square.boltzmann_probabilities(three[0], side=4, diagonal=three[1], plaquette=three[2])


def relative_entropy(p, q):
    return float(np.sum(p * np.log(p / q)))


def pulls(value, error, exact):
    """Distances in standard errors where there is an error."""
    known = (error > 0) & np.isfinite(exact)
    assert known.any()
    return (value - exact)[known] / error[known]


def test_transfer_matrix_is_kaufmans():
    assert transfer_log_partition(8, 0.4, 0, 0) == pytest.approx(square.log_partition(0.4, side=8), rel=1e-13)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("side", [4, 6, 8])
def test_torus_of_the_first_step(coupling, side):
    """What the shape of the torus leaves, beyond the scaled one of Kaufman, is of order ``side**-4``."""
    step = couplings.exact_first_step(coupling)
    exact = transfer_log_partition(side, *step[:3])
    assert abs(recursions._kept_log_partition(coupling, step, side) - exact) < recursions.REMAINDER / side**4
    plane = 2 * square.log_partition(coupling) - step.constant
    if coupling > 0.35:  # the shape matters
        assert abs(plane - exact) > 10 * recursions.REMAINDER / side**4


@pytest.fixture(scope="module")
def checks():
    return {coupling: first_step(coupling, side=12, samples=512, rng=11) for coupling in COUPLINGS}


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_first_step_by_the_free_energy(checks, coupling):
    check = checks[coupling]
    assert check.log_partition_error < 6e-4
    assert abs(check.log_partition - check.log_partition_exact) < 5 * check.log_partition_error + check.remainder
    both = math.hypot(check.divergence_error, check.divergence_by_constant_error)
    assert abs(check.divergence - check.divergence_by_constant) < 5 * both
    assert check.divergence > 5 * check.divergence_error


@pytest.mark.parametrize("wrong", ["plaquette", "constant"])
def test_a_wrong_first_step_is_noticed(monkeypatch, wrong):
    right = couplings.exact_first_step(0.4)
    changed = {"plaquette": -right.plaquette, "constant": right.constant + 0.004}[wrong]
    monkeypatch.setattr(couplings, "exact_first_step", lambda coupling: right._replace(**{wrong: changed}))
    check = first_step(0.4, side=12, samples=512, rng=11)
    assert abs(check.log_partition - check.log_partition_exact) > 5 * check.log_partition_error + check.remainder


@pytest.mark.parametrize("coupling", [0.3, 0.4, 0.5])
def test_first_step_on_the_enumerated_torus(coupling):
    check = first_step(coupling, side=4, samples=2048, rng=5)
    exact = transfer_log_partition(4, *check.couplings[:3])
    assert abs(check.log_partition - exact) < 5 * check.log_partition_error
    divergence = relative_entropy(law(coupling, 0, 0), law(*check.couplings[:3])) / 16
    assert abs(check.divergence - divergence) < 5 * check.divergence_error


@pytest.mark.parametrize("coupling", [0.35, 0.46])
def test_wilson_curve_on_the_enumerated_torus(coupling):
    curve = square_flow(coupling, quantity="coupling", scheme="wilson", steps=3, side=4, samples=2048, rng=2)
    flow = couplings.flow(coupling, scheme="wilson", steps=3)[: len(curve.levels)]
    laws = [law(*row, 0) for row in flow]
    exact = np.array([relative_entropy(laws[0], one) for one in laws]) / 16
    reverse = np.array([relative_entropy(one, laws[0]) for one in laws]) / 16
    step = np.array([relative_entropy(p, q) for p, q in itertools.pairwise(laws)] + [np.nan]) / 16
    for name, known in (("value", exact), ("reverse", reverse), ("step", step)):
        error = curve.error if name == "value" else getattr(curve, f"{name}_error")
        assert np.abs(pulls(getattr(curve, name), error, known)).max() < 5
    wrong = pulls(curve.value, curve.error, exact + 0.02)
    assert np.abs(wrong).max() > 5
    assert curve.flags == (("couplings-too-large",) if coupling == 0.46 else ())
    assert len(curve.levels) == (3 if coupling == 0.46 else 4)


def test_sampled_curve_where_it_is_exact():
    curve = sampled_coupling_curve(0.4, scheme="maris-kadanoff", steps=3, side=8, samples=1024, rng=4)
    for name in ("value", "reverse", "step"):
        error = curve.error if name == "value" else getattr(curve, f"{name}_error")
        exact = getattr(curve, "exact" if name == "value" else f"exact_{name}")
        assert np.abs(pulls(getattr(curve, name), error, exact)).max() < 5
    assert curve.quantity == "coupling, maris-kadanoff, torus"
    assert curve.reference == "exact"


def test_wilson_curve_rises_to_the_exact_entropy():
    curve = sampled_coupling_curve(0.3, scheme="wilson", steps=7, side=6, samples=256, rng=1)
    assert curve.regime == "saturating"
    assert curve.asymptote == square.relative_entropy_per_site(0.3, 0.0, side=6)
    assert abs(curve.value[-1] - curve.asymptote) < 5 * curve.error[-1]
    assert abs(curve.value[3] - curve.asymptote) > 5 * curve.error[3]
    assert curve.levels.tolist() == list(range(8))


def test_laws_between_neighbours_overlap():
    torus = recursions._Torus(8, 256, np.random.default_rng(1), 1)
    p, q = torus.statistics((0.4, 0.0, 0.0)), torus.statistics((0.0, 0.0, 0.0))
    between = torus.between(p, q)
    assert len(between) >= 3
    states = [p, *between, q]
    overlaps = [pooled(a, b).overlap for a, b in itertools.pairwise(states)]
    assert min(overlaps) > 0.2
    assert torus.between(p, p) == []


def test_ladder_curve_is_reproducible():
    first, again = (sampled_coupling_curve(0.3, scheme="wilson", steps=1, side=4, samples=128, rng=1) for _ in "ab")
    assert first.value.tobytes() == again.value.tobytes()
    assert first.error.tobytes() == again.error.tobytes()


@pytest.mark.parametrize("coupling", [0.4, K_C, 0.5])
def test_exact_first_step_has_the_true_windows(coupling):
    """Windows of lattices sampled at the exact couplings are those of decimated lattices, sampled apart."""
    true = sampled_curves(SquareParameters(coupling=coupling, side=16, samples=512, steps=1), 3, workers=1)[:2]
    made = truncated_curves(coupling, scheme="exact first step", side=16, samples=512, rng=7)
    truncated = truncated_curves(coupling, scheme="nearest-neighbour", steps=1, side=16, samples=512, rng=7)
    for one, other, wrong in zip(true, made, truncated, strict=True):
        difference = abs(one.value[1] - other.value[1]) / math.hypot(one.error[1], other.error[1])
        assert difference < 5
        assert abs(one.value[1] - wrong.value[1]) > 5 * math.hypot(one.error[1], wrong.error[1])
    assert made[0].levels.tolist() == [0, 1]
    assert [curve.quantity for curve in made] == ["pair marginal, exact first step", "2x2 marginal, exact first step"]


@pytest.mark.parametrize(
    ("scheme", "levels"),
    [("nearest-neighbour", [0, 1, 2, 3, 4]), ("maris-kadanoff", [0, 1, 2, 3, 4]), ("migdal-kadanoff", [0, 2, 4])],
)
def test_pairs_of_nearest_neighbour_couplings(scheme, levels):
    pairs, windows = truncated_curves(0.4, scheme=scheme, side=16, samples=512, rng=9)
    assert pairs.levels.tolist() == windows.levels.tolist() == levels
    assert np.abs(pulls(pairs.value, pairs.error, pairs.exact)).max() < 5
    assert np.abs(pulls(pairs.reverse, pairs.reverse_error, pairs.exact_reverse)).max() < 5
    assert np.abs(pulls(pairs.value, pairs.error, pairs.exact + 0.04)).max() > 5
    assert pairs.reference == "exact"
    assert windows.reference == "none"
    # two spins of a window of four tell no more than the four
    assert (windows.value[1:] + 5 * windows.error[1:] > pairs.value[1:]).all()


def test_wilson_windows_on_enumerated_tori():
    pairs, windows = truncated_curves(0.35, scheme="wilson", steps=2, side=4, samples=4096, rng=8)
    laws = []
    for side, (nearest, diagonal) in zip((4, 3, 2), couplings.flow(0.35, scheme="wilson", steps=2), strict=True):
        corner = (square.configurations(side)[:, :2, :2].reshape(-1, 4) > 0) @ [1, 2, 4, 8]
        weights = square.boltzmann_probabilities(nearest, side=side, diagonal=diagonal)
        laws.append(np.bincount(corner, weights))
    exact = np.array([relative_entropy(laws[0], one) for one in laws])
    assert np.abs(pulls(windows.value, windows.error, exact)).max() < 5
    assert np.abs(pulls(windows.value, windows.error, 1.6 * exact)).max() > 5
    both = [one.reshape(4, 4).sum(axis=0) for one in laws]
    exact = np.array([relative_entropy(both[0], one) for one in both])
    assert np.abs(pulls(pairs.value, pairs.error, exact)).max() < 5


def test_curves_end_before_couplings_too_large():
    for one in truncated_curves(0.5, scheme="wilson", side=8, samples=128, rng=1):
        assert one.levels.tolist() == [0, 1, 2]
        assert one.flags[-1] == "couplings-too-large"
    for one in truncated_curves(0.9, scheme="wilson", side=8, samples=20, rng=1):
        assert one.levels.tolist() == [0]
        assert one.value.tolist() == [0.0]
    one = sampled_coupling_curve(0.9, scheme="wilson", side=4, samples=128, rng=1)
    assert (one.levels.tolist(), one.regime, one.flags) == ([0], "undetermined", ("couplings-too-large",))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampled_coupling_curve(1.01, scheme="wilson", rng=1), r"coupling must lie in \(0, 1\]"),
        (lambda: sampled_coupling_curve(0.3, scheme="wilson", samples=127, rng=1), "samples must be at least 128"),
        (lambda: sampled_coupling_curve(0.3, scheme="wilson", side=1, rng=1), "side must be at least 2"),
        (lambda: sampled_coupling_curve(0.3, scheme="wilsn", rng=1), "did you mean 'wilson'"),
        (lambda: square_flow(0.3, quantity="coupling", scheme="wilson"), "rng"),
        (lambda: square_flow(0.3, quantity="coupling", scheme="maris-kadanoff", side=8), "nothing is sampled"),
        (lambda: first_step(0.3, side=3, samples=128, rng=1), "side must be at least 4"),
        (lambda: first_step(-0.3, side=4, samples=128, rng=1), "coupling must be greater than 0"),
        (lambda: truncated_curves(0.3, scheme="exact", rng=1), "scheme must be one of"),
        (lambda: truncated_curves(0.3, scheme="wilson", side=7, rng=1), "side must be at least 8"),
        (lambda: truncated_curves(0.3, scheme="wilson", samples=19, rng=1), "samples must be at least 20"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


@pytest.fixture(scope="module")
def truncation():
    """A study of truncation in a second, as `isingflow.ising_studies.truncation` makes it."""
    lattice = {"coupling": 0.4, "side": 8, "samples": 64, "steps": 2}
    return (SquareParameters(**lattice), *(TruncationParameters(scheme=scheme, **lattice) for scheme in SCHEMES))


def test_study_of_truncation(monkeypatch, tmp_path, truncation):
    monkeypatch.setattr(ising_studies, "truncation_tasks", lambda *, quick: truncation)
    made = ising_studies.truncation(seed=3)
    assert len(made.curves) == 2 * (1 + len(SCHEMES))
    again = study.run(truncation[2:3], seed=3)
    assert [contents(one) for one in made.curves[4:6]] == [contents(one) for one in again]
    archive.write(tmp_path / "truncation.h5", made)
    read = archive.read(tmp_path / "truncation.h5")
    assert sorted(one.family for one in read.curves) == sorted(one.family for one in made.curves)
    table = report.truncation(read)
    points = [line for line in table.splitlines() if line.strip().startswith("0.4 ")]
    assert len(points) == 2 * (3 * 2 + 1 + 1)  # three recursions of two levels, one of one, the exact step
    assert truncation_figure(read).axes[0].get_title(loc="left") == "(a) $K = 0.4$"


def test_tasks_of_truncation():
    for quick in (True, False):
        tasks = ising_studies.truncation_tasks(quick=quick)
        assert len(tasks) == 5 * (1 + len(SCHEMES))
        assert {task.coupling for task in tasks} == set(COUPLINGS)
        assert all(study.cost(task) > 0 for task in tasks)


def by_hand():
    names = ("pair marginal", "2x2 marginal")
    true = [made_by_hand("square", name, at, levels=5) for name in names for at in (0.3, 0.4)]
    tried = [
        made_by_hand("square", f"{name}, wilson", at, levels=3, pulls=at * 10) for name in names for at in (0.3, 0.4)
    ]
    return true + tried


def test_table_says_the_difference_and_its_error():
    lines = report.truncation(archive.Archive(tuple(by_hand()))).splitlines()
    # 2/5 by hand, and 2/3 with four standard errors of 0.01
    assert "       0.4      pair wilson             2      0.400(10)      0.707(10)      0.307(14)" in lines
    assert sum("wilson" in line for line in lines) == 2 * 2 * 2


def test_figure_draws_what_the_archive_says():
    def lines(figure, panel):
        return [line.get_ydata()[:4].tolist() for line in figure.axes[panel].lines if len(line.get_ydata()) > 1]

    curves = by_hand()
    figure = truncation_figure(archive.Archive(tuple(curves)))
    assert curves[0].value[1:].tolist() in lines(figure, 0)
    assert curves[5].value[1:].tolist() in lines(figure, 1)
    assert curves[7].value[1:].tolist() in lines(figure, 3)
    curves[5] = made_by_hand("square", "pair marginal, wilson", 0.4, levels=3, pulls=7.0)
    changed = truncation_figure(archive.Archive(tuple(curves)))
    assert [lines(figure, panel) == lines(changed, panel) for panel in range(4)] == [True, False, True, True]


def test_figure_of_another_study():
    with pytest.raises(ParameterError, match="no study of truncation: 2x2 marginal missing"):
        truncation_figure(archive.Archive((made_by_hand("square", "pair marginal", 0.3),)))
