"""Does an imported vocabulary encode as its own library does? Every line is encoded by both, and compared.

    python benchmarks/tokenizer_import.py --models sp/unigram.model sp/bpe.model --vocabularies cased/vocab.txt:cased \
        --text wiki/ko wiki/ja wiki/en --lines 10000 --json results.json

A `.model` is compared with the `sentencepiece` package; a `vocab.txt` (with `:cased` or `:uncased`) with
transformers' BertTokenizer, and with a plain Python WordPiece written down here from its description. Of each folder
of text an equal share of the lines is taken, at equal distances. Lines that differ are sorted by cause: a special
token or symbol that is spelt out in the text (it stays text here), two segmentations with the same score up to
rounding (SentencePiece adds in 32 bits), and `unexplained`.
"""

import argparse
import json
import math
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer
from transformers import BertTokenizer

from electra_hf.tokens.tokenizers import backend_json, load_tokenizer
from electra_hf.tokens.tokenizers.sentencepiece_models import CONTROL, UNIGRAM_MODEL, USER_DEFINED, read_model

SAME_SCORE = 1e-6  # relative: a sum of 32-bit numbers has about seven digits


def read_lines(folder: Path, count: int) -> list[str]:
    """`count` lines of all files below a folder, at equal distances, without blank ones."""
    files = sorted(path for path in [folder, *folder.rglob("*")] if path.is_file())
    lines = [line for file in files for line in file.read_text("utf-8", "replace").split("\n") if line.strip()]
    return lines[:: max(1, len(lines) // count)][:count]


def encoder(path: Path, lowercase: bool | None) -> Callable[[str], list[int]]:
    backend = Tokenizer.from_str(backend_json(load_tokenizer(path, lowercase=lowercase)))
    backend.encode_special_tokens = True
    return lambda line: backend.encode(line, add_special_tokens=False).ids


def compare_model(path: Path, lines: list[str]) -> tuple[Counter[str], list[str]]:
    ours = encoder(path, None)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    model = read_model(path)
    symbols = [piece.piece for piece in model.pieces if piece.type in (CONTROL, USER_DEFINED)]
    unigram = model.trainer_spec.model_type == UNIGRAM_MODEL
    lowest = min(piece.score for piece in model.pieces)

    def score(ids: list[int]) -> float:
        unknown = lowest - 10
        return sum(unknown if theirs.is_unknown(number) else model.pieces[number].score for number in ids)

    causes: Counter[str] = Counter()
    examples = []
    for line in lines:
        a, b = ours(line), theirs.encode(line)
        if a == b:
            continue
        if any(symbol in line for symbol in symbols):
            causes["symbol in the text"] += 1
        elif unigram and math.isclose(score(a), score(b), rel_tol=SAME_SCORE):
            causes["same score"] += 1
        else:
            causes["unexplained"] += 1
            examples.append(line)
    return causes, examples


def wordpiece(line: str, vocabulary: dict[str, int], lowercase: bool) -> Iterator[int]:
    """BERT's tokenization, as its paper's code describes it."""
    cleaned = []
    for character in line:
        category = unicodedata.category(character)
        if character in "\t\n\r" or category == "Zs":
            cleaned.append(" ")
        elif character in "\0\ufffd" or category[0] == "C":
            continue
        elif is_chinese(ord(character)):
            cleaned.append(f" {character} ")
        else:
            cleaned.append(character)
    text = "".join(cleaned)
    if lowercase:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn").lower()
    words = "".join(f" {c} " if is_punctuation(c) else c for c in text).split()
    for word in words:
        yield from longest_first(word, vocabulary)


def longest_first(word: str, vocabulary: dict[str, int]) -> list[int]:
    found: list[int] = []
    start = 0
    while start < len(word) <= 100:
        prefix = "##" if start else ""
        stop = next((s for s in range(len(word), start, -1) if prefix + word[start:s] in vocabulary), start)
        if stop == start:
            return [vocabulary["[UNK]"]]
        found.append(vocabulary[prefix + word[start:stop]])
        start = stop
    return found or [vocabulary["[UNK]"]]


def is_chinese(point: int) -> bool:
    ranges = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2CEAF), (0xF900, 0xFAFF))
    return any(a <= point <= b for a, b in (*ranges, (0x2F800, 0x2FA1F)))


def is_punctuation(character: str) -> bool:
    ascii_symbol = character < "\x7f" and not character.isalnum() and not character.isspace()
    return ascii_symbol or unicodedata.category(character)[0] == "P"


def compare_vocabulary(path: Path, lowercase: bool, lines: list[str]) -> tuple[Counter[str], list[str]]:
    ours = encoder(path, lowercase)
    vocabulary = {token: number for number, token in enumerate(path.read_bytes().decode().split("\n")) if token}
    theirs = BertTokenizer(vocab=vocabulary, do_lower_case=lowercase)
    causes: Counter[str] = Counter()
    examples = []
    for line in lines:
        a = ours(line)
        spelt_out = any(token in line for token in theirs.all_special_tokens)
        if a != theirs.encode(line, add_special_tokens=False):
            causes["symbol in the text" if spelt_out else "unexplained"] += 1
        if a != list(wordpiece(line, vocabulary, lowercase)):
            causes["unlike the plain WordPiece"] += 1
            examples.append(line)
    return causes, examples


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare imported vocabularies with their own libraries.")
    parser.add_argument("--models", nargs="*", default=[], type=Path)
    parser.add_argument("--vocabularies", nargs="*", default=[], metavar="FILE:cased|uncased")
    parser.add_argument("--text", nargs="+", required=True, type=Path, help="folders or files")
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = [line for folder in options.text for line in read_lines(folder, options.lines // len(options.text) + 1)]
    results = []
    print(f"{len(lines)} lines, {sum(map(len, lines)):,} characters")
    jobs = [(path, None) for path in options.models]
    jobs += [(Path(item.rpartition(":")[0]), item.endswith(":uncased")) for item in options.vocabularies]
    for path, lowercase in jobs:
        start = time.perf_counter()
        compared = compare_model(path, lines) if lowercase is None else compare_vocabulary(path, lowercase, lines)
        causes, examples = compared
        seconds = time.perf_counter() - start
        name = f"{path.parent.name}/{path.name}"
        results.append({"name": name, "lines": len(lines), "differences": dict(causes), "examples": examples[:5]})
        print(f"{name:<45} {causes.total():>6} differ  {dict(causes)}  ({seconds:.0f} s)")
        for example in examples[:3]:
            print(f"    {example[:100]!r}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
