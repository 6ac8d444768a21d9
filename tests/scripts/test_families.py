"""Every family of encoders in every script: pre-trained, then fine-tuned for texts and for tags."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from tiny_glue import BAD, FILLING, GOOD, RECIPE, run_glue, scores
from tiny_ner import RECIPE as NER_RECIPE
from tiny_script import assert_explained, run_module
from transformers import AutoModelForTokenClassification, BertTokenizer

from electra_hf.models.backbones import BACKBONES

SIZES = "hidden_size=16,num_hidden_layers=2,num_attention_heads=2,intermediate_size=32,max_position_embeddings=40"
OWN = {
    "electra": ",embedding_size=16",
    "convbert": ",embedding_size=16,conv_kernel_size=3",
    "modernbert": ",local_attention=8",
    "deberta-v2": ",relative_attention=true,position_buckets=8,pos_att_type=p2c|c2p",
}
SIZED = {name: SIZES + OWN.get(name, "") for name in BACKBONES}


def make_encoder(model_type: str, folder: Path) -> Path:
    """An encoder as pre-training leaves it, without the pooler that some classes of transformers have."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLING]
    backbone = BACKBONES[model_type]
    config = backbone.config_class(vocab_size=len(words), pad_token_id=0)
    for item in SIZED[model_type].split(","):
        name, value = item.split("=")
        setattr(config, name, int(value) if value.isdigit() else value == "true" if value == "true" else value)
    config.initializer_range = 0.2
    for name, number in {"bos": 2, "cls": 2, "eos": 3, "sep": 3}.items():
        if getattr(config, f"{name}_token_id", None) is not None:
            setattr(config, f"{name}_token_id", number)
    backbone.settle(config, {})
    torch.manual_seed(0)
    backbone.make_encoder(config).save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(words)}
    BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_texts(model_type, glue: ModuleType, files: tuple[str, ...], tmp_path: Path):
    encoder = make_encoder(model_type, tmp_path / "encoder")
    short = (*RECIPE, "--num_train_epochs", "1", "--layerwise_lr_decay", "0.9", "--learning_rate", "2e-3")
    options = ("--model_name_or_path", encoder, *files, *short, "--do_predict")
    done = run_glue(glue, *options, "--output_dir", tmp_path / "run")
    assert done.code == 0, done.stderr
    # Rows of all lengths in one batch, and each alone.
    again = ("--model_name_or_path", tmp_path / "run", *files, *RECIPE, "--do_train", "false", "--do_predict")
    done = run_glue(glue, *again, "--per_device_eval_batch_size", "1", "--output_dir", tmp_path / "alone")
    assert done.code == 0, done.stderr
    outputs = [np.load(next((tmp_path / name).rglob("outputs.npz")))["test"] for name in ("run", "alone")]
    np.testing.assert_allclose(*outputs, atol=1e-4)
    if model_type not in ("electra", "convbert"):
        assert_explained(
            run_glue(glue, *options, "--classification_head", "reference", "--output_dir", tmp_path / "no"),
            2,
            ("classification_head reference is for electra, convbert", "classification_head transformers"),
        )


@pytest.mark.parametrize("model_type", sorted(BACKBONES))
def test_tags(model_type, ner: ModuleType, ner_files: tuple[str, ...], tmp_path: Path):
    encoder = make_encoder(model_type, tmp_path / "encoder")
    options = ("--model_name_or_path", encoder, *ner_files, *NER_RECIPE, "--layerwise_lr_decay", "0.9")
    done = run_module(ner, *options, "--num_train_epochs", "2", "--output_dir", tmp_path / "run")
    assert done.code == 0, done.stderr
    tagger = AutoModelForTokenClassification.from_pretrained(tmp_path / "run")
    assert tagger.config.model_type == model_type
    assert scores(tmp_path / "run")["seeds"]
