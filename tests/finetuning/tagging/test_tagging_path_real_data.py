"""The published files through the whole path: no entity is lost, whatever the tokenizer and the window.

The folder in ELECTRA_HF_DATA holds klue/ and ner_open_en/.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from electra_hf.finetuning.tagging.arguments import TaggingArguments
from electra_hf.finetuning.tagging.encoding import encode_tagging
from electra_hf.finetuning.tagging.loading import load_tagging
from electra_hf.finetuning.tagging.metrics import compute_tagging_metrics
from electra_hf.finetuning.tagging.whitespace import without_outer_whitespace
from electra_hf.tokens.tokenizers import train_tokenizer

DATA = Path(os.environ.get("ELECTRA_HF_DATA") or ".")
pytestmark = pytest.mark.skipif(not os.environ.get("ELECTRA_HF_DATA"), reason="ELECTRA_HF_DATA is not set")

TOKENIZERS: dict[str, dict[str, Any]] = {
    "wordpiece": {"vocab_size": 4000},
    "unigram": {"vocab_size": 3000},
    "bpe": {"vocab_size": 4000, "byte_fallback": True},
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(("name", "folder"), [("wnut17", "ner_open_en"), ("klue_ner", "klue")])
def test_gold_against_gold(name: str, folder: str, kind: str):
    published = load_tagging(name, TaggingArguments(task_name=name, data_dir=str(DATA / folder)))
    data = without_outer_whitespace(published)
    texts = data.splits["train"]["text"][:]
    tokenizer = train_tokenizer(texts, kind, show_progress=False, **TOKENIZERS[kind])
    for rows in data.splits.values():
        gold = [[data.labels[tag] for tag in tags] for tags in rows["tags"]]
        for length, overlap in ((32, 8), (128, 32)):
            windows = encode_tagging(
                rows,
                tokenizer,
                length,
                labels=data.labels,
                scheme=data.scheme,
                unit=data.unit,
                doc_stride=overlap,
            )
            assert windows.lengths.max() <= length
            outputs = np.zeros((len(windows), windows.lengths.max(), len(data.labels)), dtype=np.float32)
            assert windows.labels is not None
            labelled = np.flatnonzero(windows.labels != -100)
            window = np.searchsorted(windows.bounds, labelled, side="right") - 1
            outputs[window, labelled - windows.bounds[window], windows.labels[labelled]] = 1
            tags = windows.tags_of_units([row.argmax(-1) for row in windows.stitch(outputs)])
            found = [[data.labels[tag] for tag in text] for text in tags]
            assert found == gold
            scores = compute_tagging_metrics(gold, found, scheme=data.scheme, unit=data.unit, labels=data.labels)
            assert (scores["f1"], windows.counts.unreachable) == (1.0, 0)
            assert len(labelled) == windows.counts.units - windows.counts.spaces


def test_entities_of_klue_that_begin_or_end_with_a_space():
    """They are what differs from the published tags: three entities of both files."""
    published = load_tagging("klue_ner", TaggingArguments(task_name="klue_ner", data_dir=str(DATA / "klue")))
    trimmed = without_outer_whitespace(published)
    changed = {
        split: sum(before != after for before, after in zip(rows["tags"], trimmed.splits[split]["tags"], strict=True))
        for split, rows in published.splits.items()
    }
    assert changed == {"train": 1, "validation": 2}
    assert len(trimmed.notes) == len(published.notes) + 2
