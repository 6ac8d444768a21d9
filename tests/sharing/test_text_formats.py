"""Observed texts for trackers: swaps and suspicions can be read without colour, and no piece becomes markup."""

from html.parser import HTMLParser

from electra_hf.sharing.text_formats import as_html, as_markdown

TEXTS = [
    [
        ("▁The", "▁The", False, 0.01, False),
        ("<script>", "▁cat", True, 0.931, True),
        ("##s", "##s", False, 0.5, False),
        ("*", "*", False, None, True),
    ]
]


def test_markdown_keeps_pieces_from_being_markup():
    *_, line = as_markdown(TEXTS).splitlines()
    assert line == r"1. The **\<script\>** ~~cat~~ (93)s (50) \*"


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_html_keeps_pieces_from_being_markup():
    seen = Seen()
    seen.feed(as_html(TEXTS, "Step <1>"))
    assert "script" not in seen.tags and seen.tags.count("b") == seen.tags.count("s") == 1
    assert "The <script> cat 93s 50 *" in seen.text and "Step <1>" in seen.text
    assert seen.tags.count("span") == 3  # no background where nothing was judged
