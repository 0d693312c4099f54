"""What a tiny run of all stages gives, written down: a change that is to leave the results alone
leaves these. `tests/model/objectives/test_golden_losses.py` does the same for the losses.

Whoever changes them on purpose writes the new ones down, and says why in the commit.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from datasets.shards.reader import ShardReader
from tests.integration.conftest import Ended

SPLITS = ("train", "validation", "test")
# Of all clips in the order of their ids: what must be the same to the last bit, …
PICTURES = ("clip_id", "identity", "frame", "low", "high", "neighbour", "neighbour_offset", "order")
HASH = "34f45644ed6d1843"
# … and means of absolute values, which OpenCV may compute in another order on another processor.
MEANS = {"boxes": 16.0, "motion": 0.0861959, "sharpness": 88.6184}
KEYS = ("psnr", "ssim", "l2_pool3", "l2_pool4", "l2_fc7", "consistency", "temporal")
FIGURES = {
    "low": (20.757, 0.4907, 0.2835, 0.1998, 0.1177, 29.893, 5.997),
    "bicubic": (21.243, 0.5301, 0.2749, 0.1952, 0.1149, 33.356, 7.162),
    "linear": (21.562, 0.5748, 0.2758, 0.1903, 0.1147, 43.85, 13.229),
    "f1": (21.601, 0.5783, 0.275, 0.1901, 0.1161, 44.206, 12.007),
    "f5warp": (21.573, 0.5768, 0.2756, 0.1911, 0.1148, 43.256, 13.136),
}
VERIFICATION = {"low": 80.0, "bicubic": 85.0, "linear": 80.0, "f1": 80.0, "f5warp": 80.0}


@pytest.fixture(scope="module")
def clips(tiny: tuple[Path, Ended]) -> dict[str, np.ndarray]:
    folder, ended = tiny
    assert ended.status == 0
    shards = [
        str(path) for split in SPLITS for path in sorted((folder / "clips" / split).glob("*"))
    ]
    columns = (*PICTURES, *MEANS)
    batches = list(ShardReader(shards, 1000, None, columns, prefetch=0).once())
    found = {name: np.concatenate([batch[name] for batch in batches]) for name in columns}
    order = np.argsort(found["clip_id"].astype(str))
    return {name: values[order] for name, values in found.items()}


def test_clips(clips: dict[str, np.ndarray]) -> None:
    digest = hashlib.sha256()
    for name in PICTURES:
        values = clips[name]
        text = values.dtype == object
        digest.update("\n".join(map(str, values)).encode() if text else values.tobytes())
    found = {name: float(np.nanmean(np.abs(clips[name].astype(np.float64)))) for name in MEANS}
    assert digest.hexdigest()[:16] == HASH
    assert found == pytest.approx(MEANS, rel=1e-3)


def test_figures(tiny: tuple[Path, Ended]) -> None:
    folder, _ = tiny
    rows = json.loads((folder / "report/metrics.json").read_text())["variants"]
    for name, expected in FIGURES.items():
        found = tuple(rows[name][key] for key in KEYS)
        assert found == pytest.approx(expected, rel=3e-3), name
        # One pair of forty is 2.5 %.
        assert rows[name]["verification"] == pytest.approx(VERIFICATION[name], abs=2.6), name
        assert rows[name]["clips"] == 18
