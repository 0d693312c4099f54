"""Plain PyTorch on one process: neither Ray nor DeepSpeed."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infra.settings.optimiser import OptimiserSettings
from infra.training.ema import Average, on_cpu
from infra.training.engine import Batch, Objective, Terms
from infra.training.optimiser_step import (
    adam,
    judge,
    laid_out,
    lay_out_like_weights,
    lowered,
    mean,
    prepared,
    set_rate,
    split,
    spoilt_if_not_finite,
)
from infra.training.torch_files import weights_only

DEFAULTS = OptimiserSettings(steps=1)


class TorchEngine:
    """Adam on one process: no Ray, no DeepSpeed."""

    rank = 0
    world_size = 1

    def __init__(
        self, objective: Objective, options: OptimiserSettings = DEFAULTS, device: str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.options = options
        prepared(objective, options)
        self.objective = laid_out(objective, options).to(self.device)
        self.network = objective.network
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        self.optimiser = adam(objective, options)
        self.average = Average(self.network, options.ema) if options.ema else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=options.precision == "fp16")

    def step(self, batch: Batch, learning_rate: float) -> Terms:
        """One update with Adam."""
        set_rate(self.optimiser, learning_rate, self.objective.rates)
        self.optimiser.zero_grad(set_to_none=True)
        parts = []
        for part in split(batch, self.options.accumulate):
            with lowered(self.options.precision, self.device):
                parts.append(self.objective(part))
            loss = spoilt_if_not_finite(parts[-1]["loss"]) / self.options.accumulate
            self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        finite = judge(self.optimiser, self.parameters, self.options.clip_gradient)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.update()
        return mean(parts) | {"finite": finite}

    def agree(self, number: float) -> float:
        """There is no other rank to ask."""
        return number

    def mean_of_ranks(self, scalars: dict[str, float]) -> dict[str, float]:
        """There is no other rank to ask."""
        return scalars

    def result(self) -> AbstractContextManager[None]:
        """The averaged weights in place, where there are any."""
        return nullcontext() if self.average is None else self.average.in_place()

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Weights, optimiser and state in one file."""
        content = {
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state() if self.average is not None else {},
            "state": state,
        }
        torch.save(content, folder / "engine.pt")

    def load(self, folder: Path) -> dict[str, Any]:
        """Take up what `save` wrote."""
        with weights_only(folder):
            content = torch.load(folder / "engine.pt", map_location=self.device)
        self.objective.load_state_dict(content["objective"])
        self.optimiser.load_state_dict(content["optimiser"])
        lay_out_like_weights(self.optimiser)
        self.scaler.load_state_dict(content["scaler"])
        if self.average is not None:
            self.average.load(content["average"])
        return dict(content["state"])

    def network_state(self) -> dict[str, Tensor]:
        """The trained network's weights on the CPU."""
        return on_cpu(self.network, self.average)
