"""Command line over YAML over defaults; an unknown name is an error that points to the nearest known one.

`HfArgumentParser` does the parsing. YAML values become its defaults as strings, so that both go through the same
conversion: PyYAML reads `5e-4` as a string, and a dictionary reaches an option as it would be typed.
"""

import argparse
import dataclasses
import difflib
import json
import shlex
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser

from electra_hf.errors import (
    DEBUG_HELP,
    UsageError,
    explain_os_error,
    without_password,
)
from electra_hf.option_help import HELP_ALL, HelpAll, OptionHelpFormatter, format_options

CONFIG_OPTION = "--config"
_SECRETS = ("hub_token", "password", "api_key")
# PyYAML lets through what Python says to a value that only looks like a date or a number, or has the wrong tag.
_YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError)


class ConfigArgumentParser(HfArgumentParser):
    """`HfArgumentParser` with `--config FILE.yaml`.

    Args:
        dataclass_types: The dataclasses to fill, in the order they are returned.

    Attributes:
        settings: After `parse`, the options that differ from their defaults, as plain values; secrets are left out.
        command: After `parse`, the command line as it can be typed again; secrets are left out.
    """

    def __init__(self, dataclass_types: Sequence[Any], **kwargs: Any):
        kwargs.setdefault("formatter_class", OptionHelpFormatter)
        super().__init__(list(dataclass_types), allow_abbrev=False, **kwargs)
        # What is only transformers' own is listed last, if at all.
        self.inherited = frozenset(name for one in dataclass_types for name in _inherited(one))
        self.add_argument(HELP_ALL, action=HelpAll, help="Show all options there are, and leave.")
        self.add_argument(CONFIG_OPTION, metavar="FILE.yaml", help="Options from a file; the command line wins.")
        for action in self._actions:
            if action.dest == "debug":
                # TrainingArguments has it, with a value. Without one it is for `run_script`.
                action.nargs, action.const = "?", action.default
                action.help = f"Without a value: {DEBUG_HELP} With one: {action.help}"
        self.settings: dict[str, Any] = {}
        self.command = ""

    def error(self, message: str) -> Any:
        raise UsageError(f"{message} ({HELP_ALL} lists all options)")

    def format_help(self) -> str:
        """Options by what they are for; see `option_help`."""
        return format_options(self, everything=False)

    def parse(
        self, argv: Sequence[str] | None = None, *, settings: Mapping[str, Any] | None = None, where: str = ""
    ) -> tuple[Any, ...]:
        """Read the command line and the file it names.

        Args:
            argv: Arguments; default: those of the process.
            settings: Options that were read already, in place of a file.
            where: Where they come from, for error messages.

        Returns:
            One instance of each dataclass.

        Raises:
            UsageError: For an unknown option or key, a value of the wrong type, or a file that cannot be read.
        """
        argv = list(sys.argv[1:] if argv is None else argv)
        self.command = shlex.join(["python", Path(sys.argv[0]).name, *_without_secrets(argv)])
        defaults = self._option_defaults()
        config_file = _find_config(argv)
        if config_file is not None:
            self._apply_config(read_config(Path(config_file)), config_file)
        if settings is not None:
            self._apply_config(settings, where)
        namespace, unknown = self.parse_known_args(argv)
        if unknown:
            self._refuse_unknown(unknown)
        values = vars(namespace)
        values.pop("config")
        self.settings = {
            name: _for_files(value)
            for name, value in values.items()
            if value != defaults[name] and not _is_secret(name)
        }
        outputs = []
        for dataclass_type in self.dataclass_types:
            names = {field.name for field in dataclasses.fields(dataclass_type) if field.init}
            inputs = {name: values.pop(name) for name in list(values) if name in names}
            try:
                outputs.append(dataclass_type(**inputs))
            except json.JSONDecodeError as error:
                option = next((name for name, value in inputs.items() if value == error.doc), "an option")
                raise UsageError(f"--{option} {error.doc!r} is not valid JSON: {error}") from error
            except (ValueError, TypeError, ImportError) as error:
                raise UsageError(str(error)) from error
            except OSError as error:
                raise UsageError(explain_os_error(error, error.filename or "a file of the options")) from error
        return tuple(outputs)

    def write_settings(self, path: Path) -> None:
        """Write what was asked for as YAML, so that `--config` on the file repeats the run; secrets are left out."""
        write_config(path, self.settings)

    def _option_defaults(self) -> dict[str, Any]:
        required = [action for action in self._actions if action.required]
        for action in required:
            action.required = False
        defaults = vars(self.parse_known_args([])[0])
        for action in required:
            action.required = True
        return defaults

    def _options(self) -> dict[str, argparse.Action]:
        # Reversed, so that an option wins over its --no_ complement, which has the same destination.
        return {
            action.dest: action
            for action in reversed(self._actions)
            if action.dest not in ("help", "help_all", "config")
        }

    def check_names(self, names: Iterable[Any], where: str | Path) -> None:
        """Refuse what is no option.

        Args:
            names: Keys of a file.
            where: The file, or a place in it, for the message.

        Raises:
            UsageError: With the option that is nearest to the unknown name.
        """
        options = self._options()
        for name in names:
            if name not in options:
                # YAML has keys of any kind.
                raise UsageError(f"{where}: unknown key '{name}'{_nearest(str(name), options)}")

    def _apply_config(self, settings: Mapping[str, Any], where: str | Path) -> None:
        self.check_names(settings, where)
        options = self._options()
        for key, value in settings.items():
            if value is None:
                continue
            options[key].required = False
            try:
                converted = self._convert(options[key], value)
            except (argparse.ArgumentTypeError, argparse.ArgumentError, ValueError, TypeError) as error:
                found = "***" if _is_secret(key) else repr(value)
                raise UsageError(f"{where}: {key}: cannot use {found}: {error}") from error
            self.set_defaults(**{key: converted})

    def _convert(self, action: argparse.Action, value: Any) -> Any:
        if isinstance(value, dict):
            if action.dest.endswith("_overrides"):
                return ",".join(f"{name}={item}" for name, item in value.items())
            return self._get_value(action, json.dumps(value))
        if action.nargs == "+":
            items = value if isinstance(value, list) else [value]
            if any(isinstance(item, list | dict) for item in items):
                raise ValueError("a list of plain values is expected")
            return [self._get_value(action, str(item)) for item in items]
        if isinstance(value, list):
            raise ValueError("one value is expected, not a list")
        converted = self._get_value(action, str(value))
        self._check_value(action, converted)
        return converted

    def _refuse_unknown(self, unknown: list[str]) -> None:
        options = self._options()
        names = [argument.split("=")[0] for argument in unknown if argument.startswith("--")] or unknown[:1]
        found = ", ".join(f"'{name}'{_nearest(name.lstrip('-').replace('-', '_'), options)}" for name in names)
        raise UsageError(f"unknown option {found}; {HELP_ALL} lists all options")


def _inherited(dataclass_type: Any) -> set[str]:
    """The fields that no class of this package declares."""
    own: set[str] = set()
    for parent in dataclass_type.__mro__:
        if parent.__module__.partition(".")[0] != "transformers":
            own |= set(vars(parent).get("__annotations__", ()))
    return {field.name for field in dataclasses.fields(dataclass_type)} - own


def _without_secrets(argv: list[str]) -> list[str]:
    kept = []
    secret = False
    for argument in argv:
        if argument.startswith("--"):
            secret = _is_secret(argument)
        if not secret:
            kept.append(without_password(argument))
    return kept


def _is_secret(option: str) -> bool:
    return any(word in option.replace("-", "_") for word in _SECRETS)


def _for_files(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [_for_files(item) for item in value]
    return without_password(value) if isinstance(value, str) else value


def _find_config(argv: list[str]) -> str | None:
    for argument, after in zip(argv, [*argv[1:], ""], strict=False):
        name, equals, value = argument.partition("=")
        if name == CONFIG_OPTION:
            file = value if equals else after
            if not file:
                raise UsageError("--config needs a file, such as configs/pretraining/electra-small.yaml")
            return file
    return None


def _nearest(name: str, options: dict[str, argparse.Action]) -> str:
    near = difflib.get_close_matches(name, options, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def write_config(path: Path, settings: Mapping[str, Any]) -> None:
    """Write options as a YAML file for `--config`."""
    path.write_text(yaml.safe_dump(dict(settings), sort_keys=True, allow_unicode=True), encoding="utf-8")


def read_config(path: Path) -> dict[str, Any]:
    """A YAML (or JSON) file of options as a flat dictionary.

    Raises:
        UsageError: If the file is missing, is no YAML, holds a key twice, is empty or is not a map.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = explain_os_error(error, path) if isinstance(error, OSError) else f"{path} is not UTF-8 text: {error}"
        raise UsageError(f"cannot read the configuration {reason}") from error
    try:
        settings = yaml.load(text, Loader=_UniqueKeyLoader)
    except RecursionError as error:
        raise UsageError(f"{path} is not valid YAML: it is nested too deeply for a list of options") from error
    except _YAML_ERRORS as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if settings is None:
        raise UsageError(f"{path} is empty; options are expected, one `name: value` a line")
    if not isinstance(settings, dict):
        raise UsageError(f"{path} holds a {type(settings).__name__}; options are expected, one `name: value` a line")
    return settings


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is no plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
