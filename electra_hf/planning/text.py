"""The text of a run as far as it can be counted in seconds, and some blocks of it for the probe.

Prepared folders know their counts. Text on this machine is read up to a limit: all of it, or a sample whose share of
the files is known from the bytes that were read. Nothing is downloaded: random text stands for a corpus of the Hub,
whose size is not known here.
"""

import logging
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerBase

from electra_hf.corpora.arguments import open_source
from electra_hf.corpora.corpus import Corpus
from electra_hf.corpora.files import file_identity, find_files
from electra_hf.corpora.named import find_named_corpus
from electra_hf.corpora.remote import as_path, is_remote
from electra_hf.errors import TokenizerError
from electra_hf.planning.durations import NOTHING, Duration, now
from electra_hf.tokens.preparation import default_prepared_folder, prepare_folder
from electra_hf.tokens.prepared import load_prepared_tokenizer, prepared_splits, save_tokenizer
from electra_hf.tokens.shards import MANIFEST
from electra_hf.tokens.tokenizers import SPECIAL_TOKENS, load_tokenizer, train_wordpiece
from electra_hf.tokens.tokenizers.special import wrap
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments
from electra_hf.training.setup import (
    STREAMED_VALIDATION_DOCUMENTS,
    open_prepared_blocks,
    open_tokenizer,
    split_corpus,
)

logger = logging.getLogger(__name__)

LOOKED_AT_CHARACTERS = 8_000_000
LOOKED_AT_SECONDS = 15.0  # of the processor
_WORDS_IN_A_LINE, _LINES_IN_A_DOCUMENT = 20, 25
_PROC_IO = Path("/proc/self/io")


@dataclass
class TextFacts:
    """What is known of the text.

    Attributes:
        tokenizer: Of the run, or one of as many tokens that stands for it.
        folder: With prepared blocks for a probe: those of the run, or others like them.
        how: Where the counts come from, in words.
        blocks: To train on; None if nobody knows.
        tokens: Real ones in them.
        eval_blocks: To evaluate on.
        bytes: Of the prepared blocks on the disk.
        duration: To make tokenizer and blocks from the text; None if nobody knows.
        notes: What had to be assumed.
    """

    tokenizer: PreTrainedTokenizerBase
    folder: Path
    how: str
    blocks: int | None = None
    tokens: int | None = None
    eval_blocks: int | None = None
    bytes: int | None = None
    duration: Duration | None = None
    notes: list[str] = field(default_factory=list)


class RepeatedDocuments:
    """The documents of a corpus, read anew each time."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def __iter__(self) -> Iterator[str]:
        return self.corpus.documents()


class Texts(Corpus):
    """Documents in memory."""

    def __init__(self, texts: list[str], name: str = "a sample") -> None:
        self.texts, self.name = texts, name

    def describe(self) -> dict[str, Any]:
        """Nothing that would last."""
        return {"kind": "texts", "number": len(self.texts)}

    def _texts(self) -> Iterator[str]:
        return iter(self.texts)


def look_at_text(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: PretrainingArguments,
    scratch: Path,
) -> TextFacts:
    """Count the text of a run, and make blocks for a probe.

    Args:
        model_args: The tokenizer, or that one is to be trained.
        data_args: The text, and how it is packed.
        args: Seeds, and whether there is an evaluation.
        scratch: An empty folder for the blocks of a probe.

    Raises:
        UsageError: If options cannot work.
        CorpusError: If text on this machine cannot be read.
        PreparationError: If the prepared folder is not there, or of another tokenizer or length.
        TokenizerError: If a tokenizer on this machine cannot be loaded.
    """
    if not data_args.is_given() and data_args.prepared_dir is not None:
        return _prepared(model_args, data_args, args, scratch)
    if is_local(data_args):
        return _local(model_args, data_args, args, scratch)
    tokenizer, notes = _named_or_assumed(model_args, data_args)
    names = [item.partition("=")[0] for item in data_args.named_corpora()]
    sizes = [f"{name}: {find_named_corpus(name).size}" for name in names]
    how = "unknown: text of the Hub or of the network is not looked at" if data_args.is_given() else "no text given"
    facts = TextFacts(tokenizer, scratch, "; ".join([how, *sizes]), notes=notes)
    _stand_in(facts, data_args, args)
    return facts


def is_local(data_args: DataArguments) -> bool:
    """Whether all text is on this machine."""
    named = all(item.partition("=")[::2] == ("python-docs", "") or "=" in item for item in data_args.named_corpora())
    return data_args.is_given() and not data_args.dataset_name and named and "://" not in "".join(_patterns(data_args))


def _patterns(data_args: DataArguments) -> list[str]:
    return [*data_args.train_file, *(item.partition("=")[2] for item in data_args.named_corpora() if "=" in item)]


def _prepared(
    model_args: ModelArguments, data_args: DataArguments, args: PretrainingArguments, scratch: Path
) -> TextFacts:
    assert data_args.prepared_dir is not None
    folder = as_path(data_args.prepared_dir)
    manifests = prepared_splits(folder)
    facts = TextFacts(load_prepared_tokenizer(folder), folder, "exact, from the manifest", duration=NOTHING)
    if is_remote(folder):
        facts.folder, facts.duration = scratch, None
        facts.notes.append("the prepared folder would be copied from the network first: its time is not known here")
        _stand_in(facts, data_args, args)
    else:
        facts.tokenizer = open_tokenizer(model_args, data_args, args, None, None)
        for split in ("train", "validation")[: 1 + args.do_eval]:
            open_prepared_blocks(facts.tokenizer, data_args, args, split=split)  # refuses what a run would refuse
        facts.bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    _count(facts, data_args, args, manifests)
    return facts


def _local(
    model_args: ModelArguments, data_args: DataArguments, args: PretrainingArguments, scratch: Path
) -> TextFacts:
    corpus = open_source(data_args, args.seed, cache_dir=model_args.cache_dir)
    start = now()
    texts, share = read_sample(corpus, _patterns(data_args), data_args.corpus_max_documents)
    reading = now() - start
    facts = TextFacts(stand_in_tokenizer(len(SPECIAL_TOKENS)), scratch, "")
    whole = share == 1
    if whole:
        sides = _sides(corpus, data_args, args)
    else:  # of a sample nothing needs to be held out
        sides: dict[str, Corpus] = dict.fromkeys(("train", "validation")[: 1 + args.do_eval], Texts(texts))
        if data_args.validation_file and args.do_eval:
            sides = _sides(Texts(texts), data_args, args)
    start = now()
    if model_args.train_tokenizer:
        facts.tokenizer = _train(model_args, data_args, sides["train"])
    else:
        facts.tokenizer, facts.notes = _named_or_assumed(model_args, data_args)
    tokenizer, learning = facts.tokenizer, now() - start if model_args.train_tokenizer else NOTHING
    settings = data_args.packing_settings(args.seed)
    start = now()
    for split, side in sides.items():
        prepare_folder(side, tokenizer, scratch / split, settings, progress=False)
    packing = now() - start
    save_tokenizer(tokenizer, scratch)
    manifests = prepared_splits(scratch)
    if whole:
        facts.how, facts.duration = "exact, all text was read", learning + packing
        if not (data_args.prepared_dir or data_args.overwrite_cache) and all(
            (default_prepared_folder(side, tokenizer, settings) / MANIFEST).is_file() for side in sides.values()
        ):
            facts.duration = learning
            facts.notes.append("the blocks are in the cache already")
        _count(facts, data_args, args, manifests)
    else:
        characters = sum(map(len, texts))
        facts.how = f"estimated from the first {characters / 1e6:,.1f} million characters"
        _count(facts, data_args, args, manifests, share)
        if share is None:
            facts.how = "unknown: how much text there is cannot be told from the size of its files"
        else:
            # The text is read once for each split, and twice for a tokenizer.
            passes = len(sides) + 2 * model_args.train_tokenizer
            divided = 1 / data_args.preprocessing_num_workers * packing
            facts.duration = 1 / share * (divided + learning + passes * reading)
    if facts.blocks is not None:
        facts.bytes = round(_block_bytes(scratch, manifests) * (facts.blocks + (facts.eval_blocks or 0)))
    if data_args.streaming:
        facts.duration, facts.bytes = learning, 0
    return facts


def _sides(corpus: Corpus, data_args: DataArguments, args: PretrainingArguments) -> dict[str, Corpus]:
    train, validation = split_corpus(corpus, data_args, args.seed)
    return {"train": train} | ({"validation": validation} if validation is not None and args.do_eval else {})


def read_sample(
    corpus: Corpus, patterns: Iterable[str], max_documents: Sequence[int] = ()
) -> tuple[list[str], float | None]:
    """The first documents, and which share of the whole they are: 1 for all, None if that cannot be told.

    Args:
        corpus: The text.
        patterns: Of its files, as far as it has any.
        max_documents: Of each of its parts; 0 for all.
    """
    texts: list[str] = []
    corpus.parts()  # looks at the heads of files, which are read again later
    characters, started, deadline = 0, bytes_read(), time.process_time() + LOOKED_AT_SECONDS
    for document in corpus.documents():
        texts.append(document)
        characters += len(document)
        if characters >= LOOKED_AT_CHARACTERS or time.process_time() > deadline:
            break
    else:
        return texts, 1.0
    total = sum(file_identity(file)["size"] for pattern in patterns for file in find_files(pattern)[0])
    read = bytes_read() - started
    share = min(0.999, read / total) if read and total else None
    if share is not None and max_documents and all(max_documents):
        share = max(share, min(0.999, len(texts) / sum(max_documents)))
    return texts, share


def bytes_read() -> int:
    """Bytes that this process has read from files so far; 0 where the system does not count them."""
    found = re.search(r"rchar: (\d+)", _PROC_IO.read_text()) if _PROC_IO.is_file() else None
    return int(found[1]) if found else 0


def _count(
    facts: TextFacts,
    data_args: DataArguments,
    args: PretrainingArguments,
    manifests: dict[str, Any],
    share: float | None = 1.0,
) -> None:
    """Fill in the counts: of the manifests, or of the whole of which both splits hold the same share."""
    if share is None:
        return
    train, validation = manifests["train"]["counts"], manifests.get("validation", {}).get("counts")
    held_out = 0.0
    if share < 1 and not data_args.validation_file:
        held_out = data_args.validation_split_percentage / 100
    scale = (1 - held_out) / share
    facts.blocks, facts.tokens = round(train["blocks"] * scale), round(train["block_tokens"] * scale)
    limit = data_args.max_train_samples
    if limit is not None and limit < facts.blocks:
        facts.tokens, facts.blocks = round(facts.tokens * limit / facts.blocks), limit
    if validation and args.do_eval:
        held = validation["blocks"] * (held_out / share if held_out else 1)
        if data_args.streaming and not data_args.validation_file:
            held = min(held, validation["blocks"] / validation["documents"] * STREAMED_VALIDATION_DOCUMENTS)
        facts.eval_blocks = round(min(held, data_args.max_eval_samples or held))


def _block_bytes(folder: Path, manifests: dict[str, Any]) -> float:
    files = [file for split in manifests for file in (folder / split).iterdir()]
    return sum(file.stat().st_size for file in files) / sum(each["counts"]["blocks"] for each in manifests.values())


# Stand-ins


def _train(model_args: ModelArguments, data_args: DataArguments, corpus: Corpus) -> PreTrainedTokenizerBase:
    return train_wordpiece(
        RepeatedDocuments(corpus),
        model_args.vocab_size,
        lowercase=model_args.do_lower_case is not False,
        strip_accents=model_args.strip_accents,
        max_length=data_args.max_seq_length,
        show_progress=False,
    )


def _named_or_assumed(
    model_args: ModelArguments, data_args: DataArguments
) -> tuple[PreTrainedTokenizerBase, list[str]]:
    """The tokenizer that was named; one of as many tokens if it is not on this machine, or not trained yet."""
    name = model_args.tokenizer_name or model_args.model_name_or_path or model_args.generator_name_or_path
    name = name or model_args.config_name
    size = model_args.vocab_size
    if name is None or model_args.train_tokenizer:
        return stand_in_tokenizer(size), [f"a vocabulary of {size:,} tokens is assumed (--vocab_size)"]
    try:
        return load_tokenizer(
            name,
            cache_dir=model_args.cache_dir,
            revision=model_args.model_revision,
            lowercase=model_args.do_lower_case,
        ), []
    except TokenizerError as error:
        if Path(name).exists() or model_args.model_name_or_path:
            raise
        logger.debug("%s", error)
        note = f"{name} cannot be loaded here: a vocabulary of {size:,} tokens is assumed (--vocab_size)"
        return stand_in_tokenizer(size), [note]


def stand_in_tokenizer(size: int) -> PreTrainedTokenizerBase:
    """A tokenizer of so many tokens, for text of words that it consists of."""
    words = [*SPECIAL_TOKENS, *(f"w{number}" for number in range(size - len(SPECIAL_TOKENS)))]
    backend = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = WhitespaceSplit()
    return wrap(backend, SPECIAL_TOKENS, max_length=512)


def _stand_in(facts: TextFacts, data_args: DataArguments, args: PretrainingArguments) -> None:
    """Prepare blocks of random words: enough for two steps, and for two batches to evaluate."""
    rows = max(args.per_device_train_batch_size * args.gradient_accumulation_steps, args.per_device_eval_batch_size)
    tokens = (2 * rows + 8) * data_args.max_seq_length
    words = [word for word in facts.tokenizer.get_vocab() if word.isalnum()] or ["a"]
    draw = random.Random(args.seed)
    size = _WORDS_IN_A_LINE * _LINES_IN_A_DOCUMENT
    texts = [
        "\n".join(" ".join(draw.choices(words, k=_WORDS_IN_A_LINE)) for _ in range(_LINES_IN_A_DOCUMENT))
        for _ in range(-(-tokens // size) + 4)
    ]
    for split in ("train", "validation")[: 1 + args.do_eval]:
        settings = data_args.packing_settings(args.seed)
        prepare_folder(Texts(texts), facts.tokenizer, facts.folder / split, settings, progress=False)
    save_tokenizer(facts.tokenizer, facts.folder)
