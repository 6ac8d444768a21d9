"""What the recipe decides from the size of the encoder and the task: learning rates, their decay by layer, epochs.

Layer-wise decay (paper, table 7): each layer learns at a fraction d of the rate of the one above it. In an encoder of
n layers, with the head at d^0:

    mode         top layer   layer 0    embeddings
    paper        d^1         d^n        d^(n + 1)
    reference    d^2         d^(n + 1)  d^(n + 2)

The second is what google-research/electra's code does (model/optimization.py): it puts the head one step too high. The
projection of the embeddings counts as embeddings in both.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from electra_hf.errors import UsageError
from electra_hf.finetuning.arguments import FinetuningArguments

# Paper, table 7. The reference's code (configure_finetuning.py) has 1e-4 for small too.
_LEARNING_RATES = {"small": 3e-4, "base": 1e-4, "large": 5e-5}
_LAYER_DECAYS = {"small": 0.8, "base": 0.8, "large": 0.9}

# ELECTRA, BERT, RoBERTa, ConvBERT, DeBERTa-v2: encoder.layer.N; DistilBERT: transformer.layer.N; ModernBERT: layers.N
_LAYER = re.compile(r"(?:encoder\.layer|transformer\.layer|layers)\.(\d+)\.")
# DeBERTa-v2 keeps its relative position embeddings, and their LayerNorm, in the encoder.
_EMBEDDINGS = re.compile(r"embeddings(_project)?\.|encoder\.(rel_embeddings|LayerNorm)\.")
# DeBERTa-v2-xlarge adds a convolution to the output of the first layer.
_FIRST_LAYER = re.compile(r"encoder\.conv\.")
# ModernBERT normalises the output of the last layer.
_LAST_LAYER = re.compile(r"final_norm\.")
# Poolers, ModernBERT's and DistilBERT's first dense layer are used by the head only.
_HEAD = re.compile(r"(classifier|pooler|pre_classifier|head|crf)\.")
# What wrappers put in front of a name.
_WRAPPERS = re.compile(r"\b(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def encoder_size(config: PreTrainedConfig) -> str:
    """`small` (hidden size below 768), `base` (below 1024) or `large`, the sizes that the paper has a recipe for."""
    return "small" if config.hidden_size < 768 else "base" if config.hidden_size < 1024 else "large"


def resolve_recipe(
    args: FinetuningArguments, config: PreTrainedConfig, task_epochs: float
) -> tuple[FinetuningArguments, list[str]]:
    """Decide what was left open.

    Args:
        args: Options as they were given; left as they are.
        config: Configuration of the encoder.
        task_epochs: Epochs of the task in the paper's recipe.

    Returns:
        A copy of the options in which nothing is None, and lines that say what was chosen and why.
    """
    size = encoder_size(config)
    source = f"the paper's for {size} encoders; hidden size {config.hidden_size}"
    rate, rate_source = _chosen(args.learning_rate, _LEARNING_RATES[size], source)
    decay, decay_source = _chosen(args.layerwise_lr_decay, _LAYER_DECAYS[size], source)
    epochs, epochs_source = _chosen(args.num_train_epochs, task_epochs, "of this task in the paper")
    mode = args.layerwise_lr_decay_mode
    lowest = rate * decay ** (config.num_hidden_layers + (1 if mode == "paper" else 2))
    batch = examples_per_step(args)
    warmup = f"{args.warmup_steps:.0%} of the steps" if args.warmup_steps < 1 else f"{args.warmup_steps:g} steps"
    length = f"{args.max_steps} steps" if args.max_steps > 0 else f"{epochs:g} epochs ({epochs_source})"
    lines = [
        f"learning rate {rate:g} ({rate_source})",
        f"layer-wise decay {decay:g}, mode {mode} ({decay_source}): embeddings at {lowest:.3g}"
        if decay < 1
        else f"no layer-wise decay ({decay_source})",
        f"{length}, {batch} examples a step, loss is the {args.loss_reduction} over a step",
        f"{args.optim}, epsilon {args.adam_epsilon:g}, weight decay {args.weight_decay:g}, gradients clipped at "
        f"{args.max_grad_norm:g}, {args.lr_scheduler_type} with {warmup} of warm-up",
    ]
    return args.changed(learning_rate=rate, layerwise_lr_decay=decay, num_train_epochs=epochs), lines


def examples_per_step(args: FinetuningArguments) -> int:
    """Examples of one step of the optimiser, over all accumulation steps and processes."""
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def _chosen(given: float | None, default: float, source: str) -> tuple[float, str]:
    return (default, source) if given is None else (given, "as given")


def parameter_depth(name: str, num_layers: int, prefix: str = "") -> int:
    """Where a parameter is: 0 embeddings, 1 to `num_layers` the layers from below, `num_layers` + 1 the head.

    Args:
        name: As `named_parameters` gives it.
        num_layers: Layers of the encoder.
        prefix: Name of the encoder in the model, such as `electra`.

    Raises:
        UsageError: For a name that fits no known architecture.

    >>> [parameter_depth(name, 12, "electra") for name in ("electra.embeddings.word_embeddings.weight",
    ...     "electra.encoder.layer.11.output.dense.bias", "classifier.out_proj.weight")]
    [0, 12, 13]
    """
    inner = _WRAPPERS.sub("", name).removeprefix(f"{prefix}.")
    if _EMBEDDINGS.match(inner):
        return 0
    if layer := _LAYER.match(inner):
        return int(layer[1]) + 1
    if _FIRST_LAYER.match(inner):
        return 1
    if _LAST_LAYER.match(inner):
        return num_layers
    if _HEAD.match(inner):
        return num_layers + 1
    raise UsageError(
        f"layer-wise learning rates are not known for this architecture: which layer is {name}? Use "
        "--layerwise_lr_decay 1"
    )


def layerwise_factors(model: nn.Module, decay: float, mode: str = "paper") -> dict[str, float]:
    """What the learning rate of each parameter is multiplied with.

    Args:
        model: Encoder with a head: ELECTRA, BERT, RoBERTa, ConvBERT, DeBERTa-v2, ModernBERT or DistilBERT.
        decay: d, in (0, 1].
        mode: `paper` or `reference`; see above.

    Raises:
        UsageError: For a parameter whose layer is not known.
    """
    config = cast(PreTrainedConfig, model.config)
    layers, prefix = config.num_hidden_layers, cast(PreTrainedModel, model).base_model_prefix
    factors = {}
    for name, _ in model.named_parameters():
        below_head = layers + 1 - parameter_depth(name, layers, prefix)
        off_by_one = 1 if mode == "reference" and below_head else 0
        factors[name] = decay ** (below_head + off_by_one)
    return factors


def split_groups(groups: Iterable[Mapping[str, Any]], factors: Mapping[nn.Parameter, float]) -> list[dict[str, Any]]:
    """Parameter groups with one learning rate each, the head's first, then the highest.

    Args:
        groups: Groups of an optimiser; what else they hold (weight decay, moments) is kept.
        factors: Of each parameter.

    Returns:
        New groups. The first one is that of the head, whose rate the Trainer logs.

    Raises:
        UsageError: If the groups do not hold exactly these parameters.
    """
    split: dict[tuple[int, float], dict[str, Any]] = {}
    for number, group in enumerate(groups):
        for parameter in group["params"]:
            if parameter not in factors:
                raise _foreign_groups()
            factor = factors[parameter]
            if (number, factor) not in split:
                split[number, factor] = {**group, "params": [], "lr": group["lr"] * factor}
            split[number, factor]["params"].append(parameter)
    if sum(len(group["params"]) for group in split.values()) != len(factors):
        raise _foreign_groups()
    in_order = sorted(split.items(), key=lambda item: (item[0][1] != 1, -item[1]["lr"]))
    return [group for _, group in in_order]


def _foreign_groups() -> UsageError:
    return UsageError(
        "this --optim arranges the parameters by itself, so they cannot have layer-wise learning rates: use "
        "--layerwise_lr_decay 1, or another optimiser"
    )
