"""The options of the scripts and commands as text, from the parsers themselves: so they are never out of date."""

import argparse
import re
from collections.abc import Iterator

from parsers import CONSOLE, console_commands, parser_of

_MARK = re.compile(r"^<!-- options: (.+?) -->$", re.MULTILINE)
_SPECIAL = re.compile(r"([\\`*_\[\]<>|{}])")


def fill_in_options(markdown: str) -> str:
    """Put the options of a command below its mark, `<!-- options: run_glue.py -->`; `electra-hf` stands for all."""

    def fill(match: re.Match[str]) -> str:
        command = match.group(1)
        if command != CONSOLE:
            return options_of(parser_of([command]))
        return "\n\n".join(
            f"### {CONSOLE} {name}\n\n{options_of(parser)}" for name, parser in console_commands().items()
        )

    return _MARK.sub(fill, markdown)


def options_of(parser: argparse.ArgumentParser) -> str:
    """All options of one parser as Markdown, in the groups of its --help."""
    lines = []
    for title, actions in groups(parser):
        lines += [f"**{title}**", ""] if title else []
        lines += [_line(action) for action in actions]
        lines.append("")
    return "\n".join(lines) or "No options."


def groups(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[argparse.Action]]]:
    """The groups of a parser that hold an option, with their titles; those that every parser has have none."""
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if _is_shown(action)]
        title = group.title or ""
        if actions:
            yield "" if title in ("options", "positional arguments") else title[:1].upper() + title[1:], actions


def _is_shown(action: argparse.Action) -> bool:
    # Every switch of the scripts has a complement of its own, `--no_...`, with the same help.
    complement = any(option.startswith("--no_") for option in action.option_strings) and action.const is False
    return not complement and action.dest != "help" and action.help != argparse.SUPPRESS


def _line(action: argparse.Action) -> str:
    # HfArgumentParser gives both spellings, with _ and with -.
    names = [name for name in action.option_strings if "_" in name or name.replace("-", "_")[2:] == name[2:]]
    name = ", ".join(f"`{name}`" for name in names) or f"`{action.metavar or action.dest}`"
    if action.choices:
        name += " " + " · ".join(f"`{choice}`" for choice in action.choices)
    text = " ".join((action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%").split())
    default = getattr(action.default, "value", action.default)
    if default not in (None, argparse.SUPPRESS, "", []) and action.required is False and "default" not in text.lower():
        text += f" Default: `{default}`"
    text = re.sub(r"(?<![\w`-])(--[a-z]\w+)", r"`\1`", text)
    text = "".join(
        part if part.startswith("`") else _SPECIAL.sub(r"\\\1", part) for part in re.split(r"(`[^`]*`)", text)
    )
    return f"- {name}{' (required)' if action.required else ''}  \n  {text}"
