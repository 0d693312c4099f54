"""Which trained network is meant, and what its run says of the faces that it was trained on."""

from dataclasses import dataclass
from pathlib import Path

from infra import storage
from infra.errors import InputError, SettingsError
from infra.runs import Run
from infra.settings import command_line, of_run, of_weights
from infra.settings.of_weights import ENDING, uri_of
from infra.settings.settings import Settings
from model.network import Network
from model.variants import widest
from model.weights import load_network
from workflows.shared.artifacts import trained_variants

RUN, HEADER = "the run", "the weights' header"


@dataclass(frozen=True)
class Trained:
    """The file of weights at `uri`, and the settings of the run it lies in; where in none those
    that its header tells, and None where that tells none. `told_by` says which."""

    uri: str
    content: bytes
    settings: Settings | None
    told_by: str = "defaults; the weights lie in no run, and do not tell"


def find(weights: str, variant: str | None = None) -> Trained:
    """The weights that are named: a file, or of a run its `variant`, which is by default the one
    that restores films, or else the widest trained.

    Raises SettingsError for what is not there or does not fit, RunError for a variant that the run
    has not trained.
    """
    uri = storage.absolute(weights)
    if not storage.exists(uri):
        raise SettingsError(f"--weights {weights}: not there; give a {ENDING} file or a run folder")
    if not uri.endswith(ENDING):
        settings = _settings(uri)
        file = _of_run(Run(uri), settings, variant)
        return Trained(file, _read(file), settings, RUN)
    if variant is not None:
        raise SettingsError(f"--variant {variant}: of a run folder; leave it out beside a file")
    run = uri.rsplit("/", 3)[0]  # <run>/train/<variant>/<file>
    inside = "/train/" in uri and storage.exists(of_run.place(run))
    if inside:
        return Trained(uri, _read(uri), _settings(run), RUN)
    content, told = _read(uri), _settings_in_header(uri)
    return Trained(uri, content, told, HEADER) if told else Trained(uri, content, None)


def load(path: Path, uri: str) -> Network:
    """The network whose weights at `uri` lie at `path`, for inference; raises InputError."""
    try:
        network = load_network(path).requires_grad_(False)
    except ValueError as error:
        raise InputError(str(error).replace(str(path), uri)) from error
    if not isinstance(network, Network):
        raise InputError(
            f"{uri}: bicubic is an enlargement without weights; give those of a variant"
        )
    return network


def _of_run(run: Run, settings: Settings, variant: str | None) -> str:
    if variant is None:
        asked = settings.enhance.variant
        has = run.is_complete(f"train/{asked}")
        variant = asked if has else widest(trained_variants(run))
    run.record(f"train/{variant}")
    return uri_of(run.uri, variant)


def _settings(run: str) -> Settings:
    return command_line.load(["--run", run], "export.py", "")


def _settings_in_header(uri: str) -> Settings | None:
    """Those with which films are to be read for such weights, where all is there to tell them."""
    try:
        if "seen" not in of_weights.header_of(uri):
            return None
    except (ValueError, OSError):  # what is wrong with the file is told when it is loaded
        return None
    told = of_weights.settings_of(uri, None)
    if "context" not in told["preprocess"]:
        return None
    return Settings.model_validate(
        {"clip": told["clip"], "preprocess": told["preprocess"] | {"faces": "detect"}}
    )


def _read(uri: str) -> bytes:
    try:
        return storage.read_bytes(uri)
    except FileNotFoundError as error:
        raise InputError(f"{uri}: no such file; train the variant again") from error
    except IsADirectoryError as error:
        raise InputError(f"{uri}: is a folder; expected a file of weights") from error
