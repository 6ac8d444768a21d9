"""Tiny models, tokenizers and corpora, built offline in milliseconds."""

import os

# Before transformers is imported: no test may wait for a network that is not there.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hub_server import TOKEN, HubServer
from huggingface_hub import constants
from torch.utils.data import Dataset
from transformers import BertTokenizer, ElectraConfig

from electra_hf.models import (
    ElectraForReplacedTokenDetection,
    ReplacedTokenDetectionConfig,
    derive_generator_config,
)

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{number}" for number in range(59)]


@pytest.fixture
def tokenizer() -> BertTokenizer:
    """64 whole words: `w0` to `w58` and the special tokens at 0 to 4."""
    return BertTokenizer(vocab={token: index for index, token in enumerate(SPECIAL_TOKENS + WORDS)})


@pytest.fixture
def discriminator_config() -> ElectraConfig:
    return ElectraConfig(
        vocab_size=64,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@pytest.fixture
def make_model(discriminator_config):
    """Build a tiny joint model; keyword arguments go to its configuration."""

    def make(seed: int = 0, **settings) -> ElectraForReplacedTokenDetection:
        torch.manual_seed(seed)
        generator_config = derive_generator_config(discriminator_config, 0.25)
        return ElectraForReplacedTokenDetection(
            ReplacedTokenDetectionConfig(
                generator_config=generator_config, discriminator_config=discriminator_config, **settings
            )
        )

    return make


@pytest.fixture
def make_batch():
    """Random rows of 24 tokens with 4 slots; the last row is shorter and leaves a slot unused."""

    def make(rows: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        length, slots = 24, 4
        original = torch.randint(5, 64, (rows, length), generator=generator)
        original[:, 0], original[:, -1] = 2, 3
        mask = torch.ones(rows, length, dtype=torch.long)
        mask[-1, 15:] = 0
        original[-1, 14], original[-1, 15:] = 3, 0
        positions = torch.stack([torch.randperm(13, generator=generator)[:slots] + 1 for _ in range(rows)])
        weights = torch.ones(rows, slots)
        positions[-1, -1], weights[-1, -1] = 0, 0.0
        hidden = original.scatter(1, positions, 4)
        hidden[:, 0] = 2
        types = (torch.arange(length) > 11).long().expand(rows, -1) * mask
        return {
            "input_ids": hidden,
            "original_ids": original,
            "masked_positions": positions,
            "masked_weights": weights,
            "attention_mask": mask,
            "token_type_ids": types,
        }

    return make


class RandomBlocks(Dataset):
    """Full rows of random tokens, in two segments where `first_length` is shorter."""

    def __init__(self, rows: int, length: int, first_length: int):
        self.ids = np.random.default_rng(0).integers(5, 64, (rows, length)).astype(np.uint16)
        self.ids[:, 0], self.ids[:, first_length - 1], self.ids[:, -1] = 2, 3, 3
        self.first_length = first_length

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, first = self.ids[index], self.first_length
        return {"input_ids": row, "length": len(row), "first_length": first, "sample": index, "epoch": 0}


@pytest.fixture
def make_blocks():
    """A data set of random rows."""

    def make(rows: int, length: int = 16, first_length: int | None = None) -> RandomBlocks:
        return RandomBlocks(rows, length, first_length or length)

    return make


@pytest.fixture(scope="session")
def hf_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Hugging Face cache of the tests' own; the library reads the variable when it is imported."""
    home = tmp_path_factory.mktemp("hf_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(home))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(constants, "HF_HOME", str(home))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", home / "datasets")
        yield home


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A stand-in for the Hub, which huggingface_hub in this process talks to, logged in as `someone`."""
    with HubServer(tmp_path_factory.mktemp("hub"), organizations=("group",)) as server:
        settings = {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,  # which has a server of its own
        }
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
        # What fails is asked for again after a while.
        clock = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
        monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
