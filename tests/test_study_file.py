"""Study files: what they mean, and one line for each of a thousand that mean nothing."""

import json
import math
import random
import tomllib

import pytest
from conftest import ROOT

from isingflow import cli
from isingflow.errors import ParameterError
from isingflow.parameters import ChainParameters, EnsembleParameters, NetworkParameters
from isingflow.study_file import MOST_TASKS, SYSTEMS, Study, parameter_names
from studies import toml

SQUARE = {
    "system": "square",
    "parameters": {"samples": 40, "steps": 2},
    "grid": {"coupling": [0.3, 0.4], "side": [8, 16]},
}


# what they mean


def test_tasks_of_a_grid_with_repeats():
    study = Study.of(SQUARE | {"repeats": 2, "seed": 7})
    assert len(study) == 8
    tasks = [study.task(number) for number in range(8)]
    assert [(t.parameters.coupling, t.parameters.side, t.repeat) for t in tasks] == [
        (coupling, side, repeat) for coupling in (0.3, 0.4) for side in (8, 16) for repeat in (0, 1)
    ]
    assert {task.seed for task in tasks} == {7}
    assert len({task.key for task in tasks}) == 8
    assert tasks[0].estimators == ("coupling", "row pair marginal", "pair marginal", "2x2 marginal")


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ([0.3, 0.4], (0.3, 0.4)),
        ({"from": 0.3, "to": 0.5, "step": 0.05}, (0.3, 0.35, 0.4, 0.45, 0.5)),
        ({"from": 0.3, "to": 0.49, "step": 0.1}, (0.3, 0.4)),
        ({"from": 0.1, "to": 0.7, "points": 4}, (0.1, 0.3, 0.5, 0.7)),
        ({"from": 0.01, "to": 1, "points": 3, "spacing": "log"}, (0.01, 0.1, 1.0)),
        ({"from": 1, "to": 3, "step": 1}, (1, 2, 3)),
    ],
)
def test_lists_and_ranges(given, values):
    (axis,) = Study.of({"system": "square", "grid": {"coupling": given}}).grid.axes
    assert axis.columns == (values,)
    assert [type(value) for value in axis.columns[0]] == [type(value) for value in values]


def test_zipped_parameters_are_one_axis():
    study = Study.of(
        {"system": "square", "grid": {"coupling": [0.3, 0.4]}, "zipped": [{"side": [16, 32], "steps": [4, 6]}]}
    )
    assert [axis.names for axis in study.grid.axes] == [("coupling",), ("side", "steps")]
    found = [study.parameters(point) for point in range(4)]
    assert [(p.coupling, p.side, p.steps) for p in found] == [(0.3, 16, 4), (0.3, 32, 6), (0.4, 16, 4), (0.4, 32, 6)]


def test_networks_are_given_flat():
    said = {"weight_variance": 1.5, "bias_variance": 0.05, "depth": 3, "width": [8, 6, 4, 2], "networks": 20}
    study = Study.of({"system": "network", "parameters": said, "estimators": ["two inputs"]})
    law = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=(8, 6, 4, 2))
    assert study.task(0).parameters == EnsembleParameters(network=law, networks=20, followed=(2,))
    assert "label" not in parameter_names("network")


def test_a_key_says_all_that_a_result_depends_on():
    def key(**changes):
        return Study.of(SQUARE | changes).task(0).key

    assert key() == key(output="other.h5", repeats=3)
    assert key() == Study.of(SQUARE, "other name").task(0).key
    others = [
        key(seed=2),
        key(estimators=["coupling"]),
        key(grid={"coupling": [0.31], "side": [8]}),
        key(grid={"coupling": [0.3], "side": [16]}),
        Study.of(SQUARE | {"repeats": 2}).task(1).key,
    ]
    assert len({key(), *others}) == 6
    # of archives that exist: a change would throw finished work away
    one = Study.of({"system": "chain", "parameters": {"coupling": 0.5}}).task(0)
    assert one.parameters == ChainParameters(coupling=0.5)
    assert one.key == "e1118aa8643685cc25e8ef037f526f3fe239f8ee36377a374ee782499ccafbb0"


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.toml")), ids=lambda path: path.stem)
def test_studies_that_come_along(path):
    study = Study.read(path)
    assert study.output.name == f"{study.name}.h5"
    assert len(study) >= 5
    assert tomllib.loads(path.read_text())["system"] == study.system


def test_says_what_it_is():
    assert json.loads(Study.of(SQUARE).says())["axes"] == [{"coupling": [0.3, 0.4]}, {"side": [8, 16]}]


# changes on the command line


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "square.toml"
    path.write_text(toml(SQUARE))
    return path


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("samples=60", lambda s: s.fixed["samples"] == 60),
        ("parameters.samples=60", lambda s: s.fixed["samples"] == 60),
        ("side=16", lambda s: s.fixed["side"] == 16 and [a.name for a in s.grid.axes] == ["coupling"]),
        ("side=[4, 8, 16]", lambda s: s.grid.axes[1].columns == ((4, 8, 16),)),
        ("grid.samples=[40, 80]", lambda s: [a.name for a in s.grid.axes] == ["coupling", "side", "samples"]),
        ("coupling={from = 0.1, to = 0.3, step = 0.1}", lambda s: s.grid.axes[-1].columns == ((0.1, 0.2, 0.3),)),
        ("algorithm=wolff", lambda s: s.fixed["algorithm"] == "wolff"),
        ('algorithm="wolff"', lambda s: s.fixed["algorithm"] == "wolff"),
        ("seed=9", lambda s: s.seed == 9),
        (" repeats = 3 ", lambda s: s.repeats == 3),
        ("output=other.h5", lambda s: s.output.name == "other.h5"),
        ('estimators=["coupling"]', lambda s: s.estimators == ("coupling",)),
    ],
)
def test_changes(file, change, what):
    assert what(Study.read(file, [change]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("samples", "a change must be KEY=VALUE, such as side=64, got 'samples'"),
        ("samples=", "a change must be KEY=VALUE"),
        ("sample=60", "got 'sample'; did you mean 'samples'"),
        ("parameter.samples=60", "the table of a change must be one of 'parameters', 'grid', got 'parameter'"),
        ("a.b.c=1", "the table of a change"),
        ("samples=many", "samples must be a whole number, got 'many'"),
        ("seed=-1", "seed must be between 0 and"),
    ],
)
def test_changes_that_mean_nothing(file, change, message):
    with pytest.raises(ParameterError, match="square.toml: .*" + message):
        Study.read(file, [change])


# what means nothing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "system is missing: one of chain, square"),
        ("system = 3", "system must be one of"),
        ('sytem = "square"', "a key of the study must be one of .* got 'sytem'; did you mean 'system'"),
        ('system = "square"\n', "coupling is missing: give it in .parameters. or .grid."),
        ('system = "square"\ngrid = [1]', "grid must be a table"),
        ('system = "square"\nparameters = 1', "parameters must be a table"),
        ('system = "square"\nzipped = {side = [1]}', "zipped must be tables"),
        ('system = "square"\n[parameters]\ncoupling = [0.3]', "parameters.coupling .*lists belong in .grid."),
        ('system = "square"\n[grid]\ncoupling = 0.3', "grid.coupling must be a list, or a range"),
        ('system = "square"\n[grid]\ncoupling = []', "grid.coupling must list at least one value"),
        ('system = "square"\n[grid]\ncoupling = [0.3, 0.4, 0.3]', "grid.coupling lists 0.3 twice"),
        ('system = "square"\n[grid]\ncoupling = [0.3, "a"]', "grid.coupling must list either numbers or texts"),
        ('system = "square"\n[grid]\ncoupling = [0.3, nan]', "grid.coupling must be finite, got nan"),
        ('system = "square"\n[grid]\ncoupling = [0.3, true]', "grid.coupling must be a number or a text, got True"),
        ('system = "square"\n[grid]\ncoupling = {from = 1, to = 2}', "needs either 'step' or 'points'"),
        ('system = "square"\n[grid]\ncoupling = {from = 1, step = 2}', "needs 'to'"),
        ('system = "square"\n[grid]\ncoupling = {from = 2, to = 1, step = 1}', "must rise"),
        ('system = "square"\n[grid]\ncoupling = {form = 1, to = 2, step = 1}', "got 'form'; did you mean 'from'"),
        ('system = "square"\n[grid]\ncoupling = {from = 0, to = 1, step = 1e-9}', "coupling.step makes more than"),
        ('system = "square"\n[grid]\ncoupling = {from = 0, to = 1, points = 3, spacing = "log"}', "begin above 0"),
        ('system = "square"\n[grid]\ncoupling = {from = 1, to = 1.0000000000001, points = 9}', "equal to 12 digits"),
        ('system = "square"\n[parameters]\ncoupling = 1\n[grid]\ncoupling = [1]', "coupling is given twice"),
        (
            'system = "square"\n[grid]\ncoupling = [0.3]\nside = [8, 9]',
            "side divisible by 16, .*at coupling = 0.3, side",
        ),
        ('system = "square"\n[[zipped]]\ncoupling = [0.3]\nside = [8, 9]', "of one length: coupling has 1, side has 2"),
        ('system = "square"\n[[zipped]]\ncoupling = [0.3, 0.3]', "lists {'coupling': 0.3} twice"),
        ('system = "square"\nrepeats = 0\n', "repeats must be at least 1"),
        ('system = "square"\nestimators = ["pair"]\n', "estimators must be one of .* got 'pair'"),
        ('system = "square"\nestimators = []\n', "estimators must be a list of"),
        ('system = "square"\noutput = 3\n', "output must be the name of a file"),
        ('system = "square"\noutput = "x.png"\n', "output must end in .h5"),
        ('system = "square"\n[parameters]\nside = = 3', "no TOML: Invalid value, at or after line 3: side = = 3"),
        ('system = "square', "no TOML: .*, at or after line 1: system = .square"),
        ("a = " + "[" * 5000, "no TOML"),
        (f"a = 1{'0' * 5000}", "no TOML|a key of the study"),
    ],
)
def test_refusals(tmp_path, text, message):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ParameterError, match=message) as caught:
        Study.read(tmp_path / "x.toml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_too_many_tasks():
    axis = {"from": 0.001, "to": 0.9, "points": 2000}
    with pytest.raises(ParameterError, match=f"make 4000000 tasks, more than {MOST_TASKS}"):
        Study.of({"system": "chain", "grid": {"coupling": axis, "field": axis}})


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot read the study .*: No such file"):
        Study.read(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_bytes(b"system = '\xff'")
    with pytest.raises(ParameterError, match="it is no text in UTF-8"):
        Study.read(tmp_path / "x.toml")


# a thousand of them, made by rule

GOOD = {
    "chain": {"coupling": 0.4, "field": 0.1, "factor": 2, "steps": 3, "sites": 64, "samples": 20, "window": 3},
    "square": {"coupling": 0.3, "side": 8, "samples": 40, "steps": 2, "algorithm": "wolff"},
    "truncation": {"coupling": 0.3, "scheme": "wilson", "side": 16, "samples": 40, "steps": 2},
    "network": {
        "weight_variance": 1.5,
        "bias_variance": 0.05,
        "depth": 3,
        "width": 8,
        "activation": "tanh",
        "residual": 0.5,
        "networks": 20,
        "ensemble": "weights",
        "source": "noise",
    },
    "published": {
        "weight_variance": 1.5,
        "bias_variance": 0.05,
        "depth": 3,
        "width": 8,
        "activation": "erf",
        "residual": 0.5,
        "networks": 2,
        "samples": 10,
        "variance": "layer",
        "source": "digits",
    },
}
"""Every parameter of every system but what is left to its default."""

WORDS = {"algorithm", "scheme", "activation", "ensemble", "source", "variance"}
WRONG = [-1, -0.5, 10**19, 1e300, math.inf, -math.inf, math.nan, True, "", "seven", {"a": 1}, [1.5], [[1]], []]
"""Values that no parameter may have."""

WRONG_AT_THE_TOP = {
    "seed": [-1, "a", 2**64, 0.5],
    "repeats": [0, [2], "many"],
    "output": [1, "x.txt", ""],
    "estimators": ["all", ["none"], []],
    "system": ["q", 1, []],
    "parameters": [3, "x", []],
    "grid": [3, "x", []],
    "zipped": [1, [1], "x"],
    "sead": [1],
    "outputs": ["x.h5"],
}
WRONG_IN_RANGES = [{"from": 9, "to": 1}, {"step": 0}, {"step": -1}, {"points": 3}, {"stop": 3}, {"to": math.inf}]

OPTIONAL = {"field", "factor", "steps", "sites", "samples", "window", "side", "algorithm", "activation", "residual"}
OPTIONAL |= {"ensemble", "source", "variance"}


def misspelt(name, rng):
    place = rng.randrange(len(name))
    return rng.choice([name[:place] + name[place + 1 :], name[:place] + "q" + name[place:], name + "s", name.upper()])


def malformed(rng):
    """A study file with one mistake, and the key that the message must name."""
    system = rng.choice(sorted(GOOD))
    parameters = dict(GOOD[system])
    name = rng.choice(sorted(parameters))
    said = {"system": system, "parameters": parameters}
    kind = rng.choice(["value", "value", "value", "axis", "axis", "key", "missing", "top", "syntax", "range", "twice"])
    if kind == "value":
        value = rng.choice(WRONG + ([0.25] if name not in WORDS and isinstance(parameters[name], int) else []))
        if name in ("field", "residual") and value in (-0.5, -1) and value is not True:
            value = "none"
        parameters[name] = value
    elif kind == "axis":
        said["grid"] = {name: rng.choice([[], 3, "x", [parameters.pop(name)] * 2, [math.nan], [True], [[1, 2]], [{}]])}
    elif kind == "key":
        wrong = misspelt(name, rng)
        parameters[wrong] = parameters.pop(name)
        name = wrong
    elif kind == "missing":
        optional = OPTIONAL - ({"samples"} if system == "published" else set())
        name = rng.choice(sorted(parameters.keys() - optional))
        del parameters[name]
    elif kind == "top":
        name = rng.choice(sorted(WRONG_AT_THE_TOP))
        value = rng.choice(WRONG_AT_THE_TOP[name])
        said[name] = value
    elif kind == "range":
        del parameters[name]
        said["grid"] = {name: {"from": 1, "to": 9, "step": 2} | rng.choice(WRONG_IN_RANGES)}
    elif kind == "twice":
        said["grid"] = {name: [parameters[name]]}
    text = written(said)
    if kind == "syntax":
        broken = name + rng.choice([" = ", " 3", " = 3 4", " = 'x", " = [1, 2", " = 01"])
        text = text.replace(next(line for line in text.splitlines() if line.startswith(f"{name} = ")), broken)
    return text, name


def written(said):
    def value(one):
        if isinstance(one, dict):
            return "{" + ", ".join(f"{key} = {value(inner)}" for key, inner in one.items()) + "}"
        if isinstance(one, list):
            return "[" + ", ".join(map(value, one)) + "]"
        return "true" if one is True else repr(one) if isinstance(one, float) else json.dumps(one)

    flat = [f"{key} = {value(one)}" for key, one in said.items() if not isinstance(one, dict)]
    tables = [
        "\n".join([f"[{key}]", *(f"{name} = {value(inner)}" for name, inner in one.items())])
        for key, one in said.items()
        if isinstance(one, dict)
    ]
    return "\n".join([*flat, *tables, ""])


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_the_good_ones_are_good(tmp_path, system):
    (tmp_path / "x.toml").write_text(written({"system": system, "parameters": GOOD[system]}))
    assert set(GOOD[system]) == set(parameter_names(system))
    assert len(Study.read(tmp_path / "x.toml")) == 1


def test_a_thousand_malformed_studies_get_one_line_with_the_key(tmp_path, capsys):
    rng, path, seen = random.Random(1), tmp_path / "x.toml", set()
    while len(seen) < 1000:
        text, name = malformed(rng)
        if text in seen:
            continue
        seen.add(text)
        path.write_text(text)
        code = cli.main(["run", str(path), "-o", str(tmp_path / "x.h5"), "--executor", "serial", "-q"])
        output, errors = capsys.readouterr()
        assert (code, output) == (2, ""), text
        assert errors.count("\n") == 1, text
        assert name in errors.removeprefix(f"isingflow: {path}: "), (errors, text)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.toml"]
