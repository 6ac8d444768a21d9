"""A run folder as pre-training leaves it, with models of a few hundred weights, made once for these tests."""

import json
from pathlib import Path

import pytest
import torch
from transformers import BertTokenizer, ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

WORDS = ["the", "cat", "dog", "sat", "on", "mat", "a", "and", "ran", "home", "play", "##ing", "##ed", "un", "##able"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, ".", ",", "!"]
RESULTS = {
    "eval_generator_loss": 5.25,
    "eval_generator_accuracy": 0.21,
    "eval_unigram_accuracy": 0.05,
    "eval_replaced_fraction": 0.112,
    "eval_rtd_loss": 0.31,
    "eval_rtd_auc": 0.87,
    "eval_rtd_precision": 0.75,
    "eval_rtd_recall": 0.4,
    "eval_tokens_per_second": 12345.6,
    "epoch": 1.0,
}


@pytest.fixture(scope="session")
def tokenizer() -> BertTokenizer:
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(VOCABULARY)}, model_max_length=24)


@pytest.fixture(scope="session")
def config() -> ElectraConfig:
    # More rows than pieces, as when an embedding table is padded to a round number.
    return ElectraConfig(
        vocab_size=len(VOCABULARY) + 5,
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=24,
    )


@pytest.fixture
def run_folder(tmp_path: Path, tokenizer: BertTokenizer, config: ElectraConfig) -> Path:
    folder = tmp_path / "run"
    torch.manual_seed(0)
    ElectraForPreTraining(config).save_pretrained(folder)
    ElectraForMaskedLM(config).save_pretrained(folder / "generator")
    tokenizer.save_pretrained(folder)
    samples = ["The cat sat on the mat.", "A dog ran home, playing!", "The unable cat played and ran."]
    (folder / "held_out_samples.txt").write_text("\n".join(samples) + "\n", encoding="utf-8")
    (folder / "eval_results.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    history = [{"step": 1, "loss": 40.0, "rtd_loss": 0.7}, {"step": 2, "loss": 30.0, "rtd_loss": 0.5}]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}), encoding="utf-8")
    return folder
