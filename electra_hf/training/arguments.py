"""What is pre-trained, and on what: two of the three dataclasses of run_pretraining.py, as in transformers' example
scripts. The third is in `training_arguments`.

Names follow run_mlm.py and TrainingArguments. Defaults are the paper's where the paper has one.
"""

from dataclasses import dataclass, field
from typing import Any

from electra_hf.corpora.arguments import SourceArguments
from electra_hf.errors import UsageError
from electra_hf.models.backbones import BACKBONES
from electra_hf.models.tf_checkpoint.bundle import refuse_tensorflow_checkpoint
from electra_hf.ranges import Range, check_ranges
from electra_hf.tokens.arguments import BlockArguments
from electra_hf.tokens.masking import SCHEMES
from electra_hf.training.objectives import OBJECTIVES

_NOT_NEGATIVE, _SHARE = Range(0), Range(0, 1)


@dataclass
class ModelArguments:
    """Which encoders are pre-trained, and with which objective."""

    objective: str | None = field(
        default=None,
        metadata={
            "help": "What is learnt: rtd (ELECTRA: a generator swaps tokens, a discriminator finds them), mlm (BERT: "
            "hidden tokens are predicted), mlm_nsp and mlm_sop (BERT and ALBERT: and pairs of segments judged, with "
            "--packing nsp or sop), electra_15, replace_mlm and all_tokens_mlm (ELECTRA's ablations), electric (an "
            "energy for each token). Default: that of --model_name_or_path, or rtd.",
            "choices": sorted(OBJECTIVES),
        },
    )
    model_type: str | None = field(
        default=None,
        metadata={
            "help": "Family of the encoders that start afresh, with the sizes that its configuration has in "
            "transformers unless --config_overrides changes them (electra).",
            "choices": sorted(BACKBONES),
        },
    )
    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Go on pre-training this encoder (folder or Hub id; for rtd the discriminator) instead of "
            "starting afresh. Without a generator, in generator/ there or by --generator_name_or_path, that one "
            "starts afresh."
        },
    )
    generator_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "The generator's checkpoint, if it is not in generator/ of --model_name_or_path. Alone: the "
            "discriminator starts afresh."
        },
    )
    config_name: str | None = field(
        default=None,
        metadata={
            "help": "Configuration of the encoder (folder or Hub id); default: that of --model_type in transformers, "
            "for electra ELECTRA-small's sizes."
        },
    )
    config_overrides: str | None = field(
        default=None,
        metadata={"help": "Change fields of the encoder: hidden_size=256,num_hidden_layers=12 (a map in YAML)."},
    )
    generator_width: float | None = field(
        default=None,
        metadata={
            "help": "Generator's width as a fraction of the discriminator's: hidden size, heads, FFN; not layers "
            "(electra and convbert: 0.25; other families, whose embeddings are as wide as the encoder: 1)."
        },
    )
    generator_depth: float | None = field(
        default=None,
        metadata={
            "help": "Generator's layers as a fraction of the discriminator's (electra and convbert: 1; other "
            "families: 0.5, as in DeBERTa-v3, or 1 with --generator_width)."
        },
    )
    generator_config_overrides: str | None = field(
        default=None, metadata={"help": "Change fields of the generator after scaling, in the same form."}
    )
    tokenizer_name: str | None = field(
        default=None,
        metadata={"help": "Tokenizer (folder, Hub id or vocab.txt); default: that of --model_name_or_path."},
    )
    train_tokenizer: bool = field(
        default=False, metadata={"help": "Train a WordPiece tokenizer on the corpus instead."}
    )
    vocab_size: int = field(default=30522, metadata={"help": "Tokens of a tokenizer trained with --train_tokenizer."})
    do_lower_case: bool | None = field(
        default=None,
        metadata={
            "help": "Lower-case the text: true or false. Default for --train_tokenizer: true; a bare vocab.txt needs "
            "the answer; any other tokenizer brings its own."
        },
    )
    strip_accents: bool = field(
        default=False,
        metadata={"help": "Remove accents too, in a trained tokenizer; breaks Korean, Japanese and many more."},
    )
    # The settings of the objective are None here, so that those which were not given can be the checkpoint's.
    embedding_sharing: str | None = field(
        default=None,
        metadata={
            "help": "What both encoders share: all (the paper), word, none, or gdes (DeBERTa-v3: the discriminator "
            "has the generator's embeddings, without gradient, plus a learned difference; rtd and electra_15). This "
            "and other settings of the objective default to the checkpoint's, and in a fresh model to the value in "
            "parentheses (all).",
            "choices": ["all", "word", "none", "gdes"],
        },
    )
    initialization: str | None = field(
        default=None,
        metadata={
            "help": "How fresh weights are drawn: as google-research/electra or as transformers (reference).",
            "choices": ["reference", "transformers"],
        },
    )
    generator_weight: float | None = field(default=None, metadata={"help": "Weight of the generator's loss (1)."})
    discriminator_weight: float | None = field(
        default=None, metadata={"help": "Weight of the discriminator's loss (50)."}
    )
    main_weight: float | None = field(
        default=None, metadata={"help": "Weight of the main encoder's loss in replace_mlm and all_tokens_mlm (1)."}
    )
    sampler: str | None = field(
        default=None,
        metadata={
            "help": "How replacements are drawn (gumbel). gumbel_softmax draws alike, and lets the discriminator's "
            "loss reach the generator (straight-through; rtd and electra_15).",
            "choices": ["gumbel", "multinomial", "gumbel_softmax"],
        },
    )
    temperature: float | None = field(default=None, metadata={"help": "Sampling temperature of the generator (1)."})
    temperature_schedule: str | None = field(
        default=None,
        metadata={
            "help": "The sampling temperature stays (constant), or falls from --temperature towards 1 (exponential).",
            "choices": ["constant", "exponential"],
        },
    )
    temperature_decay: float | None = field(
        default=None,
        metadata={"help": "Time constant of --temperature_schedule exponential, as a share of the run (0.1)."},
    )
    generator_feedback: float | None = field(
        default=None,
        metadata={
            "help": "With --sampler gumbel_softmax: factor of the gradient from the discriminator's loss to the "
            "generator (1). Negative: the generator learns to deceive."
        },
    )
    gumbel_temperature: float | None = field(
        default=None,
        metadata={"help": "With --sampler gumbel_softmax: temperature of the soft choice, at the beginning (1)."},
    )
    gumbel_temperature_end: float | None = field(
        default=None, metadata={"help": "The same at the end, for a --gumbel_temperature_schedule."}
    )
    gumbel_temperature_schedule: str | None = field(
        default=None,
        metadata={
            "help": "How it changes in the course of the run (constant).",
            "choices": ["constant", "linear", "exponential"],
        },
    )
    freeze_generator: bool | None = field(
        default=None,
        metadata={
            "help": "Do not train the generator that is loaded: true or false (false). Needs --embedding_sharing none "
            "or gdes."
        },
    )
    disallow_correct: bool | None = field(
        default=None, metadata={"help": "Never sample the original token: true or false (false)."}
    )
    attn_implementation: str = field(
        default="auto",
        metadata={
            "help": "Attention of transformers: sdpa, eager, flash_attention_2, flex_attention (no dropout). auto: "
            "sdpa, and on CUDA what is fastest among its kernels and eager, which a run measures once for its shapes."
        },
    )
    implementation: str = field(
        default="auto",
        metadata={
            "help": "How a step is computed; the mathematics is the same. plain: transformers' modules as they are. "
            "fused: fused layers of PyTorch's operations on a CPU, the vocabulary in chunks anywhere. native: fused, "
            "with kernels for the CPU that are compiled at the first use. auto: native where there is a C++ compiler "
            "and no GPU, otherwise fused.",
            "choices": ["auto", "plain", "fused", "native"],
        },
    )
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit on the Hub."})

    def __post_init__(self) -> None:
        weights = {"generator_weight": _NOT_NEGATIVE, "discriminator_weight": _NOT_NEGATIVE}
        temperatures = ("temperature", "temperature_decay", "gumbel_temperature", "gumbel_temperature_end")
        check_ranges(self, weights | dict.fromkeys(temperatures, Range(0, without="low")))
        for option in ("model_name_or_path", "generator_name_or_path"):
            refuse_tensorflow_checkpoint(getattr(self, option), option)


@dataclass
class DataArguments(BlockArguments, SourceArguments):
    """Where the text comes from, and how it becomes blocks and masks."""

    validation_file: list[str] = field(
        default_factory=list, metadata={"help": "Likewise for evaluation; default: documents held out of the corpus."}
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Train on N blocks, evenly spread."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Evaluate on N blocks, evenly spread."})
    prepared_dir: str | None = field(
        default=None,
        metadata={
            "help": "What `electra-hf prepare` wrote, in place of a source of text. With one: folder for the prepared "
            "blocks; default: in the Hugging Face cache."
        },
    )
    overwrite_cache: bool = field(default=False, metadata={"help": "Prepare again, whatever the folder holds."})
    preprocessing_num_workers: int = field(default=1, metadata={"help": "Processes that prepare the corpus."})
    streaming: bool = field(
        default=False, metadata={"help": "Tokenise while training, without writing blocks; needs --max_steps."}
    )
    shuffle_buffer_size: int = field(default=10_000, metadata={"help": "Blocks in the buffer when streaming."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Masked positions per token (large: 0.25)."})
    mask_replace_prob: float | None = field(
        default=None,
        metadata={
            "help": "Masked positions that become [MASK]; default: 0.85 as google's ELECTRA, for mlm, mlm_nsp and "
            "mlm_sop BERT's 0.8."
        },
    )
    random_replace_prob: float | None = field(
        default=None,
        metadata={
            "help": "Masked positions that become a random token; default: 0, for mlm, mlm_nsp and mlm_sop 0.1. The "
            "rest is kept."
        },
    )
    masking: str = field(
        default="token",
        metadata={
            "help": "What is masked: single tokens (ELECTRA), whole words (BERT's whole word masking), or spans of "
            "words (SpanBERT); as many tokens each time.",
            "choices": list(SCHEMES),
        },
    )
    span_geometric_p: float | None = field(
        default=None,
        metadata={"help": "With --masking span: p of the geometric distribution of a span's words (0.2)."},
    )
    span_max_words: int | None = field(
        default=None, metadata={"help": "With --masking span: the most words of a span (10)."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = ("max_train_samples", "max_eval_samples", "preprocessing_num_workers", "shuffle_buffer_size")
        shares = ("mlm_probability", "mask_replace_prob", "random_replace_prob")
        check_ranges(self, {name: Range(1) for name in sizes} | dict.fromkeys(shares, _SHARE))
        check_ranges(self, {"span_geometric_p": Range(0, 1, without="low"), "span_max_words": Range(1)})
        for name in self.masking_options.keys() - {"masking"} if self.masking != "span" else ():
            raise UsageError(
                f"--{name} has no effect on --masking {self.masking}: give --masking span, or leave it out"
            )
        if not self.mlm_probability:
            raise UsageError("--mlm_probability 0.0: give a share above 0, since nothing would be learnt")
        total = (self.mask_replace_prob or 0) + (self.random_replace_prob or 0)
        if total > 1:
            raise UsageError(
                f"--mask_replace_prob {self.mask_replace_prob} and --random_replace_prob {self.random_replace_prob} "
                "are more than 1 together: lower one of them"
            )

    @property
    def masking_options(self) -> dict[str, Any]:
        """The scheme of the masks and what was said about its spans, for the collator."""
        options = {name: getattr(self, name) for name in ("masking", "span_geometric_p", "span_max_words")}
        return {name: value for name, value in options.items() if value is not None}
