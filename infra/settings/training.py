"""Settings of the stages that train: recogniser, pretrain, tune and train."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infra.settings.data import Operational, Positive, Section
from infra.settings.optimiser import OptimiserSettings

Layer = Literal["pool3", "pool4", "fc7"]
Perceptual = dict[Layer, Annotated[float, Field(ge=0)]]


class RecogniserSettings(OptimiserSettings):
    """The face recogniser behind the perceptual loss and the identity metrics."""

    weights: str | None = Field(
        None, description="published VGG-Face weights (.mat .pth .safetensors); none = train one"
    )
    width: float = Field(0.125, gt=0, le=1, description="channels per channel of VGG-16")
    input_size: Positive = Field(64, description="side of its input [px]; 224 as published")
    balanced: bool = Field(True, description="draw every person's clips equally often")
    evaluate_every: Positive = Field(50, description="steps from one validation to the next")
    patience: Positive | None = Field(
        6, description="stop after so many validations in a row that were not the best; none = off"
    )
    steps: int | None = Field(200, gt=0, description="optimiser steps; none = from epochs")
    batch_size: Annotated[Positive, Operational] = 32
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size")
    warmup: int = Field(20, ge=0, description="steps over which the learning rate rises to it")
    schedule: Literal["constant", "cosine"] = "cosine"
    cpus_per_worker: Annotated[float, Operational] = Field(2, gt=0, description="CPUs a worker")


class PretrainSettings(OptimiserSettings):
    """The warp predictor alone, unsupervised."""

    steps: int | None = Field(300, gt=0, description="optimiser steps; none = from epochs")
    num_frames: Positive = Field(5, description="frames a clip whose pairs are aligned, odd")
    objective: Literal["photometric", "field"] = Field(
        "field", description="field: the known motion of pairs; photometric: as the paper"
    )
    target: Literal["low", "high"] = Field("low", description="resolution of the photometric error")
    stored_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="field: pairs that are real frames with the motion stored, where it is; the "
        "others are made",
    )
    start_pairs: int = Field(
        0,
        ge=0,
        description="field: pairs that the last layer is fitted to first, which pays where few "
        "steps at a small rate follow; 0 = it starts at zero",
    )
    evaluate_every: Annotated[Positive, Operational] = Field(
        250, description="steps from one validation to the next"
    )
    batch_size: Annotated[Positive, Operational] = 16
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size")
    schedule: Literal["constant", "cosine"] = "cosine"
    beta2: float = Field(0.99, gt=0, lt=1, description="Adam's decay of squared gradients")
    warmup: int = Field(20, ge=0, description="steps over which the learning rate rises to it")
    cpus_per_worker: Annotated[float, Operational] = Field(2, gt=0, description="CPUs a worker")


class NetworkSettings(Section):
    """The network's size; the paper's where 1."""

    width: float = Field(0.25, gt=0, description="channels of R per channel of the paper's R")
    start: Literal["linear", "passthrough", "kaiming"] = Field(
        "linear",
        description="R's first weights; linear: the best linear restoration of training clips; "
        "passthrough: the enlarged central frame; kaiming: He's random start",
    )


class TrainSettings(OptimiserSettings):
    """The restoration variants."""

    variants: list[str] = Field(["f1", "f5warp"], description="variants to train")
    steps: int | None = Field(240, gt=0, description="optimiser steps; none = from epochs")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's step size")
    warmup: int = Field(50, ge=0, description="steps over which the learning rate rises to it")
    schedule: Literal["constant", "cosine"] = "cosine"
    perceptual: Perceptual = Field({}, description="λ of each feature layer of eq. (6)")
    augment: bool = Field(True, description="mirror, play backwards and relight training clips")
    fresh: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the clips whose low frames around the centre are made anew at every "
        "step, as a burst of the sharp frame; 1 for photographs, which so never come twice alike",
    )
    crop: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="side of the random square on which R learns, in that of the picture, where "
        "the loss is of pixels alone; none = the whole picture",
    )
    warp_rate: float = Field(
        0.5,
        ge=0,
        le=1,
        description="learning rate of the warp predictor in that of the rest, 1 as the paper; "
        "0 = it stays as pretraining left it, and is computed once a clip as stored",
    )
    rate_by_frames: bool = Field(
        True,
        description="R's first layer learns at 1 / frames of the rate: it sums that many nearly "
        "equal frames",
    )
    warp_after: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps at the start in which the warp predictor is held, where "
        "warp_rate is above 0; its rate then rises over a tenth of the rest",
    )
    true_motion: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the steps at the start in which frames are aligned by the motion "
        "stored with a clip, where all of it is known, and not by the warp predictor's",
    )
    alignment: float = Field(
        1000.0,
        ge=0,
        description="weight, while the warp predictor learns, of its squared distance from the "
        "stored motion [low px²], without which it forgets to align",
    )
    init_from: str | None = Field(
        None, description="trained variant, such as f1, that the others grow from; none = anew"
    )
    use_search: bool = Field(
        True, description="take λ, and a searched learning rate, from tune/best.json"
    )
    evaluate_every: Positive = Field(80, description="steps from one validation to the next")
    validation_clips: Positive = Field(64, description="validation clips used while training")
    cpus_per_worker: Annotated[float, Operational] = Field(2, gt=0, description="CPUs a worker")


class TuneSettings(Section):
    """The search over frame counts, alignment, perceptual weights and the learning rate."""

    trials: Positive = Field(4, description="trials in all")
    num_frames: list[Positive] = Field([1, 5], description="frame counts searched, odd")
    frame_step: list[Positive] = Field(
        [], description="distances of a window's frames searched; none = clip.frame_step"
    )
    warp: list[bool] = Field(
        [True], description="whether several frames are aligned; true,false searches both"
    )
    layers: list[Layer] = Field(
        ["pool3", "pool4"], description="layers of eq. (6) whose λ is searched; others have none"
    )
    perceptual_min: float = Field(1.0, gt=0, description="smallest λ")
    perceptual_max: float = Field(100.0, gt=0, description="largest λ")
    learning_rate_min: float | None = Field(
        None, gt=0, description="smallest learning rate searched; none = train.learning_rate"
    )
    learning_rate_max: float | None = Field(None, gt=0, description="largest learning rate")
    steps: Positive = Field(30, description="optimiser steps a trial at most")
    reports: Positive = Field(3, description="validations a trial; the scheduler stops bad ones")
    metric: Literal["psnr", "verification", "both"] = Field(
        "verification",
        description="what is maximised on validation people; both = a Pareto front, none stopped",
    )
    concurrent: Annotated[Positive, Operational] = Field(2, description="trials at once")
    workers: int = Field(
        0, ge=0, description="Ray Train workers a trial; 0 = it trains in its own process"
    )
    cpus_per_trial: Annotated[float, Operational] = Field(
        0.5, gt=0, description="CPUs a trial's worker takes"
    )

    @model_validator(mode="after")
    def _ranges(self) -> "TuneSettings":
        if not self.num_frames or not self.warp:
            raise ValueError("num_frames and warp must name at least one choice")
        if (self.learning_rate_min is None) != (self.learning_rate_max is None):
            raise ValueError("give both of learning_rate_min and learning_rate_max, or neither")
        for name in ("perceptual", "learning_rate"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low is not None and low >= high:
                raise ValueError(f"{name}_min {low:g} must be below {name}_max {high:g}")
        return self
