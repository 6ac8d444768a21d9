import subprocess
import sys
from pathlib import Path

import pytest
from transformers import BertTokenizer

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import check_tokenizer, tokenizer_fingerprint


def test_missing_special_tokens_are_named(tokenizer):
    assert check_tokenizer(tokenizer) is None
    broken = BertTokenizer(vocab=tokenizer.get_vocab())
    broken.mask_token = None
    broken.sep_token = None
    with pytest.raises(TokenizerError, match="mask_token, sep_token"):
        check_tokenizer(broken)


def test_fingerprint_ignores_truncation_and_padding_only(tokenizer):
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a", "the river"], truncation=True, max_length=4, padding="max_length")
    assert tokenizer.backend_tokenizer.truncation is not None
    assert tokenizer_fingerprint(tokenizer) == before
    assert tokenizer_fingerprint(BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False)) != before


def test_modules_of_a_worker_do_not_load_torch():
    code = "import sys, electra_hf.tokens.shards; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0
