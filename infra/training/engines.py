"""What makes one optimiser step: DeepSpeed, or plain PyTorch with the same methods.

The loop knows only what `Engine` lists; an engine knows nothing of data, Ray or stages. The
objective is a module whose forward takes a batch and returns scalars, "loss" among them, and whose
`network` is what is saved. Both engines work on a batch in `accumulate` parts, clip the gradient's
norm, and leave an update out where loss or gradient is not finite.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from infra.errors import TrainingError
from infra.settings.training import OptimiserSettings
from infra.training.deepspeed_config import deepspeed_config, judges
from infra.training.deepspeed_universal import separate_groups, universal_checkpoint
from infra.training.ema import Average, on_cpu
from infra.training.optimiser_step import (
    Batch,
    Terms,
    adam,
    judge,
    laid_out,
    lay_out_like_weights,
    mean,
    prepared,
    rates_of,
    set_rate,
    split,
    spoilt_if_not_finite,
)
from infra.training.precision import lowered

DEFAULTS = OptimiserSettings(steps=1)


class Engine(Protocol):
    """One optimiser step, and its state on disk."""

    rank: int
    world_size: int
    device: torch.device
    objective: nn.Module

    def step(self, batch: Batch, learning_rate: float) -> Terms:
        """Forward, backward and update; the objective's scalars, and `finite`: it was updated."""

    def agree(self, seconds: float) -> float:
        """The largest that any rank says; every rank must call it."""

    def result(self) -> AbstractContextManager[None]:
        """Inside, the network has the weights that `network_state` gives."""

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Write this rank's share of the weights, the optimiser and `state`."""

    def load(self, folder: Path) -> dict[str, Any]:
        """Take up what `save` wrote; raises TrainingError where it does not fit."""

    def network_state(self) -> dict[str, Tensor]:
        """The whole trained (or averaged) weights on the CPU; every rank must call it."""


def given_a_gpu(options: OptimiserSettings) -> bool:
    """Whether the settings give a worker a GPU: one that is there may be another program's."""
    return options.gpus_per_worker > 0 and torch.cuda.is_available()


class TorchEngine:
    """Adam on one process: no Ray, no DeepSpeed."""

    rank = 0
    world_size = 1

    def __init__(
        self, objective: nn.Module, options: OptimiserSettings = DEFAULTS, device: str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.options = options
        self.objective = laid_out(prepared(objective, options), options).to(self.device)
        self.network = objective.get_submodule("network")
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        self.optimiser = adam(objective, options)
        self.average = Average(self.network, options.ema) if options.ema else None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=options.precision == "fp16")

    def step(self, batch: Batch, learning_rate: float) -> Terms:
        """One update with Adam."""
        set_rate(self.optimiser, learning_rate, rates_of(self.objective))
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

    def agree(self, seconds: float) -> float:
        """There is no other rank to ask."""
        return seconds

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
        content = torch.load(folder / "engine.pt", map_location=self.device, weights_only=True)
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


class DeepSpeedEngine:
    """DeepSpeed inside a process group that Ray Train (or torchrun) has set up."""

    def __init__(self, objective: nn.Module, options: OptimiserSettings = DEFAULTS) -> None:
        cuda = given_a_gpu(options)
        if options.precision == "fp16" and not cuda:
            raise TrainingError(
                "precision fp16: DeepSpeed has it on GPUs alone; set gpus_per_worker, or use bf16 "
                "or fp32"
            )
        if not cuda:
            # Else it warns that it found no GPU, or takes one that this worker was not given.
            os.environ["DS_ACCELERATOR"] = "cpu"
        import deepspeed
        import deepspeed.ops

        if not cuda:
            # On a CPU DeepSpeed would compile a C++ collective of its own for minutes; gloo serves.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(
            dist_backend="nccl" if cuda else "gloo", auto_mpi_discovery=False, verbose=False
        )
        self.options = options
        self.objective = objective
        self.network = objective.get_submodule("network")
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        self.engine, *_ = deepspeed.initialize(
            model=prepared(objective, options),
            model_parameters=self.parameters,
            optimizer=adam(objective, options),
            config=deepspeed_config(options, cuda),
            dist_init_required=False,
        )
        if not judges(options):
            # Now that the workers have sent each other the weights, which gloo can do of contiguous
            # ones alone. Where DeepSpeed judges, weights are views of its own memory.
            laid_out(objective, options)
        # Made now that the weights lie where they stay; with ZeRO 3, which would have parted them,
        # the settings refuse ema.
        self.average = Average(self.network, options.ema) if options.ema else None
        self.modules = [group["module"] for group in self.engine.optimizer.param_groups]
        self.rank = torch.distributed.get_rank()
        self.world_size = torch.distributed.get_world_size()
        self.device = torch.device(self.engine.device)
        if self.world_size == 1 and not judges(options):
            # DeepSpeed would copy all gradients to one block and back, to share them with nobody.
            self.engine.enable_backward_allreduce = False

    def step(self, batch: Batch, learning_rate: float) -> Terms:
        """One update; gradients are averaged over the workers."""
        set_rate(self.engine.optimizer, learning_rate, rates_of(self.objective))
        parts = []
        for part in split(batch, self.options.accumulate):
            parts.append(self.engine(part))
            self.engine.backward(spoilt_if_not_finite(parts[-1]["loss"]))
            if not judges(self.options) and self.engine.is_gradient_accumulation_boundary():
                clip = self.options.clip_gradient
                finite = judge(self.engine.optimizer, self.parameters, clip)
            self.engine.step()
        if judges(self.options):
            finite = torch.tensor(self.engine.was_step_applied())
        if self.average is not None:
            self.average.update()
        return mean(parts) | {"finite": finite}

    def agree(self, seconds: float) -> float:
        """The largest that any rank says."""
        said = torch.tensor(seconds, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(said, torch.distributed.ReduceOp.MAX)
        return float(said)

    def result(self) -> AbstractContextManager[None]:
        """The averaged weights in place, where there are any."""
        return nullcontext() if self.average is None else self.average.in_place()

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """This rank's files of a DeepSpeed checkpoint."""
        average = self.average.state() if self.average is not None else {}
        self.engine.save_checkpoint(
            str(folder), tag="engine", client_state={"facestack": state, "average": average}
        )

    def load(self, folder: Path) -> dict[str, Any]:
        """Take up a DeepSpeed checkpoint, of another number of workers too."""
        # Without ZeRO every worker has all states, and there are no such files.
        parts = len(list((folder / "engine").glob("*optim_states.pt")))
        universal = parts not in (0, self.world_size)
        # DeepSpeed asks for it at each load; its settings say it once for all checkpoints.
        self.engine._config.load_universal_checkpoint = universal
        with universal_checkpoint(folder) if universal else nullcontext(folder) as place:
            found, client = self.engine.load_checkpoint(str(place), tag="engine")
        if found is None:
            raise TrainingError(f"{folder}: holds no DeepSpeed checkpoint that can be read")
        if not judges(self.options):
            lay_out_like_weights(self.engine.optimizer)
        if universal and self.options.zero_stage == 3:
            separate_groups(self.engine.optimizer, self.modules)
        if self.average is not None:
            self.average.load(client["average"])
        return dict(client["facestack"])

    def network_state(self) -> dict[str, Tensor]:
        """The trained network's weights on the CPU, gathered where ZeRO 3 shares them out."""
        import deepspeed

        shared = list(self.network.parameters()) if self.options.zero_stage == 3 else []
        with deepspeed.zero.GatheredParameters(shared) if shared else nullcontext():
            return on_cpu(self.network, self.average)
