"""Settings of the stages that use what was trained: evaluate, enhance, and the user study."""

from pydantic import Field

from infra.settings_data import Positive, Section


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


class StudySettings(Section):
    """The user study of workflows/study.py."""

    pairs: list[str] = Field(
        [], description="methods compared, as first:second; none = three pairs of those trained"
    )
    questions: Positive = Field(5, description="clips a pair of methods")
    port: int = Field(8765, ge=0, le=65535, description="port on loopback; 0 = any free one")
    answers: str | None = Field(None, description="SQLite file; none = study/ of the run folder")
