"""Train a WordPiece tokenizer, or load somebody else's, and make sure that it can serve masked-token training.

Two traps of the libraries below shape this module. The WordPiece trainer of `tokenizers` numbers its alphabet in
the order of a hash map, and breaks ties between equally frequent pairs by those numbers: two runs give other ids,
and now and then other tokens. Here a first pass collects the alphabet, and the second one gets it in a fixed order.
And transformers builds a five-token tokenizer, without a word, from a vocabulary that it did not find: every import
is counted against its file.
"""

import hashlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase

from electra_hf.errors import TokenizerError, explain_os_error

logger = logging.getLogger(__name__)

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # in the order of their ids
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
    if iter(documents) is documents:
        try:
            with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", newline="\n") as spool:
                for document in documents:
                    spool.write(document + "\n")
                vocabulary = _learn(
                    _Lines(spool), vocab_size, normalizer, min_frequency, limit_alphabet, show_progress
                )
        except OSError as error:
            raise TokenizerError(explain_os_error(error, f"temporary text in {tempfile.gettempdir()}")) from error
    else:
        vocabulary = _learn(documents, vocab_size, normalizer, min_frequency, limit_alphabet, show_progress)
    if len(vocabulary) < vocab_size:
        logger.warning("The corpus yields %d tokens; %d were asked for.", len(vocabulary), vocab_size)
    return BertTokenizer(
        vocab=vocabulary, do_lower_case=lowercase, strip_accents=strip_accents, model_max_length=max_length
    )


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
) -> dict[str, int]:
    """The vocabulary as token -> id: special tokens, then the others sorted by their characters."""
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
    tokens = SPECIAL_TOKENS + sorted(set(learnt) - set(SPECIAL_TOKENS))
    return {token: index for index, token in enumerate(tokens)}


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


def load_tokenizer(
    name_or_path: str | Path,
    *,
    cache_dir: str | Path | None = None,
    revision: str | None = None,
    token: str | None = None,
    lowercase: bool | None = None,
) -> PreTrainedTokenizerBase:
    """Load a tokenizer from the Hub, a folder, or a bare `vocab.txt`; never runs code from the Hub.

    Args:
        name_or_path: name on the Hub, folder, `vocab.txt`, or a folder that holds nothing else of a tokenizer.
        cache_dir: where downloads are kept.
        revision: branch, tag or commit on the Hub.
        token: access token of the Hub.
        lowercase: for a bare `vocab.txt` only, which does not say whether it was made from lower-cased text.
            Accents are then stripped with the case, as BERT and ELECTRA do.

    Raises:
        TokenizerError: nothing there, out of reach, or a vocabulary that did not arrive whole.
    """
    path = Path(name_or_path)
    bare = _bare_vocabulary(path)
    if bare is not None:
        return _load_vocabulary_file(bare, lowercase)
    if lowercase is not None:
        raise TokenizerError(
            f"{name_or_path}: lower-casing can be chosen only for a bare vocab.txt; this tokenizer brings its own"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(name_or_path), cache_dir=cache_dir, revision=revision, token=token, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TokenizerError(
            f"{name_or_path}: no tokenizer could be loaded ({reason}). Give a folder with "
            "tokenizer.json, or a vocab.txt; for a name on the Hub, check the spelling and the network, or download "
            "it first with `hf download`"
        ) from error
    expected = _tokens_in_folder(path)
    if expected is not None and len(tokenizer) < expected:
        raise TokenizerError(
            f"{path}: the files hold {expected} tokens and the tokenizer has {len(tokenizer)}: the vocabulary was "
            "not read, or holds a token twice; load it from the vocab.txt or tokenizer.json it was saved with"
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise TokenizerError(
            f"{name_or_path}: the tokenizer holds nothing but special tokens: its vocabulary is missing"
        )
    return tokenizer


def _bare_vocabulary(path: Path) -> Path | None:
    """The vocabulary file, if the path holds nothing else that describes a tokenizer."""
    if path.is_file():
        return path
    described = any((path / name).exists() for name in ("tokenizer.json", "tokenizer_config.json", "config.json"))
    return path / "vocab.txt" if not described and (path / "vocab.txt").is_file() else None


def _load_vocabulary_file(path: Path, lowercase: bool | None) -> BertTokenizer:
    if path.suffix != ".txt":
        raise TokenizerError(
            f"{path}: a single file must be a WordPiece vocab.txt; give the folder of any other tokenizer"
        )
    if lowercase is None:
        raise TokenizerError(
            f"{path}: a bare vocab.txt does not say whether its text was lower-cased: "
            "choose --do_lower_case true (uncased) or false (cased)"
        )
    lines = _read_lines(path)
    missing = [token for token in SPECIAL_TOKENS if token not in lines]
    if missing:
        raise TokenizerError(
            f"{path}: {', '.join(missing)} not among its {len(lines)} lines: this is no BERT vocabulary"
        )
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate(lines)}, do_lower_case=lowercase)
    if len(tokenizer) != len(lines):
        twice = [token for token, count in Counter(lines).items() if count > 1][:3]
        raise TokenizerError(f"{path}: {len(lines)} lines but {len(tokenizer)} tokens; on more than one line: {twice}")
    return tokenizer


def _read_lines(path: Path) -> list[str]:
    try:
        # Only "\n" ends a line: U+2028 and U+0085 are tokens of some vocabularies.
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise TokenizerError(explain_os_error(error, path)) from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path}: not UTF-8 at byte {error.start}: save the vocabulary as UTF-8") from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _tokens_in_folder(path: Path) -> int | None:
    """How many tokens the tokenizer files of a folder hold; None where there is nothing to count."""
    if (path / "tokenizer.json").is_file():
        try:
            content = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
        except ValueError:
            return None
        vocabulary = content["model"]["vocab"]  # {token: id}, or [[token, score], ...] for Unigram
        tokens = set(vocabulary) if isinstance(vocabulary, dict) else {entry[0] for entry in vocabulary}
        return len(tokens | {added["content"] for added in content["added_tokens"]})
    if (path / "vocab.txt").is_file():
        return len(_read_lines(path / "vocab.txt"))
    return None


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make sure that the tokenizer has the special tokens of masked-token training.

    Raises:
        TokenizerError: names the missing ones among [MASK], [CLS], [SEP] and [PAD].
    """
    missing = [name for name in ("mask", "cls", "sep", "pad") if getattr(tokenizer, f"{name}_token_id") is None]
    if missing:
        names = ", ".join(f"{name}_token" for name in missing)
        raise TokenizerError(
            f"{tokenizer.name_or_path or 'the tokenizer'} has no {names}: replaced-token detection masks tokens and "
            "wraps each block in [CLS] and [SEP]. Add them with tokenizer.add_special_tokens and save it, or train "
            "one with --train_tokenizer"
        )


def backend_json(tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer as one canonical JSON text, without the truncation and padding that a call may have left on it.

    Raises:
        TokenizerError: the tokenizer has no `tokenizers` backend.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise TokenizerError(
            f"{type(tokenizer).__name__} runs in Python and has no tokenizer.json: corpora are prepared with fast "
            "tokenizers. For Japanese with MeCab, write words separated by spaces and train a WordPiece on them"
        )
    content = json.loads(backend.to_str())
    content["truncation"] = content["padding"] = None
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of everything that decides which ids a text gets; the same in every process.

    Raises:
        TokenizerError: the tokenizer has no `tokenizers` backend.
    """
    return hashlib.sha256(backend_json(tokenizer).encode()).hexdigest()
