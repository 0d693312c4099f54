"""Reads a command line and the file that its `--config` names into Settings."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as CommandLineError
from yaml import YAMLError

from infra.errors import SettingsError
from infra.settings.settings import Settings
from infra.text import one_line


class _ConfigFile(BaseSettings):
    """Finds `--config` before all other arguments are read."""

    model_config = SettingsConfigDict(cli_ignore_unknown_args=True, cli_exit_on_error=False)
    config: str | None = None


def load(arguments: list[str], program: str, about: str) -> Settings:
    """Settings from a command line; raises SettingsError in one line, exits on `--help`."""
    flags = [_kebab(argument) for argument in arguments]

    class CommandLine(Settings):
        model_config = SettingsConfigDict(cli_prog_name=program)

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            command_line = CliSettingsSource[Any](settings_cls, cli_parse_args=flags)
            file = _ConfigFile(_cli_parse_args=flags if "--help" not in flags else []).config
            if file is None:
                return (command_line,)
            return (command_line, YamlConfigSettingsSource(settings_cls, yaml_file=_existing(file)))

    CommandLine.__doc__ = about
    try:
        return Settings(**CommandLine().model_dump())
    except CommandLineError as error:
        raise SettingsError(one_line(error) + " (see --help)") from error
    except YAMLError as error:
        raise SettingsError(f"--config: not a YAML file: {one_line(error)}") from error
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _kebab(argument: str) -> str:
    """`--train.batch_size` and `--train.batch-size` are the same option."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


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
