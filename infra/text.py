"""Text that people read and files are named by: made printable, put on one line, hashed."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping

CREDENTIALS = re.compile(r"//[^/@\s]*@")


def printable(text: str) -> str:
    """The text with line breaks, control characters and what is no character at all escaped:
    names of files may hold any of them."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def one_line(text: object, most: int | None = None) -> str:
    """The text, or what an error says, on one line; cut after `most` characters."""
    return " ".join(str(text).split())[:most]


def number_of(count: int, thing: str) -> str:
    """So many of a thing: "1 film", "2 films"."""
    return f"{count} {thing}{'s' * (count != 1)}"


def tallied(counts: Counter[str]) -> str:
    """What was counted, the commonest first: "face lost (3), cut (1)"."""
    return ", ".join(f"{what} ({number})" for what, number in counts.most_common())


def commonest(counts: Mapping[str, int]) -> str:
    """What was counted most often, of equals the first by name."""
    return min(counts, key=lambda what: (-counts[what], what))


def as_utf8(name: str) -> str:
    """A file's name with what is not UTF-8 in it escaped, for tables."""
    return name.encode("utf-8", "backslashreplace").decode()


def digest(*parts: str) -> bytes:
    """SHA-256 of parts of text that may be names of files; the same on every machine."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).digest()


def sha256_of(content: bytes) -> str:
    """SHA-256 of the content of a file, as it is written down."""
    return hashlib.sha256(content).hexdigest()


def hashed(seed: int, name: str, purpose: str) -> int:
    """64 bits of chance drawn from a seed, a name and a purpose; the same on every machine."""
    return int.from_bytes(digest(str(seed), purpose, name)[:8], "big")


def without_credentials(text: str) -> str:
    """The text with user and password struck out of every URL."""
    return CREDENTIALS.sub("//", text)
