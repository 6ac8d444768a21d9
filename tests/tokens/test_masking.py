import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch.utils.data import DataLoader
from transformers import BertTokenizer

from electra_hf.errors import TokenizerError, UsageError
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection as Collator
from electra_hf.tokens.masking import choose_positions, mix, row_keys, slots

PAD, UNK, CLS, SEP, MASK = range(5)


@pytest.fixture
def collator(tokenizer):
    return Collator(tokenizer, seed=7)


def example(sample: int, length: int = 128, real: int | None = None, epoch: int = 0, first: int | None = None) -> dict:
    """A row of the tokenizer's ordinary ids, as a block data set would give it."""
    real = length if real is None else real
    ids = np.full(length, PAD, dtype=np.uint16)
    ids[:real] = np.random.default_rng(sample).integers(5, 60, real)
    ids[0], ids[real - 1] = CLS, SEP
    if first is not None:
        ids[first - 1] = SEP
    return {"input_ids": ids, "length": real, "first_length": first or real, "sample": sample, "epoch": epoch}


def test_mix_is_splitmix64():
    # The first outputs of SplitMix64 for seed 0, whose state grows by the golden constant.
    states = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(value) for value in mix(states)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]


@pytest.mark.parametrize(
    ("length", "probability", "expected"),
    [(128, 0.15, 19), (512, 0.15, 77), (512, 0.25, 128), (5, 0.01, 1), (10, 0.25, 2), (6, 0.25, 2), (14, 0.25, 4)],
)
def test_slots(length, probability, expected):
    assert slots(length, probability) == expected


def test_batch_of_full_rows(collator):
    examples = [example(sample) for sample in range(6)]
    batch = collator(examples)
    assert set(batch) == {"input_ids", "original_ids", "masked_positions", "masked_weights"}
    assert {name: (tuple(values.shape), values.dtype) for name, values in batch.items()} == {
        "input_ids": ((6, 128), torch.int64),
        "original_ids": ((6, 128), torch.int64),
        "masked_positions": ((6, 19), torch.int64),
        "masked_weights": ((6, 19), torch.float32),
    }
    assert batch["original_ids"].tolist() == [row["input_ids"].tolist() for row in examples]
    assert (batch["masked_weights"] == 1).all()
    changed = batch["input_ids"] != batch["original_ids"]
    for row, positions in zip(changed, batch["masked_positions"], strict=True):
        assert len(set(positions.tolist())) == 19
        assert set(row.nonzero().flatten().tolist()) <= set(positions.tolist())
    assert (batch["input_ids"][changed] == MASK).all()


def test_short_rows_use_fewer_slots(collator):
    reals = [128, 60, 30, 4, 3, 2]
    batch = collator([example(sample, real=real) for sample, real in enumerate(reals)])
    used = batch["masked_weights"].sum(1).int().tolist()
    assert used == [19, 9, 4, 1, 1, 0]  # 30 x 0.15 = 4.5 goes to even; two special tokens leave nothing to mask
    unused = batch["masked_weights"] == 0
    assert (batch["masked_positions"][unused] == 0).all()
    assert batch["input_ids"][:, 0].tolist() == [CLS] * 6
    assert batch["attention_mask"].sum(1).tolist() == reals
    assert "token_type_ids" not in batch


def test_attention_mask_only_where_needed(tokenizer, collator):
    assert "attention_mask" not in collator([example(0)])
    assert "attention_mask" in collator([example(0), example(1, real=127)])
    always = Collator(tokenizer, seed=7, always_attention_mask=True)
    assert (always([example(0)])["attention_mask"] == 1).all()


def test_token_types_follow_the_segments(collator):
    batch = collator([example(0, 16, first=6), example(1, 16, real=12, first=5), example(2, 16)])
    assert batch["token_type_ids"].tolist() == [[0] * 6 + [1] * 10, [0] * 5 + [1] * 7 + [0] * 4, [0] * 16]
    assert batch["token_type_ids"].dtype == torch.int64


def test_special_tokens_are_never_masked_but_unknown_is(tokenizer):
    collator = Collator(tokenizer, seed=1, mlm_probability=1.0)
    row = example(0, 12, real=10, first=5)
    row["input_ids"][1:3] = UNK, MASK
    for sample in range(50):
        batch = collator([row | {"sample": sample}])
        used = batch["masked_positions"][batch["masked_weights"] == 1].tolist()
        assert used == [1, 3, 5, 6, 7, 8]  # not [CLS] 0, [MASK] 2, [SEP] 4 and 9, nor padding


def test_positions_are_uniform():
    keys = row_keys(3, np.zeros(40_000), np.arange(40_000))
    candidates = np.ones((40_000, 32), dtype=bool)
    candidates[:, [0, 9, 31]] = False
    positions, used = choose_positions(keys, candidates, np.full(40_000, 32), 0.15)
    assert used.all() and positions.shape == (40_000, 5)
    counts = np.bincount(positions.ravel(), minlength=32)
    assert counts[[0, 9, 31]].sum() == 0
    # Drawn without replacement: counts vary less than a multinomial's by (1 - K / candidates).
    statistic, _ = chisquare(counts[candidates[0]])
    expected = 28 * (1 - 5 / 29)
    assert abs(statistic - expected) < 5 * np.sqrt(2 * 28) * (1 - 5 / 29)
    neighbours = np.bincount((positions[:, 1:] - positions[:, :-1]).ravel())[1:4]
    assert neighbours.min() > 0  # no spacing is favoured by the hash beyond reason
    together = np.zeros((32, 32))
    np.add.at(together, (positions[:, :, None], positions[:, None, :]), 1)
    pairs = together[np.ix_(candidates[0], candidates[0])][np.triu_indices(29, 1)]
    assert abs(pairs.mean() - 40_000 * 5 * 4 / (29 * 28)) < 1e-6
    assert pairs.std() < 1.3 * np.sqrt(pairs.mean())


def test_positions_are_those_of_the_largest_words():
    keys = row_keys(5, np.zeros(200), np.arange(200))
    lengths = np.where(np.arange(200) % 3, 40, np.arange(200) % 40 + 1)
    candidates = (np.arange(40) < lengths[:, None]) & (np.arange(40) % 7 != 0)
    positions, used = choose_positions(keys, candidates, lengths, 0.25)
    for row, key in enumerate(keys):
        words = mix(key + np.arange(40, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        allowed = sorted(np.flatnonzero(candidates[row]), key=lambda position: words[position], reverse=True)
        expected = sorted(allowed[: max(1, round(lengths[row] * 0.25))])
        assert positions[row].tolist() == expected + [0] * (10 - len(expected))
        assert used[row].tolist() == [True] * len(expected) + [False] * (10 - len(expected))


def share(tokenizer, **settings) -> tuple[int, int, int]:
    """How many masked slots of 400 rows got [MASK], another token, or stayed."""
    batch = Collator(tokenizer, seed=5, **settings)([example(sample) for sample in range(400)])
    masked = batch["input_ids"].gather(1, batch["masked_positions"])
    original = batch["original_ids"].gather(1, batch["masked_positions"])
    is_mask, same = int((masked == MASK).sum()), int((masked == original).sum())
    return is_mask, masked.numel() - is_mask - same, same


def test_replacement_shares(tokenizer):
    is_mask, changed, same = share(tokenizer)
    assert changed == 0
    assert chisquare([is_mask, same], [7600 * 0.85, 7600 * 0.15]).pvalue > 1e-4
    observed = share(tokenizer, mask_replace_prob=0.8, random_replace_prob=0.1)
    by_chance = 1 / (len(tokenizer) - 5)  # a random token can be the one that stood there
    shares = [0.8, 0.1 * (1 - by_chance), 0.1 + 0.1 * by_chance]
    assert chisquare(observed, [7600 * part for part in shares]).pvalue > 1e-4


def test_random_tokens_are_uniform_over_ordinary_ids(tokenizer):
    collator = Collator(tokenizer, seed=5, mask_replace_prob=0.0, random_replace_prob=1.0)
    batch = collator([example(sample, 512) for sample in range(200)])
    drawn = batch["input_ids"].gather(1, batch["masked_positions"]).flatten().numpy()
    counts = np.bincount(drawn, minlength=len(tokenizer))
    assert counts[:5].sum() == 0
    assert chisquare(counts[5:]).pvalue > 1e-4


def test_split_is_independent_of_the_choice_of_positions(tokenizer):
    batch = Collator(tokenizer, seed=2)([example(sample) for sample in range(600)])
    kept = batch["input_ids"].gather(1, batch["masked_positions"]) != MASK
    counts = np.bincount(batch["masked_positions"][kept].numpy(), minlength=128)[1:127]
    assert chisquare(counts).pvalue > 1e-4


def test_mask_is_a_function_of_seed_epoch_and_sample(tokenizer, collator):
    examples = [example(sample, real=100 if sample % 3 else 128) for sample in range(20)]
    whole = collator(examples)
    for chosen in ([4], [19, 4, 7], list(range(10, 20))):
        part = collator([examples[index] for index in chosen])
        for name in ("input_ids", "masked_positions", "masked_weights"):
            assert torch.equal(part[name], whole[name][chosen]), name
    again = Collator(tokenizer, seed=7)(examples)
    assert torch.equal(again["input_ids"], whole["input_ids"])
    for other in (
        collator([row | {"epoch": 1} for row in examples]),
        collator([row | {"sample": row["sample"] + 1} for row in examples]),
        Collator(tokenizer, seed=8)(examples),
    ):
        same = (other["masked_positions"] == whole["masked_positions"]).all(1)
        assert same.sum() == 0


def test_workers_give_the_batches_of_the_main_process(collator):
    examples = [example(sample) for sample in range(16)]
    batches = [list(DataLoader(examples, 4, collate_fn=collator, num_workers=workers)) for workers in (0, 2)]  # type: ignore[arg-type]
    for here, there in zip(*batches, strict=True):
        assert torch.equal(here["input_ids"], there["input_ids"])


def test_plain_examples_are_padded(tokenizer, collator):
    texts = ["the quiet river", "old stone walks over a small harbour"]
    encoded = [tokenizer(text) for text in texts]
    for examples in (
        [{"input_ids": row["input_ids"]} for row in encoded],
        [dict(row) for row in encoded],
        [row["input_ids"] for row in encoded],
        [dict(tokenizer(text, padding="max_length", max_length=20)) for text in texts],
        [tokenizer(text, padding="max_length", max_length=20)["input_ids"] for text in texts],
    ):
        batch = collator(examples)
        assert batch["original_ids"].tolist() == tokenizer(texts, padding=True)["input_ids"]
        assert batch["attention_mask"].tolist() == tokenizer(texts, padding=True)["attention_mask"]
        assert (batch["masked_weights"].sum(1) >= 1).all()
    pair = collator([tokenizer("river", "stone walks")])
    assert pair["token_type_ids"].tolist() == [tokenizer("river", "stone walks")["token_type_ids"]]
    assert Collator(tokenizer, seed=1, pad_to_multiple_of=16)(encoded)["input_ids"].shape == (2, 16)


def test_plain_examples_get_new_masks_each_time(collator):
    examples = [{"input_ids": example(sample)["input_ids"].tolist()} for sample in range(4)]
    assert not torch.equal(collator(examples)["masked_positions"], collator(examples)["masked_positions"])


def test_numpy_batches(tokenizer, collator):
    arrays = Collator(tokenizer, seed=7, return_tensors="np")([example(0)])
    assert isinstance(arrays["input_ids"], np.ndarray)
    assert (arrays["input_ids"] == collator([example(0)])["input_ids"].numpy()).all()


def test_seed_defaults_to_torch(tokenizer):
    torch.manual_seed(11)
    first = Collator(tokenizer)([example(0)])
    torch.manual_seed(11)
    assert torch.equal(first["input_ids"], Collator(tokenizer)([example(0)])["input_ids"])


def test_wrong_settings(tokenizer):
    with pytest.raises(UsageError):
        Collator(tokenizer, mlm=False)
    with pytest.raises(ValueError, match="mlm_probability"):
        Collator(tokenizer, mlm_probability=1.5)
    broken = BertTokenizer(vocab=tokenizer.get_vocab())
    broken.mask_token = None
    with pytest.raises(TokenizerError, match="mask_token"):
        Collator(broken)
