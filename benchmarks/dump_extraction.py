"""Dumps to text: how fast next to WikiExtractor, how much text is left, and how much markup with it.

    python benchmarks/dump_extraction.py DUMP --wikiextractor /path/to/venv/bin/python --rounds 7 --json results.json
    python benchmarks/dump_extraction.py --leftovers DUMP [DUMP ...]

The first form extracts an uncompressed copy of the dump, its pages repeated, with this package in one process, with
WikiExtractor's default settings, and with its `--no-templates`, each of these with one extraction process (it reads
and writes in two more). Every run is a process of its own that starts Python, reads the file and writes the text;
rounds are interleaved, and the figure to quote is the ratio of the medians. WikiExtractor 3.0.6 needs Python 3.10 or
older.

The second form counts what looks like markup in the text of every article, shows the lines, and shows random lines to
be read by a person. The exit code is 1 if anything was found.
"""

import argparse
import json
import logging
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from electra_hf.corpora.decoding import text_chunks
from electra_hf.corpora.wikidump import PageConverter, dump_pages, read_articles

LEFTOVERS = {
    "braces": r"\{\{|\}\}|\{\||\|\}",
    "brackets": r"\[\[|\]\]|\[//|\[https?:",
    "quotes": r"''",
    "tag": r"</?(?:ref|br|b|i|u|s|p|div|span|small|big|sub|sup|nowiki|gallery|math|code|table|t[rdh]|center|font|"
    r"blockquote|poem|li|[uo]l|hr|references|includeonly|noinclude|onlyinclude|section|ruby|rt|score|pre)\b[^<>]*/?>",
    "comment": r"<!--|-->",
    "entity": r"&(?:[a-zA-Z]{2,10}|#\d+|#x[0-9a-fA-F]+);",
    "url": r"https?:/|ftp://|\bwww\.\S+/",
    "table row": r"^\s*[|!]|\|-|\|\||\b(?:col|row)span\s*=|\b(?:style|class|align|valign|bgcolor)\s*=\s*\"",
    "list mark": r"^\s*[*#:;]",
    "heading": r"==",
    "file": r"\b(?:File|Image|Category|Datei|Bild|Kategorie|Fichier|Файл|Категория|Fails|Kategoreja):|ファイル:|"
    r"^thumb$|\bthumb\||\|thumb|\d+px\b",
    "magic word": r"__[A-Z]{3,}__",
    "variant": r"-\{|\}-",
    "parameter": r"\{\{\{|\}\}\}|\{\}",
    "empty brackets": r"\(\s*[,;:]?\s*\)|（\s*）|\(\s*[,;]|\[\s*\]",
    "invisible": "[\u00ad\u200b\ufeff]",
    "spaces": r"  | ,(?:\s|$)",
}
_ANY_LEFTOVER = re.compile("|".join(f"(?P<_{index}>{pattern})" for index, pattern in enumerate(LEFTOVERS.values())))


def find_leftovers(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What looks like markup, as its kind and the place in the line where it is."""
    kinds = list(LEFTOVERS)
    for line in lines:
        for found in _ANY_LEFTOVER.finditer(line):
            kind = kinds[int((found.lastgroup or "_0")[1:])]
            yield kind, line[max(found.start() - 60, 0) : found.end() + 60]


def show_leftovers(dumps: list[Path], sample: int) -> int:
    total = 0
    for dump in dumps:
        texts = [article.text for article in read_articles(dump)]
        lines = [line for text in texts for line in text.split("\n") if line]
        found = list(find_leftovers(lines))
        total += len(found)
        characters = sum(map(len, texts))
        print(f"{dump.name}: {len(texts)} articles, {characters:,} characters, {len(lines):,} lines")
        print(f"  {len(found)} leftovers")
        for kind, place in found[:100]:
            print(f"  {kind:<15}{place}")
        for line in random.Random(0).sample(lines, min(sample, len(lines))):
            print(f"    | {line}")
    return 1 if total else 0


def extract(dump: Path, output: Path) -> None:
    """What a timed process of this package does."""
    convert = PageConverter(dump.name)
    with output.open("w", encoding="utf-8") as file:
        for page in dump_pages(dump):
            for text in convert(page):
                file.write(text + "\n\n")


def write_copies(dump: Path, output: Path, copies: int) -> None:
    """Write the dump as plain UTF-8 with all its pages several times, so that starting Python hardly counts."""
    text = "".join(text_chunks(dump, "utf-8", "strict"))
    head, begin, rest = text.partition("<page>")
    pages, _, tail = rest.rpartition("</page>")
    body = "\n  ".join([f"{begin}{pages}</page>"] * copies)
    output.write_text(f"{head}{body}{tail}", encoding="utf-8")


def compare_speed(options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        dump, ours = Path(folder, "dump.xml"), Path(folder, "ours.txt")
        write_copies(options.dump, dump, options.copies)
        commands: dict[str, list[str]] = {
            "electra_hf": [sys.executable, __file__, "--extract", str(dump), str(ours)],
        }
        if options.wikiextractor:
            base = [options.wikiextractor, "-m", "wikiextractor.WikiExtractor", "-q", "--processes", "1", str(dump)]
            commands["wikiextractor"] = [*base, "-o", str(Path(folder, "default"))]
            commands["wikiextractor --no-templates"] = [*base, "--no-templates", "-o", str(Path(folder, "plain"))]
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(options.rounds + 1):  # the first round warms the caches
            for name, command in commands.items():
                start = time.perf_counter()
                subprocess.run(command, check=True, cwd=folder, stderr=subprocess.DEVNULL)
                if number:
                    seconds[name].append(time.perf_counter() - start)
        size = dump.stat().st_size
        characters = {"electra_hf": len(ours.read_text(encoding="utf-8"))}
        for name, outputs in (("wikiextractor", "default"), ("wikiextractor --no-templates", "plain")):
            if name in commands:
                characters[name] = sum(map(_text_characters, sorted(Path(folder, outputs).rglob("wiki_*"))))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{options.dump.name}, its pages {options.copies} times: {size / 1e6:,.1f} MB")
    for name, median in medians.items():
        low, high = min(seconds[name]), max(seconds[name])
        print(
            f"{name:<30}{median:8.2f} s  ({low:.2f} to {high:.2f}) {size / median / 1e6:8.1f} MB/s "
            f"{characters[name] / options.copies:12,.0f} characters"
        )
    ratios = {name: median / medians["electra_hf"] for name, median in medians.items() if name != "electra_hf"}
    for name, ratio in ratios.items():
        print(f"{name} takes {ratio:.2f} times as long")
    return {
        "dump": options.dump.name,
        "bytes": size,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "rounds": options.rounds,
        "seconds": seconds,
        "medians": medians,
        "ratios_of_medians": ratios,
        "characters_of_one_copy": {name: count / options.copies for name, count in characters.items()},
    }


def _text_characters(path: Path) -> int:
    """Characters of an output file of WikiExtractor without the tags around documents."""
    return len(re.sub(r"<doc [^>]*>\n|</doc>\n?", "", path.read_text(encoding="utf-8")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", type=Path, nargs="?", help="the dump to time")
    parser.add_argument("--wikiextractor", help="Python of an environment that has wikiextractor")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side")
    parser.add_argument("--copies", type=int, default=10, help="how often the pages of the dump are repeated")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--leftovers", type=Path, nargs="+", metavar="DUMP", help="count markup that was left over")
    parser.add_argument("--sample", type=int, default=0, help="with --leftovers: show as many random lines")
    parser.add_argument("--extract", type=Path, nargs=2, metavar=("DUMP", "OUTPUT"), help="only extract, into a file")
    options = parser.parse_args()
    if options.leftovers:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        return show_leftovers(options.leftovers, options.sample)
    if options.extract:
        extract(*options.extract)
        return 0
    if options.dump is None:
        parser.error("name a dump, or use --leftovers")
    result = compare_speed(options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
