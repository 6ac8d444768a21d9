"""The options of tagging data; names follow run_ner.py where it has them."""

from dataclasses import dataclass, field
from typing import ClassVar

from electra_hf.errors import UsageError
from electra_hf.finetuning.tagging.published import OWN_TASKS, tagging_task_names
from electra_hf.finetuning.tasks.arguments import ExampleArguments

FILE_FORMATS = ("conll", "conllu", "klue", "naver", "json")


@dataclass
class TaggingArguments(ExampleArguments):
    """What is tagged, from which data, how its tags are written, and how long a window may be.

    Raises:
        UsageError: For a number out of its range, or options that contradict each other.
    """

    own_tasks: ClassVar[tuple[str, ...]] = OWN_TASKS

    task_name: str | None = field(
        default="ner",
        metadata={
            "help": "ner, pos or chunk for data of your own, or a published task: conll2003 wnut17 wikiann klue_ner "
            "naver_ner stockmark_ner; several with commas."
        },
    )
    dataset_config_name: str | None = field(
        default=None, metadata={"help": "Configuration of the data set; the language for wikiann."}
    )
    train_file: str | None = field(
        default=None,
        metadata={
            "help": "Training examples, a path or URL: columns, .jsonl, .json or .parquet; text may be compressed. "
            "With a published task: read instead of its file."
        },
    )
    text_column_name: str | None = field(
        default=None,
        metadata={
            "help": "Column of the tokens or of the text; in a file of columns its number from 0, from the last if "
            "negative. Default: tokens, words or text; the first."
        },
    )
    label_column_name: str | None = field(
        default=None,
        metadata={
            "help": "Column of the tags or of the entities, or its number. Default: <task>_tags, tags, labels or "
            "entities; the last."
        },
    )
    file_format: str = field(
        default="auto",
        metadata={
            "help": "Format of --train_file and the others: conll (a line for each token), conllu, klue (characters "
            "after `## ` lines), naver (sentence, tab, tags), json (lines or an array of tokens and tags, or of text "
            "and entities). auto: by the suffix and the first lines.",
            "choices": ["auto", *FILE_FORMATS],
        },
    )
    source_scheme: str = field(
        default="auto",
        metadata={
            "help": "How the data writes entities; auto: by the training tags. Prefixes and suffixes are told apart.",
            "choices": ["auto", "IOB1", "IOB2", "IO", "BIOES", "BILOU"],
        },
    )
    tag_scheme: str = field(
        default="IOB2", metadata={"help": "Tags that the model learns.", "choices": ["IOB2", "BIOES"]}
    )
    label_unit: str = field(
        default="auto",
        metadata={
            "help": "What has a tag. auto: what the file tags; for text with entities words, if every training entity "
            "begins and ends at the border of one, else characters.",
            "choices": ["auto", "word", "character"],
        },
    )
    tokenization: str = field(
        default="unit",
        metadata={
            "help": "unit: no token covers two units. text: the text as a whole, as a pipeline will tokenize it.",
            "choices": ["unit", "text"],
        },
    )
    label_all_tokens: bool = field(
        default=False, metadata={"help": "Train on all tokens of a unit instead of its first one."}
    )
    return_entity_level_metrics: bool = field(
        default=False,
        metadata={"help": "Report the scores of each type of entity, or of each tag of pos, beside those of all."},
    )
    doc_stride: int | None = field(
        default=None,
        metadata={
            "help": "Tokens that two windows of a text longer than --max_seq_length share; default: a quarter of it."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task_name == "pos":
            for name, default in (("tag_scheme", "IOB2"), ("source_scheme", "auto")):
                if getattr(self, name) != default:
                    raise UsageError(
                        f"--{name} is for tags of entities; those of --task_name pos stand for themselves"
                    )
        if self.doc_stride is None:
            self.doc_stride = self.max_seq_length // 4
        if self.doc_stride < 0:
            raise UsageError(f"--doc_stride {self.doc_stride}: it must be 0 or more")

    def task_names(self) -> list[str]:
        """The tasks that --task_name asks for; `ner` without it.

        Raises:
            UsageError: No such task.
        """
        return tagging_task_names(self.task_name or "ner")
