"""Settings of what clips are and how videos become them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from infra.extraction import (
    Cutting,
    Damage,
    Degradation,
    Detection,
    Faces,
    Geometry,
    Grid,
    Limits,
)

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
DETECTORS = ("auto", "yunet", "haar")  # whatever else preprocess.detector says is a file


class Operational:
    """Marks a field on which no result depends: how work is placed, bounded, watched or judged.

    Such a field may differ from one command on a run to the next; every other one is part of what
    the run was made from. It stands at the field: `workers: Annotated[int, Operational]`.
    """


class Section(BaseModel):
    """A group of settings that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    def made_from(self) -> dict[str, Any]:
        """What a result depends on: all fields but those that are Operational."""
        fields = type(self).model_fields.items()
        return self.model_dump(exclude={n for n, field in fields if Operational in field.metadata})


class ClipSettings(Section):
    """What a clip is; shared by every stage."""

    size: Positive = Field(64, description="side of the high-resolution face [px]")
    scale: Positive = Field(4, description="high-resolution pixels per low-resolution pixel")
    num_frames: Positive = Field(25, description="low-resolution frames stored a clip, odd")
    frame_step: Positive = Field(
        1, description="frames of the film from one of a network's window to the next"
    )
    blur_sigma: float | None = Field(
        1.2, gt=0, description="Gaussian blur before downsampling [high px]; none = bicubic"
    )

    degradation: Literal["paper", "realistic"] = Field(
        "paper",
        description="paper: blur_sigma, the same for all; realistic: blur, noise, codec a clip",
    )

    def stored(self) -> dict[str, Any]:
        """What the clips themselves depend on: all but how a network's window is cut from them."""
        return {name: value for name, value in self.made_from().items() if name != "frame_step"}

    @property
    def low_size(self) -> int:
        """Side of a low-resolution frame in pixels."""
        return self.geometry().low_size

    def geometry(self) -> Geometry:
        """The sizes of a clip."""
        return Geometry(self.size, self.scale, self.num_frames)

    def how_degraded(self) -> Degradation:
        """How its low frames are made."""
        return Degradation(self.degradation, self.blur_sigma)

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
    shake: float = Field(
        0.03, ge=0, description="filmed by a walker's hand: RMS of hand and of walk an axis [sides]"
    )


class PreprocessSettings(Section):
    """Videos to clip shards."""

    layout: Literal["auto", "videos", "frames", "ytf", "lfw"] = Field(
        "auto",
        description="videos: video files; frames: folders of images, each a film; ytf: YouTube "
        "Faces as distributed, aligned_images_DB or else frame_images_DB with its boxes; lfw: each "
        "image is a still; auto: what is seen",
    )
    bursts: bool = Field(
        Cutting.bursts,
        description="make a clip of each still, by random smooth motion that is stored",
    )
    flow: bool = Field(
        Cutting.flow,
        description="measure real motion between sharp frames and store it with the clip, for "
        "pretraining",
    )
    protocol: str | None = Field(
        None,
        description="LFW's pairs.txt or YouTube Faces' split file: its people of protocol_split "
        "are the test split; none = by identity alone",
    )
    protocol_split: Positive = Field(1, description="split of the protocol that is tested, from 1")
    faces: Faces = Field(
        Detection.faces,
        description="aligned: each frame is a face crop already; detect: find and track",
    )
    centre: float = Field(
        Detection.centre,
        gt=0,
        le=1,
        description="aligned: side of the crop per shorter side of the frame",
    )
    detector: str = Field(
        "auto",
        min_length=1,
        description="detect: yunet: YuNet, whose model is fetched once; haar: OpenCV's cascade; "
        "auto: yunet, or haar where the model cannot be had; or a YuNet .onnx file of your own",
    )
    min_face: Positive = Field(
        Detection.min_face, description="smaller faces are left out and counted [source px]"
    )
    min_sharpness: float = Field(
        Cutting.min_sharpness,
        ge=0,
        description="clips whose high frame scores less are left out and counted",
    )
    detection_stride: Positive = Field(
        Detection.stride, description="frames from one detection to the next"
    )
    grid: Grid = Field(
        Detection.grid,
        description="where low pixels lie: camera: still in the film, so that the face moves over "
        "them; frame: each frame's own detection, unsmoothed; face: riding on the smoothed face",
    )
    shake: float = Field(
        Detection.shake,
        ge=0,
        description="movement of the hand that holds the camera [low px RMS an axis]",
    )
    context: float = Field(
        Detection.context, ge=1, description="side of the crop per side of the detected box"
    )
    clip_stride: Positive = Field(
        Cutting.clip_stride, description="frames from one clip's centre to the next"
    )
    train_share: Fraction = Field(0.7, description="share of identities for training")
    validation_share: Fraction = Field(0.15, description="share of identities for validation")
    max_pixels: Annotated[Positive, Operational] = Field(
        Limits.max_pixels, description="larger frames are refused [px]"
    )
    max_seconds: Annotated[float, Operational] = Field(
        Limits.max_seconds, gt=0, description="longer videos are refused [s of play]"
    )
    time_limit: Annotated[float, Operational] = Field(
        Limits.time_limit,
        gt=0,
        description="longest work on one video, in enhance the reading of it; its process is ended "
        "where it hangs for twice as long [s by the clock]",
    )
    max_memory: Annotated[Positive, Operational] = Field(
        Limits.max_memory, description="most that a worker takes for one video [MB]"
    )
    damage: Damage = Field(
        Limits.damage,
        description="of a video; refuse: it is an error; split: broken frames are left out and a "
        "shot begins behind them, and an end that is lost is only counted",
    )
    shard_megabytes: Positive = Field(128, description="size a shard is filled to [MB]")
    workers: Annotated[int | None, Operational] = Field(
        None, gt=0, description="videos at once; none = one a CPU"
    )
    max_error_share: Annotated[Fraction, Operational] = Field(
        0.1, description="share of inputs that may end as error rows before the exit status is 1"
    )

    def detection(self, model: str | None = None) -> Detection:
        """How faces are found: by the YuNet file `model`, else by OpenCV's cascade."""
        return Detection(
            self.faces, model, self.context, self.detection_stride, self.min_face,
            centre=self.centre, grid=self.grid, shake=self.shake,
        )  # fmt: skip

    def cutting(self) -> Cutting:
        """Which clips a track gives."""
        return Cutting(self.clip_stride, self.min_sharpness, self.bursts, self.flow)

    def limits(self) -> Limits:
        """The bounds on one source."""
        return Limits(
            self.max_pixels, self.max_seconds, self.time_limit, self.max_memory, self.damage
        )  # fmt: skip

    @model_validator(mode="after")
    def _shares(self) -> "PreprocessSettings":
        if self.train_share + self.validation_share >= 1:
            raise ValueError("train_share + validation_share must leave a share for the test split")
        return self
