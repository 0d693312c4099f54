"""The rows of a film's tracks in the manifest."""

import tracemalloc

import numpy as np

from tests.support.enhancement.spans import MODEL, a_film, a_part
from workflows.enhancement.outputs.output import Place
from workflows.enhancement.outputs.track_rows import TrackRows
from workflows.enhancement.spans import Span


def rows() -> TrackRows:
    return TrackRows(Place(a_film(), "/x", {8: MODEL}))


def test_a_track_of_several_parts_has_one_row() -> None:
    whole = a_part(20, first=5)
    first, second = a_part(12, first=5, ends=False), a_part(8, first=17, begins=False)
    with rows() as found:
        found.add(Span(0, 0, 17, [first]))
        found.add(Span(1, 17, 20, [second]))
    row = found.of_tracks[0]
    assert (row["first_frame"], row["frames"], row["start"]) == (5, 20, 0.2)
    assert row["seconds"] == np.float64(20 / 25) and row["times"] == []
    sharp = np.concatenate([first.sharpness, second.sharpness]).astype(float)
    assert row["sharpness"] == np.median(sharp)
    assert row["crop_side"] == np.median(whole.crops[:, 2])


def test_what_no_frame_tells_is_null_and_what_some_do_their_median() -> None:
    scores = np.array([np.nan, 0.5, 1.0, np.nan], np.float32)
    unknown = np.full(4, np.nan, np.float32)
    with rows() as found:
        found.add(Span(0, 0, 4, [a_part(4, scores=scores, sharpness=unknown)]))
    assert (found.of_tracks[0]["score"], found.of_tracks[0]["sharpness"]) == (0.75, None)


def test_tracks_that_have_ended_hold_no_pictures() -> None:
    """300 tracks of 20 frames are 18 MB of restored faces."""
    tracemalloc.start()
    with rows() as found:
        for n in range(300):
            found.add(Span(n, 20 * n, 20, [a_part(20, n, 20 * n)]))
        held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.of_tracks) == 300 and held < 2e6
