"""Which errors mean that disk or object storage as a whole cannot be used, and not one input."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from infra.errors import FaultError
from infra.text import one_line, without_credentials

OUT_OF_REACH = (
    ConnectionError, HTTPClientError, aiohttp.ClientError, NoCredentialsError,
    PartialCredentialsError,
)  # fmt: skip


def failure(error: BaseException) -> str:
    """Why disk or object storage as a whole cannot be used, in one line; "" for any other error.

    A missing or forbidden object is no such failure: that concerns one input.
    """
    seen: BaseException | None = error
    looked_at: set[int] = set()
    while seen is not None and id(seen) not in looked_at:
        looked_at.add(id(seen))  # `raise e from e`, as Ray does, is a chain without an end
        if isinstance(seen, FaultError):
            return str(seen)
        if isinstance(seen, ClientError):
            status = seen.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= 500 or status == 429:
                return f"the object storage keeps answering {status}; run again when it is back"
        elif isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"no space is left ({seen}); make some and run again"
        elif isinstance(seen, OUT_OF_REACH):
            text = without_credentials(one_line(seen))
            return f"the object storage cannot be used: {text}"
        seen = seen.__cause__ or seen.__context__
    return ""


@contextmanager
def reporting() -> Iterator[None]:
    """Turn an error that `failure` knows into a FaultError."""
    try:
        yield
    except Exception as error:
        if reason := failure(error):
            raise FaultError(reason) from error
        raise
