"""Does the exported file compute what the model computes, and how fast?

Everything is compared with the model in PyTorch, in fp32 and not compiled. Outputs at padding are of no meaning, and
not looked at.

Shapes: batch (b), length (l).
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from electra_hf.errors import ExportError
from electra_hf.sharing.export.graph import Session, make_inputs
from electra_hf.sharing.export.loading import DETECTION, FEATURES, TEXTS, Exportable, Graph

# Of the largest absolute difference, as a share of the largest absolute output, or of 1 if that is less. fp16 keeps 11
# bits; int8 has no tolerance of its own, since what it costs is a matter of the task: it is only reported.
TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}
_LENGTHS = (5, 64)
# Longer rows are not compared: what they take grows with the square.
_LONGEST = 1024
_TEXTS_AT_A_TIME = 8
_REPLACED = 0.15
_LATENCY_LENGTH = 128
_TURN = 10

Model = Callable[[Mapping[str, Tensor]], np.ndarray]


@dataclass(frozen=True)
class ShapeCheck:
    """The largest absolute difference of the outputs for rows of one shape."""

    batch_size: int
    sequence_length: int
    padded: bool
    max_abs_difference: float


@dataclass(frozen=True)
class Agreement:
    """How near the outputs are, and whether what is decided by them is the same.

    Attributes:
        compared: Tokens, or texts for a task of whole texts.
        same_decisions: Share of them with the same decision: the sign of a logit that stands alone, or the largest
            logit; None where nothing is decided.
        commonest_decision: Share of the decision that PyTorch takes most often: what an export that always says the
            same would agree to.
        mean_abs_difference: Of the outputs.
        max_abs_difference: Of the outputs.
        correlation: Of all outputs (Pearson's).
        texts: Whether they are texts; random tokens otherwise.
    """

    compared: int
    same_decisions: float | None
    commonest_decision: float | None
    mean_abs_difference: float
    max_abs_difference: float
    correlation: float
    texts: bool


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call: the median, and the value that 95 % of the calls stay below."""

    p50_ms: float
    p95_ms: float


def in_pytorch(source: Exportable) -> Model:
    """The model as it is, as a function from inputs to an array."""
    graph = Graph(source)

    def run(inputs: Mapping[str, Tensor]) -> np.ndarray:
        with torch.inference_mode():
            return graph(**inputs).numpy()

    return run


def check_shapes(source: Exportable, session: Session, tolerance: float | None) -> list[ShapeCheck]:
    """Compare batches of 1 and of 3 rows, short, long and as long as can be, with padding and without.

    Args:
        source: The model.
        session: Its export.
        tolerance: See `TOLERANCES`; None only measures.

    Raises:
        ExportError: If a difference is larger, or an output is not finite.
    """
    reference = in_pytorch(source)
    longest = min(source.max_length, _LONGEST)
    found = []
    for length in sorted({*(min(each, longest) for each in _LENGTHS), longest}):
        for batch, padded in ((1, False), (3, True)):
            inputs = make_inputs(source, batch, length, padded=padded, seed=length)
            expected = _counted(source, reference(inputs), inputs)
            difference = np.abs(_counted(source, session(inputs), inputs) - expected).max().item()
            found.append(ShapeCheck(batch, length, padded, difference))
            limit = None if tolerance is None else tolerance * max(1.0, np.abs(expected).max().item())
            if not np.isfinite(difference) or (limit is not None and difference > limit):
                raise ExportError(
                    f"{source.name}: what was exported computes something else than PyTorch: {batch} x {length} "
                    f"tokens differ by up to {difference:.1e}, and {limit or 0:.1e} is allowed. Nothing was written; "
                    "please report it with the versions of torch, onnxscript and onnxruntime"
                )
    return found


def _counted(source: Exportable, output: np.ndarray, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """The outputs at real tokens (tokens, ...), or those of whole texts (b, ...), in fp32."""
    output = output.astype(np.float32)
    return output if source.task == TEXTS else output[inputs["attention_mask"].numpy().astype(bool)]


def agreement(source: Exportable, session: Session, texts: Sequence[str]) -> Agreement:
    """Compare the outputs for texts, or for random tokens if there are none.

    Where replaced tokens are to be detected, 15 % of the tokens of the texts are replaced by random ones, so that
    there is something to decide.
    """
    reference = in_pytorch(source)
    batches = _encode(source, texts) if texts else [make_inputs(source, 3, min(64, source.max_length), padded=True)]
    expected = np.concatenate([_counted(source, reference(inputs), inputs) for inputs in batches])
    output = np.concatenate([_counted(source, session(inputs), inputs) for inputs in batches])
    difference = np.abs(expected - output)
    decided = _decisions(source, expected), _decisions(source, output)
    same = commonest = None
    if decided[0] is not None:
        same = float(np.mean(decided[0] == decided[1]))
        commonest = float(np.unique(decided[0], return_counts=True)[1].max() / decided[0].size)
    return Agreement(
        compared=len(expected),
        same_decisions=same,
        commonest_decision=commonest,
        mean_abs_difference=float(difference.mean()),
        max_abs_difference=float(difference.max()),
        correlation=float(np.corrcoef(expected.ravel(), output.ravel())[0, 1]),
        texts=bool(texts),
    )


def _encode(source: Exportable, texts: Sequence[str]) -> list[dict[str, Tensor]]:
    batches = []
    random = torch.Generator().manual_seed(0)
    for start in range(0, len(texts), _TEXTS_AT_A_TIME):
        encoded = source.tokenizer(
            list(texts[start : start + _TEXTS_AT_A_TIME]),
            padding=True,
            truncation=True,
            max_length=source.max_length,
            return_tensors="pt",
            return_token_type_ids="token_type_ids" in source.input_names,
            return_special_tokens_mask=True,
        )
        if source.task == DETECTION:
            ids, special = encoded["input_ids"], encoded["special_tokens_mask"].bool()
            swapped = (torch.rand(ids.shape, generator=random) < _REPLACED) & ~special
            others = torch.randint(len(source.tokenizer), ids.shape, generator=random)
            encoded["input_ids"] = torch.where(swapped, others, ids)
        batches.append({name: encoded[name] for name in source.input_names})
    return batches


def _decisions(source: Exportable, output: np.ndarray) -> np.ndarray | None:
    if source.task == FEATURES or (source.task == TEXTS and source.config.num_labels == 1):
        return None
    by_sign = source.task == DETECTION or source.config.problem_type == "multi_label_classification"
    return output > 0 if by_sign else output.argmax(-1)


def measure_latency(
    source: Exportable, sessions: Sequence[Session], *, calls: int, num_threads: int
) -> tuple[list[Latency], dict[str, Any]]:
    """Milliseconds of one row of 128 tokens, or of the longest there can be, in PyTorch and in each session.

    All take turns by ten calls, so that a machine whose speed drifts favours none. The first call of a turn does not
    count: the threads of the one before may still be awake.

    Args:
        source: The model.
        sessions: Its exports.
        calls: Calls of each, in whole turns.
        num_threads: Threads of PyTorch meanwhile; the sessions have theirs.

    Returns:
        The latencies of PyTorch and of the sessions, and what was measured.
    """
    length = min(_LATENCY_LENGTH, source.max_length)
    inputs = make_inputs(source, 1, length)
    models: list[Model] = [in_pytorch(source), *sessions]
    times: list[list[float]] = [[] for _ in models]
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        for _ in range(-(-calls // _TURN)):
            for model, measured in zip(models, times, strict=True):
                model(inputs)
                for _ in range(_TURN):
                    start = time.perf_counter()
                    model(inputs)
                    measured.append(1000 * (time.perf_counter() - start))
    finally:
        torch.set_num_threads(before)
    found = [Latency(statistics.median(each), float(np.percentile(each, 95))) for each in times]
    return found, {"batch_size": 1, "sequence_length": length, "num_threads": num_threads, "calls": len(times[0])}
