"""The clips of a run in one file that travels, and the run that comes of it elsewhere."""

import io
import json
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from datasets.clips.clip import Clip
from datasets.protocols.split import SPLITS
from datasets.shards.assembly import SHARD_ROWS
from datasets.shards.files import write_clips
from datasets.shards.reader import ShardReader
from infra import storage
from infra.errors import RunError
from infra.runs import Run, StageRecord
from infra.whole_file import whole_file
from model.objectives.fresh_bursts import make_clip
from model.pixels import to_pixels
from workflows.bare_gpu.parcels.faces import Loss, pack_clips, unpack_clips
from workflows.shared import artifacts as stored

MADE_AT_ONCE = 64  # bursts
Records = dict[str, Any]


def pack(run: Run, file: Path, most: Mapping[str, int], judge: Run | None = None) -> Records:
    """Write the parcel of a run: at most so many clips of each split, the first as stored, which
    are a fair sample; and the recogniser of `judge`, by default its own, where there is one.

    Returns what it holds and has cost.
    Of a run of stills that were made bursts, training clips are the sharp frames alone.
    """
    record = run.record("clips")
    bursts = bool(record.settings["preprocess"].get("bursts"))
    loss, counts = Loss(), {}
    tables: dict[str, pa.Table] = {}
    for split in SPLITS:
        found = list(_first(run, split, most.get(split)))
        if not found:
            raise RunError(f"{run.path('clips', split)}: no clip of this split to pack")
        bare = bursts and split == "train"
        rows, pieces = pack_clips(found, exact=split != "train", bare=bare, loss=loss)
        tables |= {f"{split}.parquet": rows, f"{split}-pieces.parquet": pieces}
        counts[split] = len(found)
    about = {"clips": counts, "made_of_stills": bursts, **loss.figures()}
    packed = StageRecord.model_validate(
        {
            **record.model_dump(),
            "settings": {**record.settings, "parcel": about},
            "counts": {**record.counts, **counts, "clips": sum(counts.values())},
        }
    )
    with whole_file(file) as scratch, tarfile.open(scratch, "w") as tar:
        for name, table in tables.items():
            buffer = io.BytesIO()
            pq.write_table(
                table, buffer, compression="zstd", compression_level=19, use_dictionary=False
            )
            _add(tar, f"packed/{name}", buffer.getvalue())
        _add(tar, "clips/stage.json", json.dumps(packed.model_dump(), indent=2).encode())
        judge = judge or run
        if judge.is_complete("recogniser"):
            known = judge.record("recogniser")
            counts_of = dict(known.counts)
            if judge is not run:  # the report says whom it was trained on
                counts_of["weights"] = f"that of {judge.uri}"
            update = {"inputs": {"clips": packed.digest}, "counts": counts_of}
            known = known.model_copy(update=update)
            _add(tar, "recogniser/stage.json", json.dumps(known.model_dump(), indent=2).encode())
            with storage.local_file(judge.path("recogniser", "weights.safetensors")) as weights:
                _add(tar, "recogniser/weights.safetensors", weights.read_bytes())
    return about


def unpack(file: Path, folder: Path, device: str = "cpu", most: int | None = None) -> Run:
    """Make the run of a parcel in a folder, of at most so many clips a split; one that is whole
    already is left as it is."""
    run = Run(str(folder))
    with tarfile.open(file) as tar:
        record = StageRecord.model_validate_json(_read(tar, "clips/stage.json"))
        if run.is_complete("clips") and run.record("clips").digest == record.digest:
            return run
        clip = record.settings["clip"]
        shape = (clip["num_frames"], clip["scale"], clip["size"])
        for split in SPLITS:
            rows, pieces = (
                _table(tar, f"packed/{split}{part}.parquet") for part in ("", "-pieces")
            )
            rows = rows.slice(0, most)
            made = unpack_clips(rows, pieces, shape)
            if rows.num_rows and rows["piece"][0].as_py() < 0:
                made = _with_frames(made, shape, clip["blur_sigma"], device)
            write_clips(run.path("clips", split, "00000.parquet"), made, SHARD_ROWS)
        for name in tar.getnames():
            if name.startswith("recogniser/"):
                storage.write_bytes(run.path(name), _read(tar, name))
        storage.write_bytes(run.path("clips", "stage.json"), _read(tar, "clips/stage.json"))
    return run


def _first(run: Run, split: str, most: int | None) -> Iterator[Clip]:
    shards = stored.shards(run, split)
    if not shards:
        return
    columns = tuple(Clip.__annotations__)
    count = 0
    for batch in ShardReader(shards, SHARD_ROWS, None, columns, prefetch=0).once():
        for row in range(len(batch["order"])):
            if count == most:
                return
            yield Clip(**{name: _plain(values[row]) for name, values in batch.items()})
            count += 1


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _with_frames(
    bare: Iterator[Clip], shape: tuple[int, int, int], blur_sigma: float | None, device: str
) -> Iterator[Clip]:
    """Training clips of stills with low frames and motion as a training would make them."""
    draws = torch.Generator().manual_seed(0)
    while some := list(islice(bare, MADE_AT_ONCE)):
        high = to_pixels(
            torch.from_numpy(np.stack([clip.high for clip in some])), torch.device(device)
        )
        low, motion = make_clip(high, shape[0], shape[1], blur_sigma, draws)
        frames = low.mul(255).round().to(torch.uint8).movedim(-3, -1).contiguous().cpu().numpy()
        shifts = motion.cpu().numpy().astype(np.float16)
        for clip, each, moved in zip(some, frames, shifts, strict=True):
            yield replace(clip, low=each, motion=moved)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(content), int(time.time())
    tar.addfile(entry, io.BytesIO(content))


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        stream = tar.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise RunError(f"{tar.name!s}: holds no {name}; it is no parcel of faces, or one cut short")
    return stream.read()


def _table(tar: tarfile.TarFile, name: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(_read(tar, name)))
