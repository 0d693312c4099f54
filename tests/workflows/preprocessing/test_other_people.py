"""Who is seen beside the person of a film has another identity in the same split."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.clips.windows import Account
from datasets.shards.assembly import assemble_shard
from datasets.shards.files import read_rows, write_clips
from datasets.sources.discovery import find_sources
from datasets.sources.footage import Boxes, Frame
from datasets.tracking.detectors import Detector
from infra import storage
from infra.runs import Stage
from infra.settings.settings import Settings
from tests.support.cutting import cut
from tests.support.media import square_frame, write_images
from workflows.preprocessing import packing
from workflows.preprocessing.outcomes import Outcome, outcome_of


def bright_squares(frame: Frame) -> Boxes:
    bright = cv2.threshold(frame[:, :, 0], 200, 255, cv2.THRESH_BINARY)[1]
    _, _, found, _ = cv2.connectedComponentsWithStats(bright)
    return found[1:, :4].astype(np.float32)


def film(beside: range) -> list[Frame]:
    """60 frames of a face of 40 pixels, and of one of 24 in some of them."""
    frames = [square_frame(100 + i % 3, 20, 40, 200, 100) for i in range(60)]
    for i in beside:
        frames[i][60:84, 20:44] = (230, 200, 170)
    return frames


@pytest.fixture
def read(tmp_path: Path) -> tuple[Stage, list[Outcome]]:
    """Two films of Ann, in one of which somebody else is beside her from frame 10 on."""
    write_images(tmp_path / "films/ann/a#1", [f"{i}.png" for i in range(60)], film(range(10, 60)))
    write_images(tmp_path / "films/ann/b", [f"{i}.png" for i in range(60)], film(range(0)))
    stage = Stage("preprocess", str(tmp_path / "clips"), "made from this")
    outcomes = []
    for source in find_sources(str(tmp_path / "films"), "frames"):
        account = Account()
        part = f"parts/{len(outcomes)}.parquet"
        clips = cut(source, Detector(bright_squares), account=account, stride=1)
        write_clips(stage.path(part), clips, packed=True)
        outcomes.append(outcome_of(source, "", account, part))
    return stage, outcomes


def shards(stage: Stage, outcomes: list[Outcome]) -> dict[tuple[str, str], int]:
    """The clips of each identity in each split, written and read."""
    found: dict[tuple[str, str], int] = {}
    for plan in packing.deal(Settings(), stage, outcomes, None):
        assemble_shard(plan, stage.path(plan.name))
        for identity in read_rows(stage.path(plan.name), ["identity"])["identity"].to_pylist():
            found[identity, plan.split] = found.get((identity, plan.split), 0) + 1
    return found


def test_the_second_of_two_faces_is_somebody_else_in_the_same_split(
    read: tuple[Stage, list[Outcome]],
) -> None:
    """Clips of 25 frames every 12: 3 of each of Ann's films, 3 of the face in frames 10 to 59."""
    stage, outcomes = read
    (split,) = {split for _, split in shards(stage, outcomes)}
    assert shards(stage, outcomes) == {("ann", split): 6, ("ann/a#1/#1", split): 3}
    assert {outcome.identity for outcome in outcomes} == {"ann"}


def test_shards_that_are_dealt_anew_keep_who_is_who(read: tuple[Stage, list[Outcome]]) -> None:
    stage, outcomes = read
    before = shards(stage, outcomes)
    packing.write_sources(stage, outcomes)
    packing.keep_shards(stage)
    storage.remove(stage.path("parts/0.parquet"))
    kept = packing.kept_outcomes(stage.uri)
    assert [outcome.others for outcome in kept] == [outcome.others for outcome in outcomes]
    assert shards(stage, kept) == before
    film, _ = kept
    assert shards(stage, [film]) == {who: n for who, n in before.items() if n == 3} | {
        ("ann", split): 3 for _, split in before
    }
    assert shards(stage, [replace(film, others={})]) == {("ann", split): 6 for _, split in before}
