"""The parts of one update that both engines share."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from infra.settings.optimiser import OptimiserSettings
from infra.training.engine import Batch, Objective, Terms

LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}

# Keys of clips, looked up in a dictionary, and what decides which are drawn: a GPU would be waited
# for.
ON_HOST = ("order", "known")


def on_device(arrays: Mapping[str, np.ndarray | Tensor], device: torch.device) -> Batch:
    """A batch of arrays as tensors; a GPU fetches it from pinned memory beside its other work.

    What is in ON_HOST stays, and so do tensors, which lie where they are wanted.
    """
    there = {name: value for name, value in arrays.items() if isinstance(value, Tensor)}
    tensors = {
        name: torch.from_numpy(value)
        for name, value in arrays.items()
        if not isinstance(value, Tensor)
    }
    if device.type == "cpu" or not tensors.keys() - set(ON_HOST):
        return there | tensors
    # The host is a step ahead of the GPU: on a stream of its own the copy does not wait for that
    # step. The memory is this stream's, and not to be given away before the step has used it.
    work, copies = torch.cuda.current_stream(device), _copies(device)
    with torch.cuda.stream(copies):
        batch = {
            n: t.pin_memory().to(device, non_blocking=True)
            for n, t in tensors.items()
            if n not in ON_HOST
        }
    work.wait_stream(copies)
    for value in batch.values():
        value.record_stream(work)
    return there | tensors | batch


@lru_cache(maxsize=1)
def _copies(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def pinned(batches: Iterable[Mapping[str, np.ndarray]]) -> Generator[dict[str, np.ndarray]]:
    """The batches in pinned memory, where `on_device` need not copy them first; for a thread."""
    for batch in batches:
        yield {name: torch.from_numpy(v).pin_memory().numpy() for name, v in batch.items()}


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


def prepared(objective: Objective, options: OptimiserSettings) -> Objective:
    """The objective, to be compiled where the options say so."""
    set_float32_products(options.precision)
    if options.compile:
        # What it cannot compile, or for want of a compiler, runs as it is written.
        torch._dynamo.config.suppress_errors = True
        objective.compile()
    return objective


def laid_out(objective: Objective, options: OptimiserSettings) -> Objective:
    """The objective with its images and weights in memory as the options say."""
    if options.channels_last:
        return objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return objective


def adam(objective: Objective, options: OptimiserSettings) -> torch.optim.Adam:
    """Adam as both engines use it, on the parameters that are trained.

    Each submodule that its `rates` name is a group of its own.
    """
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            named = (module for module in objective.rates if name.startswith(f"{module}."))
            groups.setdefault(next(named, ""), []).append(parameter)
    return torch.optim.Adam(
        [{"params": parameters, "module": module} for module, parameters in groups.items()],
        options.learning_rate,
        betas=(0.9, options.beta2),
        fused=True,  # one pass over all parameters, on a CPU too
    )


def lay_out_like_weights(optimiser: torch.optim.Optimizer) -> None:
    """Lay out what was loaded of each weight as the weight itself lies in memory: the fused Adam of
    a CPU walks both in step, and a checkpoint may come from before `channels_last`."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state = optimiser.state.get(parameter, {})
            for name, value in state.items():
                if torch.is_tensor(value) and value.shape == parameter.shape:
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def set_rate(
    optimiser: torch.optim.Optimizer, learning_rate: float, rates: Mapping[str, float]
) -> None:
    """Set the learning rate of an optimiser that `adam` made for an objective of such `rates`."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * rates.get(group["module"], 1.0)


def split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into so many equal parts."""
    pieces = {name: value.chunk(parts) for name, value in batch.items()}
    return [{name: piece[index] for name, piece in pieces.items()} for index in range(parts)]


def mean(parts: list[Terms]) -> Terms:
    """The mean of each scalar over the parts of a batch."""
    return {name: torch.stack([p[name].detach() for p in parts]).mean() for name in parts[0]}


def spoilt_if_not_finite(loss: Tensor) -> Tensor:
    """The loss; its gradient is all NaN where it is not finite, on every rank that shares it."""
    return loss * torch.where(loss.detach().isfinite(), 1.0, torch.nan)


def judge(
    optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], clip: float | None
) -> Tensor:
    """Clip the gradient; tell the fused optimiser to skip one that is not finite (returned)."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = get_total_norm(gradients)
    if clip is not None:
        clip_grads_with_norm_(parameters, clip, norm)
    finite = norm.isfinite()
    # As GradScaler does: the decision stays on the device, no step waits for the host.
    optimiser.found_inf = (~finite).float()  # type: ignore[attr-defined]
    return finite
