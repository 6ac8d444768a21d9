"""The model card is read back as the Hub reads it."""

from pathlib import Path

from huggingface_hub import ModelCard

from electra_hf.sharing.model_card import ModelCardFacts, write_model_card

FACTS: ModelCardFacts = {
    "name": "someone/electra-tiny-et",
    "corpora": ["someone/estonian-news", "the village archive"],
    "language": "et",
    "license": "apache-2.0",
    "tokenizer": "WordPiece, lower-case",
    "vocab_size": 8192,
    "max_length": 128,
    "about": "A text encoder pre-trained as in ELECTRA.",
    "tags": ["electra", "replaced-token-detection", "pretraining"],
    "encoder": "4 layers, hidden size 128",
    "encoder_parameters": 1_234_567,
    "generator": "4 layers, hidden size 64",
    "generator_parameters": 234_567,
    "command": "python run_pretraining.py --config configs/pretraining/demo.yaml",
    "steps": 500,
    "tokens_seen": 2_000_000,
    "hardware": "2 CPU cores",
    "results": {"eval_rtd_auc": 0.876, "eval_unigram_accuracy": 0.05, "epoch": 1.0},
}


def test_a_full_card_is_parsed_back_and_stays_short(tmp_path: Path):
    path = write_model_card(tmp_path / "model", FACTS)
    assert path == tmp_path / "model" / "README.md"
    card = ModelCard.load(path)
    assert card.data.library_name == "transformers"
    assert card.data.tags == ["electra", "replaced-token-detection", "pretraining"]
    assert card.data.language == "et"
    assert card.data.license == "apache-2.0"
    assert card.data.datasets == ["someone/estonian-news"]  # only what is a name on the Hub
    assert card.data.pipeline_tag is None
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_every_fact_is_in_the_card(tmp_path: Path):
    text = ModelCard.load(write_model_card(tmp_path, FACTS)).text
    for fact in [
        "# someone/electra-tiny-et", "A text encoder pre-trained as in ELECTRA.",
        "the village archive", "WordPiece, lower-case, 8,192 tokens",
        "1,234,567 parameters",
        "234,567 parameters", "2,000,000 tokens, 500 steps", "128 tokens", "2 CPU cores", FACTS["command"],
        "| detection AUC | 0.876 |", 'AutoModel.from_pretrained("someone/electra-tiny-et")', 'subfolder="generator"',
    ]:  # fmt: skip
        assert fact in text


def test_a_model_without_a_generator_shows_none(tmp_path: Path):
    facts: ModelCardFacts = {"name": "someone/bert", "about": "A text encoder.", "encoder": "4 layers"}
    text = ModelCard.load(write_model_card(tmp_path, facts)).text
    assert "enerator" not in text and "AutoModelForMaskedLM" not in text


def test_a_card_says_nothing_about_what_is_not_known(tmp_path: Path):
    card = ModelCard.load(write_model_card(tmp_path / "a-run", {}))
    assert card.data.language is None
    assert card.data.license is None
    assert "# a-run" in card.text
    assert "None" not in card.text
    assert "## Training" not in card.text
    assert "## Evaluation" not in card.text
    assert "No evaluation is recorded here" in card.text
