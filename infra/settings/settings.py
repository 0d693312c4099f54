"""All settings of a run: one nested model a stage, defaults that run the demo.

Values come from, in falling priority, the command line (`--train.steps 500`), the YAML file that
`--config` names, and the defaults. An unknown or ill-typed field is refused by name.
"""

from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from infra.settings.data import ClipSettings, PreprocessSettings, Section, SyntheticSettings
from infra.settings.results import EnhanceSettings, EvaluateSettings, StudySettings
from infra.settings.training import (
    NetworkSettings,
    PretrainSettings,
    RecogniserSettings,
    TrainSettings,
    TuneSettings,
)


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
    update: bool = Field(
        False,
        description="take up films that came, went or changed since, though what stands on the "
        "clips then has to be redone",
    )
    retry_errors: bool = Field(
        False, description="try the inputs again that ended as error rows, and no others"
    )
    seed: int = Field(0, description="seed of every random choice")
    engine: Literal["deepspeed", "torch"] = Field(
        "deepspeed",
        description="trains with DeepSpeed and measures, on Ray; or in this process with neither",
    )
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
    study: StudySettings = StudySettings()
    cluster: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _one_process(self) -> "Settings":
        stages = {"recogniser": self.recogniser, "pretrain": self.pretrain, "train": self.train}
        for name, options in stages.items() if self.engine == "torch" else ():
            if options.workers > 1 or options.zero_stage:
                raise ValueError(
                    f"engine torch is one process: {name}.workers must be 1 and "
                    f"{name}.zero_stage 0; or use engine deepspeed"
                )
        return self

    @model_validator(mode="after")
    def _fresh_as_stored(self) -> "Settings":
        if self.train.fresh and self.clip.degradation != "paper":
            raise ValueError(
                f"train.fresh makes low frames as clip.degradation paper does, and not "
                f"{self.clip.degradation}; leave one out"
            )
        return self

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
