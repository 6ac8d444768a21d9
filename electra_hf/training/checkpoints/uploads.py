"""What the Trainer uploads: the model, its checkpoints if asked, and nothing that only this run needs.

The stock Trainer uploads the whole output folder but `checkpoint-*`: with it would go checkpoints that are being
written, damaged or superseded, and the batches of skipped steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import trainer as stock_trainer

RUN_ONLY = ("*-checkpoint-*/*", "skipped-steps/*")


class _Api:
    """The Hub as transformers sees it; of folders that are uploaded in part, `RUN_ONLY` stays here."""

    def __init__(self, api: Any):
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def upload_folder(self, *, ignore_patterns: Sequence[str] | None = None, **options: Any) -> Any:
        if ignore_patterns is not None:
            ignore_patterns = [*ignore_patterns, *RUN_ONLY]
        return self._api.upload_folder(ignore_patterns=ignore_patterns, **options)


@contextmanager
def without_run_files() -> Iterator[None]:
    """Until this is left, the stock Trainer's uploads are without `RUN_ONLY`."""
    stock = stock_trainer.hf_api
    api: Any = _Api(stock())
    stock_trainer.hf_api = lambda: api
    try:
        yield
    finally:
        stock_trainer.hf_api = stock
