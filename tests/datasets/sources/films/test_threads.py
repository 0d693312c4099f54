"""Reading a film takes the one core that Ray gives a task: no thread is started for it."""

from pathlib import Path

import pytest
from av.video.reformatter import ColorTrc

from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from tests.datasets.sources.films.test_hdr import tagged
from tests.support.films import film, flat


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("kind", ["plain", "HDR frames", "deinterlaced frames"])
def test_a_film_is_read_in_one_thread(tmp_path: Path, kind: str) -> None:
    if kind == "HDR frames":
        deep = [flat((500, 512, 512), "yuv420p10le", 64, 64)] * 8
        path = film(
            tmp_path / "v.mkv", deep, "ffv1", "yuv420p10le",
            adjust=tagged(ColorTrc.SMPTE2084, False),
        )  # fmt: skip
    else:
        fields = {"x264-params": "tff=1"} if kind == "deinterlaced frames" else {}
        path = film(tmp_path / "v.mp4", [flat((120, 100, 170), width=64, height=64)] * 8, **fields)
    before = threads()
    with open_source(Source(f"file://{path}", "a/v", "a", "video")) as footage:
        most = max(threads() for _ in footage.frames())
        assert footage.counts == ({} if kind == "plain" else {kind: 8})
    assert most <= before
