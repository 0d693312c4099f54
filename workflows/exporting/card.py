"""What one has to know to use an exported network: model.json, and the same in words."""

from typing import Any

from infra.extraction import Detection, Grid
from infra.provenance import versions
from infra.text import sha256_of
from model.network import Network
from workflows.exporting import programs
from workflows.exporting.trained import Trained
from workflows.shared.artifacts import WEIGHTS

MOTION: dict[Grid, str] = {
    "camera": "Its side stays as it is over a track, and it moves by whole low pixels",
    "frame": "It is that of each frame's own detection",
    "face": "It rides on the smoothed face",
}
TEXT = """# {title}

A face out of a window of {window[frames]} low frames, exported by facestack.

| file | |
|---|---|
{files}
| `model.json` | all of this page, for programs |

**In**: {low}: windows, frames {window[order]}, red green blue, rows, columns; levels / 255. Frame
{window[restored]}, counted from 0, is restored. Frames are {window[step]} apart in the film; at its
ends {window[ends]}.

**Out**: {high}: the same square of that frame.

**Crop**: {crop[square]}; `{factor}` is {times:g} ({crop[known_from]}). It is resized
{crop[resized]}. {crop[motion]}.

```python
import onnxruntime
network = onnxruntime.InferenceSession("network.onnx")
(high,) = network.run(None, {{"low": low}})  # NumPy

import torch
high = torch.export.load("network.pt2").module()(low)  # tensors, on the CPU
```

SHA-256 of the weights: {sha256}
"""
CARD, README = "model.json", "README.md"
FORMS = {
    WEIGHTS: "the weights as trained; the header says what network they are of",
    programs.TORCH: "torch.export.load(…).module(), without our code",
    programs.ONNX: f"ONNX, opset {programs.OPSET}",
}


def card(
    trained: Trained, network: Network, apart: dict[str, float], files: dict[str, bytes]
) -> dict[str, Any]:
    """What model.json holds, of the `files` beside it and of how far each program is `apart`."""
    side, size = network.size // network.scale, network.size
    pixels = {"dtype": "float32", "range": [0, 1], "colours": "RGB, levels / 255"}
    return {
        "variant": network.variant, "scale": network.scale, "size": size, "width": network.width,
        "input": {
            "name": programs.INPUT,
            "shape": [programs.BATCH, network.num_frames, 3, side, side],
            "axes": "windows, frames, colours, rows from the top, columns from the left",
            **pixels,
        },
        "output": {
            "name": programs.OUTPUT,
            "shape": [programs.BATCH, 3, size, size],
            "axes": "windows, colours, rows from the top, columns from the left",
            **pixels,
        },
        "window": {
            "frames": network.num_frames,
            "order": "of the film, the earliest first",
            "restored": network.radius,
            "step": network.frame_step,
            "ends": "the first and the last frame are repeated",
        },
        "crop": _crop(trained, side),
        "weights_sha256": sha256_of(trained.content),
        "files": {
            name: {"sha256": sha256_of(content), "bytes": len(content), "form": FORMS[name]}
            for name, content in files.items()
        },
        "most_apart": apart,
        "versions": versions(),
    }  # fmt: skip


def readme(told: dict[str, Any]) -> str:
    """The card in words, as Markdown."""
    low, high, window, crop = told["input"], told["output"], told["window"], told["crop"]
    factor = "context" if "context" in crop else "centre"
    files = "\n".join(f"| `{name}` | {file['form']} |" for name, file in told["files"].items())
    return TEXT.format(
        title=f"{told['variant']}, ×{told['scale']} to {told['size']}×{told['size']}",
        files=files, low=_shape(low), high=_shape(high), window=window, crop=crop,
        factor=factor, times=crop[factor], sha256=told["weights_sha256"],
    )  # fmt: skip


def _shape(end: dict[str, Any]) -> str:
    return f"`{end['name']}`, {'×'.join(map(str, end['shape']))} {end['dtype']} in [0, 1]"


def _crop(trained: Trained, side: int) -> dict[str, Any]:
    """How frames are cut, as the run or the weights tell, or by default."""
    settings = trained.settings
    how = settings.preprocess.detection() if settings else Detection("detect")
    if how.faces == "aligned":
        square = {"square": "the centred square is `centre` times the frame's shorter side",
                  "centre": how.centre, "motion": "It stands still"}  # fmt: skip
    else:
        square = {"square": "the square around the face is `context` times the detector's box, "
                  "which is square and reaches from the brows to the chin",
                  "context": how.context, "motion": MOTION[how.grid]}  # fmt: skip
    return {
        **square,
        "resized": f"to {side}×{side} by the mean over area; about as small, at whole pixels",
        "known_from": trained.told_by,
        "trained_on": settings.clip.how_degraded().record() if settings else None,
    }
