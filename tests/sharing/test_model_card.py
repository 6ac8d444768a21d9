"""The model card is read back as the Hub reads it."""

from pathlib import Path

from huggingface_hub import ModelCard

from electra_hf.sharing.card_files import write_model_card
from electra_hf.sharing.model_card import ModelCardFacts, generator_card

FACTS: ModelCardFacts = {
    "name": "someone/electra-tiny-et",
    "objective": "rtd",
    "corpora": [
        {"name": "news", "dataset": "someone/estonian-news", "license": "CC BY 4.0"},
        {"name": "the village archive"},
    ],
    "documents": 2_500,
    "corpus_tokens": 1_000_000,
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
    "recipe": {"learning rate": "0.0005, paper_linear", "rows a step": "128 | 64"},
    "versions": {"torch": "2.13.0", "electra_hf": "0.1.0"},
    "steps": 500,
    "max_steps": 500,
    "tokens_seen": 2_000_000,
    "epochs": 2.0,
    "flops": 1.25e15,
    "hours": 3.25,
    "hardware": "2 CPU cores",
    "energy_kwh": 0.125,
    "co2_kg": 0.05,
    "results": {
        "eval_rtd_auc": 0.876,
        "eval_rtd_precision": float("nan"),
        "eval_unigram_accuracy": 0.05,
        "eval_rtd_loss": 0.4,
        "epoch": 1.0,
    },
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
    assert len(path.read_text(encoding="utf-8").splitlines()) < 110


def test_the_evaluation_is_in_the_form_of_the_hub(tmp_path: Path):
    """Written and read by huggingface_hub, which checks it."""
    facts: ModelCardFacts = {**FACTS, "corpora": FACTS["corpora"][:1]}  # type: ignore[typeddict-item]
    (result,) = ModelCard.load(write_model_card(tmp_path, facts)).data.eval_results
    assert (result.metric_type, result.metric_value, result.metric_name) == ("rtd_auc", 0.876, "detection AUC")
    assert (result.dataset_type, result.dataset_split) == ("someone/estonian-news", "validation")
    assert result.dataset_name == "held out of news" and result.task_type == "token-classification"
    masked = write_model_card(tmp_path, {**facts, "objective": "mlm", "results": {"eval_mlm_accuracy": 0.5}})
    card = ModelCard.load(masked)
    assert [result.task_type for result in card.data.eval_results] == [card.data.pipeline_tag] == ["fill-mask"]


def test_every_fact_is_in_the_card(tmp_path: Path):
    text = ModelCard.load(write_model_card(tmp_path, FACTS)).text
    for fact in [
        "# someone/electra-tiny-et", "A text encoder pre-trained as in ELECTRA.",
        "[news](https://huggingface.co/datasets/someone/estonian-news) (licence: CC BY 4.0); the village archive: "
        "2,500 documents, 1,000,000 tokens",
        "WordPiece, lower-case, 8,192 tokens", "1,234,567 parameters", "234,567 parameters",
        "500 steps, 2,000,000 tokens (padding not counted), 2 epochs, 1.25e+15 FLOPs",
        "128 tokens", "2 CPU cores, 3.2 hours of training", FACTS["command"],
        "0.12 kWh, 0.05 kg of CO2-equivalent (estimated by codecarbon)", "torch 2.13.0",
        "| learning rate | 0.0005, paper_linear |", r"| rows a step | 128 \| 64 |",
        "@inproceedings{clark2020electra,", "@software{electra_hf,",
        "| detection AUC | 0.876 |", 'AutoModel.from_pretrained("someone/electra-tiny-et")', 'subfolder="generator"',
    ]:  # fmt: skip
        assert fact in text


def test_a_model_without_a_generator_shows_none(tmp_path: Path):
    facts: ModelCardFacts = {"name": "someone/bert", "about": "A text encoder.", "encoder": "4 layers"}
    text = ModelCard.load(write_model_card(tmp_path, facts)).text
    assert "enerator" not in text.partition("## Citation")[0] and "AutoModelForMaskedLM" not in text


def test_a_card_says_nothing_about_what_is_not_known(tmp_path: Path):
    card = ModelCard.load(write_model_card(tmp_path / "a-run", {}))
    assert card.data.language is None
    assert card.data.license is None
    assert "# a-run" in card.text
    assert "None" not in card.text
    assert "## Training" not in card.text
    assert "## Evaluation" not in card.text
    assert "No evaluation is recorded here" in card.text


def test_the_paper_of_the_objective_is_cited(tmp_path: Path):
    for objective, paper in {"mlm_sop": "devlin2019bert", "electric": "clark2020electric"}.items():
        assert f"@inproceedings{{{paper}," in write_model_card(tmp_path, {**FACTS, "objective": objective}).read_text()


def test_a_state_before_the_end_says_so(tmp_path: Path):
    facts: ModelCardFacts = {**FACTS, "steps": 1, "epochs": 1.0}
    text = write_model_card(tmp_path, facts).read_text()
    assert "**A checkpoint**: the state after step 1 of 500." in text
    assert "1 step, 2,000,000 tokens (padding not counted), 1 epoch," in text
    assert "A checkpoint" not in write_model_card(tmp_path, FACTS).read_text()


def test_the_card_of_a_generator_leads_to_its_encoder():
    card = ModelCard(generator_card("someone/generator", "someone/electra-tiny-et", FACTS))
    assert card.data.pipeline_tag == "fill-mask" and "generator" in card.data.tags
    assert card.data.license == "apache-2.0" and card.data.language == "et"
    assert "[someone/electra-tiny-et](https://huggingface.co/someone/electra-tiny-et)" in card.text
    assert 'pipeline("fill-mask", model="someone/generator")' in card.text
