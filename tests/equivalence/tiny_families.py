"""A gradient of every family from the rows of all processes, written down by the first one."""

import json
import os
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from electra_hf.models import PretrainingModel, derive_generator_config
from electra_hf.models.backbones import BACKBONES
from electra_hf.training.objectives import OBJECTIVES
from electra_hf.training.setup import end_processes

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
    "initializer_range": 0.3,  # logits far enough apart that rounding does not change an argmax
}
FREE_OF_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
OWN = {
    "electra": {"embedding_size": 16, **FREE_OF_DROPOUT},
    "convbert": {"embedding_size": 16, "conv_kernel_size": 3, **FREE_OF_DROPOUT},
    "bert": FREE_OF_DROPOUT,
    "roberta": {"type_vocab_size": 1, "bos_token_id": 2, "eos_token_id": 3, **FREE_OF_DROPOUT},
    "modernbert": {
        "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "local_attention": 8,
    },
    "deberta-v2": {
        "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], **FREE_OF_DROPOUT
    },
}  # fmt: skip
ROWS, LENGTH, SLOTS = 8, 24, 4


def make_model(model_type: str) -> PretrainingModel:
    torch.manual_seed(0)
    main, objective = BACKBONES[model_type].config_class(**SIZES, **OWN[model_type]), OBJECTIVES["rtd"].model
    # Near 0, sampling is the argmax and needs no noise.
    return objective(
        objective.config_class(
            generator_config=derive_generator_config(main), discriminator_config=main, temperature=1e-6
        )
    )


def make_batch() -> dict[str, torch.Tensor]:
    """Rows of unequal length, so that a mean of means would show."""
    generator = torch.Generator().manual_seed(1)
    original = torch.randint(5, 64, (ROWS, LENGTH), generator=generator)
    lengths = torch.randint(10, LENGTH + 1, (ROWS, 1), generator=generator)
    mask = (torch.arange(LENGTH) < lengths).long()
    original = original * mask
    positions = torch.stack([torch.randperm(9, generator=generator)[:SLOTS] for _ in range(ROWS)])
    return {
        "input_ids": original.scatter(1, positions, 4),
        "original_ids": original,
        "masked_positions": positions,
        "masked_weights": torch.ones(ROWS, SLOTS),
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(mask),
    }


def main(file: str) -> None:
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size > 1:
        dist.init_process_group("gloo")
    rank, batch, results = int(os.environ.get("RANK", "0")), make_batch(), {}
    for model_type in sorted(BACKBONES):
        model = make_model(model_type)
        items = model.count_items(batch)
        own = {name: value[rank::world_size] for name, value in batch.items()}
        # What is wrapped is the joint model, whose shared embeddings have one gradient.
        wrapped = DistributedDataParallel(model) if world_size > 1 else model
        # DDP takes the mean over processes; the denominators are those of all.
        (wrapped(**own, num_items_in_batch=items).loss * world_size).backward()
        results[model_type] = {
            name: parameter.grad.double().flatten()[:50].tolist() + [parameter.grad.double().norm().item()]
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        }
    if rank == 0:
        with open(file, "w", encoding="utf-8") as output:
            json.dump(results, output)
    end_processes()


if __name__ == "__main__":
    main(sys.argv[1])
