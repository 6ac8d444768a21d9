"""datatrove's executors make the folder that `prepare` makes: in processes, with a stand-in for Slurm, with Ray."""

import contextlib
import hashlib
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from electra_hf.corpora import LocalFiles
from electra_hf.errors import CorpusError, PreparationError, UsageError
from electra_hf.tokens import executors, folders, preparation
from electra_hf.tokens.executors import SlurmOptions, prepare_with_executor
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.shards import PackingSettings

SETTINGS = PackingSettings(max_seq_length=32)
SMALL = 1500  # characters a shard
# A plain /bin/sh each: datatrove asks `sbatch` to submit, and the job asks `srun` and `scontrol`.
SLURM = {
    "sbatch": 'n=$(ls "$SUBMITTED" | wc -l)\nfor last; do :; done\ncp "$last" "$SUBMITTED/$n.sh"\n'
    'echo "$@" > "$SUBMITTED/$n.sh.options"\necho "Submitted batch job $((100 + n))"\n',
    "srun": 'while :; do case "$1" in -n) shift 2;; -*) shift;; *) break;; esac; done\nexec "$@"\n',
    "scontrol": "echo localhost\n",
}


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def corpus(documents: list[str], tmp_path: Path, monkeypatch) -> LocalFiles:
    """Two parts: small files are not read together here."""
    monkeypatch.setattr("electra_hf.corpora.files.PART_BYTES", 1)
    (tmp_path / "text").mkdir()
    for number in range(2):
        text = "\n\n".join(documents[number * 30 : number * 30 + 30])
        (tmp_path / "text" / f"{number}.txt").write_text(text)
    return LocalFiles([str(tmp_path / "text")])


@pytest.fixture
def expected(corpus, tokenizer, tmp_path: Path) -> dict[str, str]:
    """The files of `prepare`."""
    prepare(corpus, tokenizer, tmp_path / "expected", SETTINGS, shard_characters=SMALL, progress=False)
    return hashes(tmp_path / "expected")


@pytest.fixture
def execute(corpus, tokenizer, folder: Path) -> Callable[..., str | None]:
    pytest.importorskip("datatrove")

    def run(executor: str, num_tasks: int, corpus: LocalFiles = corpus, **options: Any) -> str | None:
        return prepare_with_executor(
            corpus,
            tokenizer,
            folder,
            SETTINGS,
            executor=executor,
            num_tasks=num_tasks,
            shard_characters=SMALL,
            **options,
        )

    return run


@pytest.mark.parametrize(("num_tasks", "options"), [(5, {"num_workers": 1}), (3, {"num_workers": 2})])
def test_local(execute, expected, folder, num_tasks, options):
    assert execute("local", num_tasks, **options) is None
    assert hashes(folder) == expected


def test_local_tasks_of_several_processes(execute, expected, folder):
    execute("local", 1, num_workers=1, cpus_per_task=2)
    assert hashes(folder) == expected


def test_finished_tasks_are_looked_at_again(execute, expected, folder):
    execute("local", 2, num_workers=1)
    (folder / "manifest.json").unlink()
    (folder / "part-00001.json").unlink()
    (folder / "blocks-00001-00000.npy").write_bytes(b"half")
    execute("local", 2, num_workers=1)
    assert hashes(folder) == expected


def test_again_is_a_no_op(execute, folder, monkeypatch):
    execute("local", 2, num_workers=1)
    monkeypatch.setattr(executors, "_run_local", lambda *_: pytest.fail("runs tasks of a finished folder"))
    assert execute("local", 9) is None


@contextlib.contextmanager
def damaged(path: Path) -> Iterator[None]:
    """The last byte is no UTF-8 for a while; size and time of change stay."""
    content, changed = path.read_bytes(), path.stat().st_mtime_ns
    for data in (content[:-1] + b"\xff", content):
        path.write_bytes(data)
        os.utime(path, ns=(changed, changed))
        if data != content:
            yield


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_task_that_fails(execute, expected, folder, tmp_path, num_workers):
    with damaged(tmp_path / "text" / "1.txt"), pytest.raises(CorpusError, match=r"1\.txt, line \d+, byte offset"):
        execute("local", 2, num_workers=num_workers)
    assert not (folder / "manifest.json").exists()
    execute("local", 2, num_workers=num_workers)
    assert hashes(folder) == expected


def test_relative_paths(execute, tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = LocalFiles(["text/*.txt"])
    for name, executor in (("a", "local"), ("b", None)):
        if executor:
            prepare_with_executor(corpus, tokenizer, name, SETTINGS, executor=executor, num_tasks=2, num_workers=2)
        else:
            prepare(corpus, tokenizer, name, SETTINGS, progress=False)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch) -> Path:
    """Stands in for Slurm: the folder where jobs are kept, as 0.sh, 1.sh, ... with their options beside them."""
    commands, jobs = tmp_path / "bin", tmp_path / "jobs"
    commands.mkdir()
    jobs.mkdir()
    for name, script in SLURM.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}")
        (commands / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(jobs))
    return jobs


def run_job(script: Path) -> None:
    """What Slurm does with a job: all tasks of its array, at the same time."""
    [last] = re.findall(r"#SBATCH --array=0-(\d+)", script.read_text())
    tasks = [
        subprocess.Popen(
            ["bash", str(script)],
            env=os.environ | {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_NODELIST": "node", "RUN_OFFSET": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for task in range(int(last) + 1)
    ]
    for task in tasks:
        output, _ = task.communicate(timeout=60)
        assert task.returncode == 0, output


def test_slurm(execute, expected, folder, submitted):
    options = SlurmOptions("cpu", time="01:30:00", qos="long", sbatch_args={"account": "nlp"})
    job = execute("slurm", 3, num_workers=2, mem_per_cpu_gb=4, slurm=options)
    # The tasks, the last task, and after each of them datatrove's merging of statistics.
    scripts = [path.read_text() for path in sorted(submitted.glob("*.sh"))]
    asked = [path.read_text() for path in sorted(submitted.glob("*.options"))]
    making, finishing = (next(i for i, text in enumerate(scripts) if name in text) for name in ("prepare", "finish"))
    lines = scripts[making].splitlines()
    for option in ("partition=cpu", "time=01:30:00", "qos=long", "account=nlp", "mem-per-cpu=4G", "array=0-2%2"):
        assert f"#SBATCH --{option}" in lines
    assert f"export PATH={Path(sys.executable).parent}:$PATH" in lines
    number = re.findall(r"afterok:(\d+)", asked[finishing])
    assert len(number) == 1 and job is not None and int(number[0]) < int(job)
    assert "#SBATCH --kill-on-invalid-dep=yes" in scripts[finishing] and "array=0-0" in scripts[finishing]
    run_job(sorted(submitted.glob("*.sh"))[making])
    assert not (folder / "manifest.json").exists()
    run_job(sorted(submitted.glob("*.sh"))[finishing])
    assert hashes(folder) == expected
    assert (folder.parent / "prepared-logs" / "shares" / "logs" / "task_00002.log").stat().st_size > 0


def test_sbatch_refuses(execute, submitted):
    (submitted.parent / "bin" / "sbatch").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(PreparationError, match="sbatch refused the job with exit status 3"):
        execute("slurm", 2, slurm=SlurmOptions("cpu"))


def test_ray(execute, expected, folder, tmp_path, caplog):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    try:
        with (
            damaged(tmp_path / "text" / "1.txt"),
            pytest.raises(PreparationError, match=r"1 of 3 tasks failed.*shares/logs/task_00001\.log"),
        ):
            execute("ray", 3, mem_per_cpu_gb=1)
        assert execute("ray", 3, mem_per_cpu_gb=1) is None
        assert ray.is_initialized()  # not ours to shut down
    finally:
        ray.shutdown()
    assert hashes(folder) == expected
    assert "waiting for one to join" not in caplog.text


@pytest.mark.parametrize(("executor", "package"), [("local", "datatrove"), ("ray", "ray")])
def test_a_missing_package_is_named(execute, folder, executor, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"needs the package {package} .*pip install electra_hf\[cluster\]"):
        execute(executor, 2)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("executor", "options", "message"),
    [
        ("dask", {}, "choose local, slurm, ray"),
        ("local", {"num_tasks": 0}, "num_tasks: 0"),
        ("local", {"num_workers": 0}, "num_workers: 0"),
        ("slurm", {}, "--slurm_partition"),
        ("slurm", {"slurm": SlurmOptions("cpu")}, "no sbatch on the PATH"),
    ],
)
def test_wrong_usage(execute, folder, executor, options, message, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=message):
        execute(executor, **{"num_tasks": 2} | options)
    assert not folder.exists()


def test_the_last_task_names_what_is_missing(corpus, tokenizer, folder):
    asked = preparation.preparation_settings(corpus, tokenizer, SETTINGS, shard_characters=SMALL)
    folders.start(folder, asked)
    with pytest.raises(PreparationError, match=r"0\.txt is not prepared to its end"):
        executors.Finish(corpus.name, corpus.parts(), folder, asked)()
