"""Pseudo-log-likelihoods of sentences: the sum over tokens of log p(token | all other tokens), in nats.

For a masked language model each token is hidden in turn (Salazar et al. 2020), which takes as many passes as there are
tokens. An Electric model gives minus its energies in one pass (Clark et al. 2020b, section 3.2); these are the logs of
probabilities that are normalised only as far as training has made them so.

[CLS] and [SEP] are context and are not scored. Sums can be compared between sentences of one length under one
tokenizer, as between the hypotheses of a recogniser; the average per token also between lengths, roughly. Rows of a
batch have one length, so that no score depends on padding.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerBase

from electra_hf.errors import CheckpointError, CorpusError, TokenizerError, UsageError
from electra_hf.models import ElectricForPreTraining
from electra_hf.models.backbones import BACKBONES
from electra_hf.models.checkpoint import LOADING_ERRORS, loading_problem
from electra_hf.models.objective_files import load_objective
from electra_hf.sharing.demo.loading import lacking, quiet_loading

# Texts whose rows are sorted by length together.
_WINDOW = 64


@dataclass(frozen=True)
class SentenceScore:
    """The score of one text.

    Attributes:
        text: As it was given.
        tokens: How many were scored: all but [CLS] and [SEP].
        log_likelihood: Sum over them, in nats.
    """

    text: str
    tokens: int
    log_likelihood: float

    @property
    def per_token(self) -> float:
        """Mean log-likelihood of a token, in nats."""
        return self.log_likelihood / self.tokens


@dataclass(frozen=True)
class Line:
    """A text, and where it comes from, for errors: such as `dev.txt:3`."""

    text: str
    place: str


@dataclass(frozen=True)
class Scorer:
    """A model that scores texts, in evaluation mode on its device, and its tokenizer."""

    tokenizer: PreTrainedTokenizerBase
    model: Any
    is_electric: bool

    @property
    def longest(self) -> int:
        """Tokens of the longest text, special ones included."""
        config = self.model.config.main_config if self.is_electric else self.model.config
        # RoBERTa counts positions from behind the padding id.
        offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
        return getattr(config, "max_position_embeddings", self.tokenizer.model_max_length) - offset


def load_scorer(name: str, subfolder: str = "") -> Scorer:
    """Load a model that can score texts: an Electric run, or any masked language model that transformers knows.

    Args:
        name: Folder or Hub id.
        subfolder: Where in it a masked language model is, such as `generator`; the tokenizer is that of `name`.

    Raises:
        CheckpointError: If it cannot be loaded, or is no such model.
        TokenizerError: If a masked language model's tokenizer has no mask token.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with quiet_loading():
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            is_electric = not subfolder and load_objective(name).get("objective") == "electric"
            if is_electric:
                return Scorer(tokenizer, ElectricForPreTraining.from_pretrained(name).eval().to(device), True)
            model, loading = AutoModelForMaskedLM.from_pretrained(
                name, subfolder=subfolder, output_loading_info=True, trust_remote_code=False
            )
    except LOADING_ERRORS as error:
        raise CheckpointError(f"cannot load a model that scores from {name}: {loading_problem(error)}") from error
    if missing := lacking(loading):
        raise CheckpointError(
            f"{name} has no head that predicts tokens (missing: {missing}). "
            "Give a masked language model or an Electric model; the generator of an ELECTRA run is one: --subfolder "
            "generator"
        )
    if tokenizer.mask_token_id is None:
        raise TokenizerError(f"the tokenizer of {name} has no mask token, so no token can be hidden from the model")
    return Scorer(tokenizer, model.eval().to(device), False)


def score(lines: Iterable[Line], scorer: Scorer, *, batch_size: int = 32) -> Iterator[SentenceScore]:
    """Score texts one after the other, in their order.

    Args:
        lines: The texts.
        scorer: From `load_scorer`.
        batch_size: Rows of a pass; a masked language model needs one row for each token of a text.

    Raises:
        CorpusError: If a text has no tokens, or more than the model takes; those before it have been scored.
        UsageError: If the batch size is below 1.
    """
    if batch_size < 1:
        raise UsageError(f"--batch_size {batch_size}: give 1 or more")
    texts = iter(lines)
    while window := list(islice(texts, _WINDOW)):
        encoded: list[tuple[Line, list[int], list[int]]] = []
        failure: CorpusError | None = None
        for line in window:
            try:
                encoded.append((line, *_encode(line, scorer)))
            except CorpusError as error:
                failure = error
                break
        rows = [
            (number, ids, places)
            for number, (_, ids, scored) in enumerate(encoded)
            for places in ([scored] if scorer.is_electric else [[place] for place in scored])
        ]
        sums = [0.0] * len(encoded)
        for batch in _batches(rows, batch_size):
            values = _pass(scorer, [ids for _, ids, _ in batch], [places for _, _, places in batch])
            for (number, _, _), value in zip(batch, values, strict=True):
                sums[number] += value
        for (line, _, scored), total in zip(encoded, sums, strict=True):
            yield SentenceScore(line.text, len(scored), total)
        if failure is not None:
            raise failure


def _encode(line: Line, scorer: Scorer) -> tuple[list[int], list[int]]:
    """Ids with special tokens, and the places of the others."""
    encoding = scorer.tokenizer(line.text, return_special_tokens_mask=True, verbose=False)
    ids: Any = encoding["input_ids"]
    special: Any = encoding["special_tokens_mask"]
    places = [place for place, is_special in enumerate(special) if not is_special]
    if not places:
        raise CorpusError(f"{line.place}: there is no text to score; take the line out")
    if len(ids) > scorer.longest:
        raise CorpusError(
            f"{line.place}: {len(ids)} tokens, and the model takes {scorer.longest}: divide the text into sentences"
        )
    return ids, places


def _batches(rows: Sequence[tuple[int, list[int], list[int]]], size: int) -> Iterator[list[Any]]:
    """Rows of one length together."""
    for _, group in groupby(sorted(rows, key=lambda row: len(row[1])), key=lambda row: len(row[1])):
        while batch := list(islice(group, size)):
            yield batch


@torch.inference_mode()
def _pass(scorer: Scorer, ids: list[list[int]], places: list[list[int]]) -> list[float]:
    """Log-likelihood of each row's tokens at its places."""
    model = scorer.model
    tokens = torch.tensor(ids, device=model.device)  # (b, l)
    if scorer.is_electric:
        energies = _energies(model, tokens)
        return [-energies[row, where].sum().item() for row, where in enumerate(places)]
    where = torch.tensor(places, device=model.device)  # (b, 1)
    masked = tokens.scatter(1, where, cast(int, scorer.tokenizer.mask_token_id))
    logits = logits_at(model, masked, where).squeeze(1)
    return logits.log_softmax(-1).gather(1, tokens.gather(1, where)).squeeze(1).tolist()


def logits_at(model: Any, tokens: Tensor, places: Tensor) -> Tensor:
    """(b, k, v) fp32, what a masked language model says about (b, k) places of its (b, l) tokens without padding.

    The families that can be pre-trained have a head that is applied to these places alone, since (b, l, v) is more
    than all the rest; another one that transformers knows is computed whole.
    """
    backbone = BACKBONES.get(model.config.model_type)
    if backbone is None or not isinstance(model, backbone.masked_lm_class):
        logits = model(input_ids=tokens).logits
        return logits.gather(1, places[..., None].expand(-1, -1, logits.size(-1))).float()
    hidden = model.base_model(tokens).last_hidden_state  # (b, l, h)
    hidden = hidden.gather(1, places[..., None].expand(-1, -1, hidden.size(-1)))
    return F.linear(backbone.transform(model, hidden), *backbone.vocabulary(model)).float()


def _energies(model: ElectricForPreTraining, tokens: Tensor) -> Tensor:
    """(b, l) fp32."""
    hidden = model.discriminator.base_model(tokens).last_hidden_state
    return model.discriminator.discriminator_predictions(hidden).float()
