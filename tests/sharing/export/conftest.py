"""Tiny models of every family, saved as a run or a fine-tuning leaves them, and one export for several tests."""

import contextlib
import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertTokenizer,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
)

from electra_hf.cli import run
from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig
from electra_hf.models.backbones import BACKBONES
from electra_hf.models.token_classification import TokenClassificationWithCRF

WORDS = [f"w{number}" for number in range(59)]
TEXTS = ["w1 w2 w3 w4 w5 w6 w7 w8", "w9 w10 w11", "w12 w13 w14 w15 w16 w17 w18 w19 w20 w21 w22"]
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
_SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
}
_FAMILY_SIZES: dict[str, dict[str, Any]] = {
    "electra": {"embedding_size": 8},
    "convbert": {"embedding_size": 8, "num_attention_heads": 4},
    "roberta": {"type_vocab_size": 1, "max_position_embeddings": 25},
    "modernbert": {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
}


def family_config(family: str) -> Any:
    """A configuration of the family with one small layer."""
    return BACKBONES[family].config_class(**{**_SIZES, **_FAMILY_SIZES.get(family, {})})


def spread(model: Any) -> Any:
    """The model with weights far enough from zero for differences to show."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="session")
def words() -> BertTokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return BertTokenizer(vocab={token: i for i, token in enumerate(special + WORDS)}, model_max_length=512)


@pytest.fixture(scope="session")
def python_block() -> Callable[[str], str]:
    """Find the block of Python in the page of the documentation that holds a text."""
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    return lambda holding: next(block for block in blocks if holding in block)


@pytest.fixture(scope="session")
def make_config() -> Callable[[str], Any]:
    return family_config


@pytest.fixture(scope="session")
def save(words: BertTokenizer) -> Callable[[Any, Path], Path]:
    """Write a model with the tokenizer beside it."""

    def save(model: Any, folder: Path) -> Path:
        spread(model).save_pretrained(folder)
        words.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def make_run(save: Callable[[Any, Path], Path]) -> Callable[[str, Path], Path]:
    """A run of `--objective rtd` for a family."""

    def make(family: str, folder: Path) -> Path:
        configs = {name: family_config(family) for name in ("generator_config", "discriminator_config")}
        return save(ElectraForReplacedTokenDetection(ReplacedTokenDetectionConfig(**configs)), folder)

    return make


@pytest.fixture(scope="session")
def make_tagger(save: Callable[[Any, Path], Path]) -> Callable[[str, Path], Path]:
    """A tagger with a CRF for a family."""

    def make(family: str, folder: Path) -> Path:
        config = family_config(family)
        config.id2label, config.label2id = dict(enumerate(LABELS)), {label: i for i, label in enumerate(LABELS)}
        plain = AutoModelForTokenClassification.from_config(config)
        return save(TokenClassificationWithCRF.from_plain(plain, "IOB2", [0, 2, 3]), folder)

    return make


@pytest.fixture(scope="session")
def make_classifier(save: Callable[[Any, Path], Path]) -> Callable[..., Path]:
    """A classifier or regressor of texts; keywords are fields of its configuration."""

    def make(folder: Path, family: str = "electra", **fields: Any) -> Path:
        config = family_config(family)
        for name, value in fields.items():
            setattr(config, name, value)
        return save(AutoModelForSequenceClassification.from_config(config), folder)

    return make


@pytest.fixture(scope="session")
def detector_export(words: BertTokenizer, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An ELECTRA run, exported by the command with int8; what it printed, and what it warned of."""
    root = tmp_path_factory.mktemp("detector")
    config: ElectraConfig = family_config("electra")
    spread(ElectraForPreTraining(config)).save_pretrained(root / "run")
    spread(ElectraForMaskedLM(config)).save_pretrained(root / "run" / "generator")
    words.save_pretrained(root / "run")
    (root / "run" / "held_out_samples.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    printed, errors = io.StringIO(), io.StringIO()
    arguments = ["export", str(root / "run"), "--output_dir", str(root / "onnx"), "--quantize", "int8"]
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
        warnings.catch_warnings(record=True) as warned,
    ):
        run([*arguments, "--latency_calls", "10", "--num_threads", "1"])
    messages = [str(warning.message) for warning in warned if not issubclass(warning.category, DeprecationWarning)]
    return SimpleNamespace(
        run=root / "run", folder=root / "onnx", printed=printed.getvalue(), errors=errors.getvalue(), warned=messages
    )
