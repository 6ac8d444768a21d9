import pickle
from itertools import islice, takewhile

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from electra_hf.errors import CorpusError, PreparationError
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.streaming import StreamingBlocks

SETTINGS = PackingSettings(max_seq_length=32)


@pytest.fixture
def blocks(corpus, tokenizer, folder) -> BlockDataset:
    return prepare(corpus, tokenizer, folder, SETTINGS, shard_characters=4000, progress=False)


def test_examples(blocks, tokenizer, folder):
    example = blocks[-1]
    assert set(example) == {"input_ids", "length", "first_length", "sample", "epoch"}
    assert example["sample"] == len(blocks) - 1 and example["epoch"] == 0
    assert blocks.max_length == 32 and blocks.vocab_size == len(tokenizer)
    rows = np.concatenate([np.load(folder / f"blocks-00000-{shard:05d}.npy") for shard in range(4)])
    chosen = [len(blocks) - 1, 0, 50, 51]
    batch = blocks.__getitems__(chosen)
    assert np.array_equal([example["input_ids"] for example in batch], rows[chosen])
    assert [example["sample"] for example in batch] == chosen
    with pytest.raises(IndexError):
        blocks[len(blocks)]


def test_a_batch_of_blocks_is_masked_like_its_examples(blocks, tokenizer):
    collator = DataCollatorForReplacedTokenDetection(tokenizer, seed=3)
    blocks.set_epoch(2)
    chosen = [len(blocks) - 1, 51, 0, 50, 51]
    batch, examples = blocks.__getitems__(chosen), [blocks[index] for index in chosen]
    assert len(batch) == 5 and batch[-1]["sample"] == 51 and {example["epoch"] for example in batch} == {2}
    whole, expected = collator(batch), collator(examples)
    assert set(whole) == set(expected)
    assert all(torch.equal(values, expected[name]) for name, values in whole.items())


def test_select(blocks):
    few = blocks.select(7)
    assert len(few) == 7 and len(blocks) > 7 and len(blocks.select(10**9)) == len(blocks)
    spread = [index * len(blocks) // 7 for index in range(7)]
    assert [example["sample"] for example in few] == [few[index]["sample"] for index in range(7)] == spread
    assert np.array_equal(few[6]["input_ids"], blocks[spread[6]]["input_ids"])
    assert [example["sample"] for example in few.select(2)] == [0, len(blocks) // 2]
    blocks.set_epoch(3)
    assert few[0]["epoch"] == 0 and blocks[0]["epoch"] == 3


def test_pickle_carries_no_blocks(blocks):
    blocks[0]
    data = pickle.dumps(blocks)
    assert len(data) < 20_000
    assert np.array_equal(pickle.loads(data)[5]["input_ids"], blocks[5]["input_ids"])


def test_workers_that_outlive_an_epoch_see_the_next(blocks):
    loader = DataLoader(blocks, 64, collate_fn=list, num_workers=1, persistent_workers=True)
    for epoch in (0, 1):
        blocks.set_epoch(epoch)
        examples = [example for batch in loader for example in batch]
        assert {example["epoch"] for example in examples} == {epoch}
        assert [example["sample"] for example in examples] == list(range(len(blocks)))


def test_token_counts(blocks, tokenizer):
    real = [example["input_ids"][: example["length"]] for example in blocks]
    expected = np.bincount(np.concatenate(real), minlength=len(tokenizer))
    assert np.array_equal(blocks.token_counts(), expected)
    assert expected[tokenizer.pad_token_id] == 0
    assert blocks.token_counts(max_blocks=10)[tokenizer.cls_token_id] == 10


def test_damaged_folders(blocks, folder):
    path = folder / "lengths-00000-00002.npy"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(PreparationError, match=r"lengths-00000-00002\.npy.*bytes instead of"):
        BlockDataset(folder)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    BlockDataset(folder)  # the size is right, only the hash can tell
    with pytest.raises(PreparationError, match=r"lengths-00000-00002\.npy.*SHA-256"):
        BlockDataset(folder, verify=True)
    blocks = BlockDataset(folder)
    assert len([blocks[index] for index in range(40)]) == 40
    with pytest.raises(PreparationError, match=r"lengths-00000-00002\.npy.*SHA-256.*makes it anew"):
        [blocks[index] for index in range(len(blocks))]  # found when the block is read
    path.unlink()
    with pytest.raises(PreparationError, match=r"lengths-00000-00002\.npy.*it is not there"):
        BlockDataset(folder)
    path.write_bytes(data)
    BlockDataset(folder, verify=True)
    (folder / "manifest.json").write_text("{half")
    with pytest.raises(PreparationError, match="is not JSON"):
        BlockDataset(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(PreparationError, match="no finished prepared corpus"):
        BlockDataset(folder)


def one_pass(stream) -> list[dict]:
    return list(takewhile(lambda example: example["epoch"] == 0, stream))


def keys(examples) -> list[tuple[int, ...]]:
    return [tuple(example["input_ids"].tolist()) for example in examples]


def test_stream_in_order_is_the_text(corpus, documents, tokenizer):
    stream = StreamingBlocks(corpus, tokenizer, SETTINGS, shuffle_buffer_size=1)
    examples = one_pass(stream)
    assert [example["sample"] for example in examples] == list(range(len(examples)))
    found = [token for example in examples for token in example["input_ids"][: example["length"]].tolist()]
    lines = [line for text in documents for line in text.split("\n")]
    expected = [token for line in lines for token in tokenizer(line, add_special_tokens=False)["input_ids"]]
    assert [token for token in found if token not in (2, 3)] == expected


def test_stream_goes_on_in_another_order_and_shuffles_by_seed(corpus, tokenizer):
    stream = StreamingBlocks(corpus, tokenizer, SETTINGS, shuffle_buffer_size=50, seed=1)
    first, again = one_pass(stream), one_pass(stream)
    samples = [example["sample"] for example in first]
    assert sorted(samples) == list(range(len(first))) != samples
    assert keys(first) == keys(again)
    both = list(takewhile(lambda example: example["epoch"] < 2, stream))
    assert keys(both[: len(first)]) == keys(first)
    other = [example["sample"] for example in both[len(first) :]]
    # Another draw of the segments makes another number of blocks.
    assert sorted(other) == list(range(len(other))) != other
    assert other[:50] != samples[:50]
    other_seed = StreamingBlocks(corpus, tokenizer, SETTINGS, shuffle_buffer_size=50, seed=2)
    assert [example["sample"] for example in one_pass(other_seed)][:50] != samples[:50]


def test_stream_without_a_block_is_an_error(make_corpus, tokenizer):
    with pytest.raises(CorpusError, match="gives no block for loader worker 1 of 1: add text"):
        next(iter(StreamingBlocks(make_corpus([]), tokenizer, SETTINGS)))
    alone = DataLoader(StreamingBlocks(make_corpus(["one two"]), tokenizer, SETTINGS), batch_size=None, num_workers=2)
    with pytest.raises(CorpusError, match="worker 2 of 2: add text, or use fewer --dataloader_num_workers"):
        list(islice(alone, 4))


def test_stream_is_divided_among_workers(corpus, documents, tokenizer):
    stream = StreamingBlocks(corpus, tokenizer, SETTINGS, shuffle_buffer_size=20)
    alone = one_pass(stream)
    # The workers take turns, and one is in its second pass before the other.
    endless = islice(DataLoader(stream, batch_size=None, num_workers=2), 2 * len(alone))
    shared = [example for example in endless if example["epoch"] == 0]
    samples = [example["sample"] for example in shared]
    assert len(set(samples)) == len(samples)
    for examples in (alone, shared):
        tokens = sorted(
            token for example in examples for token in np.asarray(example["input_ids"]).tolist() if token > 4
        )
        if examples is alone:
            expected = tokens
    assert tokens == expected


def test_from_folder_to_masked_batch(blocks, corpus, tokenizer):
    collator = DataCollatorForReplacedTokenDetection(tokenizer, seed=0)
    for source in (blocks, StreamingBlocks(corpus, tokenizer, SETTINGS)):
        batch = next(iter(DataLoader(source, batch_size=8, collate_fn=collator)))
        assert batch["input_ids"].shape == (8, 32) and batch["masked_positions"].shape == (8, 5)
        assert batch["token_type_ids"].dtype == torch.int64
        restored = batch["original_ids"] == batch["input_ids"]
        assert 0.8 < restored.float().mean() < 0.95
