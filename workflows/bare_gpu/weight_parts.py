"""Weights in bf16, cut into files that a narrow way back lets through; the standard library and,
to make them, safetensors."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from workflows.bare_gpu.steps import write_whole

PART = 15 << 20  # bytes
LIST = "weights.json"


def cut(files: Mapping[str, Path], folder: Path, limit: int) -> list[str]:
    """Write the files, one behind the other as bf16 safetensors, to `folder`/weights.00, .01, …;
    those that go beyond `limit` bytes are left out. Returns the names kept."""
    content = bytearray()
    entries = []
    for name, file in files.items():
        small = _bf16(file)
        if len(content) + len(small) > limit:
            continue
        entries.append({"name": name, "at": len(content), "bytes": len(small),
                        "sha256": hashlib.sha256(small).hexdigest()})  # fmt: skip
        content += small
    for number, start in enumerate(range(0, len(content), PART)):
        (folder / f"weights.{number:02d}").write_bytes(content[start : start + PART])
    write_whole(folder / LIST, json.dumps(entries, indent=1) + "\n")
    return [entry["name"] for entry in entries]


def join(folder: Path) -> list[Path]:
    """Put the parts together again as <name>.safetensors beside them; raises ValueError where a
    part is missing or damaged."""
    try:
        entries = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: holds no {LIST}; give the folder that came back") from error
    content = b"".join(part.read_bytes() for part in sorted(folder.glob("weights.[0-9][0-9]")))
    files = []
    for entry in entries:
        own = content[entry["at"] : entry["at"] + entry["bytes"]]
        if hashlib.sha256(own).hexdigest() != entry["sha256"]:
            raise ValueError(
                f"{folder}: {entry['name']} is damaged or a part is missing; fetch the parts again"
            )
        file = folder / f"{entry['name']}.safetensors"
        scratch = file.with_suffix(".tmp")
        scratch.write_bytes(own)
        scratch.replace(file)
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
