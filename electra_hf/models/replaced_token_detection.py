"""ELECTRA's pre-training model: a generator corrupts the text, a discriminator finds the replaced tokens.

Algorithm: Clark et al. 2020, section 2, as google-research/electra runs it (run_pretraining.py). Left out on purpose:
the adversarial and the energy-based variants, and the reference's quirk of adding up the ids of positions drawn twice
(positions are drawn without replacement here).

Shapes: batch (b), length (l), K slots of masked positions (k), vocabulary (v), hidden (h). K is fixed for a length, so
the vocabulary projection runs on (b, k) positions and never on (b, l), and the whole step has static shapes.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import ElectraForMaskedLM, ElectraForPreTraining, ElectraModel, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils.generic import ModelOutput

from electra_hf.errors import UsageError
from electra_hf.models import checkpoint, fused
from electra_hf.models.attention import attention_bias
from electra_hf.models.configuration import ReplacedTokenDetectionConfig
from electra_hf.models.initialization import initialize_as_reference
from electra_hf.models.sampling import sample_tokens


@dataclass
class ReplacedTokenDetectionOutput(ModelOutput):
    """What one step computed. Only `loss` carries a gradient.

    Attributes:
        loss: () generator_weight * generator_loss + discriminator_weight * rtd_loss.
        generator_loss: () masked-LM loss: the sum over slots divided by its denominator.
        rtd_loss: () replaced-token detection loss: the sum over real tokens divided by its denominator.
        generator_loss_sum: () fp32, sum of the negative log-likelihoods over this batch's used slots.
        rtd_loss_sum: () fp32, sum of the binary cross-entropies over this batch's real tokens.
        generator_correct: (b, k) bool, the generator's most likely token is the original, in a used slot.
        sampled_ids: (b, k) int64, what the generator put into each slot (the original where a slot is unused).
        corrupted_ids: (b, l) int64, the discriminator's input.
        labels: (b, l) bool, True where the token differs from the original.
        logits: (b, l) fp32, the discriminator's score that the token was replaced.
    """

    loss: Tensor = None  # type: ignore[assignment]
    generator_loss: Tensor = None  # type: ignore[assignment]
    rtd_loss: Tensor = None  # type: ignore[assignment]
    generator_loss_sum: Tensor = None  # type: ignore[assignment]
    rtd_loss_sum: Tensor = None  # type: ignore[assignment]
    generator_correct: Tensor = None  # type: ignore[assignment]
    sampled_ids: Tensor = None  # type: ignore[assignment]
    corrupted_ids: Tensor = None  # type: ignore[assignment]
    labels: Tensor = None  # type: ignore[assignment]
    logits: Tensor = None  # type: ignore[assignment]


class ElectraForReplacedTokenDetection(PreTrainedModel):
    """Generator (`ElectraForMaskedLM`) and discriminator (`ElectraForPreTraining`) with one joint loss.

    `save_pretrained` writes the discriminator as a plain transformers model at the root and the generator in
    `generator/`; `from_pretrained` reads such a folder (or Hub repository) back.

    Args:
        config: Both encoders and the objective.
        generator: A generator to use instead of a freshly initialised one.
        discriminator: Likewise. If one of the two is given, the fresh one takes over the weights that both share.
    """

    config: ReplacedTokenDetectionConfig
    config_class = ReplacedTokenDetectionConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    # How a step is computed: auto, plain, fused or native (docs/performance.md). The mathematics is the same.
    implementation = "auto"
    # auto: the Trainer measures what is fastest on a GPU. Otherwise the configurations of both halves decide.
    attn_implementation = "auto"
    # forward() divides by the global denominators that the trainer passes in `num_items_in_batch`.
    accepts_loss_kwargs = True

    def __init__(
        self,
        config: ReplacedTokenDetectionConfig,
        generator: ElectraForMaskedLM | None = None,
        discriminator: ElectraForPreTraining | None = None,
    ):
        super().__init__(config)
        generator_config, discriminator_config = config.encoders
        self.generator = generator or ElectraForMaskedLM(generator_config)
        self.discriminator = discriminator or ElectraForPreTraining(discriminator_config)
        # An attribute of the instance, since it depends on the configuration; post_init() applies it.
        self._tied_weights_keys = self._declare_ties()
        if config.initialization == "reference":
            if generator is None:
                initialize_as_reference(self.generator)
            if discriminator is None:
                initialize_as_reference(self.discriminator)
        if generator is not None and discriminator is not None:
            self._check_shared_weights_agree()
        elif discriminator is not None:
            self._give_shared_weights_to_generator()
        self._mark_initialized()
        self.post_init()
        # FSDP2 wraps layers only: an embedding shared by both encoders cannot live in two groups.
        self._no_split_modules = {
            type(m).__name__ for m in self.modules() if isinstance(m, GradientCheckpointingLayer)
        }

    def _declare_ties(self) -> dict[str, str]:
        """{discriminator's parameter: generator's parameter} for the sharing mode of the configuration."""
        prefix = "electra.embeddings."
        names = {
            "all": [name for name, _ in self.discriminator.electra.embeddings.named_parameters()],
            "word": ["word_embeddings.weight"],
            "none": [],
        }[self.config.embedding_sharing]
        return {f"discriminator.{prefix}{name}": f"generator.{prefix}{name}" for name in names}

    def _mark_initialized(self) -> None:
        # Both encoders hold their weights already: post_init() must tie them, not draw them once more.
        for part in (*self.modules(), *self.parameters()):
            part._is_hf_initialized = True  # type: ignore[attr-defined]

    def _check_shared_weights_agree(self) -> None:
        for target, source in self._declare_ties().items():
            if not torch.equal(self.get_parameter(target), self.get_parameter(source)):
                raise checkpoint.disagreeing_embeddings(target, source)

    @torch.no_grad()
    def _give_shared_weights_to_generator(self) -> None:
        # Ties make the generator's weights those of both.
        for target, source in self._declare_ties().items():
            self.get_parameter(source).copy_(self.get_parameter(target))

    def get_input_embeddings(self) -> None:
        """None: accelerate's FSDP2 would put the returned module, which is shared, into a group of its own."""
        return None

    def forward(
        self,
        input_ids: Tensor,
        original_ids: Tensor,
        masked_positions: Tensor,
        masked_weights: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        num_items_in_batch: Tensor | None = None,
    ) -> ReplacedTokenDetectionOutput:
        """Mask, fill, detect.

        Args:
            input_ids: (b, l) int64, the text with the masked positions hidden.
            original_ids: (b, l) int64, the text.
            masked_positions: (b, k) int64, positions to predict; unused slots point at position 0.
            masked_weights: (b, k) float, 1 for used slots, 0 for unused ones.
            attention_mask: (b, l), 1 for real tokens; None when nothing is padded.
            token_type_ids: (b, l) int64; None for a single segment.
            num_items_in_batch: (2,) used slots and real tokens over the whole optimiser step, all processes and
                accumulation steps; None takes this batch's own counts.

        Returns:
            ReplacedTokenDetectionOutput.
        """
        config = self.config
        targets = original_ids.gather(1, masked_positions)  # (b, k)
        used = masked_weights > 0

        hidden = self._encode(self.generator.electra, input_ids, attention_mask, token_type_ids)  # (b, l, h)
        index = masked_positions.unsqueeze(-1).expand(-1, -1, hidden.size(-1))
        predictions = self.generator.generator_predictions(hidden.gather(1, index))  # (b, k, e)
        generator_loss_sum, sampled, correct = self._predict_tokens(predictions, targets, masked_weights)

        with torch.no_grad():
            # Unused slots write the original of position 0 over itself, however many there are.
            sampled = torch.where(used, sampled, targets)
            corrupted = original_ids.scatter(1, masked_positions, sampled)
            labels = corrupted != original_ids

        hidden = self._encode(self.discriminator.electra, corrupted, attention_mask, token_type_ids)
        logits = self.discriminator.discriminator_predictions(hidden).float()  # (b, l)
        bce = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        real = torch.ones_like(bce) if attention_mask is None else attention_mask.to(bce.dtype)
        rtd_loss_sum = (bce * real).sum()

        if num_items_in_batch is None:
            num_items_in_batch = torch.stack([masked_weights.sum(), real.sum()])
        slots, tokens = num_items_in_batch.clamp(min=1).unbind()
        generator_loss = generator_loss_sum / slots
        rtd_loss = rtd_loss_sum / tokens
        return ReplacedTokenDetectionOutput(
            loss=config.generator_weight * generator_loss + config.discriminator_weight * rtd_loss,
            generator_loss=generator_loss.detach(),
            rtd_loss=rtd_loss.detach(),
            generator_loss_sum=generator_loss_sum.detach(),
            rtd_loss_sum=rtd_loss_sum.detach(),
            generator_correct=correct & used,
            sampled_ids=sampled,
            corrupted_ids=corrupted,
            labels=labels,
            logits=logits.detach(),
        )

    def _encode(
        self, encoder: ElectraModel, ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None
    ) -> Tensor:
        """(b, l, h) last hidden state, from the fused layers or the encoder's own."""
        operations = self._encoder_operations(encoder)
        if operations is not None:
            return fused.encode(encoder, ids, attention_mask, token_type_ids, operations, fused.Seeds())
        mask = attention_bias(encoder, attention_mask)
        return encoder(ids, attention_mask=mask, token_type_ids=token_type_ids).last_hidden_state

    def _encoder_operations(self, encoder: ElectraModel) -> fused.Operations | None:
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

    def _predict_tokens(self, predictions: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the generator says about the masked positions.

        Args:
            predictions: (b, k, e) hidden states before the projection to the vocabulary.
            targets: (b, k) int64, the original tokens.
            weights: (b, k) float, 1 for used slots.

        Returns:
            () fp32 sum of the negative log-likelihoods over used slots; (b, k) int64 samples; (b, k) bool: the
            original is the most likely token.
        """
        config, head = self.config, self.generator.generator_lm_head
        if self.implementation == "plain" or config.sampler != "gumbel":
            logits = head(predictions).float()  # (b, k, v)
            nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
            sampled = sample_tokens(
                logits.detach(),
                sampler=config.sampler,
                temperature=config.temperature,
                disallowed=targets if config.disallow_correct else None,
            )
            return (nll * weights).sum(), sampled, logits.argmax(-1) == targets
        dtype = predictions.dtype
        if torch.is_autocast_enabled(predictions.device.type):
            dtype = torch.get_autocast_dtype(predictions.device.type)
        operations = self._encoder_operations(self.generator.electra)
        loss_sum, sampled, correct = fused.vocabulary_loss(
            predictions.flatten(0, 1).to(dtype),
            head.weight,
            head.bias,
            targets.flatten(),
            weights.flatten().float(),
            operations=operations or fused.TorchOperations(),
            seed=None if operations is None else fused.Seeds().next(),
            temperature=config.temperature,
            disallow_correct=config.disallow_correct,
        )
        return loss_sum, sampled.view_as(targets), correct.view_as(targets)

    def save_pretrained(
        self,
        save_directory: Any,
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write the discriminator at the root, the generator in `generator/`, and `rtd_config.json`.

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
            pretrained_model_name_or_path: The folder or Hub id of the discriminator.
            args: Not used.
            kwargs: `generator_name_or_path` (where the generator is, if not in `generator/` there), any field of
                `rtd_config.json` to change, and `revision`, `cache_dir`, `token`, `attn_implementation` as in
                transformers. Weights are loaded in fp32 unless `dtype` says otherwise.

        Raises:
            CheckpointError: If a part is missing or does not fit, with the names of the weights.
        """
        return checkpoint.load(cls, pretrained_model_name_or_path, **kwargs)

    def load_weights(self, folder: Any) -> None:
        """Copy the weights of a saved folder into this model, in place: ties, device and optimiser stay valid.

        Raises:
            CheckpointError: If a weight is missing, unexpected or of another shape.
        """
        checkpoint.load_weights(self, folder)
