"""A preparation that is killed leaves no process behind, and a folder that goes on to the same bytes."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from electra_hf.corpora import LocalFiles
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.shards import PackingSettings

# The fifth chunk never comes: the kill is in the middle however fast the machine is.
SCRIPT = """
import sys, time

if __name__ == "__main__":  # workers import this file too
    from itertools import islice
    from transformers import PreTrainedTokenizerFast
    from electra_hf.corpora import LocalFiles
    from electra_hf.tokens import shards
    from electra_hf.tokens.preparation import prepare

    def four_chunks(*arguments, chunks=shards.chunks):
        yield from islice(chunks(*arguments), 4)
        time.sleep(600)

    shards.chunks = four_chunks
    text, tokenizer, folder = sys.argv[1:]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    settings = shards.PackingSettings(max_seq_length=32)
    prepare(LocalFiles([text]), tokenizer, folder, settings, num_workers=2, shard_characters=1500, progress=False)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited for a minute")


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # nobody may be there to reap it
    except psutil.NoSuchProcess:
        return True


def test_kill_and_go_on(documents, tokenizer, tmp_path: Path):
    text, folder, fresh = tmp_path / "text.txt", tmp_path / "killed", tmp_path / "fresh"
    text.write_text("\n\n".join(documents))
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    (tmp_path / "script.py").write_text(SCRIPT)
    script = [sys.executable, str(tmp_path / "script.py"), str(text), str(tmp_path / "tokenizer"), str(folder)]
    with subprocess.Popen(script) as run:
        workers: list[psutil.Process] = []
        try:
            wait_until(lambda: run.poll() is not None or len(list(folder.glob("shard-*.json"))) >= 3)
            assert run.poll() is None
            workers = psutil.Process(run.pid).children(recursive=True)
            assert len(workers) >= 2
            run.kill()
            run.wait()
            wait_until(lambda: all(map(is_gone, workers)))
        finally:
            run.kill()
            for worker in workers:
                if not is_gone(worker):
                    worker.kill()
    kept = contents(folder)
    assert "manifest.json" not in kept and "shard-00000-00004.json" not in kept
    corpus = LocalFiles([str(text)])
    settings = PackingSettings(max_seq_length=32)
    for other in (folder, fresh):
        prepare(corpus, tokenizer, other, settings, num_workers=1, shard_characters=1500, progress=False)
    assert contents(folder) == contents(fresh)
    assert {name: data for name, data in kept.items() if name.startswith("shard")}.items() <= contents(fresh).items()
