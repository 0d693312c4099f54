"""Settings that every training has: how long, how fast, in which arithmetic, on what."""

from math import sqrt
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from infra.settings.data import Operational, Positive, Section


class OptimiserSettings(Section):
    """What every training stage has in common."""

    steps: int | None = Field(None, gt=0, description="optimiser steps; none = from epochs")
    epochs: float | None = Field(None, gt=0, description="passes over the training clips")
    batch_size: Annotated[Positive, Operational] = Field(10, description="clips a step and worker")
    learning_rate: float = Field(1e-4, gt=0, description="Adam's step size")
    rate_of_batch: Positive | None = Field(
        None,
        description="clips a step that learning_rate is meant for: with n times as many it is √n "
        "times as large; none = it is taken as it is",
    )
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate over the steps; cosine falls to a twentieth"
    )
    beta2: float = Field(0.999, gt=0, lt=1, description="Adam's decay of squared gradients")
    warmup: int = Field(0, ge=0, description="steps over which the learning rate rises to it")
    minutes: float | None = Field(
        None, gt=0, description="stop after so long even if steps are left; none = no bound [min]"
    )
    init: str | None = Field(
        None, description="weights (.safetensors, any URI) to start from, as far as they fit"
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of averaged weights, the result then; less at first; none = off",
    )
    clip_gradient: float | None = Field(
        None, gt=0, description="largest norm of the gradient; none = no bound"
    )
    max_skipped: Annotated[Positive, Operational] = Field(
        25, description="updates skipped in a row for a NaN or inf before the training stops"
    )
    workers: Annotated[Positive, Operational] = Field(1, description="Ray Train workers")
    cpus_per_worker: Annotated[float, Operational] = Field(1, gt=0, description="CPUs a worker")
    loader_threads: Annotated[Positive, Operational] = Field(
        1, description="threads a worker that read shards ahead"
    )
    resident: Annotated[bool, Operational] = Field(
        True, description="keep all clips on the GPU where a quarter of its free memory holds them"
    )
    gpus_per_worker: Annotated[float, Operational] = Field(
        0, ge=0, description="GPUs a worker; engine torch takes one there is"
    )
    zero_stage: int = Field(
        0,
        ge=0,
        le=3,
        description="DeepSpeed ZeRO stage; 3 with several workers draws no pictures in training",
    )
    offload: Annotated[bool, Operational] = Field(
        False, description="Adam's state in CPU memory (zero_stage 1 and up)"
    )
    accumulate: Annotated[Positive, Operational] = Field(
        1, description="parts a batch is worked on in, to save memory"
    )
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = Field(
        "fp32", description="arithmetic of the network; tf32 is fp32 on a CPU"
    )
    channels_last: Annotated[bool, Operational] = Field(
        True,
        description="channels of a pixel together in memory: on a CPU up to a fifth faster; not "
        "where DeepSpeed lays weights out, at zero_stage 1 and up and in fp16",
    )
    compile: Annotated[bool, Operational] = Field(
        False, description="let torch.compile fuse the objective first"
    )
    profile: Annotated[int, Operational] = Field(
        0, ge=0, description="steps of which a Chrome trace goes to trace.json; 0 = none"
    )
    log_every: Annotated[Positive, Operational] = Field(
        20, description="steps from one log line to the next"
    )
    checkpoint_every: Annotated[Positive, Operational] = Field(
        100, description="steps from one checkpoint to the next"
    )
    max_failures: Annotated[int, Operational] = Field(
        1, ge=-1, description="restarts after a lost worker; -1 = no bound"
    )

    def rate(self) -> float:
        """The learning rate for as many clips a step as there are.

        Adam divides a gradient by its own size, so the noise that a larger batch takes away is
        worth the root of it, not the whole: Malladi et al. 2022, "On the SDEs and Scaling Rules for
        Adaptive Gradient Algorithms".
        """
        if self.rate_of_batch is None:
            return self.learning_rate
        return self.learning_rate * sqrt(self.batch_size * self.workers / self.rate_of_batch)

    def made_from(self) -> dict[str, Any]:
        """What the trained weights depend on: all but how the work is placed and watched.

        Half as many clips on twice as many workers make the same step.
        """
        return {
            **super().made_from(),
            "batch_size × workers": self.batch_size * self.workers,
        }

    @model_validator(mode="after")
    def _length(self) -> "OptimiserSettings":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of steps and epochs")
        return self

    @model_validator(mode="after")
    def _together(self) -> "OptimiserSettings":
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate {self.accumulate} must divide batch_size {self.batch_size}"
            )
        if self.offload and not self.zero_stage:
            raise ValueError("offload needs zero_stage 1, 2 or 3")
        if self.ema is not None and self.zero_stage == 3:
            raise ValueError("ema needs whole weights on a worker; use zero_stage 0, 1 or 2")
        return self
