"""Tokenizers of every kind: trained, loaded from wherever they are, checked, and looked at.

Public names:
    training: train_tokenizer
    wordpiece: train_wordpiece
    sampling: sample_documents
    loading: load_tokenizer
    sentencepiece_models: read_model, convert_model
    checks: check_tokenizer, backend_json, tokenizer_fingerprint
    inspection: inspect_tokenizer
"""

from electra_hf.tokens.tokenizers.checks import backend_json, check_tokenizer, tokenizer_fingerprint
from electra_hf.tokens.tokenizers.inspection import inspect_tokenizer
from electra_hf.tokens.tokenizers.loading import load_tokenizer
from electra_hf.tokens.tokenizers.sampling import sample_documents
from electra_hf.tokens.tokenizers.special import SPECIAL_TOKENS
from electra_hf.tokens.tokenizers.training import train_tokenizer
from electra_hf.tokens.tokenizers.wordpiece import train_wordpiece

__all__ = [
    "SPECIAL_TOKENS",
    "backend_json",
    "check_tokenizer",
    "inspect_tokenizer",
    "load_tokenizer",
    "sample_documents",
    "tokenizer_fingerprint",
    "train_tokenizer",
    "train_wordpiece",
]
