"""The parts of a published or freshly trained model, loaded with transformers alone.

A run of electra_hf, or its repository on the Hub, holds a plain model at the root, for most objectives a generator in
`generator/`, and `objective.json`. Of families other than ELECTRA, transformers has no class with the head that
detects replaced tokens: that head is read from `objective.safetensors`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, ElectraForPreTraining
from transformers.utils import logging
from transformers.utils.hub import cached_file

from .tokens import PreTrainedModel, PreTrainedTokenizerBase

GENERATOR_FOLDER = "generator"
OBJECTIVE_NAME, EXTRA_WEIGHTS_NAME = "objective.json", "objective.safetensors"
# Of whose discriminators a suspicion is a probability; the second one learns from masked positions only.
DETECTING, MASKED_ONLY = ("rtd", "electra_15"), "electra_15"
_HEAD = "discriminator.discriminator_predictions."


class LoadingProblem(ValueError):
    """A model that cannot do what was asked for, in words for people."""


@dataclass(frozen=True)
class Models:
    """What there is of a model.

    Attributes:
        name: Folder or Hub id.
        tokenizer: Of both.
        discriminator: Called with `input_ids` (1, length) it returns `logits` (1, length); None if nothing detects.
        generator: A masked language model; None if there is none.
        temperature: Of the generator's samples at the end of pre-training.
        masked_only: Whether the discriminator has learnt from masked positions only.
    """

    name: str
    tokenizer: PreTrainedTokenizerBase
    discriminator: Any
    generator: PreTrainedModel | None
    temperature: float
    masked_only: bool


class Detector(nn.Module):
    """An encoder under ELECTRA's head: dense layer, gelu, one score for each token.

    Args:
        encoder: A model of transformers.
        head: Weights of the two layers, by their names.
    """

    def __init__(self, encoder: PreTrainedModel, head: dict[str, torch.Tensor]):
        super().__init__()
        size = encoder.config.hidden_size
        self.encoder, self.dense, self.dense_prediction = encoder, nn.Linear(size, size), nn.Linear(size, 1)
        self.load_state_dict({f"encoder.{name}": weight for name, weight in encoder.state_dict().items()} | head)

    @property
    def config(self) -> Any:
        """Of the encoder."""
        return self.encoder.config

    def forward(self, input_ids: torch.Tensor) -> Any:
        """(1, length) -> an object whose `logits` are (1, length)."""
        output = self.encoder(input_ids)
        hidden = nn.functional.gelu(self.dense(output.last_hidden_state))
        output.logits = self.dense_prediction(hidden).squeeze(-1)
        return output


def load_models(name: str) -> Models:
    """Load what a folder or a repository of the Hub has.

    Raises:
        LoadingProblem: If there is neither a discriminator nor a masked language model in it.
        OSError: As transformers, if the files are missing or out of reach.
    """
    objective = load_settings(name)
    kind = objective.get("objective")
    if kind == "electric":
        raise LoadingProblem(
            f"{name} is an Electric model, whose scores are energies: electra-hf detect and electra-hf score show them"
        )
    with quiet_loading():
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        discriminator = None if kind not in (None, *DETECTING) else _load_discriminator(name, kind)
        try:
            generator = load_masked_lm(name)
        except LoadingProblem:
            if discriminator is None:
                raise
            generator = None
    if kind == MASKED_ONLY and generator is None:
        raise LoadingProblem(f"{name} judges masked positions only, and has no generator to fill them")
    falling = objective.get("temperature_schedule", "constant") != "constant"
    temperature = 1.0 if falling else objective.get("temperature", 1.0)
    return Models(name, tokenizer, discriminator, generator, temperature, kind == MASKED_ONLY)


def load_settings(name: str) -> dict[str, Any]:
    """The settings of the objective of a run; {} for a model that was trained elsewhere."""
    path = cached_file(name, OBJECTIVE_NAME, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}


def load_masked_lm(name: str) -> PreTrainedModel:
    """The generator in `generator/`, or a masked language model at the root.

    The generator goes first: where both are masked language models, the one at the root has never seen a mask.

    Raises:
        LoadingProblem: If there is neither.
    """
    has_generator = cached_file(
        name, "config.json", subfolder=GENERATOR_FOLDER, _raise_exceptions_for_missing_entries=False
    )
    folder = GENERATOR_FOLDER if has_generator else ""
    place = f"{name}/{folder}" if folder else name
    config = AutoConfig.from_pretrained(name, subfolder=folder, trust_remote_code=False)
    if problem := fine_tuned(config):
        raise LoadingProblem(f"{place} {problem}")
    with quiet_loading():
        try:
            model, info = AutoModelForMaskedLM.from_pretrained(
                name, subfolder=folder, output_loading_info=True, trust_remote_code=False
            )
        except ValueError as error:
            raise LoadingProblem(f"{place} is a {config.model_type} model, which fills no masks") from error
    if missing := lacking(info):
        raise LoadingProblem(
            f"{place} has no head that predicts tokens (no weights for {missing}), and no generator beside it: give "
            "a run with generator/, the generator's own repository, or a masked language model"
        )
    return model.eval()


def _load_discriminator(name: str, kind: str | None) -> Any:
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if problem := fine_tuned(config):
        raise LoadingProblem(f"{name} {problem}")
    if config.model_type == "electra":
        loaded: Any = ElectraForPreTraining.from_pretrained(name, output_loading_info=True)
        model, info = loaded
        if not (missing := lacking(info)):
            return model.eval()
        if kind is None and missing.startswith("discriminator_predictions."):
            return None  # a generator's own repository: it has another head, and can still fill
        raise LoadingProblem(f"{name} is not whole: no weights for {missing}")
    if kind is None:
        return None
    weights = load_file(str(cached_file(name, EXTRA_WEIGHTS_NAME)))
    head = {key.removeprefix(_HEAD): weight for key, weight in weights.items() if key.startswith(_HEAD)}
    encoder, info = AutoModel.from_pretrained(name, output_loading_info=True, trust_remote_code=False)
    # BERT's pooler looks at [CLS] only, and nobody looks at it.
    info["missing_keys"] = {key for key in info["missing_keys"] if not key.startswith("pooler.")}
    if missing := lacking(info):
        raise LoadingProblem(f"{name} is not whole: no weights for {missing}")
    return Detector(encoder, head).eval()


def fine_tuned(config: Any) -> str | None:
    """What is wrong with a model that was fine-tuned for a task; None for one that was not."""
    tasks = ("Classification", "QuestionAnswering", "MultipleChoice")
    for architecture in config.architectures or []:
        if any(task in architecture for task in tasks):
            return (
                f"was fine-tuned for a task ({architecture}) and has lost the head of its pre-training: give the "
                "pre-trained model"
            )
    return None


def lacking(info: dict[str, Any]) -> str:
    """The first weights that were not in a checkpoint or had another shape, from transformers' loading info."""
    names = {str(key) for kind in ("missing_keys", "mismatched_keys") for key in info.get(kind) or ()}
    return ", ".join(sorted(names)[:3])


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers' report about weights back: who loads in here looks at the missing ones (`lacking`)."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
