"""run_pretraining.py as a user meets it: what it writes, and how it goes on."""

import math
import re

import pytest
import torch
from tiny_script import RUN, TINY, VOCABULARY, logged, prepared_files, read_json, train_rows
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, ElectraModel

from electra_hf.cli import run as run_command

CHECKPOINT_FILES = ("config.json", "model.safetensors", "objective.json", "tokenizer.json", "trainer_state.json")
RUN_FILES = (
    *CHECKPOINT_FILES,
    *("train_results.json", "eval_results.json", "all_results.json", "training_curves.png", "held_out_samples.txt"),
    *("README.md", "pretraining_config.yaml"),
)


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
    assert re.search(r"\*\*Trained on\*\*: \*\.txt: \d\d documents, [\d,]+ tokens\n", card), "no folder"
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
    weights, log = (tmp_path / "model.safetensors").read_bytes(), logged(tmp_path)
    results, trained = read_json(tmp_path / "eval_results.json"), read_json(tmp_path / "train_results.json")
    blocks = prepared_files(cache)
    refused = run(*options)
    assert refused.code == 2
    assert "already holds a run" in refused.stderr and "--resume_from_checkpoint auto" in refused.stderr
    resumed = run(*options, "--resume_from_checkpoint", "auto")
    assert resumed.code == 0, resumed.stderr
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert logged(tmp_path) == log, "also the mean loss"
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


# The rest


def test_help(run):
    done = run("--help")
    assert done.code == 0
    assert "--train_file" in done.stdout and "--config FILE.yaml" in done.stdout
