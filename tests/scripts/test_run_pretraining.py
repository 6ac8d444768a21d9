"""run_pretraining.py as a user meets it: what it writes, how it goes on, how it starts, and what it says."""

import errno
import gzip
import json
import math
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import SafetensorError
from tiny_script import MODEL, RUN, TINY, TOKENIZER, VOCABULARY, logged, make_documents, prepared_files
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, ElectraModel

from electra_hf.cli import run as run_command
from electra_hf.corpora import storage
from electra_hf.tokens import shards
from electra_hf.training import PretrainingArguments, ReplacedTokenDetectionTrainer

CHECKPOINT_FILES = ("config.json", "model.safetensors", "rtd_config.json", "tokenizer.json", "trainer_state.json")
RUN_FILES = (
    *CHECKPOINT_FILES,
    *("train_results.json", "eval_results.json", "all_results.json", "training_curves.png", "held_out_samples.txt"),
    *("README.md", "pretraining_config.yaml"),
)


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def train_rows(folder: Path) -> list[dict[str, float]]:
    return [row for row in logged(folder) if "loss" in row]


# What a run leaves


def test_a_run_writes_everything(first_run):
    missing = [name for name in RUN_FILES if not (first_run / name).stat().st_size]
    assert not missing
    for folder in (first_run, first_run / "checkpoint-2", first_run / "checkpoint-4"):
        assert all((folder / name).is_file() for name in CHECKPOINT_FILES), folder
        assert isinstance(AutoModel.from_pretrained(folder), ElectraModel)
        generator = AutoModelForMaskedLM.from_pretrained(folder, subfolder="generator")
        assert generator.config.hidden_size == 8
        assert (
            len(AutoTokenizer.from_pretrained(folder)) == AutoConfig.from_pretrained(folder).vocab_size == VOCABULARY
        )
    assert len((first_run / "held_out_samples.txt").read_text().splitlines()) > 3


def test_a_run_measures_what_it_promises(first_run):
    results = read_json(first_run / "eval_results.json")
    for name in ("eval_rtd_auc", "eval_generator_accuracy", "eval_unigram_accuracy"):
        assert 0 <= results[name] <= 1, name
    assert results["eval_loss"] == pytest.approx(results["eval_generator_loss"] + 50 * results["eval_rtd_loss"])
    rows = train_rows(first_run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["loss"] == pytest.approx(row["generator_loss"] + 50 * row["rtd_loss"], rel=1e-4)
        # Fresh models: uniform over the tokens, and a coin.
        assert row["generator_loss"] == pytest.approx(math.log(VOCABULARY), rel=0.05)
        assert row["rtd_loss"] == pytest.approx(math.log(2), abs=0.15)
    card = (first_run / "README.md").read_text()
    assert "AutoModel.from_pretrained" in card and f"{VOCABULARY} tokens" in card
    assert "**Trained on**: *.txt\n" in card, "no folder of this machine"
    assert "nan" not in card


def test_commands_look_at_a_run(first_run, capsys, tmp_path):
    run_command(["detect", str(first_run)])
    run_command(["curves", str(first_run), "--output", str(tmp_path / "c.png")])
    assert "generator loss" in capsys.readouterr().out
    assert (tmp_path / "c.png").stat().st_size > 1_000


# The same again, and on from there


def test_the_same_run_reuses_the_prepared_blocks(first_run, run, corpus, cache, tmp_path):
    before = prepared_files(cache)
    done = run(*TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    assert done.code == 0, done.stderr
    assert prepared_files(cache) == before
    assert logged(tmp_path) == logged(first_run)


def test_written_configuration_repeats_the_run(first_run, run, tmp_path):
    done = run("--config", first_run / "pretraining_config.yaml", "--output_dir", tmp_path)
    assert done.code == 0, done.stderr
    assert logged(tmp_path) == logged(first_run)


def test_finished_run_ends_at_once(run, corpus, cache, tmp_path):
    options = (*TINY, "--do_eval", "--train_file", corpus, "--output_dir", tmp_path)
    assert run(*options).code == 0
    weights, losses = (tmp_path / "model.safetensors").read_bytes(), train_rows(tmp_path)
    results, trained = read_json(tmp_path / "eval_results.json"), read_json(tmp_path / "train_results.json")
    blocks = prepared_files(cache)
    refused = run(*options)
    assert refused.code == 2
    assert "already holds a run" in refused.stderr and "--resume_from_checkpoint auto" in refused.stderr
    resumed = run(*options, "--resume_from_checkpoint", "auto")
    assert resumed.code == 0, resumed.stderr
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert train_rows(tmp_path) == losses
    assert not any(row.get("train_loss") == 0 for row in logged(tmp_path)), "nothing was trained, nothing is said"
    again = read_json(tmp_path / "eval_results.json")
    assert all(again[name] == results[name] for name in ("eval_loss", "eval_generator_loss", "eval_rtd_loss"))
    assert read_json(tmp_path / "train_results.json") == trained
    assert prepared_files(cache) == blocks, "the checkpoint's tokenizer is the trained one"


def test_resuming_in_the_middle_is_the_whole_run(first_run, run, corpus, tmp_path):
    options = (*TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    done = run(*options, "--resume_from_checkpoint", first_run / "checkpoint-2")
    assert done.code == 0, done.stderr
    assert train_rows(tmp_path) == train_rows(first_run)
    assert (tmp_path / "model.safetensors").read_bytes() == (first_run / "model.safetensors").read_bytes()


def test_resuming_to_more_steps(first_run, run, corpus, tmp_path):
    options = (*TINY, "--train_file", corpus / "*.txt", "--output_dir", tmp_path, "--max_steps", "6")
    done = run(*options, "--resume_from_checkpoint", first_run / "checkpoint-2")
    assert done.code == 0, done.stderr
    assert [row["step"] for row in train_rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "checkpoint-6" / "model.safetensors").is_file()


def test_continued_pretraining_starts_from_the_weights(first_run, run, corpus, tmp_path):
    options = ("--model_name_or_path", first_run, "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    done = run(*RUN, *options, "--learning_rate", "0", "--max_steps", "1")
    assert done.code == 0, done.stderr
    first, now = AutoModel.from_pretrained(first_run), AutoModel.from_pretrained(tmp_path)
    assert all(torch.equal(weight, now.state_dict()[name]) for name, weight in first.state_dict().items())


# Other ways to bring text


def test_streaming(run, corpus, cache, tmp_path):
    before = prepared_files(cache)
    options = (*TINY, "--streaming", "--shuffle_buffer_size", "20", "--train_file", corpus / "*.txt")
    done = run(*options, "--output_dir", tmp_path / "run")
    assert done.code == 0, done.stderr
    assert [row["step"] for row in train_rows(tmp_path / "run")] == [1, 2, 3, 4]
    assert prepared_files(cache) == before
    refused = run(*options, "--output_dir", tmp_path / "endless", "--max_steps", "-1")
    assert refused.code == 2 and "--streaming needs --max_steps" in refused.stderr


def test_streaming_with_evaluation(run, corpus, tmp_path):
    options = (*TINY, "--streaming", "--do_eval", "--train_file", corpus / "*.txt", "--max_steps", "1")
    done = run(*options, "--output_dir", tmp_path)
    assert done.code == 0, done.stderr
    assert "eval_rtd_auc" in read_json(tmp_path / "eval_results.json")


def test_compressed_json_lines_with_electra_packing(run, tmp_path):
    with gzip.open(tmp_path / "text.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"body": document}) + "\n" for document in make_documents(60, seed=1))
    options = ("--train_file", tmp_path / "text.jsonl.gz", "--text_column_name", "body", "--packing", "electra")
    done = run(*TINY, *options, "--output_dir", tmp_path / "run", "--prepared_dir", tmp_path / "blocks")
    assert done.code == 0, done.stderr
    settings = read_json(tmp_path / "blocks" / "train" / "manifest.json")["settings"]
    assert settings["packing"]["packing"] == "electra"


def test_a_prepared_folder_is_all_that_a_run_needs(run, first_run, tmp_path):
    """From `electra-hf prepare`, its text gone; the corpus of a recipe is taken away with `none`."""
    text, blocks = tmp_path / "text.txt", tmp_path / "blocks"
    text.write_text("\n\n".join(make_documents(80, seed=3)))
    options = ["--train_file", str(text), "--tokenizer_name", str(first_run), "--max_seq_length", "16"]
    run_command(["prepare", *options, "--num_workers", "1", "--output_dir", str(blocks)])
    text.unlink()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("corpus: [kowiki]\n")
    command = ["--config", recipe, *MODEL, *RUN, "--corpus", "none", "--prepared_dir", blocks, "--do_eval"]
    done = run(*command, "--output_dir", tmp_path / "run")
    assert done.code == 0, done.stderr
    assert read_json(tmp_path / "run" / "eval_results.json")["eval_rtd_auc"] >= 0
    samples = [(folder / "held_out_samples.txt").read_text() for folder in (blocks, tmp_path / "run")]
    assert samples[0] == samples[1] != ""
    assert "**Trained on**: blocks" in (tmp_path / "run" / "README.md").read_text()
    again = run(*command, "--max_seq_length", "8", "--output_dir", tmp_path / "b")
    assert_explained(again, 1, ["prepared with --max_seq_length 16, and 8 is asked for"])
    wrong = run(*MODEL, *RUN, "--prepared_dir", tmp_path / "nowhere", "--output_dir", tmp_path / "c")
    assert_explained(wrong, 1, ["nowhere: no finished prepared corpus", "electra-hf prepare"])


def test_two_local_data_sets_are_interleaved(run, tmp_path):
    folders = []
    for number in (1, 2):
        folder = tmp_path / f"data{number}"
        folder.mkdir()
        documents = [f"{'one' if number == 1 else 'two'} {text}" for text in make_documents(40, seed=number)]
        pq.write_table(pa.table({"text": documents}), folder / "train.parquet")
        folders.append(folder)
    options = ("--dataset_name", *folders, "--corpus_weights", "3", "1", "--cache_dir", tmp_path / "cache")
    done = run(*TINY, *options, "--output_dir", tmp_path / "run", "--prepared_dir", tmp_path / "blocks")
    assert done.code == 0, done.stderr
    manifest = read_json(tmp_path / "blocks" / "train" / "manifest.json")
    assert manifest["settings"]["corpus"]["weights"] == [3.0, 1.0]
    assert manifest["counts"]["documents"] < 80 == 2 * 40, "some are held out, and none comes twice"


def test_a_line_of_20_million_characters(run, tmp_path):
    (tmp_path / "long.txt").write_text(("many words stand on this one line " * 600_000)[:20_000_000])
    words = ("many", "words", "stand", "on", "this", "one", "line")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    options = ("--train_file", tmp_path / "long.txt", "--tokenizer_name", tmp_path / "vocab.txt")
    options = (*options, "--do_lower_case", "true", "--validation_split_percentage", "0", "--max_steps", "1")
    done = run(*MODEL, *RUN, *options, "--prepared_dir", tmp_path / "blocks", "--output_dir", tmp_path / "run")
    assert done.code == 0, done.stderr
    counts = read_json(tmp_path / "blocks" / "train" / "manifest.json")["counts"]
    assert counts["characters"] > 19_999_990 and counts["unknown_tokens"] <= 1


def test_evaluation_alone(first_run, run, corpus, tmp_path):
    options = ("--model_name_or_path", first_run, "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    done = run(*RUN, *options, "--do_train", "false", "--do_eval")
    assert done.code == 0, done.stderr
    assert not (tmp_path / "model.safetensors").exists()
    results, expected = read_json(tmp_path / "eval_results.json"), read_json(first_run / "eval_results.json")
    assert results["eval_rtd_loss"] == pytest.approx(expected["eval_rtd_loss"])


# Launchers


def test_accelerate_launch(first_run, launch, corpus, cache, tmp_path):
    before = prepared_files(cache)
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
    stderr = launch(launcher, *TINY, "--do_eval", "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    assert (tmp_path / "README.md").is_file(), stderr[-3000:]
    assert logged(tmp_path) == logged(first_run)
    assert prepared_files(cache) == before


def test_two_processes_share_tokenizer_and_blocks(launch, corpus, tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    blocks = tmp_path / "blocks"
    options = (*TINY, "--do_eval", "--train_file", corpus / "*.txt", "--prepared_dir", blocks)
    stderr = launch(launcher, *options, "--output_dir", tmp_path / "run")
    assert (tmp_path / "run" / "README.md").is_file(), stderr[-3000:]
    assert "already holds a run" not in stderr
    assert [row["step"] for row in train_rows(tmp_path / "run")] == [1, 2, 3, 4]
    assert "eval_rtd_auc" in read_json(tmp_path / "run" / "eval_results.json")
    expected = {"manifest.json", "settings.json", "part-00000.json", "shard-00000-00000.json"}
    expected |= {f"{kind}-00000-00000.npy" for kind in shards.ARRAYS}
    for split in ("train", "validation"):
        assert {path.name for path in (blocks / split).iterdir()} == expected


def test_two_processes_fail_with_one_message(launch, tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    (tmp_path / "text.txt").write_text(" \n\n \n")
    stderr = launch(launcher, *TINY, "--train_file", tmp_path / "text.txt", "--output_dir", tmp_path / "run")
    messages = {line for line in stderr.splitlines() if line.startswith("error: ")}
    assert len(messages) == 1 and "every document is empty" in messages.pop()
    assert "broadcast" not in stderr, "nobody meets a lost connection"


def test_only_the_first_process_trains_a_tokenizer(script, monkeypatch, tokenizer):
    """The others take what is broadcast, and never read the corpus."""
    from electra_hf.training import setup
    from electra_hf.training.arguments import DataArguments, ModelArguments

    def receive(objects):
        assert objects == [None]
        return [tokenizer]

    monkeypatch.setattr(setup, "broadcast_object_list", receive)
    monkeypatch.setattr(setup, "train_wordpiece", lambda *_, **__: pytest.fail("a second tokenizer was trained"))
    second = SimpleNamespace(process_index=1, should_log=False, disable_tqdm=True)
    arguments = ModelArguments(train_tokenizer=True), DataArguments()
    assert setup.open_tokenizer(*arguments, second, SimpleNamespace(), None) is tokenizer  # type: ignore[arg-type]


# What goes wrong


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


def assert_explained(done, code: int, texts: list[str]) -> None:
    assert done.code == code, done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    missing = [text for text in texts if text not in message]
    assert not missing, message


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
def test_full_disk_while_saving_a_checkpoint(writer, error, run, corpus, monkeypatch, tmp_path):
    options = (*TINY, "--train_file", corpus / "*.txt", "--output_dir", tmp_path)
    monkeypatch.setattr(writer, fail_with(error))
    done = run(*options)
    assert_explained(done, 1, [str(tmp_path / "checkpoint-2"), "the disk is full", "--resume_from_checkpoint auto"])
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
    with pytest.raises(OSError, match="Bad file"):
        run(*TINY, "--train_file", corpus / "*.txt", "--output_dir", tmp_path)


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


# The rest


def test_help(run):
    done = run("--help")
    assert done.code == 0
    assert "--train_file" in done.stdout and "--config FILE.yaml" in done.stdout


def test_push_to_hub(run, corpus, monkeypatch, tmp_path):
    pushed = []
    monkeypatch.setattr(ReplacedTokenDetectionTrainer, "init_hf_repo", lambda self, token=None: None)
    monkeypatch.setattr(ReplacedTokenDetectionTrainer, "_push_from_checkpoint", lambda self, folder: None)
    monkeypatch.setattr(
        ReplacedTokenDetectionTrainer,
        "push_to_hub",
        lambda self, *_, **__: pushed.append(sorted(path.name for path in Path(self.args.output_dir).iterdir())),
    )
    options = ("--push_to_hub", "--hub_model_id", "me/tiny", "--train_file", corpus / "*.txt")
    done = run(*TINY, *options, "--output_dir", tmp_path)
    assert done.code == 0, done.stderr
    assert "README.md" in pushed[-1] and "model.safetensors" in pushed[-1]
    assert "# me/tiny" in (tmp_path / "README.md").read_text()
