"""Models of every kind become classifiers, whole or with an error; heads depend on the seed only."""

import copy
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    ElectraModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

from electra_hf.errors import CheckpointError, TokenizerError, UsageError
from electra_hf.finetuning.arguments import FinetuneModelArguments
from electra_hf.finetuning.loading import (
    check_fits,
    load_classifier,
    load_config,
    load_finetuning_tokenizer,
    longest_input,
    stored_score_scale,
)
from electra_hf.models import ElectraForReferenceClassification

LABELS = ["entailment", "neutral", "contradiction"]
SIZES = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None,
}  # fmt: skip


@pytest.fixture
def encoder(tmp_path, discriminator_config):
    """A discriminator as pre-training saves it."""
    torch.manual_seed(7)
    ElectraForPreTraining(discriminator_config).save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def load(path, labels=LABELS, kind="classification", *, training=True, seed=1, **options):
    model_args = FinetuneModelArguments(str(path), **options)
    return load_classifier(model_args, labels, kind, training=training, seed=seed)


def head_of(loaded) -> dict[str, torch.Tensor]:
    prefix = loaded.model.base_model_prefix
    return {name: value for name, value in loaded.model.named_parameters() if not name.startswith(prefix)}


def assert_encoder_is(loaded, path):
    saved = load_file(path / "model.safetensors")
    prefix = f"{loaded.model.base_model_prefix}."
    for name, value in loaded.model.named_parameters():
        if name.startswith(prefix) and ".pooler." not in name:
            assert torch.equal(value, saved[name]), name


def test_a_discriminator_gets_the_references_head(encoder, caplog):
    loaded = load(encoder)
    assert not caplog.records, "no report of what is as it should be"
    assert isinstance(loaded.model, ElectraForReferenceClassification)
    assert loaded.fresh_head
    assert loaded.label_ids is None
    assert loaded.notes == ()
    assert_encoder_is(loaded, encoder)
    config = loaded.model.config
    assert config.id2label == dict(enumerate(LABELS))
    assert config.label2id == {"entailment": 0, "neutral": 1, "contradiction": 2}
    assert (config.num_labels, config.problem_type) == (3, "single_label_classification")


def test_a_head_depends_on_the_seed_only(encoder):
    """Whatever was drawn before, and whichever weights lie below."""
    first = head_of(load(encoder, seed=5))
    torch.rand(100)
    load(encoder, seed=6)
    fifth = head_of(load(encoder, seed=5))
    assert all(torch.equal(first[name], fifth[name]) for name in first)
    other = head_of(load(encoder, seed=6))
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_plain_encoders_and_generators(tmp_path, discriminator_config):
    for cls in (ElectraModel, ElectraForMaskedLM):
        cls(discriminator_config).save_pretrained(tmp_path / cls.__name__)
        loaded = load(tmp_path / cls.__name__)
        assert isinstance(loaded.model, ElectraForReferenceClassification)


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (BertForPreTraining, BertConfig(**SIZES)),
        (RobertaForMaskedLM, RobertaConfig(**SIZES)),
        (ModernBertForMaskedLM, ModernBertConfig(**SIZES)),
        (DistilBertForMaskedLM, DistilBertConfig(vocab_size=64, dim=32, n_layers=2, n_heads=4, hidden_dim=64)),
    ],
    ids=["bert", "roberta", "modernbert", "distilbert"],
)
def test_other_encoders_get_transformers_head(tmp_path, cls, config):
    cls(config).save_pretrained(tmp_path)
    loaded = load(tmp_path, seed=3)
    assert type(loaded.model) is AutoModelForSequenceClassification._model_mapping[type(config)]
    assert_encoder_is(loaded, tmp_path)
    again = load(tmp_path, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(loaded.model.parameters(), again.model.parameters(), strict=True))
    with pytest.raises(UsageError, match=f"is a {config.model_type} model: use --classification_head transformers"):
        load(tmp_path, classification_head="reference")


def test_a_bert_without_pooler_says_so(tmp_path):
    BertForMaskedLM(BertConfig(**SIZES)).save_pretrained(tmp_path)
    assert load(tmp_path).notes == ("it was saved without a pooler, so that is new too",)


def test_transformers_head_on_request(encoder):
    loaded = load(encoder, classification_head="transformers")
    assert type(loaded.model) is ElectraForSequenceClassification
    assert loaded.model.classifier.dense.weight.std().item() == pytest.approx(0.02, rel=0.2)
    many = [str(number) for number in range(20)]
    assert load(encoder, many, classification_head="transformers").model.config.num_labels == 20
    with pytest.raises(UsageError, match="20 labels: use --classification_head transformers"):
        load(encoder, many)


def test_regression_and_several_labels(encoder):
    regression = load(encoder, [], "regression").model.config
    assert (regression.num_labels, regression.problem_type) == (1, "regression")
    several = load(encoder, LABELS, "multi_label").model.config
    assert (several.num_labels, several.problem_type) == (3, "multi_label_classification")


def test_weights_are_fp32_whatever_was_saved(tmp_path, discriminator_config):
    ElectraForPreTraining(discriminator_config).bfloat16().save_pretrained(tmp_path)
    assert {value.dtype for value in load(tmp_path).model.parameters()} == {torch.float32}


def test_random_initialization_takes_the_sizes_only(encoder):
    loaded = load(encoder, random_initialization=True)
    weight = loaded.model.electra.encoder.layer[1].output.dense.weight
    saved = load_file(encoder / "model.safetensors")["electra.encoder.layer.1.output.dense.weight"]
    assert weight.shape == saved.shape
    assert not torch.equal(weight, saved)
    assert weight.abs().max() <= 0.04, "the reference cuts its normal at two standard deviations"
    assert weight.std() > 0.015
    projection = loaded.model.electra.embeddings_project.weight
    assert projection.abs().max() > 0.2, "glorot uniform"
    again = load(encoder, random_initialization=True)
    assert torch.equal(weight, again.model.electra.encoder.layer[1].output.dense.weight)
    with pytest.raises(CheckpointError, match="nothing to evaluate"):
        load(encoder, random_initialization=True, training=False)


# Models that have a head


@pytest.fixture
def classifier(encoder, tmp_path):
    """Fine-tuned on the labels of NLI, in their order."""
    model = load(encoder).model
    torch.nn.init.normal_(model.classifier.projection.weight)
    model.save_pretrained(tmp_path / "classifier")
    return tmp_path / "classifier"


def test_the_same_labels_in_another_order_keep_the_models(classifier):
    loaded = load(classifier, ["Contradiction", "Entailment", "Neutral"], training=False)
    assert loaded.label_ids == (2, 0, 1)
    assert not loaded.fresh_head
    assert loaded.notes == ("its label order is kept: entailment, neutral, contradiction",)
    assert loaded.model.config.id2label == dict(enumerate(LABELS))
    plain = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    ids = torch.randint(5, 64, (4, 9))
    with torch.no_grad():
        torch.testing.assert_close(loaded.model.eval()(ids).logits, plain(ids).logits, atol=1e-5, rtol=1e-5)
    assert load(classifier, LABELS, training=False).label_ids is None


def test_training_goes_on_with_the_same_head(classifier):
    first, second = load(classifier, seed=1), load(classifier, seed=2)
    assert isinstance(first.model, ElectraForReferenceClassification)
    assert all(torch.equal(a, b) for a, b in zip(head_of(first).values(), head_of(second).values(), strict=True))


def test_another_head_than_the_references_stays(tmp_path, discriminator_config):
    discriminator_config.id2label = dict(enumerate(LABELS))
    ElectraForSequenceClassification(discriminator_config).save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded.model) is ElectraForSequenceClassification
    assert loaded.notes[-1] == "its classification head is that of transformers, and stays so"
    assert "kept and trained further" in loaded.notes[0]


def test_other_labels_get_a_new_head_or_an_error(classifier):
    loaded = load(classifier, ["bad", "good"])
    assert loaded.fresh_head
    assert "entailment, neutral, contradiction" in loaded.notes[0]
    assert loaded.model.config.id2label == {0: "bad", 1: "good"}
    assert_encoder_is(loaded, classifier)
    with pytest.raises(CheckpointError, match="a head for entailment, neutral, contradiction .* are for bad, good"):
        load(classifier, ["bad", "good"], training=False)
    with pytest.raises(CheckpointError, match="are for a regression"):
        load(classifier, [], "regression", training=False)
    with pytest.raises(CheckpointError, match="single_label_classification"):
        load(classifier, LABELS, "multi_label", training=False)


@pytest.mark.parametrize("head", ["reference", "transformers"])
def test_a_replaced_head_of_the_same_size_is_new(classifier, head):
    """Three other labels: the weights fit, and mean something else."""
    old = AutoModelForSequenceClassification.from_pretrained(classifier).classifier.out_proj.weight
    loaded = load(classifier, ["a", "b", "c"], classification_head=head, seed=4)
    fresh = head_of(loaded)
    assert all(not torch.equal(value, old) for value in fresh.values())
    again = head_of(load(classifier, ["a", "b", "c"], classification_head=head, seed=4))
    assert all(torch.equal(fresh[name], again[name]) for name in fresh)


def test_unnamed_labels_are_taken_in_the_order_of_the_data(tmp_path, discriminator_config):
    discriminator_config.num_labels = 3
    ElectraForSequenceClassification(discriminator_config).save_pretrained(tmp_path)
    loaded = load(tmp_path, training=False)
    assert not loaded.fresh_head
    assert loaded.model.config.id2label == dict(enumerate(LABELS))
    assert "does not name its labels (LABEL_0, LABEL_1, LABEL_2)" in loaded.notes[0]
    assert load(tmp_path).fresh_head, "in training it may be another task's"


def test_evaluation_needs_a_head(encoder):
    with pytest.raises(CheckpointError, match="no classification head, so there is nothing to evaluate"):
        load(encoder, training=False)


# Damage


def rewrite(path, change):
    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


def test_missing_weights_are_an_error(encoder):
    rewrite(encoder, lambda weights: weights.pop("electra.encoder.layer.1.output.dense.weight"))
    with pytest.raises(CheckpointError, match=r"1 missing \(electra.encoder.layer.1.output.dense.weight\)"):
        load(encoder)


def test_weights_of_another_model_are_an_error(encoder):
    config = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with pytest.raises(CheckpointError, match=r"not in this architecture \(electra.encoder.layer.1"):
        load(encoder)
    (encoder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(CheckpointError, match=r"of another shape \(.*\(64, 32\) instead of \(48, 32\)"):
        load(encoder)


def test_a_classifier_that_lost_its_head_is_an_error(classifier):
    rewrite(classifier, lambda weights: weights.pop("classifier.out_proj.weight"))
    with pytest.raises(CheckpointError, match=r"1 missing \(classifier.out_proj.weight\)"):
        load(classifier)


def test_what_is_not_there_or_not_whole(encoder, tmp_path):
    with pytest.raises(CheckpointError, match="there is no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="or a name on the Hub"):
        load("nobody/no-such-model")
    for damage in (lambda file: file.write_bytes(file.read_bytes()[:-100]), lambda file: file.unlink()):
        copied = tmp_path / "copied"
        shutil.copytree(encoder, copied)
        damage(copied / "model.safetensors")
        with pytest.raises(CheckpointError, match="incomplete or damaged"):
            load(copied)
        shutil.rmtree(copied)
    (encoder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot load the model"):
        load(encoder)


# Tokenizer


def test_a_regression_keeps_what_its_scores_were_divided_by(encoder, tmp_path):
    model_args = FinetuneModelArguments(str(encoder))
    assert stored_score_scale(load_config(model_args)) is None
    loaded = load_classifier(model_args, [], "regression", training=True, seed=1, score_scale=5.0)
    loaded.model.save_pretrained(tmp_path / "saved")
    saved = FinetuneModelArguments(str(tmp_path / "saved"))
    assert stored_score_scale(load_config(saved)) == 5.0
    evaluated = load_classifier(saved, [], "regression", training=False, seed=1)
    assert stored_score_scale(evaluated.model.config) == 5.0


def test_a_model_with_one_token_type_gets_a_tokenizer_without_types(tokenizer, tmp_path):
    config = ElectraConfig(vocab_size=len(tokenizer), type_vocab_size=1, max_position_embeddings=32)
    tokenizer = copy.deepcopy(tokenizer)
    check_fits(config, tokenizer, 32)
    assert list(tokenizer("a", "b")) == ["input_ids", "attention_mask"]
    tokenizer.save_pretrained(tmp_path)
    assert "token_type_ids" not in AutoTokenizer.from_pretrained(tmp_path)("a", "b")


def test_a_folder_without_tokenizer(encoder, tokenizer):
    with pytest.raises(TokenizerError, match="the model brings no tokenizer of its own.*--tokenizer_name"):
        load_finetuning_tokenizer(FinetuneModelArguments(str(encoder)))
    tokenizer.save_pretrained(encoder)
    assert len(load_finetuning_tokenizer(FinetuneModelArguments(str(encoder)))) == 64


def test_tokenizer_and_length_must_fit(encoder, tokenizer):
    config = load_config(FinetuneModelArguments(str(encoder)))
    check_fits(config, tokenizer, 32)
    with pytest.raises(UsageError, match="--max_seq_length 33 is longer than the model can read: give 32 or less"):
        check_fits(config, tokenizer, 33)
    small = copy.deepcopy(config)
    small.vocab_size = 63
    with pytest.raises(UsageError, match="the model has 63 tokens and the tokenizer 64"):
        check_fits(small, tokenizer, 32)
    assert longest_input(RobertaConfig(max_position_embeddings=514)) == 512
