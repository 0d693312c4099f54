"""Chance that is the same on every machine, drawn from a seed, a name and a purpose."""

import hashlib


def hashed(seed: int, name: str, purpose: str) -> int:
    """64 bits that are the same on every machine, which Python's own hash is not."""
    text = f"{seed}\0{purpose}\0{name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
