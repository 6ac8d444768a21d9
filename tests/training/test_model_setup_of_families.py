"""Models of every family from options: fresh sizes, special tokens, and weights that were published elsewhere."""

import logging

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    PreTrainedTokenizerFast,
)

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models.backbones import BACKBONES
from electra_hf.training import DataArguments, ModelArguments
from electra_hf.training.attention import attention_shape, chooses_attention
from electra_hf.training.model_setup import build_model

SIZES = "hidden_size=32,num_hidden_layers=4,num_attention_heads=4,intermediate_size=64,max_position_embeddings=40"
TINY = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
OWN = {
    "electra": ",embedding_size=16",
    "convbert": ",embedding_size=16,num_groups=2,head_ratio=2,conv_kernel_size=3",
    "modernbert": ",local_attention=8,global_attn_every_n_layers=2",
    "deberta-v2": ",relative_attention=true,position_buckets=8,pos_att_type=p2c|c2p,share_att_key=true,"
    "norm_rel_ebd=layer_norm,position_biased_input=false",
}


def build(tokenizer, length: int = 24, **options):
    return build_model(ModelArguments(**options), DataArguments(max_seq_length=length), tokenizer)


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_fresh_sizes_and_special_tokens(model_type, tokenizer):
    model = build(tokenizer, model_type=model_type, config_overrides=SIZES + OWN.get(model_type, ""))
    config = model.config.discriminator_config
    assert (config.hidden_size, config.num_hidden_layers, config.pad_token_id) == (32, 4, 0)
    for name, expected in {"bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}.items():
        assert getattr(config, name, None) in (None, expected), name
    if model_type == "modernbert":
        assert config.layer_types == ["full_attention", "sliding_attention"] * 2
    if model_type == "deberta-v2":
        attention = model.discriminator.encoder.encoder.layer[0].attention.self
        assert (attention.pos_att_type, attention.position_buckets, attention.share_att_key) == (
            ["p2c", "c2p"],
            8,
            True,
        )
        assert config.pooler_hidden_size == 32
    layers, width = (4, 8) if model_type in ("electra", "convbert") else (2, 32)
    generator = model.config.generator_config
    assert (generator.num_hidden_layers, generator.hidden_size) == (layers, width)
    shallow = build(
        tokenizer, model_type=model_type, config_overrides=SIZES + OWN.get(model_type, ""), generator_depth=0.25
    )
    assert shallow.config.generator_config.num_hidden_layers == 1


def test_rows_are_as_long_as_the_positions_that_roberta_uses(tokenizer):
    options = {"model_type": "roberta", "config_overrides": SIZES}
    assert build(tokenizer, 39, **options)
    with pytest.raises(UsageError, match=r"1 are not used.*max_position_embeddings=41"):
        build(tokenizer, 40, **options)


def test_detection_starts_on_a_published_encoder_with_a_head_that_is_new(tokenizer, tmp_path, caplog):
    torch.manual_seed(0)
    published = BertForMaskedLM(BertConfig(**TINY))
    published.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, logger="electra_hf"):
        model = build(tokenizer, model_name_or_path=str(tmp_path), objective="rtd")
    assert "no weights for discriminator.discriminator_predictions.dense.weight" in caplog.text
    for name, value in published.bert.state_dict().items():
        assert torch.equal(model.discriminator.encoder.state_dict()[name], value), name
    assert model.generator.config.num_hidden_layers == 2
    again = build(tokenizer, generator_name_or_path=str(tmp_path), config_overrides=SIZES)
    assert torch.equal(
        again.generator.bert.encoder.layer[3].output.dense.weight, published.bert.encoder.layer[3].output.dense.weight
    )


def test_the_head_of_a_run_must_be_there(tokenizer, tmp_path):
    model = build(tokenizer, model_type="bert", config_overrides=SIZES)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = build(tokenizer, model_name_or_path=str(tmp_path))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    (tmp_path / "objective.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"holds no objective\.safetensors"):
        build(tokenizer, model_name_or_path=str(tmp_path))


def test_published_masked_language_models_go_on_as_such(tokenizer, tmp_path):
    torch.manual_seed(0)
    published = BertForPreTraining(BertConfig(**{**TINY, "vocab_size": 72}))  # rounded up
    torch.nn.init.normal_(published.cls.predictions.bias)
    published.save_pretrained(tmp_path)
    model = build(tokenizer, model_name_or_path=str(tmp_path), objective="mlm")
    expected = published.cls.predictions.state_dict()
    assert all(torch.equal(expected[name], value) for name, value in model.main.cls.predictions.state_dict().items())


def test_an_encoder_without_a_head_for_tokens_says_what_to_take(tokenizer, make_model, tmp_path):
    make_model().discriminator.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"without a head that predicts tokens.*--objective rtd"):
        build(tokenizer, model_name_or_path=str(tmp_path), objective="mlm")


def test_special_tokens_of_roberta(tokenizer):
    ids = tokenizer.get_vocab()
    names = {"[PAD]": "<pad>", "[UNK]": "<unk>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}
    backend = tokenizer.backend_tokenizer
    vocabulary = {names.get(token, token): number for token, number in ids.items()}
    backend.model = type(backend.model)(vocabulary, unk_token="<unk>")
    other = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip
    config = build(other, model_type="roberta", config_overrides=SIZES).config.main_config
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, 2, 3)


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_attention_is_chosen_where_there_is_a_choice(model_type, tokenizer):
    """ConvBERT and DeBERTa compute their own attention, whatever a GPU would do fastest."""
    model = build(tokenizer, model_type=model_type, config_overrides=SIZES + OWN.get(model_type, ""))
    assert chooses_attention(model, torch.device("cuda")) == (model_type not in ("convbert", "deberta-v2"))
    dropout = 0.0 if model_type == "modernbert" else 0.1
    options = {"rows": 4, "length": 24, "dtype": torch.float32, "padded": False, "compiled": False}
    shape = attention_shape(model.config.main_config, **options)
    assert (shape.heads, shape.head_width, shape.dropout) == (4, 8, dropout)
