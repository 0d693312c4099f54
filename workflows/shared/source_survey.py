"""What is under the folder or prefix that a command is given."""

from datasets.sources.discovery import Collection, SourceError, survey
from infra.errors import SettingsError


def find(root: str, layout: str = "auto") -> Collection:
    """The sources under a folder or prefix; raises SettingsError in one line."""
    try:
        return survey(root, layout)
    except SourceError as error:
        raise SettingsError(f"--source {error}") from error
