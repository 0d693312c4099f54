import json
from pathlib import Path

import numpy as np
import pytest

from datasets.clips.clip import Clip
from datasets.clips.realistic import Recipe
from datasets.clips.windows import Account
from datasets.degrade import degrade
from datasets.sources.discovery import Source, find_sources
from datasets.sources.footage import DecodeError
from datasets.sources.video import open_source
from datasets.tracking.crops import crop
from datasets.tracking.detectors import haar_detector
from datasets.tracking.search import Search
from tests.support.cutting import cut
from tests.support.media import (
    bright_detector,
    moving_square,
    square_frame,
    write_images,
    write_video,
)


def source(path: Path, kind: str = "video") -> Source:
    return Source(f"file://{path}", f"anna/{path.name}", "anna", kind)  # type: ignore[arg-type]


def read(path: Path, account: Account, form: str = "video", **options: object) -> list[Clip]:
    clips = cut(
        source(path, form),
        bright_detector,
        account=account,
        **options,  # type: ignore[arg-type]
    )
    return list(clips)


def test_a_video_becomes_clips_with_every_column_right(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(61), codec="h264")
    account = Account()
    clips = read(tmp_path / "v.mp4", account)
    assert [clip.frame for clip in clips] == [12, 24, 36, 48]
    assert (account.frames, account.tracks, account.clips) == (61, 1, 4)
    assert account.reason() == ""
    clip = clips[1]
    assert clip.clip_id == "anna/v.mp4#0@24"
    assert (clip.identity, clip.video, clip.track, clip.fps) == ("anna", "anna/v.mp4", 0, 25.0)
    assert clip.low.shape == (25, 8, 8, 3)
    assert clip.high.shape == clip.neighbour.shape == (32, 32, 3)
    assert clip.boxes.shape == (25, 4)
    # The drawn square of 32 pixels is at (10 + i/2, 20); the crop is 1.3 times as wide, and begins
    # at the nearest of the low pixels, of which 8 make the crop.
    x, y, side, _ = clip.boxes[12].tolist()
    assert side == pytest.approx(41.6, abs=0.6)
    assert abs(x - (10 + 12 - 4.8)) < side / 16 + 0.6 and abs(y - (20 - 4.8)) < side / 16 + 0.6
    assert (x * 8 / side, y * 8 / side) == pytest.approx((round(x * 8 / side), round(y * 8 / side)))
    assert 0 < abs(clip.neighbour_offset) <= 12
    assert 0 <= clip.order < 2**63


def test_the_neighbour_is_the_frame_that_its_offset_names(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(70), codec="h264")
    by_frame = {clip.frame: clip for clip in read(tmp_path / "v.mp4", Account(), clip_stride=1)}
    checked = 0
    for clip in by_frame.values():
        named = by_frame.get(clip.frame + clip.neighbour_offset)
        if named is not None:
            np.testing.assert_array_equal(clip.neighbour, named.high)
            checked += 1
    assert checked > 20
    assert len({clip.neighbour_offset for clip in by_frame.values()}) > 10


def test_chance_comes_from_the_seed_and_the_clip_alone(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(61))
    first, again = (read(tmp_path / "v.mp4", Account()) for _ in range(2))
    other = read(tmp_path / "v.mp4", Account(), seed=1)
    assert [(c.order, c.neighbour_offset) for c in first] == [
        (c.order, c.neighbour_offset) for c in again
    ]
    assert [c.order for c in first] != [c.order for c in other]


def test_a_single_frame_clip_is_its_own_neighbour(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(3))
    clips = read(tmp_path / "v.mp4", Account(), num_frames=1, clip_stride=1)
    assert [clip.neighbour_offset for clip in clips] == [0, 0, 0]
    np.testing.assert_array_equal(clips[1].neighbour, clips[1].high)


def test_one_frame_gives_no_clip_and_one_reason(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(1))
    account = Account()
    assert read(tmp_path / "v.mp4", account) == []
    assert account.reason() == "no clip from 1 frame: track shorter than 25 frames (1)"


def test_no_face_gives_no_clip_and_one_reason(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [np.full((72, 96, 3), 60, np.uint8)] * 40)
    account = Account()
    assert read(tmp_path / "v.mp4", account) == []
    assert account.reason() == "no clip from 40 frames: no face (1)"


def test_small_faces_give_no_clip_and_one_reason(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [square_frame(20, 20, 14)] * 40)
    account = Account()
    assert read(tmp_path / "v.mp4", account) == []
    assert account.reason() == "no clip from 40 frames: face under 20 px (1)"


def test_a_source_that_breaks_midway_raises_after_its_first_clips(tmp_path: Path) -> None:
    write_video(
        tmp_path / "v.mp4", moving_square(100), codec="h264", options={"movflags": "faststart"}
    )
    data = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "v.mp4").write_bytes(data[: int(len(data) * 0.7)])
    with pytest.raises(DecodeError, match=r"anna/v\.mp4"):
        read(tmp_path / "v.mp4", Account())


def test_images_and_an_awkward_name_go_the_same_way(tmp_path: Path) -> None:
    folder = tmp_path / "Žofia Ünal" / "burst 1"
    write_images(folder, [f"{i}.png" for i in range(30)], moving_square(30))
    (found,) = find_sources(str(tmp_path))
    (clip,) = cut(found, bright_detector)
    assert (clip.clip_id, clip.identity) == ("Žofia Ünal/burst 1#0@12", "Žofia Ünal")


def test_aligned_footage_needs_no_detector(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [frame[:64, :64] for frame in moving_square(30)])
    account = Account()
    (clip,) = cut(source(tmp_path / "v.mp4"), None, size=64, account=account)
    assert clip.boxes[0].tolist() == [0, 0, 64, 64]
    assert clip.low.shape == (25, 16, 16, 3)


def test_youtube_faces_by_its_boxes(tmp_path: Path) -> None:
    """Frame 40 of 60 is missing: two tracks; the labels say where the square is."""
    numbers = [n for n in range(60) if n != 40]
    frames = [moving_square(60)[n] for n in numbers]
    folder = tmp_path / "frame_images_DB" / "Ann" / "3"
    write_images(folder, [f"3.{n}.jpg" for n in numbers], frames)
    rows = [f"Ann\\3\\3.{n}.jpg,0,{26 + n / 2},36,32,32,0,0" for n in numbers]
    (tmp_path / "frame_images_DB" / "Ann.labeled_faces.txt").write_text("\n".join(rows))
    (found,) = find_sources(str(tmp_path))
    account = Account()
    clips = list(cut(found, None, grid="frame", account=account))
    assert [clip.frame for clip in clips] == [12, 24]
    assert clips[0].boxes[12] == pytest.approx([10 + 6 - 4.8, 20 - 4.8, 41.6, 41.6], abs=0.6)
    assert (account.tracks, account.rejected) == (2, {"track shorter than 25 frames": 1})


def test_the_account_says_how_far_faces_move_over_the_low_pixels(tmp_path: Path) -> None:
    """Boxes are told, and smoothing leaves a line a line: the face's centre is at 26 + n/2 and 36,
    so its place on the grid is (centre − box − side/2) / (side/8)."""
    folder = tmp_path / "frame_images_DB" / "Ann" / "3"
    write_images(folder, [f"3.{n}.jpg" for n in range(61)], moving_square(61))
    rows = [f"Ann\\3\\3.{n}.jpg,0,{26 + n / 2},36,32,32,0,0" for n in range(61)]
    (tmp_path / "frame_images_DB" / "Ann.labeled_faces.txt").write_text("\n".join(rows))
    (found,) = find_sources(str(tmp_path))
    for grid, shake in (("camera", 0.0), ("camera", 0.5), ("frame", 0.0), ("face", 0.5)):
        account = Account()
        clips = list(
            cut(
                found, None, account=account,
                grid=grid, shake=shake,
            )
        )  # fmt: skip
        squares = np.zeros((2, 13))
        for clip in clips:
            box = clip.boxes.astype(float)
            centres = np.stack([26 + (clip.frame - 12 + np.arange(25)) / 2, np.full(25, 36)], 1)
            places = (centres - box[:, :2] - box[:, 2:] / 2) / (box[:, 2:] / 8)
            moved = ((places - places[12]) ** 2).sum(1)
            squares += moved[12:], moved[12::-1]
        assert account.moves[:, 1].tolist() == [4 * len(clips)] * 5
        wanted = squares.sum(0)[[1, 2, 4, 8, 12]]
        assert account.moves[:, 0] == pytest.approx(wanted, rel=1e-3, abs=1e-6)
        assert (wanted.max() > 1) == (grid == "camera" or shake > 0)


def test_youtube_faces_aligned_differ_in_size(tmp_path: Path) -> None:
    """The canvas of an aligned frame grows and shrinks; the face in its middle does not."""
    folder = tmp_path / "aligned_images_DB" / "Ann" / "0"
    sides = [64 + 2 * (n % 4) for n in range(26)]
    frames = [square_frame((side - 32) / 2, (side - 32) / 2, 32, side, side) for side in sides]
    write_images(folder, [f"aligned_detect_0.{n}.png" for n in range(26)], frames)
    (found,) = find_sources(str(tmp_path))
    (clip, _) = cut(found, None, centre=0.5, clip_stride=1)
    assert set(clip.boxes[:, 2]) == {32}
    assert clip.boxes[:4, 0].tolist() == [16, 17, 18, 19]
    assert np.ptp(clip.low[:, 2:-2, 2:-2].astype(int), axis=0).max() == 0  # the square fills it


def test_every_box_is_where_its_low_frame_was_cut(tmp_path: Path) -> None:
    """low[i] = degrade(crop(frame centre − 12 + i, box[i])), for a face that a detector follows;
    the boxes of float32 move a pixel's value by a level at most."""
    write_video(tmp_path / "v.mp4", moving_square(61), codec="h264")
    clips = read(tmp_path / "v.mp4", Account())
    with open_source(source(tmp_path / "v.mp4")) as footage:
        frames = list(footage.frames())
    assert clips
    for clip in clips:
        for i, (x, y, width, height) in enumerate(clip.boxes.tolist()):
            assert width == height
            high = crop(frames[clip.frame - 12 + i], (x, y, width), 32)
            wanted = degrade(high, 4, 2.4).astype(int)
            assert np.abs(clip.low[i].astype(int) - wanted).max() <= 1
        assert np.ptp(clip.boxes[:, 0]) > 10  # it does move


def test_realistic_clips_differ_in_their_low_frames_alone(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(61), codec="h264")
    paper, first, again, other = (
        read(tmp_path / "v.mp4", Account(), **options)
        for options in (
            {}, {"kind": "realistic"}, {"kind": "realistic"},
            {"kind": "realistic", "seed": 1},
        )
    )  # fmt: skip
    for a, b, c, d in zip(paper, first, again, other, strict=True):
        assert a.low.shape == b.low.shape
        assert not np.array_equal(a.low, b.low)
        np.testing.assert_array_equal(a.high, b.high)
        assert b.low.tobytes() == c.low.tobytes()
        assert b.degradation == c.degradation != d.degradation
        record = json.loads(b.degradation)
        assert record.pop("kind") == "realistic"
        assert Recipe(**record).camera in range(6, 13)
        assert json.loads(a.degradation) == {"kind": "paper", "blur_sigma": 2.4}
    assert len({clip.degradation for clip in first}) == len(first)
    (bicubic, *_) = read(tmp_path / "v.mp4", Account(), blur_sigma=None)
    assert json.loads(bicubic.degradation) == {"kind": "bicubic"}


def test_blurred_clips_are_left_out_and_counted(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square(61), codec="h264")
    scores = [clip.sharpness for clip in read(tmp_path / "v.mp4", Account())]
    between = (min(scores) + max(scores)) / 2
    account = Account()
    kept = read(tmp_path / "v.mp4", account, min_sharpness=between)
    assert [clip.sharpness for clip in kept] == [score for score in scores if score >= between]
    assert (account.clips, account.blurred) == (len(kept), len(scores) - len(kept))
    assert 0 < account.clips < len(scores)
    assert not account.rejected  # the track gave something

    account = Account()
    assert read(tmp_path / "v.mp4", account, min_sharpness=1000.0) == []
    assert account.rejected == {"sharpness under 1000": 1}
    assert account.reason() == "no clip from 61 frames: sharpness under 1000 (1)"


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([(20, "square")], ""),
        ([(20, "square"), (40, "nothing")], ", face lost"),
        ([(20, "square"), (40, "dark")], ", cut"),
    ],
)
def test_a_short_track_says_what_ended_it(
    tmp_path: Path, spans: list[tuple[int, str]], reason: str
) -> None:
    darker = square_frame(20, 20, 32)
    darker[20:52, 20:52, 0] = 190  # no face to the detector, and no cut
    kinds = {
        "square": square_frame(20, 20, 32),
        "nothing": darker,
        "dark": np.full((72, 96, 3), 10, np.uint8),
    }
    frames = [kinds[kind] for count, kind in spans for _ in range(count)]
    write_images(tmp_path / "v", [f"{i}.png" for i in range(len(frames))], frames)
    account = Account()
    assert read(tmp_path / "v", account, "images") == []
    assert account.rejected == {f"track shorter than 25 frames{reason}": 1}
    assert account.tracks == 1


def test_boxes_lie_on_the_faces_of_a_real_video(faces: Path) -> None:
    """A detector that sees each frame for itself finds the face within the stored box, about as
    large as the box without its context, in the frames between the keys as well."""
    path = faces / "videos/id000/clip_01.mp4"
    detect = haar_detector()
    (clip, *_) = cut(source(path), detect, size=128, scale=8, min_face=48)
    with open_source(source(path)) as footage:
        frames = list(footage.frames())
    seen = 0
    for i in (1, 3, 7, 9, 12, 14, 18, 23):
        x, y, side, _ = clip.boxes[i].tolist()
        found = Search(detect, 48).everywhere(frames[clip.frame - 12 + i])
        for fx, fy, width, *_ in found.tolist():
            apart = np.hypot(fx + width / 2 - x - side / 2, fy + width / 2 - y - side / 2)
            seen += bool(apart < 0.15 * side and 0.8 < side / 1.3 / width < 1.25)
    assert seen >= 6
