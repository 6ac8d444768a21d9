"""Learn Unigram and BPE pieces with the `sentencepiece` library, the same ones on every run and machine."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from electra_hf.errors import TokenizerError
from electra_hf.tokens.encoding import cut_line
from electra_hf.tokens.tokenizers.sentencepiece_models import parse_model
from electra_hf.tokens.tokenizers.special import SPECIAL_TOKENS

BOUNDARY = "\ue000"  # between morphemes, for training only; for private use, so that no language needs it
NORMALIZATIONS = ("nmt_nfkc", "nfkc", "nfkc_cf", "identity")

_LONGEST_LINE = 1_000  # characters; SentencePiece would leave long lines out, and its time grows with their square
_THREADS = 8  # a fixed number, whatever the machine: sums are taken thread by thread
_TOO_SMALL = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")


def learn_pieces(
    lines: Iterable[str],
    kind: str,
    vocab_size: int,
    *,
    character_coverage: float,
    byte_fallback: bool = False,
    normalization: str = "identity",
    morphemes: bool = False,
) -> Any:
    """A trained model as sentencepiece's `ModelProto`, its special tokens at 0 to 4.

    Args:
        lines: the text; see `training_lines`. Holds `BOUNDARY` where no piece may cross, if `morphemes` is set.
        kind: `unigram` or `bpe`.
        vocab_size: the most tokens to learn, special ones and bytes included.
        character_coverage: share of the text whose characters become pieces.
        byte_fallback: have pieces for the 256 bytes, for characters without a piece.
        normalization: name of SentencePiece's character rules. With `identity`, spaces are left as they are too.
        morphemes: the lines hold boundaries.

    Raises:
        TokenizerError: there is no text, or `vocab_size` does not hold its characters.
    """
    import sentencepiece

    content = io.BytesIO()
    pad, unk, cls, sep, mask = SPECIAL_TOKENS
    try:
        sentencepiece.SentencePieceTrainer.train(  # pyright: ignore[reportAttributeAccessIssue]
            sentence_iterator=iter(lines),
            model_writer=content,
            model_type=kind,
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            character_coverage=character_coverage,
            byte_fallback=byte_fallback,
            normalization_rule_name=normalization,
            remove_extra_whitespaces=normalization != "identity",
            pretokenization_delimiter=BOUNDARY if morphemes else "",
            max_sentence_length=16 * _LONGEST_LINE,  # bytes, boundaries among them
            num_threads=_THREADS,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            pad_piece=pad,
            unk_piece=unk,
            bos_piece=cls,
            eos_piece=sep,
            control_symbols=[mask],
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error)
        if "sentences_.empty()" in reason or "all_chars_count" in reason:
            raise TokenizerError(
                "no text to learn a vocabulary from: the corpus is empty, give another one"
            ) from error
        smallest = _TOO_SMALL.search(reason)
        if smallest:
            raise TokenizerError(
                f"a vocabulary of {vocab_size} tokens cannot hold the special tokens and the characters of this "
                f"corpus: ask for at least {smallest[1]} tokens with --vocab_size, or lower --character_coverage"
            ) from error
        raise TokenizerError(f"SentencePiece cannot learn a vocabulary of {vocab_size} tokens: {reason}") from error
    return parse_model(content.getvalue(), "the trained model")


def training_lines(documents: Iterable[str]) -> Iterator[str]:
    """The lines of documents, in pieces of at most 1,000 characters, without blank ones."""
    for document in documents:
        for line in document.split("\n"):
            for piece in cut_line(line.strip(), _LONGEST_LINE):
                if piece and not piece.isspace():
                    yield piece
