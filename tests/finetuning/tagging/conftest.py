"""Tokenizers of all kinds, trained on a few lines of English, Korean and Japanese."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from electra_hf.tokens.tokenizers import train_tokenizer

LINES = [
    "the quiet river sings over small stones in New York, and e-mails don't.",
    "조용한 강은 작은 돌 위에서 노래한다. 서울 강남구에서 김철수가 왔다. 은행에서",
    "日本語の文章は空白なしで書かれる。東京都に住む田中さんは株式会社の社員です。ガギグ",
] * 6
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KINDS = ["wordpiece", "stripping", "unigram", "unigram_bytes", "bpe_bytes", "byte_level", "metaspace"]


def byte_level() -> PreTrainedTokenizerBase:
    """As RoBERTa's and ModernBERT's, which have added tokens for several spaces."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()  # type: ignore[assignment]
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    backend.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(LINES, trainer)
    backend.add_tokens(["  ", "stones"])
    return wrapped(backend)


def metaspace() -> PreTrainedTokenizerBase:
    """As XLM-R's: spaces become `▁` when words are cut, not in the normalizer."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()  # type: ignore[assignment]
    backend.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False)
    backend.train_from_iterator(LINES, trainer)
    return wrapped(backend)


def wrapped(backend: Tokenizer) -> PreTrainedTokenizerBase:
    ends = [(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    pad, unk, cls, sep, mask = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=pad, unk_token=unk, cls_token=cls, sep_token=sep, mask_token=mask
    )


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, PreTrainedTokenizerBase]:
    """One of each of KINDS."""
    common = {"show_progress": False, "pad_to_multiple_of": 1}
    return {
        "wordpiece": train_tokenizer(LINES, "wordpiece", 300, **common),
        "stripping": train_tokenizer(LINES, "wordpiece", 300, strip_accents=True, **common),
        "unigram": train_tokenizer(LINES, "unigram", 180, character_coverage=0.98, **common),
        "unigram_bytes": train_tokenizer(LINES, "unigram", 420, byte_fallback=True, **common),
        "bpe_bytes": train_tokenizer(LINES, "bpe", 420, byte_fallback=True, **common),
        "byte_level": byte_level(),
        "metaspace": metaspace(),
    }


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tokenizers: dict[str, PreTrainedTokenizerBase]):
    """Each of them."""
    return tokenizers[request.param]
