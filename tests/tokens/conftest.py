"""A tiny list-backed corpus and a tokenizer trained on it, both made in milliseconds."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from transformers import BertTokenizer

from electra_hf.corpora.parts import Part
from electra_hf.tokens.tokenizers import train_wordpiece

WORDS = ["river", "stone", "winter", "lantern", "harbour", "small", "old", "walks", "sings", "over", "under", "quiet"]


class ListCorpus:
    """Documents in memory, in parts of equal size; counts how many were handed out."""

    def __init__(self, documents: list[str], name: str = "list", parts: int = 1) -> None:
        self.name = name
        self.texts = documents
        self.number_of_parts = parts
        self.handed_out = 0

    def parts(self) -> list[Part]:
        if self.number_of_parts == 1:
            return [Part(self.name, self.documents)]
        size = -(-len(self.texts) // self.number_of_parts)
        return [
            Part(f"part {start}", partial(iter, self.texts[start : start + size]))
            for start in range(0, len(self.texts), size)
        ]

    def documents(self) -> Iterator[str]:
        for text in self.texts:
            self.handed_out += 1
            yield text

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "documents": len(self.texts)}


def make_documents(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [
        "\n".join(" ".join(rng.choices(WORDS, k=rng.randint(1, 14))) + "." for _ in range(rng.randint(1, 12)))
        for _ in range(count)
    ]


@pytest.fixture(scope="session")
def documents() -> list[str]:
    return make_documents(60)


@pytest.fixture
def make_corpus() -> Callable[..., ListCorpus]:
    return ListCorpus


@pytest.fixture
def corpus(documents: list[str]) -> ListCorpus:
    return ListCorpus(documents)


@pytest.fixture(scope="session")
def tokenizer(documents: list[str]) -> BertTokenizer:
    return train_wordpiece(documents, 120, show_progress=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "prepared"
