"""One actor's work on a batch of clips, without Ray, against the metrics applied one by one."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

from datasets.degrade import degrade_track
from datasets.image_metrics import consistency, motion, ssim_luma, temporal_difference
from datasets.shards.files import read_rows
from infra import storage
from infra.runs import Run, StageRecord
from infra.settings.data import ClipSettings
from infra.settings.results import EvaluateSettings
from model.metrics import psnr_luma
from model.network import build
from model.perceptual import FaceRecogniser, save_recogniser
from model.weights import save_weights
from tests.support.small_jobs import write_shards
from workflows.evaluation import measure
from workflows.evaluation.exchange import folder_name, frame_name
from workflows.evaluation.measure import Arrays, Scorer, batches_of, stored
from workflows.evaluation.measured import MEASURES
from workflows.evaluation.methods import Methods
from workflows.shared import artifacts
from workflows.shared.restoring import shifted

SIZE, T = 32, 5
SAME_AS_TRUTH = "mine"


@pytest.fixture(scope="module")
def batch() -> Arrays:
    """Three clips of a picture that moves by a pixel a frame; the second has the next frame."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (3, SIZE + 2 * T, SIZE + 2 * T, 3), np.uint8)
    films = np.stack([
        np.stack([cv2.GaussianBlur(one, (0, 0), 2)[t : t + SIZE, t : t + SIZE] for t in range(T)])
        for one in noise
    ])  # fmt: skip
    offsets = np.array([2, 1, -2])
    return {
        "clip_id": np.array(["a", "b", "c"]),
        "identity": np.array(["p", "q", "q"]),
        "low": np.stack([degrade_track(film, 4, 1.2) for film in films]),
        "high": films[:, T // 2],
        "neighbour": films[np.arange(3), T // 2 + offsets],
        "neighbour_offset": offsets,
    }


def test_batches_hold_the_wanted_clips_of_a_shard_and_no_others(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)  # of eleven clips each, in row groups of four
    wanted = {"v#0@1", "v#0@2", "v#0@9", "v#0@10", "v#0@11", "v#0@13"}
    batches = batches_of(shards, wanted, 3)
    found = [[str(name) for name in stored(batch)["clip_id"]] for batch in batches]
    assert found == [["v#0@1", "v#0@2", "v#0@9"], ["v#0@10"], ["v#0@11", "v#0@13"]]
    whole = read_rows(shards[1]).to_pydict()
    np.testing.assert_array_equal(
        stored(batches[2])["high"].reshape(2, -1), [whole["high"][0], whole["high"][2]]
    )


def test_a_damaged_shard_is_what_an_actor_says_last(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    batches = batches_of(shards, {f"v#0@{number}" for number in range(22)}, 4)
    content = Path(shards[0]).read_bytes()
    half = len(content) // 2
    Path(shards[0]).write_bytes(content[:9] + bytes(half) + content[9 + half :])
    actor = measure._Actor(Methods(Run(str(tmp_path)), ClipSettings(), {}), EvaluateSettings())
    (said,) = (table.to_pylist() for table in actor(pa.Table.from_pylist(batches)))
    assert said[0]["fault"].startswith(f"{shards[0]}: not a readable Parquet file (")
    assert said[0]["status"] == 2


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory, batch: Arrays) -> tuple[Methods, Scorer]:
    folder = tmp_path_factory.mktemp("run")
    run = Run(str(folder / "run"))
    torch.manual_seed(0)
    save_recogniser(
        FaceRecogniser(3, width=0.05, input_size=32, fc_width=12),
        Path(run.path("recogniser", "weights.safetensors")),
    )
    network = build("f3", scale=4, size=SIZE, width=0.1)
    save_weights(network, Path(run.path("train", "f3", "weights.safetensors")))
    linear = build("linear3", scale=4, size=SIZE)
    save_weights(linear, Path(run.path("train", "f3", artifacts.LINEAR)))
    record = StageRecord(stage="train", settings={"variants": ["f3"]}, inputs={}, counts={},
                         versions={}, seconds=0, finished="")  # fmt: skip
    storage.write_json(run.path("train", "stage.json"), record.model_dump())
    frames = folder / "mine"
    for row in (0, 1):  # the third clip is missing; the second has its next frame too
        (frames / folder_name(batch["clip_id"][row])).mkdir(parents=True)
        for key, index in (("high", 2), ("neighbour", 3))[: row + 1]:
            file = frames / folder_name(batch["clip_id"][row]) / frame_name(index, T)
            cv2.imwrite(str(file), batch[key][row][..., ::-1])
    clip = ClipSettings(size=SIZE, scale=4, num_frames=T, blur_sigma=1.2)
    methods = Methods(run, clip, {SAME_AS_TRUTH: str(frames)})
    return methods, Scorer(methods, EvaluateSettings())


def test_every_measure_is_that_of_the_single_pictures(
    scorer: tuple[Methods, Scorer], batch: Arrays
) -> None:
    methods, actor = scorer
    found = actor(batch)
    rows = methods.names
    assert rows == ["ground_truth", "low", "bicubic", "linear", "f3", SAME_AS_TRUTH]
    assert found["values"].shape == (3, 6, len(MEASURES))
    network = actor.rows["f3"].args[0]  # type: ignore[attr-defined]
    for clip in range(3):
        low = torch.from_numpy(batch["low"][clip : clip + 1, 1:4].copy())
        with torch.no_grad():
            image = network(low.permute(0, 1, 4, 2, 3).float() / 255)
        restored = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        truth = torch.from_numpy(batch["high"][clip : clip + 1].copy()).permute(0, 3, 1, 2) / 255
        given = dict(zip(MEASURES, found["values"][clip, rows.index("f3")], strict=True))
        assert given["psnr"] == pytest.approx(float(psnr_luma(image, truth)), abs=1e-4)
        assert given["ssim"] == pytest.approx(ssim_luma(restored, batch["high"][clip]), abs=1e-3)
        again = consistency(restored, batch["low"][clip, 2], 4, 1.2)
        assert given["consistency"] == pytest.approx(again, abs=1e-2)
        apart = []
        for layer in ("pool3", "fc7"):
            with torch.no_grad():
                view = torch.nn.functional.interpolate(
                    torch.cat((image, truth)), (37, 37), mode="bilinear", antialias=True
                )[..., 2:34, 2:34]  # 37 = 32·256/224, and its centre
                maps = actor.recogniser.forward_to(view, [layer])[layer].flatten(1)
            apart.append(float((maps[0] / maps[0].norm() - maps[1] / maps[1].norm()).norm()))
        assert [given["l2_pool3"], given["l2_fc7"]] == pytest.approx(apart, abs=1e-4)


def test_truth_and_what_equals_it(scorer: tuple[Methods, Scorer], batch: Arrays) -> None:
    methods, actor = scorer
    found = actor(batch)
    values = {row: found["values"][:, place] for place, row in enumerate(methods.names)}
    truth, mine = values["ground_truth"], values[SAME_AS_TRUTH]
    assert truth[:, MEASURES.index("consistency")].tolist() == [100, 100, 100]
    assert np.allclose(truth[:, 2:5], 0, atol=1e-6)
    assert np.allclose(mine[:2], truth[:2], atol=1e-5, equal_nan=True)
    assert np.isnan(mine[2]).all()
    described = found["descriptors"][:, -1]
    assert np.isnan(described[2]).all()
    assert np.allclose(np.linalg.norm(described[:2], axis=1), 1, atol=1e-5)
    # Only the second clip's stored neighbour is the very next frame.
    temporal = truth[:, MEASURES.index("temporal")]
    flow = motion(batch["high"][1], batch["neighbour"][1])
    expected = temporal_difference(batch["high"][1], batch["neighbour"][1], flow)
    assert np.isnan(temporal[[0, 2]]).all() and temporal[1] == pytest.approx(expected)
    low = values["low"][1, MEASURES.index("temporal")]
    assert np.isfinite(low) and low != temporal[1]


def test_clips_move_to_another_centre_and_repeat_their_ends() -> None:
    low = np.arange(2 * 5, dtype=np.uint8).reshape(2, 5, 1, 1, 1) % 5
    moved = shifted(low, np.array([1, -2]))[..., 0, 0, 0]
    assert moved.tolist() == [[1, 2, 3, 4, 4], [0, 0, 0, 1, 2]]
