"""Studies: the numbers depend on the seed and the task alone; failures come through."""

import math

import numpy as np
import pytest
from conftest import TINY_TASKS, contents

from isingflow import study
from isingflow.errors import ParameterError
from isingflow.parameters import ChainParameters, EnsembleParameters, NetworkParameters, SquareParameters


def same(found, expected):
    return [contents(c) for c in found] == [contents(c) for c in expected]


def test_two_workers_give_the_same_bits_as_one(tiny_study):
    seen = []
    assert same(study.run(TINY_TASKS, seed=1, workers=2, progress=seen.append), tiny_study)
    assert set(seen) == set(TINY_TASKS)
    assert len(seen) == len(TINY_TASKS)


def test_another_seed_gives_other_samples_of_the_same_laws(tiny_study):
    for other, curve in zip(study.run(TINY_TASKS, seed=2), tiny_study, strict=True):
        assert other.family == curve.family
        np.testing.assert_array_equal(other.exact, curve.exact)
        assert np.array_equal(other.value, curve.value) == (curve.samples == 0)


def test_adding_and_reordering_tasks_moves_no_other(tiny_study):
    others = (ChainParameters(coupling=0.6, sites=64, steps=3, samples=20), *TINY_TASKS[::-1])
    found = study.run(others, seed=1)
    for one in tiny_study:
        (other,) = (c for c in found if (c.family, c.control_value) == (one.family, one.control_value))
        assert same([other], [one])
    assert len(found) == len(tiny_study) + 3


def test_progress_is_called_once_a_task():
    seen = []
    study.run(TINY_TASKS[:2], seed=1, progress=seen.append)
    assert sorted(task.coupling for task in seen) == [0.4, 0.8]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_tasks(workers):
    assert study.run([], seed=1, workers=workers) == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must be between 0 and 18446744073709551615, got -1"),
        ({"seed": 2**64}, "seed must be between 0 and"),
        ({"seed": 1.5}, "seed must be a whole number, got 1.5"),
        ({"seed": math.nan}, "seed must be a whole number, got nan"),
        ({"seed": 1, "workers": 0}, "workers must be at least 1, got 0"),
        ({"seed": 1, "workers": True}, "workers must be a whole number"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ParameterError, match=message):
        study.run(TINY_TASKS, **arguments)


def test_scale_lines_diverge_where_they_say():
    chain, square, network = study.scale_lines()
    assert (chain.critical, chain.reference) == (math.inf, "exact")
    assert np.isfinite(chain.scale).all()
    for line, at in ((square, math.asinh(1) / 2), (network, 1.760955)):
        assert line.critical == pytest.approx(at, abs=1e-6)
        np.testing.assert_array_equal(line.values[~np.isfinite(line.scale)], [line.critical])
        assert line.scale[np.isfinite(line.scale)].min() > 0


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("inputs", ["digits", "noise"])
def test_compare_tasks_are_what_was_promised(quick, inputs):
    tasks = study.compare_tasks(quick=quick, inputs=inputs)
    chains, squares, ensembles = (
        [task for task in tasks if isinstance(task, kind)]
        for kind in (ChainParameters, SquareParameters, EnsembleParameters)
    )
    assert [task.coupling for task in chains] == [0.4, 0.8, 1.2]
    assert [round(task.coupling, 4) for task in squares] == [0.3, 0.4, 0.4407, 0.46, 0.5]
    assert {task.source for task in ensembles} == {inputs}
    main = [task for task in ensembles if task.ensemble == "conditional" and not task.label]
    assert [task.network.weight_variance for task in main] == [1.5, 1.760955, 2.5]
    if not quick:
        assert {(task.steps, task.factor) for task in chains} == {(10, 2)}
        assert {(task.side, task.steps) for task in squares} == {(256, 8)}
        assert {(task.network.width, task.network.depth) for task in main} == {(512, 40)}
        assert min(task.networks for task in main) >= 500
    assert all(study.cost(task) > 0 for task in tasks)


def test_unknown_inputs():
    with pytest.raises(ParameterError, match="'digits', 'noise', got 'digit'; did you mean 'digits'"):
        study.compare_tasks(inputs="digit")


def test_noise_is_the_same_for_every_ensemble_of_a_seed(monkeypatch):
    seen = []
    monkeypatch.setattr(study, "propagate", lambda inputs, *_, **__: seen.append(inputs) or 1 / 0)
    for seed, weight in ((1, 1.5), (1, 2.5), (2, 1.5)):
        network = NetworkParameters(weight_variance=weight, bias_variance=0.05, width=8, depth=1)
        with pytest.raises(ZeroDivisionError):
            study.run([EnsembleParameters(network=network, networks=20, source="noise")], seed=seed)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])
