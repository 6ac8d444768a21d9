"""Going on from a checkpoint with its objective or with another one, and options that an objective does not know."""

import json

import pytest
import torch

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.training import DataArguments, ModelArguments
from electra_hf.training.model_setup import build_model, loaded_parts

SIZES = "hidden_size=32,num_hidden_layers=2,num_attention_heads=4,intermediate_size=64,max_position_embeddings=32"


def build(tokenizer, **options):
    if not {"model_name_or_path", "generator_name_or_path"} & options.keys():  # a loaded generator brings its sizes
        options.setdefault("generator_width", 1.0 if options.get("model_type") == "bert" else 0.5)
    return build_model(ModelArguments(**options), DataArguments(max_seq_length=24), tokenizer)


@pytest.fixture
def saved(tokenizer, tmp_path):
    """Save a fresh model with weights of its own; returns it and its folder."""

    def save(objective: str, **options):
        torch.manual_seed(1)
        sizes = SIZES if options.get("model_type") == "bert" else f"{SIZES},embedding_size=16"
        model = build(tokenizer, objective=objective, config_overrides=sizes, **options)
        folder = tmp_path / objective
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return model, str(folder)

    return save


@pytest.mark.parametrize("model_type", ["electra", "bert"])
@pytest.mark.parametrize("objective", ["electra_15", "replace_mlm", "all_tokens_mlm", "electric"])
def test_a_checkpoint_goes_on_with_its_own_objective(objective, model_type, saved, tokenizer):
    model, folder = saved(objective, model_type=model_type)
    torch.manual_seed(2)
    again = build(tokenizer, model_name_or_path=folder)
    assert again.config.objective_settings() == model.config.objective_settings()
    assert again.config.objective == objective
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert loaded_parts(ModelArguments(model_name_or_path=folder)) == ("generator", model.main_part)
    if objective == "electric":
        assert model.config.special_token_ids == [0, 2, 3, 4]


@pytest.mark.parametrize("model_type", ["electra", "bert"])
@pytest.mark.parametrize(("first", "second"), [("electric", "rtd"), ("rtd", "electric"), ("rtd", "electra_15")])
def test_another_objective_takes_the_discriminator_with_its_head(first, second, model_type, saved, tokenizer):
    model, folder = saved(first, model_type=model_type)
    torch.manual_seed(2)
    fresh = {} if second == "electra_15" else {"generator_width": 1.0 if model_type == "bert" else 0.5}
    again = build(tokenizer, model_name_or_path=folder, objective=second, **fresh)
    assert again.config.objective == second
    expected = {name: value for name, value in model.state_dict().items() if name.startswith("discriminator.")}
    assert expected
    for name, value in expected.items():
        assert torch.equal(again.state_dict()[name], value), name
    parts = loaded_parts(ModelArguments(model_name_or_path=folder, objective=second))
    assert parts == (("generator", "discriminator") if second == "electra_15" else ("discriminator",))


def test_an_encoder_without_the_head_that_is_needed_is_refused(saved, tokenizer):
    _, folder = saved("replace_mlm")
    with pytest.raises(CheckpointError, match="does not hold a whole ElectraForPreTraining"):
        build(tokenizer, model_name_or_path=folder, objective="electric")


def test_weights_that_are_not_those_of_the_objective_are_refused(saved, tokenizer, tmp_path):
    _, folder = saved("all_tokens_mlm")
    settings = json.loads((tmp_path / "all_tokens_mlm" / "objective.json").read_text())
    settings["objective"] = "replace_mlm"
    (tmp_path / "all_tokens_mlm" / "objective.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="does not fit the model: missing .*unexpected .*copy_head"):
        build(tokenizer, model_name_or_path=folder)
    settings["objective"] = "all_tokens_mlm"
    (tmp_path / "all_tokens_mlm" / "objective.json").write_text(json.dumps(settings))
    (tmp_path / "all_tokens_mlm" / "objective.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged"):
        build(tokenizer, model_name_or_path=folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "electric", "temperature": 0.5}, "--temperature has no effect with this objective"),
        ({"objective": "electric", "disallow_correct": True}, "--disallow_correct has no effect"),
        ({"objective": "rtd", "main_weight": 2.0}, "--main_weight has no effect"),
        ({"objective": "replace_mlm", "discriminator_weight": 2.0}, "--discriminator_weight has no effect"),
        ({"objective": "electric", "model_type": "modernbert"}, "electric cannot be used with --model_type modern"),
        ({"objective": "electric", "generator_name_or_path": "some/generator"}, "--generator_name_or_path cannot be"),
    ],
)  # fmt: skip
def test_options_that_an_objective_does_not_know_are_refused(options, message, tokenizer):
    sizes = SIZES if options.get("model_type") else f"{SIZES},embedding_size=16"
    with pytest.raises(UsageError, match=message):
        build(tokenizer, config_overrides=sizes, **options)
