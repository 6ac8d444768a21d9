"""Our counts equal those of seqeval, on random tags and on the published files (ELECTRA_HF_DATA)."""

import os
import random
import warnings
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from electra_hf.finetuning.tagging.entities import entities_of
from electra_hf.finetuning.tagging.metrics import compute_tagging_metrics, type_scores

seqeval = pytest.importorskip("seqeval.metrics")
scheme_of = {"IOB2": pytest.importorskip("seqeval.scheme").IOB2, "BIOES": pytest.importorskip("seqeval.scheme").IOBES}

DATA = Path(os.environ.get("ELECTRA_HF_DATA") or ".")


def reference(gold: list[list[str]], predicted: list[list[str]], scheme: str) -> dict[str, float]:
    strict = {"mode": "strict", "scheme": scheme_of[scheme]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every division by zero
        return {
            "f1": seqeval.f1_score(gold, predicted),
            "precision": seqeval.precision_score(gold, predicted),
            "recall": seqeval.recall_score(gold, predicted),
            "macro_f1": seqeval.f1_score(gold, predicted, average="macro"),
            "accuracy": seqeval.accuracy_score(gold, predicted),
            "f1_strict": seqeval.f1_score(gold, predicted, **strict),
        }


def check(gold: list[list[str]], predicted: list[list[str]], scheme: str) -> None:
    ours = compute_tagging_metrics(gold, predicted, scheme=scheme, unit="word")  # type: ignore[arg-type]
    theirs = reference(gold, predicted, scheme)
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = seqeval.classification_report(gold, predicted, output_dict=True)
    for name, scores in type_scores(gold, predicted, scheme).items():  # type: ignore[arg-type]
        theirs = [report[name][key] for key in ("precision", "recall", "f1-score", "support")]
        assert list(scores.values()) == pytest.approx(theirs, abs=1e-12), name


@pytest.mark.parametrize("scheme", ["IOB2", "BIOES"])
@pytest.mark.parametrize("seed", range(20))
def test_random_tags_that_mostly_do_not_fit_each_other(scheme: str, seed: int):
    draw = random.Random(seed)
    letters = "BI" if scheme == "IOB2" else "BIES"
    tags = ["O", "O", *(f"{letter}-{name}" for letter in letters for name in ("PER", "creative-work", "B"))]
    gold = [[draw.choice(tags) for _ in range(draw.randint(1, 12))] for _ in range(15)]
    predicted = [[tag if draw.random() < 0.7 else draw.choice(tags) for tag in sentence] for sentence in gold]
    check(gold, predicted, scheme)
    for sentence, entities in zip(gold, entities_of(gold), strict=True):
        assert [(*entity[:2], entity.end - 1) for entity in entities] == seqeval_entities(sentence)


def seqeval_entities(tags: list[str]) -> list[tuple[str, int, int]]:
    from seqeval.metrics.sequence_labeling import get_entities

    return get_entities(tags)


def read(path: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Units and tags of the columns of a file, without the reader that is tested elsewhere."""
    sentences: list[list[list[str]]] = [[]]
    for line in path.read_text(encoding="utf-8").split("\n"):
        columns = line.split("\t")
        if len(columns) == 2 and columns[0] and not line.startswith("## "):
            sentences[-1].append(columns)
        elif sentences[-1]:
            sentences.append([])
    kept = [sentence for sentence in sentences if sentence]
    return [[unit for unit, _ in sentence] for sentence in kept], [[tag for _, tag in sentence] for sentence in kept]


def corrupted(gold: list[list[str]]) -> list[list[str]]:
    draw = random.Random(0)
    tags = sorted({tag for sentence in gold for tag in sentence})
    return [[tag if draw.random() < 0.95 else draw.choice(tags) for tag in sentence] for sentence in gold]


@pytest.mark.skipif(not os.environ.get("ELECTRA_HF_DATA"), reason="ELECTRA_HF_DATA is not set")
class TestPublishedFiles:
    def test_wnut17(self):
        _, gold = read(DATA / "ner_open_en/WNUT17/CONLL-format/data/dev/emerging.dev.conll")
        assert len(gold) == 1_009
        check(gold, corrupted(gold), "IOB2")
        assert compute_tagging_metrics(gold, gold, scheme="IOB2", unit="word")["f1"] == 1.0

    def test_klue(self):
        units, gold = read(DATA / "klue/klue-ner-v1.1_dev.tsv")
        assert len(gold) == 5_000
        predicted = corrupted(gold)
        # seqeval takes minutes for all of the 285,929 characters.
        check(gold[::10], predicted[::10], "IOB2")
        ours = compute_tagging_metrics(gold, predicted, scheme="IOB2", unit="character", units=units)
        # As klue_baseline computes it, in scikit-learn and seqeval: without the spaces. That it puts all sentences in
        # one row changes nothing, because [CLS] and [SEP] stand between them as O.
        characters = [
            [
                [tag for tag, unit in zip(*sentence, strict=True) if unit != " "]
                for sentence in zip(side, units, strict=True)
            ]
            for side in (gold, predicted)
        ]
        rows = [[tag for tags in side for tag in tags] for side in characters]
        assert ours["char_f1"] == pytest.approx(f1_score(*rows, average="macro", zero_division=1.0), abs=1e-12)
        strict = seqeval.f1_score(*characters, average="macro", mode="strict", scheme=scheme_of["IOB2"])
        assert ours["entity_macro_f1"] == pytest.approx(strict, abs=1e-12)
