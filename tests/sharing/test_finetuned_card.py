"""The card of a fine-tuned model is read back as the Hub reads it."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from electra_hf.sharing.card_files import write_finetuned_card
from electra_hf.sharing.finetuned_card import FinetunedCardFacts


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
    "dataset": "nyu-mll/glue",
    "dataset_config": "sst2",
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


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Relative names are looked for in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_the_metadata_are_those_of_a_fine_tuned_model(tmp_path: Path):
    card = ModelCard.load(write_finetuned_card(tmp_path / "model", FACTS))
    assert card.data.base_model == "someone/electra-tiny"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    found = {(row.metric_type, row.dataset_split): row.metric_value for row in card.data.eval_results or []}
    assert found == {("accuracy", "validation"): 0.81, ("accuracy", "test"): 0.79}
    row = (card.data.eval_results or [])[0]
    assert row.metric_name == "accuracy (median of 3 seeds, standard deviation 0.0100)"
    assert (row.dataset_type, row.dataset_config, row.dataset_name) == ("nyu-mll/glue", "sst2", "sst2")
    assert card.data.datasets == "nyu-mll/glue" and card.data.tags == ["sst2"]


def test_the_two_splits_of_mnli_are_told_apart(tmp_path: Path):
    results = {"eval_accuracy": values(0.8), "eval_accuracy_mm": values(0.7)}
    card = ModelCard.load(write_finetuned_card(tmp_path, {**FACTS, "task": "mnli", "results": results}))
    found = {(row.metric_type, row.dataset_split): row.metric_value for row in card.data.eval_results or []}
    assert found == {("accuracy", "validation_matched"): 0.8, ("accuracy", "validation_mismatched"): 0.7}


def test_scores_on_data_of_ones_own_are_in_the_text_only(tmp_path: Path):
    own: FinetunedCardFacts = {name: value for name, value in FACTS.items() if not name.startswith("dataset")}  # type: ignore[assignment]
    card = ModelCard.load(write_finetuned_card(tmp_path, own))
    assert not card.data.eval_results and card.data.datasets is None
    assert "81.0" in card.text


def test_the_architecture_is_that_of_the_model(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    assert ModelCard.load(write_finetuned_card(tmp_path, FACTS)).data.tags == ["roberta", "sst2"]


def test_a_regression_says_what_its_output_is(tmp_path: Path):
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "electra", "problem_type": "regression", "score_scale": 5.0}')
    assert "output is the score divided by 5: multiply it by 5" in write_finetuned_card(tmp_path, FACTS).read_text()
    config.write_text('{"model_type": "electra", "problem_type": "regression", "score_scale": 1.0}')
    assert "divided by" not in write_finetuned_card(tmp_path, FACTS).read_text()


def test_the_text_says_what_it_is_and_how_to_use_it(tmp_path: Path):
    text = ModelCard.load(write_finetuned_card(tmp_path, FACTS)).text
    for fact in [
        "# someone/electra-tiny-sst2", "fine-tuned on sst2", "seed 43", "negative, positive", FACTS["command"],
        'pipeline("text-classification", model="someone/electra-tiny-sst2")', 'print(model("A text"))', "81.0",
    ]:  # fmt: skip
        assert fact in text
    pairs: FinetunedCardFacts = {**FACTS, "pairs": True}
    assert '"text_pair"' in ModelCard.load(write_finetuned_card(tmp_path, pairs)).text


@pytest.mark.parametrize("folder", ["outputs/run/checkpoint-100", "outputs/enc", "enc", "./enc"])
def test_a_folder_is_not_linked_as_a_model_of_the_hub(tmp_path: Path, elsewhere: Path, folder: str):
    (elsewhere / folder).mkdir(parents=True)
    local: FinetunedCardFacts = {**FACTS, "base_model": folder}
    card = ModelCard.load(write_finetuned_card(tmp_path, local))
    assert card.data.base_model is None
    assert f"`{folder}`" in card.text


def test_a_name_of_one_word_is_one_of_the_hub(tmp_path: Path):
    card = ModelCard.load(write_finetuned_card(tmp_path, {**FACTS, "base_model": "bert-base-uncased"}))
    assert card.data.base_model == "bert-base-uncased"


def test_without_a_name_on_the_hub_the_example_says_what_to_fill_in(tmp_path: Path):
    text = ModelCard.load(write_finetuned_card(tmp_path, {**FACTS, "name": "sst2"})).text
    assert 'model="sst2")  # this folder, or its name on the Hub' in text


TAGGER: FinetunedCardFacts = {
    **FACTS,
    "name": "someone/electra-tiny-ner",
    "task": "wnut17",
    "dataset": "leondz/wnut_17",
    "pipeline": "token-classification",
    "results": {
        "task_name": "wnut17",
        "metrics": ["f1", "macro_f1"],
        "eval_f1": values(0.5, 0.52, 0.51),
        "eval_macro_f1": values(0.4, 0.42, 0.41),
        "eval_person_f1": values(0.6, 0.62, 0.61),
        "eval_person_number": values(470.0, 470.0, 470.0),
    },
}


def test_a_tagger_is_used_by_its_own_pipeline_and_judged_by_all_types_together(tmp_path: Path):
    card = ModelCard.load(write_finetuned_card(tmp_path, TAGGER))
    assert card.data.pipeline_tag == "token-classification"
    rows = card.data.eval_results or []
    assert {(row.task_type, row.metric_type) for row in rows} == {
        ("token-classification", "f1"),
        ("token-classification", "macro_f1"),
    }
    assert 'pipeline("token-classification", model="someone/electra-tiny-ner"' in card.text
    assert "CRF" not in card.text and "person" not in card.text


def test_a_tagger_with_a_crf_says_how_it_is_loaded_whole(tmp_path: Path):
    card = ModelCard.load(write_finetuned_card(tmp_path, {**TAGGER, "crf": True}))
    assert 'pipeline("token-classification"' in card.text
    assert 'TokenClassificationWithCRF.from_pretrained("someone/electra-tiny-ner")' in card.text
    # The example is Python.
    for block in card.text.split("```python")[1:]:
        compile(block.split("```")[0], "example", "exec")
