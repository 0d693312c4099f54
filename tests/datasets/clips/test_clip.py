"""Ids of clips come back as they were made, whatever the video is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.clips.clip import ClipId


@given(st.text(alphabet="a#@/\n 7.", max_size=12), st.integers(0, 999), st.integers(0, 10**6))
def test_ids_are_read_as_they_are_written(video: str, track: int, frame: int) -> None:
    clip = ClipId(video, track, frame)
    assert ClipId.parse(str(clip)) == clip


def test_an_id_of_another_form_is_refused() -> None:
    assert str(ClipId("a/b.mp4", 0, 12)) == "a/b.mp4#0@12"
    with pytest.raises(ValueError, match=r"'a/b.mp4': expected video#track@frame"):
        ClipId.parse("a/b.mp4")
