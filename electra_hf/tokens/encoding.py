"""Documents -> token ids, line by line, in batches that a tokenizer works through at full speed and in bounded memory.

A line is what the packers take for a sentence or a paragraph. Special tokens are the packers' business: none is added
here, and one that is spelt out in a text stays text if the backend's `encode_special_tokens` says so.
"""

from collections.abc import Callable, Iterable, Iterator

from tokenizers import Tokenizer

# One huge line costs several times the memory and time of the same text in pieces.
LONGEST_PIECE = 100_000
BATCH_CHARACTERS = 2**20


def encode_documents(
    backend: Tokenizer, documents: Iterable[str], watch: Callable[[str, list[int]], None] | None = None
) -> Iterator[list[list[int]]]:
    """Encode each line of each document, without special tokens; as many documents come out as went in.

    Args:
        backend: a tokenizer.
        documents: texts whose lines are sentences or paragraphs.
        watch: called with each line and its ids, if given; with each piece of a very long line.
    """
    document: list[list[int]] | None = None
    for batch in _batches(_pieces(documents)):
        encodings = backend.encode_batch_fast([text for text, _, _ in batch], add_special_tokens=False)
        for (text, new_line, new_document), encoding in zip(batch, encodings, strict=True):
            if new_document:
                if document is not None:
                    yield document
                document = []
            assert document is not None
            ids = encoding.ids
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
