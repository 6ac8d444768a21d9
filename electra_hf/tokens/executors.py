"""A preparation as many tasks of one machine, of a Slurm cluster or of a Ray cluster, through datatrove's executors.

A task makes one share of the shards, with the same function as `prepare`, and the folder comes out as the same bytes.
The folder must be one that every machine reaches under the same name: on a shared file system, or a URL.

datatrove would pass over tasks that ended well in an earlier run. Here they all run again, and each looks at its
shards: only they tell whether they are whole and of this corpus. After a failure the same command goes on.
"""

import importlib
import logging
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from electra_hf.corpora.parts import Part
from electra_hf.corpora.remote import as_path, is_remote
from electra_hf.corpora.workers import available_cores
from electra_hf.errors import PreparationError, UsageError
from electra_hf.tokens.folders import start
from electra_hf.tokens.preparation import SHARD_CHARACTERS, Corpus, finish, preparation_settings, shard_task
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.tasks import MakeShare

EXECUTORS = ("local", "slurm", "ray")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlurmOptions:
    """What Slurm wants to know of a job.

    Attributes:
        partition: where it runs.
        time: limit of a task, as HH:MM:SS. A task that reaches it fails, and its finished shards are kept.
        qos: quality of service; the cluster's default when None.
        env_command: shell commands that make Python ready on a node. By default the environment of the submitting
            process is put on the PATH.
        sbatch_args: further options of sbatch, such as {"account": "nlp"}.
    """

    partition: str
    time: str = "24:00:00"
    qos: str | None = None
    env_command: str | None = None
    sbatch_args: Mapping[str, str] = field(default_factory=dict)


def prepare_with_executor(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    settings: PackingSettings,
    *,
    executor: str,
    num_tasks: int,
    num_workers: int | None = None,
    cpus_per_task: int = 1,
    mem_per_cpu_gb: int = 2,
    logging_dir: str | None = None,
    slurm: SlurmOptions | None = None,
    overwrite: bool = False,
    shard_characters: int = SHARD_CHARACTERS,
) -> str | None:
    """Prepare a corpus as `prepare` does, divided into tasks.

    Args:
        corpus: the text; it is pickled, and its files must be where every task finds them.
        tokenizer: a fast tokenizer with [CLS], [SEP], [PAD] and [MASK].
        folder: made if it is not there; on a shared file system, or a URL such as s3://bucket/folder.
        settings: how documents become blocks.
        executor: "local" for processes of this machine, "slurm" or "ray".
        num_tasks: how many shares there are. More than the corpus has parts read the same part together.
        num_workers: tasks at the same time; None for as many as the cluster, or this machine, can run.
        cpus_per_task: processors and processes of each task.
        mem_per_cpu_gb: memory that Slurm and Ray keep for each of them.
        logging_dir: logs and states of the tasks, reached by all machines; the folder with "-logs" added when None.
        slurm: needed for "slurm".
        overwrite: replace what the folder holds if it was made with other settings, and make it again if not.
        shard_characters: a shard is the records up to this many characters.

    Returns:
        For "slurm", the id of the job that will finish the folder. None when the folder is finished.

    Raises:
        UsageError: an option that cannot work, or a package or command that is not installed.
        PreparationError: the folder holds something else or cannot be written, or a task failed.
    """
    if executor not in EXECUTORS:
        raise UsageError(f"executor: {executor!r} is unknown; choose {', '.join(EXECUTORS)}")
    for name, value in (("num_tasks", num_tasks), ("num_workers", num_workers), ("cpus_per_task", cpus_per_task)):
        if value is not None and value < 1:
            raise UsageError(f"{name}: {value} is less than one; choose 1 or more")
    if executor == "slurm" and slurm is None:
        raise UsageError("executor slurm: no partition was given: name one with --slurm_partition")
    _check_installed(executor)
    folder = _absolute(folder)
    logs = _absolute(logging_dir or f"{str(folder).rstrip('/')}-logs")
    asked = preparation_settings(corpus, tokenizer, settings, shard_characters=shard_characters)
    if not start(folder, asked, overwrite=overwrite):
        logger.info("%s is prepared already: nothing to do", folder)
        return None
    task = shard_task(tokenizer, folder, settings, asked)
    parts = corpus.parts()  # once, so that they are the same for all tasks, whatever becomes of the files meanwhile
    shares: dict[str, Any] = {
        "pipeline": [MakeShare(corpus.name, parts, task, cpus_per_task)],
        "tasks": num_tasks,
        "workers": num_workers or -1,
        "logging_dir": str(logs / "shares"),
        "skip_completed": False,
    }
    if executor == "slurm":
        assert slurm is not None
        last = shares | {
            "pipeline": [Finish(corpus.name, parts, folder, asked)],
            "tasks": 1,
            "logging_dir": str(logs / "finish"),
        }
        return _submit(slurm, shares, last, cpus_per_task, mem_per_cpu_gb)
    # The submitting process waits for the tasks, so it can finish the folder itself. (datatrove's `depends` would wait
    # for ever where a task of Ray failed.)
    if executor == "local":
        _run_local(shares, cpus_per_task)
    else:
        _run_ray(shares, cpus_per_task, mem_per_cpu_gb)
    finish(corpus.name, parts, folder, asked)
    return None


def _absolute(name: str | Path) -> Path:
    path = as_path(name)
    return path if is_remote(path) else path.absolute()


class Finish:
    """The pipeline of the last task: the manifest."""

    def __init__(self, name: str, parts: Sequence[Part], folder: Path, asked: dict[str, Any]) -> None:
        self.name = name
        self.parts = parts
        self.folder = folder
        self.asked = asked

    def __call__(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        finish(self.name, self.parts, self.folder, self.asked)

    def __repr__(self) -> str:
        return f"manifest of {self.folder}"


def _check_installed(executor: str) -> None:
    for package in ("datatrove", "ray") if executor == "ray" else ("datatrove",):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UsageError(
                f"executor {executor}: needs the package {package} ({error}): `pip install electra_hf[cluster]`"
            ) from error
    if executor == "slurm" and shutil.which("sbatch") is None:
        raise UsageError(
            "executor slurm: there is no sbatch on the PATH: run the command on a machine that submits Slurm jobs"
        )


def _run_local(shares: dict[str, Any], cpus_per_task: int) -> None:
    from datatrove.executor import LocalPipelineExecutor

    workers = shares["workers"] if shares["workers"] > 0 else max(1, available_cores() // cpus_per_task)
    shares["workers"] = min(workers, shares["tasks"])
    LocalPipelineExecutor(**shares).run()


def _run_ray(shares: dict[str, Any], cpus_per_task: int, mem_per_cpu_gb: int) -> None:
    import ray
    from datatrove.executor.ray import RayPipelineExecutor

    executor = RayPipelineExecutor(**shares, cpus_per_task=cpus_per_task, mem_per_cpu_gb=mem_per_cpu_gb)
    if executor.logging_dir.exists("completions"):
        executor.logging_dir.rm("completions", recursive=True)  # of an earlier run: they tell below what failed now
    started = not ray.is_initialized()
    if started:
        ray.init()  # the cluster of RAY_ADDRESS, or one of this machine alone
    try:
        needs = {"CPU": cpus_per_task, "memory": mem_per_cpu_gb * cpus_per_task * 2**30}
        if not any(
            all(node["Resources"].get(name, 0) >= need for name, need in needs.items()) for node in ray.nodes()
        ):
            logger.warning(
                "No node of the Ray cluster has %d processors and %d GB of memory for a task: waiting for one to join",
                cpus_per_task,
                mem_per_cpu_gb * cpus_per_task,
            )
        executor.run()
    finally:
        if started:
            ray.shutdown()
    failed = executor.get_incomplete_ranks(skip_completed=True)
    if failed:
        log = executor.logging_dir.resolve_paths(f"logs/task_{failed[0]:05d}.log")
        raise PreparationError(
            f"{len(failed)} of {shares['tasks']} tasks failed, the first one is told of in {log}. Finished shards are "
            "kept: run the same command again to go on"
        )


def _submit(
    slurm: SlurmOptions, shares: dict[str, Any], last: dict[str, Any], cpus_per_task: int, mem_per_cpu_gb: int
) -> str:
    """Submit the array of tasks and the task that depends on it; the id of the latter."""
    from datatrove.executor import SlurmPipelineExecutor

    environment = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    options: dict[str, Any] = {
        "time": slurm.time,
        "partition": slurm.partition,
        "qos": slurm.qos or "",
        "env_command": slurm.env_command or environment,
        # A job whose tasks failed would wait for ever otherwise.
        "sbatch_args": {"kill-on-invalid-dep": "yes", **slurm.sbatch_args},
        "mem_per_cpu_gb": mem_per_cpu_gb,
    }
    making = SlurmPipelineExecutor(**shares, **options, cpus_per_task=cpus_per_task, job_name="electra_hf-prepare")
    finishing = SlurmPipelineExecutor(**last, **options, depends=making, job_name="electra_hf-finish")
    try:
        finishing.launch_job()  # and `making` before it
    except subprocess.CalledProcessError as error:
        raise PreparationError(
            f"sbatch refused the job with exit status {error.returncode}, for the reason that it gave above: check "
            "the partition and the other options of Slurm"
        ) from error
    logger.info("Submitted as Slurm jobs %s and, to finish, %s", making.job_id, finishing.job_id)
    return str(finishing.job_id)
