"""Cards that are written again under another name, and those that a person has edited."""

from pathlib import Path

import pytest

from electra_hf.errors import CheckpointError
from electra_hf.sharing.card_files import FACTS_NAME, card_for_hub, is_edited, write_finetuned_card, write_model_card

STATISTICS = {**dict.fromkeys(("median", "mean", "best", "low", "high"), 0.5), "values": [0.5], "std": None}
RESULTS = {"task_name": "sst2", "seeds": [1], "eval_accuracy": STATISTICS}


def renamed(facts: dict) -> dict:
    return {**facts, "name": "someone/tiny"}


def test_a_card_is_written_again_for_another_name(tmp_path: Path):
    write_model_card(tmp_path, {"name": "outputs/tiny", "steps": 5, "results": {"eval_rtd_recall": float("nan")}})
    card = card_for_hub(tmp_path, renamed)
    assert card is not None and card.count("someone/tiny") >= 3 and "outputs/tiny" not in card
    assert "outputs/tiny" in (tmp_path / "README.md").read_text() and not is_edited(tmp_path)


def test_that_of_a_fine_tuned_model_too(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "electra"}')
    facts = {"name": "sst2", "task": "sst2", "results": RESULTS, "pipeline": "text-classification"}
    write_finetuned_card(tmp_path, facts)  # type: ignore[arg-type]
    card = card_for_hub(tmp_path, renamed)
    assert card is not None and 'pipeline("text-classification", model="someone/tiny")' in card
    assert not is_edited(tmp_path)


def test_an_edited_card_stays_as_it_is(tmp_path: Path):
    path = write_model_card(tmp_path, {"name": "outputs/tiny"})
    path.write_text(path.read_text() + "\nMy own words.\n")
    assert card_for_hub(tmp_path, renamed) == path.read_text() and is_edited(tmp_path)


def test_a_card_without_facts_and_a_folder_without_card(tmp_path: Path):
    assert card_for_hub(tmp_path, renamed) is None and not is_edited(tmp_path)
    (tmp_path / "README.md").write_text("Mine.\n")
    assert card_for_hub(tmp_path, renamed) == "Mine.\n" and not is_edited(tmp_path)


def test_a_checkpoint_has_the_card_of_its_run(tmp_path: Path):
    write_model_card(tmp_path, {"name": "outputs/tiny", "steps": 9, "max_steps": 9})
    (tmp_path / "checkpoint-3").mkdir()
    card = card_for_hub(tmp_path / "checkpoint-3", lambda facts: {**renamed(facts), "steps": 3}, of=tmp_path)
    assert card is not None and "after step 3 of 9" in card


@pytest.mark.parametrize("content", ["", "[]", '{"kind": "pretraining"}', '{"kind": "pretraining", "facts": 1}'])
def test_damaged_facts_are_named(content: str, tmp_path: Path):
    (tmp_path / FACTS_NAME).write_text(content)
    with pytest.raises(CheckpointError, match=f"{FACTS_NAME}.*remove it"):
        card_for_hub(tmp_path, renamed)
