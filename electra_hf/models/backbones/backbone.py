"""What a joint model must know of a family of encoders: where its parts are, and how its head is applied.

The head of a masked language model is divided in two, so that it can run on gathered positions only: a transform of
the hidden states, and the projection to the vocabulary.

Shapes: batch (b), length (l), hidden (h), width of the embeddings (e), vocabulary (v).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from electra_hf.models.attention import attention_bias
from electra_hf.models.backbones.detection import EncoderWithDetectionHead
from electra_hf.models.initialization import initialize_detection_head


class Backbone(ABC):
    """A family of encoders of transformers, by its `model_type`.

    The methods take a masked language model of the family, or its encoder, as named; `config` is always the family's.

    Attributes:
        model_type: As in config.json.
        config_class: The family's configuration.
        masked_lm_class: The family's masked language model.
        encoder_class: Its encoder alone.
        encoder_options: Arguments of `encoder_class` for an encoder without layers that no objective trains.
        embeddings_name: The module of all embeddings, seen from the encoder.
        word_embeddings_name: The word embeddings, seen from the encoder.
        extra_fields: {field that transformers reads without declaring it: a value of its type}.
        generator_width: Width of a derived generator, unless an option says otherwise.
        generator_depth: Share of the layers that it has, unless an option says otherwise.
    """

    model_type: ClassVar[str]
    config_class: ClassVar[type[PreTrainedConfig]]
    masked_lm_class: ClassVar[type[PreTrainedModel]]
    encoder_class: ClassVar[type[PreTrainedModel]]
    encoder_options: ClassVar[dict[str, Any]] = {}
    embeddings_name: ClassVar[str] = "embeddings"
    word_embeddings_name: ClassVar[str] = "embeddings.word_embeddings"
    extra_fields: ClassVar[dict[str, Any]] = {}
    # Word embeddings as wide as the encoder: only an encoder of the same width can share them, so the generator is
    # smaller in depth, as in DeBERTa-v3 (He et al. 2021, section 3.1).
    generator_width: ClassVar[float] = 1.0
    generator_depth: ClassVar[float] = 0.5

    # Models

    def make_masked_lm(self, config: PreTrainedConfig, initialization: str = "transformers") -> PreTrainedModel:
        """A fresh masked language model."""
        model = self.masked_lm_class(config)
        self.initialize(model, initialization)
        return model

    def make_discriminator(self, config: PreTrainedConfig, initialization: str = "transformers") -> nn.Module:
        """A fresh encoder with the head that detects replaced tokens."""
        model = EncoderWithDetectionHead(self.make_encoder(config))
        self.initialize(model, initialization)
        return model

    def make_encoder(self, config: PreTrainedConfig) -> PreTrainedModel:
        """A fresh encoder alone."""
        return self.encoder_class(config, **self.encoder_options)

    def initialize(self, model: nn.Module, initialization: str) -> None:
        """Draw the weights again where the family's own code draws them otherwise than transformers has done.

        Args:
            model: An encoder with a head.
            initialization: `reference` or `transformers`.
        """
        if isinstance(model, EncoderWithDetectionHead):
            self.initialize_head(model, initialization)

    def initialize_head(self, model: EncoderWithDetectionHead, initialization: str) -> None:
        """Draw the head that detects replaced tokens, and leave the encoder as it is."""
        if initialization == "reference":
            initialize_detection_head(model.discriminator_predictions, cast(Any, model.config).initializer_range)

    def adapt(self, model: nn.Module) -> None:
        """Change in place how a model computes, for families whose class in transformers is wrong about padding."""
        return

    # Sizes

    def settle(self, config: Any, overrides: Mapping[str, Any]) -> None:
        """Bring fields that follow from others up to date.

        Args:
            config: Configuration whose fields were set one by one; changed in place.
            overrides: The fields that were asked for.
        """
        return

    def width_unit(self, config: Any) -> int:
        """What the hidden size must be a multiple of."""
        return config.num_attention_heads

    def scale(self, config: Any, width: float, depth: float) -> None:
        """Make an encoder narrower and shallower, in place, rounded so that its sizes fit each other.

        Hidden size, heads and feed-forward size become a fraction, as do the layers (google-research/electra,
        get_generator_config); the width of the embeddings stays where it is one of its own.
        """
        hidden, inner = config.hidden_size, config.intermediate_size
        config.num_attention_heads = max(1, round(config.num_attention_heads * width))
        config.num_hidden_layers = max(1, round(config.num_hidden_layers * depth))
        unit = self.width_unit(config)
        config.hidden_size = max(1, round(hidden * width / unit)) * unit
        config.intermediate_size = max(1, round(inner * width))

    def impossible_size(self, config: Any) -> str | None:
        """What is wrong with sizes that only this family has, in words."""
        return None

    def usable_positions(self, config: Any) -> int:
        """Tokens of the longest row."""
        return config.max_position_embeddings

    def attention_dropout(self, config: Any) -> float:
        """Probability that an attention probability is dropped."""
        return config.attention_probs_dropout_prob

    def layer_flops(self, config: Any, length: int) -> int:
        """FLOPs of the matrix products of one layer for one of `length` tokens."""
        hidden, feed_forward = config.hidden_size, config.intermediate_size
        return 8 * hidden * hidden + 4 * hidden * feed_forward + 4 * length * hidden

    def batch_flops(self, config: Any) -> int:
        """FLOPs of what a forward pass computes once, however many rows the batch has."""
        return 0

    # The head of a masked language model

    @abstractmethod
    def transform(self, model: Any, hidden: Tensor) -> Tensor:
        """What the head does before the projection: (..., h) hidden states to (..., e)."""

    @abstractmethod
    def vocabulary(self, model: Any) -> tuple[Tensor, Tensor]:
        """The projection to the vocabulary: weight (v, e) and bias (v,)."""

    # Inputs

    def embedding_size(self, config: Any) -> int:
        """Width of the word embeddings."""
        return config.hidden_size

    def encoder_inputs(
        self,
        encoder: PreTrainedModel,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        ids: Tensor | None = None,
    ) -> dict[str, Any]:
        """Mask, token types and positions in the form that the encoder's forward() takes.

        Args:
            encoder: The encoder.
            attention_mask: (b, l), 1 for real tokens, or None.
            token_type_ids: (b, l) int64, or None; left out for families, and sizes, that know one segment only.
            ids: (b, l) int64, for their shape; None if the encoder gets embeddings instead.
        """
        inputs: dict[str, Any] = {"attention_mask": attention_bias(encoder, attention_mask)}
        if getattr(encoder.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = token_type_ids
        return inputs

    # Sharing

    def shared_parameters(self, encoder: PreTrainedModel, sharing: str) -> list[str]:
        """Names, seen from the encoder, of what two encoders share.

        Args:
            encoder: One of them.
            sharing: `all` embeddings with their LayerNorm, the `word` embeddings, or `none`.
        """
        if sharing == "none":
            return []
        if sharing == "word":
            return [f"{self.word_embeddings_name}.weight"]
        embeddings = encoder.get_submodule(self.embeddings_name)
        return [f"{self.embeddings_name}.{name}" for name, _ in embeddings.named_parameters()]
