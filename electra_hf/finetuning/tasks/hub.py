"""Data sets of the Hub, and local folders in the layouts of `datasets`, as tables."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

from electra_hf.corpora.hub import HubDataset
from electra_hf.errors import CorpusError
from electra_hf.finetuning.tasks.tables import Table, arrow_table


class HubTables(HubDataset):
    """All splits of a data set with labels.

    It reads several columns, where its base reads one as a corpus; the explanations of failures are the base's.

    Args:
        name: Repository on the Hub, a local folder of data files, or a folder that `save_to_disk` wrote.
        config_name: Configuration of the data set, where it has several.
        revision: Branch, tag or commit on the Hub.
        cache_dir: Folder for downloads; the one of `datasets` when None.
    """

    def __init__(
        self, name: str, config_name: str | None = None, *, revision: str | None = None, cache_dir: str | None = None
    ) -> None:
        super().__init__(name, config_name, revision=revision, cache_dir=cache_dir)
        self._splits: dict[str, Any] | None = None

    def splits(self) -> list[str]:
        """Names of its splits.

        Raises:
            CorpusError: The data set is out of reach, is a loading script, or does not have the configuration.
        """
        return list(self._all())

    def table(self, split: str, keep: Collection[str] | None = None) -> Table:
        """One split.

        Args:
            split: One of `splits`.
            keep: Columns to read, as far as they are there; all when None. A member of a struct is `struct.member`.

        Raises:
            CorpusError: As in `splits`, and if the data set has no such split.
        """
        splits = self._all()
        if split not in splits:
            raise CorpusError(f"{self.name}: no split {split!r}; found: {', '.join(splits)}")
        dataset = splits[split]
        wanted = [
            column
            for column in dataset.column_names
            if keep is None or any(name == column or name.startswith(column + ".") for name in keep)
        ]
        with self._reported():
            chosen = dataset.select_columns(wanted).with_format("arrow")
            table = chosen[:]
        return arrow_table(f"{self.name}, split {split!r}", table, dataset.features, dataset.column_names, keep)

    def _all(self) -> dict[str, Any]:
        if self._splits is None:
            from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

            folder = Path(self.path)
            saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
            with self._reported():
                loaded = (
                    load_from_disk(folder)
                    if saved
                    else load_dataset(
                        self.path, self.config_name, revision=self.revision, cache_dir=self.cache_dir, token=self.token
                    )
                )
            if isinstance(loaded, Dataset):
                loaded = {str(loaded.split or "train"): loaded}
            self._splits = {str(name): split for name, split in cast(DatasetDict, loaded).items()}
        return self._splits
