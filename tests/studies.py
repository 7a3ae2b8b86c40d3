"""Small studies that several test files run, and how their archives are compared."""

import json
import time

from conftest import contents

from isingflow.archive import read
from isingflow.pieces import Pieces, key_of

QUICK = {
    "system": "chain",
    "estimators": ["coupling"],
    "parameters": {"steps": 2},
    "grid": {"coupling": [0.4, 0.8, 1.2], "factor": [2, 3]},
}
"""Closed forms, a millisecond each."""

SAMPLED = {
    "system": "chain",
    "repeats": 2,
    "parameters": {"sites": 64, "steps": 3, "samples": 20},
    "grid": {"coupling": [0.4, 0.8, 1.2], "window": [2, 3]},
}
"""Twelve tasks that depend on their random streams."""


def toml(said):
    """A study as the text of a file."""
    scalars = [f"{key} = {json.dumps(value)}" for key, value in said.items() if not isinstance(value, dict)]
    tables = [
        f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
        for name, table in said.items()
        if isinstance(table, dict)
    ]
    return "\n".join([*scalars, *tables, ""])


def data(path):
    """The curves of an archive, comparable by bits."""
    return [contents(curve) for curve in read(path).curves]


def keys(folder):
    """Keys of all finished tasks in a folder, in order, as often as they are there."""
    return [key for key, failed in map(key_of, Pieces(folder).lines()) if not failed]


def until(condition, seconds=60):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
