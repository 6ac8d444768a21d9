"""The parent's side: start workers, give orders, read answers."""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from electra_hf.errors import ElectraHfError
from speed.settings import Job


class WorkerError(ElectraHfError):
    """A worker ended without an answer; the message holds the end of its log."""


class Worker:
    """A process that waits for orders.

    Args:
        values: What it is: a `Job`, or {"peak": precision, "device": device} for the device's own speed.
        environment: Its environment.
        log: File for what it prints.
    """

    def __init__(self, values: dict[str, Any], environment: dict[str, str], log: Path):
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("a", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "speed.worker", json.dumps(values)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=environment,
            )
        self.facts = self._read()

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Give an order, and wait for the answer."""
        self._write({"do": do, **order})
        return self._read()

    def stop(self, *, answers: bool = True) -> dict[str, Any]:
        """End it; what it says at its end."""
        self._write({"do": "stop"})
        found = self._read() if answers else {}
        self._process.communicate()
        return found

    def kill(self) -> None:
        """End it at once, if it is still there."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def _write(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        return json.loads(line)

    def _died(self) -> WorkerError:
        code = self._process.wait()
        end = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        return WorkerError(f"a worker ended with code {code}; the end of {self.log}:\n" + "\n".join(end))


def job_worker(job: Job, environment: dict[str, str], logs: Path) -> Worker:
    """A worker for a job; its log has the contestant's name."""
    name = f"{job.name} {job.workload.name} {job.workload.data}".replace(" ", "_").replace(",", "").replace("/", "-")
    return Worker(job.as_dict(), environment, logs / f"{name}.log")


def prepare_text(
    options: argparse.Namespace, environment: dict[str, str], *, lengths: Sequence[int], vocab_size: int
) -> Path:
    """Tokenise the text in a process of its own, so that its memory is nobody else's.

    Args:
        options: Those of `add_text_arguments`.
        environment: Of the process.
        lengths: Tokens of a row.
        vocab_size: Of the tokenizer.

    Returns:
        The folder, for `speed.text.open_text`.
    """
    settings = ["--tokenizer_vocab_size", str(vocab_size), "--max_documents", str(options.max_documents)]
    settings += ["--padded_rows", options.padded_rows, "--text", *options.text]
    folder = options.output_dir / f"text-{hashlib.sha256(' '.join(settings).encode()).hexdigest()[:8]}"
    command = [sys.executable, "-m", "speed.text", str(folder), "--length", *map(str, lengths), *settings]
    subprocess.run(command, check=True, env=environment)
    return folder


def choose_device(device: str | None, environment: dict[str, str]) -> str:
    """The device that was named, or cuda where torch sees a GPU; asked in another process, to import torch there."""
    if device:
        return device
    command = [sys.executable, "-c", "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')"]
    output = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return output.stdout.split()[-1]
