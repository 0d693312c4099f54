"""All settings of a run: one nested model a stage, defaults that run the demo.

Values come from, in falling priority, the command line (`--train.steps 500`), the YAML file that
`--config` names, and the defaults below. An unknown or ill-typed field is refused by name.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as CommandLineError
from yaml import YAMLError

from infra.errors import SettingsError

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Perceptual = dict[Literal["pool3", "pool4", "fc7"], Annotated[float, Field(ge=0)]]


class Section(BaseModel):
    """A group of settings that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


class ClipSettings(Section):
    """What a clip is; shared by every stage."""

    size: Positive = Field(64, description="side of the high-resolution face [px]")
    scale: Positive = Field(4, description="high-resolution pixels per low-resolution pixel")
    num_frames: Positive = Field(25, description="low-resolution frames stored a clip, odd")
    blur_sigma: float | None = Field(
        1.2, gt=0, description="Gaussian blur before downsampling [high px]; none = bicubic"
    )

    @property
    def low_size(self) -> int:
        """Side of a low-resolution frame in pixels."""
        return self.size // self.scale

    @model_validator(mode="after")
    def _consistent(self) -> "ClipSettings":
        if self.size % self.scale or self.scale % 2:
            raise ValueError(
                f"size {self.size} must be a multiple of scale {self.scale}, an even number"
            )
        if self.num_frames % 2 == 0:
            raise ValueError(f"num_frames {self.num_frames} must be odd (centre plus both sides)")
        return self


class SyntheticSettings(Section):
    """The drawn faces that are used when no source is given."""

    identities: Positive = Field(40, description="people drawn")
    clips: Positive = Field(2, description="videos a person")
    frames: Positive = Field(45, description="frames a video")


class PreprocessSettings(Section):
    """Videos to clip shards."""

    faces: Literal["aligned", "detect"] = Field(
        "aligned", description="aligned: each frame is a face crop already; detect: find and track"
    )
    detector_model: str | None = Field(
        None, description="YuNet .onnx file; none = OpenCV's own Haar cascade"
    )
    min_face: Positive = Field(32, description="smaller faces are left out and counted [source px]")
    detection_stride: Positive = Field(5, description="frames from one detection to the next")
    context: float = Field(1.3, ge=1, description="side of the crop per side of the detected box")
    clip_stride: Positive = Field(4, description="frames from one clip's centre to the next")
    train_share: Fraction = Field(0.7, description="share of identities for training")
    validation_share: Fraction = Field(0.15, description="share of identities for validation")
    max_pixels: Positive = Field(3840 * 2160, description="larger frames are refused [px]")
    shard_megabytes: Positive = Field(128, description="size a shard is filled to [MB]")
    workers: int | None = Field(None, gt=0, description="videos at once; none = one a CPU")
    max_error_share: Fraction = Field(
        0.1, description="share of inputs that may end as error rows before the exit status is 1"
    )

    @model_validator(mode="after")
    def _shares(self) -> "PreprocessSettings":
        if self.train_share + self.validation_share >= 1:
            raise ValueError("train_share + validation_share must leave a share for the test split")
        return self


class OptimiserSettings(Section):
    """What every training stage has in common."""

    steps: int | None = Field(None, gt=0, description="optimiser steps; none = from epochs")
    epochs: float | None = Field(None, gt=0, description="passes over the training clips")
    batch_size: Positive = Field(10, description="clips a step and worker")
    learning_rate: float = Field(1e-4, gt=0, description="Adam's step size")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate over the steps; cosine falls to a twentieth"
    )
    beta2: float = Field(0.999, gt=0, lt=1, description="Adam's decay of squared gradients")
    warmup: int = Field(0, ge=0, description="steps over which the learning rate rises to it")
    workers: Positive = Field(1, description="Ray Train workers")
    cpus_per_worker: float = Field(1, gt=0, description="CPUs a worker")
    gpus_per_worker: float = Field(0, ge=0, description="GPUs a worker")
    zero_stage: Literal[0, 1, 2, 3] = Field(0, description="DeepSpeed ZeRO stage")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic of the network")
    log_every: Positive = Field(20, description="steps from one log line to the next")
    checkpoint_every: Positive = Field(100, description="steps from one checkpoint to the next")
    max_failures: int = Field(1, ge=-1, description="restarts after a lost worker; -1 = no bound")

    def made_from(self) -> dict[str, Any]:
        """What the trained weights depend on: all but how the work is placed and watched."""
        operation = {"cpus_per_worker", "gpus_per_worker", "log_every", "checkpoint_every",
                     "max_failures"}  # fmt: skip
        return self.model_dump(exclude=operation)

    @model_validator(mode="after")
    def _length(self) -> "OptimiserSettings":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of steps and epochs")
        return self


class RecogniserSettings(OptimiserSettings):
    """The face recogniser behind the perceptual loss and the identity metrics."""

    weights: str | None = Field(
        None, description="published VGG-Face weights (.mat .pth .safetensors); none = train one"
    )
    width: float = Field(0.125, gt=0, le=1, description="channels per channel of VGG-16")
    input_size: Positive = Field(64, description="side of its input [px]; 224 as published")
    steps: int | None = Field(300, gt=0, description="optimiser steps; none = from epochs")
    batch_size: Positive = 32
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size")
    warmup: int = Field(20, ge=0, description="steps over which the learning rate rises to it")
    schedule: Literal["constant", "cosine"] = "cosine"
    cpus_per_worker: float = Field(2, gt=0, description="CPUs a worker")


class PretrainSettings(OptimiserSettings):
    """The warp predictor alone, unsupervised."""

    steps: int | None = Field(120, gt=0, description="optimiser steps; none = from epochs")
    num_frames: Positive = Field(5, description="frames a clip whose pairs are aligned, odd")
    objective: Literal["photometric", "field"] = Field(
        "field", description="field: known motion of made pairs; photometric: as the paper"
    )
    target: Literal["low", "high"] = Field("low", description="resolution of the photometric error")
    batch_size: Positive = 16
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size")
    schedule: Literal["constant", "cosine"] = "cosine"
    beta2: float = Field(0.99, gt=0, lt=1, description="Adam's decay of squared gradients")
    warmup: int = Field(20, ge=0, description="steps over which the learning rate rises to it")
    cpus_per_worker: float = Field(2, gt=0, description="CPUs a worker")


class NetworkSettings(Section):
    """The network's size; the paper's where 1."""

    width: float = Field(0.25, gt=0, description="channels of R per channel of the paper's R")


class TrainSettings(OptimiserSettings):
    """The restoration variants."""

    variants: list[str] = Field(["f1", "f5", "f5warp"], description="variants to train")
    steps: int | None = Field(300, gt=0, description="optimiser steps; none = from epochs")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's step size")
    warmup: int = Field(20, ge=0, description="steps over which the learning rate rises to it")
    schedule: Literal["constant", "cosine"] = "cosine"
    perceptual: Perceptual = Field({}, description="λ of each feature layer of eq. (6)")
    use_search: bool = Field(True, description="take λ from tune/best.json instead")
    evaluate_every: Positive = Field(40, description="steps from one validation to the next")
    validation_clips: Positive = Field(64, description="validation clips used while training")
    cpus_per_worker: float = Field(2, gt=0, description="CPUs a worker")


class TuneSettings(Section):
    """The search over frame counts and perceptual weights."""

    trials: Positive = Field(4, description="trials in all")
    num_frames: list[Positive] = Field([1, 5], description="frame counts searched, odd")
    warp: bool = Field(True, description="align the frames of trials with more than one")
    perceptual_min: float = Field(1.0, gt=0, description="smallest λ of pool3 and pool4")
    perceptual_max: float = Field(100.0, gt=0, description="largest λ of pool3 and pool4")
    steps: Positive = Field(30, description="optimiser steps a trial at most")
    reports: Positive = Field(3, description="validations a trial; the scheduler stops bad ones")
    metric: Literal["psnr", "verification"] = Field(
        "verification", description="what is maximised on the validation identities"
    )
    concurrent: Positive = Field(2, description="trials at once")
    cpus_per_trial: float = Field(0.5, gt=0, description="CPUs a trial's worker takes")


class EvaluateSettings(Section):
    """Metrics on test identities and the report."""

    pairs: Positive = Field(300, description="same and different pairs, each")
    max_clips: Positive | None = Field(
        None, description="test clips used, spread evenly; none = all"
    )
    samples: Positive = Field(8, description="rows of the contact sheet")
    batch_size: Positive = Field(16, description="clips at once")
    workers: int | None = Field(None, gt=0, description="actors; none = one a CPU")


class EnhanceSettings(Section):
    """Batch inference over a collection."""

    source: str | None = Field(None, description="videos to enhance; none = the run's source")
    variant: str = Field("f5warp", description="trained variant that restores")
    limit: Positive | None = Field(4, description="videos enhanced, spread evenly; none = all")
    batch_size: Positive = Field(16, description="frames at once")
    workers: int | None = Field(None, gt=0, description="actors; none = one a CPU or GPU")
    gpus_per_worker: float = Field(0, ge=0, description="GPUs an actor")


class ClusterSettings(Section):
    """Where Ray runs."""

    address: str | None = Field(None, description="a running cluster; none = RAY_ADDRESS or local")
    cpus: int | None = Field(None, gt=0, description="CPUs of a local Ray; none = all")


class Settings(BaseSettings):
    """Every setting of a run."""

    model_config = SettingsConfigDict(
        extra="forbid",
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_implicit_flags=True,
        cli_exit_on_error=False,
        cli_parse_none_str="none",
        nested_model_default_partial_update=True,
    )

    config: str | None = Field(None, description="YAML file of settings")
    run: str = Field("runs/demo", description="run folder, local or s3://")
    source: str | None = Field(
        None, description="folder or s3:// prefix of videos; none = drawn faces"
    )
    force: list[str] = Field([], description="stages to redo; those behind them follow")
    seed: int = Field(0, description="seed of every random choice")
    clip: ClipSettings = ClipSettings()
    synthetic: SyntheticSettings = SyntheticSettings()
    network: NetworkSettings = NetworkSettings()
    preprocess: PreprocessSettings = PreprocessSettings()
    recogniser: RecogniserSettings = RecogniserSettings()
    pretrain: PretrainSettings = PretrainSettings()
    tune: TuneSettings = TuneSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    enhance: EnhanceSettings = EnhanceSettings()
    cluster: ClusterSettings = ClusterSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # Environment variables are left out: `run`, `source` and `seed` are names too common.
        return (init_settings,)


class _ConfigFile(BaseSettings):
    """Finds `--config` before all other arguments are read."""

    model_config = SettingsConfigDict(cli_ignore_unknown_args=True, cli_exit_on_error=False)
    config: str | None = None


def load(arguments: list[str], program: str, about: str) -> Settings:
    """Settings from a command line; raises SettingsError in one line, exits on `--help`."""
    flags = [_kebab(argument) for argument in arguments]

    class CommandLine(Settings):
        model_config = SettingsConfigDict(cli_prog_name=program)

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            command_line = CliSettingsSource[Any](settings_cls, cli_parse_args=flags)
            file = _ConfigFile(_cli_parse_args=flags if "--help" not in flags else []).config
            if file is None:
                return (command_line,)
            return (command_line, YamlConfigSettingsSource(settings_cls, yaml_file=_existing(file)))

    CommandLine.__doc__ = about
    try:
        return Settings(**CommandLine().model_dump())
    except CommandLineError as error:
        raise SettingsError(_one_line(str(error)) + " (see --help)") from error
    except YAMLError as error:
        raise SettingsError(f"--config: not a YAML file: {_one_line(str(error))}") from error
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _kebab(argument: str) -> str:
    """`--train.batch_size` and `--train.batch-size` are the same option."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _existing(file: str) -> str:
    if not Path(file).is_file():
        raise SettingsError(f"--config {file}: no such file; examples lie in workflows/configs/")
    return file


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _explain(error: ValidationError) -> str:
    """Every refused field with its value and what was expected, in one line."""
    reasons = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "settings"
        if item["type"] == "extra_forbidden":
            reasons.append(f"{field}: unknown setting; --help lists all")
        elif isinstance(item["input"], dict):
            reasons.append(f"{field}: {item['msg'].removeprefix('Value error, ')}")
        else:
            reasons.append(f"{field}: {item['msg']}, got {item['input']!r}")
    return "; ".join(reasons)
