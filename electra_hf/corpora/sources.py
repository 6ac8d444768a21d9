"""From the arguments of a script to one corpus."""

from collections.abc import Sequence

from electra_hf.corpora.corpus import Corpus, Interleaved, Limited
from electra_hf.corpora.files import LocalFiles
from electra_hf.corpora.hub import HubDataset
from electra_hf.corpora.named import NAMED_CORPORA, open_named_corpus
from electra_hf.errors import UsageError


def open_corpora(
    *,
    dataset_name: Sequence[str] | None = None,
    dataset_config_name: Sequence[str] | None = None,
    train_file: Sequence[str] | None = None,
    corpus: Sequence[str] | None = None,
    corpus_weights: Sequence[float] | None = None,
    corpus_max_documents: Sequence[int] | None = None,
    stopping_strategy: str = "all_exhausted_without_replacement",
    text_column_name: str = "text",
    document_separator: str = "blank_line",
    encoding: str = "utf-8",
    encoding_errors: str = "strict",
    streaming: bool = False,
    cache_dir: str | None = None,
    seed: int = 0,
    split: str = "train",
) -> Corpus:
    """Build the one corpus that the arguments of a script name, in the order data sets, files, named corpora.

    Args:
        dataset_name: Data sets of the Hub, or local folders in a layout of `datasets`.
        dataset_config_name: Nothing, or one configuration for each data set; "none" and "" stand for no configuration.
        train_file: Paths, globs, folders or URLs: together one corpus, but one corpus each when `corpus_weights` or
            several `corpus_max_documents` are given.
        corpus: Names in `NAMED_CORPORA`, `wikipedia:ko` or `kowiki`, each alone or followed by `=PATH`.
        corpus_weights: One weight for each corpus, in the order above; several corpora weigh the same without it.
        corpus_max_documents: The most documents to read: one number for every corpus or one for each; 0 for all.
        stopping_strategy: See `Interleaved`.
        text_column_name: Column that holds the text, in data sets and files with columns; named corpora have theirs.
        document_separator: See `LocalFiles`.
        encoding: See `LocalFiles`.
        encoding_errors: See `LocalFiles`.
        streaming: Read data sets over the network instead of downloading them first.
        cache_dir: Folder for downloads.
        seed: Seed of the interleaving.
        split: Split of the data sets.

    Raises:
        UsageError: Nothing was named, a name is unknown, or the numbers of configurations, weights or
            limits do not fit.
        CorpusError: A file is not there.
    """
    corpora: list[Corpus] = [
        HubDataset(
            name,
            config_name,
            split,
            text_column_name=text_column_name,
            streaming=streaming,
            cache_dir=cache_dir,
        )
        for name, config_name in _with_configurations(dataset_name or [], dataset_config_name or [])
    ]
    patterns = list(train_file or [])
    apart = bool(corpus_weights) or len(corpus_max_documents or []) > 1
    for group in [[pattern] for pattern in patterns] if apart else [patterns] if patterns else []:
        corpora.append(
            LocalFiles(
                group,
                text_column_name=text_column_name,
                document_separator=document_separator,
                encoding=encoding,
                encoding_errors=encoding_errors,
            )
        )
    corpora += [
        open_named_corpus(
            item, encoding=encoding, encoding_errors=encoding_errors, streaming=streaming, cache_dir=cache_dir
        )
        for item in corpus or []
    ]
    if not corpora:
        raise UsageError(
            "no training text was named: give --train_file (paths, globs or folders), --dataset_name, or --corpus "
            f"({', '.join(NAMED_CORPORA)})"
        )
    corpora = _limited(corpora, corpus_max_documents or [])
    if corpus_weights and len(corpus_weights) != len(corpora):
        order = ", ".join(part.name for part in corpora)
        raise UsageError(
            f"--corpus_weights has {len(corpus_weights)} values for {len(corpora)} corpora: give one weight for each "
            f"of, in this order: {order}"
        )
    mixed = Interleaved(corpora, corpus_weights or None, stopping_strategy, seed)
    return mixed if len(corpora) > 1 else corpora[0]


def _with_configurations(names: Sequence[str], configurations: Sequence[str]) -> list[tuple[str, str | None]]:
    if not configurations:
        return [(name, None) for name in names]
    if len(configurations) != len(names):
        raise UsageError(
            f"--dataset_config_name has {len(configurations)} values for {len(names)} data sets: give one for each "
            "--dataset_name, with none for a data set without configurations"
        )
    return [
        (name, None if configuration.lower() in ("", "none") else configuration)
        for name, configuration in zip(names, configurations, strict=True)
    ]


def _limited(corpora: list[Corpus], limits: Sequence[int]) -> list[Corpus]:
    if len(limits) not in (0, 1, len(corpora)):
        order = ", ".join(part.name for part in corpora)
        raise UsageError(
            f"--corpus_max_documents has {len(limits)} values for {len(corpora)} corpora: give one number, or one for "
            f"each of, in this order: {order}"
        )
    if any(limit < 0 for limit in limits):
        raise UsageError(f"--corpus_max_documents {min(limits)}: give a number of documents, or 0 for all of them")
    each = list(limits) * len(corpora) if len(limits) == 1 else limits or [0] * len(corpora)
    return [Limited(part, limit) if limit else part for part, limit in zip(corpora, each, strict=True)]
