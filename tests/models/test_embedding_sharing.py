"""`gdes`: who trains what, and that a saved folder is a plain model that can go on exactly."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, ElectraForPreTraining, Trainer, TrainingArguments

from electra_hf.errors import CheckpointError
from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
)
from electra_hf.models.backbones import BACKBONES, keep_padding_out
from electra_hf.models.embedding_sharing import disentangled
from electra_hf.models.fused import obstacle
from electra_hf.training.muon import hidden_matrices

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 40, "pad_token_id": 0,
}  # fmt: skip
OWN_SIZES = {
    "electra": {"embedding_size": 16},
    "convbert": {"embedding_size": 16, "head_ratio": 2, "conv_kernel_size": 3},
    "roberta": {"bos_token_id": 2, "eos_token_id": 3},
    "modernbert": {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "local_attention": 8},
    "deberta-v2": {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]},
}


def family_model(model_type):
    torch.manual_seed(0)
    main = BACKBONES[model_type].config_class(**{**SIZES, **OWN_SIZES.get(model_type, {})})
    generator = derive_generator_config(main, 0.5 if hasattr(main, "embedding_size") else 1.0)
    config = ReplacedTokenDetectionConfig(
        generator_config=generator, discriminator_config=main, embedding_sharing="gdes"
    )
    return ElectraForReplacedTokenDetection(config)


def train(model, batch, steps=3):
    """Some updates, so that every difference is different from 0."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_each_objective_trains_its_own_embeddings(model_type, make_batch):
    model, batch = family_model(model_type), make_batch()
    embeddings = disentangled(model)
    assert any("position" in name for name in embeddings) == (model_type != "modernbert")
    own = {id(each.source.weight) for each in embeddings.values()}
    for weights in ((0.0, 1.0), (1.0, 0.0)):
        model.config.generator_weight, model.config.discriminator_weight = weights
        model.zero_grad(set_to_none=True)
        model(**batch).loss.backward()
        for each in embeddings.values():
            trained, other = (each.delta, each.source.weight)[:: 1 if weights[1] else -1]
            assert trained.grad.any()
            assert other.grad is None or not other.grad.any()
    assert own == {id(p) for p in model.generator.parameters()} & own


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_a_saved_folder_is_plain_and_goes_on_exactly(model_type, make_batch, tmp_path):
    batch = make_batch()
    model = train(family_model(model_type), batch).eval()
    model.save_pretrained(tmp_path)
    encoder = model.discriminator.base_model
    plain = AutoModel.from_pretrained(tmp_path).eval()
    keep_padding_out(plain)  # as in the joint model, if it is a ConvBERT
    inputs = {"input_ids": batch["original_ids"], "attention_mask": batch["attention_mask"]}
    torch.testing.assert_close(
        plain(**inputs).last_hidden_state, encoder(**inputs).last_hidden_state, atol=1e-5, rtol=1e-5
    )
    assert not [name for name in load_file(tmp_path / "model.safetensors") if name.endswith("delta")]
    again = ElectraForReplacedTokenDetection.from_pretrained(tmp_path)
    other = train(family_model(model_type), batch, steps=1)
    other.load_weights(tmp_path)
    for loaded in (again, other):
        assert loaded.state_dict().keys() == model.state_dict().keys()
        assert all(torch.equal(loaded.state_dict()[name], value) for name, value in model.state_dict().items())


def test_starts_as_the_generator_and_equals_a_model_with_the_sum(make_model, make_batch, tmp_path):
    model, batch = make_model(embedding_sharing="gdes"), make_batch()
    embeddings = disentangled(model)
    assert len(embeddings) == 2 and not any(each.delta.any() for each in embeddings.values())
    assert all(torch.equal(each.weight, each.source.weight) for each in embeddings.values())
    assert obstacle(model.discriminator.electra) is None, "the fused layers take it"
    train(model, batch).save_pretrained(tmp_path)
    plain = ElectraForPreTraining.from_pretrained(tmp_path)
    torch.manual_seed(1)
    output = model(**batch)
    encoded = {"attention_mask": batch["attention_mask"], "token_type_ids": batch["token_type_ids"]}
    expected = plain.train()(input_ids=output.corrupted_ids, **encoded).logits
    torch.testing.assert_close(output.logits, expected.detach(), atol=1e-5, rtol=1e-5)


def test_the_difference_of_two_that_were_trained_apart(make_model, make_batch, tmp_path):
    batch = make_batch()
    apart = train(make_model(embedding_sharing="none"), batch)
    apart.save_pretrained(tmp_path / "apart")
    joined = ElectraForReplacedTokenDetection.from_pretrained(tmp_path / "apart", embedding_sharing="gdes")
    for name, each in disentangled(joined).items():
        torch.testing.assert_close(each.weight, apart.get_submodule(name).weight, atol=1e-6, rtol=1e-6)
        assert each.delta.any()
    # With a generator from elsewhere the saved difference would be wrong.
    train(joined, batch).save_pretrained(tmp_path / "joined")
    other = ElectraForReplacedTokenDetection.from_pretrained(
        tmp_path / "joined", generator_name_or_path=str(tmp_path / "apart" / "generator")
    )
    for name, each in disentangled(other).items():
        torch.testing.assert_close(each.weight, joined.get_submodule(name).weight, atol=1e-6, rtol=1e-6)
    # And back: the sum is the discriminator's own.
    alone = ElectraForReplacedTokenDetection.from_pretrained(tmp_path / "joined", embedding_sharing="none")
    for name, each in disentangled(joined).items():
        assert torch.equal(alone.get_submodule(name).weight, each.weight)


def test_a_discriminator_alone_gives_its_embeddings_to_a_fresh_generator(make_model, make_batch):
    trained = train(make_model(embedding_sharing="none"), make_batch())
    words = trained.discriminator.electra.embeddings.word_embeddings.weight.detach().clone()
    config = ReplacedTokenDetectionConfig(
        generator_config=trained.config.generator_config,
        discriminator_config=trained.config.discriminator_config,
        embedding_sharing="gdes",
    )
    model = ElectraForReplacedTokenDetection(config, discriminator=trained.discriminator)
    assert torch.equal(model.generator.electra.embeddings.word_embeddings.weight, words)
    assert torch.equal(model.discriminator.electra.embeddings.word_embeddings.weight, words)


def test_a_checkpoint_without_the_difference_is_not_gone_on_from(make_model, tmp_path):
    make_model(embedding_sharing="none").save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"objective.safetensors"):
        make_model(embedding_sharing="gdes").load_weights(tmp_path)


def test_the_difference_decays_and_is_no_matrix_for_muon(make_model, tmp_path):
    model = make_model(embedding_sharing="gdes")
    deltas = {f"{name}.delta" for name in disentangled(model)}
    trainer = Trainer(model=model, args=TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none"))
    assert deltas <= set(trainer.get_decay_parameter_names(model))
    assert not deltas & set(hidden_matrices(model))
