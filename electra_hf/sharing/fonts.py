"""Fonts for the names of models, tasks and types in pictures, which can be in any script."""

import contextlib
import warnings
from collections.abc import Iterator

from matplotlib import font_manager

# matplotlib's own font has no Chinese, Japanese or Korean; these are looked for after it.
_MORE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "Noto Sans JP",
    "NanumGothic",
    "IPAGothic",
    "WenQuanYi Zen Hei",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Malgun Gothic",
    "Microsoft YaHei",
    "Arial Unicode MS",
    "Unifont",
)


def fonts() -> list[str]:
    """Families for a text, in the order in which its characters are looked for in them."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _MORE_FONTS if name in installed)]


def can_draw(text: str) -> bool:
    """Whether the installed fonts have all characters of a text.

    >>> can_draw("PER"), can_draw("\\U0010fffd")
    (True, False)
    """
    files = [font_manager.findfont(family, fallback_to_default=False) for family in fonts()]
    return all(any(font_manager.get_font(file).get_char_index(ord(character)) for file in files) for character in text)


@contextlib.contextmanager
def missing_glyphs_are_known() -> Iterator[None]:
    """A character that no installed font has is drawn as a box; the tables have the whole name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
