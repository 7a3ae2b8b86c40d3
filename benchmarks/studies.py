"""What running a study costs beside its tasks: many short ones, scaling, bookkeeping, memory of the parent.

Times are the clock's; ratios are of runs one after the other on the same machine.
"""

import functools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from isingflow import running
from isingflow.executors import Dask, Processes, Serial
from isingflow.running import execute_batch
from isingflow.study_file import Study

SHORT = {
    "system": "chain",
    "estimators": ["coupling"],
    "parameters": {"steps": 1},
    "grid": {"coupling": {"from": 0.01, "to": 1.0, "points": 100}, "field": {"from": 0.0, "to": 1.0, "points": 100}},
}
SAMPLED = {"system": "chain", "estimators": ["window marginal"], "parameters": {"coupling": 0.5, "steps": 4}}


def clock(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def run(study, executor, **settings):
    with tempfile.TemporaryDirectory() as place:
        return clock(
            lambda: running.run(study, executor=executor, output=Path(place, "x.h5"), progress=False, **settings)
        )


def lasting(seconds):
    """The sampled study with tasks of about so many seconds."""
    samples = 200
    while True:
        study = Study.of(SAMPLED | {"parameters": {**SAMPLED["parameters"], "samples": samples}})
        took = min(clock(functools.partial(execute_batch, [(0, study.task(0))]))[0] for _ in range(3))
        if took > 0.7 * seconds:
            return SAMPLED | {"parameters": {**SAMPLED["parameters"], "samples": int(samples * seconds / took)}}
        samples = int(samples * min(10, max(1.5, seconds / took)))


def parent_memory(points):
    """Bytes at most, by Linux, of a process whose two workers compute so many short tasks, before it collects them."""
    code = f"""
import re, tempfile
from pathlib import Path
from isingflow import running
if __name__ == "__main__":
    running._finish = lambda *_, **__: None
    study = {SHORT!r}
    study["grid"]["field"]["points"] = {points}
    with tempfile.TemporaryDirectory() as place:
        running.run(study, workers=2, output=place + "/x.h5", progress=False)
    print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""
    with tempfile.TemporaryDirectory() as place:
        Path(place, "script.py").write_text(code)
        return int(subprocess.run([sys.executable, f"{place}/script.py"], capture_output=True, check=True).stdout)


def main():
    seconds, found = run(SHORT, Processes(2))
    each = found.provenance["task_seconds"] / found.provenance["tasks"]
    print(f"10,000 tasks of {1e3 * each:.2f} ms on two processes: {seconds:.1f} s")

    medium = lasting(0.2) | {"repeats": 200}
    one, two, dask = ([], [], [])
    for _ in range(3):
        for times, executor in ((one, Processes(1)), (two, Processes(2)), (dask, Dask(workers=2))):
            times.append(run(medium, executor)[0])
    gains = [first / second for first, second in zip(one, two, strict=True)]
    of_dask = [first / second for first, second in zip(one, dask, strict=True)]
    print(
        f"200 tasks of 0.2 s: one worker {statistics.median(one):.1f} s; two are {statistics.median(gains):.2f} times "
        f"as fast ({min(gains):.2f} to {max(gains):.2f}), two of dask {statistics.median(of_dask):.2f} times"
    )

    long = lasting(1.0) | {"repeats": 20}
    shares = []
    for _ in range(3):
        seconds, found = run(long, Serial())
        shares.append(1 - found.provenance["task_seconds"] / seconds)
    print(f"20 tasks of a second, here: {100 * statistics.median(shares):.2f} % of the time is not theirs")

    few, many = parent_memory(10), parent_memory(100)
    print(f"parent's memory at most: {few / 1e6:.0f} MB with 1,000 tasks, {many / 1e6:.0f} MB with 10,000")


if __name__ == "__main__":
    main()
