"""Documents -> token ids, line by line, in batches that a tokenizer works through at full speed and in bounded memory.

A line is what the packers take for a sentence or a paragraph. Special tokens are the packers' business: none is added
here, and one that is spelt out in a text stays text.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import compress

from tokenizers import Tokenizer

# One huge line costs several times the memory and time of the same text in pieces.
LONGEST_PIECE = 100_000
BATCH_CHARACTERS = 2**20


class LineEncoder:
    """A private tokenizer that takes "[MASK]" in a text for the six characters that it is.

    BERT's normaliser is close to half the cost of a WordPiece, and all that it does to printable ASCII is to lower the
    case, if that: such lines are lowered here and go to a twin without it. The ids are the same.
    """

    def __init__(self, serialized: str) -> None:
        """Load the JSON of a `tokenizers` backend."""
        self.backend = _load(serialized)
        content = json.loads(serialized)
        normalizer = content["normalizer"]
        added_text = any(not token["special"] for token in content["added_tokens"])
        self._ascii_twin: Tokenizer | None = None
        if normalizer is not None and normalizer["type"] == "BertNormalizer" and not added_text:
            self._lowercase = bool(normalizer["lowercase"])
            self._ascii_twin = _load(json.dumps(content | {"normalizer": None}))

    def encode(self, lines: list[str]) -> list[list[int]]:
        """The ids of each line, without special tokens."""
        twin = self._ascii_twin
        if twin is None:
            return _ids(self.backend, lines)
        plain = [line.isascii() and line.isprintable() for line in lines]
        ascii_lines = list(compress(lines, plain))
        if self._lowercase:
            ascii_lines = [line.lower() for line in ascii_lines]
        of_twin = iter(_ids(twin, ascii_lines))
        of_backend = iter(
            _ids(self.backend, [line for line, is_plain in zip(lines, plain, strict=True) if not is_plain])
        )
        return [next(of_twin if is_plain else of_backend) for is_plain in plain]


def _load(serialized: str) -> Tokenizer:
    backend = Tokenizer.from_str(serialized)
    backend.encode_special_tokens = True
    return backend


def _ids(backend: Tokenizer, lines: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in backend.encode_batch_fast(lines, add_special_tokens=False)]


def encode_documents(
    encoder: LineEncoder, documents: Iterable[str], watch: Callable[[str, list[int]], None] | None = None
) -> Iterator[list[list[int]]]:
    """Encode each line of each document, without special tokens; as many documents come out as went in.

    Args:
        encoder: the tokenizer.
        documents: texts whose lines are sentences or paragraphs.
        watch: called with each line and its ids, if given; with each piece of a very long line.
    """
    document: list[list[int]] | None = None
    for batch in _batches(_pieces(documents)):
        encoded = encoder.encode([text for text, _, _ in batch])
        for (text, new_line, new_document), ids in zip(batch, encoded, strict=True):
            if new_document:
                if document is not None:
                    yield document
                document = []
            assert document is not None
            if watch is not None:
                watch(text, ids)
            if new_line:
                document.append(ids)
            else:
                document[-1].extend(ids)
    if document is not None:
        yield document


def _pieces(documents: Iterable[str]) -> Iterator[tuple[str, bool, bool]]:
    """(text, starts a line, starts a document); a document without text is one empty piece."""
    for document in documents:
        new_document = True
        for line in document.split("\n"):
            line = line.strip()
            if not line:
                continue
            new_line = True
            for piece in cut_line(line):
                yield piece, new_line, new_document
                new_line = new_document = False
        if new_document:
            yield "", True, True


def cut_line(line: str, longest: int = LONGEST_PIECE) -> Iterator[str]:
    """Cut a line into pieces of at most `longest` characters, before white space where there is some."""
    start = 0
    while len(line) - start > longest:
        # The space stays in front of its word, where byte-level and SentencePiece tokenizers want it.
        stop = next((at for at in range(start + longest, start, -1) if line[at].isspace()), start + longest)
        yield line[start:stop]
        start = stop
    yield line[start:]


def _batches(pieces: Iterable[tuple[str, bool, bool]]) -> Iterator[list[tuple[str, bool, bool]]]:
    batch: list[tuple[str, bool, bool]] = []
    characters = 0
    for piece in pieces:
        batch.append(piece)
        characters += len(piece[0])
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
