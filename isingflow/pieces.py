"""Finished work of a study in a folder: pieces, each a file that is there whole or not at all.

A piece is text. Its first line says the format and the version of the package; every other is a finished task: its key
and its curves, or why it failed; the last is the SHA-256 of all before it. A name is a piece's digest, so machines can
share a folder, and folders can be put together.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import isingflow
from isingflow import files
from isingflow.curve import SERIES, LevelCurve
from isingflow.errors import ArchiveError

FORMAT = "isingflow piece"
SCHEMA = 1
ENDING = ".piece"
_ARRAYS = ("levels", *SERIES)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Finished:
    """What came of a task.

    Attributes
    ----------
    key : str
        Of the task.
    seconds : float
        That it took.
    curves : tuple of LevelCurve
        None if it failed.
    failure : str
        Why it failed; empty if it did not.
    """

    key: str
    seconds: float
    curves: tuple = ()
    failure: str = ""

    def line(self) -> str:
        """Return it as a line of JSON, numbers to the last bit."""
        said = {"key": self.key, "seconds": round(self.seconds, 6)}
        more = {"failure": self.failure} if self.failure else {"curves": [_said(curve) for curve in self.curves]}
        return json.dumps(said | more, separators=(",", ":"))

    @classmethod
    def of(cls, line) -> "Finished":
        """Return what a line says."""
        said = json.loads(line)
        curves = tuple(LevelCurve(**curve) for curve in said.get("curves", ()))
        return cls(said["key"], said["seconds"], curves, said.get("failure", ""))


def _said(curve):
    fields = vars(curve) | {name: getattr(curve, name).tolist() for name in _ARRAYS}
    # a series of one number, such as NaN for what there is none of, is written once; -0.0 and 0.0 are two
    return fields | {name: fields[name][0] for name in SERIES if len(set(map(repr, fields[name]))) == 1}


class Pieces:
    """The pieces of a folder.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    mark : str
        Of temporary files, so that only leftovers of the same run are swept away.
    """

    def __init__(self, folder, mark=""):
        self.folder, self.mark = Path(folder), mark

    def open(self):
        """Make the folder, if it is not there.

        Raises
        ------
        ArchiveError
            If that cannot be done.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchiveError(f"cannot keep finished work in {self.folder}: {error.strerror}") from None

    def write(self, lines):
        """Write a piece.

        Parameters
        ----------
        lines : sequence of str
            Of `Finished.line`.

        Raises
        ------
        ArchiveError
            If it cannot be written; nothing of it is there then.
        """
        head = {"format": FORMAT, "schema": SCHEMA, "version": isingflow.__version__}
        content = "".join(f"{line}\n" for line in (json.dumps(head), *lines)).encode()
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / f"{digest[:32]}{ENDING}"
        try:
            files.write_whole(path, content + f"{digest}\n".encode(), mark=self.mark)
        except OSError as error:
            raise ArchiveError(
                f"cannot keep finished work in {self.folder}: {error.strerror}; what is there already stays"
            ) from None

    def lines(self, *, mend=False) -> Iterator[bytes]:
        """Yield the line of every finished task, as `Finished.of` takes it; some tasks may come twice.

        Pieces that are damaged, or of another version of the package, are left out and reported, once each.

        Parameters
        ----------
        mend : bool
            Whether damaged pieces are removed: what they held is to be computed again.

        Raises
        ------
        ArchiveError
            If a piece is of a newer format, or cannot be read.
        """
        for path in sorted(self.folder.glob(f"*{ENDING}")):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise ArchiveError(f"cannot read {path}: {error.strerror}") from None
            body, digest = content[:-65], content[-65:]
            if digest != f"{hashlib.sha256(body).hexdigest()}\n".encode():
                fate = "removed, its tasks are computed again" if mend else "left out"
                log.warning("%s is damaged: %s", path, fate)
                if mend:
                    path.unlink(missing_ok=True)
                continue
            head, *lines = body.splitlines()
            head = json.loads(head)
            if head.get("format") != FORMAT or head["schema"] > SCHEMA:
                raise ArchiveError(f"{path} is no piece that this version can read: update isingflow, or remove it")
            if head["version"] != isingflow.__version__:
                log.warning("%s is left out: it was made by version %s", path, head["version"])
                continue
            yield from lines


def key_of(line) -> tuple[str, bool]:
    """Return the key of a line of a piece, and whether its task failed, without reading its curves."""
    return line[8:72].decode(), b',"failure":' in line[:160]
