"""`--help` that can be read: options by what they are for, our own first, seldom needed ones behind `--help_all`.

The scripts have some two hundred options, and more than half are those of transformers' TrainingArguments that hardly
anyone gives. `GROUPS` names the others. An option that it does not name is shown too, by the beginning of its name or
at the end, unless it is one of TrainingArguments.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

HELP_ALL = "--help_all"
OTHERS, INHERITED = "other options", "inherited from TrainingArguments of transformers"
_WIDTH_OF_NAMES = 34

GROUPS: dict[str, tuple[str, ...]] = {
    "run": ("config", "output_dir", "do_train", "do_eval", "do_predict", "resume_from_checkpoint", "seed", "data_seed",
            "overwrite_output_dir"),
    "plan": ("no_probe", "probe_seconds", "num_processes", "price_per_hour", "mfu", "json"),
    "task": ("task_name", "task_kind", "data_dir", "label_column_name", "text_pair_column_name", "label_separator",
             "label_unit", "file_format", "source_scheme", "tag_scheme", "metric", "num_seeds", "split_seed"),
    "text": ("corpus", "train_file", "validation_file", "test_file", "dataset_name", "dataset_config_name",
             "prepared_dir", "text_column_name", "document_separator", "encoding", "encoding_errors",
             "unicode_normalization", "sentence_splitting", "streaming", "shuffle_buffer_size", "corpus_weights",
             "corpus_max_documents", "stopping_strategy", "validation_split_percentage", "max_train_samples",
             "max_eval_samples", "max_predict_samples", "deduplication", "deduplication_dir", "sample_characters",
             "preprocessing_num_workers", "overwrite_cache"),
    "blocks": ("max_seq_length", "packing", "overflow", "truncation", "single_segment_probability",
               "short_probability", "doc_stride", "pad_to_max_length", "tokenization", "label_all_tokens"),
    "tokenizer": ("tokenizer_name", "train_tokenizer", "kind", "vocab_size", "do_lower_case", "strip_accents",
                  "limit_alphabet", "character_coverage", "byte_fallback", "normalization", "pre_tokenizer",
                  "pad_to_multiple_of"),
    "model": ("model_name_or_path", "model_type", "config_name", "config_overrides", "generator_name_or_path",
              "generator_width", "generator_depth", "generator_config_overrides", "random_initialization",
              "classification_head", "use_crf", "initialization", "model_revision", "cache_dir"),
    "objective": ("objective", "embedding_sharing", "generator_weight", "discriminator_weight", "main_weight",
                  "sampler", "temperature", "temperature_schedule", "temperature_decay", "generator_feedback",
                  "gumbel_temperature", "gumbel_temperature_end", "gumbel_temperature_schedule", "freeze_generator",
                  "disallow_correct", "loss_reduction", "double_unordered"),
    "masking": ("masking", "mlm_probability", "mask_replace_prob", "random_replace_prob", "span_geometric_p",
                "span_max_words"),
    "optimisation": ("max_steps", "num_train_epochs", "schedule_minutes", "learning_rate", "layerwise_lr_decay",
                     "layerwise_lr_decay_mode", "crf_learning_rate", "generator_learning_rate", "optim",
                     "optimization", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "decay_fraction",
                     "decay_shape", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "muon_learning_rate",
                     "muon_momentum", "max_grad_norm", "max_skipped_steps", "spike_threshold", "max_rollbacks"),
    "batch": ("per_device_train_batch_size", "gradient_accumulation_steps", "batch_size_warmup_steps",
              "batch_size_warmup_start", "length_warmup_steps", "length_warmup_start", "dataloader_num_workers"),
    "evaluation": ("eval_strategy", "eval_steps", "per_device_eval_batch_size", "eval_on_start",
                   "return_entity_level_metrics"),
    "checkpoints and stopping": ("save_strategy", "save_steps", "save_total_limit", "keep_milestones",
                                 "load_best_model_at_end", "metric_for_best_model", "greater_is_better",
                                 "save_only_model", "max_train_minutes", "hang_timeout"),
    "Hub": ("push_to_hub", "hub_model_id", "hub_private_repo", "hub_revision", "hub_strategy", "hub_token"),
    "speed": ("bf16", "fp16", "tf32", "implementation", "attn_implementation", "torch_compile",
              "activation_checkpointing", "tune_allocator", "use_cpu"),
    "workers": ("num_workers", "executor", "num_tasks", "cpus_per_task", "mem_per_cpu_gb", "logging_dir"),
    "logging": ("logging_steps", "logging_first_step", "report_to", "run_name", "log_level", "disable_tqdm", "debug",
                "inspect", "num_inspected", "num_examples"),
    "search": ("hpo",),
}  # fmt: skip
# Options that are added to a family of others.
_PREFIXES = {"hub_": "Hub", "push_": "Hub", "hpo": "search", "eval_": "evaluation", "slurm_": "workers",
             "save_": "checkpoints and stopping", "text_": "text"}  # fmt: skip
# Ours say of these what they must be.
_FIXED = ("logging_nan_inf_filter", "dataloader_drop_last", "remove_unused_columns", "ddp_find_unused_parameters")
_GROUP_OF = {name: title for title, names in GROUPS.items() for name in names}


class OptionHelpFormatter(argparse.RawDescriptionHelpFormatter):
    """One spelling for each option, and its default only where the text does not say it."""

    def __init__(self, prog: str, **kwargs: Any):
        super().__init__(prog, **{"max_help_position": _WIDTH_OF_NAMES, **kwargs})

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or "-h" in action.option_strings:
            return super()._format_action_invocation(action)
        name = action.option_strings[0]
        if action.nargs == 0:
            return name
        value = action.metavar if isinstance(action.metavar, str) else _kind_of_value(action)
        return f"{name} [{value}]" if action.nargs == "?" else f"{name} {value}"

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if isinstance(action, argparse._StoreFalseAction):
            return f"The same as --{action.dest} false."
        told = action.default in (None, argparse.SUPPRESS, "", False) or action.default == [] or action.nargs == 0
        if told or "efault" in text or f"({action.default})" in text:
            return text
        return f"{text.rstrip('.')} (%(default)s)."


def _kind_of_value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    kind = getattr(action.type, "__name__", "")
    word = {"int": "N", "float": "X", "string_to_bool": "true|false"}.get(kind, "VALUE")
    return f"{word} ..." if action.nargs in ("+", "*") else word


class HelpAll(argparse.Action):
    """`--help_all`: every option there is."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any):
        super().__init__(option_strings, dest=dest, default=argparse.SUPPRESS, nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        parser._print_message(format_options(parser, everything=True), sys.stdout)
        parser.exit()


def group_of(name: str, inherited: Iterable[str]) -> str:
    """The title under which an option is listed.

    Args:
        name: Of the option, without dashes.
        inherited: Names of options that are not ours.

    >>> group_of("learning_rate", []), group_of("hpo_trials", []), group_of("ddp_backend", ["ddp_backend"])
    ('optimisation', 'search', 'inherited from TrainingArguments of transformers')
    """
    if name in _GROUP_OF:
        return _GROUP_OF[name]
    if name in inherited or name in _FIXED:
        return INHERITED
    return next((title for prefix, title in _PREFIXES.items() if name.startswith(prefix)), OTHERS)


def grouped(parser: argparse.ArgumentParser) -> dict[str, list[argparse.Action]]:
    """{title: options}, in the order of `GROUPS` and, within, of its names; each option of the parser once."""
    inherited = getattr(parser, "inherited", frozenset())
    order = {name: number for number, name in enumerate(_GROUP_OF)}
    found: dict[str, list[argparse.Action]] = {title: [] for title in (*GROUPS, OTHERS, INHERITED)}
    for action in parser._actions:
        # An option and its --no_ complement have one destination, and stay together.
        name = action.dest
        title = "run" if name in ("help", "help_all") else group_of(name, inherited)
        found[title].append(action)
    for title, actions in found.items():
        if title in GROUPS:
            actions.sort(key=lambda action: order.get(action.dest, len(order)))
    return {title: actions for title, actions in found.items() if actions}


def format_options(parser: argparse.ArgumentParser, *, everything: bool) -> str:
    """The help of a parser.

    Args:
        parser: Whose options are listed; `inherited` names those that are not ours, if it has that attribute.
        everything: Also those that hardly anyone needs.
    """
    formatter = parser._get_formatter()
    formatter.add_usage(parser.usage or f"{parser.prog} [{HELP_ALL}] [--config FILE.yaml] [options]", [], [])
    formatter.add_text(parser.description)
    groups = grouped(parser)
    hidden = [] if everything else groups.pop(INHERITED, [])
    for title, actions in groups.items():
        formatter.start_section(title)
        formatter.add_arguments(actions)
        formatter.end_section()
    if hidden:
        names = len({action.dest for action in hidden})
        formatter.add_text(f"{HELP_ALL} lists {names} more options, {INHERITED}, all of which can be given.")
    return formatter.format_help()
