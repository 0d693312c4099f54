"""Clips of photographs: of one frame, or of a burst that is made of each."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.clips.windows import Account
from datasets.sources.discovery import Source, find_sources
from datasets.sources.footage import DecodeError
from tests.datasets.clips.test_cutting import source
from tests.support.cutting import cut
from tests.support.media import bright_detector, square_frame, write_images, write_video


def stills(root: Path) -> list[Source]:
    """Three photographs of two people, of which one is no image; and where they are."""
    for number, person in enumerate(["Ann", "Bob"], 1):
        write_images(root / person, [f"{person}_0001.png"], [square_frame(20 + number, 20, 32)])
    (root / "Bob" / "Bob_0002.png").write_bytes(b"no image")
    return find_sources(str(root))


def test_a_still_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    ann, bob, broken = stills(tmp_path)
    (clip,) = cut(ann, None, num_frames=1, centre=0.5)
    assert (clip.clip_id, clip.identity) == ("Ann/Ann_0001.png#0@0", "Ann")
    assert clip.boxes.tolist() == [[30, 18, 36, 36]]  # half of 72, in the middle of 96×72
    assert np.isnan(clip.motion).all()
    account = Account()
    assert list(cut(bob, None, account=account)) == []
    assert account.reason() == "no clip from 1 frame: track shorter than 25 frames (1)"
    with pytest.raises(DecodeError, match=r"^Bob/Bob_0002\.png: not a readable image"):
        list(cut(broken, None, num_frames=1))


def test_a_still_becomes_a_burst_about_itself(tmp_path: Path) -> None:
    ann = stills(tmp_path)[0]
    account = Account()
    (clip,) = cut(ann, bright_detector, bursts=True, account=account)
    (alone,) = cut(ann, bright_detector, num_frames=1)
    assert (clip.clip_id, clip.frame, account.clips) == ("Ann/Ann_0001.png#0@0", 0, 1)
    np.testing.assert_array_equal(clip.high, alone.high)
    np.testing.assert_array_equal(clip.low[12], alone.low[0])
    assert clip.low.shape == (25, 8, 8, 3)
    assert (clip.boxes == alone.boxes).all()
    assert not clip.motion[12].any() and clip.motion[0].any()
    assert (clip.neighbour != clip.high).any() and clip.neighbour_offset != 0


def test_bursts_come_from_the_seed_and_the_clip(tmp_path: Path) -> None:
    ann, bob, _ = stills(tmp_path)

    def motion(source: Source, seed: int) -> bytes:
        (clip,) = cut(source, None, seed=seed, size=32, scale=4, bursts=True)
        return clip.motion.tobytes()

    assert motion(ann, 0) == motion(ann, 0)
    assert len({motion(ann, 0), motion(ann, 1), motion(bob, 0)}) == 3


def test_the_motion_of_footage_is_measured_where_it_is_asked_for(tmp_path: Path) -> None:
    """The scene glides by half a pixel of 64 a frame, so by 0.5 · 2 / 64."""
    wide = np.random.default_rng(0).integers(0, 256, (18, 24, 3), dtype=np.uint8)
    wide = cv2.resize(wide, (192, 144), interpolation=cv2.INTER_CUBIC)
    steps = [np.array([[2.0, 0, 30 + t], [0, 2, 12]]) for t in range(30)]
    look = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    write_video(tmp_path / "v.mp4", [cv2.warpAffine(wide, m, (64, 64), flags=look) for m in steps])
    film = source(tmp_path / "v.mp4")
    options = {"size": 64, "bursts": True}
    (clip,) = cut(film, None, **options)
    assert np.isnan(clip.motion).all()
    (clip,) = cut(film, None, flow=True, **options)
    assert clip.motion.dtype == np.float16 and not clip.motion[12].any()
    middle = clip.motion.reshape(25, 8, 8, 2)[:, 3:5, 3:5].astype(float).mean((1, 2))
    for t in (0, 4, 8, 16, 20, 24):
        assert middle[t] == pytest.approx([(12 - t) / 64, 0], abs=0.006)


def test_flow_leaves_the_motion_of_a_burst_as_it_was_made(tmp_path: Path) -> None:
    ann = stills(tmp_path)[0]
    made, kept = (next(cut(ann, None, bursts=True, flow=flow)).motion for flow in (False, True))
    np.testing.assert_array_equal(made, kept)
