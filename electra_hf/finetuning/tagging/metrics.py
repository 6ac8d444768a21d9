"""From tags to scores, as conlleval, seqeval and KLUE define them, and what is wrong with predictions, in words.

Every score is a function of three counts for each type: hits, predicted and gold. They are kept by sentence, which
also gives intervals over the choice of sentences. Scores are fractions; one that divides by nothing, such as the
precision of no prediction, is 0.0.

Two readings of tags that do not fit each other, such as an `I` after `O`, are in use: the lenient one of conlleval,
seqeval's default and transformers' `run_ner.py` (`f1` and all that is not said to be strict), and the strict one, in
which such an entity is none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from electra_hf.finetuning.tagging.counts import Counted, TaggedSplit, Tags
from electra_hf.finetuning.tagging.data import Kind, Scheme, Unit

# hits, predicted and gold, each (..., types) -> (...)
_Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class TaggingMetric:
    """What a metric is, in words, and how it comes from counts."""

    description: str
    counted: Counted
    score: _Score


def _quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Zero where there is nothing to divide by."""
    numerator, denominator = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _precision(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    return _quotient(hits.sum(-1), predicted.sum(-1))


def _recall(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    return _quotient(hits.sum(-1), gold.sum(-1))


def _micro_f1(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    return _quotient(2 * hits.sum(-1), (predicted + gold).sum(-1))


def _macro_f1(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    there = predicted + gold
    return _quotient(_quotient(2 * hits, there).sum(-1), (there > 0).sum(-1))


def _klue_macro_f1(hits: np.ndarray, predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    there = predicted + gold
    each = np.where(there > 0, _quotient(2 * hits, there), 1.0)
    return _quotient(each.sum(-1), np.full(each.shape[:-1], each.shape[-1]))


METRICS: dict[str, TaggingMetric] = {
    "f1": TaggingMetric("micro F1 of entities: borders and type must be right", "entities", _micro_f1),
    "precision": TaggingMetric("share of the predicted entities that are right", "entities", _precision),
    "recall": TaggingMetric("share of the gold entities that were found", "entities", _recall),
    "macro_f1": TaggingMetric(
        "mean over the types of F1, whatever their numbers; a type counts if it is in the gold or in the predictions, "
        "as in seqeval. Of plain tags: the mean over the tags",
        "entities",
        _macro_f1,
    ),
    "accuracy": TaggingMetric("share of the units with the right tag", "tags", _recall),
    "f1_strict": TaggingMetric(
        "micro F1 of those entities that are written as the scheme demands (seqeval, mode strict)", "strict", _micro_f1
    ),
    "entity_macro_f1": TaggingMetric(
        "entity F1 of KLUE: macro F1 of entities in strict IOB2, spaces left out", "klue_entities", _macro_f1
    ),
    "char_f1": TaggingMetric(
        "character F1 of KLUE: mean over all tags, O among them, of the F1 of characters; spaces are left out, and a "
        "tag that neither side has counts 1",
        "klue_tags",
        _klue_macro_f1,
    ),
    "valid_transitions": TaggingMetric(
        "share of neighbouring predicted tags, the ends of sentences included, that the scheme allows",
        "transitions",
        _recall,
    ),
}
_ENTITIES = ("f1", "precision", "recall", "macro_f1", "accuracy", "f1_strict", "valid_transitions")
_KLUE = ("entity_macro_f1", "char_f1")
# What selects models comes first; the rest is shown with it.
DEFAULT_METRICS: dict[Kind, tuple[str, ...]] = {
    "ner": ("f1", "macro_f1"),
    "chunk": ("f1",),
    "pos": ("accuracy", "macro_f1"),
}
_CURES = (
    "Likely cures: longer training (--num_train_epochs), a higher or lower --learning_rate, another --seed. For a "
    "random or barely trained encoder, or a few hundred sentences, it is expected"
)


def metrics_for(scheme: Scheme, unit: Unit) -> tuple[str, ...]:
    """Names of all metrics that `compute_tagging_metrics` gives.

    >>> metrics_for("plain", "word")
    ('accuracy', 'macro_f1')
    """
    if scheme == "plain":
        return "accuracy", "macro_f1"
    return (*_ENTITIES, *_KLUE) if unit == "character" else _ENTITIES


def compute_tagging_metrics(
    gold: Tags,
    predicted: Tags,
    *,
    scheme: Scheme,
    unit: Unit,
    labels: Sequence[str] = (),
    units: Sequence[Sequence[str]] | None = None,
) -> dict[str, float]:
    """Judge the tags of a labelled split.

    Args:
        gold: Tags of each sentence, whole and in the data's scheme.
        predicted: Likewise, of the same lengths.
        scheme: How both are written.
        unit: What has a tag. Characters are also judged as KLUE does.
        labels: All tags that there are: KLUE's character F1 counts those that no sentence has.
        units: The text of each unit, for KLUE's metrics, which leave spaces out; without it nothing is left out.

    Returns:
        Metric to value, for the names of `metrics_for`.

    Raises:
        ValueError: If the lengths differ, or a tag does not fit the scheme.

    >>> scores = compute_tagging_metrics([["B-PER", "O"]], [["B-PER", "B-LOC"]], scheme="IOB2", unit="word")
    >>> scores["precision"], scores["recall"], scores["macro_f1"], scores["accuracy"]
    (0.5, 1.0, 0.5, 0.5)
    """
    split = TaggedSplit.of(gold, predicted, scheme, labels, units)
    counted: dict[str, Counted] = {name: _counted(name, scheme) for name in metrics_for(scheme, unit)}
    totals = {what: split.count(what).totals for what in dict.fromkeys(counted.values())}
    return {name: float(METRICS[name].score(*totals[what])) for name, what in counted.items()}


def _counted(name: str, scheme: Scheme) -> Counted:
    counted = METRICS[name].counted
    return "tags" if counted == "entities" and scheme == "plain" else counted


def type_scores(
    gold: Tags, predicted: Tags, scheme: Scheme, labels: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of each type of entity, or of each plain tag.

    Args:
        gold: As for `compute_tagging_metrics`, like those that follow.
        predicted: Likewise.
        scheme: Likewise.
        labels: Tags whose types are among the results even if neither side has them: so all seeds have the same.

    Returns:
        Type to `precision`, `recall`, `f1` and `number`, which is that of the gold ones. Types that only the
        predictions have are among them, with the number 0.

    >>> type_scores([["B-PER", "O"]], [["B-PER", "B-LOC"]], "IOB2")["PER"]
    {'precision': 1.0, 'recall': 1.0, 'f1': 1.0, 'number': 1.0}
    """
    counts = TaggedSplit.of(gold, predicted, scheme, labels).count("tags" if scheme == "plain" else "entities")
    # Each type alone, (types, 1): a sum over one type is that type.
    alone = [total[:, None] for total in counts.totals]
    columns = {"precision": _precision(*alone), "recall": _recall(*alone), "f1": _micro_f1(*alone)}
    columns["number"] = counts.totals[2]
    return {
        name: {metric: float(column[place]) for metric, column in columns.items()}
        for place, name in enumerate(counts.types)
    }


def flatten_type_scores(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Scores of types under the keys that transformers' `run_ner.py --return_entity_level_metrics` uses.

    >>> flatten_type_scores({"PER": {"f1": 0.5, "number": 2.0}})
    {'PER_f1': 0.5, 'PER_number': 2.0}
    """
    return {f"{name}_{metric}": value for name, values in scores.items() for metric, value in values.items()}


def bootstrap_tagging_interval(
    metric: str,
    gold: Tags,
    predicted: Tags,
    scheme: Scheme,
    *,
    labels: Sequence[str] = (),
    units: Sequence[Sequence[str]] | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of one run's score over the choice of its sentences.

    Args:
        metric: A name in `METRICS`.
        gold: As for `compute_tagging_metrics`, like those that follow.
        predicted: Likewise.
        scheme: Likewise.
        labels: Likewise.
        units: Likewise.
        resamples: How many times as many sentences are drawn with replacement.
        confidence: Share of the resampled scores that the interval holds.
        seed: The same seed gives the same interval.

    Returns:
        Lower and upper end; both 0.0 without sentences.
    """
    counts = TaggedSplit.of(gold, predicted, scheme, labels, units).count(_counted(metric, scheme))
    sentences = len(gold)
    if not sentences:
        return 0.0, 0.0
    generator = np.random.default_rng(seed)
    scores = []
    for _ in range(resamples):
        times = np.bincount(generator.integers(0, sentences, size=sentences), minlength=sentences)
        drawn = [times @ part for part in (counts.hits, counts.predicted, counts.gold)]
        scores.append(METRICS[metric].score(*drawn))
    low, high = np.quantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def tagging_findings(gold: Tags, predicted: Tags, scheme: Scheme) -> list[str]:
    """Warnings in words about the predictions for a labelled split.

    They tell of no entity or a single tag in all sentences, of types that are never predicted, and of tags that cannot
    follow each other.
    """
    split = TaggedSplit.of(gold, predicted, scheme)
    counts = split.count("tags" if scheme == "plain" else "entities")
    _, in_predictions, in_gold = counts.totals
    if scheme == "plain":
        used = np.flatnonzero(in_predictions)
        if len(used) == 1 and (in_gold > 0).sum() > 1:
            share = in_gold[used[0]] / in_gold.sum()
            return [
                f"all {in_gold.sum():,} predicted tags are {counts.types[used[0]]}, which {share:.1%} are. {_CURES}"
            ]
    elif not in_predictions.sum():
        number = in_gold.sum()
        return [f"no entity is predicted at all, where the gold has {number:,}. {_CURES}"] if number else []
    found = []
    never = [name for name, some, none in zip(counts.types, in_gold, in_predictions, strict=True) if some and not none]
    if never:
        named = ", ".join(f"{name} ({in_gold[counts.types.index(name)]:,} in the gold)" for name in never)
        found.append(f"never predicted: {named}")
    if scheme != "plain":
        pairs = split.count("transitions")
        invalid = int((pairs.predicted - pairs.hits).sum())
        if invalid:
            sentences = int(((pairs.predicted - pairs.hits).sum(1) > 0).sum())
            found.append(
                f"{invalid:,} predicted tags do not fit the one before them (in {sentences:,} of {len(gold):,} "
                "sentences), such as an I- after O. f1 reads them leniently, f1_strict does not; a CRF (--use_crf) "
                "with constraints predicts none"
            )
    return found
