"""run_pretraining.py goes on from what others trained: both halves, or either one alone."""

import logging
import math
import shutil

import pytest
import torch
from tiny_script import MODEL, RUN, VOCABULARY, assert_explained, read_json, train_rows
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

STILL = ("--learning_rate", "0", "--max_steps", "1")


@pytest.fixture
def halves(first_run, tmp_path):
    """The two encoders of a run as folders of their own, as published models are."""
    shutil.copytree(first_run / "generator", tmp_path / "generator")
    (tmp_path / "discriminator").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(first_run / name, tmp_path / "discriminator")
        if name.startswith("tokenizer"):
            shutil.copy(first_run / name, tmp_path / "generator")
    return tmp_path


def same_weights(model, other) -> bool:
    return all(torch.equal(weight, other.state_dict()[name]) for name, weight in model.state_dict().items())


def test_both_halves_from_folders_of_their_own(halves, first_run, run, corpus, caplog):
    options = (
        *("--model_name_or_path", halves / "discriminator", "--generator_name_or_path", halves / "generator"),
        *("--train_file", corpus / "*.txt", "--output_dir", halves / "run"),
    )
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        done = run(*RUN, *options, *STILL)
    assert done.code == 0, done.stderr
    for folder in ("", "generator"):
        automatic = AutoModelForMaskedLM if folder else AutoModel
        before, now = (automatic.from_pretrained(root, subfolder=folder) for root in (first_run, halves / "run"))
        assert same_weights(before, now)
    # Four steps teach nothing, which is what a wrong vocabulary would look like.
    said = [record.getMessage() for record in caplog.records if "starts at loss" in record.getMessage()]
    assert len(said) == 2 and f"ln {VOCABULARY} = {math.log(VOCABULARY):.2f}" in said[0]


@pytest.mark.parametrize(
    ("half", "option", "more"),
    [
        ("discriminator", "--model_name_or_path", ("--generator_width", "0.5")),
        ("generator", "--generator_name_or_path", MODEL[:2]),
    ],
)
def test_either_half_alone(half, option, more, halves, run, corpus, caplog):
    options = ("--train_file", corpus / "*.txt", "--output_dir", halves / "run", option, halves / half)
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        done = run(*RUN, *options, *more, *STILL)
    assert done.code == 0, done.stderr
    automatic = AutoModelForMaskedLM if half == "generator" else AutoModel
    now = automatic.from_pretrained(halves / "run", subfolder="generator" if half == "generator" else "")
    assert same_weights(automatic.from_pretrained(halves / half), now)
    assert "fresh" in caplog.text
    tokenizers = [AutoTokenizer.from_pretrained(halves / name).get_vocab() for name in (half, "run")]
    assert tokenizers[0] == tokenizers[1]
    assert math.isfinite(train_rows(halves / "run")[0]["loss"])


def test_settings_of_the_checkpoint_stay_unless_given(first_run, run, corpus, tmp_path):
    changed = ("--temperature", "0.5", "--discriminator_weight", "25")
    options = (*RUN, "--train_file", corpus / "*.txt", *STILL)
    first = run(*options, "--model_name_or_path", first_run, *changed, "--output_dir", tmp_path / "a")
    assert first.code == 0, first.stderr
    done = run(*options, "--model_name_or_path", tmp_path / "a", "--temperature", "1", "--output_dir", tmp_path / "b")
    assert done.code == 0, done.stderr
    objective = read_json(tmp_path / "b" / "objective.json")
    assert (objective["temperature"], objective["discriminator_weight"]) == (1.0, 25.0)


def test_another_vocabulary_is_refused(halves, run, corpus):
    path = halves / "generator" / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    content = read_json(path)["model"]["vocab"]
    first, second = (token for token, number in content.items() if number in (20, 21))
    swapped = text.replace(f'"{first}": 20', f'"{second}": 20').replace(f'"{second}": 21', f'"{first}": 21')
    assert swapped != text
    path.write_text(swapped, encoding="utf-8")
    done = run(
        *RUN,
        *("--model_name_or_path", halves / "discriminator", "--generator_name_or_path", halves / "generator"),
        *("--train_file", corpus / "*.txt", "--output_dir", halves / "run"),
    )
    assert_explained(done, 2, ["generator", "another vocabulary", f"id 20 is '{second}' there and '{first}' here"])


def test_a_new_tokenizer_for_old_weights_is_refused(first_run, run, corpus, tmp_path):
    options = ("--train_tokenizer", "--model_name_or_path", first_run, "--train_file", corpus / "*.txt")
    done = run(*RUN, *options, "--output_dir", tmp_path / "run")
    assert_explained(done, 2, ["--train_tokenizer makes a new vocabulary"])
