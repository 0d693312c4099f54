"""Measures clips on Ray Data actors, or in this process: every picture is restored, described and
compared once.

Suffixes: B clips of a batch, V rows of the table, M measures, I items of the pairing, D descriptor.
"""

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.image_metrics import consistency, motion, ssim_luma, temporal_difference
from datasets.protocols.pairing import Pairing
from datasets.shards.files import read_rows
from datasets.shards.row_groups import Groups, row_groups_of
from infra import process
from infra.progress import Count
from infra.settings.results import EvaluateSettings
from model.metrics import feature_distances, psnr_luma, unit_layers
from workflows.evaluation.judges import load_judge
from workflows.evaluation.measured import LAYERS, MEASURES, Measured
from workflows.evaluation.methods import Arrays, Methods, Restore
from workflows.shared import networks
from workflows.shared.restoring import pictures, to_bytes

Row = dict[str, Any]
COLUMNS = ["clip_id", "identity", "low", "high", "neighbour", "neighbour_offset"]


class Scorer:
    """One actor: restores clips with every method and measures them."""

    def __init__(self, methods: Methods, options: EvaluateSettings) -> None:
        process.limit_threads(1)
        self.device = "cuda" if options.gpus_per_worker else "cpu"
        self.clip = methods.clip
        self.rows = methods.restorers(options.batch_size, self.device)
        self.recogniser = networks.load_recogniser(methods.run).to(self.device)
        self.judge = load_judge(options)

    def __call__(self, batch: Arrays) -> Arrays:
        """Clips as stored → clip_id and identity B, values B×V×M, descriptors and judged B×V×D."""
        truth = pictures(batch["high"])
        features = self._features(truth)
        next_frames = NextFrames(batch)
        rows = [self._row(restore, batch, truth, features, next_frames)
                for restore in self.rows.values()]  # fmt: skip
        found = {name: batch[name] for name in ("clip_id", "identity")}
        return found | {name: np.stack([row[name] for row in rows], 1) for name in rows[0]}

    def _row(
        self, restore: Restore, batch: Arrays, truth: Tensor, features: dict[str, Tensor],
        next_frames: "NextFrames",
    ) -> Arrays:  # fmt: skip
        """One method: values B×M, descriptors and judged B×D; NaN where it has no picture."""
        images = restore(batch, np.zeros(len(truth), int))
        there = ~images.flatten(1).isnan().any(dim=1)
        known, low = images[there], batch["low"][there.numpy(), batch["low"].shape[1] // 2]
        # Where a method has no picture at all, one of the truth keeps the shapes; its figures go.
        some = known if len(known) else truth[:1]
        is_truth = restore is self.rows["ground_truth"]
        described = features if is_truth else self._features(some)
        values = np.full((len(truth), len(MEASURES)), np.nan)
        if len(known):
            sharp = {layer: maps[there.to(maps.device)] for layer, maps in features.items()}
            values[there.numpy(), :-1] = self._compared(known, truth[there], low, described, sharp)
        values[next_frames.places, -1] = next_frames.differences(restore, images)
        found: Arrays = {"values": values, "descriptors": _spread(described["fc7"], there)}
        if self.judge is not None:
            found["judged"] = _spread(torch.from_numpy(self.judge.describe(some)), there)
        return found

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        return unit_layers(self.recogniser, images.to(self.device), LAYERS)

    def _compared(
        self, images: Tensor, truth: Tensor, low: NDArray[Any],
        described: dict[str, Tensor], features: dict[str, Tensor],
    ) -> NDArray[Any]:  # fmt: skip
        """All measures but the temporal one of n pictures: n×(M-1)."""
        restored, sharp = to_bytes(images), to_bytes(truth)
        clip = self.clip
        distances = feature_distances(described, features)
        columns = [
            psnr_luma(images, truth).numpy(),
            [ssim_luma(one, two) for one, two in zip(restored, sharp, strict=True)],
            *(distances[layer].cpu().numpy() for layer in LAYERS),
            [consistency(one, frame, clip.scale, clip.blur_sigma)
             for one, frame in zip(restored, low, strict=True)],
        ]  # fmt: skip
        return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


class NextFrames:
    """The clips of a batch whose stored neighbour is the very next or previous frame, and the
    motion between the two sharp frames."""

    def __init__(self, batch: Arrays) -> None:
        self.places = np.flatnonzero(np.abs(batch["neighbour_offset"]) == 1)
        self.clips = {name: values[self.places] for name, values in batch.items()}
        self.flows = [
            motion(first, second)
            for first, second in zip(self.clips["high"], self.clips["neighbour"], strict=True)
        ]

    def differences(self, restore: Restore, images: Tensor) -> NDArray[Any]:
        """Temporal difference of each such clip; NaN where the method has not both frames."""
        found = np.full(len(self.places), np.nan)
        if not len(self.places):
            return found
        neighbours = restore(self.clips, self.clips["neighbour_offset"].astype(int))
        centres = images[self.places]
        for place in np.flatnonzero(~(neighbours + centres).flatten(1).isnan().any(dim=1).numpy()):
            first, second = to_bytes(torch.stack((centres[place], neighbours[place])))
            found[place] = temporal_difference(first, second, self.flows[place])
        return found


def measure(
    methods: Methods,
    options: EvaluateSettings,
    shards: list[str],
    wanted: set[str],
    pairing: Pairing,
    here: bool,
) -> Measured:
    """Measure the clips of the ids `wanted`: in this process if `here`, else on Ray."""
    clip_ids: list[str] = []
    identities: list[str] = []
    values: list[NDArray[Any]] = []
    means = {"descriptors": _Means(pairing), "judged": _Means(pairing)}
    count = Count("evaluate", len(wanted), "clips")
    batches = batches_of(shards, wanted, options.batch_size)
    for part in (_in_threads if here else _on_actors)(methods, options, batches):
        clip_ids += map(str, part["clip_id"])
        count.done(len(clip_ids))
        identities += map(str, part["identity"])
        values.append(part["values"])
        for name, mean in means.items():
            if name in part:
                mean.add(part["clip_id"], part[name])
    order, rows = np.argsort(clip_ids), len(methods.names)
    return Measured(
        [clip_ids[index] for index in order],
        [identities[index] for index in order],
        np.concatenate(values)[order],
        means["descriptors"].result(rows),
        means["judged"].result(rows) if options.judge else None,
    )


def _in_threads(
    methods: Methods, options: EvaluateSettings, batches: list[Row]
) -> Iterator[Arrays]:
    """What `Scorer` gives of each batch, in this process: SSIM and flow let other threads on."""
    scorer = Scorer(methods, options)
    workers = options.workers or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        for begin in range(0, len(batches), 2 * workers):
            yield from pool.map(scorer, map(stored, batches[begin : begin + 2 * workers]))


class _Actor:
    """One actor: what `Scorer` gives of each batch that a row names, as bytes: rows of a table
    would have to agree on the methods."""

    def __init__(self, methods: Methods, options: EvaluateSettings) -> None:
        self.methods, self.options = methods, options

    @cached_property
    def scorer(self) -> Scorer:
        """Made where an error of it becomes a row: Ray would print one of the constructor."""
        return Scorer(self.methods, self.options)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        from workflows.shared.ray_rows import until_fault

        return until_fault(self._measured, block)

    def _measured(self, row: Row) -> Row:
        batch = stored(row)
        return {"measured": pickle.dumps(self.scorer(batch))}


def _on_actors(methods: Methods, options: EvaluateSettings, batches: list[Row]) -> Iterator[Arrays]:
    """The same on a pool of Ray Data actors."""
    from workflows.shared.ray_rows import on_actors

    workers, gpus = options.workers, options.gpus_per_worker
    for row in on_actors(_Actor, (methods, options), batches, workers, gpus):
        yield pickle.loads(row["measured"])


class _Means:
    """Means of descriptors by item, gathered clip by clip: memory grows with items, not clips."""

    def __init__(self, pairing: Pairing) -> None:
        self.members, self.items = pairing.members, pairing.items
        self.sums: NDArray[np.float64] | None = None

    def add(self, clip_ids: NDArray[Any], descriptors: NDArray[np.float32]) -> None:
        if self.sums is None:
            self.sums = np.zeros((self.items, *descriptors.shape[1:]))
            self.counts = np.zeros(self.sums.shape[:2])
        for clip_id, one in zip(clip_ids, descriptors, strict=True):
            item = self.members.get(str(clip_id))
            if item is not None:
                there = ~np.isnan(one[:, 0])
                self.sums[item, there] += one[there]
                self.counts[item] += there

    def result(self, rows: int) -> NDArray[np.float32]:
        if self.sums is None:
            return np.zeros((0, rows, 1), np.float32)
        counts = np.where(self.counts == 0, np.nan, self.counts)
        return (self.sums / counts[..., None]).astype(np.float32)


def batches_of(shards: list[str], wanted: set[str], size: int) -> list[Row]:
    """The clips of the ids `wanted` in batches of at most `size`: the shard of each, and the row
    group and the row in it of each clip."""
    found: list[Row] = []
    for uri in shards:
        groups = row_groups_of([uri], COLUMNS)
        every = [(index, row) for index, group in enumerate(groups) for row in range(group.rows)]
        ids = read_rows(uri, ["clip_id"])["clip_id"].to_pylist()
        inside = [at for at, clip_id in zip(every, ids, strict=True) if clip_id in wanted]
        found += [
            {"shard": uri, "places": inside[begin : begin + size]}
            for begin in range(0, len(inside), size)
        ]
    return found


def stored(batch: Row) -> Arrays:
    """The clips of such a batch; raises ShardError where its shard is damaged."""
    with Groups(row_groups_of([batch["shard"]], COLUMNS), COLUMNS, kept=1) as groups:
        return groups.gather(batch["places"])


def _spread(rows: Tensor, there: Tensor) -> NDArray[np.float32]:
    """Rows of the pictures that are there, among NaN for those that are not."""
    found = np.full((len(there), rows.shape[1]), np.nan, np.float32)
    if there.any():
        found[there.numpy()] = rows.cpu().numpy()
    return found
