r"""A SentencePiece `.model` as a fast tokenizer that gives the same ids, and is one `tokenizer.json`.

What SentencePiece does to a text, and what does it here:

- character rules: `charsmap`;
- spaces stripped and collapsed, shown as `▁`, and one put in front (or behind): normalizers;
- Unigram or BPE over the sentence: the model of the same name, word by word where no piece has a `▁` inside;
- user-defined symbols: added tokens that are looked for in the normalized text;
- characters without a piece: their bytes, or one unknown token for several in a row.

Control symbols, bytes and the unknown piece have no text in SentencePiece. They have to be pieces of the Unigram model
here, so a text that spells one out is cut after its first character; BPE gets no merges for them.

Special tokens are taken from control and user-defined symbols: for each, the first of these names that the model has,
else a new one at the end of the vocabulary.

    pad   [PAD]  <pad>  the model's padding piece
    cls   [CLS]  <cls>  the model's begin-of-sentence piece ([BOS], <s>)
    sep   [SEP]  <sep>  the model's end-of-sentence piece ([EOS], </s>)
    mask  [MASK] <mask>

A special token that is spelt out in a text stays text (`encoding`), also where SentencePiece would take the symbol.
Ids can differ where two segmentations have the same score up to rounding: SentencePiece adds in 32 bits, this model in
64; where merges of one BPE piece overlap, such as three dashes in a row of many, which SentencePiece takes from the
left; and for user-defined symbols in two cases: a text that is nothing but one of them gets no `▁` in front of it, and
rules that fold case fold the symbol too.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteFallback, Decoder, Fuse, Strip
from tokenizers.decoders import Replace as ReplaceBack
from tokenizers.decoders import Sequence as DecoderSequence
from tokenizers.models import BPE, Unigram
from tokenizers.normalizers import Normalizer, Prepend, Replace
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import PreTokenizer, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizerSequence

from electra_hf.errors import TokenizerError, explain_os_error
from electra_hf.tokens.tokenizers.charsmap import charsmap_normalizers
from electra_hf.tokens.tokenizers.special import PreTrainedTokenizerFast, unused_tokens, wrap

logger = logging.getLogger(__name__)

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # sentencepiece_model.proto
UNIGRAM_MODEL, BPE_MODEL = 1, 2
SPACE = "▁"


def read_model(path: Path) -> Any:
    """The content of a `.model` file, as sentencepiece's `ModelProto`.

    Raises:
        TokenizerError: the file cannot be read, or is something else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TokenizerError(explain_os_error(error, path)) from error
    return parse_model(content, str(path))


def parse_model(content: bytes, name: str) -> Any:
    """The bytes of a model as `ModelProto`; `name` is what messages call it."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise TokenizerError(f"{name}: not a SentencePiece model ({error}): give the .model file itself") from error
    if [piece.type for piece in model.pieces].count(UNKNOWN) != 1:
        raise TokenizerError(
            f"{name}: a SentencePiece model has one unknown piece, and this has none or several: it is another kind "
            "of .model file, or damaged"
        )
    if model.trainer_spec.model_type not in (UNIGRAM_MODEL, BPE_MODEL):
        raise TokenizerError(f"{name}: a SentencePiece model of words or characters; Unigram and BPE are supported")
    if any(piece.type == UNUSED for piece in model.pieces):
        raise TokenizerError(
            f"{name}: some of its pieces are switched off (UNUSED), which cannot be converted: use the model from "
            "before its vocabulary was restricted"
        )
    pieces = [piece.piece for piece in model.pieces]
    if len(set(pieces)) < len(pieces):
        twice = next(piece for piece in pieces if pieces.count(piece) > 1)
        raise TokenizerError(f"{name}: the piece {twice!r} is there twice: train the model again without that symbol")
    return model


def convert_model(
    model: Any, *, max_length: int, before: Sequence[Normalizer] = (), size: int = 0
) -> PreTrainedTokenizerFast:
    """A SentencePiece model as a tokenizer.

    Args:
        model: what `read_model` returns.
        max_length: the tokenizer's `model_max_length`.
        before: normalizers that see the text first.
        size: fill the vocabulary up to this many tokens with `[unusedN]`, which no text gives.

    Raises:
        TokenizerError: character rules that have no counterpart here.
    """
    names = special_names(model)
    pieces = [piece.piece for piece in model.pieces]
    missing = [name for name in names if name not in pieces]
    unused = unused_tokens(size - len(pieces) - len(missing), set(pieces))
    without_text = {piece.piece for piece in model.pieces if piece.type in (UNKNOWN, CONTROL, BYTE)}
    without_text.update(names, unused)
    symbols = [p.piece for p in model.pieces if p.type == USER_DEFINED and p.piece not in without_text]
    if any(len(name) == 1 for name in without_text):
        raise TokenizerError("a control symbol of one character cannot be told from text: give it a longer name")

    backend = Tokenizer(_model(model, [*missing, *unused], without_text))
    steps = [*before, *_normalizers(model, symbols)]
    if steps:
        backend.normalizer = NormalizerSequence(steps)  # pyright: ignore[reportAttributeAccessIssue]
    cuts = list(_pre_tokenizers(model, without_text))
    if cuts:
        backend.pre_tokenizer = PreTokenizerSequence(cuts)  # pyright: ignore[reportAttributeAccessIssue]
    backend.decoder = _decoder(model)  # pyright: ignore[reportAttributeAccessIssue]
    backend.add_tokens([AddedToken(symbol, special=False, normalized=True) for symbol in symbols])
    return wrap(backend, names, max_length)


def special_names(model: Any) -> list[str]:
    """The tokens that take the roles pad, unk, cls, sep and mask, in this order; some may be new to the model."""
    spec = model.trainer_spec
    symbols = {piece.piece for piece in model.pieces if piece.type in (CONTROL, USER_DEFINED)}
    unknown = next(piece.piece for piece in model.pieces if piece.type == UNKNOWN)
    candidates = {
        "[PAD]": ("<pad>", spec.pad_piece),
        "[CLS]": ("<cls>", spec.bos_piece, "<s>"),
        "[SEP]": ("<sep>", spec.eos_piece, "</s>"),
        "[MASK]": ("<mask>",),
    }
    pad, cls, sep, mask = (
        next((name for name in (usual, *others) if name in symbols), usual) for usual, others in candidates.items()
    )
    return [pad, unknown, cls, sep, mask]


def _model(model: Any, more: Iterable[str], without_text: set[str]) -> Unigram | BPE:
    spec = model.trainer_spec
    if spec.model_type == UNIGRAM_MODEL:
        scores = [(piece.piece, piece.score) for piece in model.pieces] + [(token, 0.0) for token in more]
        unknown = [piece.type for piece in model.pieces].index(UNKNOWN)
        return Unigram(scores, unk_id=unknown, byte_fallback=spec.byte_fallback)
    vocabulary = {piece: number for number, piece in enumerate([*(piece.piece for piece in model.pieces), *more])}
    unknown = next(piece.piece for piece in model.pieces if piece.type == UNKNOWN)
    return BPE(
        vocab=vocabulary,
        merges=_merges(model, without_text),
        unk_token=unknown,
        fuse_unk=True,
        byte_fallback=spec.byte_fallback,
    )


def _merges(model: Any, without_text: set[str]) -> list[tuple[str, str]]:
    """SentencePiece merges any two neighbours that make a piece, the piece with the best score first."""
    scores = {
        piece.piece: piece.score
        for piece in model.pieces
        if piece.type in (NORMAL, USER_DEFINED) and piece.piece not in without_text
    }
    merges = []
    unreachable = []
    for order, (piece, score) in enumerate(scores.items()):
        cuts = [at for at in range(1, len(piece)) if piece[:at] in scores and piece[at:] in scores]
        merges += [(-score, order, at, piece) for at in cuts]
        if len(piece) > 1 and not cuts:
            unreachable.append(piece)
    symbols = {piece.piece for piece in model.pieces if piece.type == USER_DEFINED}
    unreachable = [piece for piece in unreachable if piece not in symbols]
    if unreachable:
        logger.warning(
            "Pieces of characters that are no pieces themselves: %d, such as %r. Texts with them may be encoded in "
            "another way than by SentencePiece",
            len(unreachable),
            unreachable[0],
        )
    return [(piece[:at], piece[at:]) for _, _, at, piece in sorted(merges)]


def _normalizers(model: Any, symbols: Sequence[str]) -> Iterable[Normalizer]:
    spec = model.normalizer_spec
    space = SPACE if spec.escape_whitespaces else " "
    yield from charsmap_normalizers(spec.precompiled_charsmap)
    if spec.remove_extra_whitespaces:
        yield Replace(Regex(" {2,}"), " ")
        # A space symbol in the text itself is stripped at the end, but not at the start.
        yield Replace(Regex(rf"\A |[ {space}]+\z"), "")
    if spec.escape_whitespaces:
        yield Replace(" ", SPACE)
    if spec.add_dummy_prefix and model.trainer_spec.treat_whitespace_as_suffix:
        alone = "".join(rf"(?<!\A{re.escape(symbol)})" for symbol in symbols)
        yield Replace(Regex(rf"(?<=[\s\S])\z{alone}"), space)
    elif spec.add_dummy_prefix and symbols:
        # The text of an added token is normalized as well, and must come out as it is.
        alone = "|".join(map(re.escape, symbols))
        yield Replace(Regex(rf"\A(?=[\s\S])(?!(?:{alone})\z)"), space)
    elif spec.add_dummy_prefix:
        yield Prepend(space)


def _pre_tokenizers(model: Any, without_text: set[str]) -> Iterable[PreTokenizer]:
    space = SPACE if model.normalizer_spec.escape_whitespaces else " "
    pieces = [piece.piece for piece in model.pieces if piece.type == NORMAL]
    if space in pieces and not any(space in piece[1:] for piece in pieces):
        yield Split(space, "merged_with_next")
    elif space in pieces and not any(space in piece[:-1] for piece in pieces):
        yield Split(space, "merged_with_previous")
    if model.trainer_spec.model_type == UNIGRAM_MODEL:
        yield Split(Regex(_first_characters(without_text)), "merged_with_previous")


def _first_characters(names: set[str]) -> str:
    r"""A regular expression that matches the first character of each name where the whole name follows.

    Numbers stand for any number: there can be a thousand names that differ in nothing else.

    >>> print(_first_characters({"<s>", "<0x0A>", "<0xFF>", "[unused0]", "[unused17]"}))
    <(?=0x[0-9A-F]{2}>)|<(?=s>)|\[(?=unused[0-9]+\])
    """
    patterns = set()
    for name in names:
        parts = re.split("(0x[0-9A-F]{2}|[0-9]+)", name[1:])  # numbers are every second part
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = ["0x[0-9A-F]{2}" if part.startswith("0x") else "[0-9]+" for part in parts[1::2]]
        patterns.add(f"{re.escape(name[0])}(?={''.join(parts)})")
    return "|".join(sorted(patterns))


def _decoder(model: Any) -> Decoder:
    spec = model.normalizer_spec
    steps: list[Decoder] = []
    if spec.escape_whitespaces:
        steps.append(ReplaceBack(SPACE, " "))
    if model.trainer_spec.byte_fallback:
        steps.append(ByteFallback())
    steps.append(Fuse())
    if spec.add_dummy_prefix:
        suffix = model.trainer_spec.treat_whitespace_as_suffix
        steps.append(Strip(" ", left=0 if suffix else 1, right=1 if suffix else 0))
    return DecoderSequence(steps)
