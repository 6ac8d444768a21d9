"""What a study compares: its YAML file, read and checked before anything is started.

Options keep the names that they have in the scripts. `corpus` is the same for all runs; `common` and the options of a
run are put together, the run's winning; maps such as `config_overrides` are put together key by key, and `null` takes
an option away again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra_hf.errors import UsageError
from electra_hf.parser import read_config
from electra_hf.study.scripts import (
    ARGUMENTS,
    BLOCK_OPTIONS,
    PRETRAINING,
    SOURCE_OPTIONS,
    TASK_NAMES,
    field_names,
    option_parser,
    parse_options,
    said_of,
)

BUDGETS = ("steps", "tokens", "flops", "seconds")
SECTIONS = ("corpus", "budget", "common", "runs", "finetuning", "finetuning_common", "baselines", "output_dir")
TOKENIZER_OPTIONS = frozenset({"tokenizer_name", "train_tokenizer", "vocab_size", "do_lower_case", "strip_accents"})
CORPUS_OPTIONS = (
    (SOURCE_OPTIONS - {"streaming"})
    | BLOCK_OPTIONS
    | TOKENIZER_OPTIONS
    | {"validation_file", "preprocessing_num_workers", "prepared_dir", "cache_dir", "seed"}
)
_PREPARATION = {"validation_file", "validation_split_percentage", "preprocessing_num_workers", "prepared_dir"}
_CORPUS_ONLY = SOURCE_OPTIONS | TOKENIZER_OPTIONS | _PREPARATION | {"overwrite_cache"}
_BUDGET_ONLY = frozenset({"max_steps", "num_train_epochs", "schedule_minutes"})
_DECIDED = frozenset(
    {"output_dir", "resume_from_checkpoint", "do_train", "disable_tqdm", "push_to_hub", "hub_token", "config"}
)
_MODEL = "model_name_or_path"
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True)
class Budget:
    """What every run may use.

    Attributes:
        kind: `steps`; `tokens` (rows times their length); `flops` (of the matrix products, as the Trainer counts
            them); or `seconds` (of training, evaluation and saving not counted).
        amount: How much of it.
    """

    kind: str
    amount: float


@dataclass(frozen=True)
class Run:
    """A pre-training: its name, the options that were given for it (`common` among them), its share of the budget."""

    name: str
    options: dict[str, Any]
    budget_factor: float = 1.0


@dataclass(frozen=True)
class Task:
    """A fine-tuning task: its name, the script, the script's options, and the metric that the table shows."""

    name: str
    script: str
    options: dict[str, Any]
    score: str | None = None


@dataclass(frozen=True)
class Baseline:
    """A model that the study does not pre-train.

    Attributes:
        name: In tables and folders.
        run: The run whose architecture and tokenizer it has; None for a model that `options` name.
        options: Of the fine-tuning scripts, such as `random_initialization`.
    """

    name: str
    run: str | None
    options: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """Everything that the file says."""

    path: Path
    output_dir: Path
    corpus: dict[str, Any]
    budget: Budget
    runs: tuple[Run, ...]
    tasks: tuple[Task, ...]
    baselines: tuple[Baseline, ...]


def read_study(path: Path, output_dir: Path | None = None) -> Study:
    """Read the file, and check every name and value in it as the scripts would.

    Args:
        path: A YAML file.
        output_dir: For everything that the study writes; default: `output_dir` of the file, or its name in `outputs`.

    Raises:
        UsageError: For what is missing, unknown, contradictory or out of range; the message names the place.
    """
    content = read_config(path)
    if unknown := [name for name in content if name not in SECTIONS]:
        raise UsageError(f"{path}: unknown section '{unknown[0]}': a study has {', '.join(SECTIONS)}")
    runs = _read_runs(path, content)
    tasks = _read_tasks(path, content)
    folder = output_dir or Path(str(content.get("output_dir") or Path("outputs") / path.stem))
    study = Study(
        path=path,
        output_dir=folder,
        corpus=_read_corpus(path, content),
        budget=_read_budget(path, content),
        runs=runs,
        tasks=tasks,
        baselines=_read_baselines(path, content, runs, tasks),
    )
    for run in runs:
        _check_run(study, run)
    return study


def merged(*maps: Mapping[str, Any]) -> dict[str, Any]:
    """Options put together: the later ones win, maps key by key, and None takes away.

    >>> merged({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": None})
    {'a': {'x': 1, 'y': 3}}
    >>> merged({"config_overrides": "x=1,y=2"}, {"config_overrides": {"y": 3}})
    {'config_overrides': {'x': '1', 'y': 3}}
    """
    result: dict[str, Any] = {}
    for options in maps:
        for name, value in options.items():
            if name.endswith("_overrides") and isinstance(value, str):
                value = dict(item.split("=", 1) for item in value.split(",") if "=" in item)
            if isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
                value = merged(result[name], value)
            result[name] = value
    return {name: value for name, value in result.items() if value is not None}


def _section(path: Path, content: Mapping[str, Any], name: str, *, required: bool = False) -> dict[str, Any]:
    section = content.get(name)
    if section is None and not required:
        return {}
    if not isinstance(section, dict) or (required and not section):
        raise UsageError(f"{path}: {name}: a map is expected, and {_found(section)}")
    return section


def _found(value: Any) -> str:
    return f"there is {'none' if value is None else repr(value)}"


def _check_name(path: Path, section: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{path}: {section}: {name!r} cannot be the name of a folder: use letters, digits, '-', '_', '.' and '+'"
        )
    return name


def _read_corpus(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    corpus = {
        name: value for name, value in _section(path, content, "corpus", required=True).items() if value is not None
    }
    where = f"{path}: corpus"
    option_parser(PRETRAINING).check_names(corpus, where)
    if wrong := sorted(corpus.keys() - CORPUS_OPTIONS):
        raise UsageError(f"{where}: {wrong[0]} says nothing about text or tokenizer: move it to `common` or to a run")
    parse_options(PRETRAINING, {"output_dir": "there", **corpus}, where)
    sources = corpus.keys() & {"train_file", "dataset_name", "corpus"}
    if "prepared_dir" in corpus:
        if extra := sorted(corpus.keys() - {"prepared_dir", "max_seq_length"}):
            raise UsageError(f"{where}: prepared_dir brings text, blocks and tokenizer: leave out {', '.join(extra)}")
        return corpus
    if not sources:
        raise UsageError(f"{where}: no text: give train_file, dataset_name or corpus, or a prepared_dir")
    if ("tokenizer_name" in corpus) == bool(corpus.get("train_tokenizer")):
        raise UsageError(f"{where}: give either tokenizer_name, or train_tokenizer: true with a vocab_size")
    return corpus


def _read_budget(path: Path, content: Mapping[str, Any]) -> Budget:
    given = {
        name: value for name, value in _section(path, content, "budget", required=True).items() if value is not None
    }
    known = f"give one of {', '.join(BUDGETS)}"
    if unknown := [name for name in given if name not in BUDGETS]:
        raise UsageError(f"{path}: budget: unknown key '{unknown[0]}': {known}")
    if len(given) != 1:
        raise UsageError(f"{path}: budget: {' and '.join(given) or 'nothing'} given: {known}")
    (kind, amount), *_ = given.items()
    return Budget(kind, _positive(f"{path}: budget: {kind}", amount))


def _positive(where: str, value: Any) -> float:
    try:
        number = float(value)  # PyYAML reads 1e15 as a string
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise UsageError(f"{where}: {value!r} is no number above 0")
    return number


def _read_runs(path: Path, content: Mapping[str, Any]) -> tuple[Run, ...]:
    common = _section(path, content, "common")
    parser = option_parser(PRETRAINING)
    _check_options(common, parser.check_names, f"{path}: common")
    runs = []
    for name, options in _section(path, content, "runs", required=True).items():
        where = f"{path}: runs: {_check_name(path, 'runs', name)}"
        options = dict(_section_of(where, options))
        factor = _positive(f"{where}: budget_factor", options.pop("budget_factor", 1))
        _check_options(options, parser.check_names, where)
        runs.append(Run(name, merged(common, options), factor))
    return tuple(runs)


def _section_of(where: str, options: Any) -> Mapping[str, Any]:
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise UsageError(f"{where}: a map of options is expected, and {_found(options)}")
    return options


def _check_options(options: Mapping[str, Any], check_names: Any, where: str) -> None:
    """Refuse what is no option of run_pretraining.py, and what is the study's to decide."""
    reasons = {
        **dict.fromkeys(_CORPUS_ONLY, "text and tokenizer are the same for all runs: give it under `corpus`"),
        **dict.fromkeys(_BUDGET_ONLY, "all runs have the same `budget`: leave it out, or give a budget_factor"),
        **dict.fromkeys(_DECIDED, "the study decides it: leave it out"),
    }
    for name in options:
        if isinstance(name, str) and name.startswith("hpo"):
            raise UsageError(f"{where}: {name}: a study compares fixed options: search with run_pretraining.py first")
        if name in reasons:
            raise UsageError(f"{where}: {name}: {reasons[name]}")
    check_names(options, where)


def _check_run(study: Study, run: Run) -> None:
    """Parse a run as its script will, with an output folder, and steps that stand for the budget's."""
    where = f"{study.path}: runs: {run.name}"
    if study.budget.kind in ("tokens", "flops"):
        for name in ("batch_size_warmup_steps", "length_warmup_steps"):
            if run.options.get(name):
                raise UsageError(
                    f"{where}: {name}: its steps differ in size, so a budget in {study.budget.kind} has no number of "
                    "steps: leave it out, or give the budget in steps or seconds"
                )
    settings = pretraining_options(study, run)
    settings |= {"schedule_minutes": 1.0} if study.budget.kind == "seconds" else {"max_steps": 1_000}
    parse_options(PRETRAINING, {"output_dir": str(study.output_dir), **settings}, where)


def pretraining_options(study: Study, run: Run) -> dict[str, Any]:
    """The options of a run that do not depend on the plan: its own, and those that decided the blocks."""
    decided = BLOCK_OPTIONS - {"validation_split_percentage"}
    shared = {name: value for name, value in study.corpus.items() if name in decided}
    return {**shared, **run.options}


def _read_tasks(path: Path, content: Mapping[str, Any]) -> tuple[Task, ...]:
    entries = content.get("finetuning") or []
    if not isinstance(entries, list):
        raise UsageError(f"{path}: finetuning: a list of tasks is expected, and {_found(entries)}")
    common = _section(path, content, "finetuning_common")
    tasks: list[Task] = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}: finetuning: entry {number}"
        options = merged(common, _section_of(where, entry))
        script = str(options.pop("script", "run_glue")).removesuffix(".py")
        if script not in TASK_NAMES:
            raise UsageError(f"{where}: script {script!r}: choose {' or '.join(TASK_NAMES)}")
        name, score = options.pop("name", None), options.pop("score", None)
        with said_of(where):
            known = TASK_NAMES[script](str(options["task_name"])) if "task_name" in options else []
        if name is None and not known:
            raise UsageError(f"{where}: give a task_name, or a name for this task")
        if name is not None and len(known) > 1:
            raise UsageError(f"{where}: one name, and {len(known)} tasks ({', '.join(known)}): leave the name out")
        for task_name in known or [None]:
            own = {**options, **({"task_name": task_name} if task_name else {})}
            task = Task(_check_name(path, "finetuning", name or task_name), script, own, score)
            _check_task(where, task)
            if any(task.name == other.name for other in tasks):
                raise UsageError(f"{where}: {task.name} is there twice: give one of them another name")
            tasks.append(task)
    return tuple(tasks)


def _check_task(where: str, task: Task) -> None:
    for name in task.options:
        if name in _DECIDED | {_MODEL}:
            raise UsageError(f"{where}: {name}: the study decides it: leave it out")
    for option in ("data_dir", "train_file", "validation_file", "test_file"):
        place = task.options.get(option)
        if isinstance(place, str) and "://" not in place and not Path(place).exists():
            raise UsageError(
                f"{where}: {option}: {place} is not there (paths are relative to this folder): put it there, or leave "
                "data_dir out to take the task from the Hub"
            )
    parse_options(task.script, {_MODEL: "a run", "output_dir": "there", **task.options}, where)


def _read_baselines(
    path: Path, content: Mapping[str, Any], runs: tuple[Run, ...], tasks: tuple[Task, ...]
) -> tuple[Baseline, ...]:
    baselines = []
    names = {run.name for run in runs}
    for name, given in _section(path, content, "baselines").items():
        where = f"{path}: baselines: {_check_name(path, 'baselines', name)}"
        options = dict(_section_of(where, given))
        run = options.pop("run", None)
        if name in names:
            raise UsageError(f"{where}: a run has this name: choose another one")
        if (run is None) == (_MODEL not in options):
            raise UsageError(f"{where}: give either run (a run of this study) or {_MODEL} (a folder or Hub id)")
        if run is not None and run not in names:
            raise UsageError(f"{where}: run {run!r} is none of {', '.join(sorted(names))}")
        if run is not None and not options.get("random_initialization"):
            raise UsageError(f"{where}: this would be the run itself: add random_initialization: true")
        for script in dict.fromkeys(task.script for task in tasks):
            model_options = field_names(ARGUMENTS[script][0])
            if other := [option for option in options if option not in model_options]:
                raise UsageError(f"{where}: {other[0]} is no option of the model in {script}.py")
            parse_options(script, {_MODEL: "a run", "output_dir": "there", **options}, where)
        baselines.append(Baseline(name, run, options))
    return tuple(baselines)
