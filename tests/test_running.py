"""Running studies: what is missing and nothing else, the same bits however it is run, and nothing lost."""

import csv
import dataclasses
import hashlib
import json
import logging
import math
import os
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import filelock
import h5py
import numpy as np
import pytest
from conftest import command, contents, finish

import isingflow
from isingflow import cli, pieces, running
from isingflow.curve import LevelCurve
from isingflow.errors import ArchiveError, IsingflowError, ParameterError
from isingflow.executors import Processes, Serial
from isingflow.pieces import Finished
from isingflow.repeats import APART, SCATTERED, combined
from isingflow.study import execute
from isingflow.study_file import Study
from studies import QUICK, SAMPLED, data, keys, toml, until


def run(said, place, **settings):
    settings = {"executor": "serial", "progress": False, "output": place / "x.h5"} | settings
    return running.run(said, **settings)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sampled study, run without interruption, here."""
    place = tmp_path_factory.mktemp("whole")
    run(SAMPLED, place)
    return place / "x.h5"


# the archive


def test_archive_has_the_grid_as_axes_and_what_the_tasks_gave(whole):
    found = isingflow.open_archive(whole)
    assert [(axis.names, axis.columns) for axis in found.grid.axes] == [
        (("coupling",), ((0.4, 0.8, 1.2),)),
        (("window",), ((2, 3),)),
    ]
    study = Study.of(SAMPLED)
    with h5py.File(whole) as file:
        values = file["chain/window_marginal/value"]
        assert [scale[0].name.split("/")[-1] for scale in values.dims] == ["coupling", "window", "level"]
        for point in range(len(study.grid)):
            parameters = study.parameters(point)
            repeats = [execute(parameters, 1, repeat=n, estimators=["window marginal"])[0] for n in range(2)]
            expected = (repeats[0].value + repeats[1].value) / 2
            np.testing.assert_array_equal(values[study.grid.place(study.grid.point(point))], expected)


def test_xarray_selects_by_the_parameters(whole):
    dataset = isingflow.open_archive(whole).to_xarray("chain/window marginal")
    chosen = dataset.sel(coupling=0.8, window=3)
    (curve,) = [
        c
        for c in isingflow.open_archive(whole).families()["chain/window marginal"]
        if (c.parameters["coupling"], c.parameters["window"]) == (0.8, 3)
    ]
    np.testing.assert_array_equal(chosen.value, curve.value)
    assert chosen.repeats == 2
    with pytest.raises(ParameterError, match="did you mean 'chain/window marginal'"):
        isingflow.open_archive(whole).to_xarray("chain/windows")


def test_notebooks_show_families_and_grid(whole):
    shown = isingflow.open_archive(whole)._repr_html_()
    assert "chain/window marginal</td><td>6</td><td>coupling 0.4 to 1.2" in shown
    assert "coupling (3) x window (2)" in shown


# what is missing, and nothing else


def test_the_same_command_again_computes_nothing_and_leaves_the_archive_alone(tmp_path, monkeypatch):
    run(SAMPLED, tmp_path)
    before, there = (tmp_path / "x.h5").read_bytes(), sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(running, "execute", None)
    run(SAMPLED, tmp_path)
    assert ((tmp_path / "x.h5").read_bytes(), sorted(tmp_path.rglob("*"))) == (before, there)


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ({"repeats": 3}, 6),
        ({"repeats": 1}, 0),
        ({"grid": {"coupling": [0.4, 0.6, 0.8, 1.2], "window": [2, 3]}}, 4),
        ({"grid": {"window": [3, 2], "coupling": [1.2, 0.4]}}, 0),
        (
            {
                "grid": {"coupling": [0.4, 0.8, 1.2]},
                "parameters": {"window": 2, "sites": 64, "steps": 3, "samples": 20},
            },
            0,
        ),
        ({"estimators": ["coupling", "window marginal", "pair marginal"]}, 0),
        ({"seed": 2}, 12),
        ({"parameters": {"sites": 64, "steps": 3, "samples": 21}}, 12),
        ({"estimators": ["window marginal"]}, 12),
    ],
)
def test_changes_compute_what_is_new(tmp_path, change, new):
    run(SAMPLED, tmp_path)
    first = keys(tmp_path / "x.pieces")
    changed = SAMPLED | change
    assert len(running.plan(changed, output=tmp_path / "x.h5").tasks) == new
    run(changed, tmp_path)
    then = keys(tmp_path / "x.pieces")
    assert len(then) == len(set(then)) == len(first) + new
    assert set(first) < set(then) or not new
    run(changed, tmp_path, output=tmp_path / "afresh.h5")
    assert data(tmp_path / "x.h5") == data(tmp_path / "afresh.h5")


# the same bits


@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_two_workers_give_the_same_bits(whole, tmp_path, executor):
    run(SAMPLED, tmp_path, executor=executor, workers=2)
    assert data(tmp_path / "x.h5") == data(whole)


def test_shares_collected_from_two_machines(whole, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(folders, start=1):
        assert run(SAMPLED, tmp_path, folder=folder, part=(number, 2)) is None
    assert not (tmp_path / "x.h5").exists()
    assert set(keys(folders[0])).isdisjoint(keys(folders[1]))
    running.collect(SAMPLED, folders, output=tmp_path / "x.h5")
    assert data(tmp_path / "x.h5") == data(whole)


def test_the_last_share_in_a_common_folder_writes_the_archive(whole, tmp_path):
    assert run(SAMPLED, tmp_path, part=(2, 2)) is None
    assert run(SAMPLED, tmp_path, part=(1, 2)) is not None
    assert data(tmp_path / "x.h5") == data(whole)


def test_batches_give_what_they_have_no_time_for_back(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(running, "PIECE_SECONDS", 1e-9)
    taken = []
    take = running._Work.take

    class Greedy(running._Work):
        def take(self):
            self._seconds = 1e-12  # as if tasks were instantaneous
            taken.append(take(self))
            return taken[-1]

    monkeypatch.setattr(running, "_Work", Greedy)
    run(SAMPLED, tmp_path)
    assert max(map(len, filter(None, taken))) > 1
    assert len(keys(tmp_path / "x.pieces")) == len(set(keys(tmp_path / "x.pieces"))) == 12
    assert data(tmp_path / "x.h5") == data(whole)


def test_a_piece_holds_at_most_so_many_tasks(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "PIECE_TASKS", 4)
    monkeypatch.setattr(running, "PIECE_SECONDS", 1e6)
    run(QUICK, tmp_path)
    lengths = [len(path.read_bytes().splitlines()) - 2 for path in (tmp_path / "x.pieces").glob("*.piece")]
    assert sum(lengths) == 6
    assert max(lengths) <= 4


# interrupted


def test_interrupt_keeps_what_is_finished(tmp_path, monkeypatch, whole):
    calls = []

    def interrupted(*task, **which):
        calls.append(task)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return execute(*task, **which)

    monkeypatch.setattr(running, "PIECE_SECONDS", 0.0)  # batches of one
    monkeypatch.setattr(running, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(SAMPLED, tmp_path)
    assert len(keys(tmp_path / "x.pieces")) == 6
    run(SAMPLED, tmp_path)
    assert len(calls) == 13  # the seventh again, and five more
    assert data(tmp_path / "x.h5") == data(whole)


@pytest.mark.parametrize("call", [1, 2, 3, 4])  # first note, piece, second note, archive
def test_interrupt_between_making_a_file_and_minding_it(tmp_path, monkeypatch, call):
    make, calls = tempfile.mkstemp, []

    def interrupted(**where):
        made = make(**where)
        calls.append(made)
        if len(calls) == call:
            os.close(made[0])
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(running, "PIECE_SECONDS", 0.0)
    monkeypatch.setattr("isingflow.files.tempfile.mkstemp", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(QUICK | {"grid": {"coupling": [0.4]}}, tmp_path)
    assert not list(tmp_path.rglob(".isingflow-*"))
    run(QUICK | {"grid": {"coupling": [0.4]}}, tmp_path)


def test_partial_archives_can_be_read(tmp_path, monkeypatch, whole):
    assert run(SAMPLED, tmp_path, part=(1, 4)) is None
    running.collect(SAMPLED, output=tmp_path / "x.h5")
    partial = isingflow.open_archive(tmp_path / "x.h5")
    assert (partial.provenance["tasks"], partial.provenance["tasks_done"]) == (12, 3)
    dataset = partial.to_xarray("chain/window marginal")
    assert np.isnan(dataset.value.sel(coupling=0.4, window=3)).all()
    assert np.isfinite(dataset.value.sel(coupling=0.4, window=2)).all()
    assert dataset.repeats.sel(coupling=0.4, window=2) == 1
    run(SAMPLED, tmp_path)  # a partial archive of the study is no obstacle
    assert data(tmp_path / "x.h5") == data(whole)


def test_interrupt_of_a_process_says_how_to_go_on(tmp_path):
    slow = SAMPLED | {"repeats": 40, "parameters": {"steps": 3, "samples": 2000}}
    (tmp_path / "x.toml").write_text(toml(slow))
    listening = (
        "import signal, sys; from isingflow import cli; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(cli.main(sys.argv[1:]))"
    )
    arguments = ["run", tmp_path / "x.toml", "-o", tmp_path / "x.h5", "--workers", 2]
    process = command(*arguments, code=("-c", listening), start_new_session=True)
    until(lambda: list(tmp_path.glob("x.pieces/*.piece")))
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert (process.returncode, output) == (130, "")
    last = errors.splitlines()[-1]
    assert last == "isingflow: interrupted; what is finished is kept, and the same command goes on from there"
    assert not list(tmp_path.rglob(".isingflow-*"))
    code, output, _ = finish("status", tmp_path / "x.toml", "-o", tmp_path / "x.h5")
    assert code == 0
    assert f"{len(keys(tmp_path / 'x.pieces'))} done, 0 failed" in output
    assert "not running" in output


# two at once


def test_a_second_run_is_refused_and_says_by_whom(tmp_path):
    folder = tmp_path / "x.pieces"
    folder.mkdir()
    (folder / "run-1of1.json").write_text(json.dumps({"process": 7, "host": "moon", "started": "noon", "left": 90.0}))
    (folder / ".isingflow-1of1-x.tmp").touch()  # of what the other one writes at this moment
    with filelock.FileLock(folder / "run-1of1.lock"):
        with pytest.raises(ArchiveError, match="in use by another run of this study, process 7 on moon, since noon"):
            run(QUICK, tmp_path)
        status = running.status(QUICK, output=tmp_path / "x.h5")
        assert (status.running, status.left) == (("process 7 on moon, since noon",), 90.0)
        assert run(QUICK, tmp_path, part=(1, 2)) is None  # a share of its own
        assert (folder / ".isingflow-1of1-x.tmp").exists()
    run(QUICK, tmp_path)
    assert not (folder / ".isingflow-1of1-x.tmp").exists()
    assert running.status(QUICK, output=tmp_path / "x.h5").running == ()


# failures


FAILING = {
    "system": "square",
    "estimators": ["4x4 marginal"],
    "parameters": {"coupling": 0.1, "side": 8, "steps": 1},
    "grid": {"samples": [20, 400]},
}
"""Of which 20 samples are too few for windows of 16 spins."""


def test_a_task_that_fails_leaves_the_others_alone(tmp_path, capsys):
    with pytest.raises(IsingflowError, match=r"1 of 2 tasks failed, the first, .*samples=20, .*all others are in"):
        run(Study.of(FAILING, "x"), tmp_path)
    found = isingflow.open_archive(tmp_path / "x.h5")
    assert [curve.parameters["samples"] for curve in found.curves] == [400]
    status = running.status(FAILING, output=tmp_path / "x.h5")
    assert (status.tasks, status.done, status.failed) == (2, 1, 1)
    (tmp_path / "x.toml").write_text(toml(FAILING))
    assert cli.main(["run", str(tmp_path / "x.toml"), "-o", str(tmp_path / "x.h5"), "-q"]) == 1  # tried again
    assert len(capsys.readouterr().err.splitlines()) == 1


# damage


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "one byte less": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"x"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_pieces_are_noticed_reported_and_computed_again(tmp_path, monkeypatch, caplog, whole, damage):
    monkeypatch.setattr(running, "PIECE_TASKS", 4)
    run(SAMPLED, tmp_path)
    (tmp_path / "x.h5").unlink()
    victim = min((tmp_path / "x.pieces").glob("*.piece"))
    lost = len(victim.read_bytes().splitlines()) - 2
    damage(victim)
    assert running.status(SAMPLED, output=tmp_path / "x.h5").done == 12 - lost
    assert victim.exists()  # looking changes nothing
    caplog.clear()
    run(SAMPLED, tmp_path)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        f"{victim} is damaged: removed, its tasks are computed again"
    ]
    assert len(keys(tmp_path / "x.pieces")) == 12
    assert data(tmp_path / "x.h5") == data(whole)


def test_every_wrong_bit_of_a_piece_is_noticed(tmp_path, caplog):
    run(QUICK | {"grid": {"coupling": [0.4]}}, tmp_path)
    (path,) = (tmp_path / "x.pieces").glob("*.piece")
    good, rng = path.read_bytes(), random.Random(1)
    for _ in range(200):
        content = bytearray(good)
        content[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        assert not keys(tmp_path / "x.pieces")


def rewrite(path, **changes):
    """A piece that says something else, and is whole."""
    head, *lines = path.read_bytes().splitlines()[:-1]
    body = b"".join(line + b"\n" for line in (json.dumps(json.loads(head) | changes).encode(), *lines))
    path.write_bytes(body + f"{hashlib.sha256(body).hexdigest()}\n".encode())


def test_a_piece_of_another_version_is_left_out_and_of_a_newer_format_refused(tmp_path, caplog):
    run(QUICK, tmp_path)
    (path,) = (tmp_path / "x.pieces").glob("*.piece")
    rewrite(path, version="0.0.9")
    assert not keys(tmp_path / "x.pieces")
    assert "left out: it was made by version 0.0.9" in caplog.text
    rewrite(path, schema=2)
    with pytest.raises(ArchiveError, match="is no piece that this version can read: update isingflow"):
        run(QUICK, tmp_path)
    assert path.exists()


# what is in the way


def test_an_archive_of_something_else_is_not_replaced(tmp_path, whole, written):
    for other in (whole, written):
        shutil.copy(other, tmp_path / "x.h5")
        content = (tmp_path / "x.h5").read_bytes()
        with pytest.raises(ArchiveError, match="exists and is no archive of the study 'other'"):
            run(Study.of(QUICK, "other"), tmp_path)
        assert (tmp_path / "x.h5").read_bytes() == content
        assert not (tmp_path / "x.pieces").exists()
    run(Study.of(QUICK, "other"), tmp_path, force=True)
    assert len(isingflow.open_archive(tmp_path / "x.h5").curves) == 6


@pytest.mark.parametrize("command", ["run", "collect"])
def test_pictures_of_something_else_are_not_replaced(tmp_path, capsys, command):
    (tmp_path / "x.toml").write_text(toml(QUICK))
    (tmp_path / "x.pdf").write_text("a paper")
    arguments = [command, str(tmp_path / "x.toml"), "-o", str(tmp_path / "x.h5")]
    assert cli.main(arguments) == 2
    assert "x.pdf exists: choose another name, or overwrite it with --force" in capsys.readouterr().err
    assert (tmp_path / "x.pdf").read_text() == "a paper"


def limited(size):
    """Set the largest size of a file, for a process that is to be started."""
    resource = pytest.importorskip("resource")
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize(("size", "kept"), [(10, 0), (1000, 0), (9000, 6)])
def test_full_disk(tmp_path, size, kept):
    (tmp_path / "x.toml").write_text(toml(QUICK))
    arguments = ("run", tmp_path / "x.toml", "-o", tmp_path / "x.h5", "--executor", "serial", "-q")
    code, output, errors = finish(*arguments, preexec_fn=limited(size))
    assert (code, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert errors.endswith(("File too large\n", "File too large; what is there already stays\n"))
    assert not list(tmp_path.rglob(".isingflow-*"))
    assert len(keys(tmp_path / "x.pieces")) == kept
    assert not (tmp_path / "x.h5").exists()
    assert finish(*arguments)[0] == 0


AS_NOBODY = """
import os, sys
from isingflow import cli
with open(os.devnull, "w") as sys.stdout:
    assert cli.main(["run", *sys.argv[1:3], "-o", sys.argv[4]]) == 0  # loads what nobody may read
sys.stdout = sys.__stdout__
if os.geteuid() == 0:  # who may write anywhere
    os.seteuid(65534)
sys.exit(cli.main(["run", *sys.argv[1:3], "-o", sys.argv[3]]))
"""


@pytest.mark.parametrize("output", ["x.h5", "new/x.h5"])
def test_read_only_directory(tmp_path, output):
    with tempfile.TemporaryDirectory() as place:
        Path(place, "x.toml").write_text(toml(QUICK))
        os.chmod(place, 0o555)
        arguments = [f"{place}/x.toml", "--executor=serial", f"{place}/{output}", tmp_path / "x.h5"]
        code, _, errors = finish(*arguments, code=("-c", AS_NOBODY))
        os.chmod(place, 0o755)
        assert code == 2
        assert errors.splitlines()[-1].endswith("Permission denied")
        assert os.listdir(place) == ["x.toml"]


def test_what_does_not_fit_into_memory_is_refused_before_it_begins(tmp_path):
    huge = {"system": "square", "parameters": {"coupling": 0.3, "side": 2**20, "samples": 10**6}}
    with pytest.raises(ParameterError, match=r"each of 1 workers at once need .* GiB of memory.*take fewer workers"):
        run(huge, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"executor": "threads"}, "executor must be one of 'serial', 'processes', 'dask', got 'threads'"),
        ({"executor": "processes", "workers": 0}, "workers must be at least 1, got 0"),
        ({"executor": "processes", "scheduler": "tcp://a:1"}, "a scheduler needs the executor"),
        ({"executor": Serial(), "workers": 2}, "belong to an executor given by its name"),
        ({"part": (3, 2)}, "part must be between 1 and 2, got 3"),
        ({"output": "."}, "is a directory"),
    ],
)
def test_refusals(tmp_path, settings, message):
    with pytest.raises((ParameterError, ArchiveError), match=message):
        run(QUICK, tmp_path, **settings)
    assert not list(tmp_path.rglob("*.piece"))


def test_nothing_to_collect(tmp_path):
    with pytest.raises(ArchiveError, match="is no folder of finished work"):
        running.collect(QUICK, output=tmp_path / "x.h5")
    (tmp_path / "x.pieces").mkdir()
    with pytest.raises(ArchiveError, match="no task of the study 'study' is done there yet"):
        running.collect(QUICK, output=tmp_path / "x.h5")


# executors of the caller's, and progress


def test_an_executor_that_is_passed_in_serves_several_runs(tmp_path, whole):
    executor = Processes(2)
    for name in ("a", "b"):
        run(SAMPLED, tmp_path, executor=executor, output=tmp_path / f"{name}.h5", folder=tmp_path / name)
        assert data(tmp_path / f"{name}.h5") == data(whole)


def test_notify_and_log_lines(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("isingflow.progress.EVERY", 0.0)
    caplog.set_level(logging.INFO)
    seen = []
    run(QUICK, tmp_path, progress=True, notify=lambda *counts: seen.append(counts))
    assert seen[-1] == (6, 6)
    words = [record.getMessage() for record in caplog.records]
    assert words[0] == "6 of 6 tasks are missing"
    assert any("tasks, " in line and " left" in line for line in words)
    caplog.clear()
    run(QUICK, tmp_path, output=tmp_path / "y.h5", progress=False)
    assert [record.getMessage() for record in caplog.records] == ["6 of 6 tasks are missing"]


def test_a_line_on_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    controller, terminal = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(terminal, (24, 100))
    os.set_blocking(controller, False)
    (tmp_path / "x.toml").write_text(toml(SAMPLED))
    code, output, _ = finish(
        "run", tmp_path / "x.toml", "-o", tmp_path / "x.h5", "--executor", "serial", stderr=terminal
    )
    shown = os.read(controller, 100_000).decode()
    os.close(terminal)
    os.close(controller)
    assert code == 0
    assert re.search(r"\d+/12 tasks, +[\d.]+ tasks/s, about .* left", shown)
    assert "6 curves chain/window marginal" in output


# the other commands


def test_dry_run_status_collect_show_and_figure(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text(toml(SAMPLED))
    assert cli.main(["run", "x.toml", "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert output.count("MB  coupling = ") == 12
    assert output.splitlines()[-1].startswith("12 tasks are missing, 0 done; about ")
    assert os.listdir() == ["x.toml"]
    assert cli.main(["run", "x.toml", "--part", "1/3", "-q", "--executor", "serial"]) == 0
    assert capsys.readouterr().out == "this share is done; others are missing: isingflow status tells how many\n"
    assert cli.main(["status", "x.toml"]) == 0
    assert capsys.readouterr().out == "x: 12 tasks, 4 done, 0 failed, 8 missing\nnot running\n"
    assert cli.main(["collect", "x.toml"]) == 0
    assert "partial: 4 of 12 tasks are done" in capsys.readouterr().out
    assert cli.main(["run", "x.toml", "-q", "--executor", "serial"]) == 0
    output = capsys.readouterr().out
    assert "partial" not in output
    assert output.splitlines()[-1] == "x.h5, x.png, x.pdf"
    assert cli.main(["show", "x.h5"]) == 0
    assert "coupling 0.4, window 2, 4 levels" in capsys.readouterr().out
    assert cli.main(["figure", "x.h5", "-o", "y.svg"]) == 0
    assert Path("y.svg").exists()
    assert cli.main(["run", "x.toml", "--set", "side=3"]) == 2
    assert "a parameter of 'chain' must be one of" in capsys.readouterr().err
    for part in ("3/2", "0/2", "a", "1/", "1/-2"):
        assert cli.main(["run", "x.toml", "--part", part]) == 2
        assert f"part must be K/N with K from 1 to N, such as 3/40, got {part!r}" in capsys.readouterr().err


def test_exports(tmp_path, whole, capsys):
    assert cli.main(["export", str(whole), "-o", str(tmp_path / "x.csv")]) == 0
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = isingflow.open_archive(whole)
    assert len(rows) == sum(len(curve.levels) for curve in found.curves)
    assert [float(row["value"]) for row in rows] == [value for curve in found.curves for value in curve.value]
    assert {row["coupling"] for row in rows} == {"0.4", "0.8", "1.2"}
    xarray = pytest.importorskip("xarray")
    assert cli.main(["export", str(whole), "-o", str(tmp_path / "x.nc")]) == 0
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf", group="chain/window_marginal") as dataset:
        assert dataset.identical(found.to_xarray("chain/window marginal"))
    capsys.readouterr()
    assert cli.main(["export", str(whole), "-o", str(tmp_path / "x.csv")]) == 2
    assert "exists: choose another name" in capsys.readouterr().err
    assert cli.main(["export", str(whole), "-o", str(tmp_path / "x.xls")]) == 2
    assert "an export must end in .csv or .nc" in capsys.readouterr().err


# repeats


def test_repeats_are_combined_with_an_error_that_shrinks(whole):
    study = Study.of(SAMPLED)
    curves = [execute(study.parameters(3), 1, repeat=n, estimators=["window marginal"])[0] for n in range(16)]
    one = combined(curves)
    np.testing.assert_allclose(one.value, np.mean([c.value for c in curves], axis=0), rtol=1e-14)
    expected = np.sqrt(np.sum([c.error**2 for c in curves], axis=0)) / 16
    np.testing.assert_allclose(one.error, expected, rtol=1e-14)
    assert one.samples == 16 * 20
    assert SCATTERED not in one.flags
    assert combined(curves[:1]) is curves[0]
    spread = [dataclasses.replace(c, value=c.value + 20 * n * c.error) for n, c in enumerate(curves)]
    assert SCATTERED in combined(spread).flags


def test_repeats_that_end_differently_have_no_common_end():
    fields = {"system": "chain", "quantity": "x", "per": "site", "control": "coupling", "parameters": {"coupling": 1.0}}
    fields |= {"levels": [0, 1], "length": [1, 2], "value": [0, 1]}
    ends = {"scale": 2.0, "scale_error": 0.3, "asymptote": 1.0, "asymptote_error": 0.1}
    one = LevelCurve(**fields, regime="saturating", **ends)
    found = combined([one, one])
    assert (found.regime, found.scale, found.asymptote) == ("saturating", 2.0, 1.0)
    assert found.scale_error == pytest.approx(0.3 / math.sqrt(2))
    found = combined([one, LevelCurve(**fields, regime="growing", scale=5.0)])
    assert (found.regime, found.flags) == ("undetermined", (APART,))
    assert math.isnan(found.scale)


def test_lines_of_pieces_keep_every_bit(tiny_study):
    extremes = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2]
    odd = dataclasses.replace(
        tiny_study[0], **{name: np.resize(extremes, len(tiny_study[0].levels)) for name in ("value", "exact")}
    )
    curves = (*tiny_study, odd, dataclasses.replace(odd, value=-0.0, exact=math.nan, flags=("a", "ü")))
    line = Finished("0" * 64, 0.1, curves).line()
    assert [contents(c) for c in Finished.of(line).curves] == [contents(c) for c in curves]
    assert pieces.key_of(line.encode()) == ("0" * 64, False)
    assert pieces.key_of(Finished("1" * 64, 0.1, failure="no").line().encode()) == ("1" * 64, True)
