from electra_hf.tokens.inspection import block_tokens, evenly_spread, masked_block_tokens
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.shards import PackingSettings


def test_a_block_as_text_with_its_segments(corpus, tokenizer, folder):
    settings = PackingSettings(max_seq_length=32, single_segment_probability=0.0)
    blocks = prepare(corpus, tokenizer, folder, settings, progress=False)
    example = next(blocks[index] for index in range(len(blocks)) if blocks[index]["first_length"] < 20)
    tokens = block_tokens(example, tokenizer)
    assert [token.piece for token in tokens] == tokenizer.convert_ids_to_tokens(
        example["input_ids"][: example["length"]].tolist()
    )
    assert [token.segment for token in tokens].index(1) == example["first_length"]
    assert [token.piece for token in tokens if token.special] == ["[CLS]", "[SEP]", "[SEP]"]
    assert not any(token.unknown or token.masked_by for token in tokens)


def test_unknown_text_is_marked(make_corpus, tokenizer, folder):
    blocks = prepare(make_corpus(["river 漢 stone"]), tokenizer, folder, PackingSettings(), progress=False)
    assert [token.unknown for token in block_tokens(blocks[0], tokenizer)] == [False, False, True, False, False]


def test_the_masked_block_is_what_training_sees(corpus, tokenizer, folder):
    blocks = prepare(corpus, tokenizer, folder, PackingSettings(max_seq_length=32), progress=False)
    collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=7, mask_replace_prob=0.5)
    tokens = masked_block_tokens(blocks[3], tokenizer, collator)
    batch = collator([blocks[3]])
    seen = tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    assert [token.masked_by or token.piece for token in tokens] == seen[: len(tokens)]
    masked = [position for position, token in enumerate(tokens) if token.masked_by]
    used = batch["masked_weights"][0] > 0
    assert masked == batch["masked_positions"][0][used].tolist()
    assert {tokens[position].masked_by for position in masked} > {"[MASK]"}  # some keep their token


def test_examples_come_from_the_whole_folder(corpus, tokenizer, folder):
    blocks = prepare(corpus, tokenizer, folder, PackingSettings(max_seq_length=32), progress=False)
    assert [example["sample"] for example in evenly_spread(blocks, 2)] == [0, len(blocks) // 2]
    assert len(evenly_spread(blocks, 10**6)) == len(blocks)
