"""The embedded corpus."""

import json
import re
import sys
from pathlib import Path

import pytest

from electra_hf.corpora import PythonDocs
from electra_hf.corpora import python_docs as python_docs_module
from electra_hf.corpora.python_docs import paragraphs
from electra_hf.errors import CorpusError

SOURCE = '''"""A module about
{topic}.

Second paragraph.
"""

try:
    import nothing
except ImportError:
    nothing = None


class First:
    """First class."""

    def method(self):
        """A *method* of ``First``.

        >>> First().method()
        3
        """
        text = """not a docstring"""


async def last():
    """Last function."""
'''


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A standard library of our own, without the language reference."""
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.setattr(python_docs_module, "_MIN_MODULE_CHARACTERS", 40)
    return tmp_path


def test_modules(library: Path) -> None:
    for name in ("b.py", "a.py", "package/c.py", "test/d.py", "site-packages/e.py", "package/tests/f.py"):
        path = library / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(SOURCE.format(topic=name))
    (library / "small.py").write_text('"""Small."""')
    (library / "broken.py").write_text('"""Broken""" (')
    documents = list(PythonDocs().documents())
    assert [document.split("\n")[0] for document in documents] == [
        f"A module about {name}." for name in ("a.py", "b.py", "package/c.py")
    ]
    assert documents[0].split("\n")[1:] == [
        "Second paragraph.",
        "First class.",
        "A method of First.",
        "Last function.",
    ]


def test_nothing_there(library: Path) -> None:
    with pytest.raises(CorpusError, match="use a complete Python"):
        list(PythonDocs().documents())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Title\n*****\n\nSome\nwords.", ["Title", "Some words."]),
        ("* one\n  more\n* two\n\n1. three\n2. four", ["* one more", "* two", "1. three", "2. four"]),
        (":class:`list` and `x` and ``y`` and *z* and **w**", ["list and x and y and z and w"]),
        ("f(*args, **kwargs) and 2 * 3 * 4", ["f(*args, **kwargs) and 2 * 3 * 4"]),
        ("Example::\n\n   code()", ["Example:", "code()"]),
        ("+---+\n| a |\n+===+\n\nafter", ["after"]),
        ("stmt ::= a b\nprose", ["prose"]),
        ("before\n>>> f()\nresult\n\nafter", ["before", "after"]),
        ("  indented\nback", ["indented", "back"]),
        ("", []),
    ],
)
def test_paragraphs(text: str, expected: list[str]) -> None:
    assert list(paragraphs(text)) == expected


def test_this_python() -> None:
    corpus = PythonDocs()
    documents = list(corpus.documents())
    assert 300 < len(documents) < 1000
    assert 1_000_000 < sum(map(len, documents)) < 4_000_000
    assert documents == list(corpus.documents())
    lines = [line for document in documents for line in document.split("\n")]
    assert not any(line.startswith(">>>") or re.fullmatch(r"[=*\-~^]+", line) or not line.strip() for line in lines)
    assert sum(map(len, lines)) / len(lines) > 60  # paragraphs, not wrapped lines


def test_description_names_the_version() -> None:
    assert ".".join(map(str, sys.version_info[:3])) in json.dumps(PythonDocs().describe())
