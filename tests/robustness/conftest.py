"""Sound inputs for the programs: a corpus, a tokenizer, a model, a run, prepared blocks, labelled and tagged texts."""

import csv
import random
from pathlib import Path

import pytest
import torch
from malformed import Kit, run
from transformers import BertTokenizer, ElectraConfig

from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
)

WORDS = [f"w{number}" for number in range(59)]


@pytest.fixture(scope="session", autouse=True)
def cache(hf_cache: Path) -> Path:
    """Every program here uses it."""
    return hf_cache


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """All sound inputs."""
    root = tmp_path_factory.mktemp("kit")
    rng = random.Random(0)
    (root / "corpus").mkdir()
    for name in ("a.txt", "b.txt"):
        documents = ["\n".join(" ".join(rng.choices(WORDS, k=20)) for _ in range(3)) for _ in range(30)]
        (root / "corpus" / name).write_text("\n\n".join(documents), encoding="utf-8")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)}, model_max_length=16)
    _save_model(root / "model", tokenizer)
    tokenizer.save_pretrained(root / "tokenizer")
    (root / "texts").mkdir()
    (root / "tags").mkdir()
    for split, rows in (("train", 32), ("validation", 8)):
        with (root / "texts" / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            labelled = [(" ".join(rng.choices(WORDS, k=5)), ("good", "bad")[row % 2]) for row in range(rows)]
            csv.writer(file).writerows([("text", "label"), *labelled])
        sentences = ["w1 B-PER\nw2 I-PER\nw3 O\n" for _ in range(rows)]
        (root / "tags" / f"{split}.txt").write_text("\n".join(sentences), encoding="utf-8")
    kit = Kit(**{name: root / name for name in ("corpus", "tokenizer", "model", "run", "prepared", "texts", "tags")})
    sound = ("--train_file", kit.corpus, "--tokenizer_name", kit.tokenizer, "--max_seq_length", 16)
    prepared = run("electra-hf", "prepare", *sound, "--output_dir", kit.prepared, "--num_workers", 1)
    assert prepared.code == 0, prepared.stderr
    saving = ("--max_steps", 2, "--save_strategy", "steps", "--save_steps", 1, "--output_dir", kit.run)
    trained = run("run_pretraining", *pretraining(kit, root / "unused"), *saving)
    assert trained.code == 0, trained.stderr
    return kit


def _save_model(folder: Path, tokenizer: BertTokenizer) -> None:
    torch.manual_seed(0)
    config = ElectraConfig(
        vocab_size=len(tokenizer),
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    joint = ReplacedTokenDetectionConfig(
        generator_config=derive_generator_config(config, 0.5), discriminator_config=config
    )
    ElectraForReplacedTokenDetection(joint).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


_RUN = (
    *("--max_seq_length", 16, "--max_steps", 1, "--per_device_train_batch_size", 4, "--use_cpu"),
    *("--disable_tqdm", "true", "--save_strategy", "no"),
)


def pretraining(kit: Kit, folder: Path) -> tuple[object, ...]:
    """Options of a sound run of run_pretraining.py."""
    return ("--model_name_or_path", kit.model, "--train_file", kit.corpus, *_RUN, "--output_dir", folder)


@pytest.fixture
def sound_pretraining(kit: Kit, tmp_path: Path) -> tuple[object, ...]:
    """Options of a sound run of run_pretraining.py into `out`."""
    return pretraining(kit, tmp_path / "out")


@pytest.fixture
def sound_glue(kit: Kit, tmp_path: Path) -> tuple[object, ...]:
    """Options of a sound run of run_glue.py into `out`."""
    return _finetuning(kit, kit.texts, "csv", tmp_path / "out")


@pytest.fixture
def sound_ner(kit: Kit, tmp_path: Path) -> tuple[object, ...]:
    """Options of a sound run of run_ner.py into `out`."""
    return (*_finetuning(kit, kit.tags, "txt", tmp_path / "out"), "--doc_stride", 4)


def _finetuning(kit: Kit, data: Path, suffix: str, folder: Path) -> tuple[object, ...]:
    files = (f"--{split}_file" for split in ("train", "validation"))
    named = (word for option in files for word in (option, data / f"{option[2:-5]}.{suffix}"))
    return ("--model_name_or_path", kit.model, *named, *_RUN, "--output_dir", folder)
