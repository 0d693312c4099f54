"""Reads a command line into Settings: above the file that its `--config` names, which lies above
what the run was made with, which lies above the defaults."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import CliSettingsSource, SettingsConfigDict, YamlConfigSettingsSource
from pydantic_settings.exceptions import SettingsError as CommandLineError
from yaml import YAMLError

from infra.errors import RunError, SettingsError
from infra.settings import of_run, of_weights
from infra.settings.settings import Settings
from infra.text import one_line

# What a command alone means by an option.
SHORT = {"enhance.py": {"--source": "--enhance.source", "--weights": "--enhance.weights"}}


def load(arguments: list[str], program: str, about: str) -> Settings:
    """Settings from a command line; raises SettingsError in one line, exits on `--help`."""
    flags = [_kebab(argument, SHORT.get(program, {})) for argument in arguments]

    class CommandLine(Settings):
        model_config = SettingsConfigDict(cli_prog_name=program)

    CommandLine.__doc__ = about
    try:
        # Its `--help` ends the program; nothing has been read then.
        given = CliSettingsSource[Any](CommandLine, cli_parse_args=flags)()
        file = given.get("config")
        chosen = {} if file is None else _read(_existing(file))
        run = str(given.get("run") or chosen.get("run") or of_run.DEFAULTS.run)
        base = _base(run)
        if program in SHORT:
            base = of_run.merged(base, _of_weights(chosen, given))
        return Settings(**of_run.merged(base, chosen, given))
    except CommandLineError as error:
        raise SettingsError(one_line(error) + " (see --help)") from error
    except YAMLError as error:
        raise SettingsError(f"--config: not a YAML file: {one_line(error)}") from error
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _base(run: str) -> dict[str, Any]:
    """What the run was made with; raises RunError where this code cannot read it."""
    found = of_run.base_of(run)
    try:
        Settings(**found)
    except ValidationError as error:
        raise RunError(
            f"{of_run.place(run)}: {_explain(error)}; it was written by another version of "
            "facestack, or changed by hand: mend it, or give another --run"
        ) from error
    return found


def _of_weights(*given: dict[str, Any]) -> dict[str, Any]:
    """What weights say that enhance is given; {} where none are. Of weights that the run remembers
    it remembers that as well, and what else was given beside them, which they do not undo."""
    asked = of_run.merged(*given).get("enhance", {})
    weights = asked.get("weights")
    return {} if weights is None else of_weights.settings_of(weights, asked.get("variant"))


def _read(file: str) -> dict[str, Any]:
    return YamlConfigSettingsSource(Settings, yaml_file=file)()


def _kebab(argument: str, short: dict[str, str]) -> str:
    """`--train.batch_size` and `--train.batch-size` are the same option; some have a `short`
    name."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return short.get(name, name.replace("_", "-")) + equals + value


def _existing(file: str) -> str:
    if not Path(file).is_file():
        raise SettingsError(f"--config {file}: no such file; examples lie in workflows/configs/")
    return file


def _explain(error: ValidationError) -> str:
    """Every refused field with its value and what was expected, in one line."""
    reasons = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "settings"
        if item["type"] == "extra_forbidden":
            reasons.append(f"{field}: unknown setting; --help lists all")
        elif isinstance(item["input"], dict):
            reasons.append(f"{field}: {item['msg'].removeprefix('Value error, ')}")
        else:
            reasons.append(f"{field}: {item['msg']}, got {item['input']!r}")
    return "; ".join(reasons)
