"""What a joint model must know of a family of encoders: where its parts are, and how its head is applied.

The head of a masked language model is divided in two, so that it can run on gathered positions only: a transform of
the hidden states, and the projection to the vocabulary.

Shapes: batch (b), length (l), hidden (h), width of the embeddings (e), vocabulary (v).
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from electra_hf.models.attention import attention_bias
from electra_hf.models.backbones.detection import EncoderWithDetectionHead
from electra_hf.models.initialization import initialize_as_reference


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
    """

    model_type: ClassVar[str]
    config_class: ClassVar[type[PreTrainedConfig]]
    masked_lm_class: ClassVar[type[PreTrainedModel]]
    encoder_class: ClassVar[type[PreTrainedModel]]
    encoder_options: ClassVar[dict[str, Any]] = {}
    embeddings_name: ClassVar[str] = "embeddings"
    word_embeddings_name: ClassVar[str] = "embeddings.word_embeddings"

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
        """Draw the weights again unless `initialization` is `transformers`, which has drawn them already."""
        if initialization == "reference":
            initialize_as_reference(cast(Any, model))

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
        self, encoder: PreTrainedModel, attention_mask: Tensor | None, token_type_ids: Tensor | None
    ) -> dict[str, Any]:
        """Mask and token types in the form that the encoder's forward() takes.

        Args:
            encoder: The encoder.
            attention_mask: (b, l), 1 for real tokens, or None.
            token_type_ids: (b, l) int64, or None; left out for families, and sizes, that know one segment only.
        """
        inputs: dict[str, Any] = {"attention_mask": attention_bias(encoder, attention_mask)}
        if getattr(encoder.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = token_type_ids
        return inputs

    def inputs_beside_embeddings(self, encoder: PreTrainedModel, input_ids: Tensor) -> dict[str, Any]:
        """What the encoder reads from its ids beside word embeddings, for when it gets those instead of ids."""
        return {}

    # Sharing

    def disentangled_embeddings(self, encoder: PreTrainedModel) -> list[str]:
        """Names, seen from the encoder, of the embeddings that `gdes` divides: of words, and of positions if any."""
        positions = f"{self.embeddings_name}.position_embeddings"
        names = {name for name, module in encoder.named_modules() if isinstance(module, nn.Embedding)}
        return [self.word_embeddings_name, *({positions} & names)]

    def shared_parameters(self, encoder: PreTrainedModel, sharing: str) -> list[str]:
        """Names, seen from the encoder, of what two encoders share.

        Args:
            encoder: One of them.
            sharing: `all` embeddings with their LayerNorm, the `word` embeddings, or `none`; `gdes` shares none.
        """
        if sharing in ("none", "gdes"):
            return []
        if sharing == "word":
            return [f"{self.word_embeddings_name}.weight"]
        embeddings = encoder.get_submodule(self.embeddings_name)
        return [f"{self.embeddings_name}.{name}" for name, _ in embeddings.named_parameters()]
