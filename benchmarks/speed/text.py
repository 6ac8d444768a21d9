"""Real text as packed blocks and as padded rows: the same documents for both, prepared once in a process of its own.

    python -m speed.text FOLDER --length 128 --tokenizer_vocab_size 30522

Packed are the blocks of `electra-hf prepare` with full packing; the baseline gets the very same rows. A padded row is,
with `--padded_rows documents`, as many whole lines of one document as fit (a longer line is divided), and with `lines`
what `run_mlm.py --line_by_line` makes: one line, cut at the length. A batch is padded to its longest row.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from electra_hf.corpora import Corpus, Limited, LocalFiles
from electra_hf.corpora.python_docs import PythonDocs
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.tokenizers import load_tokenizer, train_tokenizer


class UnpaddedRows(Dataset):
    """Rows of unequal length.

    Args:
        ids: All rows after each other.
        stops: Where each row ends.
    """

    def __init__(self, ids: np.ndarray, stops: np.ndarray):
        self.ids, self.stops = ids, stops
        self.starts = np.concatenate([[0], stops[:-1]])

    def __len__(self) -> int:
        return len(self.stops)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {"input_ids": self.ids[self.starts[index] : self.stops[index]]}

    def select(self, count: int) -> "UnpaddedRows":
        """At most `count` rows, evenly spread, as `BlockDataset.select`."""
        count = min(count, len(self))
        chosen = np.arange(count) * len(self) // count
        selected = UnpaddedRows(self.ids, self.stops[chosen])
        selected.starts = self.starts[chosen]
        return selected


def prepare_text(folder: Path, corpus: Corpus, length: int, vocab_size: int, padded_rows: str) -> None:
    """Write the tokenizer, the blocks and the rows; what is there already stays.

    Args:
        folder: Where to; one for each corpus, vocabulary and kind of padded rows.
        corpus: The text.
        length: Tokens of a row.
        vocab_size: Tokens of the tokenizer; what the text does not yield is filled up.
        padded_rows: "documents" or "lines".
    """
    tokenizer_folder = folder / "tokenizer"
    if not tokenizer_folder.exists():
        train_tokenizer(
            corpus.documents(), vocab_size=vocab_size, pad_to_multiple_of=1, show_progress=False
        ).save_pretrained(tokenizer_folder)
    tokenizer = load_tokenizer(str(tokenizer_folder))
    settings = PackingSettings(packing="full", max_seq_length=length)
    prepare(corpus, tokenizer, folder / f"blocks-{length}", settings, progress=False)
    rows: list[list[int]] = []
    for document in corpus.documents():
        lines = [line for line in document.splitlines() if line.strip()]
        if lines:
            encoded = tokenizer(lines, add_special_tokens=False, verbose=False)["input_ids"]
            rows += divide(encoded, length - 2, join=padded_rows == "documents")
    ids = [[tokenizer.cls_token_id, *row, tokenizer.sep_token_id] for row in rows]
    stops = np.cumsum([len(row) for row in ids])
    np.savez(folder / f"rows-{length}.npz", ids=np.concatenate(ids).astype(np.int64), stops=stops)


def divide(lines: list[list[int]], room: int, *, join: bool) -> list[list[int]]:
    """Rows of at most `room` ids: lines cut there, or as many whole lines of the document as fit, long ones in pieces.

    Args:
        lines: Ids of each line of a document.
        room: Ids of a row at most.
        join: Put several lines into a row.
    """
    if not join:
        return [line[:room] for line in lines if line]
    rows: list[list[int]] = []
    for line in lines:
        for start in range(0, len(line), room):
            piece = line[start : start + room]
            if rows and len(rows[-1]) + len(piece) <= room:
                rows[-1] = rows[-1] + piece
            else:
                rows.append(piece)
    return rows


def open_text(
    folder: Path, data: str, length: int, rows: int
) -> tuple[PreTrainedTokenizerBase, BlockDataset | UnpaddedRows]:
    """What `prepare_text` wrote.

    Args:
        folder: Where it is.
        data: "packed" for a `BlockDataset`, "padded" for `UnpaddedRows`.
        length: Tokens of a row.
        rows: At most so many rows, evenly spread.
    """
    tokenizer = load_tokenizer(str(folder / "tokenizer"))
    if data == "packed":
        return tokenizer, BlockDataset(folder / f"blocks-{length}").select(rows)
    with np.load(folder / f"rows-{length}.npz") as arrays:
        return tokenizer, UnpaddedRows(arrays["ids"], arrays["stops"]).select(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare the text of the speed benchmarks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--length", type=int, nargs="+", required=True)
    parser.add_argument("--tokenizer_vocab_size", type=int, required=True)
    parser.add_argument("--text", nargs="*", default=[])
    parser.add_argument("--max_documents", type=int, required=True)
    parser.add_argument("--padded_rows", choices=["documents", "lines"], required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    corpus: Corpus = LocalFiles(options.text) if options.text else PythonDocs()
    corpus = Limited(corpus, options.max_documents)
    for length in options.length:
        prepare_text(options.folder, corpus, length, options.tokenizer_vocab_size, options.padded_rows)


if __name__ == "__main__":
    sys.exit(main())
