"""The networks of the stage enhance: the one that restores, and those of enhance.models for faces
that are larger than its input."""

from collections import Counter

from infra import storage
from infra.errors import RunError, SettingsError
from infra.runs import Run
from infra.settings import of_weights
from infra.settings.settings import Settings
from infra.text import one_line, sha256_of
from model.network import Network
from model.streaming import reach
from workflows.enhancement.spans import Model
from workflows.shared.networks import load_known


def own_weights(settings: Settings, run: Run) -> str:
    """The URI of the weights that restore: those that are given, or the run's own."""
    options = settings.enhance
    return of_weights.uri_of(options.weights or run.uri, options.variant)


def loaded(settings: Settings, run: Run) -> list[Model]:
    """The networks, that which restores before the others.

    They are loaded for it: what is wrong with them an actor would tell on pages. Raises
    SettingsError for weights that cannot be used, or not beside others.
    """
    options, clip = settings.enhance, settings.clip
    own = _load(own_weights(settings, run), "weights")
    if (own.scale, own.low_size) != (clip.scale, clip.low_size):
        raise SettingsError(
            f"enhance.weights {own.uri}: restores {own.low_size} pixels ×{own.scale}, and the "
            f"run's clips have {clip.low_size} ×{clip.scale}; give another --run"
        )
    return [own, *_larger(settings, f"enhance.variant {options.variant}")]


def check_larger(settings: Settings) -> None:
    """Raise SettingsError for enhance.models that cannot be used beside the run's own."""
    _larger(settings, f"enhance.variant {settings.enhance.variant}")


def _larger(settings: Settings, own: str) -> list[Model]:
    found, inputs = [], {settings.clip.low_size: own}
    for uri in settings.enhance.models:
        model = _load(storage.absolute(uri), "models")
        if model.low_size in inputs:
            raise SettingsError(
                f"enhance.models {uri}: its input is {model.low_size} pixels wide, as that of "
                f"{inputs[model.low_size]}; leave one of them out"
            )
        inputs[model.low_size] = uri
        found.append(model)
    return found


def _load(uri: str, field: str) -> Model:
    try:
        network, sha256 = load_known(uri)
    except (OSError, RunError, ValueError) as error:
        raise _unusable(uri, error, field) from error
    if not isinstance(network, Network):
        raise _unusable(uri, "bicubic is not trained", field)
    low_size = network.size // network.scale
    return Model(uri, sha256, network.variant, network.scale, low_size, reach(network))


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
                raise _unusable(uri, error, "models") from error
            gone.append(uri)
    missing = Counter(recorded) - Counter(found)
    if gone and len(models) == len(recorded) and missing.total() == len(gone):
        return sorted(recorded)
    return sorted(found) + gone


def _unusable(uri: str, why: object, field: str) -> SettingsError:
    return SettingsError(
        f"enhance.{field} {uri}: expected the weights.safetensors of a trained variant "
        f"({one_line(why, 120)})"
    )
