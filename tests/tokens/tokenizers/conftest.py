"""SentencePiece models, trained on a few lines in milliseconds."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import sentencepiece

from electra_hf.tokens.tokenizers.sentencepiece_models import parse_model

LINES = [
    "the quiet river sings over small stones",
    "a river of stones, and a lantern in the harbour",
    "winter walks under old stones: 1234 and 56 --- and more",
    "日本語の文章は空白なしで書かれる。日本の川は静かだ。",
    "조용한 강은 작은 돌 위에서 노래한다. 강은 오래된 강이다.",
    "é è ê ü ö ñ café naïve Évora Straße",
] * 4


@pytest.fixture(scope="session")
def lines() -> list[str]:
    return LINES


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """Train a model; options go to SentencePiece."""

    def make(lines: list[str] = LINES, **options: Any) -> Any:
        content = io.BytesIO()
        settings = {"vocab_size": 200, "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 2} | options
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=content, **settings)
        return parse_model(content.getvalue(), "model")

    return make
