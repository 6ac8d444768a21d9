"""What run_pretraining.py says when something is wrong, and what it leaves behind."""

import errno
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from tiny_script import (
    MODEL,
    TINY,
    TOKENIZER,
    VOCABULARY,
    assert_explained,
    make_documents,
    prepared_files,
    train_rows,
)

from electra_hf.corpora import storage
from electra_hf.training import PretrainingArguments


def write(data: str | bytes, name: str = "text.txt"):
    """A case that trains on one file with this content."""

    def options(folder: Path, first_run: Path) -> tuple:
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return (*TINY, "--train_file", folder / name)

    return options


def tiny_with(*more: str):
    """A case that trains on good text with other options."""

    def options(folder: Path, first_run: Path) -> tuple:
        (folder / "text.txt").write_text("\n\n".join(make_documents(60, seed=0)), encoding="utf-8")
        return (*TINY, "--train_file", folder / "text.txt", *more)

    return options


def unknown_key(folder: Path, first_run: Path) -> tuple:
    (folder / "recipe.yaml").write_text("lerning_rate: 1e-3\n")
    return ("--config", folder / "recipe.yaml")


def vocabulary_without_mask(folder: Path, first_run: Path) -> tuple:
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nword\n")
    options = tiny_with()(folder, first_run)[len(TOKENIZER) :]
    return (*options, "--tokenizer_name", folder / "vocab.txt", "--do_lower_case", "true")


def tokenizer_of_another_model(folder: Path, first_run: Path) -> tuple:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(900))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    options = tiny_with()(folder, first_run)[len(TOKENIZER) + len(MODEL) :]
    names = ("--model_name_or_path", first_run, "--tokenizer_name", folder / "vocab.txt", "--do_lower_case", "true")
    return (*options, *names)


def no_tokenizer(folder: Path, first_run: Path) -> tuple:
    return tiny_with()(folder, first_run)[len(TOKENIZER) :]


def model_out_of_reach(folder: Path, first_run: Path) -> tuple:
    names = ("--model_name_or_path", "google/electra-small-discriminator", "--tokenizer_name", first_run)
    return (*tiny_with()(folder, first_run)[len(TOKENIZER) + len(MODEL) :], *names)


KOREAN = "한국어 문장은 이렇게 생겼습니다. 두 번째 문장도 있습니다.\n"
# name: (options, exit code, what the message must name: the thing and the way out)
BAD = {
    "missing file": (lambda folder, _: (*TINY, "--train_file", folder / "no.txt"), 1, ["no.txt", "check the path"]),
    "glob": (lambda folder, _: (*TINY, "--train_file", folder / "*.txt"), 1, ["matches no file", "check the path"]),
    "empty file": (write(""), 1, ["text.txt", "empty"]),
    "UTF-16": (write(KOREAN.encode("utf-16")), 1, ["text.txt", "--encoding utf-16"]),
    "CP949": (write((KOREAN * 9).encode("cp949")), 1, ["text.txt, line 1", "--encoding cp949"]),
    "invalid bytes": (write(b"good\n\xff\xfe\xfd bad\n" * 3), 1, ["text.txt, line 2", "--encoding_errors replace"]),
    "empty documents": (write(" \n\n \t\n" * 20), 1, ["text.txt", "every document is empty", "check the data"]),
    "too few blocks": (write("a b\n\nb a\n\na\n\n" * 9), 1, ["training blocks", "add text"]),
    "vocab.txt": (vocabulary_without_mask, 1, ["vocab.txt", "[MASK] not among"]),
    "two sizes": (
        tokenizer_of_another_model,
        2,
        [f"the model has {VOCABULARY} tokens", "905", "leave out --tokenizer_name"],
    ),
    "option": (tiny_with("--lerning_rate", "1"), 2, ["'--lerning_rate'", "did you mean 'learning_rate'"]),
    "value": (tiny_with("--max_steps", "many"), 2, ["--max_steps", "many"]),
    "YAML key": (unknown_key, 2, ["recipe.yaml", "unknown key 'lerning_rate'", "did you mean 'learning_rate'"]),
    "fp16": (tiny_with("--fp16"), 2, ["fp16 needs a GPU", "--fp16 false"]),
    "no network": (lambda *_: (*TINY, "--dataset_name", "no/such"), 1, ["no/such", "HF_HUB_OFFLINE"]),
    "no model": (model_out_of_reach, 1, ["google/electra-small-discriminator"]),
    "no corpus": (lambda *_: TINY, 2, ["no training text was named", "--train_file"]),
    "no tokenizer": (no_tokenizer, 2, ["no tokenizer", "--train_tokenizer"]),
    "too long": (tiny_with("--max_seq_length", "32"), 2, ["--max_seq_length 32", "max_position_embeddings 16"]),
    "no generator": (tiny_with("--generator_width", "0"), 2, ["generator_width is 0", "(0, 1]"]),
    "nothing held out": (
        tiny_with("--validation_split_percentage", "1e-9"),
        1,
        ["no document for validation", "change the percentage"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_explained(name, run, first_run, cache, tmp_path):
    options, code, texts = BAD[name]
    before = prepared_files(cache)
    done = run(*options(tmp_path, first_run), "--output_dir", tmp_path / "run")
    assert_explained(done, code, texts)
    after = prepared_files(cache)
    assert before.items() <= after.items(), "blocks that other runs use are as they were"


def test_bf16_where_there_is_none(run, corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    done = run(*TINY, "--bf16", "--train_file", corpus, "--output_dir", tmp_path)
    assert_explained(done, 2, ["no bf16 instructions", "--bf16 false"])


def test_several_gpus_in_one_process(run, corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(PretrainingArguments, "n_gpu", property(lambda self: 2))
    done = run(*TINY, "--train_file", corpus, "--output_dir", tmp_path)
    assert_explained(done, 2, ["2 GPUs", "accelerate launch --num_processes 2"])


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_while_preparing(run, corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "os", SimpleNamespace(fsync=no_space, getpid=os.getpid))
    options = (*TINY, "--train_file", corpus / "*.txt", "--prepared_dir", tmp_path / "blocks")
    done = run(*options, "--output_dir", tmp_path / "run")
    assert_explained(done, 1, [str(tmp_path / "blocks" / "train"), "the disk is full", "free some space"])
    assert not list((tmp_path / "blocks" / "train").iterdir()), "no half of a file is left"
    monkeypatch.undo()
    assert run(*options, "--output_dir", tmp_path / "run").code == 0


def fail_with(error: Exception):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        (
            "transformers.modeling_utils.safe_save_file",
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        ),
        ("torch.save", RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")),
        ("transformers.TrainerState.save_to_json", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
    ],
    ids=["weights", "optimiser", "state"],
)
def test_full_disk_while_saving(writer, error, run, corpus, monkeypatch, caplog, tmp_path):
    """Checkpoints that cannot be written are reported, and the run goes on; at its end the error counts."""
    options = (*TINY, "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    monkeypatch.setattr(writer, fail_with(error))
    done = run(*options)
    assert_explained(done, 1, [str(tmp_path), "the disk is full", "--resume_from_checkpoint auto"])
    for step in (2, 4):
        assert f"Step {step} was not saved: cannot save to {tmp_path / f'checkpoint-{step}'}" in caplog.text
    assert not list(tmp_path.glob("*checkpoint-*"))
    monkeypatch.undo()
    resumed = run(*options, "--resume_from_checkpoint", "auto")
    assert resumed.code == 0, resumed.stderr
    assert [row["step"] for row in train_rows(tmp_path)] == [1, 2, 3, 4]


def test_full_disk_at_the_end(run, corpus, monkeypatch, tmp_path):
    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", no_space)
    done = run(*TINY, "--save_strategy", "no", "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    assert_explained(done, 1, [str(tmp_path), "the disk is full"])


def test_full_disk_for_anything_else(run, corpus, monkeypatch, tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "pretraining_config.yaml"))
    monkeypatch.setattr("electra_hf.parser.yaml.safe_dump", fail_with(full))
    done = run(*TINY, "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    assert_explained(done, 1, ["pretraining_config.yaml", "the disk is full"])


def test_a_bug_keeps_its_traceback(run, corpus, monkeypatch, tmp_path):
    """An OSError that says nothing about a disk is no message for the user."""
    monkeypatch.setattr("electra_hf.parser.yaml.safe_dump", fail_with(OSError(errno.EBADF, "Bad file")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = run(*TINY, "--train_file", corpus / "*.txt", "--output_dir", tmp_path / "run")
    assert_explained(
        done, 1, ["OSError: [Errno 9] Bad file", "this is a bug", str(tmp_path / "electra-hf-traceback-")]
    )
    (kept,) = tmp_path.glob("electra-hf-traceback-*.txt")
    assert "write_settings" in kept.read_text() and "Bad file" in kept.read_text()


def test_output_folder_without_permission(run, corpus, monkeypatch, tmp_path):
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(tempfile, "TemporaryFile", fail_with(refused))
    done = run(*TINY, "--train_file", corpus, "--output_dir", tmp_path)
    assert_explained(done, 1, [str(tmp_path), "permission denied", "choose a folder that you may write"])


def test_file_without_permission(run, corpus, monkeypatch, tmp_path):
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr("electra_hf.corpora.decoding._open_bytes", fail_with(refused))
    done = run(*TINY, "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    assert_explained(done, 1, ["a.txt", "permission denied"])
