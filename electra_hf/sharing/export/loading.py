"""What is exported: a model with the head of its task, in fp32 on the CPU, and its tokenizer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models.backbones import BACKBONES, EncoderWithDetectionHead, keep_padding_out
from electra_hf.models.checkpoint import LOADING_ERRORS, loading_problem, without_report
from electra_hf.models.crf import LinearChainCRF, allowed_transitions
from electra_hf.models.crf_checkpoint import CRF_SCHEME, find_crf, has_crf, read_crf
from electra_hf.models.objective_files import load_objective
from electra_hf.sharing.detection import GENERATOR_FOLDER, load_detector

DETECTION, FEATURES, FILL_MASK = "replaced-token-detection", "feature-extraction", "fill-mask"
TEXTS, TOKENS = "text-classification", "token-classification"
# As optimum names them, which has no name for the first.
TASKS = (DETECTION, FEATURES, FILL_MASK, TEXTS, TOKENS)
_AUTO_CLASSES: dict[str, Any] = {
    FEATURES: AutoModel,
    FILL_MASK: AutoModelForMaskedLM,
    TEXTS: AutoModelForSequenceClassification,
    TOKENS: AutoModelForTokenClassification,
}
# End of a class name in config.json -> task.
_TASKS_OF_CLASSES = {
    "ForMaskedLM": FILL_MASK,
    "ForSequenceClassification": TEXTS,
    "ForTokenClassification": TOKENS,
    "Model": FEATURES,
}
_DETECTING_OBJECTIVES = ("rtd", "electra_15")
# These number their positions from behind the padding id.
_SHIFTED_POSITIONS = ("xlm-roberta", "camembert")
_NO_LIMIT = 512
_TOKENIZER_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "spm.model",
    "sentencepiece.bpe.model",
)  # fmt: skip


@dataclass(frozen=True)
class Exportable:
    """A model to export.

    Attributes:
        name: Folder or Hub id, and the subfolder, if any.
        task: One of `TASKS`.
        model: In evaluation mode, fp32, on the CPU.
        tokenizer: Its tokenizer.
        crf: Of a tagger: start and end (tags,), transitions (tags, tags), fp32, -inf where the tag scheme forbids
            them; untagged_token_ids (tokens,) int64. None without a CRF.
        notes: What a user of the export must know, in sentences.
    """

    name: str
    task: str
    model: Any
    tokenizer: PreTrainedTokenizerBase
    crf: dict[str, np.ndarray] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def public_name(self) -> str:
        """A folder without the path to it, which is nobody else's business; or the Hub id."""
        path = Path(self.name)
        if not path.exists():
            return self.name
        return path.resolve().name if path.resolve().name != GENERATOR_FOLDER else "/".join(path.resolve().parts[-2:])

    @property
    def config(self) -> Any:
        """The configuration that is saved beside the export."""
        return self.model.config

    @property
    def output_name(self) -> str:
        """`last_hidden_state` (batch, length, hidden), or `logits` of the task's own shape."""
        return "last_hidden_state" if self.task == FEATURES else "logits"

    @property
    def input_names(self) -> list[str]:
        """Each (batch, length) int64."""
        segments = ["token_type_ids"] if (getattr(self.config, "type_vocab_size", 0) or 0) > 1 else []
        return ["input_ids", "attention_mask", *segments]

    @property
    def parameters(self) -> int:
        """Number of weights, each counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def max_length(self) -> int:
        """Tokens of the longest row that model and tokenizer take."""
        return min(positions(self.config), self.tokenizer.model_max_length)


class Graph(nn.Module):
    """What is exported of a model: tensors in, one tensor out."""

    def __init__(self, source: Exportable):
        super().__init__()
        self.model, self.output = source.model, source.output_name
        self.train(source.model.training)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(b, l) int64 each -> the output of `Exportable.output_name`."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if isinstance(self.model, EncoderWithDetectionHead):
            return self.model.discriminator_predictions(self.model.encoder(**inputs).last_hidden_state)
        return getattr(self.model(**inputs), self.output)


def positions(config: Any) -> int:
    """Tokens of the longest row that a model has positions for."""
    if config.model_type in BACKBONES:
        return BACKBONES[config.model_type].usable_positions(config)
    shift = config.pad_token_id + 1 if config.model_type in _SHIFTED_POSITIONS else 0
    return getattr(config, "max_position_embeddings", _NO_LIMIT) - shift


def load_exportable(name: str, *, task: str = "auto", subfolder: str = "", **config: Any) -> Exportable:
    """Load a model with the head of a task.

    Args:
        name: Folder or Hub id.
        task: One of `TASKS`; `auto` takes that of the class which config.json and objective.json name.
        subfolder: Where in the folder the model is, such as `generator`; the tokenizer is at the root.
        config: Fields of the configuration to load an encoder with, such as `num_hidden_layers`.

    Raises:
        CheckpointError: If it cannot be loaded whole, has no such head, or needs code of its own.
        UsageError: If `auto` finds no task.
    """
    where = f"{name}/{subfolder}" if subfolder else name
    settings = _read_config(name, subfolder)
    objective = "" if subfolder else str(load_objective(name).get("objective", ""))
    if task == "auto":
        task = _find_task(where, settings, objective)
    if task == DETECTION:
        if subfolder:
            raise CheckpointError(f"{where}: what detects replaced tokens is at the root: leave --subfolder out")
        detector = load_detector(name)
        if detector.electric is not None:
            raise CheckpointError(
                f"{where} is an Electric model, whose scores are energies and no suspicions: see them with electra-hf "
                f"score, or export its encoder by --task {FEATURES}"
            )
        return _adapted(Exportable(name, task, detector.discriminator.float().eval(), detector.tokenizer))
    tokenizer = _load_tokenizer(name)
    model = _load_with_head(where, task, name, subfolder, config)
    notes, crf = [], None
    if task == TOKENS and has_crf(model.config):
        crf = _crf_tables(where, model.config, name, subfolder)
        notes.append(
            "The logits are the emissions of a CRF. The tags are those of its best path: crf.npz has start, "
            "transitions and end (-inf: forbidden) for Viterbi's algorithm (docs/export.md)."
        )
    if task == TEXTS and model.config.problem_type == "multi_label_classification":
        notes.append("Each logit is a label of its own: a sigmoid, and no softmax.")
    if task == TEXTS and model.config.num_labels == 1:
        notes.append("The logit is the score of a regression.")
    return _adapted(Exportable(where, task, model, tokenizer, crf, notes))


def _adapted(source: Exportable) -> Exportable:
    if keep_padding_out(source.model):
        source.notes.append(
            "What this ConvBERT computes for a row does not depend on the padding behind it, as in its training; "
            "transformers' own class lets its convolutions see the padding, and differs on padded rows."
        )
    return source


def _read_config(name: str, subfolder: str) -> PreTrainedConfig:
    try:
        fields, _ = PreTrainedConfig.get_config_dict(name, subfolder=subfolder)
        if "auto_map" in fields:
            raise CheckpointError(
                f"{name}: its config.json has an auto_map, so it wants to run code of its own, which is never done "
                "here: export it with the code that it comes with"
            )
        return AutoConfig.from_pretrained(name, subfolder=subfolder, trust_remote_code=False)
    except LOADING_ERRORS as error:
        where = f"{name}/{subfolder}" if subfolder else name
        raise CheckpointError(
            f"{where}: neither a model folder nor a model of the Hub within reach ({loading_problem(error)}); "
            "check the name"
        ) from error


def _find_task(where: str, config: PreTrainedConfig, objective: str) -> str:
    architecture = (config.architectures or ["none"])[0]
    if objective in _DETECTING_OBJECTIVES or architecture == "ElectraForPreTraining":
        return DETECTION
    if architecture.endswith("ForPreTraining"):
        return FILL_MASK
    for ending, task in _TASKS_OF_CLASSES.items():
        if architecture.endswith(ending):
            return task
    raise UsageError(
        f"{where} is a model of class {architecture}, whose task is not known: give --task, one of {', '.join(TASKS)}"
    )


def _load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    # Without its files transformers makes one up that knows the special tokens only.
    if Path(name).is_dir() and not any((Path(name) / file).is_file() for file in _TOKENIZER_FILES):
        raise CheckpointError(f"{name} holds no tokenizer (tokenizer.json): save it beside the model")
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"cannot load the tokenizer of {name} ({loading_problem(error)}): it belongs beside the model, "
            "save it there"
        ) from error


def _load_with_head(where: str, task: str, name: str, subfolder: str, config: dict[str, Any]) -> Any:
    try:
        with without_report():
            model, info = _AUTO_CLASSES[task].from_pretrained(
                name,
                subfolder=subfolder,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
                **config,
            )
    except LOADING_ERRORS as error:
        raise CheckpointError(f"cannot load a model for {task} from {where}: {loading_problem(error)}") from error
    if task == FEATURES and "pooler" in dict(model.named_children()):
        # No output depends on it, and the checkpoint of a masked language model has none.
        model.pooler = None
    missing = sorted(key for key in info["missing_keys"] if task != FEATURES or not key.startswith("pooler."))
    if missing:
        raise CheckpointError(
            f"{where} has no weights for {', '.join(missing[:3])} of a {type(model).__name__}: it was not trained for "
            f"{task}; see its config.json, and give another model or --task"
        )
    model.config.architectures = [type(model).__name__]
    return model.eval()


def _crf_tables(where: str, config: Any, name: str, subfolder: str) -> dict[str, np.ndarray]:
    path = find_crf(where) if Path(where).is_dir() else find_crf(name, subfolder=subfolder)
    parameters, untagged = read_crf(path)
    labels = [str(label) for _, label in sorted((config.id2label or {}).items())]
    crf = LinearChainCRF(len(labels), allowed_transitions(labels, getattr(config, CRF_SCHEME)))
    try:
        crf.load_state_dict(parameters)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the {len(labels)} labels of {where}: {error}") from error
    start, transitions, end = crf.constrained(torch.float32)
    tables = {"start": start, "transitions": transitions, "end": end, "untagged_token_ids": untagged}
    return {key: value.detach().numpy() for key, value in tables.items()}
