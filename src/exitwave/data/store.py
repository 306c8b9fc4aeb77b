"""The store: files that appear only when complete, in a folder that one process writes to at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # an operating system without it: two runs in one folder then disturb one another unnoticed
    fcntl = None

_PARTIAL = ".partial-"


@dataclass(frozen=True)
class Stored:
    """The size in bytes and the SHA-256 of a file."""

    bytes: int
    sha256: str


def write(path: Path, chunks: Iterable[bytes]) -> Stored:
    """Write the file `path` and return what was written; the file appears when it is complete and on the disk.

    A file that was there before stays until then. The folder itself is not synchronised, which could lose a whole file
    with the power, but not a part of one: readers check the sum of what they find.
    """
    digest, size = hashlib.sha256(), 0
    temporary = path.with_name(f"{_PARTIAL}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        _discard(temporary)
        if isinstance(error, OSError):
            raise _explained(error, path) from None
        raise
    return Stored(size, digest.hexdigest())


def matches(path: Path, stored: Stored) -> bool:
    """Return whether the file `path` is there and is the one that was written."""
    try:
        if path.stat().st_size != stored.bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256
    except OSError:
        return False


def summed(path: Path) -> Stored:
    """Return the size and the sum of the file `path`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Stored(file.tell(), digest)


def clean(folder: Path) -> None:
    """Remove what writers that were killed have left unfinished below `folder`."""
    for path in folder.rglob(f"{_PARTIAL}*"):
        _discard(path)


def is_partial(path: Path) -> bool:
    """Return whether `path` is an unfinished file."""
    return path.name.startswith(_PARTIAL)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to `folder`; the lock goes with the process, however it ends."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"expected a folder at {folder}, got a file; choose another path")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY) if fcntl else None
    except OSError as error:
        raise _explained(error, folder) from None
    if fcntl is None or handle is None:
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"expected a folder that nothing else writes to, got {folder}, where another run is at work; wait for "
                "it or choose another folder"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def _explained(error: OSError, path: Path) -> OSError:
    reason = error.strerror or str(error)
    remedy = "make room or correct the path, and run the same again: what is complete stays"
    message = f"cannot write {path}: {reason}; {remedy}"
    explained = OSError(message)
    explained.errno = error.errno
    return explained


def _discard(path: Path) -> None:
    # What cannot be removed now is removed when the run is resumed.
    with suppress(OSError):
        path.unlink(missing_ok=True)
