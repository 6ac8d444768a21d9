"""Load a tokenizer from wherever it is, and make sure that all of it arrived.

transformers builds a five-token tokenizer, without a word, from a vocabulary that it did not find, and loses the
character rules of a SentencePiece model: bare vocabulary files and models are read here, and every import is counted
against its file.
"""

import json
from collections import Counter
from pathlib import Path

from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase, TokenizersBackend

from electra_hf.errors import TokenizerError, explain_os_error
from electra_hf.tokens.tokenizers.sentencepiece_models import convert_model, read_model
from electra_hf.tokens.tokenizers.special import SPECIAL_TOKENS, PreTrainedTokenizerFast

NO_LIMIT = int(1e30)  # what transformers takes for an unknown length


def load_tokenizer(
    name_or_path: str | Path,
    *,
    cache_dir: str | Path | None = None,
    revision: str | None = None,
    token: str | None = None,
    lowercase: bool | None = None,
    strip_accents: bool | None = None,
    max_length: int | None = None,
) -> PreTrainedTokenizerBase:
    """Load a tokenizer from the Hub, a folder, a bare `vocab.txt` or a SentencePiece `.model`.

    Code from the Hub is never run.

    Args:
        name_or_path: name on the Hub, folder, `vocab.txt`, `.model`, or a folder that holds one of these and nothing
            else of a tokenizer.
        cache_dir: where downloads are kept.
        revision: branch, tag or commit on the Hub.
        token: access token of the Hub.
        lowercase: for a bare `vocab.txt` only, which does not say whether it was made from lower-cased text.
            Accents are then stripped with the case, as BERT and ELECTRA do, unless `strip_accents` says otherwise.
        strip_accents: for a bare `vocab.txt` only; None for the default.
        max_length: the tokenizer's `model_max_length`; its own one if None.

    Raises:
        TokenizerError: nothing there, out of reach, or a vocabulary that did not arrive whole.
    """
    path = Path(name_or_path)
    bare = _bare_file(path)
    if bare is not None and bare.suffix != ".model":
        return _load_vocabulary_file(bare, lowercase, strip_accents, max_length)
    if lowercase is not None or strip_accents is not None:
        raise TokenizerError(
            f"{name_or_path}: lower-casing and accents can be chosen only for a bare vocab.txt; this tokenizer "
            "brings its own rules"
        )
    if bare is not None:
        return convert_model(read_model(bare), max_length=max_length or NO_LIMIT)
    source = {"cache_dir": cache_dir, "revision": revision, "token": token}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name_or_path), trust_remote_code=False, **source)
        if type(tokenizer) is TokenizersBackend:
            # The same, but saved under a name that transformers 4 can load.
            tokenizer = PreTrainedTokenizerFast.from_pretrained(str(name_or_path), **source)
    except Exception as error:  # what tokenizers raises for a broken file is nothing more special
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TokenizerError(
            f"{name_or_path}: no tokenizer could be loaded ({reason}). Give a folder with tokenizer.json, a vocab.txt "
            "or a SentencePiece .model; for a name on the Hub, check the spelling and the network, or download it "
            "first with `hf download`"
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
    if max_length is not None:
        tokenizer.model_max_length = max_length
    return tokenizer


def _bare_file(path: Path) -> Path | None:
    """The vocabulary or model file, if the path holds nothing else that describes a tokenizer."""
    if path.is_file():
        return path
    if any((path / name).exists() for name in ("tokenizer.json", "tokenizer_config.json", "config.json")):
        return None
    if (path / "vocab.txt").is_file():
        return path / "vocab.txt"
    models = sorted(path.glob("*.model"))
    if len(models) > 1:
        names = ", ".join(model.name for model in models)
        raise TokenizerError(f"{path}: several SentencePiece models ({names}): give one of the files")
    return models[0] if models else None


def _load_vocabulary_file(
    path: Path, lowercase: bool | None, strip_accents: bool | None, max_length: int | None
) -> BertTokenizer:
    if path.suffix != ".txt":
        raise TokenizerError(
            f"{path}: a single file must be a WordPiece vocab.txt or a SentencePiece .model; give the folder of any "
            "other tokenizer"
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
    tokenizer = BertTokenizer(
        vocab={token: index for index, token in enumerate(lines)},
        do_lower_case=lowercase,
        strip_accents=strip_accents,
        model_max_length=max_length or NO_LIMIT,
    )
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
        try:
            vocabulary = content["model"]["vocab"]  # {token: id}, or [[token, score], ...] for Unigram
            tokens = set(vocabulary) if isinstance(vocabulary, dict) else {entry[0] for entry in vocabulary}
            return len(tokens | {added["content"] for added in content["added_tokens"]})
        except (LookupError, TypeError) as error:
            raise TokenizerError(
                f"{path / 'tokenizer.json'}: its tokens cannot be counted ({type(error).__name__}: {error}): it is "
                "damaged; save or copy it again"
            ) from error
    if (path / "vocab.txt").is_file():
        return len(_read_lines(path / "vocab.txt"))
    return None
