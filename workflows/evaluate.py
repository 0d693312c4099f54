"""Stage evaluate: metrics of every variant on test people, and the report that shows them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
import torch
from numpy.typing import NDArray
from torch import nn

from datasets.pairs import DrawnPairs
from datasets.tensors import arrays
from datasets.verification import bootstrap_interval, verification_percent
from infra import cluster, storage
from infra.errors import RunError
from infra.runs import Run, Stage, say
from infra.settings import Settings
from model.metrics import feature_distances, psnr_luma
from model.network import Bicubic
from model.perceptual import FaceRecogniser
from model.weights import load_network
from workflows import clips, recogniser
from workflows.command import main
from workflows.report import Sample, write_report
from workflows.scoring import (
    describe,
    pair_scores,
    pairs_of,
    pictures,
    restore_clips,
    to_bytes,
    validation_clips,
)

LAYERS = ("pool3", "pool4", "fc7")
KEYS = ("clip_id", "identity", "video", "frame")
Arrays = dict[str, NDArray[Any]]


def evaluate(settings: Settings, run: Run) -> None:
    """Write `report/metrics.json`, tables, figures and `report/index.html`."""
    used = {"evaluate": settings.evaluate.model_dump(exclude={"workers", "batch_size"}),
            "seed": settings.seed}  # fmt: skip
    with run.stage("evaluate", "report", used, ["clips", "recogniser", "tune", "train"]) as stage:
        if stage is None:
            return
        shards = clips.shards(run, "test")
        if not shards:
            raise RunError(
                "evaluate: no clip in the test split; add videos of more people, "
                "change seed, or make preprocess.train_share smaller"
            )
        cluster.connect(settings.cluster.address, settings.cluster.cpus)
        variants = ["bicubic", *run.record("train").settings["variants"]]
        scored = _score(settings, run, shards, variants)
        pairs = pairs_of(scored, settings.seed, settings.evaluate.pairs)
        rows = ["ground_truth", *variants]
        figures = {row: _summary(scored, pairs, index, row, settings.seed)
                   for index, row in enumerate(rows)}  # fmt: skip
        metrics = {"variants": figures, "pairs": _pair_counts(pairs),
                   "identities": len(set(scored["identity"]))}  # fmt: skip
        storage.write_json(stage.path("metrics.json"), metrics)
        write_report(settings, run, stage, metrics, _samples(settings, run, shards, variants))
        _say(stage, figures)
        stage.counts |= {"clips": len(scored["frame"]), "identities": metrics["identities"],
                         "variants": len(figures)}  # fmt: skip


def networks(run: Run, settings: Settings, variants: list[str]) -> dict[str, nn.Module]:
    """The trained networks of a run by name, and bicubic; for inference."""
    found: dict[str, nn.Module] = {}
    for variant in variants:
        if variant == "bicubic":
            found[variant] = Bicubic(settings.clip.scale, settings.clip.size)
            continue
        uri = run.path("train", variant, "weights.safetensors")
        with storage.local_file(uri) as path:
            found[variant] = load_network(path).eval().requires_grad_(False)
    return found


class Scorer:
    """One actor: restores clips with every variant and measures each; each image is described
    once."""

    def __init__(self, settings: Settings, run: Run, variants: list[str]) -> None:
        torch.set_num_threads(1)
        self.networks = networks(run, settings, variants)
        self.judge: FaceRecogniser = recogniser.load(run)
        self.batch_size = settings.evaluate.batch_size

    def __call__(self, table: pa.Table) -> Arrays:
        """Clips as stored → psnr B×V [dB], distances B×V×3, descriptors B×V×D; row 0 is truth."""
        batch = arrays(table)
        truth = pictures(batch["high"])
        images = [truth, *(restore_clips(network, batch["low"], self.batch_size)
                           for network in self.networks.values())]  # fmt: skip
        found: Arrays = {key: batch[key] for key in KEYS}
        found["psnr"] = np.stack([psnr_luma(image, truth).numpy() for image in images], 1)
        distances = [feature_distances(self.judge, image, truth, LAYERS) for image in images]
        found["distances"] = np.stack(
            [np.stack([of[layer].numpy() for layer in LAYERS], 1) for of in distances], 1
        )
        found["descriptors"] = np.stack([describe(self.judge, image) for image in images], 1)
        return found


def _score(settings: Settings, run: Run, shards: list[str], variants: list[str]) -> Arrays:
    """Measure all test clips on Ray Data actors; arrays over clips, sorted by clip id."""
    data = ray.data.read_parquet(shards, columns=[*KEYS, "low", "high"])
    if settings.evaluate.max_clips is not None:
        data = data.limit(settings.evaluate.max_clips)  # shards are shuffled: a fair sample
    workers = settings.evaluate.workers or cluster.cpu_count()
    rows = data.map_batches(
        Scorer,
        fn_constructor_args=(settings, run, variants),
        batch_size=settings.evaluate.batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        num_cpus=1,
    )
    parts = list(rows.iter_batches(batch_size=256, batch_format="numpy"))
    scored = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(scored["clip_id"].astype(str))
    return {name: values[order] for name, values in scored.items()}


def _summary(
    scored: Arrays, pairs: DrawnPairs | None, index: int, row: str, seed: int
) -> dict[str, Any]:
    """One row of the table: means over clips, verification over pairs with its interval."""
    psnr = scored["psnr"][:, index]
    found: dict[str, Any] = {
        "psnr": None if row == "ground_truth" else round(float(psnr.mean()), 3),
        "clips": len(psnr),
    }
    for place, layer in enumerate(LAYERS):
        found[f"l2_{layer}"] = round(float(scored["distances"][:, index, place].mean()), 4)
    found |= {"verification": None, "verification_interval": None}
    if pairs is not None:
        scores, same = pair_scores(scored["descriptors"][:, index], pairs), pairs.same
        low, high = bootstrap_interval(scores, same, seed=seed)
        found["verification"] = round(verification_percent(scores, same), 2)
        found["verification_interval"] = [round(low, 2), round(high, 2)]
    return found


def _pair_counts(pairs: DrawnPairs | None) -> dict[str, int]:
    """How many pairs there were, and of which kind; the report says it."""
    if pairs is None:
        return {"same_across_videos": 0, "same_within_video": 0, "different": 0}
    return {
        "same_across_videos": pairs.same_across_videos,
        "same_within_video": pairs.same_within_video,
        "different": pairs.different,
    }


def _samples(settings: Settings, run: Run, shards: list[str], variants: list[str]) -> list[Sample]:
    """Clips for the contact sheet: of different people as far as there are."""
    some = validation_clips(shards, limit=40 * settings.evaluate.samples)
    assert some is not None
    firsts = np.unique(some["identity"].astype(str), return_index=True)[1]
    others = np.setdiff1d(np.arange(len(some["frame"])), firsts)
    chosen = np.concatenate([np.sort(firsts), others])[: settings.evaluate.samples]
    low, high = some["low"][chosen], some["high"][chosen]
    restored = {
        name: to_bytes(restore_clips(network, low))
        for name, network in networks(run, settings, variants).items()
    }
    return [
        Sample(
            clip_id=str(some["clip_id"][index]),
            low=low[row][low.shape[1] // 2],
            restored={name: images[row] for name, images in restored.items()},
            high=high[row],
        )
        for row, index in enumerate(chosen)
    ]


def _say(stage: Stage, figures: dict[str, dict[str, Any]]) -> None:
    for name, row in figures.items():
        psnr = "-" if row["psnr"] is None else f"{row['psnr']:.2f} dB"
        same = "-" if row["verification"] is None else f"{row['verification']:.1f} %"
        say(stage.name, f"{name:>13}: PSNR {psnr}, verification {same}")


if __name__ == "__main__":
    sys.exit(main(["evaluate"], __doc__ or ""))
