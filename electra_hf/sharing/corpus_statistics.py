"""What a prepared corpus is like: a table for the terminal, and the lengths of its documents as a picture.

Both are drawn from the manifest of a prepared folder alone (electra_hf.tokens.preparation).
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from electra_hf.sharing.curves import BLUE, GREY, GRID, INK

_SHOWN_CHARACTERS = 12


def corpus_table(manifest: Mapping[str, Any], title: str) -> Table:
    """Documents, characters, tokens and blocks with their meaning, and what the tokenizer does not know.

    Args:
        manifest: Of a prepared folder.
        title: The line above the table.
    """
    counts = manifest["counts"]
    documents, tokens, blocks = counts["documents"], counts["tokens"], counts["blocks"]
    length = manifest["settings"]["packing"]["max_seq_length"]
    rows = [
        ("documents", f"{documents:,}", f"{_ratio(counts['characters'], documents):,.0f} characters each"),
        ("characters", f"{counts['characters']:,}", f"{_ratio(counts['characters'], tokens):.2f} a token"),
        ("megabytes", f"{counts['bytes'] / 1e6:,.1f}", "of the text in UTF-8"),
        ("tokens", f"{tokens:,}", "of the text, without special tokens"),
        ("unknown tokens", f"{_ratio(counts['unknown_tokens'], tokens):.3%}", _unknown(manifest)),
        ("blocks", f"{blocks:,}", f"of {length} tokens"),
        ("full blocks", f"{_ratio(counts['full_blocks'], blocks):.1%}", "without padding"),
        ("padding", f"{1 - _ratio(counts['block_tokens'], blocks * length):.1%}", "of all positions"),
    ]
    if "pairs" in manifest:
        pairs = manifest["pairs"]
        labelled = pairs["label_0"] + pairs["label_1"]
        rows.append(("pairs", f"{labelled:,}", f"{_ratio(pairs['label_0'], labelled):.1%} in order (label 0)"))
    if counts["skipped_records"]:
        rows.insert(1, ("left out", f"{counts['skipped_records']:,}", "records that could not be read as text"))
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True, style="bold")
    table.add_column("meaning", style="dim")
    for row in rows:
        table.add_row(*row)
    return table


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _unknown(manifest: Mapping[str, Any]) -> str:
    counts = manifest["statistics"]["unknown_characters"]
    ranked = sorted(counts, key=lambda character: (-counts[character], character))  # JSON keeps no ranking
    shown = [_readable(character) for character in ranked[:_SHOWN_CHARACTERS]]
    return "most often for " + " ".join(shown) if shown else ""


def _readable(character: str) -> str:
    """The character itself if a terminal shows something for it, else its code point."""
    return character if unicodedata.category(character)[0] in "LNPS" else f"U+{ord(character):04X}"


def plot_document_lengths(manifest: Mapping[str, Any], path: str | Path, title: str) -> Path:
    """Draw how many documents there are of each length, and the length of a block among them.

    Args:
        manifest: Of a prepared folder.
        path: The PNG to write.
        title: What the picture calls the corpus.
    """
    lengths = {int(bits): documents for bits, documents in manifest["statistics"]["document_lengths"].items()}
    block = int(manifest["settings"]["packing"]["max_seq_length"])
    first, last = min(lengths), max(lengths)
    bits = range(first, last + 1)
    figure = Figure(figsize=(7.0, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.bar(list(bits), [lengths.get(bit, 0) for bit in bits], width=0.86, color=BLUE)
    axes.set_xticks(list(bits), [_range_label(bit) for bit in bits], rotation=45, ha="right", fontsize=8)
    axes.set_ylabel("documents", color=INK)
    axes.set_xlabel("tokens in a document", color=INK)
    axes.set_title(f"{title}: {sum(lengths.values()):,} documents", loc="left", color=INK, fontsize=11)
    axes.yaxis.grid(color=GRID)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if first <= block.bit_length() <= last:
        axes.axvline(block.bit_length() - 0.5, color=GREY, linewidth=1, linestyle="--")
        axes.annotate(
            f"a block: {block}",
            (block.bit_length() - 0.5, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            color=GREY,
            fontsize=8,
            va="top",
        )
    path = Path(path)
    figure.savefig(path)
    return path


def _range_label(bits: int) -> str:
    """
    >>> [_range_label(bits) for bits in (0, 1, 5, 12)]
    ['0', '1', '16–31', '2,048–4,095']
    """
    if bits < 2:
        return str(bits)
    return f"{2 ** (bits - 1):,}–{2**bits - 1:,}"
