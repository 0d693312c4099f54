"""The detector of a run: chosen once, kept in the run folder, and the same for all that follows.

`models/detector.json` says what it is, and the model lies beside it, whence workers read it. So a
run goes on where neither its model's file nor a network is at hand, and never mixes two.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from infra import storage
from infra.errors import RunError
from infra.progress import say
from infra.runs import Run
from infra.settings import of_run
from infra.settings.settings import Settings
from infra.text import one_line, sha256_of
from workflows.shared.face_models.finding import Choice, find

FOLDER, RECORD = "models", "detector.json"


class Record(BaseModel):
    """The content of `models/detector.json`."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["yunet", "haar"]
    sha256: str | None
    asked: str
    told: str

    def choice(self) -> Choice:
        """What it records, without the content of its model."""
        return Choice(self.kind, self.asked, self.sha256, self.told)


def recorded(run: Run) -> Choice | None:
    """What the run has found its faces by, without the model's content; None before it has.

    The record of the clips tells it too, where a copy of a run left `models/` behind. Raises
    RunError where the record is damaged.
    """
    uri = run.path(FOLDER, RECORD)
    try:
        return Record.model_validate_json(storage.read_bytes(uri)).choice()
    except FileNotFoundError:
        return _of_clips(run)
    except ValidationError as error:
        raise RunError(
            f"{uri}: not the record of a detector ({one_line(error, 80)}); remove it, and redo "
            "what looks for faces with --force"
        ) from error


def _of_clips(run: Run) -> Choice | None:
    fields = run.record("clips").settings.get("preprocess", {}) if run.is_complete("clips") else {}
    name = str(fields.get("detector", ""))
    asked = of_run.detector_of(run.uri)
    if name == "haar":
        return Choice("haar", asked)
    return Choice("yunet", asked, name.removeprefix("yunet ")) if name else None


def choose(settings: Settings, run: Run, anew: bool = False) -> Choice:
    """What is to find faces in this run: what it did so far, where that is what is asked for.

    `auto` asks for nothing else. `anew` looks again whatever was recorded: all is redone. Raises
    SettingsError as `finding.find` does.
    """
    asked = of_run.asked(settings.preprocess.detector)
    known = None if anew else recorded(run)
    if known is not None and of_run.is_asked(asked, known.name, known.asked):
        return known
    return find(asked)


def keep(run: Run, stage: str, choice: Choice | None) -> str | None:
    """Write a choice into the run, and say it, unless it is there. Gives the URI of the run's copy
    of the model; None for the cascade, and for no choice.

    Raises RunError where the copy is not what it was. It is named by its content: no other model
    takes its place in a worker at work.
    """
    if choice is None:
        return None
    uri = choice.sha256 and run.path(FOLDER, f"yunet-{choice.sha256[:12]}.onnx")
    if recorded(run) == choice:
        _verify(uri, choice.sha256)
        return uri
    if uri is not None:
        storage.write_bytes(uri, choice.content)
    record = Record(kind=choice.kind, sha256=choice.sha256, asked=choice.asked, told=choice.told)
    storage.write_json(run.path(FOLDER, RECORD), record.model_dump())
    say(stage, choice.told)
    return uri


def made_from(settings: Settings, choice: Choice | None) -> dict[str, Any]:
    """What results depend on of the section preprocess: the detector is what was chosen, and left
    out where no face is looked for."""
    fields = {n: v for n, v in settings.preprocess.made_from().items() if n != "detector"}
    return fields if choice is None else fields | {"detector": choice.name}


def _verify(uri: str | None, sha256: str | None) -> None:
    if uri is None:
        return
    try:
        content = storage.read_bytes(uri)
    except FileNotFoundError:
        content = b""
    if sha256_of(content) != sha256:
        raise RunError(
            f"{uri}: missing, or not the model with which this run has found faces (SHA-256 "
            f"{sha256}); put it there again, or redo the run with --force preprocess"
        )
