"""Studies killed at random moments and resumed: the same archive, nothing computed twice, nothing left over."""

import os
import random
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT
from test_executors import scheduler_in, worker_in

from isingflow import executors, running
from studies import QUICK, data, keys, toml, until

DRIVER = """
import sys
from isingflow import running
running.PIECE_TASKS, running.PIECE_SECONDS = 1, 0.0
if __name__ == "__main__":
    study, output, executor, scheduler = sys.argv[1:]
    workers = 2 if executor == "processes" else None
    running.run(study, output=output, executor=executor, workers=workers, scheduler=scheduler or None, progress=False)
"""
"""A run that closes a piece after every task, so that it is often killed while it writes."""

TASKS = 400
STUDY = QUICK | {"grid": {"coupling": [n / 50 for n in range(1, 51)], "factor": list(range(2, 10))}}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The archive's data, without interruption."""
    output = tmp_path_factory.mktemp("whole") / "x.h5"
    running.run(STUDY, executor="serial", output=output, progress=False)
    return data(output)


class Runs:
    """Runs of the study in one place, of which all but the last are killed."""

    def __init__(self, place, executor, scheduler=""):
        self.place, self.folder = place, place / "x.pieces"
        self.kept, self.within = {}, 0
        (place / "driver.py").write_text(DRIVER)
        (place / "x.toml").write_text(toml(STUDY))
        self.arguments = [place / "driver.py", place / "x.toml", place / "x.h5", executor, scheduler]

    def start(self):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, *map(str, self.arguments)], env=environment)

    def pieces(self):
        return {path.name: path.read_bytes() for path in self.folder.glob("*.piece")}

    def leftovers(self):
        return [path for path in self.place.rglob(".isingflow-*") if path.suffix == ".tmp"]

    def underway(self, process):
        """Wait until a run has written its first new piece."""
        while process.poll() is None and len(list(self.folder.glob("*.piece"))) <= len(self.kept):
            time.sleep(0.001)

    def check(self):
        """Finished pieces stay as they are."""
        now = self.pieces()
        assert now.items() >= self.kept.items()
        self.kept = now

    def kill(self, after):
        """Start a run and kill it, some seconds after its first piece."""
        process = self.start()
        self.underway(process)
        time.sleep(after)
        assert process.poll() is None, "the run ended before it was killed: make the study larger"
        process.kill()
        process.wait()
        self.within += bool(self.leftovers())
        self.check()

    def resume(self, expected):
        """Run to the end; nothing was lost, done twice or left over."""
        assert self.start().wait() == 0
        self.check()
        finished = keys(self.folder)
        assert len(finished) == len(set(finished)) == TASKS
        assert not self.leftovers()
        assert data(self.place / "x.h5") == expected


def killed_often(runs, rng, kills, within):
    """Kill at least so many times, and until so many fell within a write."""
    count = 0
    while count < kills or runs.within < within:
        runs.kill(rng.uniform(0, 0.01))
        count += 1
    print(f"{count} kills, {runs.within} of them within a write")


@pytest.mark.parametrize("executor", ["serial", "processes"])
@pytest.mark.parametrize(("kills", "within"), [(2, 0), pytest.param(30, 10, marks=pytest.mark.slow)])
def test_killed(tmp_path, expected, executor, kills, within):
    runs = Runs(tmp_path, executor)
    killed_often(runs, random.Random(executor), kills, within)
    runs.resume(expected)


@pytest.fixture
def scheduler(tmp_path):
    with scheduler_in(tmp_path / "scheduler") as (_, address):
        yield address


@pytest.mark.slow
def test_killed_clients_of_a_cluster(tmp_path, expected, scheduler):
    runs = Runs(tmp_path, "dask", scheduler)
    with worker_in(tmp_path / "one", scheduler), worker_in(tmp_path / "two", scheduler):
        killed_often(runs, random.Random(3), 20, 0)
        runs.resume(expected)


@pytest.mark.slow
def test_killed_workers_of_a_cluster(tmp_path, expected, scheduler):
    """Of two workers without nannies one is killed at random, and another started, twenty times."""
    rng, runs = random.Random(4), Runs(tmp_path, "dask", scheduler)
    with worker_in(tmp_path / "constant", scheduler, "--no-nanny"):
        for number in range(20):
            with worker_in(tmp_path / str(number), scheduler, "--no-nanny") as victim:
                with executors.Dask(scheduler) as client:
                    until(lambda client=client: client.workers == 2)
                process = runs.start()
                runs.underway(process)
                time.sleep(rng.uniform(0, 0.03))
                psutil.Process(victim.pid).kill()
                victim.wait()
                runs.check()
                process.kill()  # most runs go on to their end; this one is to be there for the next victim
                process.wait()
        runs.resume(expected)
