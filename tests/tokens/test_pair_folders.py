"""The labels of pairs on their way from packing through folders and streams into a batch."""

import json
import pickle
from itertools import islice

import numpy as np
import pytest

from electra_hf.errors import CorpusError, PreparationError, UsageError
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.tokens.preparation import preparation_settings, prepare
from electra_hf.tokens.sentence_pairs import NO_PAIR
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.streaming import StreamingBlocks
from electra_hf.training.warmups import cut

NSP = PackingSettings(packing="nsp", max_seq_length=32)
SMALL = {"shard_characters": 4000, "progress": False}


@pytest.fixture
def blocks(corpus, tokenizer, folder):
    return prepare(corpus, tokenizer, folder, NSP, **SMALL)


def labels_of(blocks):
    return [example["pair_label"] for example in blocks]


def test_labels_are_kept_and_counted(blocks, folder):
    stored = np.concatenate([np.load(path) for path in sorted(folder.glob("pair_labels-*.npy"))])
    assert stored.dtype == np.int8 and labels_of(blocks) == stored.tolist()
    counts = {"label_0": (stored == 0).sum(), "label_1": (stored == 1).sum(), "without": (stored == NO_PAIR).sum()}
    assert blocks.manifest["pairs"] == counts and sum(counts.values()) == len(blocks)
    assert blocks.__getitems__([5, 1, 3]).pair_labels.tolist() == stored[[5, 1, 3]].tolist()
    chosen = blocks.select(7)
    assert [chosen[index]["pair_label"] for index in range(7)] == stored[[x["sample"] for x in chosen]].tolist()
    assert labels_of(pickle.loads(pickle.dumps(blocks))) == stored.tolist()
    assert blocks.token_counts(None).sum() == blocks.manifest["counts"]["block_tokens"]


def test_workers_do_not_change_a_byte(corpus, tokenizer, tmp_path):
    for workers in (1, 2):
        prepare(corpus, tokenizer, tmp_path / str(workers), NSP, num_workers=workers, **SMALL)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "12")
    assert one == two and sum(name.startswith("pair_labels-") for name in one) == 4


def test_a_damaged_or_missing_label_is_seen(blocks, folder):
    name = "pair_labels-00000-00001.npy"
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(PreparationError, match=f"{name}.*SHA-256"):
        labels_of(BlockDataset(folder))
    (folder / name).unlink()
    with pytest.raises(PreparationError, match=f"{name}.*not there"):
        BlockDataset(folder)
    del blocks.manifest["shards"][1]["files"][name]
    (folder / "manifest.json").write_text(json.dumps(blocks.manifest))
    with pytest.raises(PreparationError, match=f"{name} is not listed"):
        BlockDataset(folder)


def test_a_stream_has_labels_too(corpus, documents, tokenizer):
    stream = StreamingBlocks(corpus, tokenizer, NSP, shuffle_buffer_size=1)
    packed, _, _ = stream.packer.pack(stream.packer.encoder(), documents, 42, 0, 0, 0)
    rows = list(islice(stream, len(packed)))
    assert [row["pair_label"] for row in rows] == packed.pair_labels.tolist()
    assert np.array_equal([row["input_ids"] for row in rows], packed.ids) and {0, 1} <= set(packed.pair_labels)


def test_the_collator_hands_the_labels_on(blocks, tokenizer):
    collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=0, pair_labels=True)
    expected = labels_of(blocks)[:8]
    batch = collator(blocks.__getitems__(range(8)))
    assert batch["next_sentence_label"].tolist() == expected
    assert batch["next_sentence_label"].dtype == batch["input_ids"].dtype
    assert collator([blocks[index] for index in range(8)])["next_sentence_label"].tolist() == expected
    foreign = [{"input_ids": [2, 9, 3, 8, 3], "token_type_ids": [0, 0, 0, 1, 1], "next_sentence_label": 1}]
    assert collator(foreign)["next_sentence_label"].tolist() == [1]
    assert collator([[2, 9, 3]])["next_sentence_label"].tolist() == [NO_PAIR]
    collator.pair_labels = False
    assert "next_sentence_label" not in collator([blocks[0]])


def test_pieces_of_a_block_are_no_pairs(blocks):
    assert {piece["pair_label"] for piece in cut(blocks[0], 4)} == {NO_PAIR}


def test_one_document_has_no_other(make_corpus, tokenizer, folder):
    alone = make_corpus(["one river.\nold stone walks over.\n" * 9])
    with pytest.raises(PreparationError, match=r"two documents .*--packing sop"):
        prepare(alone, tokenizer, folder, NSP, **SMALL)
    assert not any(folder.iterdir())
    with pytest.raises(CorpusError, match=r"two documents .*--packing sop"):
        list(StreamingBlocks(alone, tokenizer, NSP, shuffle_buffer_size=1))
    settings = PackingSettings(packing="sop", max_seq_length=32)
    assert {0, 1} <= set(labels_of(prepare(alone, tokenizer, folder, settings, **SMALL)))


def test_a_shard_of_one_document_is_unlabelled(make_corpus, documents, tokenizer, folder, caplog):
    long = "\n".join(documents[:20])
    size = len(long)
    corpus = make_corpus([long, *documents])
    with caplog.at_level("INFO", logger="electra_hf"):
        blocks = prepare(corpus, tokenizer, folder, NSP, shard_characters=size, progress=False)
    first = blocks.manifest["shards"][0]["blocks"]
    assert set(labels_of(blocks)[:first]) == {NO_PAIR} and {0, 1} <= set(labels_of(blocks)[first:])
    assert f"{blocks.manifest['pairs']['without']} of {len(blocks)} blocks have no label" in caplog.text


def test_settings_of_other_packings_are_what_they_were(corpus, tokenizer):
    electra = {
        "packing": "electra", "max_seq_length": 128, "single_segment_probability": 0.1, "short_probability": 0.05,
        "overflow": "carry", "seed": 42,
    }  # fmt: skip
    assert preparation_settings(corpus, tokenizer, PackingSettings())["packing"] == electra
    assert PackingSettings(packing="full").identity() == {"packing": "full", "max_seq_length": 128}
    pairs = PackingSettings(packing="nsp", truncation="second_first").identity()
    assert pairs["truncation"] == "second_first" and "single_segment_probability" not in pairs
    with pytest.raises(UsageError, match="truncation: 'first'"):
        PackingSettings(packing="nsp", truncation="first")
