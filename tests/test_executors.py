"""Executors: the same bits everywhere, no more in flight than fits, and no end that hangs or leaves something behind.

The cluster is a real scheduler with two real worker processes, which share nothing with the tests but this file.
"""

import contextlib
import importlib
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import isingflow
from isingflow import executors
from isingflow.errors import IsingflowError, ParameterError

HERE = Path(__file__).resolve().parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
LOCAL = "tcp://127.0.0.1"


# what the executors run: by name, in processes that import this file


def spectrum(seed):
    return np.linalg.svd(np.random.default_rng(seed).normal(size=(150, 150)))[1].tobytes()


def threads(_):
    from threadpoolctl import threadpool_info

    return {library["num_threads"] for library in threadpool_info()}, os.getpid()


def nap(seconds):
    time.sleep(seconds)
    return seconds


def half(number):
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def die_first(marker):
    if not os.path.exists(marker):
        Path(marker).touch()
        die(marker)
    return "alive"


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


class StubbornError(Exception):
    """One that cannot be pickled and read again."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def stubborn(item):
    raise StubbornError(item, item)


def out_of(items):
    remaining = iter(items)
    return lambda: next(remaining, None)


# a cluster on this machine


@contextlib.contextmanager
def started(*arguments, cwd):
    command = [sys.executable, "-m", *map(str, arguments)]
    with (
        open(cwd / "log", "ab") as log,
        subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                    one.kill()


@contextlib.contextmanager
def scheduler_in(directory):
    directory.mkdir()
    file = directory / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file)
    with started("distributed.cli.dask_scheduler", *options, cwd=directory) as process:
        until(lambda: file.exists() and file.read_text().endswith("}"))
        yield process, json.loads(file.read_text())["address"]


@contextlib.contextmanager
def worker_in(directory, address, *options):
    directory.mkdir()
    options = ("--nthreads", 1, "--no-dashboard", "--host", "127.0.0.1", *options)
    with started("distributed.cli.dask_worker", address, *options, cwd=directory) as process:
        yield process


def until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a scheduler with two workers, each in a directory of its own."""
    root = tmp_path_factory.mktemp("cluster")
    with (
        scheduler_in(root / "scheduler") as (_, address),
        worker_in(root / "one", address),
        worker_in(root / "two", address),
    ):
        with executors.Dask(address) as executor:
            until(lambda: executor.workers == 2)
        yield address


@pytest.fixture(scope="module", params=["serial", "processes", "dask", "cluster"])
def executor(request):
    """Each of the executors, entered."""
    if request.param == "cluster":
        made = executors.named("dask", scheduler=request.getfixturevalue("cluster"))
    else:
        made = executors.named(request.param, workers=None if request.param == "serial" else 2)
    with made as entered:
        yield entered


# what holds for each of them


def test_results_are_the_same_to_the_last_bit(executor):
    found = dict(executor.run(spectrum, out_of(range(6))))
    assert found == {seed: spectrum_on_one_thread(seed) for seed in range(6)}


def spectrum_on_one_thread(seed):
    with executors.threadpool_limits(limits=1):
        return spectrum(seed)


def test_one_thread_for_each_item_and_as_many_processes_as_workers(executor):
    found = [result for _, result in executor.run(threads, out_of(range(8)))]
    assert set.union(*(numbers for numbers, _ in found)) == {1}
    assert len({process for _, process in found}) <= executor.workers


def test_items_are_taken_when_there_is_room(executor):
    taken, done, most = [], 0, 0

    def take():
        nonlocal most
        most = max(most, len(taken) - done)
        if len(taken) == 30:
            return None
        taken.append(len(taken))
        return 2 * taken[-1]

    for item, result in executor.run(half, take):
        assert item == 2 * result
        done += 1
    assert done == 30
    assert executor.workers - 1 <= most <= 2 * executor.workers


def test_results_make_new_items(executor):
    todo, found = [16], {}

    def take():
        return todo.pop() if todo else None

    for item, result in executor.run(half, take):
        found[item] = result
        todo.extend({8: [8, 12], 4: [4], 6: [6], 2: [2]}.get(result, []))
    assert found == {16: 8, 8: 4, 12: 6, 4: 2, 6: 3, 2: 1}


def test_nothing_to_take(executor):
    assert list(executor.run(half, lambda: None)) == []


def test_exceptions_come_through_and_the_next_run_is_clean(executor):
    with pytest.raises(ValueError, match="3 is odd") as caught:
        list(executor.run(half, out_of([2, 3, 4, 6, 8, 10])))
    assert str(caught.value) == "3 is odd"
    assert dict(executor.run(half, out_of([2, 4]))) == {2: 1, 4: 2}


def test_a_loop_that_is_left_gives_up_the_rest(executor):
    for item, _ in executor.run(nap, out_of([0, 3, 3, 3, 3])):
        assert item == 0
        left = time.monotonic()
        break
    assert time.monotonic() - left < 2.5
    assert dict(executor.run(half, out_of([2]))) == {2: 1}


def test_arrays_travel_by_value(executor):
    arrays = [np.full((300, 300), number, dtype=float) for number in range(3)]
    found = {int(item[0, 0]): result for item, result in executor.run(np.negative, out_of(arrays))}
    for number, array in enumerate(arrays):
        np.testing.assert_array_equal(found[number], -array)


# workers that die


@pytest.mark.parametrize("kind", ["processes", "cluster"])
def test_worker_that_dies_is_replaced_and_its_item_tried_again(kind, request, tmp_path, caplog):
    where = {"scheduler": request.getfixturevalue("cluster")} if kind == "cluster" else {"workers": 2}
    markers = [str(tmp_path / name) for name in "ab"]
    with executors.named("processes" if kind == "processes" else "dask", **where) as executor:
        assert dict(executor.run(die_first, out_of(markers))) == dict.fromkeys(markers, "alive")
    if kind == "processes":
        assert [record.message for record in caplog.records] == [
            f"a worker process died (exit code {-signal.SIGKILL}): its item is tried again"
        ] * 2


def test_item_that_ends_every_process_is_an_error():
    with executors.Processes(1) as executor:
        with pytest.raises(
            IsingflowError, match=r"died 3 times .* \(exit code -9\), perhaps for want of memory: try fewer"
        ):
            list(executor.run(die, out_of([1])))
        assert dict(executor.run(half, out_of([2]))) == {2: 1}


@pytest.mark.slow
def test_item_that_ends_every_worker_of_a_cluster_is_an_error(cluster):
    with executors.Dask(cluster) as executor:
        with pytest.raises(IsingflowError, match=r"died 4 times .* make the study smaller"):
            list(executor.run(die, out_of([1])))
        assert dict(executor.run(half, out_of([2]))) == {2: 1}


def test_error_that_does_not_travel_comes_by_its_words():
    with executors.Processes(1) as executor, pytest.raises(IsingflowError, match="StubbornError: 1 and 1"):
        list(executor.run(stubborn, out_of([1])))


def test_error_says_where_it_was_raised():
    with executors.Processes(1) as executor, pytest.raises(ValueError, match="odd") as caught:
        list(executor.run(half, out_of([1])))
    assert "in half" in caught.value.__notes__[0]


def test_function_that_cannot_be_sent_is_refused_here():
    with executors.Processes(1) as executor, pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        list(executor.run(lambda item: item, out_of([1])))


# ends

SCRIPT = """
import os, signal, sys, time
from isingflow import executors

def busy(seconds):
    with open(f"pid-{os.getpid()}", "w"):
        pass
    time.sleep(seconds)

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    items = iter([60] * 4)
    with executors.named(sys.argv[1], workers=2) as executor:
        list(executor.run(busy, lambda: next(items, None)))
"""
GUARDED = SCRIPT + "\nif __name__ == '__main__':\n    main()\n"
EXECUTORS = ["processes", pytest.param("dask", marks=pytest.mark.slow)]


@contextlib.contextmanager
def script(directory, name, text=GUARDED, stdout=None):
    """A script of its own process group, and the processes that work for it once they do."""
    path = directory / "script.py"
    path.write_text(text)
    settings = {"cwd": directory, "env": ENVIRONMENT | {"TMPDIR": str(directory)}, "start_new_session": True}
    command = [sys.executable, str(path), name]
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, **settings) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def busy_in(directory):
    until(lambda: len(list(directory.glob("pid-*"))) == 2)
    return [int(file.name.removeprefix("pid-")) for file in directory.glob("pid-*")]


def running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("name", EXECUTORS)
def test_interrupt_ends_everything_soon(name, tmp_path):
    with script(tmp_path, name) as process:
        pids = busy_in(tmp_path)
        started = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert time.monotonic() - started < 15
        assert not any(map(running, pids))
        assert errors.count("Traceback") == 1, errors
        assert errors.strip().endswith("KeyboardInterrupt")
    assert not list(tmp_path.glob("isingflow-dask-*"))


HELD = """
import signal, sys, time
from isingflow import executors

def held(seconds):
    time.sleep(seconds)  # until the other process has its item
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

if __name__ == "__main__":
    items = iter([0.5, 0.5])
    with executors.named(sys.argv[1], workers=2) as executor:
        print([found for _, found in executor.run(held, lambda: next(items, None))])
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs signal masks")
@pytest.mark.parametrize("name", EXECUTORS)
def test_workers_are_born_deaf(name, tmp_path):
    """The first one too, in a process that never started another: its imports do not hear an interrupt."""
    with script(tmp_path, name, HELD, stdout=subprocess.PIPE) as process:
        assert process.communicate(timeout=30) == ("[True, True]\n", "")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs signal masks")
def test_interrupt_waits_until_a_worker_has_started(monkeypatch):
    """Also one that a thread receives, as those of BLAS may: half a worker would print a traceback of its own."""
    now, received, started = threading.Event(), threading.Event(), []

    def receive():
        now.wait()
        signal.raise_signal(signal.SIGINT)
        received.set()

    class Struck(executors._Worker):
        def __init__(self):
            now.set()
            received.wait()
            super().__init__()
            started.append(self._process.pid)

    monkeypatch.setattr(executors, "_Worker", Struck)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=receive).start()
    try:
        with executors.Processes(1) as executor, pytest.raises(KeyboardInterrupt):
            list(executor.run(nap, out_of([60])))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    [pid] = started
    assert not running(pid)


@pytest.mark.parametrize("name", EXECUTORS)
def test_no_process_is_left_when_this_one_is_killed(name, tmp_path):
    with script(tmp_path, name) as process:
        pids = busy_in(tmp_path)
        process.kill()
        process.wait()
        until(lambda: not any(map(running, pids)))


def test_script_without_guard_is_told_so(tmp_path):
    with script(tmp_path, "processes", SCRIPT + "\nmain()\n") as process:
        _, errors = process.communicate(timeout=20)
    assert 'below if __name__ == "__main__"' in errors.splitlines()[-1]
    assert process.returncode == 1


def test_local_cluster_leaves_no_files_and_no_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    importlib.import_module("distributed")  # sets the level
    level = logging.getLogger("distributed").level
    before = set(psutil.Process().children(recursive=True))
    with executors.Dask(workers=1) as executor:
        assert dict(executor.run(half, out_of([2]))) == {2: 1}
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    assert not [
        one for one in set(psutil.Process().children(recursive=True)) - before if "tracker" not in str(one.cmdline())
    ]
    assert logging.getLogger("distributed").level == level


# clusters that are not as they should be


def test_other_version_is_refused_with_both_named(cluster, monkeypatch):
    there = isingflow.__version__
    monkeypatch.setattr(isingflow, "__version__", "9.9")
    with pytest.raises(IsingflowError, match=rf"has isingflow {there}, this process 9\.9: install the same"):
        executors.Dask(cluster).__enter__()
    with pytest.raises(IsingflowError, match=rf"a worker on .* has isingflow 9\.9, this process {there}"):
        executors._checked(there, half, 2)


def test_nobody_listens(monkeypatch):
    monkeypatch.setattr(executors, "CONNECTION_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(IsingflowError, match=f"no dask scheduler answers at {LOCAL}:{port} within 0.5 s"):
        executors.Dask(f"{LOCAL}:{port}").__enter__()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n" * 9], ids=["nothing", "nonsense"])
def test_something_else_listens(said, monkeypatch):
    monkeypatch.setattr(executors, "CONNECTION_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            with other.accept()[0] as connection:
                connection.sendall(said)
                time.sleep(1)

        threading.Thread(target=answer).start()
        address = f"{LOCAL}:{other.getsockname()[1]}"
        with pytest.raises(IsingflowError, match=f"no dask scheduler answers at {address} within 0.5 s"):
            executors.Dask(address).__enter__()


@pytest.mark.slow
def test_workers_come_late_and_the_scheduler_goes(tmp_path, caplog):
    with scheduler_in(tmp_path / "scheduler") as (process, address), executors.Dask(address) as executor:
        assert executor.workers == 1
        assert "has no workers yet" in caplog.text
        with worker_in(tmp_path / "worker", address, "--nthreads", 3):
            assert dict(executor.run(half, out_of([2, 4]))) == {2: 1, 4: 2}
            assert executor.workers == 3
            threading.Timer(0.5, process.kill).start()
            started = time.monotonic()
            with pytest.raises(IsingflowError, match=f"connection to the dask scheduler at {address} is lost"):
                list(executor.run(nap, out_of([30] * 5)))
            with pytest.raises(IsingflowError, match="is lost"):
                list(executor.run(nap, out_of([30])))
    assert time.monotonic() - started < 15


@pytest.mark.slow
def test_worker_without_isingflow(tmp_path):
    hide = tmp_path / "hide.py"
    hide.write_text("import sys; sys.modules['isingflow'] = None")
    with (
        scheduler_in(tmp_path / "scheduler") as (_, address),
        worker_in(tmp_path / "worker", address, "--preload", hide),
    ):
        with executors.Dask(address) as executor:
            until(lambda: len(executor._client.nthreads()) == 1)
        with pytest.raises(IsingflowError, match=f"worker tcp://.* cannot import isingflow .* {isingflow.__version__}"):
            executors.Dask(address).__enter__()


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(IsingflowError, match=r"pip install 'isingflow\[cluster\]'"):
        executors.Dask(workers=1).__enter__()


# names


def test_named():
    assert isinstance(executors.named("serial"), executors.Serial)
    assert executors.named("processes", workers=3).workers == 3
    assert executors.named("processes").workers >= 1
    assert executors.named("dask", workers=3).workers == 3
    assert executors.named("dask", scheduler="tcp://[::1]:8786").scheduler == "tcp://[::1]:8786"
    assert isinstance(executors.local(1), executors.Serial)
    assert executors.local(2).workers == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("process",), "got 'process'; did you mean 'processes'"),
        ((None,), "executor must be one of"),
        (("serial", 2), 'the executor "serial" has 1 worker, got 2: take "processes"'),
        (("processes", 0), "workers must be at least 1, got 0"),
        (("dask", 1.5), "workers must be a whole number, got 1.5"),
        (("processes", 2, "tcp://host:1"), 'a scheduler needs the executor "dask", got .*"processes"'),
        (("dask", 2, "tcp://host:1"), "has its own workers, got workers=2"),
        *(
            (("dask", None, address), r"an address as tcp://host:8786, got ")
            for address in ("host:8786", "tcp://host", "tcp://:8786", "tcp://host:port", "http://host:8786", "", 8786)
        ),
        (("dask", None, "tcp://host:70000"), "got 'tcp://host:70000'"),
    ],
)
def test_refusals(arguments, message):
    names = ("workers", "scheduler")
    with pytest.raises(ParameterError, match=message):
        executors.named(arguments[0], **dict(zip(names, arguments[1:], strict=False)))
