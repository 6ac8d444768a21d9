"""From arguments to the parts of a run: tokenizer, blocks, logging; `model_setup` builds the model."""

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import torch
import transformers
from accelerate.utils import broadcast_object_list
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from electra_hf.corpora import Corpus, hold_out
from electra_hf.corpora.arguments import open_source
from electra_hf.corpora.remote import as_path
from electra_hf.errors import ElectraHfError, Interrupted, PreparationError, UsageError
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.preparation import default_prepared_folder, prepare
from electra_hf.tokens.prepared import load_prepared_tokenizer, open_prepared, prepared_splits
from electra_hf.tokens.streaming import StreamingBlocks
from electra_hf.tokens.tokenizers import check_tokenizer, load_tokenizer, train_wordpiece
from electra_hf.training.arguments import DataArguments, ModelArguments
from electra_hf.training.pretraining_arguments import PretrainingArguments

# Held-out documents that are prepared when the corpus itself is only streamed.
STREAMED_VALIDATION_DOCUMENTS = 1_000


def start_logging(args: PretrainingArguments) -> None:
    """Readable messages from the main process, warnings from the others."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("electra_hf").setLevel(logging.INFO if args.should_log else logging.WARNING)
    transformers.utils.logging.set_verbosity(args.get_process_log_level())
    # Reading and writing weights takes a second; its bars would break the training's own.
    transformers.utils.logging.disable_progress_bar()


def end_processes(exit_code: int = 0) -> None:
    """Leave a run of several processes together; a run in one process goes on.

    With gloo, torch 2.13 aborts or hangs in about a fifth of interpreter exits, when all is done and written: such a
    process is left without the interpreter's own clean-up.

    Args:
        exit_code: Of each process. Other ones than 0 need no clean-up either.
    """
    if not torch.distributed.is_initialized():
        return
    backend = torch.distributed.get_backend()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    if exit_code or "gloo" in backend:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def leaves_together(main: Callable[[], None]) -> Callable[[], None]:
    """A script's `main` whose processes, if they were told to stop, say so once and end at the same time."""

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
        except Interrupted as stop:
            if torch.distributed.is_initialized():
                if torch.distributed.get_rank() == 0:
                    sys.stderr.write(f"{stop}\n")
                end_processes(stop.exit_code)
            raise

    return run


def corpus_names(data_args: DataArguments) -> list[str]:
    """What the run reads, for people: names on the Hub as they are, local text without the folders of this machine."""
    if not data_args.is_given() and data_args.prepared_dir is not None:
        return [as_path(data_args.prepared_dir).name]
    return data_args.source_names()


def split_corpus(corpus: Corpus, data_args: DataArguments, seed: int) -> tuple[Corpus, Corpus | None]:
    """Training and evaluation documents, each in one of them only; None for the second if nothing is held out."""
    if data_args.validation_file:
        return corpus, open_source(data_args.for_files(data_args.validation_file), seed)
    if not data_args.validation_split_percentage:
        return corpus, None
    return hold_out(corpus, data_args.validation_split_percentage, seed)


def open_tokenizer(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: PretrainingArguments,
    corpus: Corpus | None,
    checkpoint: Path | None,
) -> PreTrainedTokenizerBase:
    """The tokenizer of the run: the checkpoint's when resuming, a trained one, or the one that was named.

    Args:
        model_args: Names of tokenizer and model, and how a new tokenizer is trained.
        data_args: The length that the tokenizer should know.
        args: Which process this is.
        corpus: Text for a new tokenizer; None if there are only prepared blocks, which bring theirs.
        checkpoint: The folder the run resumes from.

    Raises:
        UsageError: If no tokenizer was named and none is to be trained.
        TokenizerError: If it cannot be loaded, or has no [MASK], [CLS], [SEP] or [PAD].
    """
    if checkpoint is not None:
        tokenizer = load_tokenizer(str(checkpoint))
    elif model_args.train_tokenizer:
        if model_args.tokenizer_name:
            raise UsageError("--train_tokenizer and --tokenizer_name exclude each other: leave one out")
        if model_args.model_name_or_path or model_args.generator_name_or_path:
            raise UsageError(
                "--train_tokenizer makes a new vocabulary, and loaded weights belong to theirs: leave out "
                "--train_tokenizer, or --model_name_or_path and --generator_name_or_path"
            )
        if corpus is None:
            raise UsageError("--train_tokenizer needs text, and --prepared_dir brings blocks and their own tokenizer")
        tokenizer = _train_tokenizer(model_args, data_args, args, corpus)
    elif corpus is None and data_args.prepared_dir and not model_args.tokenizer_name:
        tokenizer = load_prepared_tokenizer(data_args.prepared_dir)
    else:
        weights = model_args.model_name_or_path or model_args.generator_name_or_path
        name = model_args.tokenizer_name or weights or model_args.config_name
        if name is None:
            raise UsageError("no tokenizer: give --tokenizer_name (folder, Hub id or vocab.txt), or --train_tokenizer")
        tokenizer = load_tokenizer(
            name,
            cache_dir=model_args.cache_dir,
            revision=model_args.model_revision,
            lowercase=model_args.do_lower_case,
        )
    check_tokenizer(tokenizer)
    return tokenizer


def _train_tokenizer(
    model_args: ModelArguments, data_args: DataArguments, args: PretrainingArguments, corpus: Corpus
) -> PreTrainedTokenizerBase:
    """One process reads the corpus, and all get the very same tokenizer, or the very same error."""
    outcome: PreTrainedTokenizerBase | ElectraHfError | None = None
    if args.process_index == 0:
        try:
            outcome = train_wordpiece(
                _Documents(corpus),
                model_args.vocab_size,
                lowercase=model_args.do_lower_case is not False,
                strip_accents=model_args.strip_accents,
                max_length=data_args.max_seq_length,
                show_progress=args.should_log and not args.disable_tqdm,
            )
        except ElectraHfError as error:
            outcome = error
    received = broadcast_object_list([outcome])[0]
    if isinstance(received, ElectraHfError):
        raise received
    return cast(PreTrainedTokenizerBase, received)


class _Documents:
    """The documents as something that can be read more than once."""

    def __init__(self, corpus: Corpus):
        self.corpus = corpus

    def __iter__(self) -> Iterator[str]:
        return self.corpus.documents()


def open_blocks(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    data_args: DataArguments,
    args: PretrainingArguments,
    *,
    split: str,
) -> Dataset:
    """Blocks of one split: a prepared folder, made now if needed, or a stream.

    Args:
        corpus: Documents of this split.
        tokenizer: Turns them into ids.
        data_args: Packing, folder and limits.
        args: Seed and process.
        split: `train` or `validation`; the folder's name below --prepared_dir.

    Raises:
        PreparationError: If the folder cannot be written, holds something else, or the corpus gives too few blocks.
    """
    settings = data_args.packing_settings(args.seed)
    training = split == "train"
    if data_args.streaming and training:
        if args.max_steps <= 0:
            raise UsageError("--streaming needs --max_steps: a stream does not know how long it is")
        return StreamingBlocks(
            corpus, tokenizer, settings, shuffle_buffer_size=data_args.shuffle_buffer_size, seed=args.seed
        )
    if data_args.prepared_dir:
        folder = as_path(data_args.prepared_dir) / split
    else:
        folder = default_prepared_folder(corpus, tokenizer, settings)
    with args.main_process_first(desc=f"preparing {split} blocks"):
        blocks = prepare(
            corpus,
            tokenizer,
            folder,
            settings,
            num_workers=data_args.preprocessing_num_workers,
            overwrite=data_args.overwrite_cache and args.process_index == 0,
            progress=args.should_log and not args.disable_tqdm,
        )
    return _limited(blocks, corpus.name, data_args, args, training=training)


def open_prepared_blocks(
    tokenizer: PreTrainedTokenizerBase, data_args: DataArguments, args: PretrainingArguments, *, split: str
) -> BlockDataset:
    """Blocks of one split of a folder that `electra-hf prepare` wrote.

    Args:
        tokenizer: The tokenizer of the run.
        data_args: Folder and limits; the length of a block must be the folder's.
        args: Batch size.
        split: `train` or `validation`; there is always one to train on.

    Raises:
        PreparationError: If the blocks are missing or damaged, or were made with another tokenizer or length.
        UsageError: If there are none to evaluate on, or an option asks for something else than the folder.
    """
    assert data_args.prepared_dir is not None
    training = split == "train"
    for option in ("streaming", "validation_file"):
        if getattr(data_args, option):
            raise UsageError(f"--{option} has no effect on a prepared folder: leave it out, or name a source of text")
    if split not in prepared_splits(data_args.prepared_dir):
        raise UsageError(
            f"{data_args.prepared_dir} holds no blocks for evaluation: prepare it with --validation_split_percentage "
            "above 0, or leave out --do_eval and --eval_strategy"
        )
    with args.main_process_first(desc=f"opening {split} blocks"):  # a remote folder is copied once
        asked = {"max_seq_length": data_args.max_seq_length}
        blocks = open_prepared(data_args.prepared_dir, split, tokenizer, asked)
    return _limited(blocks, data_args.prepared_dir, data_args, args, training=training)


def _limited(
    blocks: BlockDataset, name: str, data_args: DataArguments, args: PretrainingArguments, *, training: bool
) -> BlockDataset:
    """As many blocks as were asked for, and enough of them."""
    limit = data_args.max_train_samples if training else data_args.max_eval_samples
    if limit is not None and limit < len(blocks):
        blocks = blocks.select(limit)
    rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    if training and args.do_train and len(blocks) < rows:
        raise PreparationError(
            f"{name} gives {len(blocks)} training blocks of {data_args.max_seq_length} tokens, fewer than the {rows} "
            "of one step: add text, or lower --per_device_train_batch_size, --gradient_accumulation_steps or "
            "--max_seq_length"
        )
    return blocks
