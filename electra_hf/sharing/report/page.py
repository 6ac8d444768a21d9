"""The page as one HTML file: template, style, script and data, with the plotting library in it.

It asks for nothing else, and its content security policy would not let it.
"""

import json
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

_TEMPLATES = "electra_hf.sharing"


def render_page(content: dict[str, Any], *, live_seconds: float | None = None) -> str:
    """Write the page.

    Args:
        content: From `content.content_of`.
        live_seconds: The page asks its server for news so often; None for a page without a server.

    Returns:
        HTML. Its size is that of the library, 5 MB, and some 100 kB for a run.
    """
    html = content["html"]
    return Template(_template("report.html")).substitute(
        title=escape(content["title"]),
        made=escape(content["made"]),
        policy=_policy(live=live_seconds is not None),
        live="" if live_seconds is None else f'data-live="{live_seconds:g}"',
        style=_template("report.css"),
        library=_library(),
        script=_template("report.js"),
        content=to_script_json(content),
        facts=html["facts"],
        values=html["values"],
        scores=html["scores-table"],
        samples=html["samples-text"],
        notes=html["notes"],
    )


def to_script_json(content: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _policy(*, live: bool) -> str:
    """Nothing from elsewhere: what is in the page, pictures that it makes, and its own server if it has one."""
    connect = "'self'" if live else "'none'"
    return (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _template(name: str) -> str:
    return files(_TEMPLATES).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
