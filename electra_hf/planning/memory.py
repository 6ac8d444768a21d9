"""What the tensors of a training step take, without making them.

Weights, gradients and the states of the optimiser are exact. Activations are what autograd keeps for the backward pass
when transformers' modules run over a batch on the meta device: exact for that forward pass, which is what a GPU runs.
The fused layers on a CPU keep less, and a compiler chooses anew what is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor

from electra_hf.models import PretrainingModel
from electra_hf.planning.sizes import Shape
from electra_hf.tokens.masking import slots
from electra_hf.training import PretrainingArguments
from electra_hf.training.muon import hidden_matrices
from electra_hf.training.training_arguments import ADAMW_PAPER, MUON

_MATRIX = 2
# Optimisers of transformers whose states are those of Adam, two fp32 numbers for each parameter.
_TWO_STATES = (ADAMW_PAPER, "adamw_torch", "adamw_torch_fused", "adamw_apex_fused")
_ONE_STATE = ("sgd", "rmsprop", "lion_32bit", "adagrad")
# The smallest number of rows in which the part of a row can be told from what all rows share.
_FEW, _MORE = 1, 3


@dataclass(frozen=True)
class TensorMemory:
    """Bytes on one device while a step is computed.

    Attributes:
        weights: Parameters, in fp32.
        gradients: Of those that are trained.
        optimizer: Its states; None for an optimiser whose states are not known here.
        activations: Kept for the backward pass, of one batch.
    """

    weights: int
    gradients: int
    optimizer: int | None
    activations: int

    @property
    def total(self) -> int:
        """Of all that is known."""
        return self.weights + self.gradients + (self.optimizer or 0) + self.activations


def step_memory(
    model: PretrainingModel, args: PretrainingArguments, shape: Shape, mlm_probability: float
) -> TensorMemory:
    """The memory of a step.

    Args:
        model: On the meta device, where its forward pass takes no memory.
        args: Optimiser and precision of the run.
        shape: Of a batch.
        mlm_probability: Share of masked tokens.
    """
    trained = [each for each in model.parameters() if each.requires_grad]
    bytes_ = sum(each.numel() * each.element_size() for each in trained)
    return TensorMemory(
        weights=sum(each.numel() * each.element_size() for each in model.parameters()),
        gradients=bytes_,
        optimizer=optimizer_bytes(model, args),
        activations=activation_bytes(model, shape, mlm_probability, mixed=bool(args.bf16 or args.fp16)),
    )


def optimizer_bytes(model: PretrainingModel, args: PretrainingArguments) -> int | None:
    """Of the optimiser's states; None if they are not known here."""
    name = str(getattr(args.optim, "value", args.optim))
    trained = [each for each in model.parameters() if each.requires_grad]
    everything = sum(each.numel() * each.element_size() for each in trained)
    if name in _TWO_STATES:
        return 2 * everything
    if name == MUON:
        matrices = set(hidden_matrices(model))  # with a momentum each, the rest with the two of Adam
        return sum(
            (1 if name in matrices else 2) * each.numel() * each.element_size()
            for name, each in model.named_parameters()
            if each.requires_grad
        )
    return everything if name in _ONE_STATE else None


def activation_bytes(model: PretrainingModel, shape: Shape, mlm_probability: float, *, mixed: bool) -> int:
    """What autograd keeps of a forward pass over a batch, from two passes over a few rows: it grows by the row.

    Args:
        model: On the meta device, or on any for a short while.
        shape: Of the batch.
        mlm_probability: Share of masked tokens.
        mixed: In 16 bits, as under autocast: the whole model is computed so, which leaves out the few tensors that
            autocast keeps in fp32.
    """
    dtypes = {each.dtype for each in model.parameters()}
    implementation, training = model.implementation, model.training
    model.implementation = "plain"
    model.train()
    if mixed:
        cast(Any, model).to(torch.bfloat16)
    try:
        few, more = (
            kept_bytes(model, stand_in_batch(model, Shape(rows, shape.length), mlm_probability))
            for rows in (_FEW, _MORE)
        )
    finally:
        model.implementation = implementation
        model.train(training)
        if mixed:
            cast(Any, model).to(dtypes.pop())
    row = (more - few) / (_MORE - _FEW)
    return round(few + row * (shape.rows - _FEW))


def stand_in_batch(model: PretrainingModel, shape: Shape, mlm_probability: float) -> dict[str, Tensor]:
    """A batch of whole rows with these shapes, as the collator makes them, on the model's device."""
    rows, length, count = shape.rows, shape.length, slots(shape.length, mlm_probability)
    with torch.device(model.device):
        ids = torch.ones(rows, length, dtype=torch.int64)
        batch = {
            "input_ids": ids,
            "original_ids": ids.clone(),
            "masked_positions": torch.arange(count).expand(rows, count).contiguous(),
            "masked_weights": torch.ones(rows, count),
        }
        if "next_sentence_label" in signature(model.forward).parameters:
            batch |= {"next_sentence_label": torch.zeros(rows, dtype=torch.int64), "token_type_ids": ids - 1}
        return batch


def kept_bytes(model: PretrainingModel, batch: Mapping[str, Tensor]) -> int:
    """Bytes of the tensors that autograd keeps of one forward pass, weights left out, each storage once.

    The scores of attention are left out where a GPU's kernels do not keep them, which the meta device does not know.
    """
    own = {each.untyped_storage()._cdata for each in (*model.parameters(), *model.buffers())}
    length = batch["input_ids"].shape[1]
    fused_attention = model.config.main_config._attn_implementation == "sdpa"
    # The storages are held, so that no other one gets the place of one that is gone.
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        scores = tensor.dim() > _MATRIX and tensor.shape[-_MATRIX:] == (length, length)
        if storage._cdata not in own and not (scores and fused_attention):
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(**batch)
    del output
    return sum(storage.nbytes() for storage in kept.values())
