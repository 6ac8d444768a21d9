"""The reference's classification head, saved in a form that transformers runs as it is.

google-research/electra (finetune/classification/classification_tasks.py) classifies with dropout 0.1 on the hidden
state of [CLS] and *one* dense layer, glorot uniform with zero bias. The head in transformers has two:
`out_proj(dropout(gelu(dense(dropout(x)))))`, and its first one starts from noise. A model with one layer can be
written as one with two, because gelu(x) - gelu(-x) = x for the exact gelu: output k becomes two units of `dense` with
weights +w_k and -w_k, and `out_proj` subtracts the second from the first. The logits are equal up to rounding.

Training keeps the one layer. Saving writes the two, as a plain `ElectraForSequenceClassification` that needs nothing
of ours; loading finds w_k again, exactly.
"""

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn
from transformers import (
    ConvBertForSequenceClassification,
    ElectraForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from electra_hf.errors import CheckpointError, UsageError

_HEAD_DROPOUT = 0.1
_HEAD = "classifier."
_PLAIN_NAMES = ("dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias")
_OWN_NAMES = ("projection.weight", "projection.bias")


def to_two_layers(weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """The two layers of transformers' head that compute `x @ weight.T + bias`.

    Args:
        weight: (outputs, hidden).
        bias: (outputs,).

    Returns:
        `dense.weight` (hidden, hidden), `dense.bias` (hidden,), `out_proj.weight` (outputs, hidden) and
        `out_proj.bias` (outputs,), in the type and on the device of `weight`.

    Raises:
        UsageError: If there are more outputs than pairs of hidden units.
    """
    outputs, hidden = weight.shape
    check_outputs(outputs, hidden)
    dense, out_proj = weight.new_zeros(hidden, hidden), weight.new_zeros(outputs, hidden)
    dense[:outputs], dense[outputs : 2 * outputs] = weight, -weight
    unit = torch.arange(outputs, device=weight.device)
    out_proj[unit, unit], out_proj[unit, outputs + unit] = 1, -1
    values = (dense, weight.new_zeros(hidden), out_proj, bias.clone())
    return dict(zip(_PLAIN_NAMES, values, strict=True))


def from_two_layers(head: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """The one layer that `to_two_layers` was given; None for any other head.

    Args:
        head: The four tensors of transformers' head.

    Returns:
        Weight (outputs, hidden) and bias (outputs,).
    """
    dense, _, out_proj, bias = (head[name] for name in _PLAIN_NAMES)
    outputs, hidden = out_proj.shape
    if 2 * outputs > hidden:
        return None
    weight = dense[:outputs]
    expected = to_two_layers(weight, bias)
    return (
        (weight.clone(), bias.clone()) if all(torch.equal(head[name], expected[name]) for name in expected) else None
    )


def check_outputs(outputs: int, hidden: int) -> None:
    """Refuse more outputs than the two layers can hold.

    Raises:
        UsageError: If 2 x `outputs` is more than `hidden`.
    """
    if 2 * outputs > hidden:
        raise UsageError(
            f"the reference's head needs two of the {hidden} hidden units for each label, and there are {outputs} "
            "labels: use --classification_head transformers"
        )


class ReferenceClassificationHead(nn.Module):
    """Dropout 0.1 on the hidden state of [CLS] and one dense layer.

    Its state dict can also be loaded from the two layers that it is saved as.

    Args:
        config: With `hidden_size` and `num_labels`. The dropout is the reference's, whatever the configuration says.
    """

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        self.dropout = nn.Dropout(_HEAD_DROPOUT)
        self.projection = nn.Linear(config.hidden_size, cast(int, config.num_labels))
        self.reset_parameters()
        self.register_load_state_dict_pre_hook(_accept_two_layers)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights as the reference: glorot uniform, zero bias."""
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, hidden_states: Tensor, **_: Any) -> Tensor:
        """(batch, length, hidden) -> (batch, outputs)."""
        return self.projection(self.dropout(hidden_states[:, 0]))


def _accept_two_layers(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: Any) -> None:
    """Before a checkpoint is loaded in place, put the one layer where the saved two are."""
    if prefix + _PLAIN_NAMES[0] not in state:
        return
    found = from_two_layers({name: state[prefix + name] for name in _PLAIN_NAMES})
    if found is None:
        raise CheckpointError(
            "the checkpoint holds a classification head of transformers, not the reference's: use "
            "--classification_head transformers"
        )
    for name in _PLAIN_NAMES:
        del state[prefix + name]
    state.update({prefix + name: value for name, value in zip(_OWN_NAMES, found, strict=True)})


class _ReferenceClassifier:
    """What the classes below add to their class of transformers."""

    plain_class: ClassVar[type[PreTrainedModel]]

    def __init__(self, config: PreTrainedConfig):
        check_outputs(cast(int, config.num_labels), config.hidden_size)
        if getattr(config, "hidden_act", "gelu") != "gelu" and self.plain_class is ConvBertForSequenceClassification:
            raise UsageError(
                f"the reference's head can only be saved with hidden_act gelu, and this ConvBERT has "
                f"{config.hidden_act}: use --classification_head transformers"
            )
        super().__init__(config)  # type: ignore[call-arg]
        self.classifier = ReferenceClassificationHead(config)

    @classmethod
    def from_plain(cls, plain: PreTrainedModel, *, fresh_head: bool = False) -> Self:
        """Put the reference's head on the encoder of a plain model.

        Args:
            plain: Model of the class that this one is saved as. Its encoder is taken, not copied.
            fresh_head: Draw a new head (glorot, from torch's generator) instead of taking the one that is there.

        Raises:
            CheckpointError: If its head is to be kept and is not one that this class saved.
            UsageError: If there are too many labels; see `check_outputs`.
        """
        found = None if fresh_head else recover_head(plain)
        if found is None and not fresh_head:
            raise CheckpointError(
                "this model has a classification head of transformers, not the reference's: use "
                "--classification_head transformers to go on with it"
            )
        with torch.device("meta"):
            model = cls(plain.config)
        setattr(model, plain.base_model_prefix, plain.base_model)
        model.classifier = ReferenceClassificationHead(plain.config).to(plain.device, plain.dtype)
        if found is not None:
            model.classifier.load_state_dict(dict(zip(_OWN_NAMES, found, strict=True)))
        return model.train(plain.training)  # type: ignore[attr-defined]

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """Load a plain model or encoder; a head that is not there is drawn afresh.

        Args:
            name_or_path: Folder or Hub id.
            args: As for the plain class.
            kwargs: As for the plain class.

        Raises:
            CheckpointError: If there is a head that is not the reference's.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        loaded = cls.plain_class.from_pretrained(name_or_path, *args, output_loading_info=True, **kwargs)
        plain, info = cast(Any, loaded)
        fresh = any(name.startswith(_HEAD) for name in info["missing_keys"])
        model = cls.from_plain(plain, fresh_head=fresh)
        return (model, info) if wants_info else model

    def save_pretrained(
        self, save_directory: str | os.PathLike, *, state_dict: dict[str, Tensor] | None = None, **kwargs: Any
    ) -> None:
        """Write a plain model of transformers that gives the same logits.

        Args:
            save_directory: Folder.
            state_dict: Weights to write; this model's own by default.
            kwargs: As for the plain class.
        """
        model = cast(PreTrainedModel, self)
        weights = dict(model.state_dict() if state_dict is None else state_dict)
        weight, bias = (weights.pop(_HEAD + name) for name in _OWN_NAMES)
        weights.update({_HEAD + name: value for name, value in to_two_layers(weight, bias).items()})
        with torch.device("meta"):
            plain = cast(nn.Module, self.plain_class(model.config)).to(model.dtype)
        plain = cast(PreTrainedModel, plain)
        plain.save_pretrained(save_directory, state_dict=weights, **kwargs)


class ElectraForReferenceClassification(_ReferenceClassifier, ElectraForSequenceClassification):
    """ELECTRA with the reference's head; saved as a plain `ElectraForSequenceClassification`."""

    plain_class = ElectraForSequenceClassification


class ConvBertForReferenceClassification(_ReferenceClassifier, ConvBertForSequenceClassification):
    """ConvBERT with the same head; saved as a plain `ConvBertForSequenceClassification`."""

    plain_class = ConvBertForSequenceClassification


REFERENCE_CLASSES: dict[str, type[ElectraForReferenceClassification] | type[ConvBertForReferenceClassification]] = {
    "electra": ElectraForReferenceClassification,
    "convbert": ConvBertForReferenceClassification,
}


def recover_head(plain: PreTrainedModel) -> tuple[Tensor, Tensor] | None:
    """Weight (outputs, hidden) and bias (outputs,) of the reference's head in a plain model; None if it has none."""
    return from_two_layers(cast(nn.Module, plain.classifier).state_dict())
