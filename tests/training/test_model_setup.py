"""Which model a run trains: fresh, loaded, or half of each; and whether it fits the tokenizer."""

import json
import logging

import pytest
import torch
from transformers import BertTokenizer

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import fused
from electra_hf.training import (
    DataArguments,
    ModelArguments,
    PretrainingArguments,
    PretrainingTrainer,
)
from electra_hf.training.model_setup import build_model, loaded_parts

SIZES = (
    "embedding_size=16,hidden_size=32,num_hidden_layers=2,num_attention_heads=4,intermediate_size=64,"
    "max_position_embeddings=32"
)


def build(tokenizer, **options):
    return build_model(ModelArguments(**options), DataArguments(max_seq_length=24), tokenizer)


def renumbered(tokenizer: BertTokenizer, first: str, second: str) -> BertTokenizer:
    """The same tokens, two of them with each other's ids."""
    ids = dict(tokenizer.get_vocab())
    ids[first], ids[second] = ids[second], ids[first]
    return BertTokenizer(vocab=ids)


@pytest.fixture
def folders(make_model, tokenizer, tmp_path):
    """A joint run, and its halves as folders of their own, each with its tokenizer."""
    model = make_model(temperature=0.7, discriminator_weight=25.0, disallow_correct=True)
    model.save_pretrained(tmp_path / "run")
    model.discriminator.save_pretrained(tmp_path / "discriminator")
    model.generator.save_pretrained(tmp_path / "generator")
    for name in ("run", "discriminator", "generator"):
        tokenizer.save_pretrained(tmp_path / name)
    return tmp_path


def test_settings_that_were_not_given_are_the_checkpoints(folders, tokenizer):
    kept = build(tokenizer, model_name_or_path=str(folders / "run")).config
    assert (kept.temperature, kept.discriminator_weight, kept.disallow_correct) == (0.7, 25.0, True)
    given = build(tokenizer, model_name_or_path=str(folders / "run"), temperature=1.0, disallow_correct=False).config
    assert (given.temperature, given.discriminator_weight, given.disallow_correct) == (1.0, 25.0, False)


def test_a_fresh_model_has_the_papers_settings(tokenizer):
    config = build(tokenizer, config_overrides=SIZES).config
    assert config.objective_settings() == {
        "objective": "rtd",
        "embedding_sharing": "all",
        "generator_weight": 1.0,
        "discriminator_weight": 50.0,
        "sampler": "gumbel",
        "temperature": 1.0,
        "temperature_schedule": "constant",
        "temperature_decay": None,
        "disallow_correct": False,
        "generator_feedback": 1.0,
        "gumbel_temperature": 1.0,
        "gumbel_temperature_end": None,
        "gumbel_temperature_schedule": "constant",
        "freeze_generator": False,
        "initialization": "reference",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generator_feedback": -0.1}, "--generator_feedback has no effect without --sampler gumbel_softmax"),
        ({"gumbel_temperature": 2.0}, "--gumbel_temperature has no effect without --sampler gumbel_softmax"),
        (
            {"sampler": "gumbel_softmax", "gumbel_temperature_end": 0.5},
            "no effect without --gumbel_temperature_schedule linear or exponential",
        ),
        ({"temperature_decay": 0.2}, "no effect without --temperature_schedule exponential"),
        ({"freeze_generator": True, "embedding_sharing": "none"}, "needs a generator that was trained"),
    ],
)
def test_options_of_the_generator_without_an_effect(tokenizer, options, message):
    with pytest.raises(UsageError, match=message):
        build(tokenizer, config_overrides=SIZES, **options)


def test_a_generator_is_frozen_and_gives_its_embeddings_to_a_fresh_discriminator(folders, tokenizer, make_model):
    options = {"freeze_generator": True, "embedding_sharing": "gdes", "sampler": "gumbel"}
    place = str(folders / "run" / "generator")
    model = build(tokenizer, generator_name_or_path=place, config_overrides=SIZES, **options)
    assert not any(parameter.requires_grad for parameter in model.generator.parameters())
    words = make_model().generator.electra.embeddings.word_embeddings.weight
    assert torch.equal(model.discriminator.electra.embeddings.word_embeddings.weight, words)


def test_both_halves_from_two_folders(folders, tokenizer, make_model):
    options = {
        "model_name_or_path": str(folders / "discriminator"),
        "generator_name_or_path": str(folders / "generator"),
    }
    model, before = build(tokenizer, **options), make_model()
    assert all(torch.equal(weight, before.state_dict()[name]) for name, weight in model.state_dict().items())
    assert loaded_parts(ModelArguments(**options)) == ("generator", "discriminator")
    assert loaded_parts(ModelArguments(model_name_or_path=str(folders / "run"))) == ("generator", "discriminator")


def test_a_discriminator_alone_gets_a_fresh_generator(folders, tokenizer, make_model, caplog):
    options = {"model_name_or_path": str(folders / "discriminator"), "generator_width": 0.5}
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        model = build(tokenizer, **options)
    assert model.generator.config.hidden_size == 16
    assert "no generator" in caplog.text and "16 wide" in caplog.text and "--generator_width" in caplog.text
    assert loaded_parts(ModelArguments(**options)) == ("discriminator",)
    embeddings = model.generator.electra.embeddings
    assert embeddings.word_embeddings.weight is model.discriminator.electra.embeddings.word_embeddings.weight
    before = make_model().discriminator.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in model.discriminator.state_dict().items())
    shallow = build(tokenizer, generator_config_overrides="num_hidden_layers=1", **options)
    assert shallow.generator.config.num_hidden_layers == 1


def test_a_generator_alone_gets_a_fresh_discriminator(folders, tokenizer, make_model, caplog):
    options = {"generator_name_or_path": str(folders / "generator")}
    sizes = "hidden_size=48,num_hidden_layers=3,num_attention_heads=4,intermediate_size=96"
    with caplog.at_level(logging.INFO, logger="electra_hf"):
        model = build(tokenizer, config_overrides=sizes, **options)
    config = model.discriminator.config
    # What the embeddings must agree on comes from the generator.
    assert (config.hidden_size, config.embedding_size, config.max_position_embeddings) == (48, 16, 32)
    assert "the discriminator starts afresh" in caplog.text
    assert loaded_parts(ModelArguments(**options)) == ("generator",)
    before = make_model().generator.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in model.generator.state_dict().items())
    with pytest.raises(UsageError, match="embedding_size"):
        build(tokenizer, config_overrides=sizes + ",embedding_size=48", **options)


def test_options_that_describe_a_fresh_model_are_refused_beside_a_loaded_one(folders, tokenizer):
    run = str(folders / "run")
    with pytest.raises(UsageError, match="--config_overrides"):
        build(tokenizer, model_name_or_path=run, config_overrides="hidden_size=8")
    with pytest.raises(UsageError, match="--generator_config_overrides"):
        build(tokenizer, model_name_or_path=run, generator_config_overrides="hidden_size=8")
    with pytest.raises(UsageError, match="--generator_config_overrides"):
        build(tokenizer, generator_name_or_path=str(folders / "generator"), generator_config_overrides="hidden_size=8")


def test_a_broken_generator_is_no_missing_one(folders, tokenizer):
    (folders / "run" / "generator" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="generator"):
        build(tokenizer, model_name_or_path=str(folders / "run"))


# Vocabulary


def test_tokenizer_of_the_same_size_with_other_ids(folders, tokenizer):
    with pytest.raises(UsageError) as caught:
        build(renumbered(tokenizer, "w3", "w7"), model_name_or_path=str(folders / "run"))
    message = str(caught.value)
    assert str(folders / "run") in message
    assert "id 8 is 'w3' there and 'w7' here" in message and "id 12 is 'w7' there and 'w3' here" in message
    assert "leave out --tokenizer_name" in message


def test_generator_with_another_vocabulary(folders, tokenizer):
    renumbered(tokenizer, "w1", "w2").save_pretrained(folders / "generator")
    with pytest.raises(UsageError, match=r"generator.*id 6 is 'w2' there and 'w1' here"):
        build(
            tokenizer,
            model_name_or_path=str(folders / "discriminator"),
            generator_name_or_path=str(folders / "generator"),
        )


def test_vocabularies_of_two_sizes(folders, tokenizer):
    fewer = BertTokenizer(vocab={token: id for token, id in tokenizer.get_vocab().items() if id < 60})
    with pytest.raises(UsageError, match="id 60 is 'w55' there and nothing here"):
        build(fewer, model_name_or_path=str(folders / "run"))
    config = json.loads((folders / "generator" / "config.json").read_text())
    assert config["vocab_size"] == 64


def test_folder_without_a_tokenizer_is_compared_by_size(folders, tokenizer):
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folders / "run" / file).unlink()
    build(renumbered(tokenizer, "w3", "w7"), model_name_or_path=str(folders / "run"))
    larger = BertTokenizer(vocab={**tokenizer.get_vocab(), **{f"more{n}": 64 + n for n in range(9)}})
    with pytest.raises(UsageError, match="the model has 64 tokens and the tokenizer 73"):
        build(larger, model_name_or_path=str(folders / "run"))


def test_other_rules_for_the_text_are_mentioned(folders, tokenizer, caplog):
    cased = BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False)
    with caplog.at_level(logging.WARNING, logger="electra_hf"):
        build(cased, model_name_or_path=str(folders / "run"))
    assert "same tokens" in caplog.text and "lower-casing" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="electra_hf"):
        build(tokenizer, model_name_or_path=str(folders / "run"))
    assert not caplog.records


@pytest.mark.parametrize("implementation", ["auto", "plain", "fused"])
def test_the_model_computes_as_was_asked_for(tokenizer, make_batch, implementation, monkeypatch):
    """The fused layers are called exactly if they were not refused."""
    model = build(tokenizer, config_overrides=SIZES, implementation=implementation)
    calls = []
    encode = fused.encode
    monkeypatch.setattr(fused, "encode", lambda *args: calls.append(1) or encode(*args))
    assert torch.isfinite(model(**make_batch()).loss)
    assert len(calls) == (0 if implementation == "plain" else 2)


def test_kernels_and_compilation_exclude_each_other(tokenizer, tmp_path):
    model = build(tokenizer, config_overrides=SIZES, implementation="native")
    args = PretrainingArguments(output_dir=str(tmp_path), torch_compile=True, use_cpu=True)
    with pytest.raises(UsageError, match="native and --torch_compile exclude each other"):
        PretrainingTrainer(model=model, args=args)


def test_an_attention_that_nobody_knows_is_named(tokenizer):
    with pytest.raises(UsageError, match="--attn_implementation sdap: there is no such attention; choose sdpa"):
        build(tokenizer, config_overrides=SIZES, attn_implementation="sdap")
