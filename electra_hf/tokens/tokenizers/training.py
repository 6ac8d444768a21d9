"""Train a tokenizer of any kind on a bounded sample of a corpus.

WordPiece is learnt by `tokenizers` (`wordpiece`), Unigram and BPE by SentencePiece, whose model is then converted in
the way an imported one is (`sentencepiece_models`), so that what was learnt is what encodes.

With `pre_tokenizer`, no token crosses a morpheme that MeCab sees in the training text (`morphemes`). SentencePiece
knows such boundaries, and the WordPiece trainer does not: there a BPE model is learnt with them, and its pieces become
WordPiece tokens, those that begin with a space as they are and the others as `##` tokens. Text is then encoded by the
longest token that fits, without MeCab. A word can be a whole sentence of a script without spaces, so words of up to
1,000 characters are taken apart, and Chinese characters are not cut from each other for Japanese.
"""

import logging
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFC, NFD, BertNormalizer, Lowercase, Normalizer, StripAccents
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertTokenizer, TokenizersBackend

from electra_hf.errors import TokenizerError, UsageError
from electra_hf.tokens.tokenizers.morphemes import Boundaries, mark_boundaries, open_pre_tokenizer
from electra_hf.tokens.tokenizers.sampling import sample_documents
from electra_hf.tokens.tokenizers.sentencepiece_models import NORMAL, SPACE, convert_model
from electra_hf.tokens.tokenizers.sentencepiece_training import (
    BOUNDARY,
    NORMALIZATIONS,
    learn_pieces,
    training_lines,
)
from electra_hf.tokens.tokenizers.special import SPECIAL_TOKENS, unused_tokens, wrap
from electra_hf.tokens.tokenizers.wordpiece import CONTINUING, learn_wordpiece

logger = logging.getLogger(__name__)

KINDS = ("wordpiece", "unigram", "bpe")
SAMPLE_CHARACTERS = 40_000_000  # below 2 GB, whatever the kind
_LONGEST_WORD = 1_000


def train_tokenizer(
    documents: Iterable[str],
    kind: str = "wordpiece",
    vocab_size: int = 32_000,
    *,
    lowercase: bool | None = None,
    strip_accents: bool = False,
    limit_alphabet: int = 6000,
    character_coverage: float = 0.9995,
    byte_fallback: bool = False,
    normalization: str = "nmt_nfkc",
    pre_tokenizer: str = "none",
    pad_to_multiple_of: int = 64,
    sample_characters: int = SAMPLE_CHARACTERS,
    seed: int = 0,
    max_length: int = 512,
    show_progress: bool = True,
) -> TokenizersBackend:
    """Learn a vocabulary; the same documents, in any order, give the same ids on every run and machine.

    Args:
        documents: the text, read once.
        kind: `wordpiece`, `unigram` or `bpe`.
        vocab_size: number of tokens, rounded up to a multiple of `pad_to_multiple_of`, with the five special ones
            ([PAD]=0 [UNK]=1 [CLS]=2 [SEP]=3 [MASK]=4). What a small corpus does not yield is filled up with
            `[unusedN]` tokens, which no text gives, and logged.
        lowercase: fold upper case; None for the kind's default, which is true for `wordpiece` only.
        strip_accents: take the accents off letters; breaks Korean, Japanese and many more.
        limit_alphabet: `wordpiece`: keep this many of the most frequent characters; the rest becomes [UNK].
        character_coverage: `unigram`, `bpe`: share of the text whose characters become tokens.
        byte_fallback: `unigram`, `bpe`: write other characters as bytes, so that nothing becomes [UNK].
        normalization: `unigram`, `bpe`: `nmt_nfkc`, `nfkc`, `nfkc_cf` (case folded) or `identity`.
        pre_tokenizer: `none`, `mecab-ja` or `mecab-ko`: learn no token across their morphemes.
        pad_to_multiple_of: 1 for a vocabulary of any size.
        sample_characters: learn from this much text, drawn by `sample_documents`; 0 for all.
        seed: seed of that draw.
        max_length: the tokenizer's `model_max_length`.
        show_progress: show the bars of the `tokenizers` library.

    Returns:
        A tokenizer that encodes as [CLS] A [SEP] B [SEP].

    Raises:
        UsageError: an option that is unknown, out of range, or not of this kind.
        TokenizerError: there is no text, the vocabulary does not hold its characters, or MeCab is not installed.
    """
    _check_options(kind, vocab_size, character_coverage, byte_fallback, normalization, pad_to_multiple_of)
    find = None if pre_tokenizer == "none" else open_pre_tokenizer(pre_tokenizer)
    size = -(-vocab_size // pad_to_multiple_of) * pad_to_multiple_of
    if sample_characters:
        documents = sample_documents(documents, sample_characters, seed)
    if kind == "wordpiece":
        folded = lowercase is not False
        normalizer = BertNormalizer(
            lowercase=folded, strip_accents=strip_accents, handle_chinese_chars=pre_tokenizer != "mecab-ja"
        )
        if find is None:
            tokens = learn_wordpiece(
                documents, size, normalizer, limit_alphabet=limit_alphabet, show_progress=show_progress
            )
            return BertTokenizer(
                vocab=_numbered(_filled(tokens, size)),
                do_lower_case=folded,
                strip_accents=strip_accents,
                model_max_length=max_length,
            )
        tokens = _learn_within_morphemes(documents, size, normalizer, find, character_coverage, limit_alphabet)
        return _wordpiece(_filled(tokens, size), normalizer, max_length)
    before = _normalizers_before(lowercase, strip_accents, normalization)
    lines = training_lines(documents)
    if before:
        lines = map(NormalizerSequence(before).normalize_str, lines)
    model = learn_pieces(
        lines if find is None else mark_boundaries(lines, find, BOUNDARY),
        kind,
        size,
        character_coverage=character_coverage,
        byte_fallback=byte_fallback,
        normalization=f"{normalization}_cf" if lowercase and normalization in ("nfkc", "nmt_nfkc") else normalization,
        morphemes=find is not None,
    )
    _warn_if_few(len(model.pieces), size)
    return convert_model(model, max_length=max_length, before=before, size=size)


def _check_options(
    kind: str, vocab_size: int, coverage: float, byte_fallback: bool, normalization: str, multiple: int
) -> None:
    if kind not in KINDS:
        raise UsageError(f"--kind {kind!r} is unknown: choose {', '.join(KINDS)}")
    if normalization not in NORMALIZATIONS:
        raise UsageError(f"--normalization {normalization!r} is unknown: choose {', '.join(NORMALIZATIONS)}")
    if vocab_size < 1 or multiple < 1:
        raise UsageError(f"--vocab_size {vocab_size} and --pad_to_multiple_of {multiple}: both must be at least 1")
    if not 0 < coverage <= 1:
        raise UsageError(f"--character_coverage {coverage} is no share of the text: give 0.98 to 1")
    if kind == "wordpiece" and byte_fallback:
        raise UsageError("--byte_fallback is for --kind unigram or bpe: WordPiece knows no bytes")


def _normalizers_before(lowercase: bool | None, strip_accents: bool, normalization: str) -> list[Normalizer]:
    """What SentencePiece's rules do not do; applied to the training text as well."""
    before: list[Normalizer] = [NFD(), StripAccents(), NFC()] if strip_accents else []
    return [*before, Lowercase()] if lowercase and normalization == "identity" else before


def _learn_within_morphemes(
    documents: Iterable[str],
    size: int,
    normalizer: BertNormalizer,
    find: Boundaries,
    coverage: float,
    limit_alphabet: int,
) -> list[str]:
    """WordPiece tokens from a BPE model that knows morphemes."""
    words = BertPreTokenizer()

    def separate(line: str) -> str:
        return " ".join(word for word, _ in words.pre_tokenize_str(line))

    lines = mark_boundaries(map(normalizer.normalize_str, training_lines(documents)), find, BOUNDARY)
    model = learn_pieces(map(separate, lines), "bpe", size, character_coverage=coverage, morphemes=True)
    pieces = [piece.piece for piece in model.pieces if piece.type == NORMAL]
    letters = [piece for piece in pieces if len(piece) == 1 and piece != SPACE][:limit_alphabet]  # most frequent first
    # Punctuation is always a word of its own.
    inside = [letter for letter in letters if len(words.pre_tokenize_str(f"a{letter}a")) == 1]
    alphabet = {*letters, *(CONTINUING + letter for letter in inside)}
    smallest = len(SPECIAL_TOKENS) + len(alphabet)
    if size < smallest:
        raise TokenizerError(
            f"a vocabulary of {size} tokens cannot hold the {len(SPECIAL_TOKENS)} special tokens and the "
            f"{len(alphabet)} characters of this corpus, inside and at the start of words: ask for at least "
            f"{smallest} tokens with --vocab_size, or lower --limit_alphabet"
        )
    known = set(letters)
    learnt = (
        piece.removeprefix(SPACE) if piece.startswith(SPACE) else CONTINUING + piece
        for piece in pieces
        if len(piece) > 1 and known.issuperset(piece.removeprefix(SPACE))
    )
    new = [token for token in dict.fromkeys(learnt) if token not in alphabet]
    return SPECIAL_TOKENS + sorted(alphabet.union(new[: size - smallest]))


def _wordpiece(tokens: Sequence[str], normalizer: BertNormalizer, max_length: int) -> TokenizersBackend:
    # Not a BertTokenizer: loading one forgets how long a word may be.
    model = WordPiece(_numbered(tokens), unk_token="[UNK]", max_input_chars_per_word=_LONGEST_WORD)
    backend = Tokenizer(model)
    backend.normalizer = normalizer  # pyright: ignore[reportAttributeAccessIssue]
    backend.pre_tokenizer = BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    backend.decoder = WordPieceDecoder(prefix=CONTINUING)  # pyright: ignore[reportAttributeAccessIssue]
    return wrap(backend, SPECIAL_TOKENS, max_length)


def _filled(tokens: list[str], size: int) -> list[str]:
    _warn_if_few(len(tokens), size)
    return tokens + unused_tokens(size - len(tokens))


def _warn_if_few(found: int, size: int) -> None:
    if found < size:
        logger.warning(
            "The corpus yields %d tokens; %d were asked for, and %d [unused] ones fill the vocabulary up.",
            found,
            size,
            size - found,
        )


def _numbered(tokens: Sequence[str]) -> dict[str, int]:
    return {token: index for index, token in enumerate(tokens)}
