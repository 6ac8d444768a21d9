"""Corruption and detection: what may be swapped, what the scores are, and what a broken folder says."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, ElectraConfig, ElectraForMaskedLM, ElectraForSequenceClassification

from electra_hf.errors import CheckpointError, CorpusError
from electra_hf.models import (
    ElectraForMaskedTokenDetection,
    ElectraForReplacedTokenDetection,
    derive_generator_config,
)
from electra_hf.sharing.detection import corrupt, detect, load_detector, read_samples

TEXT = "The cat sat on the mat, and a dog ran home."


@pytest.fixture
def detector(run_folder: Path):
    return load_detector(run_folder)


def test_detect_gives_a_record_for_every_token_but_the_special_ones(detector):
    (records,) = detect([TEXT], detector, seed=1)
    assert [record.original for record in records] == detector.tokenizer.tokenize(TEXT)
    assert all(0 <= record.suspicion <= 1 for record in records)
    assert all(record.replaced == (record.piece != record.original) for record in records)


def test_gaps_are_the_white_space_of_the_source(detector):
    (records,) = detect(["cat , dog,"], detector)
    assert [record.gap for record in records] == [False, True, True, False]


def test_suspicion_is_the_sigmoid_of_the_logits_on_the_corrupted_text(detector):
    (text,) = corrupt([TEXT], detector.tokenizer, detector.generator, seed=3)
    with torch.no_grad():
        logits = detector.discriminator(input_ids=text.input_ids[None]).logits[0]
    expected = torch.sigmoid(logits)[~text.special]
    (records,) = detect([TEXT], detector, seed=3)
    torch.testing.assert_close(torch.tensor([record.suspicion for record in records]), expected)


@pytest.mark.parametrize("mask_probability", [0.15, 0.5, 1.0])
def test_only_as_many_tokens_change_as_were_masked_and_never_a_special_one(detector, mask_probability: float):
    for seed in range(5):
        (text,) = corrupt([TEXT], detector.tokenizer, detector.generator, mask_probability=mask_probability, seed=seed)
        changed = text.input_ids != text.original_ids
        assert 0 < changed.sum() <= round(mask_probability * int((~text.special).sum()))
        assert not (changed & text.special).any()


def test_samples_are_pieces_that_can_be_shown(detector, config: ElectraConfig):
    class Stubborn(ElectraForMaskedLM):
        """Wants nothing but special tokens and rows without a piece; the rest is equally likely."""

        def forward(self, **inputs):
            output = super().forward(**inputs)
            output.logits.zero_()
            output.logits[..., :5] = 50.0
            output.logits[..., len(detector.tokenizer) :] = 50.0
            return output

    (text,) = corrupt([TEXT], detector.tokenizer, Stubborn(config).eval(), mask_probability=1.0)
    ordinary = text.input_ids[~text.special]
    assert ((ordinary >= 5) & (ordinary < len(detector.tokenizer))).all()


def test_the_generator_sees_masks_and_not_the_tokens_it_replaces(detector, config: ElectraConfig):
    class Spy(ElectraForMaskedLM):
        def forward(self, **inputs):
            seen.append(inputs["input_ids"])
            return super().forward(**inputs)

    seen: list[torch.Tensor] = []
    (text,) = corrupt([TEXT], detector.tokenizer, Spy(config).eval(), mask_probability=1.0)
    assert (seen[0][0, ~text.special] == detector.tokenizer.mask_token_id).all()


def test_the_same_seed_gives_the_same_swaps_and_another_seed_others(detector):
    def ids(seed: int) -> list[int]:
        return corrupt([TEXT], detector.tokenizer, detector.generator, seed=seed)[0].input_ids.tolist()

    assert ids(0) == ids(0)
    assert len({tuple(ids(seed)) for seed in range(6)}) > 1


def test_the_swaps_of_a_text_do_not_depend_on_the_texts_after_it(detector):
    alone = corrupt([TEXT], detector.tokenizer, detector.generator)[0]
    first = corrupt([TEXT, "a dog"], detector.tokenizer, detector.generator)[0]
    assert alone.input_ids.tolist() == first.input_ids.tolist()


def test_an_empty_text_has_no_records_and_a_long_one_is_cut(detector):
    empty, long = detect(["", "cat " * 100], detector)
    assert empty == []
    assert len(long) == 24 - 2


def test_without_a_generator_the_text_is_scored_as_it_is(run_folder: Path):
    shutil.rmtree(run_folder / "generator")
    detector = load_detector(run_folder)
    assert detector.generator is None
    (records,) = detect([TEXT], detector)
    assert not any(record.replaced for record in records)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no such folder"):
        load_detector(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("removed", "message"),
    [("config.json", "config.json"), ("model.safetensors", "weights"), ("tokenizer.json", "tokenizer")],
)
def test_a_folder_that_lacks_a_part_says_which(run_folder: Path, removed: str, message: str):
    (run_folder / removed).unlink()
    with pytest.raises(CheckpointError, match=message):
        load_detector(run_folder)


def test_an_interrupted_run_points_at_its_checkpoint(tmp_path: Path):
    (tmp_path / "checkpoint-7").mkdir()
    with pytest.raises(CheckpointError, match="checkpoint-7"):
        load_detector(tmp_path)


def test_a_generator_folder_without_weights_is_an_error_and_not_silence(run_folder: Path):
    (run_folder / "generator" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not a complete generator"):
        load_detector(run_folder)


def test_a_checkpoint_that_lost_its_detection_head_is_refused(run_folder: Path, config: ElectraConfig):
    ElectraForSequenceClassification(config).save_pretrained(run_folder)
    with pytest.raises(CheckpointError, match="fine-tuned for a task .ElectraForSequenceClassification."):
        load_detector(run_folder)


def test_samples_are_lines_and_a_missing_or_empty_file_is_named(tmp_path: Path):
    file = tmp_path / "samples.txt"
    with pytest.raises(CorpusError, match="no such file"):
        read_samples(file)
    file.write_text("\n \n", encoding="utf-8")
    with pytest.raises(CorpusError, match="no text"):
        read_samples(file)
    file.write_bytes(b"caf\xe9\n")
    with pytest.raises(CorpusError, match="UTF-8"):
        read_samples(file)
    file.write_text("one\n\n two \n", encoding="utf-8")
    assert read_samples(file) == ["one", "two"]


def test_swaps_are_sampled_at_the_temperature_of_pre_training(run_folder):
    """Near 0 the generator's first guess is always taken, so that two seeds can only differ in what they mask."""
    assert load_detector(run_folder).temperature == 1.0
    (run_folder / "objective.json").write_text(json.dumps({"temperature": 1e-6}), encoding="utf-8")
    detector = load_detector(run_folder)
    assert detector.temperature == 1e-6
    texts = ["the cat sat on the mat"] * 40
    hot = detect(texts, replace(detector, temperature=100.0), mask_probability=1.0)
    cold = detect(texts, detector, mask_probability=1.0)
    assert len({tuple(record.piece for record in text) for text in cold}) == 1
    assert len({tuple(record.piece for record in text) for text in hot}) == 40


@pytest.mark.parametrize("joint_class", [ElectraForReplacedTokenDetection, ElectraForMaskedTokenDetection])
def test_the_head_of_another_family_is_that_of_its_run(tmp_path: Path, tokenizer, joint_class):
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    discriminator = BertConfig(**sizes, intermediate_size=16, max_position_embeddings=24, initializer_range=0.5)
    model = joint_class(
        joint_class.config_class(
            generator_config=derive_generator_config(discriminator),
            discriminator_config=discriminator,
            temperature=2.0,
            temperature_schedule="exponential",
        )
    ).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    detector = load_detector(tmp_path)
    assert detector.generator is not None
    assert detector.temperature == 1.0, "it fell in the course of the run"
    (records,) = detect([TEXT], replace(detector, generator=None, masked_only=False))
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    hidden = model.discriminator.encoder(ids).last_hidden_state
    expected = model.discriminator.discriminator_predictions(hidden)[0, 1:-1].sigmoid()
    assert [record.suspicion for record in records] == pytest.approx(expected.tolist(), abs=1e-5)
