"""DeepSpeed as an engine, on one worker or several."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infra.errors import TrainingError
from infra.settings.optimiser import OptimiserSettings
from infra.training.deepspeed_config import deepspeed_config, judges
from infra.training.deepspeed_universal import separate_groups, universal_checkpoint
from infra.training.ema import Average, on_cpu
from infra.training.engine import Batch, Objective, Terms, given_a_gpu
from infra.training.optimiser_step import (
    adam,
    judge,
    laid_out,
    lay_out_like_weights,
    mean,
    prepared,
    set_rate,
    split,
    spoilt_if_not_finite,
)
from infra.training.torch_files import of_deepspeed, weights_only


class DeepSpeedEngine:
    """DeepSpeed inside a process group that Ray Train (or torchrun) has set up."""

    def __init__(self, objective: Objective, options: OptimiserSettings) -> None:
        cuda = given_a_gpu(options.gpus_per_worker)
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
        self.network = objective.network
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
        set_rate(self.engine.optimizer, learning_rate, self.objective.rates)
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

    def agree(self, number: float) -> float:
        """The largest that any rank says."""
        said = torch.tensor(number, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(said, torch.distributed.ReduceOp.MAX)
        return float(said)

    def mean_of_ranks(self, scalars: dict[str, float]) -> dict[str, float]:
        """Each scalar's mean over the ranks."""
        if self.world_size == 1:
            return scalars
        every: list[dict[str, float]] = [{}] * self.world_size
        torch.distributed.all_gather_object(every, scalars)
        means = {name: float(np.mean([of[name] for of in every])) for name in scalars}
        return means | {"step": scalars["step"]}

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
        with (
            weights_only(folder, of_deepspeed()),
            universal_checkpoint(folder) if universal else nullcontext(folder) as place,
        ):
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
