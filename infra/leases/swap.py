"""A small file that is changed only from what it is known to be: compare and swap, for a local file
and an object alike.

A local file is compared and written under `flock`, which its kernel, or the server of a shared
disk, gives up for a process that dies. An object is put on a condition (`If-None-Match`,
`If-Match`). Where a mount has no locks, or a server ignores conditions (rclone's does), the last of
two writers at the same moment wins; what was written is therefore read back.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from botocore.exceptions import ClientError

from infra import storage
from infra.errors import RunError

REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "412", "409"}


def content(uri: str) -> bytes | None:
    """What is there; None for nothing."""
    if not storage.is_local(uri):
        with suppress(FileNotFoundError):
            return storage.read_bytes(uri)
        return None
    with storage.writing(uri), _locked(uri, os.O_RDONLY, fcntl.LOCK_SH) as file:
        return None if file is None else _all(file)


def swap(uri: str, old: bytes | None, new: bytes) -> bool:
    """Put `new` in place of `old` (None: of nothing); False, and nothing done, where something else
    is there. Raises FaultError where it cannot be written, and RunError for a bucket that is not
    there."""
    if not storage.is_local(uri):
        return bool(storage.patiently(uri, lambda: _swap_object(uri, old, new)))
    create = os.O_CREAT if old is None else 0
    with storage.writing(uri), _locked(uri, os.O_RDWR | create, fcntl.LOCK_EX) as file:
        if file is None or _all(file) != old:
            return False
        os.pwrite(file, new, 0)
        os.ftruncate(file, len(new))
        os.fsync(file)
    return True


def remove(uri: str, old: bytes) -> None:
    """Remove it where it is still `old`; what the storage raises is raised, and at once."""
    if storage.is_local(uri):
        with _locked(uri, os.O_RDWR, fcntl.LOCK_EX) as file:
            if file is not None and _all(file) == old:
                Path(storage.absolute(uri)).unlink()
        return
    fs, path = storage.file_system(uri)
    if fs.cat_file(path) == old:
        fs.rm_file(path)


def _all(file: int) -> bytes | None:
    return os.pread(file, 1 << 16, 0) or None  # empty where its writer was killed


@contextmanager
def _locked(uri: str, flags: int, lock: int) -> Iterator[int | None]:
    """The file's descriptor under its lock; None where there is no file and none is to be made."""
    path = Path(storage.absolute(uri))
    while True:
        if flags & os.O_CREAT:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # A link planted here would lead the writing to any other file.
            file = os.open(path, flags | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            if flags & os.O_CREAT:
                continue  # the last one out has just removed the folder
            yield None
            return
        try:
            with suppress(OSError):  # a mount without locks
                fcntl.flock(file, lock)
            if _is_at(path, file):
                yield file
                return
        finally:
            os.close(file)


def _is_at(path: Path, file: int) -> bool:
    """Whether it is still that file: who waited for the lock may hold one that was removed."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _swap_object(uri: str, old: bytes | None, new: bytes) -> bool:
    fs, path = storage.file_system(uri)
    fs.invalidate_cache()
    try:
        if old is None:
            fs.pipe_file(path, new, mode="create")
        else:
            tag = fs.info(path)["ETag"]  # before the content: what comes between is refused
            found = fs.cat_file(path)
            if found != old:
                return bool(found == new)  # or it is asked once more, after an answer that was lost
            fs.pipe_file(path, new, IfMatch=tag)
    except FileNotFoundError as error:
        if old is None:
            raise RunError(f"{uri}: there is no such bucket; make it, or correct --run") from error
        return False
    except OSError as error:
        cause = error.__cause__
        if not isinstance(cause, ClientError) or cause.response["Error"].get("Code") not in REFUSED:
            raise
        # Or it is ours: the client asks again where an answer was lost, and then meets itself.
    return content(uri) == new
