"""The published tagging tasks: where their files are, their types of entities, and how many sentences were published.

Types are those of the published annotation. CoNLL-2003 is Tjong Kim Sang & De Meulder (2003), WNUT-17 Derczynski et
al. (2017), WikiANN Pan et al. (2017) in the splits of Rahimi et al. (2019), KLUE-NER Park et al. (2021), the Naver
data that of the NLP Challenge 2018 in the layout of KoELECTRA, and the Japanese data Stockmark's of Wikipedia.
"""

from dataclasses import dataclass

from electra_hf.errors import UsageError
from electra_hf.finetuning.tagging.data import Kind, TaggingTask, Unit
from electra_hf.finetuning.tasks.arguments import ExampleArguments
from electra_hf.finetuning.tasks.locations import PublishedTask, data_set_on_hub
from electra_hf.finetuning.tasks.published import HubSource, Publication, nearest_task

OWN_KINDS: dict[str, Kind] = {"ner": "ner", "pos": "pos", "chunk": "chunk"}
OWN_TASKS = tuple(OWN_KINDS)

TASKS: dict[str, TaggingTask] = {
    task.name: task
    for task in (
        TaggingTask("conll2003"),
        TaggingTask("wnut17"),
        TaggingTask("wikiann"),
        TaggingTask("klue_ner", metrics=("entity_macro_f1", "char_f1")),
        TaggingTask("naver_ner"),
        TaggingTask("stockmark_ner"),
    )
}

# Other names of the tasks.
_ALIASES = {
    "conll": "conll2003",
    "conll03": "conll2003",
    "wnut": "wnut17",
    "wnut2017": "wnut17",
    "panx": "wikiann",
    "klue": "klue_ner",
    "naver": "naver_ner",
    "stockmark": "stockmark_ner",
}


@dataclass(frozen=True, kw_only=True)
class TaggingPublication(Publication):
    """How a tagging task's data was published; `rows` are sentences.

    Attributes:
        types: Types of entities.
        unit: What has a tag in the published data; None if entities are spans of characters.
        label_column: Number of the column of the tags in files of columns, from the last if negative.
    """

    types: tuple[str, ...]
    unit: Unit | None = "word"
    label_column: int = -1


_TOKENS, _NER_TAGS = ("tokens",), ("ner_tags",)

PUBLICATIONS: dict[str, TaggingPublication] = {
    "conll2003": TaggingPublication(
        {"train": 14_041, "validation": 3_250, "test": 3_453},
        ("conll2003", "."),
        {
            "train": ("eng.train", "train.txt"),
            "validation": ("eng.testa", "valid.txt"),
            "test": ("eng.testb", "test.txt"),
        },
        _TOKENS,
        _NER_TAGS,
        hub=HubSource("tomaarsen/conll2003"),
        format="conll",
        types=("LOC", "MISC", "ORG", "PER"),
    ),
    "wnut17": TaggingPublication(
        {"train": 3_394, "validation": 1_009, "test": 1_287},
        ("WNUT17/CONLL-format/data", "CONLL-format/data", "."),
        {
            "train": ("wnut17train.conll", "*/wnut17train.conll"),
            "validation": ("emerging.dev.conll", "*/emerging.dev.conll"),
            "test": ("emerging.test.annotated", "*/emerging.test.annotated"),
        },
        _TOKENS,
        _NER_TAGS,
        hub=HubSource("leondz/wnut_17", revision="refs/convert/parquet"),
        format="conll",
        types=("corporation", "creative-work", "group", "location", "person", "product"),
    ),
    "wikiann": TaggingPublication(
        {},
        ("panx_dataset/{config}", "{config}", "."),
        {
            "train": ("train", "train-{config}.tsv"),
            "validation": ("dev", "dev-{config}.tsv"),
            "test": ("test", "test-{config}.tsv"),
        },
        _TOKENS,
        _NER_TAGS,
        hub=HubSource("unimelb-nlp/wikiann", "{config}"),
        format="conll",
        types=("LOC", "ORG", "PER"),
    ),
    "klue_ner": TaggingPublication(
        {"train": 21_008, "validation": 5_000},
        ("klue-ner-v1*", "klue_benchmark/klue-ner-v1*", "."),
        {
            "train": ("klue-ner-v1*_train.tsv", "klue-ner-v1*_train_first5000.tsv"),
            "validation": ("klue-ner-v1*_dev.tsv",),
        },
        _TOKENS,
        _NER_TAGS,
        hub=HubSource("klue/klue", "ner"),
        format="klue",
        types=("DT", "LC", "OG", "PS", "QT", "TI"),
        unit="character",
    ),
    "naver_ner": TaggingPublication(
        {"train": 81_000, "test": 9_000},
        ("naver-ner", "naver_ner", "."),
        {"train": ("train.tsv",), "test": ("test.tsv",)},
        _TOKENS,
        _NER_TAGS,
        format="naver",
        types=(
            *("AFW", "ANM", "CVL", "DAT", "EVT", "FLD", "LOC"),
            *("MAT", "NUM", "ORG", "PER", "PLT", "TIM", "TRM"),
        ),
        elsewhere="finetune/data/naver-ner of https://github.com/monologg/KoELECTRA",
    ),
    "stockmark_ner": TaggingPublication(
        {"train": 5_343},
        ("ner-wikipedia-dataset", "."),
        {"train": ("ner.json",)},
        ("text",),
        ("entities",),
        hub=HubSource("stockmark/ner-wikipedia-dataset"),
        format=".json",
        types=(
            *("その他の組織名", "イベント名", "人名", "地名"),
            *("政治的組織名", "施設名", "法人名", "製品名"),
        ),
        unit=None,
    ),
}


def tagging_task_names(argument: str) -> list[str]:
    """The tasks that `--task_name` asks for.

    Args:
        argument: Names with commas between them, in any spelling (`WNUT-17`, `klue-ner`).

    Returns:
        `ner`, `pos`, `chunk` or keys of `TASKS`, in the order of the argument, each once.

    Raises:
        UsageError: No such task; the message names the nearest one.

    >>> tagging_task_names("WNUT-17,pos")
    ['wnut17', 'pos']
    """
    known = {name: name for name in (*OWN_TASKS, *TASKS)} | _ALIASES
    message = f"The tasks are {', '.join(TASKS)}, and {', '.join(OWN_TASKS)} for data of your own"
    return list(dict.fromkeys(nearest_task(word, known, message) for word in argument.split(",")))


def published_task(name: str, arguments: ExampleArguments) -> PublishedTask:
    """A published task with the configuration that the options ask for.

    Args:
        name: Key of `TASKS`.
        arguments: `dataset_name` and `dataset_config_name`.

    Raises:
        UsageError: A configuration for a task that has none, or wikiann without its language.
    """
    config = arguments.dataset_config_name
    if arguments.dataset_name is None:
        if name == "wikiann" and config is None:
            raise UsageError(
                "wikiann is in many languages: choose one with --dataset_config_name, such as en, ko or ja"
            )
        if name != "wikiann" and config is not None:
            raise UsageError(f"--dataset_config_name {config}: {name} has no configurations: leave it out")
    return PublishedTask(name, PUBLICATIONS[name], config, PUBLICATIONS.values())


def hub_dataset(name: str, arguments: ExampleArguments) -> tuple[str, str | None] | None:
    """The data set of the Hub that a task's examples are of, and its configuration; also if they were read from files.

    Args:
        name: A task; `ner`, `pos` and `chunk` are data of one's own.
        arguments: Where the data is.

    Returns:
        None if the data is in no data set of the Hub, or in part from files of one's own.
    """
    return data_set_on_hub(PUBLICATIONS.get(name), arguments.dataset_config_name, arguments)
