"""Train a WordPiece vocabulary; the same text gives the same tokens and ids, whatever the run and the machine.

The WordPiece trainer of `tokenizers` numbers its alphabet in the order of a hash map, and breaks ties between equally
frequent pairs by those numbers: two runs give other ids, and now and then other tokens. Here a first pass collects the
alphabet, and the second one gets it in a fixed order.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer
from transformers import BertTokenizer

from electra_hf.errors import TokenizerError, explain_os_error
from electra_hf.tokens.tokenizers.special import SPECIAL_TOKENS

logger = logging.getLogger(__name__)

CONTINUING = "##"


def train_wordpiece(
    documents: Iterable[str],
    vocab_size: int,
    *,
    lowercase: bool = True,
    strip_accents: bool = False,
    min_frequency: int = 2,
    limit_alphabet: int = 6000,
    max_length: int = 512,
    show_progress: bool = True,
) -> BertTokenizer:
    """Learn a WordPiece vocabulary; the same documents give the same ids on every run and machine.

    Accents stay by default: the BERT default (strip them with `lowercase`) turns Japanese が into か and takes Korean
    syllables apart.

    Args:
        documents: the text, read twice; an iterator is kept in a temporary file in between.
        vocab_size: number of tokens, with the five special ones ([PAD]=0 [UNK]=1 [CLS]=2 [SEP]=3 [MASK]=4).
        lowercase: fold upper case.
        strip_accents: take the accents off letters.
        min_frequency: a pair seen less often is not merged.
        limit_alphabet: keep this many of the most frequent characters; the rest becomes [UNK].
        max_length: the tokenizer's `model_max_length`.
        show_progress: show the bars of the `tokenizers` library.

    Returns:
        A tokenizer that encodes as [CLS] A [SEP] B [SEP]. A small corpus can yield fewer tokens than asked for, which
        is logged.

    Raises:
        TokenizerError: there is no text, `vocab_size` does not hold the alphabet, or the temporary file cannot be
            written.
    """
    normalizer = BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    vocabulary = learn_wordpiece(
        documents,
        vocab_size,
        normalizer,
        min_frequency=min_frequency,
        limit_alphabet=limit_alphabet,
        show_progress=show_progress,
    )
    if len(vocabulary) < vocab_size:
        logger.warning("The corpus yields %d tokens; %d were asked for.", len(vocabulary), vocab_size)
    return BertTokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)},
        do_lower_case=lowercase,
        strip_accents=strip_accents,
        model_max_length=max_length,
    )


def learn_wordpiece(
    documents: Iterable[str],
    vocab_size: int,
    normalizer: BertNormalizer,
    *,
    min_frequency: int = 2,
    limit_alphabet: int = 6000,
    show_progress: bool = True,
) -> list[str]:
    """The tokens that `train_wordpiece` learns, special ones first, in the order of their ids.

    Raises:
        TokenizerError: as `train_wordpiece`.
    """
    if iter(documents) is not documents:
        return _learn(documents, vocab_size, normalizer, min_frequency, limit_alphabet, show_progress)
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", newline="\n") as spool:
            for document in documents:
                spool.write(document + "\n")
            return _learn(_Lines(spool), vocab_size, normalizer, min_frequency, limit_alphabet, show_progress)
    except OSError as error:
        raise TokenizerError(explain_os_error(error, f"temporary text in {tempfile.gettempdir()}")) from error


class _Lines:
    """A text file that can be read again from the start."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __iter__(self) -> Iterator[str]:
        self.file.seek(0)
        return iter(self.file)


def _learn(
    documents: Iterable[str],
    vocab_size: int,
    normalizer: BertNormalizer,
    min_frequency: int,
    limit_alphabet: int,
    show_progress: bool,
) -> list[str]:
    """Special tokens, then the others sorted by their characters."""
    pieces = _run_trainer(documents, normalizer, show_progress, vocab_size=0)
    if not pieces:
        raise TokenizerError("no text to learn a vocabulary from: the corpus is empty, give another one")
    letters = {piece for piece in pieces if not piece.startswith(CONTINUING) or len(piece) <= len(CONTINUING)}
    if len(letters) > limit_alphabet:
        counts: Counter[str] = Counter()
        for document in documents:
            counts.update(normalizer.normalize_str(document))
        letters = set(sorted(letters, key=lambda letter: (-counts[letter], letter))[:limit_alphabet])
    alphabet = sorted(piece for piece in pieces if piece in letters or piece.removeprefix(CONTINUING) in letters)
    smallest = len(SPECIAL_TOKENS) + len(alphabet)
    if vocab_size < smallest:
        raise TokenizerError(
            f"a vocabulary of {vocab_size} tokens cannot hold the {len(SPECIAL_TOKENS)} special tokens and the "
            f"{len(alphabet)} characters of this corpus, inside and at the start of words: ask for at least "
            f"{smallest} tokens with --vocab_size"
        )
    # Given as special tokens, the alphabet has fixed numbers, and so ties between pairs are broken the same way
    # every time.
    known = SPECIAL_TOKENS + alphabet
    learnt = _run_trainer(
        documents, normalizer, show_progress, vocab_size=vocab_size, special_tokens=known, min_frequency=min_frequency
    )
    return SPECIAL_TOKENS + sorted(set(learnt) - set(SPECIAL_TOKENS))


def _run_trainer(
    documents: Iterable[str], normalizer: BertNormalizer, show_progress: bool, **settings: Any
) -> dict[str, int]:
    backend = Tokenizer(WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizer  # pyright: ignore[reportAttributeAccessIssue]
    backend.pre_tokenizer = BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    if "special_tokens" in settings:
        settings["limit_alphabet"] = 0  # the alphabet is among the special tokens
    trainer = WordPieceTrainer(show_progress=show_progress, continuing_subword_prefix=CONTINUING, **settings)
    backend.train_from_iterator(documents, trainer)
    return backend.get_vocab()
