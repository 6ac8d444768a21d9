"""Held-out sentences in the course of a run: what is written, for which objectives; training does not notice."""

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
from transformers import BertTokenizer, ElectraConfig, TrainerCallback

from electra_hf.json_lines import read_rows
from electra_hf.models import derive_generator_config
from electra_hf.models.backbones import BACKBONES
from electra_hf.sharing.demo.records import TokenRecord
from electra_hf.sharing.logs import TEXTS_FILE
from electra_hf.sharing.text_samples import TextSamples, is_due, mask_texts, observe
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.training import PretrainingArguments, PretrainingTrainer
from electra_hf.training.objectives import OBJECTIVES

TEXTS = ["w1 w2 w3 w4 w5 w6 w7 w8 w9 w10", "w20 w21 w22", "w30 w31 w32 w33 w34 w35 w36"]
SETTINGS = {"mask_probability": 0.3, "max_length": 16}


@pytest.fixture
def tokenizer() -> BertTokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{number}" for number in range(59)]
    return BertTokenizer(vocab={word: index for index, word in enumerate(words)})


def make_model(objective: str = "rtd", model_type: str = "electra", **settings):
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 40, "pad_token_id": 0, "initializer_range": 0.3,
    }  # fmt: skip
    main = ElectraConfig(**sizes) if model_type == "electra" else BACKBONES[model_type].config_class(**sizes)
    model_class = OBJECTIVES[objective].model
    configs = {f"{model_class.main_part}_config": main}
    if model_class.has_generator:
        configs["generator_config"] = derive_generator_config(main, 0.5 if model_type == "electra" else 1.0)
    return model_class(model_class.config_class(**configs, objective=objective, **settings))


def make_trainer(folder: Path, model, tokenizer, make_blocks, *, count: int = 3, callbacks=(), **options):
    folder.mkdir(exist_ok=True)
    (folder / "held_out_samples.txt").write_text("\n".join(TEXTS) + "\n")
    trainer = PretrainingTrainer(
        model=model,
        args=PretrainingArguments(
            **{
                "output_dir": str(folder), "use_cpu": True, "disable_tqdm": True, "max_steps": 5, "save_steps": 2,
                "logging_steps": 1, "per_device_train_batch_size": 4, "seed": 1, **options,
            }
        ),
        train_dataset=make_blocks(64),
        eval_dataset=make_blocks(4),
        data_collator=DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=1),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )  # fmt: skip
    if count:
        trainer.add_callback(TextSamples(model, tokenizer, count=count, every=2, **SETTINGS))
    return trainer


def test_a_row_has_the_fields_of_a_token_record(tokenizer):
    model = make_model()
    texts = observe(model, mask_texts(TEXTS, tokenizer, **SETTINGS), tokenizer)
    assert [len(text) for text in texts] == [10, 3, 7]
    records = [TokenRecord(*token) for text in texts for token in text]
    assert [field.name for field in dataclasses.fields(TokenRecord)] == [
        "piece", "original", "replaced", "suspicion", "gap",
    ]  # fmt: skip
    assert [record.original for record in records] == " ".join(TEXTS).split()
    assert all(record.replaced == (record.piece != record.original) for record in records)
    assert 2 <= sum(record.replaced for record in records) <= 3 + 1 + 2
    assert [record.gap for record in records[:3]] == [False, True, True]
    # Judged by the discriminator itself, special tokens included in what it reads.
    ids = tokenizer.convert_tokens_to_ids(["[CLS]", *(token[0] for token in texts[0]), "[SEP]"])
    model.eval()
    expected = model.discriminator(input_ids=torch.tensor([ids])).logits[0, 1:-1].sigmoid()
    assert [token[3] for token in texts[0]] == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_same_masks_and_the_same_model_give_the_same_observation(tokenizer):
    model, masked = make_model(), mask_texts(TEXTS, tokenizer, **SETTINGS)
    assert observe(model, masked, tokenizer) == observe(model, mask_texts(TEXTS, tokenizer, **SETTINGS), tokenizer)
    assert observe(model, masked, tokenizer) != observe(make_model(initialization="transformers"), masked, tokenizer)


def test_electra_15_judges_masked_positions_only(tokenizer):
    masked = mask_texts(TEXTS, tokenizer, **SETTINGS)
    for text, tokens in zip(masked, observe(make_model("electra_15"), masked, tokenizer), strict=True):
        judged = [i for i, token in enumerate(tokens, 1) if token[3] is not None]
        assert judged == text.positions.tolist()


@pytest.mark.parametrize(("objective", "model_type"), [("mlm", "electra"), ("mlm_sop", "bert")])
def test_a_masked_language_model_shows_how_it_fills_the_masks(objective, model_type, tokenizer):
    masked = mask_texts(TEXTS, tokenizer, **SETTINGS)
    for text, tokens in zip(masked, observe(make_model(objective, model_type), masked, tokenizer), strict=True):
        assert [i for i, token in enumerate(tokens, 1) if token[2]] == text.positions.tolist()
        assert all(token[3] is None for token in tokens)
        assert all(token[0] == token[1] for token in tokens if not token[2])


@pytest.mark.parametrize(
    "settings",
    [
        {"embedding_sharing": "gdes"},
        {"sampler": "gumbel_softmax"},
        {"freeze_generator": True, "embedding_sharing": "none"},
        {"temperature": 2.0, "temperature_schedule": "exponential"},
    ],
)
def test_every_variant_of_the_generator(settings, tokenizer):
    model = make_model(**settings)
    texts = observe(model, mask_texts(TEXTS, tokenizer, **SETTINGS), tokenizer)
    assert all(0 <= token[3] <= 1 for text in texts for token in text)
    assert model.training and model.discriminator.training
    assert model.generator.training is not model.config.freeze_generator


@pytest.mark.parametrize("model_type", ["bert", "convbert"])
def test_other_families(model_type, tokenizer):
    texts = observe(make_model("rtd", model_type), mask_texts(TEXTS, tokenizer, **SETTINGS), tokenizer)
    assert all(0 <= token[3] <= 1 for text in texts for token in text)


@pytest.mark.parametrize("objective", ["electric", "replace_mlm", "all_tokens_mlm"])
def test_objectives_with_nothing_to_show_say_so_once(objective, tmp_path, tokenizer, make_blocks, caplog):
    trainer = make_trainer(tmp_path, make_model(objective), tokenizer, make_blocks, max_steps=1)
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        trainer.train()
    assert caplog.text.count(f"--objective {objective} neither detects") == 1
    assert not (tmp_path / TEXTS_FILE).exists()


def test_without_held_out_text_or_whole_weights_there_is_nothing(tmp_path, tokenizer, make_blocks, caplog):
    trainer = make_trainer(tmp_path, make_model(), tokenizer, make_blocks, max_steps=1)
    trainer.add_callback(TextSamples(trainer.model, tokenizer, count=2, sharded=True))
    (tmp_path / "held_out_samples.txt").unlink()
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        trainer.train()
    assert "no held-out text (held_out_samples.txt)" in caplog.text and "part of the weights" in caplog.text
    assert not (tmp_path / TEXTS_FILE).exists()


def steps_of(folder: Path) -> list[int]:
    return [row["step"] for row in read_rows(folder / TEXTS_FILE)]


def test_training_is_the_same_to_the_last_bit(tmp_path, tokenizer, make_blocks):
    """With dropout, whose noise comes from torch's own generator."""
    runs = {}
    for name, count in (("with", 3), ("without", 0)):
        trainer = make_trainer(tmp_path / name, make_model(), tokenizer, make_blocks, count=count)
        trainer.train()
        runs[name] = [*trainer.model.parameters(), torch.get_rng_state()]
    assert all(torch.equal(*pair) for pair in zip(runs["with"], runs["without"], strict=True))
    assert steps_of(tmp_path / "with") == [0, 2, 4, 5]
    first, *_, last = read_rows(tmp_path / "with" / TEXTS_FILE)
    assert first["texts"] != last["texts"] and len(first["texts"]) == 3
    assert not (tmp_path / "without" / TEXTS_FILE).exists()


class StopAfter(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            control.should_training_stop = control.should_save = True


def test_a_resumed_run_has_the_observations_of_an_uninterrupted_one(tmp_path, tokenizer, make_blocks):
    options, stop = {"save_steps": 4}, 3
    whole = make_trainer(tmp_path / "whole", make_model(), tokenizer, make_blocks, **options)
    whole.train()
    stopped = make_trainer(
        tmp_path / "run", make_model(), tokenizer, make_blocks, callbacks=[StopAfter(stop)], **options
    )
    stopped.train()
    assert steps_of(tmp_path / "run")[-1] == stop  # its last look
    file = tmp_path / "run" / TEXTS_FILE
    file.write_bytes(file.read_bytes() + b'{"step": 6, "te')
    resumed = make_trainer(tmp_path / "run", make_model(), tokenizer, make_blocks, **options)
    resumed.train(resume_from_checkpoint=True)
    assert file.read_bytes() == (tmp_path / "whole" / TEXTS_FILE).read_bytes()
    assert all(torch.equal(*pair) for pair in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))

    before = file.read_bytes()
    make_trainer(tmp_path / "run", make_model(), tokenizer, make_blocks, **options).train(resume_from_checkpoint=True)
    assert file.read_bytes() == before  # a finished run keeps all


def test_series_of_steps():
    assert sum(is_due(step) for step in range(1_000_001)) == 17
    assert not is_due(150) and not is_due(5) and is_due(5_000)
