"""Running studies: tasks into pieces, by any executor, and pieces into one archive.

What is finished lies in a folder of pieces (`isingflow.pieces`), so a study that was stopped goes on where it was, one
that has grown computes what is new, and machines can share it. No result depends on order, executor or interruption.
"""

import collections
import contextlib
import dataclasses
import datetime
import json
import logging
import math
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import filelock

from isingflow import archive, executors, files
from isingflow.errors import ArchiveError, IsingflowError, ParameterError
from isingflow.parameters import whole, within_memory
from isingflow.pieces import Finished, Pieces, key_of
from isingflow.progress import Progress
from isingflow.repeats import combined
from isingflow.study import cost, execute, memory, provenance
from isingflow.study_file import Study

PIECE_TASKS = 256
PIECE_SECONDS = 1.0
"""A piece is closed after so many tasks, or so much time."""

PATIENCE = 1.0
"""Seconds that a run waits for a lock, which `status` holds for an instant."""

PROCESS_MEMORY = 0.25e9
"""Of a worker process before it does anything, in bytes."""

log = logging.getLogger(__name__)


def run(
    study,
    *,
    executor="processes",
    workers=None,
    scheduler=None,
    output=None,
    folder=None,
    part=(1, 1),
    force=False,
    progress=True,
    notify=None,
    command="",
) -> archive.Archive | None:
    """Compute what is missing of a study, and write its archive.

    Parameters
    ----------
    study : str, path, mapping or Study
        A study file, what one would say, or one that was read.
    executor : {"processes", "serial", "dask"} or object
        Where tasks are computed, as in `isingflow.executors.named`; or an executor, which is opened and closed.
    workers : int, optional
        Processes; one for each core without it.
    scheduler : str, optional
        Address of a dask scheduler; a local cluster without it.
    output : str or path, optional
        The archive; what the study says without it.
    folder : str or path, optional
        Where finished work is kept; beside the archive, ending in ``.pieces``, without it.
    part : pair of int
        ``(k, n)``: only the k-th of n equal shares of the tasks.
    force : bool
        Whether an archive of something else may be replaced.
    progress : bool
        Whether progress is shown: on a terminal in one line, elsewhere by log messages.
    notify : callable, optional
        Called as ``notify(done, tasks)`` whenever some of the tasks that were missing are finished.
    command : str
        What the archive says it was made by.

    Returns
    -------
    Archive or None
        None if this share is done, but others are missing in the folder.

    Raises
    ------
    ParameterError
        If the study or an argument is wrong.
    ArchiveError
        If the archive or finished work cannot be written, or another run of this study is at work in the folder.
    IsingflowError
        If tasks failed; all others are kept, and in the archive.

    Examples
    --------
    >>> import tempfile
    >>> said = {"system": "chain", "estimators": ["coupling"], "grid": {"coupling": [0.4, 0.8], "factor": [2, 3]}}
    >>> with tempfile.TemporaryDirectory() as place:
    ...     found = run(said | {"output": f"{place}/chain.h5"}, executor="serial", progress=False)
    >>> [axis.name for axis in found.grid.axes], len(found.curves)
    (['coupling', 'factor'], 4)
    """
    started = datetime.datetime.now(datetime.UTC)
    todo = _study(study)
    output, folder = _places(todo, output, folder)
    share, shares = whole("part", part[0], high=whole("parts", part[1])), part[1]
    mark = f"{share}of{shares}"
    pieces = Pieces(folder, mark)
    with _chosen(executor, workers, scheduler) as chosen:
        check_output(output, todo.name, force=force)
        pieces.open()
        with _Alone(folder, mark) as note:
            note.say()
            work = _Work(todo, pieces, range(share - 1, len(todo), shares), note, chosen.workers)
            work.compute(chosen, shown=progress, notify=notify)
            return _finish(work, output, started, command=command, whole_study=shares == 1)


def _study(given):
    if isinstance(given, Study):
        return given
    if isinstance(given, collections.abc.Mapping):
        return Study.of(given)
    return Study.read(given)


def _places(todo, output, folder):
    """The archive and the folder of pieces."""
    output = todo.output if output is None else Path(output)
    if not output.name:
        raise ParameterError(f"{output} is a directory: give the name of a file in it")
    return output, output.with_suffix(".pieces") if folder is None else Path(folder)


def _chosen(executor, workers, scheduler):
    if isinstance(executor, str):
        return executors.named(executor, workers=workers, scheduler=scheduler)
    if workers is not None or scheduler is not None:
        raise ParameterError("workers and scheduler belong to an executor given by its name: the one given has its own")
    return executor


def check_output(path, name, *, force) -> None:
    """Raise if the archive of a study cannot be written there, or if what is there is not that study's.

    Raises
    ------
    ArchiveError
        Saying which.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchiveError(f"cannot make the directory {path.parent}: {error.strerror}") from None
    if path.is_file() and not force and archive.provenance_of(path).get("study_name") != name:
        raise ArchiveError(
            f"{path} exists and is no archive of the study {name!r}: choose another name, or overwrite it with --force"
        )
    archive.check_target(path, overwrite=True)


class _Alone:
    """Holds the lock of one share of a study, says who does, and sweeps away what writers of that share have left."""

    def __init__(self, folder, mark):
        self.path, self.mark = folder / f"run-{mark}.json", mark
        self.lock = filelock.FileLock(folder / f"run-{mark}.lock", timeout=PATIENCE)

    def __enter__(self):
        try:
            self.lock.acquire()
        except filelock.Timeout:
            raise ArchiveError(
                f"{self.path.parent} is in use by another run of this study, {_who(_read_note(self.path))}: "
                "wait for it, or take another --folder"
            ) from None
        except OSError as error:
            raise ArchiveError(f"cannot lock {self.path.parent}: {error.strerror}") from None
        files.sweep(self.path.parent, self.mark)
        self.note = {
            "process": os.getpid(),
            "host": platform.node(),
            "started": datetime.datetime.now().isoformat(" ", "seconds"),
        }
        return self

    def say(self, **more):
        """Write what `status` reads."""
        self.note |= more
        content = json.dumps(self.note).encode()
        try:
            files.write_whole(self.path, content, mark=self.mark)
        except OSError as error:
            raise ArchiveError(f"cannot write {self.path}: {error.strerror}") from None

    def __exit__(self, *_):
        files.sweep(self.path.parent, self.mark)  # an interrupt may fall between making a file and minding it
        self.path.unlink(missing_ok=True)
        self.lock.release()


def _who(note):
    return f"process {note['process']} on {note['host']}, since {note['started']}" if note else "an unknown process"


def _read_note(path):
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}


class _Work:
    """What is missing of a share of a study, handed out in batches, and finished lines that wait for their piece."""

    def __init__(self, todo, pieces, numbers, note, workers):
        self.study, self.pieces, self.note, self.workers = todo, pieces, note, workers
        done = {key for key, failed in map(key_of, pieces.lines(mend=True)) if not failed}
        missing = [number for number in numbers if todo.task(number).key not in done]
        self.costs = {number: cost(todo.parameters(number // todo.repeats)) for number in missing}
        # the longest first, so that no worker is left alone with one at the end
        self.waiting = collections.deque(sorted(missing, key=lambda number: -self.costs[number]))
        self.tasks, self.failures = len(numbers), []
        self._lines, self._written, self._seconds = [], time.monotonic(), math.inf

    def compute(self, executor, *, shown, notify):
        """Do all that is waiting, and keep it."""
        if getattr(executor, "scheduler", None) is None:  # else the memory is other machines'
            within_memory(
                f"the largest task for each of {executor.workers} workers at once",
                executor.workers * (PROCESS_MEMORY + self._largest()),
                advice="take fewer workers or smaller systems",
            )
        if self.waiting:
            log.info("%d of %d tasks are missing", len(self.waiting), self.tasks)
        with Progress(len(self.waiting), sum(self.costs.values()), shown=shown) as progress:
            try:
                for batch, results in executor.run(execute_batch, self.take):
                    self.keep(batch, results)
                    progress.add(len(results), sum(self.costs[number] for number, _ in batch[: len(results)]))
                    if len(self._lines) >= PIECE_TASKS or time.monotonic() - self._written >= PIECE_SECONDS:
                        self.close_piece()
                        self.note.say(left=progress.left)
                    if notify:
                        notify(progress.done, progress.tasks)
            finally:
                self.close_piece()

    def _largest(self):
        points = {number // self.study.repeats for number in self.waiting}
        return max((memory(self.study.parameters(point)) for point in points), default=0.0)

    def take(self):
        """The next batch, of about a second; None if nothing is waiting."""
        if not self.waiting:
            return None
        fair = math.ceil(len(self.waiting) / (2 * self.workers))
        count = max(1, min(PIECE_TASKS, fair, int(PIECE_SECONDS / self._seconds)))
        numbers = [self.waiting.popleft() for _ in range(count)]
        return tuple((number, self.study.task(number)) for number in numbers)

    def keep(self, batch, results):
        """Take what a batch came to; what it had no time for waits again."""
        self.waiting.extendleft(number for number, _ in reversed(batch[len(results) :]))
        self._seconds = sum(result.seconds for result in results) / len(results) + 1e-9
        for (_, task), result in zip(batch, results, strict=False):
            self._lines.append(result.line)
            if result.failure:
                self.failures.append((task, result.failure))

    def close_piece(self):
        """Write the finished lines."""
        lines, self._lines = self._lines, []
        for start in range(0, len(lines), PIECE_TASKS):
            self.pieces.write(lines[start : start + PIECE_TASKS])
        self._written = time.monotonic()


class Result(NamedTuple):
    """What a worker returns of a task: its line in a piece, the seconds it took, and why it failed, if it did."""

    line: str
    seconds: float
    failure: str


def execute_batch(batch) -> list:
    """Compute numbered tasks one after the other, until all are done or a second is over; return a `Result` of each."""
    begun, results = time.perf_counter(), []
    for _, task in batch:
        start, curves, failure = time.perf_counter(), (), ""
        try:
            curves = execute(task.parameters, task.seed, repeat=task.repeat, estimators=task.estimators)
        except Exception as error:  # a task that fails must not take the others with it: it is reported at the end
            failure = " ".join(f"{type(error).__name__}: {error}".split())
        now = time.perf_counter()
        results.append(Result(Finished(task.key, now - start, curves, failure).line(), now - start, failure))
        if now - begun > PIECE_SECONDS:
            break
    return results


def _finish(work, output, started, *, command, whole_study):
    """The archive, written if anything of it is new; None if other shares are missing."""
    todo, folder = work.study, work.pieces.folder
    if work.failures:
        task, failure = work.failures[0]
        words = f"{len(work.failures)} of {work.tasks} tasks failed, the first, {task.parameters}, with {failure}"
        if status(todo, folder=folder).done:
            collect(todo, [folder], output=output, started=started, command=command, force=True)
            words += f"; all others are in {output}"
        raise IsingflowError(words)
    if not whole_study and status(todo, folder=folder).done < len(todo):
        return None
    if not work.costs and output.is_file():
        there = archive.provenance_of(output)
        if (there.get("study"), there.get("tasks_done")) == (todo.says(), len(todo)):
            return archive.read(output)
    return collect(todo, [folder], output=output, started=started, command=command, force=True)


def collect(study, folders=(), *, output=None, started=None, command="", force=False) -> archive.Archive:
    """Put the pieces of one or several folders together into the archive of a study.

    Parameters
    ----------
    study : str, path, mapping or Study
        As for `run`.
    folders : sequence of str or path
        Where finished work is; the folder beside the archive without any.
    output : str or path, optional
        The archive; what the study says without it.
    started : datetime.datetime, optional
        When work began; now without it.
    command : str
        What the archive says it was made by.
    force : bool
        Whether an archive of something else may be replaced.

    Returns
    -------
    Archive
        Points of which nothing is done are left empty. Its provenance says how many tasks are in it.

    Raises
    ------
    ParameterError
        If the study is wrong.
    ArchiveError
        If a folder is missing, no task of the study is done, or the archive cannot be written.
    """
    started = started or datetime.datetime.now(datetime.UTC)
    todo = _study(study)
    output, beside = _places(todo, output, None)
    folders = [Path(folder) for folder in folders] or [beside]
    _check_folders(folders)
    check_output(output, todo.name, force=force)
    curves, done, seconds = _collected(todo, folders)
    if not done:
        raise ArchiveError(f"{_listed(folders)}: no task of the study {todo.name!r} is done there yet")
    words = {
        **provenance(started, todo.seed, command),
        "figure": "grid",
        "study": todo.says(),
        "study_name": todo.name,
        "tasks": len(todo),
        "tasks_done": done,
        "task_seconds": round(seconds, 3),
    }
    found = archive.Archive(tuple(curves), provenance=words, grid=todo.grid)
    with _writing(folders[0], output):
        archive.write(output, found, overwrite=True)
    return found


@contextlib.contextmanager
def _writing(folder, output):
    """One writer of the archive at a time, who sweeps away what those who were killed, or it itself, have left."""
    lock = filelock.FileLock(folder / "archive.lock")
    try:
        lock.acquire()
    except PermissionError:  # somebody else's folder: nobody can tell who writes
        yield
        return
    try:
        files.sweep(output.parent, output.name)
        yield
    finally:
        files.sweep(output.parent, output.name)
        lock.release()


def _collected(todo, folders):
    """Curves of all points of which something is done, in their order; the number of tasks done, and their seconds."""
    numbers = {todo.task(number).key: number for number in range(len(todo))}
    found, seconds = {}, 0.0
    for folder in folders:
        for line in Pieces(folder).lines():
            key, failed = key_of(line)
            if key in numbers and not failed and numbers[key] not in found:
                finished = Finished.of(line)
                found[numbers[key]] = finished.curves
                seconds += finished.seconds
    curves = []
    for point in range(len(todo.grid)):
        repeats = range(point * todo.repeats, (point + 1) * todo.repeats)
        there = [found[number] for number in repeats if number in found]
        at = todo.grid.point(point) | ({"repeats": len(there)} if todo.repeats > 1 else {})
        for alike in zip(*there, strict=True):
            one = combined(alike)
            curves.append(dataclasses.replace(one, parameters=one.parameters | at))
    return curves, len(found), seconds


def _check_folders(folders):
    for folder in folders:
        if not folder.is_dir():
            raise ArchiveError(f"{folder} is no folder of finished work: run the study first")


def _listed(folders):
    return ", ".join(map(str, folders))


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes
    ----------
    tasks, done, failed : int
        All; finished ones; those that failed and have not been done since.
    running : tuple of str
        Who is at work in the folder.
    left : float
        Seconds until the last of these is done; NaN if that is not known.
    """

    tasks: int
    done: int
    failed: int
    running: tuple
    left: float


def status(study, *, output=None, folder=None) -> Status:
    """Return how far a study is.

    Parameters
    ----------
    study : str, path, mapping or Study
        As for `run`.
    output, folder : str or path, optional
        As for `run`.

    Raises
    ------
    ParameterError
        If the study is wrong.
    """
    todo = _study(study)
    _, folder = _places(todo, output, folder)
    wanted = {todo.task(number).key for number in range(len(todo))}
    done, failed = set(), set()
    if folder.is_dir():
        for key, without in map(key_of, Pieces(folder).lines()):
            (failed if without else done).add(key)
    notes = [note for note in map(_running, sorted(folder.glob("run-*.lock"))) if note is not None]
    return Status(
        tasks=len(todo),
        done=len(done & wanted),
        failed=len((failed - done) & wanted),
        running=tuple(_who(note) for note in notes),
        left=max((note.get("left", math.nan) for note in notes), default=math.nan),
    )


def _running(path):
    """The note of who holds a lock; None if nobody does."""
    note = path.with_suffix(".json")
    try:
        with filelock.FileLock(path, timeout=0):
            return None
    except filelock.Timeout:
        return _read_note(note)
    except PermissionError:  # of somebody else's folder it is not known: what is there was not removed at least
        return _read_note(note) or None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What running a study would do.

    Attributes
    ----------
    tasks : tuple of Task
        Missing ones, in the order of the grid.
    points : tuple of dict
        Where on the grid each is.
    seconds : tuple of float
        Estimated of each, on one core.
    memory : tuple of float
        Bytes of each, estimated.
    done : int
        Tasks that are finished already.
    """

    tasks: tuple
    points: tuple
    seconds: tuple
    memory: tuple
    done: int


def plan(study, *, output=None, folder=None, part=(1, 1)) -> Plan:
    """Return what `run` would do with the same arguments, without doing or writing anything."""
    todo = _study(study)
    _, folder = _places(todo, output, folder)
    share, shares = whole("part", part[0], high=whole("parts", part[1])), part[1]
    done = set()
    if folder.is_dir():
        done = {key for key, failed in map(key_of, Pieces(folder).lines()) if not failed}
    numbers = range(share - 1, len(todo), shares)
    missing = [number for number in numbers if todo.task(number).key not in done]
    tasks = tuple(todo.task(number) for number in missing)
    return Plan(
        points=tuple(todo.grid.point(number // todo.repeats) for number in missing),
        tasks=tasks,
        seconds=tuple(cost(task.parameters) for task in tasks),
        memory=tuple(memory(task.parameters) for task in tasks),
        done=len(numbers) - len(missing),
    )
