"""A local file that is the old one or the new one, whenever its writer is killed.

The standard library alone: `gpu.py` writes its results before any package is there. For a URI,
local or in object storage: `storage.whole`.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

# Files being written; a killed process leaves them behind, and `storage.sweep` removes them.
# The second form is that of versions before.
TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp|\.tmp-[0-9a-f]{32}-.*", re.DOTALL)


@contextmanager
def whole_file(
    path: Path, guard: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends.

    Where the block raises, or writes nothing, what was there before stays and nothing is left.
    `guard` is entered around what is done here, and not around the block, whose errors may be those
    of what it reads.
    """
    scratch = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with guard():
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield scratch
        if scratch.exists():
            with guard(), scratch.open("rb") as stream:
                os.fsync(stream.fileno())
                scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
