"""The commands and Python code of README and docs, found where they stand."""

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
# Programs that are recorded instead of run when a block is read.
RECORDED = ("python", "electra-hf", "accelerate", "make", "pip", "wget", "git", "hf", "pre-commit")
# Files that a block reads with bash's own means.
FILES = ("hypotheses.txt", "sentences.txt")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?:    .*\n|\n(?=    ))+)")
# Arguments end with a zero byte, commands with a record separator.
_RECORD = 'printf "%s\\0" "$NAME" "$@" >> "$RECORD"; printf "\\036" >> "$RECORD"'


@dataclass(frozen=True)
class Block:
    """A block of commands or code.

    Attributes:
        page: The file, from the repository's root.
        line: Where it begins.
        language: `bash` or `python`.
        text: What is in it.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def blocks() -> tuple[Block, ...]:
    """All blocks of commands and of Python: between fences, and indented ones that begin with a command of ours."""
    found = []
    for path in PAGES:
        page, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        for match in _FENCED.finditer(text):
            if match.group(1) in ("bash", "sh", "console", "python", "pycon"):
                found.append(_block(page, text, match.start(2), match.group(1), match.group(2)))
        # Fences are blanked first, so that what is indented between them is not found again.
        bare = _FENCED.sub(lambda match: "\n" * match.group().count("\n"), text)
        for match in _INDENTED.finditer(bare):
            body = re.sub(r"^    ", "", match.group(1), flags=re.MULTILINE)
            if body.split()[0] in RECORDED:
                found.append(_block(page, bare, match.start(1), "bash", body))
    return tuple(found)


def _block(page: str, text: str, start: int, language: str, body: str) -> Block:
    return Block(page, text.count("\n", 0, start) + 1, language, body)


def commands(block: Block, folder: Path) -> list[list[str]]:
    """The commands of a block with their arguments as bash hands them over: loops, variables and quotes are bash's.

    Args:
        block: Commands.
        folder: Where stand-ins for the programs are put; they note how they were called, and succeed.

    Raises:
        AssertionError: If bash does not understand the block, or it asks for a program that is not recorded.
    """
    programs = folder / "bin"
    if not programs.is_dir():
        _stand_in(folder, programs)
    record = folder / "record"
    record.write_text("", encoding="utf-8")
    # Lines of options alone, as some blocks have them, are recorded like commands.
    alone = f'command_not_found_handle() {{ [ "${{1#--}}" != "$1" ] || return 127; NAME=options; {_RECORD}; }}\n'
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "RECORD": str(record), "HOME": str(folder)}
    done = subprocess.run(
        ["bash", "-e", "-c", alone + block.text],
        cwd=folder,
        env={**environment, "LANG": os.environ.get("LANG", "C.UTF-8")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # Behind && a failure is none for bash, but it is not silent.
    assert done.returncode == 0 and not done.stderr, f"{block}: bash says {done.stderr}"
    lines = record.read_text(encoding="utf-8").split("\036")
    return [line.removesuffix("\0").split("\0") for line in lines if line]


def _stand_in(folder: Path, programs: Path) -> None:
    """Programs that note how they are called, the folder of a clone, and the other files that blocks expect."""
    clone = folder / "electra_hf" / ".venv" / "bin"
    for place in (programs, clone, folder / ".venv" / "bin"):
        place.mkdir(parents=True)
    for name in RECORDED:
        for place in (programs, clone):
            (place / name).write_text(f"#!/bin/sh\nNAME={name}\n{_RECORD}\n", encoding="utf-8")
            (place / name).chmod(0o755)
    for name in (".venv/bin/activate", *FILES):
        (folder / name).write_text("", encoding="utf-8")
