"""Both losses against transformers' own BertForPreTraining, and folders that plain transformers loads."""

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    ElectraConfig,
)

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import EncoderForSentencePairs, SentencePairConfig

LABELS = torch.tensor([0, 1, 1, -100, 0, 1])


@pytest.fixture
def make_pair_model():
    def make(objective: str = "mlm_nsp", seed: int = 0) -> EncoderForSentencePairs:
        torch.manual_seed(seed)
        bert = BertConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            initializer_range=0.1,
        )  # fmt: skip
        return EncoderForSentencePairs(SentencePairConfig(masked_lm_config=bert, objective=objective))

    return make


@pytest.fixture
def pair_batch(make_batch):
    return {**make_batch(), "next_sentence_label": LABELS}


def of_transformers(model: BertForPreTraining, batch: dict):
    used = batch["masked_weights"] > 0
    row = torch.arange(len(used))[:, None].expand_as(used)[used]
    labels = torch.full_like(batch["original_ids"], -100)
    labels[row, batch["masked_positions"][used]] = batch["original_ids"][row, batch["masked_positions"][used]]
    return model(
        batch["input_ids"],
        attention_mask=batch["attention_mask"],
        token_type_ids=batch["token_type_ids"],
        labels=labels,
        next_sentence_label=batch["next_sentence_label"],
    )


@pytest.mark.parametrize("implementation", ["plain", "auto"])
def test_the_losses_and_gradients_are_those_of_transformers(make_pair_model, pair_batch, implementation):
    model = make_pair_model()
    model.implementation = implementation
    output = model(**pair_batch)
    expected = of_transformers(model.masked_lm, pair_batch)
    torch.testing.assert_close(output.loss, expected.loss)
    torch.testing.assert_close(output.mlm_loss + output.pair_loss, expected.loss)
    torch.testing.assert_close(output.seq_relationship_logits, expected.seq_relationship_logits)
    labelled = LABELS >= 0
    pair_loss = torch.nn.functional.cross_entropy(expected.seq_relationship_logits[labelled], LABELS[labelled])
    torch.testing.assert_close(output.pair_loss, pair_loss)
    right = expected.seq_relationship_logits.argmax(1) == LABELS
    assert output.pair_correct.tolist() == right.tolist() and not output.pair_correct[3]
    gradients, of_theirs = (
        torch.autograd.grad(loss, list(model.parameters())) for loss in (output.loss, expected.loss)
    )
    torch.testing.assert_close(gradients, of_theirs)


def test_the_denominators_are_those_of_the_whole_step(make_pair_model, pair_batch):
    model = make_pair_model()
    assert model.count_items(pair_batch).tolist() == [23, 5]
    halves = [{name: value[part] for name, value in pair_batch.items()} for part in (slice(0, 2), slice(2, 6))]
    counts = torch.stack([model.count_items(half) for half in halves]).sum(0)
    loss = sum(model(**half, num_items_in_batch=counts).loss for half in halves)
    torch.testing.assert_close(loss, model(**pair_batch).loss)
    unlabelled = {**pair_batch, "next_sentence_label": torch.full((6,), -100)}
    assert model(**unlabelled).pair_loss == 0 and torch.isfinite(model(**unlabelled).loss)


@pytest.mark.parametrize("objective", ["mlm_nsp", "mlm_sop"])
def test_a_folder_is_bert_and_comes_back(make_pair_model, pair_batch, tmp_path, objective):
    model = make_pair_model(objective)
    model.save_pretrained(tmp_path)
    whole = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert isinstance(whole, BertForPreTraining)
    torch.testing.assert_close(of_transformers(whole, pair_batch).loss, model(**pair_batch).loss)
    for auto_class in (AutoModel, AutoModelForMaskedLM):
        _, info = auto_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"]
    loaded = EncoderForSentencePairs.from_pretrained(tmp_path)
    assert loaded.config.objective == objective
    assert list(loaded.config.loss_weights) == ["mlm_loss", objective.replace("mlm_", "") + "_loss"]
    assert torch.equal(loaded(**pair_batch).loss, model(**pair_batch).loss)
    other = make_pair_model(objective, seed=1)
    other.load_weights(tmp_path)
    assert torch.equal(other(**pair_batch).loss, model(**pair_batch).loss)


def test_weights_without_the_head_for_pairs_are_refused(make_pair_model, tmp_path):
    BertForMaskedLM(make_pair_model().config.main_config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"BertForPreTraining.*(pooler|seq_relationship)"):
        EncoderForSentencePairs.from_pretrained(tmp_path)


def test_families_without_such_a_model_are_refused(discriminator_config):
    assert isinstance(discriminator_config, ElectraConfig)
    with pytest.raises(UsageError, match=r"no electra model.*--model_type bert.*--objective mlm"):
        SentencePairConfig(masked_lm_config=discriminator_config)
