"""Words for masks: against the model's own probabilities, for tokenizers of each kind."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import ElectraConfig, ElectraForMaskedLM, PreTrainedTokenizerFast

from electra_hf.sharing.demo.filling import Candidate, FilledText, TextProblem, fill
from electra_hf.sharing.demo.records import readable
from electra_hf.sharing.demo.tokens import is_byte_level

SPECIAL = {"pad_token": "<pad>", "mask_token": "<mask>", "unk_token": "<unk>"}


class Wants(ElectraForMaskedLM):
    """Gives each mask the tokens of a list, the first one the best odds, whatever the text."""

    wanted: list[int]

    def forward(self, input_ids):
        output = super().forward(input_ids=input_ids)
        output.logits.zero_()
        for rank, number in enumerate(self.wanted):
            output.logits[..., number] = 10.0 - rank
        return output


def words_of(tokenizer, text: str, pieces: list[str]) -> FilledText:
    config = ElectraConfig(
        vocab_size=len(tokenizer), embedding_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    model = Wants(config).eval()
    model.wanted = tokenizer.convert_tokens_to_ids(pieces)
    return fill(text, tokenizer, model, len(pieces))


def byte_level() -> PreTrainedTokenizerFast:
    pieces = ["<pad>", "<mask>", "<unk>", "The", "Ġcaf", "Ã©", "Ġcity", "ing", ".", "Ã", "Ġ"]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **SPECIAL)


def sentencepiece() -> PreTrainedTokenizerFast:
    pieces = ["<pad>", "<mask>", "<unk>", "▁the", "▁city", "ing", "."]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **SPECIAL)


def test_probabilities_are_those_of_the_model_at_each_mask(run_folder: Path, tokenizer):
    model = ElectraForMaskedLM.from_pretrained(run_folder / "generator").eval()
    result = fill("the [MASK] sat on a [MASK] .", tokenizer, model, 3)
    ids = tokenizer("the [MASK] sat on a [MASK] .", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        odds = model(ids).logits.softmax(-1)[0, ids[0] == tokenizer.mask_token_id]
    assert len(result.masks) == 2
    for row, candidates in zip(odds, result.masks, strict=True):
        allowed = row.clone()
        allowed[:5], allowed[len(tokenizer) :] = 0, 0
        best = allowed.topk(3)
        assert [candidate.id for candidate in candidates] == best.indices.tolist()
        assert [candidate.probability for candidate in candidates] == pytest.approx(best.values.tolist(), rel=1e-4)


def test_pieces_of_wordpiece_go_on_with_the_word_before(tokenizer):
    result = words_of(tokenizer, "the cat play [MASK] on", ["##ing", "mat"])
    assert [candidate.word for candidate in result.masks[0]] == ["…ing", "mat"]
    assert result.filled == "the cat playing on"
    assert words_of(tokenizer, "play[MASK] on", ["##ing"]).filled == "playing on"


def test_what_people_write_is_a_mask_whatever_the_tokenizer_calls_it():
    result = words_of(byte_level(), "The [MASK].", ["Ġcity", "ing", "Ã©", "Ã"])
    assert [candidate.word for candidate in result.masks[0]] == ["city", "…ing", "…é", "…�"]
    assert result.filled == "The city."
    assert words_of(byte_level(), "The <mask>.", ["ing"]).filled == "Theing."
    assert words_of(byte_level(), "The[MASK].", ["Ġcity"]).filled == "The city."


def test_sentencepiece_marks_the_start_of_a_word():
    result = words_of(sentencepiece(), "the [MASK] .", ["▁city", "ing"])
    assert [candidate.word for candidate in result.masks[0]] == ["city", "…ing"]
    assert result.filled == "the city ."


def test_a_text_without_a_mask_or_too_long_says_so(tokenizer):
    with pytest.raises(TextProblem, match=r"no mask in it: write \[MASK\] in the place"):
        words_of(tokenizer, "the cat", ["mat"])
    with pytest.raises(TextProblem, match=r"write \[MASK\] \(or <mask>"):
        words_of(byte_level(), "The city", ["ing"])
    with pytest.raises(TextProblem, match="it has 23 tokens, and the model takes 16: shorten it"):
        words_of(tokenizer, "cat " * 20 + "[MASK]", ["mat"])


def test_more_candidates_than_words_are_all_of_them(run_folder: Path, tokenizer):
    model = ElectraForMaskedLM.from_pretrained(run_folder / "generator").eval()
    (candidates,) = fill("a [MASK]", tokenizer, model, 1000).masks
    assert isinstance(candidates[0], Candidate)
    assert {candidate.piece for candidate in candidates} == set(tokenizer.get_vocab()) - set(
        tokenizer.all_special_tokens
    )


def test_letters_of_byte_level_pieces_stand_for_bytes(tokenizer):
    assert is_byte_level(byte_level())
    assert not is_byte_level(tokenizer)
    for text in ("café", "한국", "ß"):
        # The inverse is the tokenizers library's own.
        ((piece, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
        assert readable(piece, byte_level=True) == text
    assert readable("dāvana") == "dāvana"
