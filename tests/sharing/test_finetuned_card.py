"""The card of a fine-tuned model is read back as the Hub reads it."""

from pathlib import Path

from huggingface_hub import ModelCard

from electra_hf.sharing.finetuned_card import FinetunedCardFacts, write_finetuned_card


def values(*numbers: float) -> dict[str, object]:
    middle = sorted(numbers)[len(numbers) // 2]
    return {
        "median": middle,
        "mean": middle,
        "std": 0.01,
        "best": max(numbers),
        "low": middle,
        "high": middle,
        "values": list(numbers),
    }


FACTS: FinetunedCardFacts = {
    "name": "someone/electra-tiny-sst2",
    "base_model": "someone/electra-tiny",
    "task": "sst2",
    "pipeline": "text-classification",
    "pairs": False,
    "labels": ["negative", "positive"],
    "command": "python run_glue.py --model_name_or_path someone/electra-tiny --task_name sst2",
    "seed": 43,
    "results": {
        "task_name": "sst2",
        "model": "someone/electra-tiny",
        "seeds": [42, 43, 44],
        "eval_samples": 872,
        "eval_accuracy": values(0.80, 0.82, 0.81),
        "eval_loss": values(0.4, 0.5, 0.45),
        "test_accuracy": values(0.79, 0.78, 0.80),
        "train_runtime": values(10.0, 11.0, 12.0),
        "notes": [],
        "findings": {},
    },
}


def test_the_metadata_are_those_of_a_fine_tuned_model(tmp_path: Path):
    card = ModelCard.load(write_finetuned_card(tmp_path / "model", FACTS))
    assert card.data.base_model == "someone/electra-tiny"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    found = {(row.metric_type, row.dataset_split): row.metric_value for row in card.data.eval_results or []}
    assert found == {("accuracy", "validation"): 0.81, ("accuracy", "test"): 0.79}


def test_the_text_says_what_it_is_and_how_to_use_it(tmp_path: Path):
    text = ModelCard.load(write_finetuned_card(tmp_path, FACTS)).text
    for fact in [
        "# someone/electra-tiny-sst2", "fine-tuned on sst2", "seed 43", "negative, positive", FACTS["command"],
        'pipeline("text-classification", model="someone/electra-tiny-sst2")', 'print(model("A text"))', "81.0",
    ]:  # fmt: skip
        assert fact in text
    pairs: FinetunedCardFacts = {**FACTS, "pairs": True}
    assert '"text_pair"' in ModelCard.load(write_finetuned_card(tmp_path, pairs)).text


def test_a_folder_is_not_linked_as_a_model_of_the_hub(tmp_path: Path):
    local: FinetunedCardFacts = {**FACTS, "base_model": "outputs/run/checkpoint-100"}
    card = ModelCard.load(write_finetuned_card(tmp_path, local))
    assert card.data.base_model is None
    assert "`outputs/run/checkpoint-100`" in card.text
