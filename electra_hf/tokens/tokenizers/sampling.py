"""A bounded sample of a corpus, the same one whatever order its documents come in."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator

from electra_hf.errors import TokenizerError

# A document longer than this is sampled line by line: a book is no better than its pages.
_LONG_DOCUMENT = 100_000
_WORD = 2**64 - 1


def sample_documents(documents: Iterable[str], max_characters: int, seed: int = 0) -> list[str]:
    """Keep as much text as fits, drawn by a hash of the seed and of the text itself.

    One pass, with the sample in memory and one document more. Texts are kept in the order of their hashes as long as
    their sum stays within the limit, so that neither the order of the documents nor who reads them matters.

    Args:
        documents: texts; those longer than 100,000 characters, or a hundredth of the limit, count as one text a line.
        max_characters: the most characters to keep.
        seed: another seed, another sample.

    Returns:
        The kept texts in the order of their hashes; all of them if they fit.

    Raises:
        TokenizerError: `max_characters` is less than 1, or so small that nothing fits.
    """
    if max_characters < 1:
        raise TokenizerError(
            f"a sample of {max_characters} characters: give at least 1, or 0 on the command line for all"
        )
    key = (seed & _WORD).to_bytes(8, "little")
    kept: list[tuple[int, str]] = []  # a heap with the largest hash in front
    characters = 0
    threshold = 2**64
    shortest = 0
    for text in _units(documents, min(_LONG_DOCUMENT, max(1, max_characters // 100))):
        shortest = min(shortest or len(text), len(text))
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
        drawn = int.from_bytes(digest, "little")
        if drawn >= threshold:
            continue
        heapq.heappush(kept, (-drawn, text))
        characters += len(text)
        while characters > max_characters:
            largest, removed = heapq.heappop(kept)
            characters -= len(removed)
            # Nothing above it may come in later, also where it would fit: that would depend on the order.
            threshold = min(threshold, -largest)
            while kept and kept[0][0] == largest:
                characters -= len(heapq.heappop(kept)[1])
    if shortest and not kept:
        raise TokenizerError(
            f"a sample of {max_characters} characters has no room for a text of this corpus: raise --sample_characters"
        )
    return [text for _, text in sorted(kept, reverse=True)]


def _units(documents: Iterable[str], longest: int) -> Iterator[str]:
    for document in documents:
        if len(document) <= longest:
            yield document
        else:
            yield from (line for line in document.split("\n") if line and not line.isspace())
