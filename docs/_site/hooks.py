"""What the site adds to the pages: options from the parsers, links out of docs/, pictures that follow the colours.

mkdocs calls the functions by their names (mkdocs.yml, `hooks`).
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from options import fill_in_options

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r"<code>(--[\w-]{1,36})</code>")
_PICTURE = re.compile(r'<img alt="([^"]*)" src="([^"]*\.svg)" ?/?>')


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Options in place of their marks; links to files of the repository that are no pages."""
    return link_to_repository(fill_in_options(markdown), page.file.src_uri, config.repo_url)


def link_to_repository(markdown: str, source: str, repository: str | None) -> str:
    """Links from a page to files outside docs/: to the repository's address, or text while there is none.

    >>> link_to_repository("see [the licence](../LICENSE)", "page.md", None)
    'see the licence (`LICENSE`)'
    >>> link_to_repository("see [the licence](../LICENSE)", "page.md", "https://host/x")
    'see [the licence](https://host/x/blob/main/LICENSE)'
    """

    def replace(match: re.Match[str]) -> str:
        text, target = match.groups()
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), target.partition("#")[0]))
        if ":" in target or target.startswith("#") or path.startswith("docs/"):
            return match.group()
        if path == "README.md":
            return f"[{text}]({posixpath.relpath('index.md', posixpath.dirname(source) or '.')})"
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"docs/{source} links to {target}, and there is no {path}")
        if repository:
            return f"[{text}]({repository.rstrip('/')}/blob/main/{path})"
        return text if path in text else f"{text} (`{path}`)"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(replace, part) for part in parts)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Our SVG pictures as part of the page, so that they take its colours; options marked for the style."""

    def inline(match: re.Match[str]) -> str:
        text, source = match.groups()
        file = (ROOT / "docs" / posixpath.dirname(page.file.src_uri) / source).resolve()
        svg = file.read_text(encoding="utf-8")
        return f'<span class="picture" role="img" aria-label="{text}">{svg[svg.index("<svg") :]}</span>'

    return _OPTION.sub(r'<code class="option">\1</code>', _PICTURE.sub(inline, html))
