"""Files of a run, local or in object storage, addressed by one URI string.

Local paths and `s3://` go through fsspec; credentials come from the environment alone
(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …). A write is whole or absent: local
files are written under a temporary name and renamed, and an object appears when its put ends.
A storage that does not answer is asked again for PATIENCE seconds, and by its client as often as
AWS_MAX_ATTEMPTS says where files are streamed; then, and where a disk is full,
FaultError names the file.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, Any, TypeVar

import fsspec
from botocore.exceptions import BotoCoreError

from infra import process
from infra.errors import FaultError, RunError
from infra.whole_file import TEMPORARY, whole_file

PATIENCE = float(os.environ.get("FACESTACK_PATIENCE", "120"))  # seconds
process.set_defaults(process.STORAGE)
Answer = TypeVar("Answer")
AT_ONCE = 1000  # objects that one request removes
BLOCK, BLOCKS = 4 << 20, 8  # bytes of a block of a file that is read here and there, blocks kept


def is_local(uri: str) -> bool:
    """Whether the URI names a file of this machine."""
    return "://" not in uri or uri.startswith("file://")


def absolute(uri: str) -> str:
    """The URI with a local path made absolute, so that workers on other folders agree on it."""
    return str(Path(uri.removeprefix("file://")).absolute()) if is_local(uri) else uri.rstrip("/")


def join(uri: str, *parts: str) -> str:
    """The URI of a file below `uri`."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def file_system(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system that a URI is on, and the path there.

    fsspec's own function would take a name that holds "::" for a chain of file systems.
    """
    filesystem = fsspec.filesystem("file" if is_local(uri) else uri.partition("://")[0])
    return filesystem, filesystem._strip_protocol(uri)


def open_blocks(fs: fsspec.AbstractFileSystem, path: str) -> IO[bytes]:
    """A file to read here and there, open. Of object storage, whose blocks would be of 50 MB, the
    last eight of 4 MB stay: a film's picture and sound may lie far apart in it. Raises OSError,
    also for what is no file."""
    if not is_plain(fs, path):
        raise OSError("a pipe or a device, no file")
    options = {"cache_type": "blockcache", "cache_options": {"maxblocks": BLOCKS}}
    file: IO[bytes] = fs.open(path, "rb", block_size=BLOCK, **options)
    return file


def is_plain(fs: fsspec.AbstractFileSystem, path: str) -> bool:
    """Whether a path is no pipe or device, on which a look would wait for ever; raises OSError."""
    if "file" not in fs.protocol:
        return True
    mode = os.stat(path).st_mode
    return S_ISREG(mode) or S_ISDIR(mode)  # opening a folder fails and says so


def exists(uri: str) -> bool:
    """Whether a file or folder is there (an object store is asked afresh each time)."""
    fs, path = file_system(uri)
    fs.invalidate_cache()
    return bool(patiently(uri, lambda: fs.exists(path)))


def files(uri: str, suffix: str = "") -> list[str]:
    """The URIs of all files below a folder with the given ending, sorted; [] if it is absent."""
    fs, path = file_system(uri)
    fs.invalidate_cache()
    found = patiently(uri, lambda: fs.find(path) if fs.exists(path) else [])
    fs.invalidate_cache()  # or a file that another process writes would stay unseen by this one
    return sorted(
        str(fs.unstrip_protocol(f)) if not is_local(uri) else f
        for f in found
        if f.endswith(suffix) and not _is_temporary(f)
    )


def sizes(uri: str, suffix: str = "") -> dict[str, int]:
    """Bytes of each file that `files` lists, by its path below the folder, from one listing."""
    fs, path = file_system(uri)
    fs.invalidate_cache()
    found = patiently(uri, lambda: fs.find(path, detail=True) if fs.exists(path) else {})
    return {
        name.removeprefix(path).lstrip("/"): int(info["size"])
        for name, info in sorted(found.items())
        if name.endswith(suffix) and not _is_temporary(name)
    }


def _is_temporary(path: str) -> bool:
    return TEMPORARY.fullmatch(path.rsplit("/", 1)[-1]) is not None


def read_bytes(uri: str) -> bytes:
    """The whole content of a file; raises FileNotFoundError."""
    fs, path = file_system(uri)
    return bytes(patiently(uri, lambda: fs.cat_file(path)))


def read_all(uris: list[str]) -> list[bytes]:
    """The content of many small files, of object storage many at once and each by one request;
    raises FileNotFoundError."""
    with ThreadPoolExecutor(min(32, len(uris) or 1)) as pool:
        return list(pool.map(_read_small, uris))


def _read_small(uri: str) -> bytes:
    if not uri.startswith("s3://"):
        return read_bytes(uri)
    fs, path = file_system(uri)
    # Else s3fs asks for the size first, to read what is large in pieces.
    return bytes(patiently(uri, lambda: fs.cat_file(path, max_concurrency=1)))


def write_bytes(uri: str, content: bytes) -> None:
    """Write a file so that a crash leaves either the old content or the new one."""
    if is_local(uri):
        with whole(uri) as part, writing(uri):
            part.write_bytes(content)
    else:
        fs, path = file_system(uri)
        patiently(uri, lambda: fs.pipe_file(path, content))


@contextmanager
def whole(uri: str) -> Iterator[Path]:
    """A local path to write one file to, which is at `uri` when the block ends, and whole.

    Where the block raises, or writes nothing, what was at `uri` before stays and nothing is left.
    """
    if not is_local(uri):
        fs, target = file_system(uri)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "whole"
            yield path
            if path.exists():
                patiently(uri, lambda: fs.put_file(str(path), target))
        return
    with whole_file(Path(absolute(uri)), partial(writing, uri)) as path:
        yield path


@contextmanager
def writing(uri: str) -> Iterator[None]:
    """Names the file or folder, and the remedy, where a disk is full or refuses."""
    try:
        yield
    except OSError as error:
        raise FaultError(
            f"{uri}: cannot be written: {error.strerror or error}; what was written before is "
            "whole. Make room, or copy the run elsewhere, and give the same command again"
        ) from error


def patiently(uri: str, action: Callable[[], Answer]) -> Answer:
    """What `action` gives; an object store that does not answer is asked again and again."""
    deadline, pause = time.monotonic() + PATIENCE, 0.5
    while True:
        try:
            return action()
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise RunError(f"{uri}: {error}; check the AWS_… variables and the policy") from error
        except (OSError, BotoCoreError) as error:
            if is_local(uri):
                raise
            if time.monotonic() + pause > deadline:
                raise FaultError(
                    f"{uri}: the storage has not answered for {PATIENCE:.0f} s ({error}); what was "
                    "written before is whole. Give the same command again when it is back"
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def read_json(uri: str) -> Any:
    """The content of a JSON file."""
    return json.loads(read_bytes(uri))


def write_json(uri: str, value: Any) -> None:
    """Write a JSON file, readable and whole."""
    write_bytes(uri, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def move(uri: str, target: str) -> None:
    """Give a file another place on the same storage; killed half-way it is at both."""
    fs, path = file_system(uri)
    if is_local(uri):
        Path(absolute(target)).parent.mkdir(parents=True, exist_ok=True)
        fs.mv(path, file_system(target)[1])
        return
    patiently(uri, lambda: fs.cp_file(path, file_system(target)[1]))
    remove_all([uri])


def remove(uri: str) -> None:
    """Remove a file or a folder with all below it; nothing happens where it is absent."""
    fs, path = file_system(uri)
    if is_local(uri):
        if fs.exists(path):
            fs.rm(path, recursive=True)
        return
    fs.invalidate_cache()
    found = patiently(uri, lambda: fs.find(path))
    remove_all([str(fs.unstrip_protocol(name)) for name in found])


def remove_all(uris: list[str]) -> None:
    """Remove files of one storage, of object storage many at once, the first before the others."""
    if not uris:
        return
    if is_local(uris[0]):
        for uri in uris:
            Path(absolute(uri)).unlink(missing_ok=True)
        return
    fs, _ = file_system(uris[0])
    paths = [file_system(uri)[1] for uri in uris]
    for odd, group in groupby(paths, lambda path: any(letter in path for letter in "*?[")):
        some = list(group)
        # Taken together, a name with one of these would stand for all others that it fits.
        size = 1 if odd else AT_ONCE
        for start in range(0, len(some), size):
            part = some[start : start + size]
            patiently(uris[0], partial(fs.rm_file, part[0]) if odd else partial(fs.rm, part))


def sweep(uri: str) -> None:
    """Remove what killed writers left below a local folder; call it when none is at work."""
    if is_local(uri):
        for path in Path(absolute(uri)).rglob(".*"):
            if _is_temporary(path.name):
                path.unlink(missing_ok=True)


def upload(local: Path, uri: str) -> None:
    """Copy every file below a local folder to the same place below `uri`, each one whole."""
    for file in sorted(p for p in local.rglob("*") if p.is_file()):
        write_bytes(join(uri, file.relative_to(local).as_posix()), file.read_bytes())


def download(uri: str, local: Path) -> None:
    """Copy every file below `uri` to the same place below a local folder."""
    for file in files(uri):
        target = local / file.removeprefix(uri.rstrip("/") + "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read_bytes(file))


@contextmanager
def local_file(uri: str) -> Iterator[Path]:
    """A local path with the content of `uri`: the file itself, or a temporary copy."""
    if is_local(uri):
        yield Path(absolute(uri))
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / uri.rsplit("/", 1)[-1]
        copy.write_bytes(read_bytes(uri))
        yield copy


@contextmanager
def local_folder(uri: str) -> Iterator[Path]:
    """A local folder whose files end up below `uri`: the folder itself, or a temporary one."""
    if is_local(uri):
        path = Path(absolute(uri))
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        upload(Path(folder), uri)
