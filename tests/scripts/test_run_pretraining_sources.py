"""run_pretraining.py on text from all kinds of places, and in several processes."""

import gzip
import json
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_script import (
    MODEL,
    RUN,
    TINY,
    assert_explained,
    logged,
    make_documents,
    prepared_files,
    read_json,
    train_rows,
)

from electra_hf.cli import run as run_command
from electra_hf.tokens import shards


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
    streamed = run(*command, "--streaming", "--output_dir", tmp_path / "b")
    assert_explained(streamed, 2, ["--streaming has no effect on a prepared folder"])
    (blocks / "validation").rename(tmp_path / "elsewhere")
    unevaluated = run(*command, "--output_dir", tmp_path / "b")
    assert_explained(unevaluated, 2, ["no blocks for evaluation", "--do_eval"])
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
