"""What is known of the tokens of a text, and words that people can read. Loads no models: showing needs none."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

# A token is suspected from here on: the discriminator gives "replaced" the better odds.
SUSPECTED = 0.5
# How tokenizers mark that a new word starts (SentencePiece, byte-level BPE) or that one goes on (WordPiece).
WORD_STARTS = ("▁", "Ġ")
CONTINUATION = "##"


@dataclass(frozen=True)
class TokenRecord:
    """One token of a text after corruption, and what the discriminator thinks of it."""

    piece: str  # as the vocabulary writes it
    original: str
    replaced: bool
    suspicion: float  # probability of "replaced", 0..1
    gap: bool  # whether the source has white space before this token


@dataclass(frozen=True)
class JudgedText:
    """What a discriminator thinks of a text, special tokens left out.

    Attributes:
        records: Its tokens.
        judged: For each, whether the discriminator has learnt to judge a token in such a place.
        cut: Tokens at the end of the text that were left out.
        energies: Of Electric: minus the log-likelihood of each token given all others, in nats, as far as learnt.
    """

    records: list[TokenRecord]
    judged: list[bool]
    cut: int
    energies: list[float] | None = None


@dataclass(frozen=True)
class Tally:
    """How a discriminator did: swaps that it found and missed, and suspicions without cause among other tokens."""

    found: int
    missed: int
    false_alarms: int
    others: int

    @property
    def swaps(self) -> int:
        """Swaps there were."""
        return self.found + self.missed


def tally(texts: Sequence[JudgedText], threshold: float = SUSPECTED) -> Tally:
    """Count over texts; what could not be judged is left out.

    >>> records = [TokenRecord("a", "b", True, 0.9, True), TokenRecord("c", "c", False, 0.2, True)]
    >>> tally([JudgedText(records, [True, True], 0)])
    Tally(found=1, missed=0, false_alarms=0, others=1)
    """
    pairs = [pair for text in texts for pair in zip(text.records, text.judged, strict=True)]
    seen = [(record.replaced, record.suspicion >= threshold) for record, judged in pairs if judged]
    swaps = [suspected for replaced, suspected in seen if replaced]
    others = [suspected for replaced, suspected in seen if not replaced]
    return Tally(sum(swaps), len(swaps) - sum(swaps), sum(others), len(others))


def is_joined(record: TokenRecord) -> bool:
    """Whether a token continues the word before it. The piece in place decides, as it is what the model reads."""
    if record.piece.startswith(WORD_STARTS):
        return False
    if record.piece.startswith(CONTINUATION) or record.original.startswith(WORD_STARTS):
        return True
    return not record.gap and not record.original.startswith(CONTINUATION)


def readable(piece: str, *, byte_level: bool = False) -> str:
    """A piece without the marks of its tokenizer.

    Args:
        piece: As the vocabulary writes it.
        byte_level: Whether its letters stand for bytes; what is no whole letter becomes `�`.

    >>> readable("##ing"), readable("▁Paris"), readable("ĠcafÃ©", byte_level=True)
    ('ing', 'Paris', 'café')
    """
    bare = piece
    if byte_level and all(letter in _bytes_of_letters() for letter in piece):
        bare = bytes(_bytes_of_letters()[letter] for letter in piece).decode(errors="replace")
    return bare.removeprefix(CONTINUATION).lstrip("".join(WORD_STARTS) + " ") or bare


@cache
def _bytes_of_letters() -> dict[str, int]:
    """The alphabet of byte-level BPE: printable bytes are themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
