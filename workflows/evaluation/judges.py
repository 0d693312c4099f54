"""The independent judge that `evaluate.judge` names."""

from infra import storage
from infra.errors import SettingsError
from infra.settings.results import EvaluateSettings
from model.onnx_recogniser import Judge


def load_judge(options: EvaluateSettings) -> Judge | None:
    """The independent recogniser, or none; raises SettingsError for a file that is none."""
    if options.judge is None:
        return None
    try:
        with storage.local_file(options.judge) as path:
            return Judge(
                path, options.judge_size, options.judge_channels, options.judge_mean,
                options.judge_scale,
            )  # fmt: skip
    except (ValueError, FileNotFoundError) as error:
        raise SettingsError(f"evaluate.judge: {error}") from error
