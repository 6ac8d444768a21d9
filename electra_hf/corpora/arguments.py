"""Every option that says where text comes from and how it is read; names follow run_mlm.py.

The scripts and commands that read a corpus inherit these, and `open_source` makes one corpus of them.
"""

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

from electra_hf.corpora.corpus import Corpus
from electra_hf.corpora.normalization import normalized
from electra_hf.corpora.sentences import split_into_sentences
from electra_hf.corpora.sources import open_corpora

DEFAULT_STOPPING_STRATEGY = "all_exhausted_without_replacement"

logger = logging.getLogger(__name__)


@dataclass
class SourceArguments:
    """Where the text comes from, and how it is read; the value `none` takes a source of the YAML file away."""

    dataset_name: list[str] = field(
        default_factory=list, metadata={"help": "Data sets on the Hub or local folders; several are interleaved."}
    )
    dataset_config_name: list[str] = field(
        default_factory=list, metadata={"help": "Configuration of each data set (none for no configuration)."}
    )
    train_file: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files, globs, folders or URLs: .txt .jsonl .json .csv .tsv .parquet (also .gz .bz2 .xz .zst), "
            "Wikipedia dumps, WikiExtractor output, WikiText files, books of Aozora Bunko."
        },
    )
    corpus: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Named corpora, separated by spaces or commas: python-docs (embedded), kowiki, jawiki, enwiki or "
            "any other <language>wiki, bookcorpus, wikitext-103, openwebtext, fineweb-edu, namuwiki, petitions, "
            "imdb-unsup. NAME=PATH reads files of that corpus instead of downloading it; none: no corpus."
        },
    )
    corpus_weights: list[float] = field(
        default_factory=list,
        metadata={"help": "How often to draw from each corpus (data sets, then files, then named corpora)."},
    )
    corpus_max_documents: list[int] = field(
        default_factory=list,
        metadata={"help": "Read at most so many documents: one number for every corpus, or one for each; 0: all."},
    )
    stopping_strategy: str = field(
        default=DEFAULT_STOPPING_STRATEGY,
        metadata={
            "help": "When interleaving ends, as in datasets.interleave_datasets.",
            "choices": ["first_exhausted", "all_exhausted", "all_exhausted_without_replacement"],
        },
    )
    text_column_name: str = field(
        default="text", metadata={"help": "Column that holds the text; named corpora know theirs."}
    )
    document_separator: str = field(
        default="blank_line",
        metadata={
            "help": "In .txt files: blank_line (one sentence a line), file (one document a file) or line.",
            "choices": ["blank_line", "file", "line"],
        },
    )
    encoding: str = field(default="utf-8", metadata={"help": "Encoding of local text files."})
    encoding_errors: str = field(
        default="strict", metadata={"help": "Bytes that are no text.", "choices": ["strict", "replace", "ignore"]}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read data sets over the network instead of downloading them first."}
    )
    unicode_normalization: str = field(
        default="none",
        metadata={"help": "Normal form of Unicode that the text is brought to.", "choices": ["none", "NFC", "NFKC"]},
    )
    sentence_splitting: str | None = field(
        default=None,
        metadata={"help": "Language (en, ko, ja, ...) whose sentences become lines; default: lines stay as they are."},
    )

    def __post_init__(self) -> None:
        # On the command line nothing else can take a source of the YAML file away.
        for name in ("dataset_name", "dataset_config_name", "train_file", "corpus"):
            if getattr(self, name) == ["none"]:
                setattr(self, name, [])

    def is_given(self) -> bool:
        """Whether any text was named."""
        return bool(self.dataset_name or self.train_file or self.corpus)

    def for_files(self, files: list[str]) -> "SourceArguments":
        """The same way of reading, for other files such as those of the validation."""
        return SourceArguments(
            train_file=list(files),
            text_column_name=self.text_column_name,
            document_separator=self.document_separator,
            encoding=self.encoding,
            encoding_errors=self.encoding_errors,
            unicode_normalization=self.unicode_normalization,
            sentence_splitting=self.sentence_splitting,
        )

    def named_corpora(self) -> list[str]:
        """The values of `corpus` one by one: NAME or NAME=PATH."""
        return [item for value in self.corpus for item in split_names(value)]

    def source_names(self) -> list[str]:
        """What is read, for people: names on the Hub as they are, local text without the folders of this machine."""
        data_sets = [Path(name).name if Path(name).exists() else name for name in self.dataset_name]
        files = [Path(pattern).name for pattern in self.train_file]
        return [*data_sets, *files, *(item.partition("=")[0] for item in self.named_corpora())]


def open_source(source: SourceArguments, seed: int, cache_dir: str | None = None) -> Corpus:
    """One corpus of everything that was named, normalised and split into sentences where that was asked for.

    Args:
        source: The options.
        seed: Seed of the interleaving.
        cache_dir: Folder for downloads; the one of `datasets` when None.

    Raises:
        UsageError: Options that cannot work.
        CorpusError: A file is not there.
    """
    if source.corpus_weights and not source.streaming and source.stopping_strategy == DEFAULT_STOPPING_STRATEGY:
        logger.warning(
            "--corpus_weights only decide the order here, and prepared blocks are shuffled: every document is used "
            "once. Add --stopping_strategy all_exhausted, so that the heavier corpora repeat, or first_exhausted"
        )
    corpus = open_corpora(
        dataset_name=source.dataset_name,
        dataset_config_name=source.dataset_config_name,
        train_file=source.train_file,
        corpus=source.named_corpora(),
        corpus_weights=source.corpus_weights,
        corpus_max_documents=source.corpus_max_documents,
        stopping_strategy=source.stopping_strategy,
        text_column_name=source.text_column_name,
        document_separator=source.document_separator,
        encoding=source.encoding,
        encoding_errors=source.encoding_errors,
        streaming=source.streaming,
        cache_dir=cache_dir,
        seed=seed,
    )
    corpus = normalized(corpus, source.unicode_normalization)
    return corpus if source.sentence_splitting is None else split_into_sentences(corpus, source.sentence_splitting)


def split_names(value: str) -> list[str]:
    """The comma-separated items of one value of `corpus`; a comma inside a path stays.

    >>> split_names("kowiki,petitions=/data/a,b.txt,namuwiki")
    ['kowiki', 'petitions=/data/a,b.txt', 'namuwiki']
    """
    return [item.strip() for item in re.split(r",(?=\s*(?:[\w:-]+\s*(?:[=,]|$)|$))", value) if item.strip()]
