"""Ways to run a function on many items: here, or in other processes."""

import concurrent.futures
import contextlib
import multiprocessing
import signal
from concurrent.futures.process import BrokenProcessPool

from threadpoolctl import threadpool_limits

from isingflow.errors import IsingflowError


def serial(function, items):
    """Yield ``(index, function(item))`` one after the other, BLAS on one thread meanwhile."""
    for index, item in enumerate(items):
        with threadpool_limits(limits=1):
            result = function(item)
        yield index, result


def processes(function, items, workers):
    """Yield ``(index, function(item))`` as other processes finish them, BLAS on one thread in each.

    The processes are spawned, so a script that gets here needs the usual ``if __name__ == "__main__"``. Leaving the
    loop early, or an interrupt, ends them.

    Raises
    ------
    IsingflowError
        If a process dies, for instance for want of memory.
    """
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(items)), multiprocessing.get_context("spawn"), initializer=_settle
    )
    before = set(multiprocessing.active_children())
    try:
        with _deaf():
            pending = {pool.submit(function, item): index for index, item in enumerate(items)}
        for future in concurrent.futures.as_completed(pending):
            yield pending[future], future.result()
        pool.shutdown()
    except BrokenProcessPool:
        raise IsingflowError(
            "a worker process died, perhaps for want of memory: try fewer workers or a smaller study"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()


@contextlib.contextmanager
def _deaf():
    """Hold interrupts back: processes started meanwhile never hear one, while they import or later."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    threadpool_limits(limits=1)
