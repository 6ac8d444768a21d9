"""The labels of the data and those of a model that already has some.

Names and order are the data's, except that a model that has the same names keeps its order: the data is renumbered
instead, so that a fine-tuned model means the same before and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedConfig

from electra_hf.errors import CheckpointError
from electra_hf.finetuning.tasks.task import Kind

# As transformers' configurations call them.
PROBLEM_TYPES: dict[Kind, str] = {
    "classification": "single_label_classification",
    "regression": "regression",
    "multi_label": "multi_label_classification",
}


# Of a whole text, or of its words.
LabelKind = Kind | Literal["tags"]


@dataclass(frozen=True)
class LabelDecision:
    """What becomes of a model's labels.

    Attributes:
        names: In the order of the model; empty for a regression.
        kept: The model's own head goes with them.
        note: What the user should know, or None.
    """

    names: tuple[str, ...]
    kept: bool
    note: str | None = None


def decide_labels(
    name: str,
    config: PreTrainedConfig,
    labels: Sequence[str],
    kind: LabelKind,
    *,
    training: bool,
    any_head: bool = True,
) -> LabelDecision:
    """Whether the head of a checkpoint goes with the labels of the data, and in which order they are.

    Args:
        name: Of the checkpoint, for messages.
        config: Of the checkpoint.
        labels: Names in the order of the data's numbers; empty for a regression.
        kind: What a label is.
        training: A head that does not fit may be replaced.
        any_head: False if the weights are drawn afresh, whatever the checkpoint holds.

    Raises:
        CheckpointError: If the model is to be evaluated only, and has no head for these labels.
    """
    ending = "ForTokenClassification" if kind == "tags" else "ForSequenceClassification"
    classifies = any(str(item).endswith(ending) for item in config.architectures or ())
    if not (any_head and classifies):
        if training:
            return LabelDecision(tuple(labels), kept=False)
        raise CheckpointError(
            f"{name} has no {'tagging' if kind == 'tags' else 'classification'} head, so there is nothing to "
            "evaluate: fine-tune it first (--do_train)"
        )
    own = tuple(str(label) for _, label in sorted((config.id2label or {}).items()))
    if _is_for(config, own, kind):
        trained_on = "its head is kept and trained further, so that --seed does not draw one" if training else None
        if kind == "regression":
            return LabelDecision((), kept=True, note=trained_on)
        matched = match_names(labels, own)
        if sorted(matched) == sorted(own):
            order = None if matched == list(own) else f"its label order is kept: {', '.join(own)}"
            notes = [note for note in (trained_on, order) if note]
            return LabelDecision(own, kept=True, note="; ".join(notes) or None)
        # In training a head that does not say what it is for may be another task's, and is replaced.
        if not training and len(own) == len(labels) and own == tuple(f"LABEL_{number}" for number in range(len(own))):
            note = (
                f"it does not name its labels ({', '.join(own)}): they are taken to be {', '.join(labels)}, in this "
                "order; check that the model was trained so"
            )
            return LabelDecision(tuple(labels), kept=True, note=note)
    found = f"a head for {', '.join(own[:8])}" + (f" ({config.problem_type})" if config.problem_type else "")
    if training:
        return LabelDecision(tuple(labels), kept=False, note=f"it has {found}, which is replaced")
    wanted = "a regression" if kind == "regression" else ", ".join(labels[:8])
    raise CheckpointError(
        f"{name} has {found}, and the labels of the data are for {wanted}: evaluate it on the task it was trained "
        "for, or fine-tune it (--do_train)"
    )


def _is_for(config: PreTrainedConfig, own: Sequence[str], kind: LabelKind) -> bool:
    """Whether the outputs mean the same kind of thing; models that do not say it are told by their number."""
    if kind == "tags":
        return True
    if config.problem_type is not None and config.problem_type != PROBLEM_TYPES[kind]:
        return False
    return (len(own) == 1) == (kind == "regression")


def label_order(labels: Sequence[str], names: Sequence[str]) -> tuple[int, ...] | None:
    """The model's number of each label of the data; None if they are the same.

    Args:
        labels: Names in the order of the data's numbers.
        names: The same names in the order of the model, perhaps in another case.

    >>> label_order(["no", "yes"], ["YES", "NO"]), label_order(["no", "yes"], ["no", "yes"])
    ((1, 0), None)
    """
    order = tuple(names.index(name) for name in match_names(labels, names))
    return None if order == tuple(range(len(labels))) else order


def match_names(labels: Sequence[str], own: Sequence[str]) -> list[str]:
    """The model's spelling of the data's labels, whose case may differ; a label that it does not have stays itself."""
    if set(labels) <= set(own):
        return list(labels)
    folded = {name.casefold(): name for name in own}
    if len(folded) != len(own) or len({label.casefold() for label in labels}) != len(labels):
        return list(labels)
    return [folded.get(label.casefold(), label) for label in labels]
