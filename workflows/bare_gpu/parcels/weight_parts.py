"""Weights in bf16, cut into files that a narrow way back lets through; the standard library and,
to make them, safetensors."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.errors import InputError
from infra.whole_file import whole_file

PART = 15 << 20  # bytes
LENGTH = 8  # bytes in front that say how long the list of what follows is


def cut(files: Mapping[str, Path], folder: Path, limit: int) -> list[str]:
    """Write the files as bf16 safetensors, a list of them in front, to `folder`/weights.00, .01, …;
    those that go beyond `limit` bytes are left out. Returns the names kept."""
    content = bytearray()
    entries: list[dict[str, Any]] = []
    for name, file in files.items():
        small = _bf16(file)
        if len(content) + len(small) > limit:
            continue
        entries.append({"name": name, "at": len(content), "bytes": len(small),
                        "sha256": hashlib.sha256(small).hexdigest()})  # fmt: skip
        content += small
    for older in folder.glob("weights.[0-9][0-9]"):
        older.unlink()
    if entries:
        names = json.dumps(entries).encode()
        content = bytearray(len(names).to_bytes(LENGTH, "big") + names + content)
    for number, start in enumerate(range(0, len(content), PART)):
        (folder / f"weights.{number:02d}").write_bytes(content[start : start + PART])
    return [entry["name"] for entry in entries]


def join(folder: Path) -> list[Path]:
    """Put the parts together again as <name>.safetensors beside them; raises InputError where a
    part is missing or damaged."""
    content = b"".join(part.read_bytes() for part in sorted(folder.glob("weights.[0-9][0-9]")))
    length = int.from_bytes(content[:LENGTH], "big")
    try:
        entries = json.loads(content[LENGTH : LENGTH + length])
    except ValueError as error:
        raise InputError(
            f"{folder}: holds no weights.00; give the folder that came back"
        ) from error
    content = content[LENGTH + length :]
    files = []
    for entry in entries:
        own = content[entry["at"] : entry["at"] + entry["bytes"]]
        if hashlib.sha256(own).hexdigest() != entry["sha256"]:
            raise InputError(
                f"{folder}: {entry['name']} is damaged or a part is missing; fetch the parts again"
            )
        file = folder / f"{entry['name']}.safetensors"
        with whole_file(file) as scratch:
            scratch.write_bytes(own)
        files.append(file)
    return files


def _bf16(file: Path) -> bytes:
    import torch
    from safetensors.torch import save

    from model.weights import load_weights

    state, header = load_weights(file)
    small = {
        name: value.to(torch.bfloat16) if value.is_floating_point() else value
        for name, value in state.items()
    }
    return save(small, metadata={**header, "stored_as": "bf16"})
