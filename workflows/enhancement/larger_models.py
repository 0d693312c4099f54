"""The models of enhance.models, for faces that are larger than the input of the run's own network:
whether they can be used, and what is recorded of them."""

from collections import Counter

from infra import storage
from infra.errors import RunError, SettingsError
from infra.runs import Run
from infra.settings.settings import Settings
from infra.text import one_line, sha256_of
from model.network import Network
from workflows.shared.networks import load_frozen


def check_models(settings: Settings) -> None:
    """Raise SettingsError for weights that cannot be used beside the run's own.

    They are loaded for it: what is wrong with them an actor would tell on pages.
    """
    inputs = {settings.clip.low_size: f"enhance.variant {settings.enhance.variant}"}
    for uri in settings.enhance.models:
        try:
            network = load_frozen(uri)
        except (OSError, RunError, ValueError) as error:
            raise _unusable(uri, error) from error
        if not isinstance(network, Network):
            raise _unusable(uri, "bicubic is not trained")
        size = network.size // network.scale
        if size in inputs:
            raise SettingsError(
                f"enhance.models {uri}: its input is {size} pixels wide, as that of "
                f"{inputs[size]}; leave one of them out"
            )
        inputs[size] = uri


def digests(models: list[str], run: Run) -> list[str]:
    """The SHA-256 of each model, sorted: the order in which they are given changes nothing.

    A complete stage is told by its record: what cannot be read any more was one of those that are
    recorded and not at hand. Raises SettingsError where the stage is not complete.
    """
    complete = "enhance" not in run.force and run.is_complete("enhanced")
    recorded = run.record("enhanced").settings["enhance"]["models"] if complete else []
    found, gone = [], []
    for uri in models:
        try:
            found.append(sha256_of(storage.read_bytes(uri)))
        except (OSError, ValueError, RunError) as error:
            if not complete:
                raise _unusable(uri, error) from error
            gone.append(uri)
    missing = Counter(recorded) - Counter(found)
    if gone and len(models) == len(recorded) and missing.total() == len(gone):
        return sorted(recorded)
    return sorted(found) + gone


def _unusable(uri: str, why: object) -> SettingsError:
    return SettingsError(
        f"enhance.models {uri}: expected the weights.safetensors of a trained variant "
        f"({one_line(why, 120)})"
    )
