"""Corpora that have a name: where each is found, how it is read, and under which licence.

The table of docs/corpora.md is this one; a test compares them.
"""

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from electra_hf.corpora.corpus import Converted, Corpus
from electra_hf.corpora.files import LocalFiles, find_files
from electra_hf.corpora.formats import ReadingOptions
from electra_hf.corpora.hub import HubDataset
from electra_hf.corpora.namuwiki import strip_markup
from electra_hf.corpora.parts import Converter
from electra_hf.corpora.python_docs import PythonDocs
from electra_hf.errors import CorpusError, UsageError

# The newest snapshot of all languages that Wikimedia has put on the Hub.
WIKIPEDIA_SNAPSHOT = "20231101"

_LANGUAGE = re.compile(r"[a-z]{2,12}(?:[-_][a-z]{2,8}){0,2}")
_BREAKS = re.compile(r"(?:\s{0,8}<br\s{0,8}/?>\s{0,8})+", re.IGNORECASE)


@dataclass(frozen=True)
class NamedCorpus:
    """One corpus.

    Attributes:
        name: Its name for `--corpus`.
        dataset: Its data set on the Hub; None for the embedded corpus.
        license: As the data set states it.
        size: Roughly, for people.
        config: Configuration of the data set.
        split: Split of the data set.
        column: Column that holds the text.
        revision: Branch of the data set, where it is not the main one.
        files: Patterns for the ends of the paths of its files; empty for all files of a folder. The first one is for
            the data set's repository, the others for other copies of the same text.
        rows: What a row is, one of `ROW_KINDS`.
        document_separator: What ends a document in its text files.
        clean: What its texts go through.
        cleaning: The name of that, raised by a number when it changes.
        language: ISO 639 code of most of the text.
    """

    name: str
    dataset: str | None
    license: str
    size: str
    config: str | None = None
    split: str = "train"
    column: str = "text"
    revision: str | None = None
    files: tuple[str, ...] = ()
    rows: str = "documents"
    document_separator: str = "blank_line"
    clean: Converter | None = None
    cleaning: str = ""
    language: str = "en"

    def open(
        self,
        path: str | None = None,
        *,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
        streaming: bool = False,
        cache_dir: str | None = None,
    ) -> Corpus:
        """Open the corpus from the Hub, or from its files.

        Args:
            path: A file, glob, folder or URL that holds the corpus; None for the Hub.
            encoding: See `LocalFiles`.
            encoding_errors: See `LocalFiles`.
            streaming: See `HubDataset`.
            cache_dir: See `HubDataset`.

        Raises:
            CorpusError: No such files, or a folder without files of this corpus.
        """
        if path is not None:
            options = ReadingOptions(self.column, self.document_separator, encoding, encoding_errors, self.rows)
            corpus: Corpus = _NamedFiles(self, path, options)
        elif self.dataset is None:
            return PythonDocs()
        else:
            corpus = HubDataset(
                self.dataset,
                self.config,
                self.split,
                text_column_name=self.column,
                streaming=streaming,
                revision=self.revision,
                cache_dir=cache_dir,
                rows=self.rows,
                known_as=self.name,
                files=self.files,
            )
        if self.clean is not None:
            corpus = Converted(corpus, self.clean, {"cleaning": self.cleaning})
        return corpus


class _NamedFiles(LocalFiles):
    """Files of a named corpus: of a folder, those that belong to it."""

    def __init__(self, corpus: NamedCorpus, path: str, options: ReadingOptions) -> None:
        chosen, named = _files_of(corpus, path)
        super().__init__(
            chosen,
            text_column_name=options.text_column_name,
            document_separator=options.document_separator,
            encoding=options.encoding,
            encoding_errors=options.encoding_errors,
        )
        if not named:
            self._files = dict.fromkeys(self._files, False)
        self.options = options
        self.name = corpus.name

    def explain_nothing_found(self) -> str:
        return f"{self.name}: its files hold no text: check the path that follows {self.name}="


def _files_of(corpus: NamedCorpus, path: str) -> tuple[list[str], bool]:
    """The files of a corpus that a path stands for, and whether it names them rather than a folder.

    Raises:
        CorpusError: Nothing is there, or a folder holds other files only.
    """
    files, named = find_files(path)
    if named or not corpus.files:
        return [path], named
    # With the folders above them: the path may lead into the middle of the corpus, such as train/unsup.
    places = {str(file): PurePath(str(file.absolute())) for file in files}
    for pattern in corpus.files:
        if chosen := [name for name, place in places.items() if place.match(pattern)]:
            return chosen, False
    raise CorpusError(
        f"{corpus.name}={path}: none of the {len(files)} files in this folder belongs to the corpus, whose files are "
        f"{' or '.join(corpus.files)}: give the folder that holds them, or name a file or a glob to read other ones"
    )


def line_breaks(text: str) -> tuple[str]:
    r"""A text with line ends for its HTML line breaks.

    >>> line_breaks("Great.<br /><br />Or not.")
    ('Great.\nOr not.',)
    """
    return (_BREAKS.sub("\n", text),)


def _by_name(*corpora: NamedCorpus) -> dict[str, NamedCorpus]:
    return {corpus.name: corpus for corpus in corpora}


_WIKIPEDIA = NamedCorpus(
    "wikipedia:LANGUAGE",
    "wikimedia/wikipedia",
    "CC BY-SA 3.0, GFDL",
    "11.6 GB (en), 0.8 GB (ko) to download",
    config=f"{WIKIPEDIA_SNAPSHOT}.LANGUAGE",
)

NAMED_CORPORA = _by_name(
    NamedCorpus("python-docs", None, "PSF-2.0", "2 MB of text, 435 documents (Python 3.11)"),
    _WIKIPEDIA,
    NamedCorpus(
        "bookcorpus",
        "bookcorpus/bookcorpus",
        "not stated; the books keep their authors' terms",
        "4.9 GB of text, 74,004,228 sentences",
        # The main branch is a loading script, which datasets no longer runs; this one is the Hub's own Parquet copy.
        revision="refs/convert/parquet",
        files=("plain_text/train/*", "books_large_p*.txt*"),
        rows="sentences",
        document_separator="line",
    ),
    NamedCorpus(
        "wikitext-103",
        "Salesforce/wikitext",
        "CC BY-SA 3.0, GFDL",
        "0.5 GB of text, 1,801,350 lines",
        config="wikitext-103-raw-v1",
        files=("*wikitext-103-raw-v1/train-*", "*wiki.train.*"),
        rows="wikitext",
    ),
    NamedCorpus(
        "openwebtext",
        "Skylion007/openwebtext",
        "CC0 for the collection; the pages keep their terms",
        "40 GB of text, 8,013,769 pages",
        config="plain_text",
        files=("*train-*.parquet",),
    ),
    NamedCorpus(
        "fineweb-edu",
        "HuggingFaceFW/fineweb-edu",
        "ODC-By 1.0; the pages keep their terms",
        "10 billion tokens (its smallest sample)",
        config="sample-10BT",
        files=("*sample/10BT/*",),
    ),
    NamedCorpus(
        "namuwiki",
        "heegyu/namuwiki-extracted",
        "CC BY-NC-SA 2.0 KR",
        "2.4 GB to download (March 2021)",
        clean=strip_markup,
        cleaning="namuwiki 1",
        language="ko",
    ),
    NamedCorpus(
        "petitions",
        "heegyu/korean-petitions",
        "MIT for the collection; the archive states none",
        "about 0.7 GB of text (2017-08 to 2019-08)",
        column="content",
        files=("*petitions_20*",),
        language="ko",
    ),
    NamedCorpus(
        "imdb-unsup",
        "stanfordnlp/imdb",
        "not stated; for research",
        "67 MB of text, 50,000 reviews",
        config="plain_text",
        split="unsupervised",
        files=("*unsupervised-*", "*unsup/*.txt"),
        document_separator="file",
        clean=line_breaks,
        cleaning="line breaks 1",
    ),
)


def find_named_corpus(name: str) -> NamedCorpus:
    """The corpus of a name: one of `NAMED_CORPORA`, `wikipedia:ko` or its short form `kowiki`.

    Raises:
        UsageError: There is no such corpus.
    """
    if name in NAMED_CORPORA and name != _WIKIPEDIA.name:
        return NAMED_CORPORA[name]
    prefix, separator, language = name.partition(":")
    if not separator and name.endswith("wiki"):
        prefix, language = "wikipedia", name.removesuffix("wiki")
    if prefix == "wikipedia" and _LANGUAGE.fullmatch(language):
        config = f"{WIKIPEDIA_SNAPSHOT}.{language.replace('_', '-')}"
        wiki = f"{language.replace('-', '_')}wiki"
        files = (f"*{config}/*", f"{wiki}-*pages-articles*.xml*", "pages-articles*.xml*", "wiki_[0-9][0-9]*")
        code = language.replace("_", "-")
        return replace(_WIKIPEDIA, name=name, config=config, files=files, language="en" if code == "simple" else code)
    known = [*NAMED_CORPORA, "kowiki", "jawiki", "enwiki"]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"unknown corpus {name!r}: {hint}There are: {', '.join(NAMED_CORPORA)}, with a language code such as ko for "
        "LANGUAGE (kowiki for short); for your own text use --train_file or --dataset_name"
    )


def open_named_corpus(item: str, **options: Any) -> Corpus:
    """Open NAME or NAME=PATH.

    Args:
        item: The value of `--corpus`.
        options: See `NamedCorpus.open`.

    Raises:
        UsageError: There is no such corpus, or the embedded one was given a path.
        CorpusError: Nothing is at the path.
    """
    name, given, path = item.partition("=")
    corpus = find_named_corpus(name)
    if given and not path:
        raise UsageError(f"--corpus {item}: no path after the equals sign: write {name}=PATH, or {name} alone")
    if given and corpus.dataset is None:
        raise UsageError(f"--corpus {item}: {name} comes with Python and has no files: write {name} alone")
    return corpus.open(path or None, **options)
