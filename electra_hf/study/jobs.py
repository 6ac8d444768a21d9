"""The jobs of a study: a process each, with its options in a file, its log, and a record of how it ended."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from electra_hf.corpora.storage import publish, read_json, sha256_of, to_json
from electra_hf.errors import UsageError
from electra_hf.finetuning.identity import inward_options
from electra_hf.finetuning.scores import ALL_FILE, EVAL_FILE
from electra_hf.parser import write_config
from electra_hf.study.definition import Study, pretraining_options
from electra_hf.study.plan import RunPlan, block_options, prepared_folder, tokenizer_folder
from electra_hf.study.scripts import PRETRAINING, SOURCE_OPTIONS, find_script

TOKENIZER, CORPUS, PRETRAINED, FINETUNED = "tokenizer", "corpus", "pretraining", "finetuning"
_RUN_FILES = ("config.json", "model.safetensors", "trainer_state.json", "train_results.json")


@dataclass(frozen=True)
class Job:
    """One process of a study.

    Attributes:
        kind: `tokenizer`, `corpus`, `pretraining` or `finetuning`.
        name: In messages and of its files, such as `mlm` or `mlm/cola`.
        program: What Python is started with, before the options.
        options: In the file that is handed over by --config.
        folder: What it writes to.
        files: In the folder, when it is done; they vouch for the rest.
        needs: Jobs that must be done before.
        alike: Jobs of the same name here take about the same time.
    """

    kind: str
    name: str
    program: tuple[str, ...]
    options: dict[str, Any]
    folder: Path
    files: tuple[str, ...]
    needs: tuple[str, ...] = ()
    alike: str = ""

    @property
    def key(self) -> str:
        """Tells the jobs of a study apart."""
        return f"{self.kind}/{self.name}"


@dataclass
class JobFiles:
    """Where the study keeps what it knows about a job.

    Args:
        root: The folder of the study.
        job: The job.
    """

    root: Path
    job: Job
    options: Path = field(init=False)
    log: Path = field(init=False)
    record: Path = field(init=False)

    def __post_init__(self) -> None:
        place = self.root / "jobs" / self.job.key
        self.options = place.with_name(f"{place.name}.yaml")
        self.log = place.with_name(f"{place.name}.log")
        self.record = place.with_name(f"{place.name}.json")

    def command(self) -> list[str]:
        """The command line; the file of options is written."""
        self.options.parent.mkdir(parents=True, exist_ok=True)
        write_config(self.options, self.job.options)
        return [sys.executable, *self.job.program, "--config", str(self.options)]

    def is_done(self) -> bool:
        """Whether the job has ended well with these options, and what it wrote is as it was then, by its SHA-256.

        Raises:
            UsageError: If it was started with options that give another outcome; the message names them.
        """
        record = read_json(self.record)
        if record is None:
            return False
        before, now = _plain(record["options"]), _plain(self.job.options)
        old, new = self._deciding(before), self._deciding(now)
        different = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        if different:
            named = "; ".join(f"{name} was {old.get(name)!r} and is {new.get(name)!r}" for name in different)
            raise UsageError(
                f"{self.root} holds {self.job.key} with other options ({named}): choose another --output_dir, or "
                f"remove {self.job.folder} and {self.record}"
            )
        files = record.get("files")
        return before == now and bool(files) and all(_sha256(self.job.folder / name) == files[name] for name in files)

    def _deciding(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that the outcome depends on. A task has a result for each seed; elsewhere there is one."""
        always = {"task_name"} if self.job.kind == FINETUNED else {"seed", "data_seed"}
        kept = inward_options(options) | {name: options[name] for name in always & options.keys()}
        return {name: value for name, value in kept.items() if name != "num_workers"}

    def attempts(self) -> list[dict[str, Any]]:
        """How often it was started, with the seconds and the exit code of each time."""
        return list((read_json(self.record) or {}).get("attempts", []))

    @property
    def seconds(self) -> float:
        """Of all attempts together."""
        return sum(attempt["seconds"] for attempt in self.attempts())

    def note(self, attempt: Mapping[str, Any] | None = None) -> list[str]:
        """Keep the options, and how an attempt ended.

        Returns:
            The files that should be there after a job that has ended well, and are not.
        """
        attempts = self.attempts() + ([dict(attempt)] if attempt else [])
        content: dict[str, Any] = {"options": self.job.options, "attempts": attempts}
        missing: list[str] = []
        if attempt is not None and attempt["exit_code"] == 0:
            sums = {name: _sha256(self.job.folder / name) for name in self.job.files}
            missing = [name for name, found in sums.items() if found is None]
            content["files"] = None if missing else sums
        self.record.parent.mkdir(parents=True, exist_ok=True)
        publish(self.record, to_json(content))
        return missing

    def last_lines(self, count: int) -> list[str]:
        """The end of the log."""
        if not self.log.is_file():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 20_000))
            text = file.read().decode("utf-8", "replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def _plain(value: Any) -> Any:
    """Options as the scripts read them: 1e-3 is a text in YAML, and .001 a number."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _sha256(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def corpus_jobs(study: Study) -> list[Job]:
    """The tokenizer and each prepared corpus; none if a prepared folder was named."""
    corpus = study.corpus
    if "prepared_dir" in corpus:
        return []
    source = {name: value for name, value in corpus.items() if name in SOURCE_OPTIONS | {"cache_dir"}}
    jobs, needs = [], ()
    tokenizer = corpus.get("tokenizer_name")
    lower_case = {"do_lower_case": corpus["do_lower_case"]} if "do_lower_case" in corpus else {}
    if tokenizer is None:
        folder = tokenizer_folder(study)
        given = {name: corpus[name] for name in ("vocab_size", "strip_accents") if name in corpus}
        options = {**source, **lower_case, **given, "output_dir": str(folder), "disable_tqdm": True}
        # What is in the folder without a record is of a study that was killed between the two.
        options |= {"vocab_size": corpus.get("vocab_size", 30_522), "overwrite_output_dir": True}
        program = ("-m", "electra_hf.cli", "tokenizer", "train")
        jobs.append(Job(TOKENIZER, TOKENIZER, program, options, folder, ("tokenizer.json",)))
        needs, tokenizer, lower_case = (jobs[0].key,), str(folder), {}
    for folder, blocks in {prepared_folder(study, run): block_options(study, run) for run in study.runs}.items():
        options = {**source, **lower_case, **blocks, "tokenizer_name": tokenizer, "output_dir": str(folder)}
        options |= {name: corpus[name] for name in ("validation_file", "seed") if name in corpus}
        if "preprocessing_num_workers" in corpus:
            options["num_workers"] = corpus["preprocessing_num_workers"]
        options["disable_tqdm"] = True
        program = ("-m", "electra_hf.cli", "prepare")
        jobs.append(Job(CORPUS, folder.name, program, options, folder, ("train/manifest.json",), needs))
    return jobs


def training_jobs(study: Study, plans: Mapping[str, RunPlan]) -> list[Job]:
    """The runs, and then the tasks of each model."""
    jobs: list[Job] = []
    script = str(find_script(PRETRAINING))
    models: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {}
    for run in study.runs:
        folder, plan = study.output_dir / PRETRAINED / run.name, plans[run.name]
        length = {"schedule_minutes": plan.minutes} if plan.steps is None else {"max_steps": plan.steps}
        options = {**pretraining_options(study, run), **length, "prepared_dir": str(prepared_folder(study, run))}
        options |= {"output_dir": str(folder), "resume_from_checkpoint": "auto", "disable_tqdm": True}
        judged = ("eval_results.json",) if options.get("do_eval") else ()
        jobs.append(Job(PRETRAINED, run.name, (script,), options, folder, (*_RUN_FILES, *judged), alike=PRETRAINED))
        models[run.name] = ({"model_name_or_path": str(folder)}, (jobs[-1].key,))
    for baseline in study.baselines:
        start, needs = models[baseline.run] if baseline.run else ({}, ())
        models[baseline.name] = ({**start, **baseline.options}, needs)
    # Model by model: the first rows of the table are complete soon.
    for name, (model, needs) in models.items():
        for task in study.tasks:
            folder = study.output_dir / FINETUNED / name / task.name
            options = {**task.options, **model, "output_dir": str(folder), "disable_tqdm": True}
            options["resume_from_checkpoint"] = "auto"
            program, files = (str(find_script(task.script)),), (EVAL_FILE, ALL_FILE)
            jobs.append(Job(FINETUNED, f"{name}/{task.name}", program, options, folder, files, needs, task.name))
    return jobs
