"""The head that detects replaced tokens, for families that have no such class in transformers."""

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput


class DetectionHead(nn.Module):
    """ELECTRA's head: dense layer, gelu, one score for each token (google-research/electra, run_pretraining.py).

    Args:
        hidden_size: Of the encoder.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.dense_prediction = nn.Linear(hidden_size, 1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(b, l, h) -> (b, l)."""
        return self.dense_prediction(F.gelu(self.dense(hidden_states))).squeeze(-1)


class EncoderWithDetectionHead(nn.Module):
    """An encoder of any family under the head that detects replaced tokens.

    Saved as the encoder, a plain model of transformers, with the head beside it (`checkpoint`).

    Args:
        encoder: A model of transformers with `last_hidden_state`.
    """

    def __init__(self, encoder: PreTrainedModel):
        super().__init__()
        self.encoder = encoder
        self.discriminator_predictions = DetectionHead(encoder.config.hidden_size)
        for layer in (self.discriminator_predictions.dense, self.discriminator_predictions.dense_prediction):
            nn.init.normal_(layer.weight, std=encoder.config.initializer_range)
            nn.init.zeros_(layer.bias)

    def forward(self, input_ids: Tensor) -> TokenClassifierOutput:
        """Score texts without padding: (b, l) int64 -> `logits` (b, l), as `ElectraForPreTraining` returns them."""
        hidden = self.encoder(input_ids).last_hidden_state
        return TokenClassifierOutput(logits=self.discriminator_predictions(hidden))

    @property
    def config(self) -> PreTrainedConfig:
        return self.encoder.config

    @property
    def base_model(self) -> PreTrainedModel:
        return self.encoder
