"""What the demo computes without the rest of the package: against what the package computes, and by definition."""

import ast
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, ElectraForPreTraining

from electra_hf.models import ElectraForReplacedTokenDetection, ElectricConfig, ElectricForPreTraining
from electra_hf.models.backbones import BACKBONES
from electra_hf.sharing import demo
from electra_hf.sharing.demo.filling import fill
from electra_hf.sharing.demo.loading import LoadingProblem, load_masked_lm, load_models
from electra_hf.sharing.demo.page import filled_html, judged_html
from electra_hf.sharing.demo.records import JudgedText, TokenRecord
from electra_hf.sharing.demo.tokens import encode, suspicions, swap, usable_length
from electra_hf.sharing.detection import corrupt, judge, load_detector

TEXT = "The cat sat on the mat, and a dog ran home."
MAY_IMPORT = {*sys.stdlib_module_names, "torch", "transformers", "safetensors", "gradio"}


def test_a_copy_of_the_folder_is_all_that_a_space_needs():
    for file in Path(demo.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= MAY_IMPORT, file.name
            if isinstance(node, ast.ImportFrom):
                assert node.level == 1 or str(node.module).split(".")[0] in MAY_IMPORT, file.name


@pytest.mark.parametrize("model_type", BACKBONES)
def test_each_family_is_judged_and_swapped_as_by_the_commands(tmp_path: Path, tokenizer, model_type: str):
    torch.manual_seed(0)
    backbone = BACKBONES[model_type]
    config = backbone.config_class(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=24, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    backbone.settle(config, {})
    model = ElectraForReplacedTokenDetection(
        ElectraForReplacedTokenDetection.config_class(
            generator_config=config, discriminator_config=config, temperature=2.0
        )
    )
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    models, detector = load_models(str(tmp_path)), load_detector(tmp_path)
    longest = usable_length(models.discriminator.config, models.tokenizer)
    assert longest == min(backbone.usable_positions(config), tokenizer.model_max_length)
    (expected,) = judge([TEXT * 3], detector, corrupted=False)
    found = encode(TEXT * 3, models.tokenizer, longest)
    assert found.cut == expected.cut > 0
    torch.testing.assert_close(
        suspicions(found, models.discriminator)[~found.special],
        torch.tensor([record.suspicion for record in expected.records]),
    )
    assert models.temperature == detector.temperature == 2.0
    assert models.generator is not None
    (text,) = corrupt([TEXT], tokenizer, detector.generator, temperature=2.0, seed=0)
    again = swap(encode(TEXT, tokenizer, longest), models.generator, tokenizer, temperature=2.0, seed=0)
    assert again.input_ids.tolist() == text.input_ids.tolist()


def test_a_model_that_is_not_whole_or_of_another_task_is_refused(tmp_path: Path, run_folder: Path, tokenizer, config):
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForSequenceClassification(BertConfig(**sizes, intermediate_size=16)).save_pretrained(tmp_path / "tuned")
    tokenizer.save_pretrained(tmp_path / "tuned")
    with pytest.raises(LoadingProblem, match="was fine-tuned for a task"):
        load_models(str(tmp_path / "tuned"))
    ElectraForPreTraining(config).save_pretrained(tmp_path / "alone")
    with pytest.raises(LoadingProblem, match="has no head that predicts tokens"):
        load_masked_lm(str(tmp_path / "alone"))
    (run_folder / "objective.json").write_text('{"objective": "rtd"}')
    load_masked_lm(str(run_folder)).save_pretrained(run_folder)
    with pytest.raises(LoadingProblem, match="is not whole: no weights for discriminator_predictions"):
        load_models(str(run_folder))
    (run_folder / "objective.json").unlink()
    models = load_models(str(run_folder))
    assert models.discriminator is None, "a generator's own repository can still fill"
    assert models.generator is not None


def test_an_electric_model_has_other_commands(tmp_path: Path, tokenizer, config):
    ElectricForPreTraining(ElectricConfig(generator_config=config, discriminator_config=config)).save_pretrained(
        tmp_path
    )
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(LoadingProblem, match="electra-hf score"):
        load_models(str(tmp_path))


def test_of_a_discriminator_without_generator_only_the_judgement_is_left(run_folder: Path, tmp_path: Path, tokenizer):
    ElectraForPreTraining.from_pretrained(run_folder).save_pretrained(tmp_path / "alone")
    tokenizer.save_pretrained(tmp_path / "alone")
    models = load_models(str(tmp_path / "alone"))
    assert models.generator is None
    assert models.discriminator is not None


def test_the_page_has_each_number_and_each_verdict_in_words():
    records = [
        TokenRecord("<b>", "cat", True, 0.974, False),
        TokenRecord("##ing", "##ed", True, 0.2, False),
        TokenRecord("mat", "mat", False, 0.61, True),
        TokenRecord("on", "on", False, 0.034, True),
    ]
    html = judged_html(JudgedText(records, [True] * 4, cut=3))
    assert "2 swaps: 1 found, 1 missed; 1 false alarm among 2 other tokens" in html
    assert "<mark>cat</mark><mark>ed</mark> mat on" in html
    assert "&lt;b&gt;" in html and "<b>" not in html
    for expected in ("97%", "was cat", ">found<", "20%", "was ed", ">missed<", "61%", ">suspected<", "3%"):
        assert expected in html
    assert "3 tokens at the end were left out" in html
    masked_only = judged_html(JudgedText(records, [True, True, False, False], cut=0))
    assert "61%" not in masked_only
    assert "0 false alarms among 0 other masked tokens" in masked_only
    assert "There is no text" in judged_html(JudgedText([], [], 0))


def test_bars_are_as_long_as_their_numbers(run_folder: Path, tokenizer):
    filled = fill("the [MASK] sat", tokenizer, load_masked_lm(str(run_folder)), 2)
    html = filled_html(filled)
    for candidate in filled.masks[0]:
        assert f"width: {candidate.probability:.1%}" in html
