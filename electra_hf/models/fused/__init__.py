"""The fast path: the same mathematics as the plain modules, with less traffic through memory (docs/performance.md)."""

from electra_hf.models.fused.encoder import FusableModel, encode, obstacle, tell_obstacle
from electra_hf.models.fused.likelihoods import TokenLikelihoods, token_likelihoods
from electra_hf.models.fused.native import KernelError, native_operations
from electra_hf.models.fused.noise import Seeds
from electra_hf.models.fused.operations import Operations, TorchOperations, cpu_operations
from electra_hf.models.fused.vocabulary import VocabularyLoss, vocabulary_loss

__all__ = [
    "FusableModel",
    "KernelError",
    "Operations",
    "Seeds",
    "TokenLikelihoods",
    "TorchOperations",
    "VocabularyLoss",
    "cpu_operations",
    "encode",
    "native_operations",
    "obstacle",
    "tell_obstacle",
    "token_likelihoods",
    "vocabulary_loss",
]
