"""`detect` and `fill` as a person calls them: where texts come from, what is printed, and what is refused."""

import io
import json
import logging
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForMaskedLM, BertConfig, BertForPreTraining, BertForSequenceClassification

from electra_hf.cli import run
from electra_hf.errors import CheckpointError, CorpusError, UsageError

TEXT = "the cat sat on the mat and a dog ran home"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def records(capsys, *arguments: object) -> list[dict]:
    run([*map(str, arguments), "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_texts_are_arguments_an_option_a_file_or_the_standard_input(run_folder: Path, tmp_path, capsys, monkeypatch):
    (tmp_path / "texts").write_text(f"{TEXT}\na cat\n", encoding="utf-8")
    ways = [
        ("detect", run_folder, TEXT, "a cat"),
        ("detect", run_folder, "--seed", 0, TEXT, "a cat"),
        ("detect", run_folder, "--text", TEXT, "a cat"),
        ("detect", run_folder, "--file", tmp_path / "texts"),
        ("detect", run_folder, "-"),
        ("detect", run_folder, "--seed", 0, "-"),
    ]
    found = []
    for way in ways:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEXT}\n\na cat\n"))
        found.append(records(capsys, *way))
    assert [record["text"] for record in found[0]] == [TEXT, "a cat"]
    assert all(each == found[0] for each in found)


def test_records_say_what_was_swapped_and_suspected(run_folder: Path, capsys):
    (record,) = records(capsys, "detect", run_folder, TEXT, "--mlm_probability", 1, "--threshold", 0)
    assert [token["original"] for token in record["tokens"]] == TEXT.split()
    swaps = sum(token["replaced"] for token in record["tokens"])
    assert (record["found"], record["missed"], record["false_alarms"]) == (swaps, 0, 11 - swaps)
    assert all(token["suspected"] and 0 < token["suspicion"] < 1 for token in record["tokens"])
    assert "energy" not in record["tokens"][0]
    (record,) = records(capsys, "detect", run_folder, TEXT, "--threshold", 1)
    assert (record["found"], record["false_alarms"]) == (0, 0)


def test_nothing_is_swapped_if_asked_for(run_folder: Path, capsys):
    (record,) = records(capsys, "detect", run_folder, TEXT, "--no_corrupt", "--mlm_probability", 1)
    assert not any(token["replaced"] for token in record["tokens"])
    shutil.rmtree(run_folder / "generator")
    (alone,) = records(capsys, "detect", run_folder, TEXT)
    assert alone == record


def test_a_long_text_is_cut_and_that_is_said(run_folder: Path, capsys):
    (record,) = records(capsys, "detect", run_folder, "cat " * 30)
    assert (len(record["tokens"]), record["cut_tokens"]) == (22, 8)
    run(["detect", str(run_folder), "cat " * 30])
    assert "8 tokens at the end of this text were left out" in capsys.readouterr().out


def test_electra_15_shows_what_it_has_learnt_to_judge(run_folder: Path, capsys):
    (run_folder / "objective.json").write_text('{"objective": "electra_15"}')
    (record,) = records(capsys, "detect", run_folder, TEXT, "--mlm_probability", 0.3)
    assert sum(token["suspicion"] is not None for token in record["tokens"]) == 3
    assert all(token["suspicion"] is not None for token in record["tokens"] if token["replaced"])
    run(["detect", str(run_folder), TEXT])
    assert "masked positions only" in capsys.readouterr().out
    with pytest.raises(UsageError, match="means nothing"):
        run(["detect", str(run_folder), TEXT, "--no_corrupt"])


def test_masks_are_filled_in_words_bars_and_records(run_folder: Path, capsys):
    (record,) = records(capsys, "fill", run_folder, "the [MASK] sat on a [MASK] .", "--top_k", 2)
    assert [len(mask) for mask in record["masks"]] == [2, 2]
    assert set(record["masks"][0][0]) == {"word", "piece", "id", "probability"}
    run(["fill", str(run_folder), "the [MASK] sat on a [MASK] .", "--top_k", "2"])
    output = capsys.readouterr().out
    best = record["masks"][0][0]
    assert record["filled"] in output
    assert f"{best['word']}" in output and f"{best['probability']:.1%}" in output
    assert "mask 2" in output
    # The generator at the root of a repository of its own, and beside a model that was trained as one.
    (alone,) = records(capsys, "fill", run_folder / "generator_alone", "the [MASK] sat on a [MASK] .", "--top_k", 2)
    assert alone == record


@pytest.fixture(autouse=True)
def generator_alone(run_folder: Path, tokenizer) -> None:
    shutil.copytree(run_folder / "generator", run_folder / "generator_alone")
    tokenizer.save_pretrained(run_folder / "generator_alone")


@pytest.mark.parametrize("objective", ["mlm", "replace_mlm", "all_tokens_mlm"])
def test_what_detects_nothing_points_to_the_command_that_shows_it(run_folder: Path, objective: str):
    (run_folder / "objective.json").write_text(json.dumps({"objective": objective}))
    with pytest.raises(CheckpointError, match=f"--objective {objective}.*electra-hf fill"):
        run(["detect", str(run_folder), TEXT])


def test_fine_tuned_models_are_refused_by_name(tmp_path: Path, tokenizer):
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForSequenceClassification(BertConfig(**sizes, intermediate_size=16)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for command in ("detect", "fill", "demo"):
        with pytest.raises(CheckpointError, match="fine-tuned for a task .BertForSequenceClassification"):
            run([command, str(tmp_path), *([] if command == "demo" else ["a [MASK]"])])


def test_wrong_use_is_told(run_folder: Path, monkeypatch):
    folder = str(run_folder)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    for arguments, error, words in [
        (["detect", folder, "a", "--text", "b"], UsageError, "not in two of these ways"),
        (["detect", folder, "-", "a"], UsageError, "give no others"),
        (["detect", folder, " "], UsageError, "is empty"),
        (["detect", folder, "-"], CorpusError, "standard input: no text"),
        (["detect", folder, "a", "--mlm_probability", "0"], UsageError, "--mlm_probability"),
        (["detect", folder, "a", "--temperature", "0"], UsageError, "--temperature"),
        (["detect", folder, "a", "--threshold", "2"], UsageError, "--threshold"),
        (["fill", folder], UsageError, "give a text with a mask"),
        (["fill", folder, "a cat"], CorpusError, r"text 1 \('a cat'\): there is no mask in it: write \[MASK\]"),
        (["fill", folder, "a [MASK]", "--top_k", "0"], UsageError, "--top_k 0"),
        (["fill", "./nowhere", "a [MASK]"], CheckpointError, "nowhere"),
        (["demo", folder, "--port", "0"], UsageError, "--port 0"),
        (["demo", folder, "--copy_model"], UsageError, "give --as-space"),
    ]:
        with pytest.raises(error, match=words):
            run(arguments)


def test_the_report_of_weights_that_are_not_needed_is_kept_back(tmp_path: Path, tokenizer, capsys):
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**sizes, intermediate_size=16, max_position_embeddings=24)
    BertForPreTraining(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    listener, logger = Listener(), logging.getLogger("transformers")
    logger.addHandler(listener)
    try:
        run(["score", str(tmp_path), "--text", "a cat"])
        run(["fill", str(tmp_path), "a [MASK]"])
        assert said == []
        AutoModelForMaskedLM.from_pretrained(tmp_path)
        assert any("seq_relationship" in message for message in said), "it comes back for others"
    finally:
        logger.removeHandler(listener)
    capsys.readouterr()
