"""What makes one optimiser step: DeepSpeed, or plain PyTorch with the same five methods.

The loop knows only `step`, `save`, `load`, `network_state` and `learning_rate`; an engine knows
nothing of data, Ray or stages. The objective is a module whose forward takes a batch and returns
scalars, "loss" among them, and whose `network` is what is saved.
"""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from infra.errors import TrainingError
from infra.universal import universal_checkpoint

Batch = dict[str, Tensor]


class Engine(Protocol):
    """One optimiser step, and its state on disk."""

    rank: int
    world_size: int

    def step(self, batch: Batch, learning_rate: float) -> dict[str, Tensor]:
        """Forward, backward and update; returns the objective's scalars."""

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Write this rank's share of the weights, the optimiser and `state`."""

    def load(self, folder: Path) -> dict[str, Any]:
        """Take up what `save` wrote; raises TrainingError where it does not fit."""

    def network_state(self) -> dict[str, Tensor]:
        """The whole trained network's weights on the CPU; every rank must call it."""


class TorchEngine:
    """Adam on one process: no Ray, no DeepSpeed."""

    rank = 0
    world_size = 1

    def __init__(
        self,
        objective: nn.Module,
        device: str = "cpu",
        precision: str = "fp32",
        beta2: float = 0.999,
    ) -> None:
        self.objective = objective.to(device)
        self.device = device
        self.precision = precision
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(self.parameters, betas=(0.9, beta2))

    def step(self, batch: Batch, learning_rate: float) -> dict[str, Tensor]:
        """One update with Adam."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        autocast = (
            torch.autocast(torch.device(self.device).type, torch.bfloat16)
            if self.precision == "bf16"
            else nullcontext()
        )
        with autocast:
            terms: dict[str, Tensor] = self.objective(
                {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
            )
        terms["loss"].backward()
        self.optimiser.step()
        return {name: value.detach() for name, value in terms.items()}

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Weights, optimiser and state in one file."""
        content = {
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "state": state,
        }
        torch.save(content, folder / "engine.pt")

    def load(self, folder: Path) -> dict[str, Any]:
        """Take up what `save` wrote."""
        content = torch.load(folder / "engine.pt", map_location=self.device, weights_only=True)
        self.objective.load_state_dict(content["objective"])
        self.optimiser.load_state_dict(content["optimiser"])
        return dict(content["state"])

    def network_state(self) -> dict[str, Tensor]:
        """The trained network's weights on the CPU."""
        network = self.objective.get_submodule("network")
        return {name: value.detach().cpu() for name, value in network.state_dict().items()}


class DeepSpeedEngine:
    """DeepSpeed inside a process group that Ray Train (or torchrun) has set up."""

    def __init__(
        self,
        objective: nn.Module,
        batch_size: int,
        zero_stage: int = 0,
        precision: str = "fp32",
        beta2: float = 0.999,
        universal: bool = False,
    ) -> None:
        """`universal`: the checkpoint to load is of another number of workers."""
        cuda = torch.cuda.is_available()
        if not cuda:
            os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it warns that it found no GPU
        import deepspeed
        import deepspeed.ops

        if not cuda:
            # On a CPU DeepSpeed would compile a C++ collective of its own for minutes; gloo serves.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(
            dist_backend="nccl" if cuda else "gloo", auto_mpi_discovery=False, verbose=False
        )
        self.zero_stage = zero_stage
        # Without ZeRO every worker has all states, and the files fit any number of workers.
        self.universal = universal and zero_stage > 0
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        self.engine, *_ = deepspeed.initialize(
            model=objective,
            model_parameters=self.parameters,
            config={
                "train_micro_batch_size_per_gpu": batch_size,
                "gradient_accumulation_steps": 1,
                "optimizer": {
                    "type": "Adam",
                    "params": {
                        "lr": 1e-4,
                        "betas": [0.9, beta2],
                        "torch_adam": True,
                        "adam_w_mode": False,
                    },
                },
                "zero_optimization": {"stage": zero_stage},
                "checkpoint": {"load_universal": self.universal},
                "bf16": {"enabled": precision == "bf16"},
                "steps_per_print": 10**9,
                "wall_clock_breakdown": False,
            },
            dist_init_required=False,
        )
        self.rank = torch.distributed.get_rank()
        self.world_size = torch.distributed.get_world_size()

    def step(self, batch: Batch, learning_rate: float) -> dict[str, Tensor]:
        """One update; gradients are averaged over the workers."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        device = self.engine.device
        terms: dict[str, Tensor] = self.engine(
            {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        )
        self.engine.backward(terms["loss"])
        self.engine.step()
        return {name: value.detach() for name, value in terms.items()}

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """This rank's files of a DeepSpeed checkpoint."""
        self.engine.save_checkpoint(str(folder), tag="engine", client_state={"facestack": state})

    def load(self, folder: Path) -> dict[str, Any]:
        """Take up a DeepSpeed checkpoint."""
        with universal_checkpoint(folder) if self.universal else nullcontext(folder) as place:
            found, client = self.engine.load_checkpoint(str(place), tag="engine")
        if found is None:
            raise TrainingError(f"{folder}: holds no DeepSpeed checkpoint that can be read")
        return dict(client["facestack"])

    def network_state(self) -> dict[str, Tensor]:
        """The trained network's weights on the CPU, gathered where ZeRO 3 shares them out."""
        import deepspeed

        network = self.engine.module.get_submodule("network")
        shared = list(network.parameters()) if self.zero_stage == 3 else []
        with deepspeed.zero.GatheredParameters(shared) if shared else nullcontext():
            return {
                name: value.detach().float().cpu().clone()
                for name, value in network.state_dict().items()
            }
