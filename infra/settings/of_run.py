"""What a run was made with, `<run>/settings.yaml`: the base of every later command on it.

It lies above the defaults and below `--config` and the command line. A stage that begins writes
it, so that a command that is refused changes nothing.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from infra import storage
from infra.errors import FacestackError, RunError
from infra.settings.data import DETECTORS, Section
from infra.settings.settings import Settings
from infra.text import sha256_of

# What is said of a command, and not of the run.
OF_A_COMMAND: dict[str, Any] = {
    **dict.fromkeys(("config", "run", "force", "update", "retry_errors", "cluster"), True),
    "evaluate": {"export"},
    **{stage: {"profile"} for stage in ("recogniser", "pretrain", "train")},
}
DRAWN = "drawn faces"  # in records, where there is no source
# What a stage decides for the run when it begins, beside the section of its own name.
DECIDED = {
    "preprocess": {"source", "seed", "synthetic", "clip"},
    "tune": {"network", "clip"},
    "train": {"network", "clip"},
}
ALWAYS = {"engine", "study"}
EITHER = ("steps", "epochs")  # who names one of them leaves the other out
DEFAULTS = Settings()


def place(run: str) -> str:
    """The URI of a run's settings."""
    return storage.join(storage.absolute(run), "settings.yaml")


def base_of(run: str) -> dict[str, Any]:
    """The settings of a run, {} where there is none; raises RunError for a file that is damaged."""
    uri = place(run)
    try:
        found = yaml.safe_load(storage.read_bytes(uri))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RunError(f"{uri}: not a YAML file; mend it, or give another --run") from error
    if not isinstance(found, dict):
        raise RunError(f"{uri}: holds no settings; remove it and give --config, or another --run")
    return found


def remember(run: str, settings: Settings, stage: str, source: str | None = None) -> None:
    """Write the settings of a run of which a stage begins: all at first, later what it decides.

    A relative source, or file of a model, is written as an absolute one: the next command may begin
    in another folder.
    `source` is that of the clips that are there, if any: a run of an older version has no settings.
    """
    values = settings.model_dump(exclude=OF_A_COMMAND, mode="json")
    for section in (values, values["enhance"]):
        if section["source"] is not None:
            section["source"] = storage.absolute(section["source"])
    values["preprocess"]["detector"] = asked(settings.preprocess.detector)
    if (weights := values["enhance"]["weights"]) is not None:
        values["enhance"]["weights"] = storage.absolute(weights)
    values["enhance"]["models"] = [storage.absolute(uri) for uri in settings.enhance.models]
    before = base_of(run)
    decided = {stage, *DECIDED.get(stage, ()), *ALWAYS}
    values |= {name: value for name, value in before.items() if name not in decided}
    if source is not None and not before:
        values["source"] = None if source == DRAWN else source
    if values != before:
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        storage.write_bytes(place(run), text.encode())


def asked(detector: str) -> str:
    """The setting preprocess.detector, a local file of it by its absolute path."""
    return detector if detector in DETECTORS else storage.absolute(detector)


def detector_of(run: str) -> str:
    """The setting preprocess.detector that a run was given, as `asked` has it."""
    found = base_of(run).get("preprocess", {}).get("detector", DEFAULTS.preprocess.detector)
    return asked(found)


def is_asked(detector: str, name: str, given: str) -> bool:
    """Whether the setting preprocess.detector asks for what a record names: `haar`, or `yunet` with
    the SHA-256 of its model.

    A file is known by its content, wherever it is. One that cannot be read is what was recorded
    where it is the one that was `given` then, and no other.
    """
    if detector in DETECTORS:
        return detector in ("auto", name.partition(" ")[0])
    try:
        content = storage.read_bytes(asked(detector))
    except (OSError, ValueError, FacestackError):
        return asked(detector) == given
    return name == f"yunet {sha256_of(content)}"


def differences(found: Any, wanted: Any, name: str = "") -> Iterator[str]:
    """`field was old, now new` for every leaf of a record that is not as `wanted`.

    A setting that the record does not know yet counts as its default there, and one that it knows
    though no result depends on it (any more) does not count.
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in found.keys() | wanted.keys():
            below = f"{name}.{key}" if name else key
            section, field = _setting(below)
            if key not in found and isinstance(getattr(DEFAULTS, below, None), Section):
                continue  # a record that tells of no such section
            if section is not None and key not in found:
                yield from differences(getattr(section, field), wanted[key], below)
            elif section is None or key in wanted or field in section.made_from():
                yield from differences(found.get(key), wanted.get(key), below)
    elif found != wanted:
        yield f"{name} was {json.dumps(found)}, now {json.dumps(wanted)}"


def _setting(name: str) -> tuple[Section | None, str]:
    """The section with default values, and the field in it, that a record calls by a dotted name;
    (None, "") where it holds no setting.

    Records nest settings: the name `train.network.width` is that of the setting `network.width`.
    """
    *path, field = name.split(".")
    for owner in reversed(path):
        section = getattr(DEFAULTS, owner, None)
        if isinstance(section, Section) and field in type(section).model_fields:
            return section, field
    return None, ""


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Settings of several sources, the first of which is the base: each field is that of the last
    source that names it. A field that is a table, such as train.perceptual, is taken whole."""
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            section = getattr(DEFAULTS, name, None)
            if isinstance(section, Section) and isinstance(value, dict):
                below = dict(result.get(name, {}))
                named = [field for field in EITHER if value.get(field) is not None]
                if len(named) == 1 and all(field in type(section).model_fields for field in EITHER):
                    below |= {field: None for field in EITHER if field not in named}
                value = below | value
            result[name] = value
    return result
