from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from datasets.sources.footage import Boxes
from datasets.tracking.detectors import Detector
from datasets.tracking.tracks import TrackFrame, follow, follow_whole
from infra.extraction import Detection
from tests.support.media import Frame, bright_detector, moving_square, square_frame

BLANK = np.full((72, 96, 3), 90, np.uint8)


def tracks_of(faces: Iterator[TrackFrame]) -> dict[int, list[TrackFrame]]:
    """Groups by track, and checks what holds for every stream: order, no gap, one `last`."""
    tracks: dict[int, list[TrackFrame]] = {}
    before = (-1, -1)
    for face in faces:
        assert (face.index, face.track) > before
        before = (face.index, face.track)
        tracks.setdefault(face.track, []).append(face)
    for members in tracks.values():
        indices = [face.index for face in members]
        assert indices == list(range(indices[0], indices[0] + len(indices)))
        assert [face.last for face in members] == [False] * (len(members) - 1) + [True]
    return tracks


def spans(tracks: dict[int, list[TrackFrame]]) -> list[tuple[int, int]]:
    return [(members[0].index, members[-1].index) for members in tracks.values()]


@pytest.mark.parametrize("count", [1, 2, 5, 6, 11, 43])
@pytest.mark.parametrize("stride", [1, 5, 7])
def test_a_face_that_stays_is_one_track_of_every_frame(count: int, stride: int) -> None:
    frames = moving_square(count)
    tracks = tracks_of(follow(frames, bright_detector, Detection(stride=stride, min_face=20)))
    assert spans(tracks) == [(0, count - 1)]
    assert all(face.image is frames[face.index] for face in tracks[0])


def exact(positions: dict[int, list[tuple[float, float, float]]]):
    """Frames that carry their own number, and a detector that looks the boxes up."""
    frames = []
    for index in range(max(positions) + 1):
        frame = BLANK.copy()
        frame[0, 0] = index
        frames.append(frame)

    def detect(frame: Frame) -> Boxes:
        boxes = [(x, y, s, s) for x, y, s in positions.get(int(frame[0, 0, 0]), [])]
        return np.array(boxes, np.float32).reshape(-1, 4)

    return frames, Detector(detect)


def test_steady_motion_keeps_its_exact_sub_pixel_boxes() -> None:
    """Smoothing and interpolation must leave a line a line, ends included; but for the side there,
    which is that of the key beside it, and goes over into the line from there on."""
    frames, detect = exact({i: [(10 + 0.37 * i, 5 + 0.21 * i, 40 + 0.1 * i)] for i in range(46)})
    for face in follow(frames, detect, Detection(stride=5, min_face=20)):
        x, y, side = face.box
        at, wanted = face.index, 40 + 0.1 * face.index
        assert x + side / 2 == pytest.approx(10 + 0.37 * at + wanted / 2, abs=1e-4)
        assert y + side / 2 == pytest.approx(5 + 0.21 * at + wanted / 2, abs=1e-4)
        beside = 0.1 * max(5 - at, at - 40, 0) * (1 if at < 5 else -1)
        assert side == pytest.approx(wanted + beside, abs=1e-4)


def test_one_box_that_is_too_large_does_not_settle_the_scale_of_a_track() -> None:
    boxes = {i: [(20.0, 20.0, 40.0)] for i in range(31)}
    frames, detect = exact({**boxes, 0: [(16.0, 16.0, 48.0)], 30: [(22.0, 22.0, 36.0)]})
    (track,) = tracks_of(follow(frames, detect, Detection(stride=5))).values()
    assert [track[at].box for at in (0, 30)] == [pytest.approx((20, 20, 40), abs=1e-4)] * 2


def test_jitter_of_the_detector_is_smoothed() -> None:
    noise = np.random.default_rng(0).normal(0, 1.5, 101)
    frames, detect = exact({i: [(20 + noise[i], 20, 40)] for i in range(101)})
    x = np.array([face.box[0] for face in follow(frames, detect, Detection(stride=5))])
    raw = np.array(
        [face.box[0] for face in follow(frames, detect, Detection(stride=5, smoothing=0))]
    )
    assert np.abs(np.diff(x)).max() < 0.6 * np.abs(np.diff(raw)).max()
    assert raw[::5] == pytest.approx(20 + noise[::5], abs=1e-4)


def test_a_cut_ends_the_track_in_the_frame_before_it() -> None:
    before = moving_square(18)
    after = [255 - frame // 4 for frame in moving_square(17)]
    for frame in after:
        frame[30:60, 20:50] = (255, 90, 90)  # a face at nearly the same place
    tracks = tracks_of(follow(before + after, bright_detector, Detection(stride=5, min_face=20)))
    assert spans(tracks)[0] == (0, 17)
    assert spans(tracks)[1] == (18, 34)


def test_a_jump_ends_the_track() -> None:
    boxes = {i: [(10.0, 10.0, 40.0)] if i < 20 else [(50.0, 10.0, 40.0)] for i in range(40)}
    frames, detect = exact(boxes)
    assert spans(tracks_of(follow(frames, detect, Detection(stride=5)))) == [(0, 15), (20, 39)]


def test_a_jump_in_size_ends_the_track() -> None:
    boxes = {i: [(20.0, 20.0, 40.0)] if i < 20 else [(10.0, 10.0, 60.0)] for i in range(40)}
    frames, detect = exact(boxes)
    assert spans(tracks_of(follow(frames, detect, Detection(stride=5)))) == [(0, 15), (20, 39)]


def test_one_missed_detection_is_bridged_on_a_line_and_two_are_not() -> None:
    face = {i: [(10.0 + i, 10.0, 40.0)] for i in range(41)}
    frames, detect = exact({**face, 20: []})
    tracks = tracks_of(follow(frames, detect, Detection(stride=5, max_missed=1)))
    assert spans(tracks) == [(0, 40)]
    assert tracks[0][22].box == pytest.approx((32, 10, 40), abs=1e-4)
    frames, detect = exact({**face, 20: [], 25: []})
    assert spans(tracks_of(follow(frames, detect, Detection(stride=5, max_missed=1)))) == [
        (0, 15),
        (30, 40),
    ]


def test_a_lost_face_ends_where_it_was_last_seen() -> None:
    frames, detect = exact({i: [(10.0, 10.0, 40.0)] if i < 23 else [] for i in range(60)})
    assert spans(tracks_of(follow(frames, detect, Detection(stride=5)))) == [(0, 20)]


def test_two_faces_are_two_tracks_and_keep_their_numbers() -> None:
    boxes = {
        i: sorted([(5.0 + 0.2 * i, 10.0, 40.0), (120.0 - 0.2 * i, 12.0, 44.0)], key=lambda b: i % 2)
        for i in range(60)
    }
    frames, detect = exact(boxes)
    tracks = tracks_of(follow(frames, detect, Detection(stride=5)))
    assert sorted(spans(tracks)) == [(0, 59), (0, 59)]
    assert {round(members[0].box[2]) for members in tracks.values()} == {40, 44}
    assert all(np.ptp([face.box[2] for face in members]) < 1 for members in tracks.values())


def test_a_box_within_another_is_the_same_face() -> None:
    frames, detect = exact({i: [(10.0, 10.0, 60.0), (25.0, 35.0, 40.0)] for i in range(30)})
    tracks = tracks_of(follow(frames, detect, Detection(stride=5)))
    assert [members[0].box[2] for members in tracks.values()] == [60]


def test_small_faces_are_left_out_and_counted_once_a_track() -> None:
    boxes = {i: [(10.0, 10.0, 50.0), (100.0, 10.0, 30.0)] for i in range(50)}
    frames, detect = exact(boxes)
    rejected: Counter[str] = Counter()
    tracks = tracks_of(follow(frames, detect, Detection(min_face=40), rejected=rejected))
    assert spans(tracks) == [(0, 49)]
    assert rejected == {"face under 40 px": 1}


def test_no_frame_and_no_face_give_no_track() -> None:
    assert list(follow([], bright_detector, Detection())) == []
    assert list(follow([BLANK] * 30, bright_detector, Detection())) == []


def test_a_face_waits_for_a_bounded_number_of_frames() -> None:
    """Smoothing over two keys and one missed: at most (2 + 1 + 1)·stride later frames."""
    read = 0

    def frames() -> Iterator[Frame]:
        nonlocal read
        for _ in range(400):
            read += 1
            yield square_frame(20, 20, 32)

    for face in follow(frames(), bright_detector, Detection(stride=5, min_face=20)):
        assert read - face.index <= 4 * 5 + 1


def test_detection_runs_on_every_stride_th_frame_and_the_last_only() -> None:
    frames, shown = moving_square(44), set()

    def detect(frame: Frame) -> Boxes:
        shown.add(next(i for i, other in enumerate(frames) if other is frame))
        return bright_detector(frame)

    list(follow(frames, Detector(detect), Detection(stride=5, min_face=20)))
    assert shown == {0, 5, 10, 15, 20, 25, 30, 35, 40, 43}


def appearing(frames_with: range, count: int = 60) -> list[Frame]:
    """A square that the detector does not know for a face in other frames: no cut."""
    face = square_frame(20, 20, 32)
    other = np.minimum(face, 199)
    return [face if i in frames_with else other for i in range(count)]


LOOKING = Detector(
    bright_detector.find, smallest=20, sure=32, exact=32
)  # it is shown parts of frames


def test_a_face_that_appears_between_two_searches_is_followed_back() -> None:
    """Frames 0, 20, 40 are searched whole, the other keys around known faces alone; the face is in
    frames 12 to 59, and 15 is the first key that shows it."""
    detection = Detection(stride=5, min_face=20)
    found = follow(appearing(range(12, 60)), LOOKING, detection)
    assert spans(tracks_of(found)) == [(15, 59)]


@pytest.mark.parametrize(("seen", "tracks"), [(range(20, 30), []), (range(20, 31), [(20, 30)])])
def test_what_is_seen_in_fewer_than_three_keys_is_no_face(
    seen: range, tracks: list[tuple[int, int]]
) -> None:
    rejected: Counter[str] = Counter()
    found = follow(appearing(seen), LOOKING, Detection(stride=5, min_face=20), rejected)
    assert spans(tracks_of(found)) == tracks
    assert rejected == ({} if tracks else {"seen in fewer than 3 frames": 1})


def test_in_a_still_a_face_need_be_seen_but_once() -> None:
    found = follow([square_frame(20, 20, 32)], LOOKING, Detection(stride=5, min_face=20))
    assert spans(tracks_of(found)) == [(0, 0)]


def test_a_stride_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="stride 0"):
        list(follow([BLANK], bright_detector, Detection(stride=0)))


def test_aligned_footage_is_one_track_of_centred_squares() -> None:
    faces = list(follow_whole([BLANK] * 3))
    assert [(face.track, face.index, face.last) for face in faces] == [
        (0, 0, False),
        (0, 1, False),
        (0, 2, True),
    ]
    assert faces[0].box == (12, 0, 72)
    assert list(follow_whole([])) == []


def test_boxes_that_are_known_need_no_detector() -> None:
    positions = {i: [(10 + 0.5 * i, 5.0, 40.0)] for i in range(31)}
    frames, detect = exact(positions)
    known = [detect(frame) for frame in frames]
    looked = tracks_of(follow(frames, detect, Detection(stride=5)))
    told = tracks_of(follow(frames, known, Detection(stride=5)))
    assert [face.box for face in told[0]] == [face.box for face in looked[0]]


def test_tracks_end_where_frames_are_missing() -> None:
    frames, breaks = moving_square(40), frozenset([12, 30])
    wanted = [(0, 11), (12, 29), (30, 39)]
    assert (
        spans(tracks_of(follow(frames, bright_detector, Detection(min_face=20), breaks=breaks)))
        == wanted
    )
    assert spans(tracks_of(follow_whole(frames, breaks=breaks))) == wanted


def test_aligned_footage_is_cut_where_its_film_was() -> None:
    frames = [np.full((64, 64, 3), level, np.uint8) for level in [60] * 20 + [200] * 20]
    assert spans(tracks_of(follow_whole(frames))) == [(0, 19), (20, 39)]


def test_aligned_crops_take_a_share_of_the_first_frame_about_the_centre_of_each() -> None:
    frames = [np.zeros((height, 100, 3), np.uint8) for height in (60, 64, 56)]
    boxes = [face.box for face in follow_whole(frames, 0.5)]
    assert boxes == [(35, 15, 30), (35, 17, 30), (35, 13, 30)]


def test_a_face_about_the_least_size_is_one_track() -> None:
    boxes = {i: [(20.0, 20.0, 40.0 + (i // 5) % 2)] for i in range(61)}
    frames, detect = exact(boxes)
    rejected: Counter[str] = Counter()
    found = tracks_of(follow(frames, detect, Detection(stride=5, min_face=41), rejected))
    assert spans(found) == [(0, 60)] and not rejected


def test_a_face_that_grows_to_the_least_size_is_given_with_the_frames_that_wait() -> None:
    """40 pixels are reached in frame 50; the three keys before it still wait."""
    frames, detect = exact({i: [(20.0, 20.0, 20.0 + 0.4 * i)] for i in range(101)})
    rejected: Counter[str] = Counter()
    found = tracks_of(follow(frames, detect, Detection(stride=5, min_face=40), rejected))
    assert spans(found) == [(35, 100)] and not rejected


def test_a_face_that_is_often_missed_is_given_once_it_was_seen_three_times() -> None:
    """It is seen in every other key, so for the third time in frame 20, when the keys from frame 5
    on still wait."""
    frames, detect = exact({i: [(20.0, 20.0, 40.0)] if i % 10 == 0 else [] for i in range(61)})
    rejected: Counter[str] = Counter()
    found = tracks_of(follow(frames, detect, Detection(stride=5), rejected))
    assert spans(found) == [(5, 60)] and not rejected
