"""Scores of types over seeds, as tables."""

import io
import statistics

from rich.console import Console

from electra_hf.sharing.tagging import types_markdown, types_table

TYPES = {
    "LOC|x": {"precision": [0.5, 0.7, 0.6], "recall": [0.4] * 3, "f1": [0.41, 0.44, 0.46], "number": [12.0] * 3},
    "PER[b]": {"precision": [1.0] * 3, "recall": [0.9] * 3, "f1": [0.9, 0.95, 0.97], "number": [1234.0] * 3},
}


def printed(table) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_medians_and_spread_the_commonest_type_first():
    lines = types_markdown(TYPES).splitlines()
    assert lines[0] == "| type | number | precision | recall | F1 | F1, mean ± std |"
    spread = f"{94:.2f} ± {statistics.stdev([90, 95, 97]):.2f}"
    assert lines[2] == f"| PER[b] | 1,234 | 100.00 | 90.00 | 95.00 | {spread} |"
    assert lines[3].startswith(r"| LOC\|x | 12 | 60.00 | 40.00 | 44.00 | 43.67 ± ")
    assert lines[-1] == "Number: those of the data; medians of 3 seeds."


def test_the_terminal_shows_the_same():
    text = printed(types_table(TYPES, title="ner [1], test"))
    assert "ner [1], test" in text and "PER[b]" in text and "LOC|x" in text
    assert text.index("PER[b]") < text.index("LOC|x")
    for cell in ("1,234", "95.00", "94.00 ± 3.61", "43.67 ± 2.52"):
        assert cell in text


def test_one_seed_has_no_spread():
    one = {name: {score: values[:1] for score, values in scores.items()} for name, scores in TYPES.items()}
    assert "±" not in types_markdown(one) + printed(types_table(one))


def test_no_types_at_all():
    assert types_markdown({}) == ""
    assert "no types" in printed(types_table({}))
