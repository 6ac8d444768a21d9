"""The published tasks: what they are, which files and columns they consist of, and how many rows were published.

Labels are in the order of their numbers in the published files, or on the Hub where files have words. Metrics are
those of GLUE, KLUE and JGLUE; the first is the one that the ELECTRA paper reports (accuracy, except Matthews
correlation for CoLA and Spearman correlation for STS-B), or the benchmark's own. docs/tasks.md explains the data.
"""

import difflib
from dataclasses import dataclass, field, replace

from electra_hf.errors import UsageError
from electra_hf.finetuning.tasks.task import Task

GLUE_TASKS = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
PAWSX_LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "zh")

_NLI = ("entailment", "neutral", "contradiction")
_ENTAILMENT = ("entailment", "not_entailment")
_SENTIMENT = ("negative", "positive")
_TOPICS = ("IT과학", "경제", "사회", "생활문화", "세계", "스포츠", "정치")
_CORRELATIONS = ("pearson", "spearmanr")

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("cola", metrics=("matthews_correlation",), labels=("unacceptable", "acceptable")),
        Task("sst2", labels=_SENTIMENT),
        Task("mrpc", metrics=("accuracy", "f1"), labels=("not_equivalent", "equivalent"), double_unordered=True),
        Task("stsb", "regression", ("spearmanr", "pearson"), epochs=10.0, double_unordered=True, score_scale=5.0),
        Task("qqp", metrics=("accuracy", "f1"), labels=("not_duplicate", "duplicate")),
        Task("mnli", labels=_NLI),
        Task("qnli", labels=_ENTAILMENT),
        Task("rte", labels=_ENTAILMENT, epochs=10.0),
        Task("wnli", labels=("not_entailment", "entailment")),
        Task("ax", metrics=("matthews_correlation",), labels=_NLI),
        Task("imdb", labels=("neg", "pos")),
        Task("nsmc", labels=_SENTIMENT),
        Task("klue_ynat", metrics=("macro_f1",), labels=_TOPICS),
        Task("klue_nli", labels=_NLI),
        Task("klue_sts", "regression", ("pearson", "f1_at_3"), score_scale=5.0),
        Task("marc_ja", labels=_SENTIMENT),
        Task("jnli", labels=("entailment", "contradiction", "neutral")),
        Task("jsts", "regression", _CORRELATIONS, score_scale=5.0),
        Task("pawsx", labels=("not_paraphrase", "paraphrase")),
    )
}

# Other names of the tasks, without the - _ and space that do not matter.
_ALIASES = {"ynat": "klue_ynat", "nli": "klue_nli", "sts": "klue_sts", "diagnostic": "ax"}


@dataclass(frozen=True)
class HubSource:
    """A task's data set on the Hub.

    Attributes:
        name: Its repository; it holds Parquet files, because `datasets` no longer runs loading scripts.
        config: Its configuration, if it has several.
        revision: Branch, where the Parquet files are not in the main one.
        splits: Our split to its split, where they differ.
    """

    name: str
    config: str | None = None
    revision: str | None = None
    splits: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Publication:
    """How a task's data was published.

    Attributes:
        rows: Split to number of rows, of every split that was published.
        folders: Folders that hold the files, below --data_dir or itself (`.`), as patterns; searched in this order.
        files: Split to the names of its file, as patterns in the order of preference.
        text: Names of the column of the text in the files and on the Hub.
        text_pair: Names of the column of the second text; empty for single texts.
        label: Names of the column of the label.
        hub: The data set on the Hub; None if there is none that can be read.
        format: Of files whose suffix does not tell.
        headers: Split to column names, where the file has no header line.
        leave_out_malformed: The published files have damaged lines, which everybody leaves out.
        elsewhere: Where the files come from, where there is no `hub`.
    """

    rows: dict[str, int]
    folders: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    text: tuple[str, ...]
    label: tuple[str, ...] = ("label",)
    text_pair: tuple[str, ...] = ()
    hub: HubSource | None = None
    format: str = ".tsv"
    headers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    leave_out_malformed: bool = False
    elsewhere: str = ""


def _rows(train: int, validation: int, test: int | None = None) -> dict[str, int]:
    rows = {"train": train, "validation": validation}
    return rows if test is None else {**rows, "test": test}


_GLUE_FILES = {"train": ("train.tsv",), "validation": ("dev.tsv",), "test": ("test.tsv",)}
_FIRST, _SECOND = ("sentence1",), ("sentence2",)


def _glue(
    name: str,
    folder: str,
    rows: dict[str, int],
    text: tuple[str, ...],
    text_pair: tuple[str, ...] = (),
    label: tuple[str, ...] = ("label",),
) -> Publication:
    return Publication(rows, (folder, "."), _GLUE_FILES, text, label, text_pair, HubSource("nyu-mll/glue", name))


def _klue(name: str, train: int, validation: int, text: str, label: tuple[str, ...], pair: str = "") -> Publication:
    folder = f"klue-{name}-v1*"
    return Publication(
        _rows(train, validation),
        (folder, f"klue_benchmark/{folder}", "."),
        {"train": (f"klue-{name}-v1*_train.json",), "validation": (f"klue-{name}-v1*_dev.json",)},
        (text,),
        label=label,
        text_pair=(pair,) if pair else (),
        hub=HubSource("klue/klue", name),
        format=".json",
    )


def _jglue(name: str, rows: dict[str, int], text: str, pair: str = "") -> Publication:
    folder = f"{name}-v1*"
    no_longer = " (marc_ja itself is no longer distributed)" if name == "marc_ja" else ""
    return Publication(
        rows,
        (folder, f"datasets/{folder}", "."),
        {"train": ("train-v*.json",), "validation": ("valid-v*.json",), "test": ("test-v*.json",)},
        (text,),
        text_pair=(pair,) if pair else (),
        format=".json",
        elsewhere=f"the folder {name}-v1.* in datasets/ of https://github.com/yahoojapan/JGLUE{no_longer}",
    )


_COLA = _glue("cola", "CoLA", _rows(8_551, 1_043, 1_063), ("sentence",))
_QQP = _glue("qqp", "QQP", _rows(363_846, 40_430, 390_965), ("question1",), ("question2",), ("is_duplicate", "label"))
_MNLI = _glue("mnli", "MNLI", {}, ("sentence1", "premise"), ("sentence2", "hypothesis"), ("gold_label", "label"))

PUBLICATIONS: dict[str, Publication] = {
    "cola": replace(_COLA, headers=dict.fromkeys(("train", "validation"), ("source", "label", "star", "sentence"))),
    "sst2": _glue("sst2", "SST-2", _rows(67_349, 872, 1_821), ("sentence",)),
    "mrpc": _glue(
        "mrpc",
        "MRPC",
        _rows(3_668, 408, 1_725),
        ("#1 String", "sentence1"),
        ("#2 String", "sentence2"),
        ("Quality", "label"),
    ),
    "stsb": _glue("stsb", "STS-B", _rows(5_749, 1_500, 1_379), _FIRST, _SECOND, ("score", "label")),
    "qqp": replace(_QQP, leave_out_malformed=True),
    "mnli": replace(
        _MNLI,
        rows={
            "train": 392_702,
            "validation_matched": 9_815,
            "validation_mismatched": 9_832,
            "test_matched": 9_796,
            "test_mismatched": 9_847,
        },
        files={
            "train": ("train.tsv",),
            "validation_matched": ("dev_matched.tsv",),
            "validation_mismatched": ("dev_mismatched.tsv",),
            "test_matched": ("test_matched.tsv",),
            "test_mismatched": ("test_mismatched.tsv",),
        },
    ),
    "qnli": _glue("qnli", "QNLI", _rows(104_743, 5_463, 5_463), ("question",), ("sentence",)),
    "rte": _glue("rte", "RTE", _rows(2_490, 277, 3_000), _FIRST, _SECOND),
    "wnli": _glue("wnli", "WNLI", _rows(635, 71, 146), _FIRST, _SECOND),
    "ax": Publication(
        {"diagnostic": 1_104},
        ("diagnostic", "MNLI", "."),
        {"diagnostic": ("diagnostic-full.tsv", "diagnostic.tsv")},
        ("sentence1", "premise", "Premise"),
        label=("Label", "label"),
        text_pair=("sentence2", "hypothesis", "Hypothesis"),
        hub=HubSource("nyu-mll/glue", "ax", splits={"diagnostic": "test"}),
    ),
    "imdb": Publication(
        {"train": 25_000, "test": 25_000},
        ("aclImdb", "."),
        {"train": ("train",), "test": ("test",)},
        ("text",),
        hub=HubSource("stanfordnlp/imdb"),
        format="folder",
    ),
    "nsmc": Publication(
        {"train": 150_000, "test": 50_000},
        ("nsmc", "."),
        {"train": ("ratings_train.txt",), "test": ("ratings_test.txt",)},
        ("document",),
        hub=HubSource("e9t/nsmc", revision="refs/convert/parquet"),
    ),
    "klue_ynat": _klue("ynat", 45_678, 9_107, "title", ("label",)),
    "klue_nli": _klue("nli", 24_998, 3_000, "premise", ("gold_label", "label"), "hypothesis"),
    "klue_sts": _klue("sts", 11_668, 519, "sentence1", ("labels.real-label",), "sentence2"),
    "marc_ja": _jglue("marc_ja", _rows(187_528, 5_654, 5_639), "text"),
    "jnli": _jglue("jnli", _rows(20_073, 2_434, 2_508), "sentence1", "sentence2"),
    "jsts": _jglue("jsts", _rows(12_451, 1_457, 1_589), "sentence1", "sentence2"),
    "pawsx": Publication(
        _rows(49_401, 2_000, 2_000),
        ("x-final/{config}", "{config}", "."),
        {
            "train": ("train.tsv", "translated_train.tsv"),
            "validation": ("dev_2k.tsv",),
            "test": ("test_2k.tsv",),
        },
        ("sentence1",),
        text_pair=("sentence2",),
        hub=HubSource("google-research-datasets/paws-x", "{config}"),
    ),
}


def task_names(argument: str) -> list[str]:
    """The tasks that `--task_name` asks for.

    Args:
        argument: Names with commas between them, in any spelling (`SST-2`, `paws-x`); `all` stands for `GLUE_TASKS`.

    Returns:
        Keys of `TASKS`, in the order of the argument, each once.

    Raises:
        UsageError: No such task; the message names the nearest one.

    >>> task_names("SST-2,ynat")
    ['sst2', 'klue_ynat']
    """
    names: list[str] = []
    for word in argument.split(","):
        name = _task_name(word)
        names += GLUE_TASKS if name == "all" else [name]
    return list(dict.fromkeys(names))


def _task_name(word: str) -> str:
    return nearest_task(
        word,
        {**{name: name for name in TASKS}, **_ALIASES, "all": "all"},
        f"The tasks are {', '.join(TASKS)}, or all for the nine of GLUE; for data of your own leave it out and use "
        "--train_file or --dataset_name",
    )


def squashed(name: str) -> str:
    """A task's name without what does not matter: capitals, - _ and spaces."""
    return "".join(letter for letter in name.lower() if letter not in "-_ ")


def nearest_task(word: str, names: dict[str, str], known_tasks: str) -> str:
    """The task that a word means.

    Args:
        word: As typed, in any spelling.
        names: Names and other names of tasks to the names.
        known_tasks: The end of the message: which tasks there are.

    Raises:
        UsageError: No such task; the message names the nearest one.
    """
    known = {squashed(alias): name for alias, name in names.items()}
    wanted = squashed(word)
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    hint = f"did you mean {known[near[0]]}? " if near else ""
    raise UsageError(f"--task_name {word.strip()!r}: no such task: {hint}{known_tasks}")
