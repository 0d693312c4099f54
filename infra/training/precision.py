"""Arithmetic of a training: what float32 products are on a GPU, and what autocast lowers."""

from contextlib import AbstractContextManager, nullcontext

import torch

LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}


def set_float32_products(precision: str) -> None:
    """Let matrix products and convolutions of float32 be TF32, or what IEEE 754 says."""
    kind = "tf32" if precision == "tf32" else "ieee"
    for place in (torch.backends.cuda.matmul, torch.backends.cudnn.conv):  # type: ignore[attr-defined]
        place.fp32_precision = kind


def lowered(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bf16 or fp16; nothing for the others."""
    if precision not in LOWER:
        return nullcontext()
    return torch.autocast(device.type, LOWER[precision])
