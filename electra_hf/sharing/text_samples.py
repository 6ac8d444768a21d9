"""The same held-out sentences again and again in the course of a run, as its models see them at that time.

Some tokens of each sentence are masked, the same ones each time. Where a run detects replaced tokens, its generator
puts samples in their place and its discriminator judges the result; where it trains a masked language model, that one
fills the masks. `text_samples.jsonl` holds an observation a line (docs/trackers.md).

Training does not notice: no gradient, no dropout, and no random number of torch's own generators.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from electra_hf.json_lines import JsonLines, read_rows
from electra_hf.models import PretrainingModel
from electra_hf.sharing.demo.tokens import choose_positions, encode, hide_what_is_no_word
from electra_hf.sharing.logs import TEXTS_FILE
from electra_hf.sharing.samples import SAMPLES_NAME

logger = logging.getLogger(__name__)

# The fields of `TokenRecord` in their order; suspicion is None where the model has learnt no such judgement.
Token = tuple[str, str, bool, float | None, bool]
Texts = list[list[Token]]
_FIRST_STEP = 10


def is_due(step: int, every: int | None = None) -> bool:
    """Whether an observation belongs to a step.

    Args:
        step: Steps done.
        every: Steps between two observations; None for the series 0, 10, 20, 50, 100, 200, 500, ...: training changes
            fast at first, and a run of a million steps has 17 of them.

    >>> [step for step in range(2_001) if is_due(step)]
    [0, 10, 20, 50, 100, 200, 500, 1000, 2000]
    >>> [step for step in range(100) if is_due(step, 30)]
    [0, 30, 60, 90]
    """
    if every is not None:
        return step % every == 0
    digits = str(step)
    return step == 0 or (step >= _FIRST_STEP and digits[0] in "125" and not digits[1:].strip("0"))


@dataclass(frozen=True)
class MaskedText:
    """A text with its masks.

    Attributes:
        ids: (length,) int64, with special tokens.
        positions: (count,) int64, what is masked.
        special: Whether each token is a special one.
        gaps: Whether the text has white space before each token.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    special: list[bool]
    gaps: list[bool]


def mask_texts(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    mask_probability: float,
    max_length: int,
    seed: int = 0,
) -> list[MaskedText]:
    """Choose what is masked: a share of the ordinary tokens of each text, at least one; without any it is left out.

    Args:
        texts: Sentences.
        tokenizer: Of the run.
        mask_probability: The share.
        max_length: Longer texts are cut.
        seed: The same seed gives the same masks.
    """
    random, masked = torch.Generator().manual_seed(seed), []
    for text in texts:
        encoded = encode(text, tokenizer, max_length)
        positions = choose_positions(encoded, mask_probability, random).sort().values
        if len(positions):
            masked.append(MaskedText(encoded.original_ids, positions, encoded.special.tolist(), encoded.gaps))
    return masked


def _detects(model: PretrainingModel) -> bool:
    return model.config.objective in ("rtd", "electra_15")


def _fills(model: PretrainingModel) -> bool:
    return model.main_is_masked_lm and not model.has_generator


@torch.no_grad()
def observe(
    model: PretrainingModel, texts: Sequence[MaskedText], tokenizer: PreTrainedTokenizerBase, *, seed: int = 0
) -> Texts:
    """What the models of a run make of some texts now.

    Args:
        model: The joint model, in any mode, on any device; it is left as it was.
        texts: From `mask_texts`.
        tokenizer: Of the run.
        seed: Of the generator's samples.

    Returns:
        For each text its tokens, special ones left out.
    """
    was_training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    model.eval()
    try:
        # Nothing should draw from them; whatever a model of some family does, training goes on with the same numbers.
        with torch.random.fork_rng(devices=devices):
            random = torch.Generator().manual_seed(seed)
            return [_observe(model, text, tokenizer, random) for text in texts]
    finally:
        model.train(was_training)


def _observe(
    model: PretrainingModel, text: MaskedText, tokenizer: PreTrainedTokenizerBase, random: torch.Generator
) -> list[Token]:
    ids, positions = text.ids, text.positions
    masked_lm: Any = model.generator if model.has_generator else model.main
    masked = ids.index_fill(0, positions, tokenizer.mask_token_id)  # type: ignore[arg-type]
    output = masked_lm(input_ids=masked[None].to(model.device))
    # A model with a second head, for pairs, calls them by another name.
    logits = output.logits if "logits" in output else output.prediction_logits  # (1, length, v)
    logits = logits[0, positions.to(model.device)].float().cpu()  # (count, v)
    hide_what_is_no_word(logits, tokenizer)
    was_masked = torch.zeros(len(ids), dtype=torch.bool).index_fill(0, positions, True)
    suspicions: list[float | None] = [None] * len(ids)
    if model.has_generator:
        probabilities = (logits / _temperature(model.config)).softmax(-1)
        shown = ids.index_copy(0, positions, torch.multinomial(probabilities, 1, generator=random).flatten())
        marked = shown != ids
        scores = model.main(input_ids=shown[None].to(model.device)).logits[0].float().sigmoid().tolist()
        is_judged = [model.config.objective == "rtd" or flag for flag in was_masked.tolist()]
        suspicions = [round(score, 4) if judged else None for score, judged in zip(scores, is_judged, strict=True)]
    else:
        shown, marked = ids.index_copy(0, positions, logits.argmax(-1)), was_masked
    pieces, originals = (tokenizer.convert_ids_to_tokens(each.tolist()) for each in (shown, ids))
    tokens = zip(pieces, originals, marked.tolist(), suspicions, text.gaps, strict=True)
    return [token for token, special in zip(tokens, text.special, strict=True) if not special]


def _temperature(config: Any) -> float:
    """Of the samples at the end of the run: texts at different times are to be compared."""
    return config.temperature if config.temperature_schedule == "constant" else 1.0


class TextSamples(TrainerCallback):
    """Observes the held-out sentences of the output folder, and adds each observation to a file there.

    Only the main process does. A run that goes on from a step keeps the observations up to that step.

    Args:
        model: The joint model, which a Trainer trains in place.
        tokenizer: Of the run.
        count: Sentences; 0 observes nothing.
        every: As for `is_due`. The last step is observed as well.
        mask_probability: Masked share of the tokens.
        max_length: Tokens that the model can read, or has learnt to.
        autocast: Makes what the model is computed under, as in evaluation.
        sharded: Each process has only a part of the weights (FSDP, DeepSpeed), so none of them can observe by itself.
        listeners: Called with the step and the texts of each new observation.
    """

    def __init__(
        self,
        model: PretrainingModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        count: int,
        every: int | None = None,
        mask_probability: float = 0.15,
        max_length: int = 512,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        sharded: bool = False,
        listeners: Sequence[Callable[[int, Texts], None]] = (),
    ):
        self.model, self.tokenizer = model, tokenizer
        self.count, self.every = count, every
        self.mask_probability, self.max_length = mask_probability, max_length
        self.autocast, self.sharded, self.listeners = autocast, sharded, listeners
        self._texts: list[MaskedText] = []
        self._file: JsonLines | None = None
        self._must_forget = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero or not self.count:
            return
        folder = Path(str(args.output_dir))
        if reason := self._obstacle(folder / SAMPLES_NAME):
            logger.info("No text samples over time: %s.", reason)
            return
        lines = (folder / SAMPLES_NAME).read_text(encoding="utf-8").splitlines()
        self._texts = mask_texts(
            [line for line in lines if line.strip()][: self.count],
            self.tokenizer,
            mask_probability=self.mask_probability,
            max_length=self.max_length,
        )
        self._file = JsonLines(folder / TEXTS_FILE)
        # A finished run that is resumed makes no step, and keeps all of its observations.
        self._must_forget = state.global_step > 0
        if not state.global_step:
            self._file.replace([])
            self._observe(0)

    def _obstacle(self, samples: Path) -> str | None:
        objective = self.model.config.objective
        if self.sharded:
            return "FSDP and DeepSpeed leave each process a part of the weights"
        if not (_detects(self.model) or _fills(self.model)):
            return f"--objective {objective} neither detects replaced tokens nor fills masks"
        if not samples.is_file() or not samples.read_text(encoding="utf-8").strip():
            return f"there is no held-out text ({samples.name})"
        return None

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not self._must_forget or self._file is None:
            return
        self._must_forget = False
        step = state.global_step
        # One that was stopped has looked once more before it ended, which a run without the stop would not have done.
        last = step if is_due(step, self.every) else step - 1
        self._file.replace([row for row in read_rows(self._file.path) if row.get("step", 0) <= last])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._file is not None and (is_due(state.global_step, self.every) or control.should_training_stop):
            self._observe(state.global_step)

    def _observe(self, step: int) -> None:
        assert self._file is not None
        with self.autocast():
            texts = observe(self.model, self._texts, self.tokenizer)
        self._file.append([{"step": step, "texts": texts}])
        for listener in self.listeners:
            listener(step, texts)
