"""The drawn people: the same for the same seed, alive, and told apart by their looks."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.ndimage import shift

from datasets.degrade import degrade
from datasets.drawn.dataset import draw_clip, write_dataset, write_person
from datasets.drawn.face import Head, paint_head
from datasets.drawn.features import Expression
from datasets.drawn.frame import Light, draw_frame
from datasets.drawn.identity import HAIR_STYLES, draw_identity
from datasets.drawn.scene import Pose, Scene, draw_scene
from datasets.drawn.solid import profile_rows

TEXTURE = 384
STILL = Expression(mouth=0, smile=0, rounded=0, lids=1, gaze_x=0, gaze_y=0, brows=0)
FRONT = Pose(yaw=0, pitch=0, roll=0, right=0, down=0, scale=1)
LAMP = Light(direction=(0, -0.5, 0.87), ambient=0.6, tint=(1, 1, 1))


@pytest.fixture(scope="module")
def heads() -> list[Head]:
    return [paint_head(draw_identity(0, person), TEXTURE) for person in range(8)]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return draw_scene(np.random.default_rng(0), 256)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture(scope="module")
def paths(folder: Path) -> list[Path]:
    return write_dataset(folder, identities=2, clips=2, frames=6, size=64, fps=30, seed=1)


def decoded(path: Path) -> tuple[np.ndarray, Fraction]:
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert rate is not None
    return np.stack(frames), rate


def test_files_are_videos_of_the_length_size_and_rate_asked_for(
    folder: Path, paths: list[Path]
) -> None:
    assert [path.relative_to(folder).as_posix() for path in paths] == [
        "person_000/clip_00.mp4",
        "person_000/clip_01.mp4",
        "person_001/clip_00.mp4",
        "person_001/clip_01.mp4",
    ]
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == paths
    for path in paths:
        frames, rate = decoded(path)
        assert frames.shape == (6, 64, 64, 3)
        assert rate == 30
        with av.open(str(path)) as container:
            stream = container.streams.video[0].codec_context
            assert (stream.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_coding_hardly_changes_the_pixels(paths: list[Path]) -> None:
    """PSNR = 10 log10(255² / mean squared error); colour is halved, so of the luma."""
    luma = np.array([0.299, 0.587, 0.114])
    head = paint_head(draw_identity(1, 0), TEXTURE)
    drawn = np.stack(list(draw_clip(head, [1, 2, 0, 0], 6, 64, 30)))
    error = (decoded(paths[0])[0] @ luma - drawn @ luma) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 34


def test_the_same_seed_writes_the_same_file_and_another_one_does_not(
    tmp_path: Path, paths: list[Path]
) -> None:
    again = write_dataset(tmp_path / "a", 1, 1, frames=6, size=64, fps=30, seed=1)
    other = write_dataset(tmp_path / "b", 1, 1, frames=6, size=64, fps=30, seed=2)
    assert again[0].read_bytes() == paths[0].read_bytes()
    assert other[0].read_bytes() != paths[0].read_bytes()


def test_clips_that_are_there_are_kept_and_missing_ones_come_back(
    folder: Path, paths: list[Path]
) -> None:
    before = [path.read_bytes() for path in paths]
    stamps = [path.stat().st_mtime_ns for path in paths]
    paths[2].unlink()
    write_dataset(folder, identities=2, clips=2, frames=6, size=64, fps=30, seed=1)
    assert [path.read_bytes() for path in paths] == before
    kept = [path.stat().st_mtime_ns == stamp for path, stamp in zip(paths, stamps, strict=True)]
    assert kept == [True, True, False, True]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("datasets.drawn.dataset.draw_frame", broken)
    with pytest.raises(OSError, match="disk full"):
        write_dataset(tmp_path, 1, 1, frames=2, size=32)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_two_frames_are_alike(heads: list[Head]) -> None:
    frames = list(draw_clip(heads[0], [3], 12, 64, 25))
    assert all(np.abs(a.astype(int) - b).mean() > 0.3 for a, b in pairwise(frames))
    assert len({frame.tobytes() for frame in frames}) == 12


def looks(head: Head, seed: int) -> np.ndarray:
    """A picture of the person free of pose: the front view, under a light of the clip's own."""
    rng = np.random.default_rng(seed)
    light = Light((float(rng.uniform(-0.5, 0.5)), -0.4, 0.8), 0.55, (1.0, 1.0, 1.0))
    drawn = draw_frame(head, draw_scene(rng, 256), FRONT, STILL, light, 0.0, 64)
    return drawn[8:56, 14:50].astype(float)


def test_people_differ_more_than_clips_of_one_person(heads: list[Head]) -> None:
    views = [
        [looks(head, 10 * person + clip) for clip in range(2)] for person, head in enumerate(heads)
    ]
    within = [np.abs(first - second).mean() for first, second in views]
    between = [
        np.abs(one[0] - two[1]).mean()
        for index, one in enumerate(views)
        for two in views[index + 1 :]
    ]
    assert np.mean(between) > 1.5 * np.mean(within)
    assert min(between) > np.median(within)


def test_texture_goes_with_the_head(heads: list[Head], scene: Scene) -> None:
    """Moving the head by whole pixels of the picture moves the face's pixels by as many."""
    pixel = 2 * 1.2 / 128 / 1.15
    still = draw_frame(heads[0], scene, FRONT, STILL, LAMP, 0.0, 128).astype(int)
    moved_pose = Pose(0, 0, 0, right=4 * pixel, down=-3 * pixel, scale=1)
    moved = draw_frame(heads[0], scene, moved_pose, STILL, LAMP, 0.0, 128).astype(int)
    centre = (slice(50, 80), slice(50, 78))
    shifted = (slice(47, 77), slice(54, 82))
    assert np.abs(moved[shifted] - still[centre]).mean() < 1.5
    assert np.abs(moved[centre] - still[centre]).mean() > 5


def test_the_whole_picture_moves_by_a_fraction_of_a_pixel(heads: list[Head], scene: Scene) -> None:
    """Against SciPy's cubic shift of the picture: hardly different, as the rest of drawing twice
    is sampled otherwise, and far from a picture moved by half a pixel less."""
    still, moved = (
        draw_frame(heads[0], scene, FRONT, STILL, LAMP, 0.0, 128, (x / 128, y / 128)).astype(float)
        for x, y in ((0, 0), (3.4, -2.7))
    )
    inside = (slice(8, -8), slice(8, -8))

    def error(right: float, down: float) -> float:
        wanted = shift(still, (down, right, 0), order=3)
        return float(np.abs(moved - wanted)[inside].mean())

    assert error(3.4, -2.7) < 2.5
    assert min(
        error(2.9, -2.7), error(3.9, -2.7), error(3.4, -2.2), error(3.4, -3.2)
    ) > 1.5 * error(3.4, -2.7)


def test_a_walking_hand_films(heads: list[Head], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand and walk are independent: √(0.03² + 0.03²) sides RMS an axis; nothing else changes."""
    calls: list[tuple] = []
    monkeypatch.setattr("datasets.drawn.dataset.draw_frame", lambda *given: calls.append(given))
    for shake in (0.03, 0.0):
        list(draw_clip(heads[0], [3], 4000, 64, 25, shake))
    held, fixed = calls[:4000], calls[4000:]
    moves = np.array([given[-1] for given in held])
    assert np.sqrt((moves**2).mean(0)) == pytest.approx([0.0424, 0.0424], rel=0.08)
    assert {given[-1] for given in fixed} == {(0.0, 0.0)}
    assert [given[2:-1] for given in held] == [given[2:-1] for given in fixed]


def green_column(frame: np.ndarray) -> float:
    """The centre, in pixels, of what is greener than red and blue in the middle of the picture."""
    part = frame[40:90, 30:98].astype(float)
    weight = np.clip(part[..., 1] - np.maximum(part[..., 0], part[..., 2]), 0, None).sum(0)
    return 30 + float((weight * np.arange(len(weight))).sum() / weight.sum())


@pytest.mark.parametrize("nose", [0.0, 0.2])
def test_turning_moves_a_point_by_its_depth(heads: list[Head], scene: Scene, nose: float) -> None:
    """A mark on the middle line at depth D(y) + h, h the relief, moves by (D(y) + h) sin θ."""
    y, yaw = 0.15, 0.3
    skin = heads[0].skin.copy()
    middle, row = TEXTURE // 2, int((y + 1.2) / 2.4 * TEXTURE)
    skin[row - 5 : row + 5, middle - 5 : middle + 5] = (0, 255, 0)
    relief = np.zeros_like(heads[0].relief)
    relief[..., 0] = nose
    head = replace(heads[0], skin=skin, relief=relief)
    front, turned = (
        green_column(draw_frame(head, scene, pose, STILL, LAMP, 0.0, 128))
        for pose in (FRONT, replace(FRONT, yaw=yaw))
    )
    depth = float(np.interp(y, profile_rows(), head.shape.depth)) + nose
    # A head unit is 1.15 · 128 / 2.4 pixels.
    assert turned - front == pytest.approx(depth * np.sin(yaw) * 1.15 * 128 / 2.4, abs=0.5)
    assert front == pytest.approx(63.5, abs=0.5)


@pytest.mark.parametrize(
    "change",
    [{"mouth": 1.0}, {"lids": 0.0}, {"smile": 1.0}, {"gaze_x": 1.0}, {"brows": 1.0}],
)
def test_each_part_of_the_face_moves(
    heads: list[Head], scene: Scene, change: dict[str, float]
) -> None:
    values = {name: getattr(STILL, name) for name in Expression.__dataclass_fields__}
    still = draw_frame(heads[0], scene, FRONT, STILL, LAMP, 0.0, 128).astype(int)
    moved = draw_frame(heads[0], scene, FRONT, Expression(**values | change), LAMP, 0.0, 128)
    changed = np.abs(moved - still).max(-1) > 12
    # Something of the face changes visibly, and only a part of the picture.
    assert 15 < changed.sum() < 0.25 * changed.size
    # A frame leaves nothing of itself on the head.
    assert_array_equal(draw_frame(heads[0], scene, FRONT, STILL, LAMP, 0.0, 128), still)


def test_there_is_detail_that_degradation_takes_away(heads: list[Head], scene: Scene) -> None:
    """What a low frame enlarged cannot hold is far above the rounding of a level."""
    for head in heads:
        high = draw_frame(head, scene, FRONT, STILL, LAMP, 0.0, 128)
        coarse = degrade(high, 8, 2.4).repeat(8, 0).repeat(8, 1)
        assert np.abs(high.astype(int) - coarse).mean() > 6


def test_identities_repeat_and_go_through_styles() -> None:
    people = [draw_identity(7, number) for number in range(len(HAIR_STYLES))]
    assert people == [draw_identity(7, number) for number in range(len(HAIR_STYLES))]
    assert {person.hair_style for person in people} == set(HAIR_STYLES)
    assert draw_identity(8, 0) != people[0]


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    for name, arguments in (
        ("identities", {"identities": 0}),
        ("clips", {"clips": 0}),
        ("frames", {"frames": 0}),
        ("fps", {"fps": 0}),
        ("size", {"size": 63}),
        ("shake", {"shake": -0.1}),
    ):
        with pytest.raises(ValueError, match=name):
            write_dataset(tmp_path, **{"identities": 1, "clips": 1, "frames": 1} | arguments)
    assert list(tmp_path.iterdir()) == []


def test_one_person_alone_is_the_person_of_the_collection(
    tmp_path: Path, paths: list[Path]
) -> None:
    alone = write_person(tmp_path, 1, clips=1, frames=6, size=64, fps=30, seed=1)
    assert alone == [tmp_path / "person_001" / "clip_00.mp4"]
    assert alone[0].read_bytes() == paths[2].read_bytes()
    with pytest.raises(ValueError, match="person"):
        write_person(tmp_path, -1, clips=1, frames=1)
