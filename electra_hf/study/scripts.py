"""The scripts that a study starts: their options, and where they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import electra_hf
from electra_hf.corpora.arguments import SourceArguments
from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import EncoderArguments, FinetuneModelArguments, FinetuningArguments
from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.published import tagging_task_names
from electra_hf.finetuning.tagging.training_arguments import TaggingTrainingArguments
from electra_hf.finetuning.tasks import TaskArguments, task_names
from electra_hf.parser import ConfigArgumentParser
from electra_hf.tokens.arguments import BlockArguments
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments

PRETRAINING = "run_pretraining"
# The dataclasses of each script, without the search.
ARGUMENTS: dict[str, tuple[type, ...]] = {
    PRETRAINING: (ModelArguments, DataArguments, PretrainingArguments),
    "run_glue": (FinetuneModelArguments, TaskArguments, FinetuningArguments),
    "run_ner": (EncoderArguments, TaggingArguments, TaggingTrainingArguments),
}
TASK_NAMES = {"run_glue": task_names, "run_ner": tagging_task_names}


def option_parser(script: str) -> ConfigArgumentParser:
    """A parser of the options of a script."""
    return ConfigArgumentParser(ARGUMENTS[script], prog=f"{script}.py")


def field_names(*dataclasses: type) -> frozenset[str]:
    """The options that dataclasses describe."""
    return frozenset(name for one in dataclasses for name in one.__dataclass_fields__)  # type: ignore[attr-defined]


SOURCE_OPTIONS = field_names(SourceArguments)
BLOCK_OPTIONS = field_names(BlockArguments)


def parse_options(script: str, settings: dict[str, Any], where: str) -> tuple[Any, ...]:
    """The dataclasses of a script, filled and checked as the script itself would.

    Args:
        script: A name in `ARGUMENTS`.
        settings: Values of its options.
        where: Where they come from, for error messages.

    Raises:
        UsageError: For an unknown option, a value that it cannot have, or options that do not fit each other.
    """
    with said_of(where):
        return option_parser(script).parse([], settings=settings, where=where)


@contextmanager
def said_of(where: str) -> Iterator[None]:
    """Errors of usage in here name the place in the file."""
    try:
        yield
    except UsageError as error:
        text = str(error)
        raise UsageError(text if text.startswith(where) else f"{where}: {text}") from error


def find_script(script: str) -> Path:
    """The file of a script: beside the package, as in a clone, or in the current folder.

    Raises:
        UsageError: It is in neither place.
    """
    beside = Path(electra_hf.__file__).resolve().parents[1]
    places = [beside / f"{script}.py", Path.cwd() / f"{script}.py"]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        f"{script}.py is neither in {beside} nor in the current folder: the scripts are part of the repository, not "
        "of the installed package. Start the study in a clone of the repository"
    )
