"""Data sets of the Hugging Face Hub, and local folders in the layouts of the `datasets` library, as a corpus.

`datasets` reports its failures with many exceptions, often without the way out; here each becomes one `CorpusError`.
"""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from electra_hf.corpora.corpus import Corpus, text_value
from electra_hf.corpora.files import file_identity
from electra_hf.corpora.formats import ROW_KINDS, columns_text_first, join_rows, missing_column, report_nulls
from electra_hf.corpora.parts import Part
from electra_hf.errors import CorpusError, explain_os_error

# The files by which `Dataset.save_to_disk` and `DatasetDict.save_to_disk` folders are known.
_SAVED_DATASET = "state.json"
_SAVED_DATASET_DICT = "dataset_dict.json"
_BATCH_ROWS = 256
_COMMIT = re.compile(r"[0-9a-f]{40}")
# A constant, so that the parts depend on the data set alone; a multiple of the rows that are joined to one document.
ROWS_PER_PART = 2**18


class HubDataset(Corpus):
    """The text column of a data set, read through the `datasets` library.

    Args:
        name: Name on the Hub, a local folder of data files, or a folder that `save_to_disk` wrote.
        config_name: Configuration (subset) of the data set, where it has several.
        split: Split, or a slice of one in the notation of `datasets` such as `train[:1%]`.
        text_column_name: Column that holds the text.
        streaming: Read over the network instead of downloading first.
        revision: Branch, tag or commit on the Hub.
        cache_dir: Folder for downloads; the one of `datasets` when None.
        token: Access token for gated and private data sets; the one of `hf auth login` when None.
        rows: What a row is, one of `ROW_KINDS`.
        known_as: Name of a named corpus, for messages and the model card.
        files: For a named corpus, patterns of the files in its repository that it needs.

    Nothing is downloaded before the first call of `documents`, `parts` or `describe`; all raise `CorpusError` when the
    data set is out of reach or does not have the configuration, split or column.
    """

    def __init__(
        self,
        name: str,
        config_name: str | None = None,
        split: str = "train",
        *,
        text_column_name: str = "text",
        streaming: bool = False,
        revision: str | None = None,
        cache_dir: str | None = None,
        token: str | None = None,
        rows: str = "documents",
        known_as: str | None = None,
        files: Sequence[str] = (),
    ) -> None:
        assert rows in ROW_KINDS
        self.path = name
        self.config_name = config_name
        self.split = split
        self.text_column_name = text_column_name
        self.streaming = streaming
        self.revision = revision
        self.cache_dir = cache_dir
        self.token = token
        self.rows = rows
        self.known_as = known_as
        self.files = tuple(files)
        self.name = known_as or (f"{name}/{config_name}" if config_name else name)
        self._dataset: Any = None
        self._fingerprint: Any = None
        self._commit: str | None = None

    def describe(self) -> dict[str, Any]:
        """Name, options that choose the text, and the fingerprint of the revision that is read."""
        self._load()
        return {
            "kind": "dataset",
            "name": Path(self.path).name if os.path.exists(self.path) else self.path,
            "config_name": self.config_name,
            "split": self.split,
            "revision": self.revision,
            "text_column_name": self.text_column_name,
            "rows": self.rows,
            "fingerprint": self._fingerprint,
        }

    def parts(self) -> list[Part]:
        """A part is `ROWS_PER_PART` rows, or a whole stream.

        It opens the data set in the process that reads it, at the commit that was found here.
        """
        dataset = self._load()
        if self.streaming:
            return [Part(self.name, partial(self._documents_of, 0, None))]
        return [
            Part(f"{self.name}, rows from {start}", partial(self._documents_of, start, ROWS_PER_PART))
            for start in range(0, max(len(dataset), 1), ROWS_PER_PART)
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dataset": None, "_fingerprint": None}

    def _documents_of(self, start: int, size: int | None) -> Iterator[str]:
        """The documents that begin in the `size` rows from `start` on."""
        return join_rows(self._texts_from(start, size), self.rows, size, first=start == 0)

    def _texts_from(self, start: int, size: int | None) -> Iterator[str]:
        """The texts of the rows from `start` on, empty where one is missing, until the reader has enough."""
        nulls = 0
        try:
            for row, value in enumerate(self._values(start, size), start):
                place = f"{self.name}, split {self.split!r}, row {row}, column {self.text_column_name!r}"
                text = text_value(value, place)
                nulls += text is None and (size is None or row < start + size)
                yield text or ""
        finally:
            report_nulls(self.name, self.text_column_name, nulls)

    def _values(self, start: int, size: int | None) -> Iterator[object]:
        column = self.text_column_name
        dataset = self._load().select_columns([column])
        if size is not None:
            # The last article of a part goes on beyond its end.
            stop = len(dataset) if self.rows == "wikitext" else min(start + size, len(dataset))
            dataset = dataset.select(range(start, stop))
        with self._reported():
            for batch in dataset.iter(_BATCH_ROWS):
                yield from batch[column]

    def _load(self) -> Any:
        """Open the data set once; every pass iterates it again."""
        if self._dataset is None:
            with self._reported():
                folder = Path(self.path)
                saved = (folder / _SAVED_DATASET).is_file() or (folder / _SAVED_DATASET_DICT).is_file()
                dataset, fingerprint = self._open_saved(folder) if saved else self._open()
                columns = _columns(dataset)
            if self.text_column_name not in columns:
                raise missing_column(self.name, self.text_column_name, columns)
            self._dataset, self._fingerprint = dataset, fingerprint
        return self._dataset

    def _open(self) -> tuple[Any, Any]:
        from datasets import load_dataset_builder

        # The two halves of `load_dataset`: the builder between them knows the revision.
        revision = self._commit or self.revision
        builder = load_dataset_builder(
            self.path, self.config_name, revision=revision, cache_dir=self.cache_dir, token=self.token
        )
        # The hash of a data set of the Hub is its commit; that of local files is shorter.
        if _COMMIT.fullmatch(builder.hash or ""):
            self._commit = builder.hash
        if self.streaming:
            return builder.as_streaming_dataset(self.split), builder.hash
        builder.download_and_prepare()
        return builder.as_dataset(self.split), builder.hash

    def _open_saved(self, folder: Path) -> tuple[Any, Any]:
        from datasets import DatasetDict, load_from_disk

        dataset = load_from_disk(folder)
        if isinstance(dataset, DatasetDict):
            if self.split not in dataset:
                raise CorpusError(
                    f"{self.name}: no split {self.split!r} in this folder; found: {', '.join(map(str, dataset))}"
                )
            dataset = dataset[self.split]
        elif self.split not in ("train", str(dataset.split)):
            raise CorpusError(
                f"{self.name}: this folder holds a single data set without the split {self.split!r}: name the folder "
                "of that split"
            )
        return dataset, [file_identity(Path(file["filename"])) for file in dataset.cache_files]

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what `datasets` raises into a `CorpusError`."""
        from datasets.exceptions import DatasetsError
        from pyarrow import ArrowException

        try:
            yield
        except (DatasetsError, ArrowException, OSError, ValueError, RuntimeError) as error:
            raise CorpusError(f"{self.name}: {self._explain(error)}") from error

    def _explain(self, error: Exception) -> str:
        from datasets.data_files import EmptyDatasetError
        from datasets.exceptions import DatasetGenerationError
        from huggingface_hub.errors import HFValidationError

        said = " ".join(str(error).split())
        is_local = os.path.exists(self.path)
        if "scripts are no longer supported" in said:
            return (
                "this data set is a loading script, which the datasets library no longer runs: name a repository of "
                "Parquet files instead, for example wikimedia/wikipedia for wikipedia, or give text files"
            )
        if isinstance(error, EmptyDatasetError) and is_local:
            return f"the folder holds no data files ({said}): give a folder of Parquet, JSON Lines, CSV or text files"
        if isinstance(error, ConnectionError):
            return f"the Hugging Face Hub is out of reach ({said}): {self._offline_hint()}"
        if isinstance(error, FileNotFoundError | HFValidationError) and not is_local:
            return (
                f"no such data set or local folder ({said}): check the name, log in with `hf auth login` if it is "
                f"private or gated, or {self._offline_hint()}"
            )
        if "BuilderConfig" in said or "Config name is missing" in said:
            return self._explain_configuration(said)
        if "split" in said.lower() and isinstance(error, ValueError):
            return f"no split {self.split!r} ({said}): name one of the splits there are"
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) else error
        if isinstance(cause, OSError) and cause.errno:
            return explain_os_error(cause, cause.filename or "the cache of data sets")
        said = " ".join(str(cause or error).split())
        return (
            f"the data set cannot be read ({said}): check the files, or delete the data set's folder in the cache to "
            "download it again"
        )

    def _explain_configuration(self, said: str) -> str:
        wanted = self.config_name or ""
        available = re.findall(r"'([^']+)'", said.partition("Available: ")[2])
        # The configurations of Wikipedia differ in their last letters only.
        near = difflib.get_close_matches(wanted, available, n=5, cutoff=0.8)
        if self.known_as and near:
            return f"{self.path} has no configuration {wanted!r}; near ones are {', '.join(near)}: check the language"
        if len(said) > 1000:
            said = said[:1000] + "..."
        hint = f"did you mean {', '.join(near)}? Choose" if near else "choose"
        return f"unknown or missing configuration ({said}): {hint} one with --dataset_config_name"

    def _offline_hint(self) -> str:
        """What to do without a network: the command that downloads, and how its result is named."""
        revision = f" --revision {self.revision}" if self.revision else ""
        include = f" --include '{self.files[0]}'" if self.files else ""
        folder = f"--corpus {self.known_as}=FOLDER" if self.known_as else "the folder as the name"
        return (
            f"download it on a machine with a network (`hf download {self.path} --repo-type dataset{revision}"
            f"{include} --local-dir FOLDER`) and give {folder}, or set HF_HOME to a folder that has it in its cache; "
            "unset HF_HUB_OFFLINE if it is set"
        )


def _columns(dataset: Any) -> list[str]:
    """Column names, those of text first; a stream without declared features tells them by its first row."""
    if dataset.features is not None:
        return columns_text_first(dataset.features.arrow_schema)
    return list(next(iter(dataset), {}))
