"""The page of tagged texts is parsed again: what is marked, what is counted, and that nothing gets out of its text."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from electra_hf.sharing.tagging import write_page


class Page(HTMLParser):
    """Sections of a page: attributes, and for each line its text and its marks as (class, text, label)."""

    def __init__(self, path: Path):
        super().__init__()
        self.sections: list[dict] = []
        self.buttons: dict[str, str] = {}
        self.tags: list[tuple[str, dict]] = []
        self.summary, self.items = "", []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list):
        values = dict(attrs)
        self.tags.append((tag, values))
        if tag not in ("meta",):
            self.open.append(tag)
        if tag == "section":
            self.sections.append({"kinds": values["data-kinds"].split(), "id": "", "lines": []})
        elif tag == "p" and self.sections:
            self.sections[-1]["lines"].append({"dir": values["dir"], "text": "", "marks": []})
        elif tag == "mark" and self.sections:
            self.sections[-1]["lines"][-1]["marks"].append([values["class"], "", ""])
        elif tag == "li":
            self.items.append("")
        elif tag == "button":
            self.buttons[values["data-kind"]] = ""

    def handle_endtag(self, tag: str):
        assert self.open.pop() == tag

    def handle_data(self, data: str):
        if "script" in self.open or "style" in self.open:
            return
        if "li" in self.open:
            self.items[-1] += data
        elif "button" in self.open:
            self.buttons[list(self.buttons)[-1]] += data
        elif "h2" in self.open:
            self.sections[-1]["id"] += data
        elif "section" in self.open and "p" in self.open:
            line = self.sections[-1]["lines"][-1]
            if "b" in self.open:
                line["marks"][-1][2] += data
            else:
                line["text"] += data
                if "mark" in self.open:
                    line["marks"][-1][1] += data
        elif "p" in self.open:
            self.summary += data


def mark(kind: str, gold=None, predicted=None) -> dict:
    return {"kind": kind, "gold": gold, "predicted": predicted}


SENTENCES = [
    {"id": "a", "text": "Ada in London", "marks": [mark("correct", ["PER", 0, 3], ["PER", 0, 3])]},
    {
        "id": "b",
        "text": "Ada Lovelace, Paris & Rome",
        "marks": [
            mark("wrong_borders", ["PER", 0, 12], ["PER", 0, 3]),
            mark("wrong_type", ["LOC", 14, 19], ["ORG", 14, 19]),
            mark("missed", ["LOC", 22, 26], None),
            mark("spurious", None, ["ORG", 20, 21]),
        ],
    },
    {"id": "c", "text": "nothing", "marks": []},
]


def test_both_sides_of_a_sentence_with_errors_are_shown(tmp_path: Path):
    page = Page(write_page(SENTENCES, tmp_path / "new" / "page.html", title="wnut17, test"))
    right, wrong, empty = page.sections
    assert [section["id"] for section in page.sections] == ["a", "b", "c"]
    assert right["lines"] == [{"dir": "auto", "text": "Ada in London", "marks": [["correct", "Ada", "PER ✓"]]}]
    gold, predicted = wrong["lines"]
    assert gold["text"] == predicted["text"] == "Ada Lovelace, Paris & Rome"
    assert gold["marks"] == [
        ["wrong_borders", "Ada Lovelace", "PER ↔"],
        ["wrong_type", "Paris", "LOC ≠"],
        ["missed", "Rome", "LOC −"],
    ]
    assert predicted["marks"] == [
        ["wrong_borders", "Ada", "PER ↔"],
        ["wrong_type", "Paris", "ORG ≠"],
        ["spurious", "&", "ORG +"],
    ]
    assert empty["kinds"] == [] and empty["lines"][0]["marks"] == []


def test_the_legend_and_the_buttons_count(tmp_path: Path):
    page = Page(write_page([*SENTENCES, SENTENCES[1]], tmp_path / "page.html", title="t"))
    assert page.summary == "4 sentences, 2 of them with errors."
    assert page.items == [
        "correct✓ 1 borders and type are right",
        "wrong type≠ 2 the borders are right",
        "wrong borders↔ 2 the type is right, and the two overlap",
        "missed− 2 in the data only",
        "spurious+ 2 predicted only",
    ]
    assert page.buttons == {
        "": "all (4)",
        "error": "with errors (2)",
        "wrong_type": "≠ wrong type (2)",
        "wrong_borders": "↔ wrong borders (2)",
        "missed": "− missed (2)",
        "spurious": "+ spurious (2)",
    }
    for kind in page.buttons:
        assert kind in ("", *page.sections[1]["kinds"])


def test_texts_are_only_text(tmp_path: Path):
    nasty = '</p><script>alert("x")</script><img src=//evil.example/x onerror=alert(1)> &amp; \x00\u202e\ud800 "\''
    marks = [mark("spurious", None, ["<b>", 4, 12])]
    path = write_page([{"id": "<i>7", "text": nasty, "marks": marks}], tmp_path / "page.html", title="</title><x>")
    page = Page(path)
    (section,) = page.sections
    shown = nasty.replace("\x00", "\ufffd").replace("\u202e", "\ufffd").replace("\ud800", "\ufffd")
    assert [line["text"] for line in section["lines"]] == [shown, shown]
    assert section["id"] == "<i>7" and section["lines"][1]["marks"] == [["spurious", nasty[4:12], "<b> +"]]
    assert [tag for tag, _ in page.tags].count("script") == 1 and "img" not in dict(page.tags)
    # Nothing is fetched from anywhere, and the page itself forbids it.
    assert not [values for _, values in page.tags if {"src", "href"} & values.keys()]
    policies = [values["content"] for _, values in page.tags if values.get("http-equiv") == "Content-Security-Policy"]
    assert policies and policies[0].startswith("default-src 'none'")


def test_sentences_with_errors_come_first_and_the_rest_is_counted(tmp_path: Path):
    many = [{**SENTENCES[number % 2], "id": str(number)} for number in range(40)]
    page = Page(write_page(many, tmp_path / "page.html", title="t", limit=25))
    wrong = [section["id"] for section in page.sections if "error" in section["kinds"]]
    assert wrong == [str(number) for number in range(1, 40, 2)] and len(page.sections) == 25
    assert page.summary == (
        "40 sentences, 20 of them with errors. Shown are 25: 20 with errors and 5 without. "
        "Left out are 15: 0 with errors and 15 without."
    )
    # The counts are of all sentences.
    assert page.items[0].endswith("20 borders and type are right")
    few = Page(write_page(many, tmp_path / "page.html", title="t", limit=5))
    assert [section["id"] for section in few.sections] == ["1", "9", "17", "25", "33"]


def test_unlabelled_texts_show_what_is_predicted(tmp_path: Path):
    sentences = [
        {"id": "0", "text": "שלום עולם", "marks": [mark("predicted", None, ["LOC", 0, 4])]},
        {"id": "1", "text": "x", "marks": []},
    ]
    page = Page(write_page(sentences, tmp_path / "page.html", title="t"))
    assert page.sections[0]["lines"] == [
        {"dir": "auto", "text": "שלום עולם", "marks": [["predicted", "שלום", "LOC ·"]]}
    ]
    assert not page.buttons and page.summary == "2 sentences." and len(page.items) == 1


@pytest.mark.parametrize("sentences", [[], [SENTENCES[2]]])
def test_a_page_without_entities(sentences: list, tmp_path: Path):
    assert len(Page(write_page(sentences, tmp_path / "page.html", title="t")).sections) == len(sentences)
