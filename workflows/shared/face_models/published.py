"""The published model of YuNet: fetched once, within a time limit, and known by its SHA-256.

It is OpenCV Zoo's `face_detection_yunet_2023mar.onnx`, MIT licence (Wu et al., *YuNet: a tiny
millisecond-level face detector*, 2023).
"""

import os
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.error import URLError
from urllib.request import Request, urlopen

from infra.errors import InputError
from infra.text import one_line, sha256_of
from infra.whole_file import whole_file

NAME = "face_detection_yunet_2023mar.onnx"
ADDRESS = (
    "https://huggingface.co/opencv/face_detection_yunet/resolve/"
    f"3cc26e7f1014a5ee5d74a42acee58bafc9d0a310/{NAME}"
)
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
SIZE = 232_589  # bytes
SECONDS = 10.0  # for all of it: a name that resolves, an answer, its last byte


class FetchError(InputError):
    """The model cannot be had from its address; the text says why."""


def cache() -> Path:
    """Where the model is kept once it was fetched."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "facestack" / NAME


def cached(sha256: str = SHA256) -> bytes | None:
    """The model from the cache; None where it is not there, or is another file."""
    try:
        content = cache().read_bytes()
    except OSError:
        return None
    return content if sha256_of(content) == sha256 else None


def fetched(
    address: str = ADDRESS, sha256: str = SHA256, size: int = SIZE, seconds: float = SECONDS
) -> bytes:
    """The model from its address, which is in the cache then; raises FetchError.

    A cache that cannot be written costs the next run another fetch, and nothing else.
    """
    content = _answer(address, size, seconds)
    if (found := sha256_of(content)) != sha256:
        raise FetchError(f"{address}: SHA-256 {found[:12]}… where {sha256[:12]}… was expected")
    with suppress(OSError), whole_file(cache()) as path:
        path.write_bytes(content)
    return content


def _answer(address: str, most: int, seconds: float) -> bytes:
    """What the address gives, at most a byte more than `most`, within `seconds` in all.

    A thread of its own asks, as nothing else bounds the looking up of a name, or headers that come
    byte by byte.
    """
    answers: SimpleQueue[bytes | Exception] = SimpleQueue()
    deadline = time.monotonic() + seconds

    def ask() -> None:
        try:
            answers.put(_read(address, most, deadline))
        except TimeoutError:
            pass  # whoever asked has given up by himself
        except (OSError, HTTPException, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="fetch", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty as error:
        raise FetchError(f"{address}: no whole answer in {seconds:g} s") from error
    if isinstance(answer, Exception):
        why = answer.reason if type(answer) is URLError else answer
        raise FetchError(f"{address}: {one_line(why, 120)}") from answer
    return answer


def _read(address: str, most: int, deadline: float) -> bytes:
    request = Request(address, headers={"User-Agent": "facestack"})
    content = b""
    with urlopen(request, timeout=deadline - time.monotonic()) as response:
        while piece := response.read1(most + 1 - len(content)):
            content += piece
            if time.monotonic() > deadline:
                raise TimeoutError
    return content
