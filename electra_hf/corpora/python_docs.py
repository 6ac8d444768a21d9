"""The embedded corpus: the documentation that comes with every Python, as English prose without a download.

It is made of the language reference that `help()` shows (`pydoc_data.topics`) and of the docstrings of the standard
library. The modules are parsed, never imported: importing some of them has effects.
"""

import ast
import gc
import os
import platform
import re
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from electra_hf.corpora.corpus import Corpus
from electra_hf.errors import CorpusError

# Raised when the same Python would give other text, so that data prepared before is not reused.
_REVISION = 1
_MIN_MODULE_CHARACTERS = 400
# Installed packages, tests, code tables and sources of an older grammar: not prose, or not part of every Python.
_LEFT_OUT_FOLDERS = {
    "__pycache__",
    "dist-packages",
    "encodings",
    "idle_test",
    "lib2to3",
    "pgen2",
    "site-packages",
    "test",
    "tests",
    "turtledemo",
}

_ITEM = re.compile(r"(?:[*+\-•]|\(?(?:\d{1,2}|[a-z])[.)]|@\w+|:\w+[^:]*:)\s")
_WORD = re.compile(r"\w")
_ROLE = re.compile(r":[\w:+-]+:`([^`]+)`")
_LITERAL = re.compile(r"``?([^`]+?)``?")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(\w(?:[^*\n]*[^*\s])?)\1(?![\w*])")
_TABLE = ("|", "+-", "+=")


class PythonDocs(Corpus):
    """Python's language reference and the docstrings of its standard library: about 2 million characters of English.

    A document is one topic of the reference or one module; a line is a paragraph.
    """

    name = "python-docs"

    def describe(self) -> dict[str, Any]:
        """The version of Python, which decides the text."""
        return {"kind": "python-docs", "python": platform.python_version(), "revision": _REVISION}

    def _texts(self) -> Iterator[str]:
        topics = _topics()
        modules = _modules(Path(sysconfig.get_path("stdlib")))
        if not topics and not modules:
            raise CorpusError(
                "python-docs: this Python was installed without pydoc_data and without the sources of its standard "
                "library: use a complete Python, or give text with --train_file or --dataset_name"
            )
        yield from topics
        yield from modules


def _topics() -> tuple[str, ...]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return ()
    return tuple("\n".join(paragraphs(topics[name])) for name in sorted(topics))


# Parsing takes seconds, and splitting a corpus reads it twice.
@lru_cache(maxsize=1)
def _modules(library: Path) -> tuple[str, ...]:
    # The many nodes of a syntax tree set off the cyclic collector in vain, which costs a fifth of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        documents = ["\n".join(_module_paragraphs(path)) for path in _sources(library)]
    finally:
        if was_enabled:
            gc.enable()
    return tuple(document for document in documents if len(document) >= _MIN_MODULE_CHARACTERS)


def _sources(library: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(library):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT_FOLDERS)
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(".py"))


def _module_paragraphs(path: Path) -> Iterator[str]:
    try:
        module = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # A file of templates or of broken code has no docstrings to lose.
        return
    for node in (module, *_definitions(module.body)):
        docstring = ast.get_docstring(node)
        if docstring:
            yield from paragraphs(docstring)


def _definitions(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Classes and functions in source order, without a walk through every expression."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from _definitions(node.body)
        elif isinstance(node, ast.If | ast.Try):
            yield from _definitions(node.body)
            yield from _definitions(node.orelse)


def paragraphs(text: str) -> Iterator[str]:
    r"""Yield the paragraphs of reStructuredText as lines of plain prose.

    Hard-wrapped lines are joined; underlines, tables, grammar, doctests and inline markup are taken away.

    >>> list(paragraphs("Title\n=====\n\nA *hard*-wrapped\nparagraph with ``code``.\n\n>>> 1 + 1\n2\n"))
    ['Title', 'A hard-wrapped paragraph with code.']
    """
    gathered: list[str] = []
    inside_example = False
    previous_indent = 0
    for line in (*text.split("\n"), ""):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        inside_example = bool(stripped) and (inside_example or stripped.startswith(">>>"))
        is_text = not inside_example and _WORD.search(stripped) and not stripped.startswith(_TABLE)
        if gathered and (not is_text or indent < previous_indent or _ITEM.match(stripped)):
            yield _without_markup(" ".join(gathered))
            gathered = []
        if is_text and "::=" not in stripped:
            gathered.append(" ".join(stripped.split()))
            previous_indent = indent


def _without_markup(text: str) -> str:
    text = _ROLE.sub(r"\1", text)
    text = _LITERAL.sub(r"\1", text)
    text = _EMPHASIS.sub(r"\2", text)
    return text.removesuffix(":") if text.endswith("::") else text
