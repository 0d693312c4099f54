"""What aligned frames are worth before any network is trained: the gain of linear restoration.

A linear restoration (model/layers/linear.py) is fitted to training clips and tried on test people,
once of the central frame alone and once of each window, aligned by nothing, by the predictor, and
by the motion that is stored with the clips. The last says what a perfect predictor would bring, and
the distance to it what P still has to learn; R can be expected to keep what its start has.

Suffixes: N clips, T frames, A = T-1 others, K = 64 control points.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from infra.conventions import CONTROL_POINTS
from infra.runs import Run
from model.layers.warp_predictor import WarpPredictor
from model.linear_fit import fit_linear
from model.metrics import psnr_luma
from model.network import Network, build
from model.objectives.curriculum import stored_motion
from model.pixels import centre_slice, to_pixels
from workflows.shared import artifacts
from workflows.shared.restoring import CPU, pictures, validation_clips

CLIPS = 64  # to fit to, and to try on
WINDOWS = ((5, 1), (5, 3), (25, 1))  # frames, and how far apart they are
COLUMNS = ("low", "high", "motion")


@torch.no_grad()
def linear_gains(
    run: Run, predictor: WarpPredictor, clip: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row a window that the clips hold: PSNR [dB] of one frame, and the gain over it with the
    frames as they are (`none`), and aligned by P (`predicted`) and by stored motion (`stored`)."""
    fitted, tried = (
        validation_clips(artifacts.shards(run, split), CLIPS, COLUMNS)
        for split in ("train", "test")
    )
    assert fitted is not None and tried is not None, "both splits were seen to have clips"
    one = _score(build("f1", clip["scale"], clip["size"]), fitted, tried)
    for frames, step in WINDOWS:
        if (frames - 1) * step + 1 > clip["num_frames"]:
            continue
        network = build(f"f{frames}warp", clip["scale"], clip["size"], frame_step=step)
        assert isinstance(network, Network) and network.predictor is not None
        network.predictor.load_state_dict(predictor.state_dict())
        gains = {
            field: round(_score(network, fitted, tried, field) - one, 3)
            for field in ("none", "predicted", "stored")
        }
        yield {"frames": frames, "step": step, "one_frame": round(one, 3), **gains}


def _score(network: Any, fitted: Any, tried: Any, field: str = "predicted") -> float:
    """Mean PSNR of the test clips by the linear counterpart of a network, aligned by `field`."""
    low, shifts = _window(network, fitted, field)
    counterpart = fit_linear(network, low, pictures(fitted["high"]), shifts)
    low, shifts = _window(network, tried, field)
    truth = pictures(tried["high"])
    scores = [
        psnr_luma(counterpart(low[part], None if shifts is None else shifts[part]), truth[part])
        for part in (slice(first, first + 8) for first in range(0, len(low), 8))
    ]
    return float(torch.cat(scores).mean())


def _window(network: Network, some: Any, field: str) -> tuple[Tensor, Tensor | None]:
    """The network's windows N×T×3×h×w of some clips, and the shifts N×A×K×2 to align them by.

    Where no motion is stored, `stored` is what P says.
    """
    frames, step = network.num_frames, network.frame_step
    low = to_pixels(centre_slice(torch.from_numpy(some["low"]), frames, step), CPU)
    if network.predictor is None:
        return low, None
    if field == "none":
        return low, torch.zeros(len(low), frames - 1, CONTROL_POINTS, 2)
    shifts = torch.cat([network.predicted_shifts(part) for part in low.split(8)])
    if field == "predicted":
        return low, shifts
    motion = stored_motion({"motion": torch.from_numpy(some["motion"])}, frames, CPU, step)
    return low, torch.where(motion.isfinite(), motion, shifts)
