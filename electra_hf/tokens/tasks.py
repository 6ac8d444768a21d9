"""What a task of a cluster runs. Like `shards`, this needs neither torch nor transformers: tasks are small."""

import contextlib
import os
from collections.abc import Sequence

from electra_hf.corpora.parts import Part
from electra_hf.tokens.shares import ShardTask, prepare_share


class MakeShare:
    """The shards of one share, as a step of a datatrove pipeline; travels between machines.

    Args:
        name: what messages call the corpus.
        parts: all its parts.
        task: what the shards are made of, and where.
        processes: of each task.
    """

    def __init__(self, name: str, parts: Sequence[Part], task: ShardTask, processes: int) -> None:
        self.name = name
        self.parts = parts
        self.task = task
        self.processes = processes
        self.directory = os.getcwd()

    def __call__(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the tasks are the parallelism
        with self._where_submitted():
            prepare_share(
                self.name,
                self.parts,
                self.task,
                share=rank,
                shares=world_size,
                num_workers=self.processes,
                progress=False,
            )

    def _where_submitted(self) -> contextlib.AbstractContextManager[None]:
        """Relative paths of a corpus are meant from where the command was given, if the node has that folder."""
        return contextlib.chdir(self.directory) if os.path.isdir(self.directory) else contextlib.nullcontext()

    def __repr__(self) -> str:
        return f"shards of {self.name} in {self.task.folder}"
