"""How well a network in training restores faces that it does not learn from."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from datasets.protocols.drawn_pairs import DrawnPairs, draw_pairs
from datasets.verification import pair_similarities, verification_percent
from model.metrics import psnr_luma
from model.network import Network
from model.perceptual import FaceRecogniser
from workflows.shared.pictures import bare_pixels
from workflows.shared.restoring import (
    Clips,
    bicubic,
    describe,
    pictures,
    restore_clips,
    to_bytes,
    validation_clips,
)
from workflows.training.job import Panel
from workflows.training.pictures import warp_panel

PAIRS = 300  # of each kind


def pairs_of(clips: Clips, seed: int, pairs_each: int) -> DrawnPairs | None:
    """Verification pairs among the clips; None where not one pair of each kind can be made."""
    try:
        return draw_pairs(
            clips["identity"], clips["video"], clips["frame"], seed=seed, count=2 * pairs_each
        )
    except ValueError:
        return None


class Validation:
    """Scores a network in training on validation clips; pairs and truth are kept."""

    def __init__(
        self, shards: list[str], limit: int, seed: int, recogniser: FaceRecogniser | None
    ) -> None:
        self.clips = validation_clips(shards, limit)
        self.recogniser = recogniser
        self.pairs = pairs_of(self.clips, seed, PAIRS) if self.clips is not None else None
        self.truth = pictures(self.clips["high"]) if self.clips is not None else None

    def score(self, network: nn.Module) -> dict[str, float]:
        """Mean PSNR on luma [dB], and verification [%] where a recogniser and pairs are there."""
        if self.clips is None or self.truth is None:
            return {}
        restored = restore_clips(network, self.clips["low"])
        scores = {"psnr": float(psnr_luma(restored, self.truth).mean())}
        if self.recogniser is not None and self.pairs is not None:
            descriptors = describe(self.recogniser, restored)
            similarities = pair_similarities(descriptors, self.pairs.pairs)
            scores["verification"] = verification_percent(similarities, self.pairs.same)
        return scores

    def panels(self, network: Network) -> dict[str, Panel]:
        """The pictures of a training by name: faces, and where P samples if there is one."""
        if self.clips is None:
            return {}
        panels: dict[str, Panel] = {"faces": partial(self._faces, network)}
        if network.predictor is not None:
            low, frames, step = self.clips["low"], network.num_frames, network.frame_step
            panels["warp"] = partial(warp_panel, network.predictor, low, frames, step)
        return panels

    def _faces(self, network: nn.Module, rows: int = 4) -> NDArray[np.uint8]:
        """A picture with a row a clip: low frame, bicubic, restored, high."""
        assert self.clips is not None
        spread = np.linspace(0, len(self.clips["frame"]) - 1, rows).round().astype(int)
        low = self.clips["low"][spread]
        restored, centre = to_bytes(restore_clips(network, low)), low[:, low.shape[1] // 2]
        return np.concatenate(
            [
                np.concatenate(
                    [bare_pixels(one, len(high)), bicubic(one, len(high)), new, high], axis=1
                )
                for one, new, high in zip(centre, restored, self.clips["high"][spread], strict=True)
            ]
        )
