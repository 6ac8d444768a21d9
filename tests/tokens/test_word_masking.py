"""Whole words and spans against a slow reference, row by row in plain Python, and against what they promise."""

import bisect
import random

import numpy as np
import pytest
from scipy.stats import chisquare

from electra_hf.errors import UsageError
from electra_hf.tokens.hashing import row_keys
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection as Collator
from electra_hf.tokens.word_masking import choose_spans, choose_whole_words, find_words, span_lengths

PAD, CLS, SEP, MASK, START, INSIDE, WORD = 0, 2, 3, 4, 5, 6, 7
FLAGS = np.array([0, 0, 0, 0, 0, 1, 0, 3], dtype=np.uint8)  # a token that begins, one that goes on, a word by itself
WORD64 = 2**64 - 1
SPANBERT = {"geometric_p": 0.2, "max_words": 10}


def make_rows(rows: int, length: int, seed: int = 0, weights: tuple = (5, 4, 1)) -> tuple[np.ndarray, np.ndarray]:
    """Rows of words of all sizes, some in two segments, some padded, some beginning in the middle of a word."""
    rng = np.random.default_rng(seed)
    ids = rng.choice([START, INSIDE, WORD], p=np.array(weights) / sum(weights), size=(rows, length))
    lengths = np.where(rng.random(rows) < 0.5, length, rng.integers(2, length + 1, rows))
    for row, end in enumerate(lengths):
        ids[row, rng.integers(1, end)] = SEP
        ids[row, 0], ids[row, end - 1], ids[row, end:] = CLS, SEP, PAD
    return ids, lengths


def words_of(row: list[int]) -> list[tuple[int, int, int]]:
    """(first position, tokens, number of its stretch) of each word of a row."""
    runs: list[list[int]] = []
    stretch, fresh = 0, True
    stretches: list[int] = []
    for position, token in enumerate(row):
        if token < START:
            stretch, fresh = stretch + 1, True
            continue
        if fresh or token != INSIDE or row[position - 1] == WORD:
            runs.append([])
            stretches.append(stretch)
        runs[-1].append(position)
        fresh = False
    words = []
    for run, number in zip(runs, stretches, strict=True):
        parts = [run] if len(run) <= 10 else [[position] for position in run]
        words += [(part[0], len(part), number) for part in parts]
    return words


def mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & WORD64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & WORD64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & WORD64
    return value ^ (value >> 31)


def fill(order: list[tuple[int, int]], budget: int) -> set[int]:
    """Words that fit, in their order; then the first one that did not, in part."""
    masked: set[int] = set()
    passed = []
    for first, size in order:
        if len(masked) + size <= budget:
            masked.update(range(first, first + size))
        else:
            passed.append(first)
    masked.update(range(passed[0], passed[0] + budget - len(masked)) if len(masked) < budget else ())
    return masked


def reference(row: list[int], key: int, budget: int, capacity: int, spans: bool) -> tuple[set[int], dict[int, int]]:
    """Masked positions, and with spans the number of each one's span."""
    words = words_of(row)
    hashes = [mix((key + first * 0x9E3779B97F4A7C15) & WORD64) for first, _, _ in words]
    turns = sorted(range(len(words)), key=lambda number: hashes[number])
    if not spans:
        return fill([words[number][:2] for number in turns], budget), {}
    weights = [0.2 * 0.8**n for n in range(10)]
    bounds = [sum(weights[: n + 1]) / sum(weights) for n in range(10)]
    spans_of: dict[int, int] = {}
    order = []
    for number in turns[:capacity]:
        tag = hashes[number] >> 24
        length = 1 + bisect.bisect_right(bounds, (mix(tag ^ 3) >> 11) * 2.0**-53)
        for first, size, stretch in words[number : number + length]:
            if stretch == words[number][2] and first not in spans_of:
                order.append((first, size))
                spans_of |= dict.fromkeys(range(first, first + size), tag)
    return fill(order, budget), spans_of


def budgets_of(candidates: np.ndarray, lengths: np.ndarray, capacity: int, probability: float) -> np.ndarray:
    wanted = [max(1, round(int(length) * probability)) for length in lengths]
    return np.minimum(np.minimum(wanted, candidates.sum(1)), capacity)


@pytest.mark.parametrize("weights", [(5, 4, 1), (1, 0, 1), (2, 9, 0), (0, 1, 0)], ids=str)
@pytest.mark.parametrize("probability", [0.15, 0.5, 1.0])
def test_masks_are_those_of_the_reference(weights, probability):
    ids, lengths = make_rows(120, 48, weights=weights)
    keys, candidates = row_keys(3, np.zeros(120), np.arange(120)), ids >= START
    capacity = max(1, round(48 * probability))
    budgets = budgets_of(candidates, lengths, capacity, probability)
    words = find_words(ids, candidates, FLAGS)
    assert [words.sizes[words.bounds[row] : words.bounds[row + 1]].tolist() for row in range(120)] == [
        [size for _, size, _ in words_of(row)] for row in ids.tolist()
    ]
    for spans in (False, True):
        if spans:
            positions, used, of_slots = choose_spans(keys, words, budgets, capacity, **SPANBERT)
        else:
            positions, used = choose_whole_words(keys, words, budgets, capacity)
        assert positions.shape == used.shape == (120, capacity)
        assert (positions[~used] == 0).all()
        for row in range(120):
            masked, spans_of = reference(ids[row].tolist(), int(keys[row]), int(budgets[row]), capacity, spans)
            assert len(masked) == budgets[row]
            assert positions[row][used[row]].tolist() == sorted(masked)
            assert used[row].tolist() == [slot < budgets[row] for slot in range(capacity)]
            if spans:
                assert of_slots[row][used[row]].tolist() == [spans_of[place] for place in sorted(masked)]


def test_at_most_one_word_is_masked_in_part():
    ids, lengths = make_rows(400, 64, weights=(3, 6, 0))
    candidates = ids >= START
    words, keys = find_words(ids, candidates, FLAGS), row_keys(1, np.zeros(400), np.arange(400))
    budgets = budgets_of(candidates, lengths, 10, 0.15)
    parts = 0
    for choose, more in ((choose_whole_words, {}), (choose_spans, SPANBERT)):
        positions, used, *_ = choose(keys, words, budgets, 10, **more)
        for row in range(400):
            masked = set(positions[row][used[row]].tolist())
            found = [(first, size) for first, size, _ in words_of(ids[row].tolist())]
            counts = [(sum(first + n in masked for n in range(size)), size) for first, size in found]
            partly = [(first, size, n) for (first, size), (n, _) in zip(found, counts, strict=True) if 0 < n < size]
            assert len(partly) <= 1
            for first, _, n in partly:
                assert {first + step for step in range(n)} <= masked  # its beginning
                if choose is choose_whole_words:  # no word that is not masked would have fitted
                    assert all(size > n for got, size in counts if got == 0)
                parts += 1
    assert parts > 0


def test_words_of_equal_size_are_equally_likely():
    rows = 30_000
    sizes = [1, 2, 3] * 8
    row = [CLS, *(token for size in sizes for token in [START] + [INSIDE] * (size - 1)), SEP]
    ids = np.tile(row, (rows, 1))
    candidates = ids >= START
    words = find_words(ids, candidates, FLAGS)
    keys, budgets = row_keys(2, np.zeros(rows), np.arange(rows)), np.full(rows, 8)
    positions, _ = choose_whole_words(keys, words, budgets, 8)
    counts = np.bincount(positions.ravel(), minlength=len(row))
    firsts = np.array([first for first, _, _ in words_of(row)])
    rng = random.Random(0)
    expected = [0] * 4
    found = [(first, size) for first, size, _ in words_of(row)]
    trials = 10_000
    for _ in range(trials):  # the same rule with other random numbers
        shuffled = rng.sample(found, len(found))
        masked = fill(shuffled, 8)
        for first, size in found:
            expected[size] += first in masked
    for size in (1, 2, 3):
        of_size = counts[firsts[np.array(sizes) == size]]
        share = of_size.mean() / rows
        # Drawn without replacement, so counts vary less than independent ones: the test is on the safe side.
        assert chisquare(of_size).pvalue > 1e-3
        assert abs(share - expected[size] / trials / 8) < 5 * np.sqrt(share * (1 - share) / (8 * trials))


def test_lengths_of_spans():
    hashes = row_keys(0, np.zeros(200_000), np.arange(200_000))
    counts = np.bincount(span_lengths(hashes, 0.2, 10), minlength=11)
    expected = np.array([0.2 * 0.8**n for n in range(10)])
    assert counts[0] == 0 and len(counts) == 11
    assert chisquare(counts[1:], 200_000 * expected / expected.sum()).pvalue > 1e-3
    assert (counts * np.arange(11)).sum() / 200_000 == pytest.approx(3.8, abs=0.02)  # as the paper says
    assert set(span_lengths(hashes, 1.0, 10)) == {1}
    assert set(span_lengths(hashes, 0.2, 1)) == {1}
    assert set(span_lengths(hashes, 0.5, 3)) == {1, 2, 3}


def test_masked_runs_are_spans():
    # With a long row and one slot in a hundred, hardly two spans meet: runs of masked words are the spans themselves.
    ids = np.full((600, 2000), WORD)
    candidates = np.ones(ids.shape, dtype=bool)
    words, keys = find_words(ids, candidates, FLAGS), row_keys(4, np.zeros(600), np.arange(600))
    positions, _, of_slots = choose_spans(keys, words, np.full(600, 20), 20, **SPANBERT)
    runs = np.array([np.bincount(np.unique(row, return_inverse=True)[1]).mean() for row in of_slots])
    assert 3.0 < runs.mean() < 4.0  # 3.8, and the last span of a row is cut
    starts = positions[:, 0]
    assert starts.max() > 400 and (np.diff(positions, axis=1) == 1).mean() > 0.6
    # The first span of a row's order starts anywhere.
    counts = np.histogram(positions[:, 1:-1], bins=10, range=(0, 2000))[0]
    assert counts.min() > 0.8 * counts.mean()


def texts(count: int) -> list[str]:
    rng = random.Random(5)
    words = ["river", "small", "lantern", "walks", "under", "riverwalks", "smallstone", "old", "."]
    return [" ".join(rng.choices(words, k=40)) for _ in range(count)]


@pytest.mark.parametrize("scheme", ["whole_word", "span"])
def test_batches_of_the_collator(tokenizer, scheme):
    rows = [tokenizer(text)["input_ids"] for text in texts(40)]
    length = max(map(len, rows))
    examples = [
        {
            "input_ids": np.array(row + [0] * (length - len(row)), dtype=np.uint16),
            "length": len(row),
            "first_length": len(row),
            "sample": sample,
            "epoch": 0,
        }
        for sample, row in enumerate(rows)
    ]
    token, ours = Collator(tokenizer, seed=7), Collator(tokenizer, seed=7, masking=scheme)
    batch, whole = token(examples), ours(examples)
    # The same slots are used whatever the scheme, other ones are masked.
    assert set(batch) == set(whole)
    assert (batch["masked_weights"] == whole["masked_weights"]).all()
    assert (batch["masked_positions"] != whole["masked_positions"]).any()
    for chosen in ([4], [39, 4, 7], list(range(10, 20))):
        part = ours([examples[index] for index in chosen])
        for name in ("input_ids", "masked_positions", "masked_weights"):
            assert (part[name] == whole[name][chosen]).all(), name
    for other in (
        ours([row | {"epoch": 1} for row in examples]),
        Collator(tokenizer, seed=8, masking=scheme)(examples),
    ):
        same = (other["masked_positions"] == whole["masked_positions"]).all(1)
        assert same.sum() == 0


def choices(tokenizer, **settings) -> tuple[list[int], np.ndarray, np.ndarray]:
    """How many slots got [MASK], another token, or stayed; and for each slot which of them, and where it is."""
    collator = Collator(tokenizer, seed=5, return_tensors="np", mlm_probability=0.3, **settings)
    ids = np.full((400, 128), 20)
    ids[:, 0], ids[:, -1] = CLS, SEP
    batch = collator([{"input_ids": row, "attention_mask": np.ones(128)} for row in ids])
    masked = np.take_along_axis(batch["input_ids"], batch["masked_positions"], axis=1)
    what = np.where(masked == MASK, 0, np.where(masked == 20, 2, 1))
    return np.bincount(what.ravel(), minlength=3).tolist(), what, batch["masked_positions"]


@pytest.mark.parametrize("scheme", ["token", "whole_word"])
def test_replacements_are_chosen_token_by_token(tokenizer, scheme):
    counts, what, _ = choices(tokenizer, masking=scheme, mask_replace_prob=0.8, random_replace_prob=0.1)
    chance = 1 / (len(tokenizer) - 5)  # a random token can be the one that stood there
    shares = [0.8, 0.1 * (1 - chance), 0.1 + 0.1 * chance]
    assert chisquare(counts, [what.size * share for share in shares]).pvalue > 1e-4


def test_replacements_are_chosen_span_by_span(tokenizer):
    shares = {"mask_replace_prob": 0.5, "random_replace_prob": 0.0}
    counts, what, positions = choices(tokenizer, masking="span", span_max_words=10, **shares)
    assert abs(counts[0] / sum(counts) - 0.5) < 0.05
    neighbours = np.diff(positions, axis=1) == 1
    same = (what[:, 1:] == what[:, :-1])[neighbours].mean()
    alone = (what[:, 1:] == what[:, :-1])[~neighbours].mean()
    assert same > 0.75 and abs(alone - 0.5) < 0.06
    counts, what, _ = choices(tokenizer, masking="span", mask_replace_prob=0.0, random_replace_prob=1.0)
    assert counts[0] == 0 and counts[2] < 0.1 * sum(counts)  # each token of a span is another random one


def test_token_masks_are_those_of_before(tokenizer):
    row = np.arange(5, 35).repeat(2)[:46]
    ids = np.array([[CLS, *row[:30], SEP], [CLS, *row[16:], SEP]])
    examples = [
        {"input_ids": ids[n], "length": 32, "first_length": 32, "sample": 11 + n, "epoch": 2} for n in range(2)
    ]
    batch = Collator(tokenizer, seed=42, mask_replace_prob=0.5, random_replace_prob=0.3)(examples)
    golden = [[15, 17, 18, 26, 28], [2, 4, 11, 23, 25]], [[4, 4, 31, 48, 4], [4, 4, 36, 4, 4]]
    masked = batch["input_ids"].gather(1, batch["masked_positions"])
    assert (batch["masked_positions"].tolist(), masked.tolist()) == golden


def test_settings(tokenizer):
    assert Collator(tokenizer, whole_word_mask=True).masking == "whole_word"
    kept = Collator(tokenizer, whole_word_mask=True)
    assert (kept.whole_word_mask, kept.mask_replace_prob) == (True, 0.85)
    wrong: list[dict] = [
        {"masking": "words"},
        {"masking": "span", "whole_word_mask": True},
        {"masking": "span", "span_geometric_p": 0.0},
        {"masking": "span", "span_geometric_p": 1.5},
        {"masking": "span", "span_max_words": 0},
    ]
    for settings in wrong:
        with pytest.raises(UsageError, match=list(settings)[-1]):
            Collator(tokenizer, **settings)
