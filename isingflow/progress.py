"""How far a study is: a line on a terminal, plain log lines elsewhere."""

import logging
import sys
import time

EVERY = 30.0
"""Seconds between log lines."""

log = logging.getLogger(__name__)


class Progress:
    """Counts tasks and their estimated cost, and says how long is left; a context manager.

    Parameters
    ----------
    tasks : int
        To be done now.
    cost : float
        Of all these together, in any unit.
    shown : bool
        Whether anything is shown.
    """

    def __init__(self, tasks, cost, *, shown=True):
        self.tasks, self.cost, self.shown = tasks, cost, shown
        self.done, self._spent, self._bar = 0, 0.0, None
        self._start = self._said = time.monotonic()

    def __enter__(self):
        if self.shown and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.tasks,
                unit=" tasks",
                bar_format="{bar:20} {n_fmt}/{total_fmt} tasks, {rate_noinv_fmt}{postfix}",
                leave=False,
                file=sys.stderr,
            )
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()
        elif self.shown and self.done:
            log.info("%d of %d tasks in %s", self.done, self.tasks, duration(time.monotonic() - self._start))

    @property
    def left(self) -> float:
        """Seconds until all is done, as fast as it went so far; NaN before anything is."""
        elapsed = time.monotonic() - self._start
        return elapsed * (self.cost / self._spent - 1) if self._spent else float("nan")

    def add(self, tasks, cost):
        """Count tasks that are finished, and their cost."""
        self.done += tasks
        self._spent += cost
        left = f"about {duration(self.left)} left"
        if self._bar is not None:
            self._bar.set_postfix_str(left, refresh=False)
            self._bar.update(tasks)
        elif self.shown and time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            rate = self.done / (self._said - self._start)
            log.info("%d of %d tasks, %.3g a second, %s", self.done, self.tasks, rate, left)


def duration(seconds) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> duration(3.21), duration(75), duration(3 * 3600 + 61)
    ('3.2 s', '1 min 15 s', '3 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
