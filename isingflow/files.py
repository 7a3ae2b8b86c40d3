"""Files that are there whole or not at all: a temporary one is written, synced and renamed."""

import contextlib
import os
import tempfile
from pathlib import Path

TEMPORARY = ".isingflow-"
"""How names of temporary files begin; the mark of the writer follows."""


def write_whole(path, content, *, mark="", check=None) -> None:
    """Write bytes to a file, which is there whole or as it was before.

    Parameters
    ----------
    path : path
        Where to; what is there is replaced.
    content : bytes-like
        What.
    mark : str
        Goes into the name of the temporary file beside it, which a process that is killed leaves for `sweep`.
    check : callable, optional
        Called when all is written and nothing yet replaced; what it raises leaves everything as it was.

    Raises
    ------
    OSError
        If it cannot be written, for instance for want of space.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=_begin(mark), suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        if check:
            check()
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def sweep(folder, mark) -> int:
    """Remove the temporary files that killed writers of this mark have left in a folder; return how many."""
    found = [path for path in Path(folder).iterdir() if path.name.startswith(_begin(mark))]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _begin(mark):
    return f"{TEMPORARY}{os.fsdecode(os.fsencode(mark)[:100])}-"  # names of files may have 255 bytes


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
