import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets.clips.clip import Clip
from datasets.shards.files import ShardError, identities, read_rows, table_of, write_clips
from datasets.shards.schema import COLUMNS, SCHEMA_VERSION, VERSION_KEY, schema
from infra import storage
from infra.errors import FaultError
from tests.support.root import ROOT


def clip(number: int, video: str = "a/v.mp4", size: int = 16) -> Clip:
    chance = np.random.default_rng([number, len(video)])

    def image(*shape: int) -> np.ndarray:
        return chance.integers(0, 256, shape, dtype=np.uint8)

    return Clip(
        clip_id=f"{video}#0@{number}",
        identity=video.split("/")[0],
        video=video,
        track=0,
        frame=number,
        fps=30000 / 1001,
        low=image(5, 4, 4, 3),
        high=image(size, size, 3),
        neighbour=image(size, size, 3),
        neighbour_offset=-2,
        boxes=chance.random((5, 4), np.float32),
        motion=chance.random((5, 64, 2), np.float32).astype(np.float16),
        order=int(chance.integers(2**63 - 1)),
        sharpness=12.5,
        degradation='{"kind": "bicubic"}',
    )


def same(a: Clip, row: dict, table: pa.Table, index: int) -> bool:
    tensors = {
        name: table[name].combine_chunks().to_numpy_ndarray()[index]
        for name in ("low", "high", "neighbour", "boxes", "motion")
    }
    return all(
        np.array_equal(getattr(a, name), tensors[name])
        if name in tensors
        else getattr(a, name) == row[name]
        for name in COLUMNS
    )


def test_every_column_comes_back_as_it_was(tmp_path: Path) -> None:
    clips = [clip(i) for i in range(7)]
    assert write_clips(str(tmp_path / "p" / "a.parquet"), iter(clips), 3) == 7
    table = read_rows(str(tmp_path / "p" / "a.parquet"))
    assert table.schema.names == list(COLUMNS)
    rows = table.drop_columns(["low", "high", "neighbour", "boxes", "motion"]).to_pylist()
    assert all(same(c, row, table, i) for i, (c, row) in enumerate(zip(clips, rows, strict=True)))
    assert pq.ParquetFile(tmp_path / "p" / "a.parquet").num_row_groups == 3


def test_the_schema_is_documented_and_versioned() -> None:
    described = schema(128, 16, 25)
    assert described.metadata == {b"facestack.schema": b"3"}
    assert described.field("low").type.shape == [25, 16, 16, 3]
    assert described.field("high").type.shape == [128, 128, 3]
    assert all(field.metadata[b"description"] for field in described)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken():
        yield clip(0)
        raise RuntimeError("the video broke")

    with pytest.raises(RuntimeError, match="the video broke"):
        write_clips(str(tmp_path / "a.parquet"), broken(), 1)
    assert os.listdir(tmp_path) == []


REFUSED = """
import resource, sys
from fractions import Fraction
import numpy as np
from infra.errors import FaultError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # a write beyond fails as on a full disk
try:
    if sys.argv[1].endswith(".mp4"):
        from datasets.video_writer import write_video
        frames = np.random.default_rng(0).integers(0, 256, (90, 128, 128, 3), np.uint8)
        write_video(sys.argv[1], frames, Fraction(25), 10)
    else:
        from datasets.shards.files import write_clips
        from tests.datasets.shards.test_files import clip
        write_clips(sys.argv[1], map(clip, range(200)))
except FaultError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["a.parquet", "a.mp4"])
def test_a_disk_that_refuses_is_no_fault_of_the_input(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, tmp_path / name], cwd=ROOT, text=True, check=False,
        capture_output=True,
    )  # fmt: skip
    assert re.search(rf"{name}: cannot be written: .*ile too large", done.stdout), done.stderr
    assert not list(tmp_path.iterdir())


def test_what_the_clips_raise_stays_what_it_is(tmp_path: Path) -> None:
    def broken():
        yield clip(0)
        raise PermissionError("the film may not be read")

    with pytest.raises(PermissionError, match="the film"):
        write_clips(str(tmp_path / "a.parquet"), broken(), 1)


def test_no_clip_writes_no_file(tmp_path: Path) -> None:
    assert write_clips(str(tmp_path / "a.parquet"), iter([])) == 0
    assert os.listdir(tmp_path) == []


def test_a_failed_upload_leaves_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(storage, "PATIENCE", 0)
    memory = fsspec.filesystem("memory")
    assert write_clips("memory://run/a.parquet", [clip(0), clip(1)]) == 2
    assert read_rows("memory://run/a.parquet").num_rows == 2

    def refuse(*_: object, **__: object) -> None:
        raise OSError("503")

    monkeypatch.setattr(type(memory), "put_file", refuse)
    with pytest.raises(FaultError, match="503"):
        write_clips("memory://run/b.parquet", [clip(0)])
    assert not memory.exists("/run/b.parquet")
    assert os.listdir(tmp_path) == []


def test_what_is_not_a_shard_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"none\.parquet: not a readable"):
        read_rows(str(tmp_path / "none.parquet"))
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(ShardError, match=r"text\.parquet: not a readable"):
        read_rows(str(tmp_path / "text.parquet"))
    old = table_of([clip(0)]).replace_schema_metadata({"facestack.schema": "0"})
    pq.write_table(old, tmp_path / "old.parquet")
    with pytest.raises(ShardError, match=r"old\.parquet: .* version 0, this code reads 3"):
        read_rows(str(tmp_path / "old.parquet"))


@pytest.mark.parametrize("packed", [True, False])
def test_damage_at_any_place_is_told_with_the_name(packed: bool, tmp_path: Path) -> None:
    """Lost or changed, 64 bytes of a shard or of a part never go unseen: pages have checksums."""
    uri = tmp_path / "a.parquet"
    write_clips(str(uri), [clip(number) for number in range(8)], packed=packed)
    whole = uri.read_bytes()
    for at in range(0, len(whole), len(whole) // 50):
        changed = bytes(byte ^ 255 for byte in whole[at : at + 64])
        uri.write_bytes(whole[:at] + changed + whole[at + 64 :])
        with pytest.raises(ShardError, match=r"a\.parquet"):
            read_rows(str(uri))
        uri.write_bytes(whole[:at])
        with pytest.raises(ShardError, match=r"a\.parquet: not a readable Parquet file"):
            read_rows(str(uri))


class Foreign(pa.ExtensionType):
    """Stands for Ray's column of pickled objects, which is there where Ray is loaded."""

    def __init__(self) -> None:
        super().__init__(pa.binary(), "facestack.test.foreign")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "Foreign":
        return cls()


@pytest.mark.parametrize("nested", [False, True])
def test_a_column_that_may_run_a_program_is_refused(nested: bool, tmp_path: Path) -> None:
    """Before any value of it is read."""
    values = pa.ExtensionArray.from_storage(Foreign(), pa.array([b"pickled"], pa.binary()))
    column = pa.StructArray.from_arrays([values], ["inner"]) if nested else values
    table = pa.table({"identity": column})
    version = {VERSION_KEY: SCHEMA_VERSION}
    pa.register_extension_type(Foreign())
    try:
        pq.write_table(table.replace_schema_metadata(version), tmp_path / "a.parquet")
        with pytest.raises(ShardError, match=r"a\.parquet: its column identity is of type"):
            read_rows(str(tmp_path / "a.parquet"))
    finally:
        pa.unregister_extension_type("facestack.test.foreign")


def test_clips_of_differing_sizes_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same shape"):
        table_of([clip(0), clip(1, size=8)])


def test_identities_are_sorted_over_all_files(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{name}.parquet") for name in ("b", "Ž", "a")]
    for path, name in zip(paths, ("b", "Ž", "a"), strict=True):
        write_clips(path, [clip(i, f"{name}/v") for i in range(2)])
    assert identities(paths) == ["a", "b", "Ž"]


def test_the_page_about_data_describes_every_column() -> None:
    page = (ROOT / "docs/data.md").read_text()
    assert f"Schema version {SCHEMA_VERSION}" in page
    told = re.findall(r"^\| `(\w+)` \| (?:string|u?int\d+|float\d+)", page, re.MULTILINE)
    assert told == list(COLUMNS)
