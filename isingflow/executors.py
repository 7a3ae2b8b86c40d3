"""Ways to run a function on many items: here, in other processes, or on a cluster.

An executor is a context manager with a number of `workers` and a generator ``run(function, take)``. `take` is asked
for an item whenever there is room for one, in the caller's thread, so that neither items nor results pile up; it
returns None when it has none now. The run yields ``(item, result)`` as items finish, in any order, and ends when there
is nothing more to take and nothing in flight. What the caller does with one result may make new items.

However a function is run, BLAS has one thread, so the numbers are the same to the last bit.
"""

import contextlib
import gc
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pickle
import pkgutil
import platform
import queue
import signal
import sys
import tempfile
import threading
import traceback
import urllib.parse

from threadpoolctl import threadpool_limits

import isingflow
from isingflow.errors import IsingflowError, ParameterError

NAMES = ("serial", "processes", "dask")
DEATHS = 3
"""Of worker processes, with the same item in flight, before it is given up."""

CONNECTION_SECONDS = 5
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

log = logging.getLogger(__name__)


def named(name, *, workers=None, scheduler=None):
    """Return the executor of a name.

    Parameters
    ----------
    name : {"serial", "processes", "dask"}
        Which.
    workers : int, optional
        Processes, at least 1; one for each core without it. Not for a scheduler, which has its own.
    scheduler : str, optional
        Where the scheduler of a cluster listens, as ``tcp://host:port``; only for "dask".

    Returns
    -------
    Serial, Processes or Dask

    Raises
    ------
    ParameterError
        If there is no such executor, or it does not take what is given.

    Examples
    --------
    >>> named("processes", workers=2).workers
    2
    """
    from isingflow.parameters import choice  # not above: numpy would be loaded before a worker has its settings

    choice("executor", name, NAMES)
    if name == "dask":
        return Dask(scheduler, workers)
    if scheduler is not None:
        raise ParameterError(f'a scheduler needs the executor "dask", got scheduler={scheduler!r} with "{name}"')
    if name == "processes":
        return Processes(workers)
    if workers not in (None, 1):
        raise ParameterError(f'the executor "serial" has 1 worker, got {workers!r}: take "processes" for more')
    return Serial()


def local(workers):
    """Return `Serial` for one worker, `Processes` for more.

    Raises
    ------
    ParameterError
        If `workers` is not a whole number of at least 1.
    """
    executor = Processes(workers)
    return executor if executor.workers > 1 else Serial()


class Serial:
    """Run here, one after the other.

    Examples
    --------
    >>> items = iter([1.0, 4.0])
    >>> with Serial() as executor:
    ...     dict(executor.run(abs, lambda: next(items, None)))
    {1.0: 1.0, 4.0: 4.0}
    """

    workers = 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def run(self, function, take):
        """Yield ``(item, function(item))`` of whatever `take` returns, until that is None."""
        while (item := take()) is not None:
            with threadpool_limits(limits=1):
                result = function(item)
            yield item, result


class _Parallel:
    """What executors have in common that keep several items in flight."""

    def __exit__(self, *error):
        self._close()

    def run(self, function, take):
        """Yield ``(item, function(item))`` as they finish, in any order.

        Parameters
        ----------
        function : callable
            Of a module, so that a worker can import it.
        take : callable
            Returns an item, or None if there is none now.

        Yields
        ------
        tuple
            Item and result; both can be pickled.

        Raises
        ------
        IsingflowError
            If workers die, or are out of reach.
        Exception
            What the function raises; everything in flight is given up.
        """
        try:
            while True:
                self._fill(function, take)
                if not self._in_flight:
                    return
                finished = self._next()
                self._fill(function, take)  # no worker waits while the caller deals with this result
                yield finished
        finally:
            self._abandon()

    def _fill(self, function, take):
        while len(self._in_flight) < self._room() and (item := take()) is not None:
            self._start(function, item)


class Processes(_Parallel):
    """Run in other processes of this machine, BLAS and numba on one thread in each.

    The processes are spawned when there is work for them, so a script that gets here needs the usual
    ``if __name__ == "__main__"``. They stay for further runs until the end of the ``with`` block, and end with this
    process, however it ends. One that dies is replaced, and its item tried again, twice.

    Parameters
    ----------
    workers : int, optional
        Processes, at least 1; one for each core without it.

    Raises
    ------
    ParameterError
        If there is no such number of workers.
    """

    def __init__(self, workers=None):
        from isingflow.parameters import processors

        self.workers = processors(workers)
        self._idle = []
        self._in_flight = {}  # connection -> (worker, pickled function and item, item, deaths)

    def __enter__(self):
        return self

    def _room(self):
        return self.workers

    def _start(self, function, item):
        self._send(pickle.dumps((function, item)), item, 0)

    def _send(self, work, item, deaths):
        if not self._idle:
            with _deaf():
                self._idle.append(_Worker())
        worker = self._idle.pop()
        self._in_flight[worker.connection] = worker, work, item, deaths
        with contextlib.suppress(OSError):  # it has died, as `_next` will find out
            worker.connection.send_bytes(work)

    def _next(self):
        while True:
            connection = multiprocessing.connection.wait(list(self._in_flight))[0]
            worker, work, item, deaths = self._in_flight.pop(connection)
            try:
                answer = connection.recv_bytes()
            except (EOFError, OSError):
                _mourn(worker.end(patience=1), deaths + 1)
                self._send(work, item, deaths + 1)
                continue
            self._idle.append(worker)
            result, error = pickle.loads(answer)
            if error is not None:
                raise error
            return item, result

    def _abandon(self):
        for worker, *_ in self._in_flight.values():
            worker.end()
        self._in_flight.clear()

    def _close(self):
        self._abandon()
        for worker in self._idle:
            worker.end()
        self._idle.clear()


class _Worker:
    """A process that waits for work at the other end of a connection."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def end(self, patience=0):
        """End the process, unless it ends by itself in some seconds; return its exit code, negative for a signal."""
        self._process.join(patience)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        self.connection.close()
        return code


def _mourn(code, deaths):
    if deaths < DEATHS:
        log.warning("a worker process died (exit code %s): its item is tried again", code)
        return
    why = "perhaps for want of memory: try fewer workers or a smaller study"
    if code == 1:  # of a process that could not start: what a function raises comes as an answer
        why = 'for the reason it printed; a script must start its work below if __name__ == "__main__"'
    raise IsingflowError(f"a worker process died {DEATHS} times with the same item (exit code {code}), {why}")


def _serve(connection):
    """Answer work with results, or with what was raised, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    alone = dict.fromkeys(THREAD_VARIABLES, "1")
    if "numba" not in sys.modules:  # it may have its threads, and refuses another number then
        alone["NUMBA_NUM_THREADS"] = "1"
    os.environ.update(alone)
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))


def _end_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _answer(work):
    try:
        function, item = pickle.loads(work)
        return pickle.dumps((_alone(function, item), None))
    except BaseException as error:
        return _pickled(error)


def _pickled(error):
    """The error with where it was raised; by its words alone if it does not survive the way."""
    error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        answer = pickle.dumps((None, error))
        pickle.loads(answer)
    except Exception:
        return pickle.dumps((None, IsingflowError(f"{type(error).__name__}: {error}")))
    return answer


def _alone(function, item):
    """Run with BLAS on one thread, and leave it so: in a worker of several threads another may still need it."""
    threadpool_limits(limits=1)
    return function(item)


@contextlib.contextmanager
def _deaf():
    """Hold interrupts back until the end: processes started meanwhile never hear one, while they import or later."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    multiprocessing.resource_tracker.ensure_running()  # started with the first process, it would let interrupts in
    with _later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which the processes inherit
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _later():
    """Handle an interrupt at the end: a thread of BLAS, whose signals are not blocked, may receive one for this."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    held = []
    signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)


class Dask(_Parallel):
    """Run on a cluster of dask.distributed, or on a local one made for the purpose.

    Items and results travel over the network; no file system is shared. Two items for each of the cluster's threads
    are in flight, whose number may change meanwhile.

    Parameters
    ----------
    scheduler : str, optional
        Where the scheduler listens, as ``tcp://host:port``; a local cluster without it.
    workers : int, optional
        Single-threaded processes of the local cluster, at least 1; one for each core without it.

    Raises
    ------
    ParameterError
        If the address is malformed, or there is no such number of workers.
    IsingflowError
        On entering: if dask.distributed is not installed, the scheduler out of reach, or a worker's isingflow missing
        or of another version.
    """

    def __init__(self, scheduler=None, workers=None):
        from isingflow.parameters import processors

        if scheduler is not None and workers is not None:
            raise ParameterError(
                f"the scheduler at {scheduler} has its own workers, got workers={workers!r}: leave one of both out"
            )
        self.scheduler = None if scheduler is None else _address(scheduler)
        self._local = processors(workers) if scheduler is None else 1
        self._client = None
        self._in_flight = {}  # key of a future -> (future, item)

    @property
    def workers(self) -> int:
        """Threads of the cluster now, at least 1; of a scheduler that is not yet connected, 1."""
        if self._client is None or self.scheduler is None:
            return self._local
        self._check_connection()
        try:
            return max(1, sum(self._client.nthreads().values()))
        except OSError:
            raise self._lost() from None

    def __enter__(self):
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise IsingflowError(
                f"the executor \"dask\" needs {error.name}, which is not installed: pip install 'isingflow[cluster]'"
            ) from None
        self._as_completed = distributed.as_completed
        with contextlib.ExitStack() as opened:
            opened.enter_context(_quiet())
            where = self.scheduler or opened.enter_context(_local_cluster(self._local))
            client = opened.enter_context(_connection(where))
            if self.scheduler:
                _check_versions(client)
            self._opened = opened.pop_all()
        self._client = client
        return self

    def _room(self):
        return 2 * self.workers

    def _start(self, function, item):
        self._check_connection()
        if not self._in_flight:
            self._finished = self._as_completed(loop=self._client.loop)
        future = self._client.submit(_checked, isingflow.__version__, function, item, pure=False)
        self._in_flight[future.key] = future, item
        self._finished.add(future)

    def _next(self):
        from distributed import CancelledError, KilledWorker

        future = next(self._finished)
        _, item = self._in_flight.pop(future.key)
        try:
            result = future.result()
        except KilledWorker as error:
            raise IsingflowError(
                f"a worker process died {error.allowed_failures + 1} times with the same item, perhaps for want of "
                "memory: give the workers more, or make the study smaller"
            ) from None
        except CancelledError:
            raise self._lost() from None
        return item, result

    def _check_connection(self):
        if self._client.status != "running":
            raise self._lost()

    def _lost(self):
        where = f"the dask scheduler at {self.scheduler}" if self.scheduler else "the local dask cluster"
        return IsingflowError(f"the connection to {where} is lost: see that it runs, then start again")

    def _abandon(self):
        if self._in_flight and self._client.status == "running":
            self._client.cancel([future for future, _ in self._in_flight.values()], force=True)
        self._in_flight.clear()

    def _close(self):
        self._abandon()
        self._client = None
        self._opened.close()


def _address(scheduler):
    """The address as it is given, if it is one."""
    try:
        parts = urllib.parse.urlsplit(scheduler)
        fine = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path.strip("/")
    except (ValueError, AttributeError, TypeError):
        fine = False
    if not fine:
        raise ParameterError(f"the scheduler must be an address as tcp://host:8786, got {scheduler!r}")
    return scheduler


def _checked(version, function, item):
    """Run in a worker, which may have come after the others were asked for their version."""
    _check_version(version, isingflow.__version__, f"a worker on {platform.node()}")
    return _alone(function, item)


def _check_version(here, there, where):
    if here != there:
        raise IsingflowError(
            f"{where} has isingflow {there}, this process {here}: install the same version on both sides"
        )


def _check_versions(client):
    # a function of the standard library, so that it also runs where isingflow is missing
    asked = pkgutil.resolve_name, "isingflow:__version__"
    try:
        found = {"the scheduler": client.run_on_scheduler(*asked)}
    except ImportError as error:
        found = {"the scheduler": error}
    workers = client.run(*asked, on_error="return")
    found |= {f"the worker {address}": version for address, version in workers.items()}
    for where, version in found.items():
        if isinstance(version, Exception):
            raise IsingflowError(
                f"{where} cannot import isingflow ({version}): install isingflow {isingflow.__version__} there"
            )
        _check_version(isingflow.__version__, version, where)
    if not workers:
        log.warning("the scheduler has no workers yet: waiting for them")


@contextlib.contextmanager
def _connection(where):
    client = _client_of(where)
    try:
        yield client
    finally:
        client.close(timeout=2)


def _client_of(where):
    import distributed

    found = queue.SimpleQueue()

    def connect():
        try:
            found.put(distributed.Client(where, timeout=CONNECTION_SECONDS, set_as_default=False))
        except Exception as error:
            found.put(error)

    # in a thread, because a server that listens but never answers keeps it for ever, whatever the timeout
    threading.Thread(target=connect, daemon=True).start()
    try:
        client = found.get(timeout=1.5 * CONNECTION_SECONDS)
    except queue.Empty:
        client = TimeoutError("what listens there says nothing")
    if isinstance(client, Exception):  # of any kind: what is no scheduler may answer anything
        words = f"{type(client).__name__}: {client}"
        # the failed client goes now: collected while another starts, it waits for a lock that the other holds
        del client
        gc.collect()
        raise IsingflowError(
            f"no dask scheduler answers at {where} within {CONNECTION_SECONDS} s ({words}): is it running, and can "
            "this machine reach it?"
        )
    return client


@contextlib.contextmanager
def _local_cluster(workers):
    import distributed

    class PromptNanny(distributed.Nanny):
        """Ends a worker process that is busy within a second, not four."""

        async def close(self, timeout=1, **why):
            return await super().close(timeout=timeout, **why)

    # a worker may still remove a file of its own while the directory goes
    with tempfile.TemporaryDirectory(prefix="isingflow-dask-", ignore_cleanup_errors=True) as space:
        with _deaf():  # the cluster's thread, too: the processes that it starts inherit it
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                worker_class=PromptNanny,
                memory_limit=None,  # else a share for each, beyond which a worker is ended
                dashboard_address="127.0.0.1:0",  # cannot be left out: None is port 8787
                local_directory=space,
                scheduler_kwargs={"local_directory": space},
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster


@contextlib.contextmanager
def _quiet():
    """Hold back what dask logs meanwhile: what matters is raised."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado.application")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
