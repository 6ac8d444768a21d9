"""Cards and the facts that they were written from, in the folder of a model.

The facts are kept beside the card, so that it can be written again for a name on the Hub that was not known in
training, and for single checkpoints. A card that was edited by hand is never written over.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from electra_hf.errors import CheckpointError
from electra_hf.sharing.finetuned_card import FinetunedCardFacts, finetuned_card
from electra_hf.sharing.hub_files import CARD_NAME
from electra_hf.sharing.model_card import ModelCardFacts, model_card

FACTS_NAME = "model_card.json"
_PRETRAINED, _FINETUNED = "pretraining", "finetuning"


def write_model_card(folder: str | Path, facts: ModelCardFacts) -> Path:
    """Write the card of a pre-trained model, and its facts.

    Args:
        folder: The model folder; it is created if need be.
        facts: What is known about the model.

    Returns:
        The path of the card.
    """
    return _write(Path(folder), _PRETRAINED, facts)


def write_finetuned_card(folder: str | Path, facts: FinetunedCardFacts) -> Path:
    """Write the card of a fine-tuned model, and its facts.

    Args:
        folder: The model folder; it is created if need be. Its config.json tells the architecture, and what the scores
            of a regression were divided by (`score_scale`).
        facts: What is known about the model.

    Returns:
        The path of the card.
    """
    return _write(Path(folder), _FINETUNED, facts)


def _write(folder: Path, kind: str, facts: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    kept = json.dumps({"kind": kind, "facts": facts}, ensure_ascii=False, indent=2)
    (folder / FACTS_NAME).write_text(kept + "\n", encoding="utf-8")
    path = folder / CARD_NAME
    # As read back, so that a card can be compared with its facts later.
    path.write_text(_render(folder, kind, json.loads(kept)["facts"]), encoding="utf-8")
    return path


def _render(folder: Path, kind: str, facts: Mapping[str, Any]) -> str:
    if kind == _FINETUNED:
        return finetuned_card(cast(FinetunedCardFacts, facts), _read_config(folder / "config.json"))
    return model_card(cast(ModelCardFacts, facts), folder.name)


def _read_config(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def read_facts(folder: str | Path) -> tuple[str, dict[str, Any]] | None:
    """The kind of a card and its facts; None where there are none.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = Path(folder, FACTS_NAME)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["kind"], dict(content["facts"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not the facts of a model card ({error}): remove it, and the card is uploaded as it is"
        ) from error


def card_for_hub(
    folder: str | Path, change: Callable[[dict[str, Any]], dict[str, Any]], *, of: str | Path | None = None
) -> str | None:
    """The card of a folder under changed facts, such as its name on the Hub.

    Args:
        folder: Of the model.
        change: Returns the changed facts.
        of: The folder with the facts, if it is another one: the run of a checkpoint.

    Returns:
        The text. A card that was edited by hand, or has no facts, is returned as it is; None if there is none.

    Raises:
        CheckpointError: If the facts are damaged.
    """
    source, path = Path(of or folder), Path(folder, CARD_NAME)
    own = path.read_text(encoding="utf-8") if path.is_file() else None
    if (found := read_facts(source)) is None:
        return own
    kind, facts = found
    if own is not None and own != _render(source, kind, facts):
        return own
    return _render(Path(folder), kind, change(facts))


def is_edited(folder: str | Path) -> bool:
    """Whether the card of a folder is not the one that its facts give."""
    path, found = Path(folder, CARD_NAME), read_facts(folder)
    return found is not None and path.is_file() and path.read_text(encoding="utf-8") != _render(Path(folder), *found)
