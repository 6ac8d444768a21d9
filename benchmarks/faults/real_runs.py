"""run_pretraining.py on a small corpus, in processes of its own that can be killed."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from watched_run import read_phase

from electra_hf.errors import ElectraHfError

VICTIM = Path(__file__).with_name("watched_run.py")
STEPS, PATIENCE = 120, 300
# Nothing coincides: windows of the log straddle checkpoints, evaluations lie between both.
EVERY_RUN = (
    *("--train_tokenizer", "--vocab_size", "400", "--max_seq_length", "32", "--generator_width", "0.5"),
    "--config_overrides",
    "embedding_size=32,hidden_size=32,num_hidden_layers=2,num_attention_heads=2,intermediate_size=64,"
    "max_position_embeddings=32",
    *("--max_steps", str(STEPS), "--per_device_eval_batch_size", "4", "--seed", "7"),
    *("--save_steps", "4", "--save_total_limit", "2", "--logging_steps", "3"),
    *("--eval_strategy", "steps", "--eval_steps", "5", "--do_eval", "--validation_split_percentage", "20"),
    *("--use_cpu", "--disable_tqdm", "true"),
)


@dataclass(frozen=True)
class Case:
    """A way to run.

    Attributes:
        options: besides `EVERY_RUN`.
        processes: number of ranks.
    """

    options: tuple[str, ...]
    processes: int = 1


class Run:
    """One output folder and the processes that write there."""

    def __init__(self, case: Case, home: Path, name: str, corpus: Path, extra: Sequence[str] = ()) -> None:
        self.folder, self.phase, self.log = home / name, home / f"{name}.phase", home / f"{name}.log"
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={case.processes}"]
        self.command = [
            sys.executable,
            *(launcher if case.processes > 1 else ()),
            *(str(VICTIM), str(self.phase), "--train_file", str(corpus)),
            *(*EVERY_RUN, *case.options, *extra, "--output_dir", str(self.folder)),
            *("--resume_from_checkpoint", "auto"),
        ]
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(home / "hf")}
        self.ranks = case.processes

    def start(self) -> subprocess.Popen:
        for rank in range(self.ranks):
            Path(f"{self.phase}-{rank}").unlink(missing_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)

    def where(self) -> tuple[str, int]:
        return read_phase(Path(f"{self.phase}-0"))

    @property
    def finished(self) -> bool:
        """The model card is the last file that the script writes."""
        return (self.folder / "README.md").is_file()

    @property
    def last_checkpoint(self) -> Path:
        return self.folder / f"checkpoint-{STEPS}"

    def newest(self) -> int:
        """The step of the newest published checkpoint, 0 without one."""
        return max((int(path.name.partition("-")[2]) for path in self.folder.glob("checkpoint-*")), default=0)

    def finish(self) -> float:
        """Run to the end; seconds between the first step and the end."""
        process = self.start()
        while process.poll() is None and self.where()[1] < 0:
            time.sleep(0.01)
        started = time.monotonic()
        process.wait(timeout=PATIENCE)
        if not self.finished:
            raise ElectraHfError(f"the run did not finish; the end of its log:\n{self.log.read_text()[-3000:]}")
        return time.monotonic() - started


def make_corpus(path: Path) -> None:
    """Documents of random words: about fifteen steps to an epoch."""
    rng = random.Random(0)
    words = ["".join(rng.choices("aeioulmnrst", k=rng.randint(2, 7))) for _ in range(200)]
    documents = (" ".join(rng.choices(words, k=rng.randint(20, 80))) + "." for _ in range(90))
    path.write_text("\n\n".join(documents), encoding="utf-8")
