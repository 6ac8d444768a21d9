"""An encoder with a head for tags, with or without a CRF: loaded whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from transformers import AutoModelForTokenClassification, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from electra_hf.errors import CheckpointError
from electra_hf.finetuning.arguments import EncoderArguments
from electra_hf.finetuning.labels import decide_labels, label_order
from electra_hf.finetuning.tagging.data import Scheme
from electra_hf.finetuning.weights import build_model, describe_missing, load_config, load_model, redraw_head
from electra_hf.models.crf import LinearChainCRF
from electra_hf.models.token_classification import TokenClassificationWithCRF, has_crf, untagged_token_ids


@dataclass(frozen=True)
class LoadedTagger:
    """A model that is ready to tag.

    Attributes:
        model: In fp32, on the CPU; the tags are in its configuration.
        label_ids: The model's number of each tag of the data; None if they are the same.
        notes: What the user should know, one sentence each.
    """

    model: PreTrainedModel
    label_ids: tuple[int, ...] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def crf(self) -> LinearChainCRF | None:
        """The CRF; None without."""
        return self.model.crf if isinstance(self.model, TokenClassificationWithCRF) else None


def load_tagger(
    model_args: EncoderArguments,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    scheme: Scheme,
    *,
    use_crf: bool,
    first_tokens_only: bool,
    training: bool,
    seed: int,
) -> LoadedTagger:
    """Load an encoder and give it a head for tags. Call it for each seed: what is drawn depends on the seed only.

    Args:
        model_args: Which model.
        tokenizer: Of the model.
        labels: Tags in the order of the data's numbers.
        scheme: How they are written; the rules that a CRF keeps.
        use_crf: Put a CRF on top. A model that is only evaluated keeps the one that it has.
        first_tokens_only: Only the first token of a word is tagged.
        training: The model will be trained, so a head may be new; otherwise its own must fit.
        seed: Of the head, and of all weights with `random_initialization`. The global generators are set to it.

    Raises:
        CheckpointError: If weights are missing or do not fit, files are damaged or not there, or the model is to be
            evaluated and has no head for these tags, or no CRF where one is asked for.
    """
    name = model_args.model_name_or_path
    config = load_config(model_args)
    stored_crf = has_crf(config) and not model_args.random_initialization
    decided = decide_labels(
        name, config, labels, "tags", training=training, any_head=not model_args.random_initialization
    )
    keeps_crf = stored_crf and decided.kept and (use_crf or not training)
    if use_crf and not training and not keeps_crf:
        raise CheckpointError(f"{name} was trained without a CRF: leave out --use_crf to evaluate it, or train it")
    notes = [decided.note] if decided.note else []
    if stored_crf and not keeps_crf:
        notes.append("its CRF is left out" if not use_crf else "its CRF is for other tags and is replaced")

    set_seed(seed)
    if keeps_crf:
        options = {"attn_implementation": model_args.attn_implementation} if model_args.attn_implementation else {}
        model = TokenClassificationWithCRF.from_pretrained(
            name, cache_dir=model_args.cache_dir, revision=model_args.model_revision, **options
        )
        model.float()
    else:
        config.id2label = dict(enumerate(decided.names))
        config.label2id = {label: number for number, label in enumerate(decided.names)}
        # Of a classification that the encoder was trained for before.
        config.problem_type = None
        if hasattr(config, "crf_scheme"):
            delattr(config, "crf_scheme")
        if model_args.random_initialization:
            model = build_model(AutoModelForTokenClassification, model_args, config)
        else:
            model, missing = load_model(AutoModelForTokenClassification, model_args, config, keep_head=decided.kept)
            if not decided.kept:
                notes += describe_missing(model, missing)
                set_seed(seed)
                redraw_head(model, missing)
        if use_crf:
            untagged = untagged_token_ids(tokenizer, first_tokens_only=first_tokens_only)
            model = cast(PreTrainedModel, TokenClassificationWithCRF.from_plain(model, scheme, untagged))
    return LoadedTagger(model, label_order(labels, decided.names), tuple(notes))
