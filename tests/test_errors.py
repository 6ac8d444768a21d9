"""What a user sees of an error."""

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from electra_hf.errors import (
    DEBUG_VARIABLE,
    Interrupted,
    PreparationError,
    UsageError,
    asks_for_traceback,
    run_script,
)


class Damaged(Dataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        raise PreparationError("blocks.npy: damaged: prepare it again")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_loader_worker_reads_like_any_other(workers: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run_script(lambda: list(DataLoader(Damaged(), num_workers=workers)) and None)
    assert left.value.code == 1
    assert capsys.readouterr().err == "error: blocks.npy: damaged: prepare it again\n"


def fail_with(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


@pytest.fixture
def leave(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Run a script that ends so: exit code and what it said. Tracebacks are kept in tmp_path."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)

    def run(error: BaseException, *, debug: bool = False) -> tuple[object, str]:
        with pytest.raises(SystemExit) as left:
            run_script(fail_with(error), debug=debug)
        return left.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("--seed -1: give 0"), 2, "error: --seed -1: give 0\n"),
        (PreparationError("blocks.npy: damaged"), 1, "error: blocks.npy: damaged\n"),
        (Interrupted("stopped and saved"), 75, "stopped and saved\n"),
        (OSError(errno.ENOSPC, "No space", "a.bin"), 1, "error: a.bin: the disk is full"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (MemoryError(), 1, "error: memory ran out"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "--per_device_train_batch_size"),
    ],
)
def test_what_a_user_can_act_on_is_one_sentence(leave, error, code, words, tmp_path: Path):
    found, said = leave(error)
    assert found == code and words in said and "Traceback" not in said
    assert not list(tmp_path.iterdir()), "nothing to report"
    found, said = leave(error, debug=True)
    assert found == code and words in said and "Traceback" in said


def test_a_bug_is_told_as_one_and_its_traceback_is_kept(leave, tmp_path: Path):
    code, said = leave(KeyError("magic\nword"))
    (kept,) = tmp_path.iterdir()
    assert code == 1 and said.count("\n") == 1
    assert "KeyError" in said and "this is a bug, or an input that was not foreseen" in said and str(kept) in said
    text = kept.read_text()
    assert text.startswith("Traceback") and "in main" in text and "magic" in text


def test_a_bug_is_told_where_nothing_can_be_written(leave, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    code, said = leave(KeyError("magic"))
    assert code == 1 and "Traceback" in said and "error: KeyError" in said


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_the_variable_asks_for_tracebacks_too(leave, monkeypatch: pytest.MonkeyPatch, value: str, shown: bool):
    monkeypatch.setenv(DEBUG_VARIABLE, value)
    assert ("Traceback" in leave(UsageError("--seed"))[1]) == shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], False),
        (["--debug"], True),
        (["--debug", "--seed", "1"], True),
        (["--seed", "1", "--debug"], True),
        (["--debug", "underflow_overflow"], False),
        (["--debug=underflow_overflow"], False),
    ],
)
def test_debug_without_a_value_is_ours(words: list[str], expected: bool):
    assert asks_for_traceback(words) == expected
