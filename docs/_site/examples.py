"""Examples in docstrings as code: they stand in the text (`>>> ...`), and Markdown would take them for quotations."""

from typing import Any

from griffe import Extension, Object


class Examples(Extension):
    """Griffe calls it for each module, class and function."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None and ">>> " in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Put each run of lines that begins with `>>>` between fences.

    >>> fenced("Adds.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['Adds.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"```pycon\n{p}\n```" if p.lstrip().startswith(">>> ") else p for p in paragraphs)
