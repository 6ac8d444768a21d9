"""The code of a model card, run as it stands, for models of every objective and family."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertTokenizer, ElectraConfig, ElectraForSequenceClassification

from electra_hf.models import derive_generator_config
from electra_hf.models.backbones import BACKBONES
from electra_hf.sharing.card_files import write_finetuned_card, write_model_card
from electra_hf.sharing.model_card import ModelCardFacts, generator_card
from electra_hf.training.objectives import OBJECTIVES

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
STATISTICS = {**dict.fromkeys(("median", "mean", "best", "low", "high"), 0.5), "values": [0.5], "std": None}


def example(card: str) -> dict[str, Any]:
    """What the code of a card leaves behind."""
    names: dict[str, Any] = {}
    exec(card.split("```python")[1].split("```")[0], names)
    return names


def families(objective: str) -> list[str]:
    """One family for each objective, and one without a class for detection."""
    if objective == "rtd":
        return ["electra", "bert"]
    return ["electra" if OBJECTIVES[objective].packing is None else "bert"]


@pytest.mark.parametrize(
    ("objective", "model_type"), [(name, family) for name in OBJECTIVES for family in families(name)]
)
def test_the_example_of_a_pretrained_model_runs(
    objective: str, model_type: str, tokenizer: BertTokenizer, tmp_path: Path
):
    known = OBJECTIVES[objective]
    torch.manual_seed(0)
    main = BACKBONES[model_type].config_class(vocab_size=len(tokenizer), max_position_embeddings=24, **SIZES)
    configs: dict[str, Any] = {f"{known.model.main_part}_config": main}
    facts = ModelCardFacts(
        name=str(tmp_path / "run"), objective=objective, tags=list(known.tags), about=known.about,
        encoder=f"{model_type}, 1 layer",
    )  # fmt: skip
    if known.model.has_generator:
        configs["generator_config"] = derive_generator_config(main, 1.0)
        facts["towers" if objective == "electric" else "generator"] = "electra, 1 layer"
    model = known.model(known.model.config_class(**configs, objective=objective))
    model.save_pretrained(tmp_path / "run")
    tokenizer.save_pretrained(tmp_path / "run")
    card = write_model_card(tmp_path / "run", facts).read_text(encoding="utf-8")
    found = example(card)
    assert found["hidden_states"].shape == (1, found["inputs"]["input_ids"].shape[1], 16)
    weights = dict(model.main.named_parameters())
    name, weight = next(iter(found["encoder"].named_parameters()))
    assert any(known.endswith(name) and torch.equal(other, weight) for known, other in weights.items())
    if "replaced-token-detection" in known.tags and model_type == "electra":
        assert found["suspicion"].shape == found["inputs"]["input_ids"].shape and 0 < found["suspicion"].min() < 1
    assert ("generator" in found) == (known.model.has_generator and objective != "electric")


def test_the_example_of_a_generator_runs(
    tokenizer: BertTokenizer, run_folder: Path, capsys: pytest.CaptureFixture[str]
):
    tokenizer.save_pretrained(run_folder / "generator")
    example(generator_card(str(run_folder / "generator"), "someone/tiny", {}))
    assert "token_str" in capsys.readouterr().out


@pytest.mark.parametrize("pairs", [False, True])
def test_the_example_of_a_fine_tuned_model_runs(
    pairs: bool, tokenizer: BertTokenizer, config: ElectraConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    ElectraForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    results = {"task_name": "sst2", "seeds": [1], "eval_accuracy": STATISTICS}
    facts = {"name": str(tmp_path), "task": "sst2", "pipeline": "text-classification", "pairs": pairs}
    example(write_finetuned_card(tmp_path, {**facts, "results": results}).read_text())  # type: ignore[typeddict-item]
    assert "score" in capsys.readouterr().out
