"""Files that survive a crash, and a lock on a run: what stands between a long run and a bad disk."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


ABANDONED = 6 * 3600.0  # seconds after which a half-written file has no writer any more


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a half.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; the old file is then untouched.
    """
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes it private
        os.replace(name, path)
    except BaseException as error:
        if name:
            with contextlib.suppress(OSError):
                os.unlink(name)
        if isinstance(error, OSError):
            raise explained(error, path) from None
        raise


def explained(error: OSError, path: Path) -> OSError:
    """The same error with a message for the reader, in one line."""
    return OSError(
        error.errno,
        f"cannot write {path} ({error.strerror}); earlier files are untouched: "
        "make room or choose another folder, and the run continues where it was",
    )


def set_aside(path: Path, why: str) -> Path:
    """Rename a damaged file to ``*.damaged`` and say so; returns its new name."""
    new, count = path.with_name(f"{path.name}.damaged"), 1
    while new.exists():
        count += 1
        new = path.with_name(f"{path.name}.damaged{count}")
    os.replace(path, new)
    print(f"{path} {why}; set aside as {new.name}, continuing without it", file=sys.stderr)
    return new


@contextlib.contextmanager
def claimed(folder: Path, run_id: str) -> Iterator[None]:
    """Hold a run in a folder: a second process that asks for it waits until the first has ended.

    The kernel lets go of the lock when its holder dies, however it dies. Where a file system knows no locks
    (some network and cloud drives), a message says so and the run goes on: two processes would then do
    the same work, but files are written whole, so neither harms the other.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    path = folder / f"{run_id}.lock"
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise explained(error, path) from None
        try:
            locked = _wait(handle, path)
            if _is(handle, path):  # else the holder has ended and removed the file that we waited for
                break
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    try:
        with contextlib.suppress(OSError):  # a courtesy to whoever waits; the lock does not need it
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        for leftover in folder.glob(f".{run_id}.*"):  # half-written files of a killed process
            # without locks its writer may be alive, and near: what is young is left alone
            if locked or _age(leftover) > ABANDONED:
                leftover.unlink(missing_ok=True)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _age(path: Path) -> float:
    """Seconds since the file was written; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _wait(handle: int, path: Path) -> bool:
    """Whether the lock is ours; False where there are none."""
    if fcntl is None:
        return _unlocked(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text() or "another process"
        print(f"run {path.stem} is being done by {holder}; waiting for it", file=sys.stderr)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return _unlocked(path)
    return True


def _unlocked(path: Path) -> bool:
    print(
        f"{path.parent} knows no file locks: do not ask two processes for run {path.stem} at once",
        file=sys.stderr,
    )
    return False


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def is_claimed(folder: Path, run_id: str) -> bool:
    """Whether a process is at this run, as far as locks can tell."""
    path = folder / f"{run_id}.lock"
    if fcntl is None or not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
