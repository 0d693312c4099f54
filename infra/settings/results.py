"""Settings of the stages that use what was trained: evaluate, enhance, and the user study."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from infra.extraction import Damage, Detection, Faces
from infra.settings.data import Operational, Positive, PreprocessSettings, Section

Kind = Literal["faces", "png", "side_by_side", "film", "frames", "gallery"]


class EvaluateSettings(Section):
    """Metrics on test identities and the report."""

    protocol: Literal["drawn", "lfw", "ytf"] = Field(
        "drawn", description="verification pairs: drawn from the seed, or those of a published file"
    )
    protocol_file: str | None = Field(
        None, description="pairs.txt of LFW, split file of YTF; none = preprocess.protocol"
    )
    protocol_split: Positive | None = Field(
        None, description="split held out for the test, from 1; none = preprocess.protocol_split"
    )
    track_frames: Positive = Field(100, description="first frames of a track compared (ytf)")
    splits: list[Literal["test", "train"]] = Field(["test"], description="people measured")
    judge: str | None = Field(None, description="ONNX face recogniser, a second verification")
    judge_size: Positive = Field(112, description="side of the judge's input [px]")
    judge_channels: Literal["RGB", "BGR"] = Field("RGB", description="the judge's channel order")
    judge_mean: list[float] = Field(
        [127.5, 127.5, 127.5], min_length=3, max_length=3, description="subtracted [levels 0-255]"
    )
    judge_scale: float = Field(1 / 127.5, description="factor on levels less the mean")
    export: Annotated[str | None, Operational] = Field(
        None, description="folder for the test clips' low frames as PNG"
    )
    external: dict[str, str] = Field(
        {}, description="name=folder of another method's frames, or name=weights.safetensors"
    )
    pairs: Positive = Field(300, description="same and different pairs, each")
    max_clips: Positive | None = Field(
        None, description="test clips used, spread evenly; none = all"
    )
    samples: Positive = Field(8, description="rows of the contact sheet")
    batch_size: Annotated[Positive, Operational] = Field(16, description="clips at once")
    workers: Annotated[int | None, Operational] = Field(
        None, gt=0, description="most actors; none = as many as CPUs and GPUs allow"
    )
    gpus_per_worker: Annotated[float, Operational] = Field(0, ge=0, description="GPUs an actor")

    @model_validator(mode="after")
    def _protocol(self) -> "EvaluateSettings":
        if self.protocol != "drawn" and self.max_clips is not None:
            raise ValueError(f"max_clips would break the pairs of {self.protocol}; lower pairs")
        if "test" not in self.splits:
            raise ValueError("splits must hold test")
        return self


class EnhanceSettings(Section):
    """Batch inference over a collection."""

    source: str | None = Field(None, description="videos to enhance; none = the run's source")
    faces: Faces | None = Field(
        None, description="how faces are found in these films; none = as preprocess.faces says"
    )
    min_face: Positive = Field(
        12, description="smaller faces are left out and counted [source px]; 10 or more are found"
    )
    detection_stride: Positive = Field(
        Detection.stride, description="frames from one detection to the next"
    )
    large: Literal["skip", "degrade", "nearest-model"] | None = Field(
        None,
        description="faces larger than the network's input: skip: left out and counted; degrade: "
        "made as small as in training, so that the film shows more than the result; nearest-model: "
        "to that of enhance.models whose input is as large, else left out; none = skip, or degrade "
        "where the run was trained on these films",
    )
    models: list[str] = Field(
        [], description="weights of variants with larger inputs, for enhance.large nearest-model"
    )
    damage: Damage = Field(
        "split",
        description="of a video; refuse: it is an error; split: broken frames are left out and a "
        "track begins behind them",
    )
    weights: Annotated[str | None, Operational] = Field(
        None,
        description="weights.safetensors, or the run that has trained them; none = the run's own "
        "(enhance.py takes it as --weights)",
    )
    variant: str = Field("f5warp", description="trained variant that restores")
    outputs: list[Kind] = Field(
        ["faces", "side_by_side", "frames", "gallery"],
        min_length=1,
        description="faces: an mp4 a track; png: their frames; side_by_side: an mp4 a track of "
        "input, bicubic and restored; film: the film with restored faces in it; frames: a table "
        "of every face and frame; gallery: a page over all tracks",
    )
    film_scale: float = Field(
        1.0, ge=1, le=8, description="film: restored film's pixels a pixel of the film"
    )
    mark: bool = Field(True, description="film: a thin frame about every restored face")
    limit: Positive | None = Field(None, description="videos enhanced, spread evenly; none = all")
    batch_size: Annotated[Positive, Operational] = Field(16, description="frames at once")
    workers: Annotated[int | None, Operational] = Field(
        None, gt=0, description="most at once that restore; none = as many as CPUs and GPUs allow"
    )
    gpus_per_worker: Annotated[float, Operational] = Field(
        0, ge=0, description="GPUs that one which restores takes"
    )

    def detection(self, trained: PreprocessSettings, model: str | None = None) -> Detection:
        """How faces are found, by `model`, in films that are restored by what was `trained`."""
        return replace(
            trained.detection(model), faces=self.how_found(trained), min_face=self.min_face,
            stride=self.detection_stride,
        )  # fmt: skip

    def how_found(self, trained: PreprocessSettings) -> Faces:
        """Whether faces are looked for at all."""
        return self.faces or trained.faces

    def for_large(self, own: bool) -> str:
        """What becomes of larger faces, in films that are the run's `own` or others."""
        # The films that a network is trained on are sharp: there it is to be seen at work.
        return self.large or ("degrade" if own else "skip")

    @model_validator(mode="after")
    def _models(self) -> "EnhanceSettings":
        if bool(self.models) != (self.large == "nearest-model"):
            raise ValueError("models and large nearest-model are of use together: give both")
        return self


class StudySettings(Section):
    """The user study of workflows/study.py."""

    pairs: list[str] = Field(
        [], description="methods compared, as first:second; none = three pairs of those trained"
    )
    questions: Positive = Field(5, description="clips a pair of methods")
    port: Annotated[int, Operational] = Field(
        8765, ge=0, le=65535, description="port on loopback; 0 = any free one"
    )
    answers: str | None = Field(None, description="SQLite file; none = study/ of the run folder")
