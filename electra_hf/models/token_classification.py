"""Token classifiers with a CRF on top, saved in a form that transformers runs without the CRF.

`TokenClassificationWithCRF.from_plain` puts a `LinearChainCRF` on any model of AutoModelForTokenClassification:
ELECTRA, BERT, ConvBERT, RoBERTa, DeBERTa-v2, ModernBERT, DistilBERT and the others. A saved folder is

    config.json, model.safetensors      the plain model, such as `ElectraForTokenClassification`; `crf_scheme` is extra
    crf.safetensors                     the transitions, and the tokens that never carry a tag

so AutoModel, AutoModelForTokenClassification and `pipeline` load it as it is. What they see are the emissions without
the transitions: the tags of highest softmax are usable, but neither the most probable sequence nor always a valid one.
With the CRF:

    model = TokenClassificationWithCRF.from_pretrained(folder).eval()
    encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    tags = model.decode(**encoded, tag_mask=first_tokens(encoded))
    ner = pipeline("token-classification", model=model.for_pipeline(), tokenizer=tokenizer)

A pipeline takes the softmax of what a model returns; after `for_pipeline` that is the posterior probabilities.
"""

import inspect
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor
from transformers import (
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

from electra_hf.errors import CheckpointError, UsageError
from electra_hf.models import checkpoint
from electra_hf.models.crf import LinearChainCRF, allowed_transitions
from electra_hf.models.crf_checkpoint import CRF_NAME, CRF_SCHEME, find_crf, load_plain, read_crf, write_crf
from electra_hf.models.weight_files import read_weights

_CRF = "crf."
_UNTAGGED = "untagged_token_ids"
_IGNORED = -100


class TokenClassificationWithCRF(PreTrainedModel):
    """A token classifier with a CRF; see above.

    `from_plain` and `from_pretrained` return a subclass of this class and of the model's own one.

    Attributes:
        crf: The transitions. Its constraints are those of the configuration's `crf_scheme`.
        untagged_token_ids: (tokens,) int64: tokens that never carry a tag.
        posterior_logits: In eval mode, return the logarithms of posterior probabilities as logits.
    """

    plain_class: ClassVar[type[PreTrainedModel]]
    crf: LinearChainCRF
    untagged_token_ids: Tensor
    posterior_logits: bool = False

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        self.crf = _new_crf(config)
        self.register_buffer(_UNTAGGED, torch.zeros(0, dtype=torch.int64), persistent=False)

    @classmethod
    def from_plain(
        cls, plain: PreTrainedModel, scheme: str = "plain", untagged_token_ids: Iterable[int] = ()
    ) -> "TokenClassificationWithCRF":
        """Put a new CRF, all zeros, on a token classifier.

        Args:
            plain: Any model of AutoModelForTokenClassification. Its modules and its configuration are taken, not
                copied.
            scheme: What decoding keeps to: `IOB2`, `BIOES`, or `plain` for no rules. The names of the tags are
                those of the configuration (`id2label`).
            untagged_token_ids: See the function of that name.

        Raises:
            UsageError: If it is no token classifier, has a CRF already, or the labels do not fit the scheme.
        """
        if isinstance(plain, TokenClassificationWithCRF):
            raise UsageError("this model has a CRF already")
        known = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES.values()
        if type(plain).__name__ not in known:
            raise UsageError(f"{type(plain).__name__} is no token classifier: load AutoModelForTokenClassification")
        config = cast(PreTrainedConfig, plain.config)
        allowed_transitions(_labels(config), scheme)  # before the configuration is changed
        setattr(config, CRF_SCHEME, scheme)
        with torch.device("meta"):
            model = _class_with_crf(type(plain))(config)
        for name, module in plain.named_children():
            setattr(model, name, module)
        model.crf = _new_crf(config).to(plain.device)
        ids = torch.tensor(sorted(untagged_token_ids), dtype=torch.int64, device=plain.device)
        model.register_buffer(_UNTAGGED, ids, persistent=False)
        return model.train(plain.training)

    # Outputs

    def _emit(self, input_ids: Tensor | None, attention_mask: Tensor | None, **inputs: Any) -> Any:
        forward = cast(Any, super()).forward
        return forward(input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **inputs)

    def _classify(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        tag_mask: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **inputs: Any,
    ) -> TokenClassifierOutput | tuple:
        """Emissions and, with labels, their loss.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, length), 1 for what is not padding.
            labels: (batch, length) tags, -100 where there is none.
            tag_mask: (batch, length) bool: which tokens carry a tag; only asked by posterior logits. The name has no
                `label` in it, because a Trainer takes such arguments for labels and waits for all of them.
            num_items_in_batch: What the summed loss is divided by; the labelled tokens by default.
            return_dict: As in transformers.
            inputs: Others that the plain model knows.

        Returns:
            logits: (batch, length, tags) emissions. With `posterior_logits`, in eval mode, logarithms of the posterior
            probabilities where there is a tag, and of the softmax of the emissions elsewhere.
            loss: () negative log-likelihood divided by `num_items_in_batch`, in fp32.
        """
        output = self._emit(input_ids, attention_mask, **inputs)
        logits, loss = output.logits, None
        if labels is not None:
            count = (labels != _IGNORED).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
            loss = self.summed_loss(logits, labels) / count
        if self.posterior_logits and not self.training:
            if tag_mask is None:
                tag_mask = self._guess_tag_mask(logits, input_ids, attention_mask)
            posteriors = self.crf.marginals(logits, tag_mask)
            smallest = torch.finfo(posteriors.dtype).tiny  # in a softmax as good as 0, and still a number as logarithm
            emissions = logits.to(posteriors.dtype).log_softmax(-1)
            logits = torch.where(tag_mask.bool().unsqueeze(2), posteriors.clamp(min=smallest).log(), emissions)
        result = TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=output.hidden_states, attentions=output.attentions
        )
        as_dict = self.config.return_dict if return_dict is None else return_dict
        return result if as_dict else result.to_tuple()

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Negative log-likelihood summed over rows.

        Args:
            logits: (batch, length, tags) emissions.
            labels: (batch, length), -100 where there is no tag.

        Returns:
            () in fp32.
        """
        return -self.crf.log_likelihood(logits, labels).sum()

    @torch.no_grad()
    def decode(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        tag_mask: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """The most probable valid tags. Call `eval()` first if the model was trained: dropout is on otherwise.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, length), 1 for what is not padding.
            tag_mask: (batch, length) bool: which tokens carry a tag. A model that was trained on the first token of
                each word has learned nothing about the others, so that they must be left out. Without it, every token
                is tagged that is neither padding nor in `untagged_token_ids`.
            inputs: Others that the plain model knows.

        Returns:
            (batch, length) int64, -100 where there is no tag.
        """
        logits = self._emit(input_ids, attention_mask, **inputs).logits
        if tag_mask is None:
            tag_mask = self._guess_tag_mask(logits, input_ids, attention_mask)
        return self.crf.viterbi(logits, tag_mask)

    def _guess_tag_mask(self, logits: Tensor, ids: Tensor | None, attention_mask: Tensor | None) -> Tensor:
        mask = logits.new_ones(logits.shape[:2], dtype=torch.bool)
        if attention_mask is not None:
            mask = mask & attention_mask.bool()
        return mask if ids is None else mask & ~torch.isin(ids, self.untagged_token_ids)

    def for_pipeline(self) -> Self:
        """Switch to eval mode and to posterior probabilities, for `pipeline("token-classification")`.

        Give the pipeline `aggregation_strategy="first"` if only the first token of each word was trained. It picks
        the most probable tag of each token by itself, so unlike `decode` it may give invalid sequences.
        """
        self.posterior_logits = True
        return self.eval()

    # Folders

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write the plain model and, beside it, the CRF.

        Args:
            save_directory: Folder.
            is_main_process: Whether this process writes.
            state_dict: Weights to write; this model's own by default.
            push_to_hub: Also upload the folder.
            kwargs: As in transformers.
        """
        weights = dict(self.state_dict() if state_dict is None else state_dict)
        crf = {name.removeprefix(_CRF): weights.pop(name) for name in list(weights) if name.startswith(_CRF)}
        super().save_pretrained(save_directory, is_main_process=is_main_process, state_dict=weights, **kwargs)
        if is_main_process:
            write_crf(save_directory, crf, self.untagged_token_ids)
        if is_main_process and push_to_hub:
            checkpoint.push(save_directory, **{"commit_message": "Upload a token classifier with a CRF", **kwargs})

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """Load what `save_pretrained` wrote.

        Args:
            name_or_path: Folder or Hub id.
            args: As for AutoModelForTokenClassification.
            kwargs: As for AutoModelForTokenClassification.

        Raises:
            CheckpointError: If weights are missing, or there is no CRF that fits them.
        """
        name = os.fspath(name_or_path)
        wants_info = kwargs.pop("output_loading_info", False)
        loader = getattr(cls, "plain_class", AutoModelForTokenClassification)
        plain, info = load_plain(loader, name, *args, **kwargs)
        model = cls.from_plain(plain, getattr(plain.config, CRF_SCHEME))
        model.untagged_token_ids = model.load_crf(find_crf(name, **kwargs)).to(model.device)
        return (model, info) if wants_info else model

    def load_crf(self, path: Path) -> Tensor:
        """Take the transitions of a saved CRF.

        Returns:
            (tokens,) int64: the tokens that carried no tag when it was trained.

        Raises:
            CheckpointError: If the file is damaged, or of other labels.
        """
        crf, untagged = read_crf(path)
        try:
            self.crf.load_state_dict(crf)
        except RuntimeError as error:
            raise CheckpointError(f"{path} does not fit the {self.config.num_labels} labels: {error}") from error
        return untagged

    def load_weights(self, folder: str | os.PathLike) -> None:
        """Copy the weights of a saved folder into this model, in place: device and optimiser stay valid.

        Raises:
            CheckpointError: If weights are missing, unexpected or of another shape.
        """
        crf, untagged = read_crf(Path(folder, CRF_NAME))
        weights = read_weights(Path(folder))
        weights.update({_CRF + name: value for name, value in crf.items()})
        try:
            self.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(f"{folder} does not fit the model: {error}") from error
        self.untagged_token_ids = untagged.to(self.device)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As torch does it; weights of a plain model are refused also if not strict, since the CRF would be lost.

        Raises:
            CheckpointError: If there is no CRF among the weights.
        """
        if not any(name.startswith(_CRF) for name in state_dict):
            raise CheckpointError(
                f"these are weights without a CRF, which is in {CRF_NAME} beside them: use load_weights(folder), as "
                "FinetuningTrainer does to resume"
            )
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def __reduce__(self) -> Any:
        return _blank, (self.plain_class,), self.__dict__


def _labels(config: PreTrainedConfig) -> list[str]:
    return [str(label) for _, label in sorted((config.id2label or {}).items())]


def _new_crf(config: PreTrainedConfig) -> LinearChainCRF:
    labels = _labels(config)
    # Not on the meta device, where rules have no values; `from_plain` puts the whole in place of an empty model.
    with torch.device("cpu"):
        return LinearChainCRF(len(labels), allowed_transitions(labels, getattr(config, CRF_SCHEME, None) or "plain"))


@cache
def _class_with_crf(plain_class: type[PreTrainedModel]) -> Any:
    """The class of a plain class's models with a CRF."""

    def forward(self: TokenClassificationWithCRF, *args: Any, **kwargs: Any) -> TokenClassifierOutput | tuple:
        return self._classify(*args, **kwargs)

    forward.__doc__ = TokenClassificationWithCRF._classify.__doc__
    # A Trainer asks the signature which columns of a data set the model takes.
    parameters = list(inspect.signature(plain_class.forward).parameters.values())
    rest = [parameter for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD]
    tag_mask = inspect.Parameter("tag_mask", inspect.Parameter.KEYWORD_ONLY, default=None)
    named = [parameter for parameter in parameters if parameter not in rest]
    forward.__signature__ = inspect.Signature([*named, tag_mask, *rest])  # type: ignore[attr-defined]
    # A pipeline, and `architectures` in config.json, know a model by the name of its class.
    name = plain_class.__name__
    members = {"plain_class": plain_class, "forward": forward, "__module__": __name__}
    return type(name, (TokenClassificationWithCRF, plain_class), {**members, "__qualname__": f"{name}WithCRF"})


def _blank(plain_class: type[PreTrainedModel]) -> TokenClassificationWithCRF:
    """What `pickle` and `copy` fill."""
    made = _class_with_crf(plain_class)
    return made.__new__(made)
