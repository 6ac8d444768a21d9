"""A token classifier with a CRF: as a model, as a folder, inside a Trainer and inside a pipeline."""

import copy
import inspect
import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from transformers import (
    AutoModel,
    AutoModelForTokenClassification,
    BertConfig,
    BertTokenizer,
    ConvBertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.finetuning.arguments import FinetuningArguments
from electra_hf.finetuning.recipe import layerwise_factors
from electra_hf.finetuning.trainer import FinetuningTrainer
from electra_hf.models.crf_checkpoint import has_crf
from electra_hf.models.tagged_tokens import untagged_token_ids
from electra_hf.models.token_classification import TokenClassificationWithCRF

LABELS = ["O", "B-A", "I-A", "B-B", "I-B"]
NAMES = {"id2label": dict(enumerate(LABELS)), "label2id": {label: number for number, label in enumerate(LABELS)}}
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
IDS = torch.randint(5, 64, (4, 12), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(12) < torch.tensor([12, 9, 5, 1])[:, None]
GOLD = torch.randint(0, 5, (4, 12), generator=torch.Generator().manual_seed(1)).masked_fill(~MASK, -100)

FAMILIES = {
    "bert": BertConfig(**SIZES, **NAMES),
    "convbert": ConvBertConfig(**SIZES, **NAMES, embedding_size=16),
    "roberta": RobertaConfig(**SIZES, **NAMES, pad_token_id=1),
    "deberta-v2": DebertaV2Config(**SIZES, **NAMES, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "modernbert": ModernBertConfig(
        **SIZES, **NAMES, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3
    ),
    "distilbert": DistilBertConfig(vocab_size=64, dim=32, n_layers=2, n_heads=4, hidden_dim=64, **NAMES),
}


def with_random_crf(plain, scheme="IOB2", untagged=()) -> TokenClassificationWithCRF:
    model = TokenClassificationWithCRF.from_plain(plain, scheme, untagged).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in [*model.crf.parameters(), *model.classifier.parameters()]:
        torch.nn.init.normal_(parameter, generator=generator)
    return model


@pytest.fixture
def plain(discriminator_config):
    config = copy.deepcopy(discriminator_config)
    config.update(NAMES)
    torch.manual_seed(0)
    return ElectraForTokenClassification(config).eval()


@pytest.fixture
def model(plain):
    return with_random_crf(plain, untagged=(2, 3))


@pytest.fixture(params=["electra", *FAMILIES])
def any_plain(request, plain):
    if request.param == "electra":
        return plain
    torch.manual_seed(0)
    return AutoModelForTokenClassification.from_config(copy.deepcopy(FAMILIES[request.param])).eval()


def test_loss_and_tags_are_those_of_the_crf_on_the_plain_emissions(plain):
    model = with_random_crf(copy.deepcopy(plain))
    plain.classifier.load_state_dict(model.classifier.state_dict())
    attention = MASK.long()
    output = model(IDS, attention, labels=GOLD)
    emissions = plain(IDS, attention_mask=attention).logits
    assert torch.equal(output.logits, emissions)
    expected = -model.crf.log_likelihood(emissions, GOLD).sum()
    torch.testing.assert_close(output.loss, expected / MASK.sum())
    torch.testing.assert_close(model.summed_loss(emissions, GOLD), expected)
    torch.testing.assert_close(model(IDS, attention, labels=GOLD, num_items_in_batch=7).loss, expected / 7)
    assert torch.equal(model.decode(IDS, attention, tag_mask=MASK), model.crf.viterbi(emissions, MASK))
    loss, logits = model(IDS, attention, labels=GOLD, return_dict=False)[:2]
    assert torch.equal(loss, output.loss)
    assert torch.equal(logits, output.logits)


def test_starts_as_the_plain_classifier(plain):
    model = TokenClassificationWithCRF.from_plain(copy.deepcopy(plain), "IOB2")
    assert model.training == plain.training
    torch.testing.assert_close(model(IDS, labels=GOLD).loss, plain(IDS, labels=GOLD).loss)


def test_tags_every_token_that_may_carry_one(model):
    ids = IDS.clone()
    ids[:, 0], ids[0, 6] = 2, 3
    tags = model.decode(ids, MASK.long())
    assert torch.equal(tags == -100, ~MASK | (ids == 2) | (ids == 3))
    expected = model.crf.viterbi(model(ids, MASK.long()).logits, tags != -100)
    assert torch.equal(tags, expected)


def test_every_family_round_trips(any_plain, tmp_path):
    name = type(any_plain).__name__
    model = with_random_crf(any_plain, untagged=(0, 2))
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [name]
    bare, info = AutoModelForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert type(bare).__name__ == name
    assert not isinstance(bare, TokenClassificationWithCRF)
    assert not any(info.values())
    encoder, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert all(key.startswith("pooler.") for key in info["missing_keys"])  # which a token classifier does not have
    assert not any("crf" in key for key in info["unexpected_keys"])
    loaded = TokenClassificationWithCRF.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    assert has_crf(loaded.config)
    assert not loaded.training
    for (key, found), (other, expected) in zip(loaded.named_parameters(), model.named_parameters(), strict=True):
        assert key == other
        assert torch.equal(found, expected), key
    attention = MASK.long()
    with torch.no_grad():
        emissions = model(IDS, attention_mask=attention).logits
        torch.testing.assert_close(bare(IDS, attention_mask=attention).logits, emissions)
        torch.testing.assert_close(encoder(IDS).last_hidden_state, model.base_model(IDS).last_hidden_state)
    assert torch.equal(loaded.decode(IDS, attention), model.decode(IDS, attention))
    assert loaded.untagged_token_ids.tolist() == [0, 2]
    torch.nn.init.zeros_(loaded.crf.transitions)
    loaded.load_weights(tmp_path)
    assert torch.equal(loaded.crf.transitions, model.crf.transitions)
    # As the Trainer sees it, and with the learning rate of the head.
    assert "tag_mask" in inspect.signature(model.forward).parameters
    assert set(inspect.signature(bare.forward).parameters) < set(inspect.signature(model.forward).parameters)
    factors = layerwise_factors(model, 0.5)
    assert {factor for name, factor in factors.items() if name.startswith(("crf.", "classifier."))} == {1.0}


def test_copies_and_pickles(model):
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is type(model)
        assert torch.equal(other.decode(IDS), model.decode(IDS))
        assert other.crf.transitions is not model.crf.transitions


def test_loads_from_the_cache_of_the_hub(model, tmp_path):
    repository = tmp_path / "models--someone--tagger"
    model.save_pretrained(repository / "snapshots" / "0123")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    loaded = TokenClassificationWithCRF.from_pretrained("someone/tagger", cache_dir=tmp_path, local_files_only=True)
    assert torch.equal(loaded.decode(IDS), model.decode(IDS))
    (repository / "snapshots" / "0123" / "crf.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"someone/tagger has no crf\.safetensors"):
        TokenClassificationWithCRF.from_pretrained("someone/tagger", cache_dir=tmp_path, local_files_only=True)


def test_incomplete_and_foreign_folders_are_refused(model, plain, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    model.save_pretrained(good)

    shutil.copytree(good, bad)
    (bad / "crf.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no crf\.safetensors"):
        TokenClassificationWithCRF.from_pretrained(bad)
    with pytest.raises(CheckpointError, match=r"crf\.safetensors is not the CRF"):
        model.load_weights(bad)

    (bad / "crf.safetensors").write_bytes((good / "crf.safetensors").read_bytes()[:50])
    with pytest.raises(CheckpointError, match="copy the whole folder again"):
        TokenClassificationWithCRF.from_pretrained(bad)

    config = copy.deepcopy(plain.config)
    config.update({"id2label": {0: "O", 1: "B-A", 2: "I-A"}, "label2id": {"O": 0, "B-A": 1, "I-A": 2}})
    other = TokenClassificationWithCRF.from_plain(ElectraForTokenClassification(config), "IOB2")
    other.save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "crf.safetensors", bad)
    with pytest.raises(CheckpointError, match="does not fit the 5 labels"):
        TokenClassificationWithCRF.from_pretrained(bad)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        model.load_weights(tmp_path / "other")

    shutil.rmtree(bad)
    AutoModel.from_pretrained(good).save_pretrained(bad)
    with pytest.raises(CheckpointError, match="does not hold a whole ElectraForTokenClassification"):
        TokenClassificationWithCRF.from_pretrained(bad)
    plain.config.crf_scheme = None
    plain.save_pretrained(tmp_path / "plain")
    with pytest.raises(CheckpointError, match="was not saved with a CRF"):
        TokenClassificationWithCRF.from_pretrained(tmp_path / "plain")
    with pytest.raises(CheckpointError, match="cannot load a token classifier"):
        TokenClassificationWithCRF.from_pretrained(tmp_path / "nowhere")


def test_what_a_crf_cannot_be_put_on(model, plain):
    with pytest.raises(UsageError, match="has a CRF already"):
        TokenClassificationWithCRF.from_plain(model)
    with pytest.raises(UsageError, match="ElectraForSequenceClassification is no token classifier"):
        TokenClassificationWithCRF.from_plain(ElectraForSequenceClassification(plain.config))
    with pytest.raises(UsageError, match="'B-A' does not fit the scheme|unknown tag scheme"):
        TokenClassificationWithCRF.from_plain(copy.deepcopy(plain), "IOB1")


class Examples(Dataset):
    """A token's tag says whether the token before it is one of the first, so that transitions matter."""

    def __init__(self, rows: int, seed: int = 0):
        self.ids = torch.randint(5, 64, (rows, 10), generator=torch.Generator().manual_seed(seed))
        self.labels = torch.where(self.ids.roll(1, 1) < 20, 1, 0)
        self.labels[:, 0] = -100

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        types = torch.zeros(10, dtype=torch.int64)
        return {"input_ids": self.ids[index], "token_type_ids": types, "labels": self.labels[index], "rubbish": 0}


def make_trainer(plain, folder, **options):
    set_seed(0)
    model = TokenClassificationWithCRF.from_plain(copy.deepcopy(plain), "IOB2", (2,)).train()
    args = FinetuningArguments(
        output_dir=str(folder), learning_rate=1e-2, layerwise_lr_decay=0.9, use_cpu=True, disable_tqdm=True,
        per_device_train_batch_size=8, report_to="none", logging_steps=1, **{"num_train_epochs": 2, **options},
    )  # fmt: skip
    return FinetuningTrainer(model=model, args=args, train_dataset=Examples(32), eval_dataset=Examples(16, 1))


def test_resumes_and_loads_the_best_checkpoint(plain, tmp_path):
    whole = make_trainer(plain, tmp_path / "whole", save_strategy="epoch", eval_strategy="epoch")
    whole.train()
    assert whole.model.crf.transitions.abs().max() > 0.01
    resumed = make_trainer(plain, tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    for (name, found), expected in zip(resumed.model.named_parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(found, expected), name
    best = make_trainer(
        plain, tmp_path / "best", save_strategy="epoch", eval_strategy="epoch", load_best_model_at_end=True,
        metric_for_best_model="eval_loss", greater_is_better=True, save_total_limit=None,
    )  # fmt: skip
    best.train()
    # The worst loss is that of the first epoch, so its weights are not those at the end.
    first = TokenClassificationWithCRF.from_pretrained(tmp_path / "best" / "checkpoint-4")
    assert torch.equal(best.model.crf.transitions, first.crf.transitions)
    assert not torch.equal(best.model.crf.transitions, whole.model.crf.transitions)


def test_evaluation_has_the_mean_loss_and_the_emissions(plain, tmp_path):
    trainer = make_trainer(plain, tmp_path)
    output = trainer.predict(Examples(16, 1))
    labels = torch.from_numpy(np.asarray(output.label_ids))
    emissions = torch.from_numpy(np.asarray(output.predictions))
    expected = trainer.model.summed_loss(emissions, labels) / (labels != -100).sum()
    assert output.metrics["test_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_stock_trainer_trains_and_does_not_lose_the_crf(plain, tmp_path):
    model = TokenClassificationWithCRF.from_plain(plain, "IOB2").train()
    args = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, report_to="none", max_steps=2, save_steps=1,
        learning_rate=1e-2,
    )  # fmt: skip
    trainer = Trainer(model=model, args=args, train_dataset=Examples(32), eval_dataset=Examples(8))
    trainer.train()
    assert trainer.evaluate()["eval_loss"] > 0
    with pytest.raises(CheckpointError, match="use load_weights"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    found = TokenClassificationWithCRF.from_pretrained(tmp_path / "checkpoint-2")
    assert torch.equal(found.crf.transitions, model.crf.transitions)


@pytest.fixture
def wordpiece():
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *(f"w{i}" for i in range(40)),
        *(f"##x{i}" for i in range(19)),
    ]
    return BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})


def test_tokens_without_tags(wordpiece, tmp_path):
    assert untagged_token_ids(wordpiece, first_tokens_only=False) == (0, 2, 3)
    assert untagged_token_ids(wordpiece, first_tokens_only=True) == (0, 2, 3, *range(45, 64))
    wordpiece.save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert untagged_token_ids(loaded, first_tokens_only=True) == (0, 2, 3, *range(45, 64))


def test_pipeline_gives_posteriors(plain, wordpiece):
    model = with_random_crf(plain, untagged=untagged_token_ids(wordpiece, first_tokens_only=True))
    texts = ["w1 w2x3x4 w5", "w7x1 w8"]
    tagger = pipeline(
        "token-classification", model=model.for_pipeline(), tokenizer=wordpiece, ignore_labels=[], device="cpu"
    )
    tokens, entities = tagger(texts), tagger(texts, aggregation_strategy="first")
    batch = wordpiece(texts, return_tensors="pt", padding=True)
    tagged = batch["attention_mask"].bool() & ~torch.isin(batch["input_ids"], model.untagged_token_ids)
    model.posterior_logits = False
    with torch.no_grad():
        posteriors = model.crf.marginals(model(**batch).logits, tagged)
    for row, expected, mask in zip(tokens, posteriors, tagged, strict=True):
        first = [token for token in row if mask[token["index"]]]
        best = expected[mask].max(-1)
        assert [token["score"] for token in first] == pytest.approx(best.values.tolist(), rel=1e-4)
        assert [token["entity"] for token in first] == [LABELS[tag] for tag in best.indices]
    assert [" ".join(entity["word"] for entity in row) for row in entities] == texts


def test_posterior_logits_are_finite_and_only_for_evaluation(model):
    emissions = model(IDS).logits
    posteriors = model.for_pipeline()(IDS, tag_mask=MASK).logits
    assert torch.isfinite(posteriors).all()
    torch.testing.assert_close(posteriors[MASK].softmax(-1), model.crf.marginals(emissions, MASK)[MASK])
    torch.testing.assert_close(posteriors[~MASK].softmax(-1), emissions[~MASK].softmax(-1))
    assert torch.equal(model.train()(IDS).logits, emissions)
