"""Electric against a computation token by token, and its two towers: what each prediction may and may not see."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModel, BertConfig, RobertaConfig

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import ElectricConfig, ElectricForPreTraining, derive_generator_config
from electra_hf.models.two_tower import TwoTowerClozeModel
from electra_hf.training.two_encoder_metrics import ElectricMeter

SPECIAL = [0, 2, 3, 4]
SIZES = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 40, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": 0,
}  # fmt: skip


@pytest.fixture
def make(discriminator_config):
    """A tiny model with weights that make tokens differ."""

    def build(**settings) -> ElectricForPreTraining:
        torch.manual_seed(0)
        model = ElectricForPreTraining(
            ElectricConfig(
                generator_config=derive_generator_config(discriminator_config, 0.25),
                discriminator_config=copy.deepcopy(discriminator_config),
                special_token_ids=SPECIAL,
                **settings,
            )
        )
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    return build


def full_log_softmax(model, batch) -> torch.Tensor:
    """(b, l, v) from logits over all positions at once."""
    weight, bias = model.generator.vocabulary
    hidden = model.generator(batch["original_ids"], batch["attention_mask"], batch["token_type_ids"])
    return F.linear(hidden, weight, bias).log_softmax(-1)


@pytest.mark.parametrize("sharing", ["all", "word", "none"])
def test_losses_and_gradients_token_by_token(make, make_batch, tmp_path, sharing):
    model, batch = make(embedding_sharing=sharing), make_batch()
    output = model(**batch)
    output.loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()

    log_q = full_log_softmax(model, batch)
    encoded = {"attention_mask": batch["attention_mask"], "token_type_ids": batch["token_type_ids"]}
    energies = model.discriminator(output.corrupted_ids, **encoded).logits
    cloze, nce, candidates, tokens = [], [], 0, 0
    for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
        used = batch["masked_weights"][row] > 0
        drawn = set(batch["masked_positions"][row][used].tolist())
        for t in range(length):
            original, token = batch["original_ids"][row, t].item(), output.corrupted_ids[row, t].item()
            assert t in drawn or token == original
            if original not in SPECIAL:
                cloze.append(-log_q[row, t, original])
                candidates += 1
            noise = len(drawn) * log_q[row, t, token].exp().detach()
            data = (length - len(drawn)) * torch.exp(-energies[row, t])
            nce.append(-torch.log(noise / (noise + data) if t in drawn else data / (noise + data)))
            logit = torch.log(noise) - torch.log(data)
            torch.testing.assert_close(output.logits[row, t], logit.detach(), atol=1e-4, rtol=1e-4)
            assert output.labels[row, t] == (t in drawn)
            tokens += 1
    assert torch.equal(model.count_items(batch), torch.tensor([float(candidates), float(tokens)]))
    generator_loss, nce_loss = sum(cloze) / candidates, sum(nce) / tokens
    (generator_loss + 50 * nce_loss).backward()
    torch.testing.assert_close(output.generator_loss, generator_loss.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.nce_loss, nce_loss.detach(), atol=1e-5, rtol=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-3, rtol=1e-3, msg=name)


def test_a_drawn_token_is_noise_even_if_it_is_the_original(make, make_batch):
    model, batch = make(), make_batch()
    with torch.no_grad():  # the generator always draws w0, and the text is w0 already
        model.generator.bias[5] = 1000.0
    batch["original_ids"] = torch.where(batch["original_ids"] > 4, 5, batch["original_ids"])
    output = model(**batch)
    assert torch.equal(output.corrupted_ids, batch["original_ids"])
    assert output.labels.sum() == batch["masked_weights"].sum()


@pytest.mark.parametrize("family", ["electra", "bert", "roberta"])
def test_a_prediction_sees_every_token_but_its_own(family, discriminator_config, make_batch):
    config = {"bert": BertConfig(**SIZES), "roberta": RobertaConfig(**SIZES)}.get(family, discriminator_config)
    torch.manual_seed(0)
    model = TwoTowerClozeModel.make(config, "reference").eval()
    ids = make_batch(rows=1)["original_ids"].clamp(min=2)
    mask = torch.ones_like(ids)
    mask[0, 20:] = 0
    before = model(ids, mask, None)
    for t in range(20):
        changed = ids.clone()
        changed[0, t] = 5 + (ids[0, t] + 1) % 59
        difference = (model(changed, mask, None) - before)[0, :20].abs().amax(-1)
        assert difference[t] < 1e-6
        assert (difference[torch.arange(20) != t] > 1e-6).all()
    changed = ids.clone()
    changed[0, 20:] = 7
    torch.testing.assert_close(model(changed, mask, None)[0, :20], before[0, :20])
    torch.testing.assert_close(model(ids[:, :20], None, None)[0], before[0, :20])


def test_each_part_is_a_plain_model(make, make_batch, tmp_path):
    """The forward tower alone reads from left to right; the backward one does on reversed text."""
    model, batch = make().eval(), make_batch()
    model.save_pretrained(tmp_path)
    forward = AutoModel.from_pretrained(tmp_path, subfolder="generator_forward").eval()
    backward = AutoModel.from_pretrained(tmp_path, subfolder="generator_backward").eval()
    ids, types = batch["original_ids"][:4], batch["token_type_ids"][:4]
    positions = torch.arange(24)[None]
    before = forward(ids, token_type_ids=types).last_hidden_state
    after = backward(ids.flip(1), token_type_ids=types.flip(1), position_ids=positions.flip(1)).last_hidden_state
    nothing = torch.zeros_like(before[:, :1])
    around = torch.cat([nothing, before[:, :-1]], 1), torch.cat([after.flip(1)[:, 1:], nothing], 1)
    generator = model.generator
    expected = generator.LayerNorm(F.gelu(generator.dense(torch.cat(around, -1))))
    torch.testing.assert_close(generator(ids, None, types), expected)
    again = ElectricForPreTraining.from_pretrained(tmp_path).eval()
    assert again.config.special_token_ids == SPECIAL
    torch.manual_seed(1)
    output = model(**batch)
    torch.manual_seed(1)
    torch.testing.assert_close(again(**batch).loss, output.loss)


def test_eager_attention_computes_the_same(make, make_batch, tmp_path):
    model, batch = make().eval(), make_batch()
    model.save_pretrained(tmp_path)
    eager = ElectricForPreTraining.from_pretrained(tmp_path, attn_implementation="eager").eval()
    torch.testing.assert_close(full_log_softmax(eager, batch), full_log_softmax(model, batch))
    eager.generator.forward_tower.config._attn_implementation = "flex_attention"
    with pytest.raises(UsageError, match="flex_attention cannot be used with --objective electric"):
        eager(**batch)


def test_a_generator_from_elsewhere_is_refused(make, tmp_path):
    make().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="--generator_name_or_path cannot be used with --objective electric"):
        ElectricForPreTraining.from_pretrained(tmp_path, generator_name_or_path=str(tmp_path))
    for file in (tmp_path / "generator_backward").iterdir():
        file.unlink()
    with pytest.raises(CheckpointError, match="generator_backward"):
        ElectricForPreTraining.from_pretrained(tmp_path)


def test_metrics(make, make_batch):
    model, batch, meter = make().eval(), make_batch(rows=12), ElectricMeter("cpu")
    output = model(**batch)
    meter.update(output, batch)
    metrics = meter.compute()
    real = batch["attention_mask"].bool()
    positive, negative = (output.logits[real & (output.labels == label)] for label in (True, False))
    auc = (positive[:, None] > negative).double().mean().item()
    assert metrics["nce_auc"] == pytest.approx(auc, abs=2e-2)
    assert metrics["nce_loss"] == pytest.approx(output.nce_loss.item(), rel=1e-6)
    assert metrics["generator_loss"] == pytest.approx(output.generator_loss.item(), rel=1e-6)
    kept = real & ~output.labels
    for special in SPECIAL:
        kept &= batch["original_ids"] != special
    assert metrics["log_likelihood"] == pytest.approx(-output.energies[kept].mean().item(), rel=1e-5)


def test_energies_learn_the_likelihood_of_tokens():
    """Text whose tokens are drawn independently: exp(-energy) becomes their probability, and is normalised."""
    torch.manual_seed(0)
    config = BertConfig(**{**SIZES, "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1})
    model = ElectricForPreTraining(
        ElectricConfig(generator_config=config, discriminator_config=copy.deepcopy(config), generator_weight=1.0)
    )
    probabilities = torch.tensor([0.0, 0.4, 0.25, 0.15, 0.1, 0.06, 0.03, 0.01])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        ids = torch.multinomial(probabilities, 64 * 16, replacement=True).view(64, 16)
        positions = torch.rand(64, 16).argsort(1)[:, :3]
        loss = model(ids, ids, positions, torch.ones(64, 3)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    ids = torch.multinomial(probabilities, 64 * 16, replacement=True).view(64, 16)
    with torch.no_grad():
        hidden = model.discriminator.base_model(ids).last_hidden_state
        energies = model.discriminator.discriminator_predictions(hidden)
    for token in range(1, 6):
        assert math.exp(-energies[ids == token].mean().item()) == pytest.approx(probabilities[token].item(), rel=0.3)
