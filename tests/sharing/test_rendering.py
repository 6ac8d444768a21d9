"""The printed sentences: words, marks and colour."""

import io

import pytest
from rich.console import Console

from electra_hf.sharing.demo.records import JudgedText, TokenRecord
from electra_hf.sharing.rendering import render, render_text, score


def record(piece: str, original: str | None = None, suspicion: float = 0.0, gap: bool = True) -> TokenRecord:
    return TokenRecord(piece, original or piece, original is not None, suspicion, gap)


def text(*records: TokenRecord, judged: bool = True, cut: int = 0) -> JudgedText:
    return JudgedText(list(records), [judged or record.replaced for record in records], cut)


def plain(*records: TokenRecord) -> str:
    return render_text(text(*records), colour=False).plain


def test_pieces_become_words_and_punctuation_keeps_its_place():
    pieces = [record("un", gap=False), record("##able", gap=False), record("cat"), record(".", gap=False)]
    assert plain(*pieces) == "unable cat."


@pytest.mark.parametrize(
    ("swap", "expected"),
    [
        (record("dog", "cat", 0.1), "a [cat→dog]"),
        (record("dog", "cat", 0.97), "a [cat→dog]?97%"),
        # The piece in place decides where a word ends, because that is the text that the discriminator reads.
        (record("##ing", "cat", 0.1), "a[cat→ing]"),
        (record("cat", "##ing", 0.1, gap=False), "a [ing→cat]"),
    ],
)
def test_a_swap_is_marked_without_colour(swap: TokenRecord, expected: str):
    assert plain(record("a"), swap) == expected


def test_a_suspected_original_is_marked_without_colour():
    assert plain(record("a", suspicion=0.49), record("cat", suspicion=0.5)) == "a cat?50%"


def test_other_tokenizers_mark_the_start_of_a_word():
    assert plain(record("▁un", gap=False), record("able", gap=False), record("▁cat")) == "unable cat"
    assert plain(record("Ġa"), record("able", "Ġcat")) == "a[cat→able]"


def test_with_colour_the_background_grows_with_suspicion_and_the_letters_stay_dark():
    def style(suspicion: float):
        (span,) = render_text(text(record("cat", suspicion=suspicion)), colour=True).spans or [None]
        return span and span.style

    assert style(0.1) is None
    backgrounds = {style(suspicion).bgcolor.name for suspicion in (0.3, 0.6, 0.95)}
    assert len(backgrounds) == 3
    assert all(style(suspicion).color.name == "#000000" for suspicion in (0.3, 0.6, 0.95))


def test_with_colour_the_original_is_struck_out():
    shown = render_text(text(record("dog", "cat", 0.95)), colour=True)
    assert shown.plain == "[cat→dog]"
    assert [shown.plain[span.start : span.end] for span in shown.spans if span.style.strike] == ["cat"]


def test_score_counts_swaps_found_and_false_alarms():
    records = [record("a", "b", 0.9), record("c", "d", 0.1), record("e", suspicion=0.8), record("f")]
    assert score([text(*records)]) == "1 of 2 swaps suspected, 1 false alarm in 2 other tokens"
    assert score([text(*records)], 0.85) == "1 of 2 swaps suspected, 0 false alarms in 2 other tokens"
    assert score([text(*records[2:])]) == "1 of 2 tokens suspected"


def test_what_could_not_be_judged_is_neither_shown_nor_counted():
    records = [record("dog", "cat", 0.9), record("mat", suspicion=0.8)]
    assert score([text(*records, judged=False)]) == "1 of 1 swaps suspected, 0 false alarms in 0 other masked tokens"
    console = Console(file=io.StringIO(), width=100)
    render([text(*records, judged=False, cut=7)], console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[cat→dog]?90% mat\n" in output
    assert "7 tokens at the end of this text were left out" in output


def printed(console_options: dict) -> str:
    console = Console(file=io.StringIO(), width=100, **console_options)
    render([text(record("a"), record("dog", "cat", 0.97)), text(record("mat"))], console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_render_in_a_pipe_has_no_escape_codes_and_explains_its_marks():
    output = printed({"force_terminal": False})
    assert "\x1b" not in output
    assert "[original→replacement]" in output
    assert "word?97%" in output
    assert "a [cat→dog]?97%" in output
    assert "All 2 texts: 1 of 1 swaps suspected, 0 false alarms in 2 other tokens" in output


def test_a_long_text_is_wrapped_under_its_own_beginning():
    console = Console(file=io.StringIO(), width=24)
    render([text(*(record("cat") for _ in range(8)))], console)
    lines = [line for line in console.file.getvalue().splitlines() if "cat" in line]  # type: ignore[attr-defined]
    assert lines == [" 1  cat cat cat cat cat", "    cat cat cat"]


def test_only_the_margin_is_dim():
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system="truecolor")
    render([text(record("cat", suspicion=0.1))], console)
    assert "\x1b[2m 1  \x1b[0mcat" in console.file.getvalue()  # type: ignore[attr-defined]


def test_render_honours_no_color():
    options = {"force_terminal": True, "color_system": "truecolor"}
    assert "48;2;" in printed(options)
    output = printed({**options, "no_color": True})
    assert "48;2;" not in output
    assert "?97%" in output
