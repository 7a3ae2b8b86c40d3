"""The command line: results on standard output, one line for an error, and nothing half-written whatever happens."""

import inspect
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, TINY_COMMAND, TINY_TASKS, command, contents, finish
from matplotlib.figure import Figure

from isingflow import archive, cli, report, study, verification

HEAVY = {"numba", "h5py", "matplotlib", "sklearn", "torch", "scipy"}


@pytest.fixture
def here(tmp_path, monkeypatch, written):
    """A working directory with an archive, one of no comparison, and files that are none."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(written, "good.h5")
    archive.write("empty.h5", archive.Archive())
    whole = (tmp_path / "good.h5").read_bytes()
    (tmp_path / "torn.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.h5").write_text("K, D\n")
    for name in ("old.h5", "old2.png", "old3.pdf"):
        (tmp_path / name).write_text("old")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.fixture
def tiny(monkeypatch):
    """Let ``compare`` compare the tiny tasks, and save no real pictures."""
    monkeypatch.setattr(study, "compare_tasks", lambda **_: TINY_TASKS)
    monkeypatch.setattr(Figure, "savefig", lambda _, path: path.write_bytes(b"picture"))


def snapshot(folder):
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


def one_line(captured):
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("isingflow")
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "arguments are required: COMMAND"),
        ("compute", "invalid choice: 'compute'"),
        ("compare --nope", "unrecognized arguments: --nope"),
        ("compare extra", "unrecognized arguments: extra"),
        ("show good.h5 --nope", "unrecognized arguments: --nope"),
        ("show", "required: FILE"),
        ("compare --seed nan", "argument --seed: invalid int value: 'nan'"),
        ("compare --seed 1.5", "invalid int value"),
        ("compare --seed", "expected one argument"),
        ("compare --seed -1", "seed must be between 0 and 18446744073709551615, got -1"),
        (f"compare --seed {2**64}", "seed must be between 0 and 18446744073709551615"),
        ("compare --workers 0", "workers must be at least 1, got 0"),
        ("compare --workers -2", "workers must be at least 1, got -2"),
        ("compare --workers inf", "invalid int value: 'inf'"),
        ("compare --inputs foo", "inputs must be one of 'digits', 'noise', got 'foo'"),
        ("compare --inputs nois", "did you mean 'noise'?"),
        ("compare -o old.h5", "old.h5 exists: choose another name, or overwrite it with --force"),
        ("compare -o old2.h5", "old2.png exists: choose another name"),
        ("compare -o old3.h5", "old3.pdf exists: choose another name"),
        ("compare -o none/x.h5", "the directory none does not exist"),
        ("compare -o folder", "folder is a directory: name a file"),
        ("compare -o folder --force", "folder is a directory: name a file"),
        ("compare -o /dev/null --force", "/dev/null is not a regular file"),
        ("compare -o /proc/x.h5", "cannot write into /proc"),
        ("compare -o new.png", "new.png is a name for a picture"),
        (f"compare -o {'n' * 300}", "File name too long"),
        ("phases extra", "unrecognized arguments: extra"),
        ("phases --activation tahn", "did you mean 'tanh'?"),
        ("phases --activation leaky_relu(2)", "slope of leaky_relu must lie in [-1, 1], got 2"),
        ("phases --residual 1", "residual must be below 1"),
        ("phases --residual nan", "residual must be finite, got nan"),
        ("phases --residual much", "invalid float value: 'much'"),
        ("phases --weights 1", "expected 2 arguments"),
        ("phases --weights 2 1", "weights must be given as LOW HIGH, got 2 1"),
        ("phases --weights 1 1", "weights must be given as LOW HIGH, got 1 1"),
        ("phases --weights 0 1", "weights must be greater than 0, got 0"),
        ("phases --weights -1 1", "weights must be greater than 0, got -1"),
        ("phases --weights 1 inf", "weights must be finite, got inf"),
        ("phases --biases -0.1 1", "biases must lie in [0, 10], got -0.1"),
        ("phases --biases 0 11", "biases must lie in [0, 10], got 11"),
        ("phases --points 1", "points must be between 2 and 1000, got 1"),
        ("phases --points 2.5", "invalid int value: '2.5'"),
        ("phases --seed -1", "seed must be between 0 and"),
        ("phases -o old.h5", "old.h5 exists: choose another name, or overwrite it with --force"),
        ("phases -o old2.h5", "old2.png exists: choose another name"),
        ("phases -o old3.h5", "old3.pdf exists: choose another name"),
        ("phases -o none/x.h5", "the directory none does not exist"),
        ("phases -o new.pdf", "new.pdf is a name for a picture"),
        ("published", "arguments are required: PATH"),
        ("published none", "none does not exist"),
        ("published none other", "none does not exist"),
        ("published folder", "folder holds no hooks-*.hdf5: give the files themselves"),
        ("published folder --samples 1", "samples must be at least 2, got 1"),
        ("published folder --samples 1e3", "invalid int value: '1e3'"),
        ("published folder --variance layers", "did you mean 'layer'?"),
        ("published folder --order alphabetical", "order must be one of 'number', 'published', got 'alphabetical'"),
        ("published folder --workers 0", "workers must be at least 1, got 0"),
        ("published folder --seed -1", "seed must be between 0 and"),
        ("published folder -o old.h5", "old.h5 exists: choose another name, or overwrite it with --force"),
        ("published folder -o new.png", "new.png is a name for a picture"),
        ("published text.h5 torn.h5", "text.h5 cannot be read as HDF5"),
        ("published good.h5 good.h5", "good.h5 holds no var_weight: it is no such file of the public notebooks"),
        ("show none.h5", "none.h5 does not exist"),
        ("show folder", "folder is not a file"),
        ("show text.h5", "text.h5 is no readable isingflow archive"),
        ("show torn.h5", "torn.h5 is no readable isingflow archive"),
        ("figure torn.h5", "torn.h5 is no readable isingflow archive"),
        ("figure none.h5", "none.h5 does not exist"),
        ("figure empty.h5", "the archive holds no comparison: chain/window marginal, "),
        ("figure good.h5 --normalise", "--normalise is for archives of isingflow published"),
        ("figure good.h5 -o new.jpg", "a picture must end in .png, .pdf or .svg, got new.jpg"),
        ("figure good.h5 -o old2.png", "old2.png exists"),
        ("figure good.h5 -o none/new.png", "the directory none does not exist"),
    ],
)
def test_bad_input(here, capsys, arguments, message):
    before = snapshot(here)
    assert cli.main(arguments.split()) == 2
    assert message in one_line(capsys.readouterr())
    assert snapshot(here) == before


def test_figure_does_not_overwrite_its_archive(here, capsys):
    (here / "good.h5").rename("good.png")
    before = snapshot(here)
    assert cli.main(["figure", "good.png"]) == 2
    assert "good.png is the archive itself" in one_line(capsys.readouterr())
    assert snapshot(here) == before


def test_bad_input_to_a_process(here):
    before = snapshot(here)
    code, output, errors = finish("compare", "-o", "old.h5")
    assert (code, output) == (2, "")
    assert errors == "isingflow: old.h5 exists: choose another name, or overwrite it with --force\n"
    assert snapshot(here) == before


def test_debug_shows_where(here, capsys):
    assert cli.main(["show", "text.h5", "--debug"]) == 2
    errors = capsys.readouterr().err
    assert "Traceback (most recent call last)" in errors
    assert errors.splitlines()[-1].startswith("isingflow: text.h5 is no readable")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("by zero"), "isingflow: ZeroDivisionError: by zero (--debug shows where)\n"),
        (MemoryError(), "isingflow: MemoryError\n"),
        (OSError(28, "No space left on device"), "isingflow: [Errno 28] No space left on device\n"),
    ],
)
def test_failed_run(here, tiny, monkeypatch, capsys, error, words):
    before = snapshot(here)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(study, "run", fail)
    assert cli.main(["compare", "-o", "new.h5"]) == 1
    assert one_line(capsys.readouterr()) == words
    assert snapshot(here) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--help", ("compare", "phases", "published", "show", "figure", "verify", "--version")),
        ("compare --help", ("--output", "--quick", "--seed", "--workers", "--inputs", "--force", "--quiet", "--debug")),
        (
            "phases --help",
            (
                "--output",
                "--activation",
                "--residual",
                "--weights",
                "--biases",
                "--points",
                "--seed",
                "--force",
                "--quiet",
            ),
        ),
        (
            "published --help",
            ("HOOKS PARA", "--samples", "--variance", "--order", "--normalise", "--workers", "--output", "--seed"),
        ),
        ("show --help", ("--points",)),
        ("figure --help", (".png, .pdf or .svg", "--force", "--normalise")),
        ("verify --help", ("reference values",)),
        ("--version", ("isingflow 0.1.0",)),
    ],
)
def test_help(capsys, arguments, words):
    assert cli.main(arguments.split()) == 0
    captured = capsys.readouterr()
    assert all(word in captured.out for word in words)
    assert captured.err == ""


@pytest.mark.parametrize("code", ["import isingflow", "import isingflow.cli; isingflow.cli.main(['--help'])"])
def test_quick_to_import(code):
    code += "; import sys, json; print(); print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    _, output, errors = finish(code=("-c", code))
    assert errors == ""
    assert not HEAVY & set(json.loads(output.splitlines()[-1]))


def test_compare_on_a_pipe(quick):
    path, code, output, errors = quick
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == ", ".join(str(path.with_suffix(end)) for end in (".h5", ".png", ".pdf"))
    assert "\r" not in output
    assert {item.name for item in path.parent.iterdir()} == {"quick.h5", "quick.png", "quick.pdf"}
    found = archive.read(path)
    assert output.startswith(report.table(found))
    assert found.provenance["root_seed"] == 3
    assert found.provenance["command"] == f"isingflow compare --quick --seed 3 --workers 2 -o {path}"
    assert {"version", "numpy", "started", "finished", "python"} < found.provenance.keys()
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_compare_shows_no_point_beyond_five_standard_errors(quick):
    summary = re.search(r"distances from exact values: root mean square (\S+), largest (\S+) standard", quick[2])
    assert float(summary[2]) < 5


def test_show(quick, capsys):
    path, _, printed, _ = quick
    assert cli.main(["show", str(path)]) == 0
    words = capsys.readouterr().out
    assert "root_seed: 3\n" in words
    assert all(family in words for family in archive.read(path).families())
    assert cli.main(["show", str(path), "--points"]) == 0
    assert capsys.readouterr().out.splitlines() == printed.splitlines()[:-1]


def test_figure_is_redrawn_without_computing(here):
    code = (
        "import sys, isingflow.cli as c; c.main(sys.argv[1:]); print({'numba', 'sklearn'} & {*sys.modules} or 'none')"
    )
    assert finish("figure", "good.h5", "-o", "new.svg", code=("-c", code)) == (0, "new.svg\nnone\n", "")
    assert (here / "new.svg").read_text().startswith("<?xml")


def test_figure_under_its_own_name_and_another(here, tiny, capsys):
    before = snapshot(here)
    for _ in range(2):  # the pictures beside the archive are redrawn
        assert cli.main(["figure", "good.h5"]) == 0
        assert capsys.readouterr().out == "good.png\ngood.pdf\n"
    assert snapshot(here).keys() - before.keys() == {"good.png", "good.pdf"}
    assert cli.main(["figure", "good.h5", "-o", "old2.png", "--force"]) == 0
    assert (here / "old2.png").read_bytes() == b"picture"


def test_force_replaces_all_three(here, tiny, tiny_study, capsys):
    for name in ("old.png", "old.pdf"):
        (here / name).write_text("old")
    assert cli.main(["compare", "-o", "old.h5", "--force", "--workers", "1"]) == 0
    assert all((here / f"old.{end}").read_bytes() != b"old" for end in ("h5", "png", "pdf"))
    assert capsys.readouterr().err == ""
    expected = archive.Archive(tiny_study).families().values()
    found = archive.read("old.h5").curves
    assert [contents(c) for c in found] == [contents(c) for family in expected for c in family]


@pytest.fixture(scope="module")
def charted(tmp_path_factory):
    """``isingflow phases`` on a pipe: the archive, the exit code and what it printed."""
    path = tmp_path_factory.mktemp("phases") / "p.h5"
    return path, *finish("phases", "--points", 26, "--seed", 3, "-o", path)


def test_phases_on_a_pipe(charted):
    path, code, output, errors = charted
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == ", ".join(str(path.with_suffix(end)) for end in (".h5", ".png", ".pdf"))
    assert re.search(r"^ +0\.1 +1\.986073 +1\.920502$", output, re.M)
    assert "the lines cross at weight variance 1.948664, bias variance 0.090255\n" in output
    assert {item.name for item in path.parent.iterdir()} == {"p.h5", "p.png", "p.pdf"}
    found = archive.read(path)
    assert found.diagrams[0].variance.shape == (26, 26)
    assert found.diagrams[0].weight_variances[[0, -1]].tolist() == [0.5, 4.0]
    assert (len(found.maps), len(found.histograms)) == (6, 3)
    assert found.provenance["root_seed"] == 3
    assert found.provenance["command"] == f"isingflow phases --points 26 --seed 3 -o {path}"
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_phases_repeat_bit_for_bit(charted, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda _, path: path.write_bytes(b"picture"))
    assert cli.main(["phases", "--points", "26", "--seed", "3", "-o", str(tmp_path / "q.h5")]) == 0
    one, other = archive.read(charted[0]), archive.read(tmp_path / "q.h5")
    for name in ("diagrams", "maps", "histograms"):
        assert [contents(a) for a in getattr(one, name)] == [contents(a) for a in getattr(other, name)]


def test_show_and_figure_of_phases(charted, tmp_path, capsys):
    path, _, printed, _ = charted
    assert cli.main(["show", str(path)]) == 0
    words = capsys.readouterr().out
    assert "root_seed: 3\n" in words
    assert "\n".join(printed.splitlines()[:-1]) in words
    assert cli.main(["show", str(path), "--points"]) == 0
    words = capsys.readouterr().out
    assert len(re.findall(r"^ +-?[01]\S* +-?[01]\S* +\S+\(\d+\) +\S+ +[+-]\S+ %$", words, re.M)) == 60
    assert cli.main(["figure", str(path), "-o", str(tmp_path / "new.svg")]) == 0
    assert (tmp_path / "new.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "--activation relu",
            ("no line of uniformity", "variance grows without bound at", "no histograms: only tanh"),
        ),
        ("--activation linear", ("fixed variance none, it grows without bound", "no histograms")),
        ("--activation erf --residual 0.5", ("the lines cross at", "no histograms")),
        ("--activation leaky_relu(0.2) --biases 0 0.001", ("leaky_relu(0.2) network", "no histograms")),
        ("--activation hard_tanh --weights 0.2 0.3", ("hard_tanh network", "no line of uniformity")),
        ("--weights 5 6 --biases 2 3", ("the lines cross at",)),
        ("--weights 1.2 1.21 --biases 0.1 0.101", ("the lines cross at",)),
        ("--weights 2.1 3 --activation relu", ("the variance grows without bound at 100 %",)),
    ],
)
def test_phases_of_other_kinds(tmp_path, capsys, tiny, arguments, words):
    arguments = ["phases", *arguments.split(), "--points", "9", "-o", str(tmp_path / "x.h5")]
    assert cli.main(arguments) == 0
    captured = capsys.readouterr()
    assert all(word in captured.out for word in words)
    assert captured.err == ""
    assert set(snapshot(tmp_path)) == {"x.h5", "x.png", "x.pdf"}


def test_phases_replaces_all_three_if_forced(here, tiny, capsys):
    for name in ("old.png", "old.pdf"):
        (here / name).write_text("old")
    assert cli.main(["phases", "-o", "old.h5", "--force", "--points", "3", "--activation", "relu"]) == 0
    assert all((here / f"old.{end}").read_bytes() != b"old" for end in ("h5", "png", "pdf"))


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("isingflow.study.fixed_point_maps", set()),
        ("isingflow.study.activation_histogram", set()),
        ("isingflow.archive._write_record", set()),
        ("matplotlib.figure.Figure.savefig", {"x.h5"}),
    ],
)
def test_interrupted_phases(tmp_path, monkeypatch, capsys, where, left):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    assert cli.main(["phases", "--points", "3", "-o", str(tmp_path / "x.h5")]) == 130
    assert one_line(capsys.readouterr()) == "isingflow: interrupted; no file is left half-written\n"
    assert set(snapshot(tmp_path)) == left


def test_verify(capsys):
    assert cli.main(["verify"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "all values agree"
    assert all(line.startswith("ok  ") for line in captured.out.splitlines()[:-1])
    assert captured.err == ""


def test_verify_finds_a_wrong_value(monkeypatch, capsys):
    references = verification.reference_values()
    name, value = next(iter(references["computed"].items()))
    references["computed"][name] = value * (1 + 3e-8)
    few = {kind: dict(itertools.islice(references[kind].items(), 3)) for kind in ("computed", "printed")}
    monkeypatch.setattr(verification, "reference_values", lambda: few)
    monkeypatch.setattr(verification, "_sampled", lambda: iter(()))
    assert cli.main(["verify"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 failed"
    assert [line for line in lines if line.startswith("FAIL")] == [lines[0]]
    assert name in lines[0]


@pytest.mark.parametrize("arguments", [("show", "good.h5", "--points"), ("--help",)])
def test_reader_that_has_gone(here, arguments):
    read, write = os.pipe()
    os.close(read)
    assert finish(*arguments, stdout=write) == (0, None, "")
    os.close(write)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written(here):
    with open("/dev/full", "w") as full:
        code, _, errors = finish("show", "good.h5", stdout=full)
    assert code == 1
    assert re.fullmatch("isingflow: .*No space left on device\n", errors)


# the command line, saying when it starts to compute
STARTING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # the background job of a script is born deaf
from isingflow import cli, study
compare = study.compare
def started(**arguments):
    print("started", flush=True)
    return compare(**arguments)
study.compare = started
sys.exit(cli.main(sys.argv[1:]))
"""


def living(group):
    """Processes of a group, without those that have ended and wait for somebody to notice."""
    lines = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in lines.splitlines()]
    return [row for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.parametrize(("workers", "after"), [(1, 0.5), (2, 0.05), (2, 1.5)])
def test_interrupt(tmp_path, workers, after):
    process = command(
        "compare", "--workers", workers, "-o", tmp_path / "x.h5", code=("-c", STARTING), start_new_session=True
    )
    assert process.stdout.readline() == "started\n"
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    assert errors == "isingflow: interrupted; no file is left half-written\n"
    assert not list(tmp_path.iterdir())
    deadline = time.monotonic() + 20
    while living(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not living(process.pid)


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("isingflow.archive._write_family", set()),
        ("os.fsync", set()),
        ("matplotlib.figure.Figure.savefig", {"x.h5"}),
        ("isingflow.report.table", {"x.h5", "x.png", "x.pdf"}),
    ],
)
def test_interrupt_while_writing(tmp_path, tiny, monkeypatch, capsys, where, left):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    assert cli.main(["compare", "--workers", "1", "-o", str(tmp_path / "x.h5")]) == 130
    assert one_line(capsys.readouterr()) == "isingflow: interrupted; no file is left half-written\n"
    assert set(snapshot(tmp_path)) == left
    if left:
        assert archive.read(tmp_path / "x.h5").curves


def test_interrupt_lost_in_a_callback_is_raised_again(tmp_path, tiny, monkeypatch, capsys):
    run = study.run

    def swallowing(*arguments, **settings):
        class Lost:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)

        lost = Lost()
        del lost
        return run(*arguments, **settings)

    monkeypatch.setattr(study, "run", swallowing)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(["compare", "--workers", "1", "-o", str(tmp_path / "x.h5")]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted" in one_line(capsys.readouterr())
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_progress_on_a_terminal_and_a_name_that_is_no_text(tmp_path):
    pty = pytest.importorskip("pty")
    controller, terminal = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(terminal, (24, 80))
    os.set_blocking(controller, False)
    name = tmp_path / os.fsdecode(b"caf\xe9.h5")
    code, output, _ = finish(
        "compare", "--workers", 1, "-o", name, code=("-c", TINY_COMMAND), stderr=terminal, errors="replace"
    )
    shown = os.read(controller, 100_000)
    os.close(terminal)
    os.close(controller)
    assert code == 0
    assert b"comparing" in shown
    assert "comparing" not in output
    assert archive.read(name).provenance["command"].endswith(r"/caf\udce9.h5'")


def test_module_and_script_are_the_same():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="isingflow")
    assert script.value == "isingflow.cli:main"
    done = subprocess.run(
        [sys.executable, "-m", "isingflow", "--version"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "isingflow 0.1.0\n"


def test_defaults_on_the_command_line_are_those_of_the_library():
    """They are written there again, so that `--help` need not load the library."""
    options = cli._parser().parse_args(["phases"])
    assert {"weight_variances": options.weights, "bias_variances": options.biases} == study.PLANE
    assert options.points == study.PLANE_POINTS
    for arguments in (["compare"], ["phases"], ["published", "."]):
        given = vars(cli._parser().parse_args(arguments))
        known = inspect.signature(getattr(study, arguments[0])).parameters
        shared = {name for name in given.keys() & known.keys() if known[name].default is not inspect.Parameter.empty}
        assert "seed" in shared
        different = {name for name in shared - {"workers"} if given[name] != known[name].default}
        assert not different
