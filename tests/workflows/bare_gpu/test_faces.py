"""Parcels of faces: what goes in comes out, but for the loss that is stated."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.clips.clip import Clip
from datasets.shards.files import write_clips
from datasets.shards.reader import ShardReader, list_shards
from infra.errors import RunError
from infra.runs import Run
from workflows.bare_gpu.parcels import face_parcels
from workflows.bare_gpu.parcels.faces import Loss, decoded, pack_clips, unpack_clips

T, SIDE, SCALE = 5, 8, 4
SHAPE = (T, SCALE, SIDE * SCALE)


def film(frames: int, video: str = "a/v.mp4", step: int = 2) -> list[Clip]:
    """Clips of one track, whose low frames they share, in the order of a shard."""
    draw = np.random.default_rng(len(video))
    low = draw.integers(0, 256, (frames, SIDE, SIDE, 3), np.uint8)
    size = SIDE * SCALE
    clips = []

    def smooth() -> np.ndarray:
        return np.kron(draw.integers(0, 256, (4, 4, 3)), np.ones((size // 4, size // 4, 1)))

    for centre in range(T // 2, frames - T // 2, step):
        motion = (0.1 * draw.standard_normal((T, 64, 2))).astype(np.float16)
        clips.append(
            Clip(
                clip_id=f"{video}#0@{centre}", identity=video[0], video=video, track=0,
                frame=centre, fps=25.0, low=low[centre - T // 2 : centre + T // 2 + 1],
                high=smooth().astype(np.uint8),
                neighbour=draw.integers(0, 256, (size, size, 3), np.uint8),
                neighbour_offset=1 if centre % 4 else 2, boxes=draw.random((T, 4), np.float32),
                motion=motion, order=int(draw.integers(2**62)), sharpness=9.5, degradation="{}",
            )
        )  # fmt: skip
    return sorted(clips, key=lambda clip: clip.order)


def test_test_clips_come_back_as_they_were_but_for_the_motion() -> None:
    loss, clips = Loss(), film(15) + film(9, "b/v.mp4")
    rows, pieces = pack_clips(clips, exact=True, bare=False, loss=loss)
    assert [len(decoded(one)) // SIDE for one in pieces["frames"].to_pylist()] == [15, 9]
    back = {clip.clip_id: clip for clip in unpack_clips(rows, pieces, SHAPE)}
    assert len(back) == len(clips)
    for clip in clips:
        found = back[clip.clip_id]
        for name in ("low", "high", "boxes"):
            assert np.array_equal(getattr(found, name), getattr(clip, name)), name
        for name in ("identity", "video", "track", "frame", "fps", "order", "sharpness"):
            assert getattr(found, name) == getattr(clip, name)
        apart = np.abs(found.motion.astype(float) - clip.motion) * SIDE / 2
        assert apart.max() <= loss.motion_most <= 1 / 128 + 1e-3
        kept = clip.neighbour_offset == 1
        assert found.neighbour_offset == (1 if kept else 0)
        assert np.array_equal(found.neighbour, clip.neighbour if kept else clip.high)
    assert loss.figures()["sharp_frames_with_loss"] == 0


def test_training_clips_lose_what_is_stated() -> None:
    loss, clips = Loss(), film(15)
    rows, pieces = pack_clips(clips, exact=False, bare=False, loss=loss)
    worst = 99.0
    for found in unpack_clips(rows, pieces, SHAPE):
        (clip,) = (one for one in clips if one.clip_id == found.clip_id)
        error = np.mean((found.high.astype(float) - clip.high) ** 2)
        worst = min(worst, 10 * np.log10(255**2 / error))
        assert np.array_equal(found.low, clip.low) and found.neighbour_offset == 0
    assert loss.figures()["psnr_least_db"] == pytest.approx(worst, abs=0.01)
    assert loss.figures()["sharp_frames_with_loss"] == len(clips) and worst > 30


def test_clips_degraded_each_by_itself_share_nothing() -> None:
    clips = [
        replace(clip, low=255 - clip.low) if n % 2 else clip for n, clip in enumerate(film(15))
    ]
    rows, pieces = pack_clips(clips, exact=True, bare=False, loss=Loss())
    back = {clip.clip_id: clip for clip in unpack_clips(rows, pieces, SHAPE)}
    for clip in clips:
        assert np.array_equal(back[clip.clip_id].low, clip.low)


def test_unknown_and_large_motion_survives() -> None:
    clip = film(5)[0]
    motion = clip.motion.copy()
    motion[1, 3], motion[2], motion[4] = np.nan, 60.0, -60.0
    loss = Loss()
    rows, pieces = pack_clips([replace(clip, motion=motion)], exact=True, bare=False, loss=loss)
    (found,) = unpack_clips(rows, pieces, SHAPE)
    assert np.array_equal(np.isnan(found.motion), np.isnan(motion))
    assert np.allclose(found.motion[2], 60, atol=0.1) and np.allclose(
        found.motion[4], -60, atol=0.1
    )
    none = replace(clip, motion=np.full_like(motion, np.nan))
    (found,) = unpack_clips(*pack_clips([none], True, False, Loss()), SHAPE)
    assert np.isnan(found.motion).all()


def made(folder: Path, bursts: bool) -> Run:
    run = Run(str(folder))
    clip = {"size": SIDE * SCALE, "scale": SCALE, "num_frames": T, "blur_sigma": 1.2}
    used = {"clip": clip, "preprocess": {"bursts": bursts}}
    with run.stage("preprocess", "clips", used, []) as stage:
        assert stage is not None
        for split in ("train", "validation", "test"):
            write_clips(run.path("clips", split, "0.parquet"), film(21, f"{split}/v.mp4"))
    with run.stage("recogniser", "recogniser", {}, ["clips"]) as stage:
        assert stage is not None
        Path(run.path("recogniser", "weights.safetensors")).write_bytes(b"weights")
    return run


def columns(run: Run, split: str, *names: str) -> dict[str, np.ndarray]:
    shards = list_shards(run.path("clips", split))
    return next(ShardReader(shards, 100, None, names, prefetch=0).once())


@pytest.mark.parametrize("bursts", [False, True])
def test_a_run_travels(bursts: bool, tmp_path: Path) -> None:
    run = made(tmp_path / "run", bursts)
    file = tmp_path / "parcels" / "1.tar"
    about = face_parcels.pack(run, file, {"validation": 3})
    assert about["clips"] == {"train": 9, "validation": 3, "test": 9}
    there = face_parcels.unpack(file, tmp_path / "there")
    # Its stages believe one another: the recogniser is that of these clips.
    assert there.record("recogniser").inputs == {"clips": there.record("clips").digest}
    assert there.record("clips").settings["parcel"] == json.loads(json.dumps(about))
    assert there.record("clips").counts["validation"] == 3
    for split, count in about["clips"].items():
        names = ("clip_id", "low", "high", "motion")
        found, before = columns(there, split, *names), columns(run, split, *names)
        assert found["clip_id"].tolist() == before["clip_id"][:count].tolist()
        if split == "test":
            assert np.array_equal(found["high"], before["high"])
        if bursts and split == "train":
            # Made anew: the centre is the sharp face degraded, and the others have moved.
            assert not np.array_equal(found["low"], before["low"]) and found["low"].std() > 10
            assert np.isfinite(found["motion"]).all() and not found["motion"][:, T // 2].any()
            assert np.abs(found["motion"][:, 0]).max() > 0.01
        else:
            assert np.array_equal(found["low"], before["low"][:count])
    stamp = Path(there.path("clips", "train", "00000.parquet")).stat().st_mtime_ns
    face_parcels.unpack(file, tmp_path / "there")  # whole already
    assert Path(there.path("clips", "train", "00000.parquet")).stat().st_mtime_ns == stamp


def test_what_is_no_parcel_is_said(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "1.tar", "w"):
        pass
    with pytest.raises(RunError, match=r"holds no clips/stage\.json; it is no parcel of faces"):
        face_parcels.unpack(tmp_path / "1.tar", tmp_path / "there")
