"""What the models of all objectives share: encoders computed the fast way, heads on gathered positions, plain folders.

Shapes: batch (b), length (l), K slots of masked positions (k), vocabulary (v), hidden (h), embedding (e).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from electra_hf.errors import UsageError
from electra_hf.models import checkpoint, fused
from electra_hf.models.backbones import Backbone, EncoderWithDetectionHead, backbone_of
from electra_hf.models.configuration import PretrainingConfig
from electra_hf.models.sampling import sample_tokens


class PretrainingModel(PreTrainedModel):
    """Base of the models that are pre-trained: a main encoder, and for some objectives a generator.

    `save_pretrained` writes the main encoder as a plain transformers model at the root and the generator in
    `generator/`; `from_pretrained` reads such a folder (or Hub repository) back.

    Attributes:
        main_part: Name of the attribute that holds the main encoder with its head. `<main_part>_config` is its field
            in the configuration, and it is the keyword of a loaded one.
        has_generator: Whether there is a generator too, in the attribute and keyword `generator`.
        generator_folder: Where it is saved, or the first of its parts.
        main_is_masked_lm: Whether the main encoder has the head of a masked language model; otherwise it has the one
            that detects replaced tokens.
        fresh_weights: Weights beside the encoders that a checkpoint did not have, though its encoders were loaded.
    """

    config: PretrainingConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class: ClassVar[type[PretrainingConfig]]  # pyright: ignore[reportIncompatibleVariableOverride]
    main_part: ClassVar[str]
    has_generator: ClassVar[bool]
    generator_folder: ClassVar[str] = checkpoint.GENERATOR_FOLDER
    main_is_masked_lm: ClassVar[bool]

    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    fresh_weights: tuple[str, ...] = ()
    # How a step is computed: auto, plain, fused or native (docs/performance.md). The mathematics is the same.
    implementation = "auto"
    # auto: the Trainer measures what is fastest on a GPU. Otherwise the configurations of the encoders decide.
    attn_implementation = "auto"
    # forward() divides by the global denominators that the trainer passes in `num_items_in_batch`.
    accepts_loss_kwargs = True

    @property
    def backbone(self) -> Backbone:
        """The family of the encoders."""
        return backbone_of(self.config.main_config)

    @property
    def main(self) -> Any:
        """The main encoder with its head."""
        return getattr(self, self.main_part)

    @property
    def saved_parts(self) -> dict[str, str]:
        """{folder of a saved model: attribute path of the plain model in it}; the root is ''."""
        main = f"{self.main_part}.encoder" if isinstance(self.main, EncoderWithDetectionHead) else self.main_part
        return {"": main, self.generator_folder: "generator"} if self.has_generator else {"": main}

    @property
    def plain_parts(self) -> dict[str, PreTrainedModel]:
        """{folder of a saved model: the plain model in it}."""
        parts = self.saved_parts.items()
        return {folder: cast(PreTrainedModel, self.get_submodule(attribute)) for folder, attribute in parts}

    def _finish(self) -> None:
        """Tie what `_declare_ties` says, and leave all weights as they are."""
        self.backbone.adapt(self)
        # An attribute of the instance, since it depends on the configuration; post_init() applies it.
        self._tied_weights_keys = self._declare_ties()
        # The encoders hold their weights already: post_init() must tie them, not draw them once more.
        for part in (*self.modules(), *self.parameters()):
            part._is_hf_initialized = True  # type: ignore[attr-defined]
        self.post_init()
        # FSDP2 wraps layers only: an embedding shared by both encoders cannot live in two groups.
        self._no_split_modules = {
            type(m).__name__ for m in self.modules() if isinstance(m, GradientCheckpointingLayer)
        }

    def _declare_ties(self) -> dict[str, str]:
        """{main encoder's parameter: generator's parameter} that are one."""
        return {}

    def get_input_embeddings(self) -> None:
        """None: accelerate's FSDP2 would put the returned module, which is shared, into a group of its own."""
        return None

    def set_progress(self, progress: float) -> None:
        """Let what changes in the course of a run be as it is when a share `progress`, from 0 to 1, is done."""

    @property
    def scheduled(self) -> dict[str, float]:
        """{name: value} of what changes in the course of a run, for the log."""
        return {}

    def count_items(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The denominators of the losses.

        Args:
            batch: What forward() takes.

        Returns:
            (n,) fp32, on the batch's device: what `num_items_in_batch` is for this batch alone.
        """
        raise NotImplementedError

    def denominators(self, num_items_in_batch: Tensor | None, **batch: Tensor | None) -> Tensor:
        """(n,) what the losses are divided by: of the whole step if they are given, or of this batch, and at least 1.

        Args:
            num_items_in_batch: (n,), or None for this batch's own.
            batch: What `count_items` reads, as far as there is such a tensor.
        """
        if num_items_in_batch is None:
            num_items_in_batch = self.count_items({name: each for name, each in batch.items() if each is not None})
        return num_items_in_batch.clamp(min=1)

    # Encoders and heads

    def encode(
        self,
        encoder: PreTrainedModel,
        ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        word_embeddings: Tensor | None = None,
    ) -> Tensor:
        """(b, l, h) last hidden state, from the fused layers or the encoder's own.

        Args:
            encoder: The encoder without its head.
            ids: (b, l) int64.
            attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.
            word_embeddings: (b, l, e) in place of those of the ids.
        """
        operations = self._encoder_operations(encoder)
        if operations is not None:
            fusable = cast(fused.FusableModel, encoder)
            inputs = (ids, attention_mask, token_type_ids, operations, fused.Seeds(), word_embeddings)
            return fused.encode(fusable, *inputs)
        inputs = self.backbone.encoder_inputs(encoder, attention_mask, token_type_ids, ids)
        if word_embeddings is None:
            return encoder(ids, **inputs).last_hidden_state
        return encoder(inputs_embeds=word_embeddings, **inputs).last_hidden_state

    def _encoder_operations(self, encoder: PreTrainedModel) -> fused.Operations | None:
        """What the fused layers compute with; None for the encoder's own layers."""
        if self.implementation == "plain":
            return None
        reason = fused.obstacle(encoder)
        if reason is None:
            return fused.cpu_operations(self.implementation)
        if self.implementation == "native" and not torch.compiler.is_compiling():
            raise UsageError(f"implementation 'native' cannot be used: {reason}; use auto, fused or plain")
        if encoder.device.type == "cpu" and not torch.compiler.is_compiling():
            fused.tell_obstacle(reason)
        return None

    def predict_tokens(
        self,
        masked_lm: Any,
        hidden: Tensor,
        positions: Tensor,
        targets: Tensor,
        weights: Tensor,
        *,
        sampler: str = "gumbel",
        temperature: Tensor | float = 1.0,
        disallow_correct: bool = False,
    ) -> fused.VocabularyLoss:
        """What a masked language model says about some positions, and one sample for each.

        Args:
            masked_lm: The model whose head is applied.
            hidden: (b, l, h) its last hidden state.
            positions: (b, k) int64.
            targets: (b, k) int64, the original tokens.
            weights: (b, k) float, 1 for used slots.
            sampler: `gumbel` or `multinomial`.
            temperature: Of the sampling; a number or () fp32.
            disallow_correct: Never sample the target.

        Returns:
            () fp32 sum of the negative log-likelihoods over used slots; (b, k) int64 samples; (b, k) bool: the
            target is the most likely token.
        """
        predictions, weight, bias = self._before_vocabulary(masked_lm, hidden, positions)
        if self.implementation == "plain" or sampler != "gumbel":
            logits = F.linear(predictions, weight, bias).float()  # (b, k, v)
            nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
            sampled = sample_tokens(
                logits.detach(),
                sampler=sampler,
                temperature=temperature,
                disallowed=targets if disallow_correct else None,
            )
            return fused.VocabularyLoss((nll * weights).sum(), sampled, logits.argmax(-1) == targets)
        dtype = predictions.dtype
        if torch.is_autocast_enabled(predictions.device.type):
            dtype = torch.get_autocast_dtype(predictions.device.type)
        operations = self._encoder_operations(masked_lm.base_model)
        loss_sum, sampled, correct = fused.vocabulary_loss(
            predictions.flatten(0, 1).to(dtype),
            weight,
            bias,
            targets.flatten(),
            weights.flatten().float(),
            operations=operations or fused.TorchOperations(),
            seed=None if operations is None else fused.Seeds().next(),
            temperature=temperature,
            disallow_correct=disallow_correct,
        )
        return fused.VocabularyLoss(loss_sum, sampled.view_as(targets), correct.view_as(targets))

    def token_logits(self, masked_lm: Any, hidden: Tensor, positions: Tensor) -> Tensor:
        """(b, k, v) fp32, what the head of `masked_lm` says about (b, k) positions of its (b, l, h) hidden state."""
        return F.linear(*self._before_vocabulary(masked_lm, hidden, positions)).float()

    def _before_vocabulary(self, masked_lm: Any, hidden: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(b, k, e), and the projection to the vocabulary."""
        index = positions.unsqueeze(-1).expand(-1, -1, hidden.size(-1))
        return self.backbone.transform(masked_lm, hidden.gather(1, index)), *self.backbone.vocabulary(masked_lm)

    def weighted_loss(self, parts: Mapping[str, Any]) -> Any:
        """The loss from its parts, by the weights of the configuration; tensors or numbers."""
        return sum(weight * parts[name] for name, weight in self.config.loss_weights.items())

    # Folders

    def save_pretrained(
        self,
        save_directory: Any,
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write the main encoder at the root, the generator in `generator/`, and `objective.json`.

        Args:
            save_directory: Folder; made if needed.
            is_main_process: Write only in this process.
            state_dict: This model's full state, gathered by FSDP or DeepSpeed; by default the model's own.
            push_to_hub: Also upload the folder, under `repo_id` if given.
            kwargs: For `PreTrainedModel.save_pretrained` and, with push_to_hub, `PushToHubMixin.push_to_hub`.
        """
        checkpoint.save(self, save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
        if push_to_hub:
            checkpoint.push(save_directory, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a folder or Hub repository written by `save_pretrained`.

        Args:
            pretrained_model_name_or_path: The folder or Hub id of the main encoder.
            args: Not used.
            kwargs: `generator_name_or_path` (where the generator is, if not in `generator/` there), any field of
                `objective.json` to change, and `revision`, `cache_dir`, `token`, `attn_implementation` as in
                transformers. Weights are loaded in fp32 unless `dtype` says otherwise.

        Raises:
            CheckpointError: If a part is missing or does not fit, with the names of the weights.
        """
        return checkpoint.load(cls, pretrained_model_name_or_path, **kwargs)

    @classmethod
    def load_main(cls, name: str, **kwargs: Any) -> Any:
        """The main encoder with its head, in fp32 unless `dtype` says otherwise; see `checkpoint.load_part`."""
        load = checkpoint.load_masked_lm if cls.main_is_masked_lm else checkpoint.load_discriminator
        return load(name, **kwargs)

    @classmethod
    def load_generator(cls, name: str, subfolder: str = "", **kwargs: Any) -> Any:
        """The generator, likewise."""
        return checkpoint.load_masked_lm(name, **({"subfolder": subfolder} if subfolder else {}), **kwargs)

    def load_weights(self, folder: Any) -> None:
        """Copy the weights of a saved folder into this model, in place: ties, device and optimiser stay valid.

        Raises:
            CheckpointError: If a weight is missing, unexpected or of another shape.
        """
        checkpoint.load_weights(self, folder)


def slots_and_tokens(batch: Mapping[str, Tensor]) -> Tensor:
    """(2,) fp32: used slots and real tokens of a batch."""
    mask, ids = batch.get("attention_mask"), batch["input_ids"]
    tokens = torch.full((), ids.numel(), device=ids.device) if mask is None else mask.sum()
    return torch.stack([batch["masked_weights"].sum().float(), tokens.float()])


def real_tokens(like: Tensor, attention_mask: Tensor | None) -> Tensor:
    """1 for real tokens: the mask in the dtype of `like`, or ones with its shape where nothing is padded."""
    return torch.ones_like(like) if attention_mask is None else attention_mask.to(like.dtype)
