"""Videos that the benchmarks draw by themselves: a talking head in frames of 640×480."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import cv2

from datasets.drawn.dataset import draw_clip
from datasets.drawn.face import paint_head
from datasets.drawn.identity import draw_identity
from datasets.drawn.paint import Pixels
from datasets.video_writer import write_video

WIDTH, HEIGHT, HEAD = 640, 480, 256
# Of the first few drawn people, one whom OpenCV's cascade finds in every frame.
PERSON = 0
DRAWN = 40
CRF = 23


def draw_videos(folder: Path, count: int, frames: int, drawn: int = DRAWN) -> list[Path]:
    """Writes `<folder>/person_000/0000.mp4` … of `frames` frames each, and gives their paths.

    Only the first `drawn` frames are drawn; longer videos run forth and back over them.
    """
    videos = [folder / f"person_{number:03d}" / f"{number:04d}.mp4" for number in range(count)]
    head = paint_head(draw_identity(0, PERSON), 3 * max(2 * HEAD, 256) // 2)
    for number, video in enumerate(videos):
        pictures = list(draw_clip(head, [0, number], min(frames, drawn), HEAD, 25, shake=0))
        there_and_back = cycle(pictures + pictures[-2:0:-1])
        write_video(video, _wide(islice(there_and_back, frames)), Fraction(25), CRF, "veryfast")
    return videos


def link_videos(videos: list[Path], folder: Path) -> None:
    """Links in `folder`: a folder a video, so that every one is a person."""
    for number, video in enumerate(videos):
        link = folder / f"{number:05d}" / video.name
        link.parent.mkdir(parents=True)
        link.symlink_to(video.resolve())


def _wide(pictures: Iterator[Pixels]) -> Iterator[Pixels]:
    top, left = (HEIGHT - HEAD) // 2, (WIDTH - HEAD) // 2
    for picture in pictures:
        yield cv2.copyMakeBorder(picture, top, top, left, left, cv2.BORDER_REPLICATE)
