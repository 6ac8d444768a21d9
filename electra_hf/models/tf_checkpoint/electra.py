"""ELECTRA and ConvBERT in a TensorFlow checkpoint: both halves as configurations and weights of transformers.

A checkpoint of pre-training holds the discriminator in the scope `electra`, the generator in `generator` with the
embeddings shared in `electra/embeddings` or its own, their heads, Adam's moments and the step. An export may hold the
discriminator alone. Every tensor is used, known to be of no use, or named; an unknown one inside of a model is an
error.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import AutoModel, ConvBertConfig, ElectraConfig

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models.configuration import impossible_size
from electra_hf.models.tf_checkpoint.bundle import FLOATS, TensorFlowCheckpoint
from electra_hf.models.tf_checkpoint.names import as_parameter, google_name, google_names, is_optimizer_tensor
from electra_hf.models.tf_checkpoint.sizes import CONVOLUTION_FIELDS, SIZE_FIELDS, fits_transformers, infer_config

_SHOWN = 5
_MODEL_SCOPES = ("electra/", "generator/", "generator_predictions/", "discriminator_predictions/")
# NVIDIA's counts the step that comes next.
_STEPS = {"global_step": 0, "step": 1}
# What a config.json may tell of a model besides its sizes.
_TOLD_FIELDS = (
    "num_attention_heads",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "initializer_range",
    "layer_norm_eps",
)


@dataclass(frozen=True)
class Half:
    """One encoder with its head.

    Attributes:
        config: Its configuration.
        weights: {name in transformers: fp32 tensor}; a generator's `generator_lm_head.weight` is its word embedding.
    """

    config: ElectraConfig | ConvBertConfig
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class ImportedElectra:
    """What a checkpoint held.

    Attributes:
        discriminator: None in a checkpoint of plain masked-language-model training.
        generator: None where there is none, or none that transformers has a class for.
        embeddings_shared: Both halves have the same embeddings.
        step: Of the training; None if it was not stored.
        used: How many tensors are in the halves.
        optimizer: How many belong to the optimiser.
        unused: Names of all others.
        notes: What the user should know, one sentence each.
    """

    discriminator: Half | None
    generator: Half | None
    embeddings_shared: bool = True
    step: int | None = None
    used: int = 0
    optimizer: int = 0
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def import_electra(
    path: str | Path,
    *,
    config_file: str | Path | None = None,
    config_overrides: str | None = None,
    generator_config_overrides: str | None = None,
) -> ImportedElectra:
    """Read the halves of a TensorFlow checkpoint.

    Args:
        path: As for `TensorFlowCheckpoint`.
        config_file: config.json of the discriminator, for what no tensor tells: heads, dropout, activation.
        config_overrides: The same as `field=value,field=value`; they win.
        generator_config_overrides: For the generator.

    Raises:
        CheckpointError: If it is no checkpoint, damaged, not of an ELECTRA, or tensors are missing, of another shape
            or unknown.
        UsageError: If a configuration contradicts the tensors, or an override is no field.
    """
    reader = _Reader(TensorFlowCheckpoint(path))
    reader.check_kind()
    has_discriminator = not reader.holds("generator_predictions/") or reader.holds("discriminator_predictions/")
    discriminator = generator = None
    notes = []
    if has_discriminator:
        config = reader.config("electra", "electra/embeddings")
        _set_fields(config, config_file, config_overrides, "config_overrides")
        reader.refuse_unloadable(config, "electra")
        discriminator = reader.half(config, "electra", "electra/embeddings", _discriminator_head(config))
    own_encoder = reader.holds("generator/encoder/")
    if generator_config_overrides and not own_encoder:
        raise UsageError(
            "--generator_config_overrides: the checkpoint holds no generator with an encoder of its own: leave it out"
        )
    scope = "generator" if own_encoder else "electra"
    embeddings = f"{scope}/embeddings" if reader.holds(f"{scope}/embeddings/") else "electra/embeddings"
    if own_encoder or reader.holds("generator_predictions/"):
        config = reader.config(scope, embeddings)
        if own_encoder:
            _set_fields(config, None, generator_config_overrides, "generator_config_overrides")
        else:
            _set_fields(config, config_file, config_overrides, "config_overrides")
        if discriminator is not None and not reader.fits(config, scope):
            notes.append(
                "The generator has one head, whose two branches are as wide as itself. transformers' ConvBERT cannot "
                "hold that, so it is left out: pre-training goes on with a fresh one."
            )
            reader.leave_out("generator/", "generator_predictions/")
        else:
            reader.refuse_unloadable(config, scope)
            generator = reader.half(config, scope, embeddings, _generator_head(config))
            if not own_encoder and discriminator is not None:
                notes.append("Generator and discriminator were one encoder; they are two equal ones from now on.")
    reader.refuse_unknown()
    if isinstance(config, ElectraConfig) and not (config_file or "num_attention_heads" in (config_overrides or "")):
        notes.append("No tensor tells the heads: they are one for every 64 hidden units, as google's code makes them.")
    return ImportedElectra(
        discriminator=discriminator,
        generator=generator,
        embeddings_shared=embeddings == "electra/embeddings",
        step=reader.step(),
        used=len(reader.used),
        optimizer=len(reader.optimizer),
        unused=tuple(sorted(set(reader.names) - reader.used - set(_STEPS))),
        notes=tuple(notes),
    )


class _Reader:
    """The tensors of a checkpoint by google's names, and which of them were used."""

    def __init__(self, checkpoint: TensorFlowCheckpoint):
        self.checkpoint = checkpoint
        self.optimizer = {name for name in checkpoint.entries if is_optimizer_tensor(name)}
        stored = [name for name in checkpoint.entries if name not in self.optimizer]
        self.names = google_names(stored)
        if lost := set(stored) - set(self.names.values()):
            raise CheckpointError(f"{checkpoint.prefix} holds tensors twice under two names: {_some(list(lost))}")
        self.used: set[str] = set()
        self._left_out: tuple[str, ...] = ()

    def holds(self, scope: str) -> bool:
        return any(name.startswith(scope) for name in self.names)

    def check_kind(self) -> None:
        if not self.holds("electra/encoder/"):
            found = sorted({name.partition("/")[0] for name in self.names})
            raise CheckpointError(
                f"{self.checkpoint.prefix} is not an ELECTRA: no tensor is below electra/encoder/. It holds "
                f"{', '.join(found[: 2 * _SHOWN]) or 'nothing'}"
            )

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        if name not in self.names:
            raise CheckpointError(
                f"{self.checkpoint.prefix} holds no tensor {name}, so the sizes of the model are unknown"
            )
        found = self.checkpoint.entries[self.names[name]].shape
        if len(found) != dimensions:
            raise CheckpointError(
                f"{self.checkpoint.prefix}: {name} has the shape {found}, not {dimensions} dimensions"
            )
        return found

    def config(self, scope: str, embeddings: str) -> ElectraConfig | ConvBertConfig:
        return infer_config(self.names, self.shape, scope, embeddings)

    def fits(self, config: ElectraConfig | ConvBertConfig, scope: str) -> bool:
        return fits_transformers(config, self.shape(f"{scope}/encoder/layer_0/attention/self/query/bias", 1)[0])

    def refuse_unloadable(self, config: ElectraConfig | ConvBertConfig, scope: str) -> None:
        if not self.fits(config, scope):
            raise CheckpointError(
                f"{self.checkpoint.prefix}: the branches of the attention in {scope}/ are not half as wide as the "
                f"hidden size {config.hidden_size}, which transformers' ConvBERT cannot hold"
            )

    def leave_out(self, *scopes: str) -> None:
        self._left_out = scopes

    def half(
        self,
        config: ElectraConfig | ConvBertConfig,
        scope: str,
        embeddings: str,
        head: Mapping[str, tuple[int, ...]],
    ) -> Half:
        """Read an encoder and its head; all tensors that are missing or of another shape are told at once."""
        with torch.device("meta"):
            encoder = AutoModel.from_config(config, trust_remote_code=False)
        prefix = encoder.base_model_prefix
        shapes = {f"{prefix}.{name}": tuple(weight.shape) for name, weight in encoder.named_parameters()}
        grouped = getattr(config, "num_groups", 1) > 1
        weights: dict[str, Tensor] = {}
        missing, misshapen = [], []
        for parameter, shape in {**shapes, **head}.items():
            name = google_name(parameter, scope, embeddings, grouped=grouped)
            if name not in self.names:
                missing.append(name)
                continue
            array = as_parameter(self._read(name), parameter)
            if array.shape != shape:
                misshapen.append(f"{name} {self.checkpoint.entries[self.names[name]].shape} for {parameter} {shape}")
                continue
            self.used.add(name)
            weights[parameter] = torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
        problems = {"missing": missing, "of another shape": misshapen}
        if any(problems.values()):
            said = "; ".join(f"{len(items)} {kind} ({_some(items)})" for kind, items in problems.items() if items)
            raise CheckpointError(
                f"{self.checkpoint.prefix} does not hold a whole {config.model_type} in {scope}/: {said}. Was it "
                "fine-tuned, or is it of another architecture?"
            )
        if "generator_lm_head.bias" in head:
            weights["generator_lm_head.weight"] = weights[f"{prefix}.embeddings.word_embeddings.weight"]
        return Half(config, weights)

    def _read(self, name: str) -> np.ndarray:
        stored = self.names[name]
        if self.checkpoint.entries[stored].dtype not in FLOATS:
            raise CheckpointError(f"{self.checkpoint.prefix}: {stored} holds no floating-point numbers; weights must")
        return self.checkpoint.read(stored)

    def refuse_unknown(self) -> None:
        scopes = tuple(scope for scope in _MODEL_SCOPES if scope not in self._left_out)
        unknown = [name for name in self.names if name.startswith(scopes) and name not in self.used]
        unknown = [name for name in unknown if not (self._left_out and name.startswith(self._left_out))]
        if unknown:
            raise CheckpointError(
                f"{self.checkpoint.prefix}: {len(unknown)} tensors of the model have no place in transformers' "
                f"({_some(unknown)}): it is of another architecture"
            )

    def step(self) -> int | None:
        for name, ahead in _STEPS.items():
            if name in self.names and not self.checkpoint.entries[self.names[name]].shape:
                return int(self.checkpoint.read(self.names[name])) - ahead
        return None


def _discriminator_head(config: ElectraConfig | ConvBertConfig) -> dict[str, tuple[int, ...]]:
    hidden, prefix = config.hidden_size, "discriminator_predictions."
    return {
        f"{prefix}dense.weight": (hidden, hidden),
        f"{prefix}dense.bias": (hidden,),
        f"{prefix}dense_prediction.weight": (1, hidden),
        f"{prefix}dense_prediction.bias": (1,),
    }


def _generator_head(config: ElectraConfig | ConvBertConfig) -> dict[str, tuple[int, ...]]:
    hidden, width, prefix = config.hidden_size, config.embedding_size, "generator_predictions."
    return {
        f"{prefix}dense.weight": (width, hidden),
        f"{prefix}dense.bias": (width,),
        f"{prefix}LayerNorm.weight": (width,),
        f"{prefix}LayerNorm.bias": (width,),
        "generator_lm_head.bias": (config.vocab_size,),
    }


def _set_fields(
    config: ElectraConfig | ConvBertConfig, config_file: str | Path | None, overrides: str | None, option: str
) -> None:
    """Change what no tensor tells; refuse what contradicts one."""
    fixed = {name: getattr(config, name) for name in (*SIZE_FIELDS, *CONVOLUTION_FIELDS) if hasattr(config, name)}
    _update(config, _read_fields(config, config_file, fixed), f"--config_file {config_file}", fixed)
    _update(config, overrides or "", f"--{option} {overrides}", fixed)
    if problem := impossible_size(config):
        raise UsageError(f"the tensors of the checkpoint do not tell all: {problem} with --{option}")


def _update(
    config: ElectraConfig | ConvBertConfig, values: dict[str, Any] | str, source: str, fixed: dict[str, Any]
) -> None:
    if not values:
        return
    try:
        if isinstance(values, str):
            config.update_from_string(values)
        else:
            config.update(values)
    except (ValueError, StrictDataclassError) as error:
        raise UsageError(
            f"{source}: {' '.join(str(error).split())}; give fields of {type(config).__name__} with commas, such as "
            "num_attention_heads=4,hidden_dropout_prob=0.1"
        ) from error
    for name, size in fixed.items():
        if getattr(config, name) != size:
            raise UsageError(
                f"{source}: {name} is {getattr(config, name)}, and the tensors of the checkpoint say {size}: leave it "
                "out, or take the checkpoint it belongs to"
            )


def _read_fields(
    config: ElectraConfig | ConvBertConfig, file: str | Path | None, fixed: dict[str, Any]
) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--config_file {file}: not a config.json that can be read ({error})") from error
    if not isinstance(content, dict) or content.get("model_type", config.model_type) != config.model_type:
        raise UsageError(f"--config_file {file} does not describe a model of the type {config.model_type}")
    return {name: content[name] for name in (*_TOLD_FIELDS, *fixed) if name in content}


def _some(items: list[str]) -> str:
    more = f", and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(sorted(items, key=_natural)[:_SHOWN]) + more


def _natural(name: str) -> list[str]:
    return [part.zfill(6) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
