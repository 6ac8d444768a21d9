"""Every family of encoders in every script: pre-trained, then fine-tuned for texts and for tags."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from tiny_glue import BAD, FILLING, GOOD, RECIPE, run_glue, scores
from tiny_ner import RECIPE as NER_RECIPE
from tiny_script import RUN, assert_explained, run_module
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertTokenizer,
    PreTrainedTokenizerFast,
)

from electra_hf.cli import run as run_command
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


def make_tokenizer(folder: Path, special: dict[str, str], texts: Path) -> Path:
    """Byte-level BPE with special tokens of any names."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    names = list(dict.fromkeys(special.values()))
    trainer = BpeTrainer(
        vocab_size=340, special_tokens=names, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train([str(path) for path in sorted(texts.glob("*.txt"))], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


ROBERTA_TOKENS = {
    "bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>",
    "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip
MODERNBERT_TOKENS = {
    "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"
}  # fmt: skip


@pytest.mark.parametrize(
    ("model_type", "special", "objective"),
    [("roberta", ROBERTA_TOKENS, "rtd"), ("modernbert", MODERNBERT_TOKENS, "mlm")],
)
def test_pre_training_with_the_tokenizer_of_the_family(model_type, special, objective, script, corpus, tmp_path):
    tokenizer = make_tokenizer(tmp_path / "tokenizer", special, corpus)
    options = ("--tokenizer_name", tokenizer, "--train_file", corpus / "*.txt", "--objective", objective)
    sizes = ("--model_type", model_type, "--config_overrides", SIZED[model_type], *RUN, "--do_eval")
    done = run_module(script, *options, *sizes, "--output_dir", tmp_path / "run")
    assert done.code == 0, done.stderr
    loaded, config = AutoTokenizer.from_pretrained(tmp_path / "run"), AutoConfig.from_pretrained(tmp_path / "run")
    assert (config.pad_token_id, config.vocab_size) == (loaded.pad_token_id, 340)
    assert (config.bos_token_id, config.eos_token_id) == (loaded.cls_token_id, loaded.sep_token_id)
    if objective == "rtd":
        run_command(["detect", str(tmp_path / "run"), "--text", "a text of the family"])


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
