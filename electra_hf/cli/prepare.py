"""`electra-hf prepare`: a corpus -> a folder of blocks, and a look at what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from transformers import PreTrainedTokenizerBase

from electra_hf.cli.block_view import show_blocks
from electra_hf.corpora.arguments import SourceArguments, open_source
from electra_hf.corpora.corpus import Corpus, hold_out
from electra_hf.corpora.deduplication import DeduplicationSettings, deduplicate
from electra_hf.corpora.remote import as_path, is_remote
from electra_hf.corpora.workers import available_cores
from electra_hf.errors import PreparationError, UsageError
from electra_hf.parser import ConfigArgumentParser
from electra_hf.ranges import Range, check_ranges
from electra_hf.sharing.corpus_statistics import corpus_table, plot_document_lengths
from electra_hf.sharing.samples import write_samples
from electra_hf.tokens.arguments import BlockArguments
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.folders import remove_prepared
from electra_hf.tokens.preparation import prepare_folder
from electra_hf.tokens.prepared import SPLITS, load_prepared_tokenizer, prepared_splits, save_tokenizer
from electra_hf.tokens.sentence_pairs import PAIR_PACKINGS
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.tokenizers import load_tokenizer

LENGTHS_PICTURE = "document_lengths.png"


@dataclass
class PrepareArguments:
    """Where the blocks go, and how the work is done."""

    output_dir: str = field(metadata={"help": "Folder for the blocks and their tokenizer; a path or a fsspec URL."})
    tokenizer_name: str | None = field(
        default=None, metadata={"help": "Tokenizer: a folder, Hub id, vocab.txt or SentencePiece .model."}
    )
    do_lower_case: bool | None = field(
        default=None, metadata={"help": "For a bare vocab.txt: whether its text was lower-cased."}
    )
    validation_file: list[str] = field(
        default_factory=list,
        metadata={"help": "Files for the validation blocks; default: documents held out of the corpus."},
    )
    num_workers: int | None = field(
        default=None,
        metadata={
            "help": "Processes, or with --executor tasks at the same time; default: as many as there is room for."
        },
    )
    deduplication: str = field(
        default="none",
        metadata={
            "help": "Leave out equal documents (exact), or also those that are nearly equal (minhash).",
            "choices": ["none", "exact", "minhash"],
        },
    )
    deduplication_dir: str | None = field(
        default=None,
        metadata={"help": "Local folder for what --deduplication finds; default: duplicates/ in --output_dir."},
    )
    seed: int = field(default=42, metadata={"help": "Seed of the held-out documents and of the segments."})
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Replace blocks in the folder that were made with other settings."}
    )
    inspect: bool = field(
        default=False,
        metadata={"help": "Show blocks as text, one of them masked; alone with --output_dir for a prepared folder."},
    )
    num_inspected: int = field(default=3, metadata={"help": "How many blocks --inspect shows."})
    disable_tqdm: bool = field(default=False, metadata={"help": "No progress bars."})
    executor: str | None = field(
        default=None,
        metadata={
            "help": "Divide the work into tasks for Slurm, Ray, or processes of this machine (docs/cluster.md).",
            "choices": ["slurm", "ray", "local"],
        },
    )
    num_tasks: int = field(default=16, metadata={"help": "With --executor, how many tasks there are."})
    cpus_per_task: int = field(default=1, metadata={"help": "With --executor, processes of each task."})
    mem_per_cpu_gb: int = field(default=2, metadata={"help": "With slurm and ray, memory for each of them."})
    logging_dir: str | None = field(
        default=None, metadata={"help": "With --executor, folder for its logs; default: beside each split."}
    )
    slurm_partition: str | None = field(default=None, metadata={"help": "Partition for --executor slurm."})
    slurm_time: str = field(default="24:00:00", metadata={"help": "Time limit of a task, as HH:MM:SS."})
    slurm_qos: str | None = field(default=None, metadata={"help": "Quality of service; default: the cluster's."})
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})


def option_parser() -> ConfigArgumentParser:
    """The parser of the command."""
    arguments = (SourceArguments, BlockArguments, PrepareArguments)
    return ConfigArgumentParser(arguments, prog="electra-hf prepare", description=__doc__)


def run(arguments: Sequence[str]) -> None:
    """Carry out the command."""
    source, packing, options = option_parser().parse(arguments)
    sizes = ("num_workers", "num_inspected", "num_tasks", "cpus_per_task", "mem_per_cpu_gb")
    check_ranges(options, dict.fromkeys(sizes, Range(1)))
    only_look = options.inspect and not source.is_given()
    try:
        if not only_look and prepare_corpus(source, packing, options):
            return  # jobs were submitted
    except KeyboardInterrupt as interruption:
        raise PreparationError(
            "interrupted. Finished shards are kept: run the same command again to go on"
        ) from interruption
    show_corpus(options, Console())


def show_corpus(options: PrepareArguments, console: Console) -> None:
    """Print what the folder holds, draw the lengths of its documents, and say what to do next."""
    folder = as_path(options.output_dir)
    splits = prepared_splits(folder)
    for split, manifest in splits.items():
        console.print(corpus_table(manifest, f"{options.output_dir}: {split}"), end="\n\n")
    if not is_remote(folder):
        picture = plot_document_lengths(splits["train"], folder / LENGTHS_PICTURE, folder.name)
        _print_plain(console, f"Lengths  {picture}")
    if options.inspect:
        tokenizer = load_prepared_tokenizer(folder)
        blocks = BlockDataset(folder / "train")
        show_blocks(blocks, tokenizer, console, count=options.num_inspected, seed=options.seed)
    packing = splits["train"]["settings"]["packing"]
    length, pairs = packing["max_seq_length"], packing["packing"] in PAIR_PACKINGS
    command = f"run_pretraining.py --prepared_dir {options.output_dir} --max_seq_length {length}"
    if pairs:
        command += f" --objective mlm_{packing['packing']} --model_type bert"
    _print_plain(console, f"Next     accelerate launch {command} --output_dir outputs/mine")


def prepare_corpus(source: SourceArguments, packing: BlockArguments, options: PrepareArguments) -> bool:
    """Write the folder: training blocks, validation blocks, the tokenizer and some held-out lines.

    Returns:
        Whether jobs were submitted that will finish the folder later.
    """
    if options.tokenizer_name is None:
        raise UsageError("no tokenizer: give --tokenizer_name (`electra-hf tokenizer train` makes one)")
    tokenizer = load_tokenizer(options.tokenizer_name, cache_dir=options.cache_dir, lowercase=options.do_lower_case)
    settings = packing.packing_settings(options.seed)
    folder = as_path(options.output_dir)
    corpora = open_splits(source, packing, options)
    if options.overwrite_output_dir:
        for split in SPLITS:  # all before any is made anew: an old validation split may hold the new training text
            remove_prepared(folder / split)
    jobs = []
    for split, corpus in corpora.items():
        if options.executor:
            jobs.append(_prepare_with_executor(corpus, tokenizer, folder / split, settings, options))
        else:
            prepare_folder(
                corpus,
                tokenizer,
                folder / split,
                settings,
                num_workers=_workers(options),
                verify=True,
                progress=not options.disable_tqdm,
            )
        # Now it is known that the folder is of this tokenizer.
        save_tokenizer(tokenizer, folder)
    if SPLITS[1] in corpora and not is_remote(folder):
        write_samples(corpora[SPLITS[1]].documents(), folder)
    return any(jobs)


def _prepare_with_executor(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    settings: PackingSettings,
    options: PrepareArguments,
) -> str | None:
    from electra_hf.tokens.executors import SlurmOptions, prepare_with_executor

    slurm = None
    if options.executor == "slurm":
        if options.slurm_partition is None:
            raise UsageError("--executor slurm needs --slurm_partition: `sinfo` lists those there are")
        slurm = SlurmOptions(options.slurm_partition, options.slurm_time, options.slurm_qos)
    return prepare_with_executor(
        corpus,
        tokenizer,
        folder,
        settings,
        executor=cast(str, options.executor),
        num_tasks=options.num_tasks,
        num_workers=options.num_workers,
        cpus_per_task=options.cpus_per_task,
        mem_per_cpu_gb=options.mem_per_cpu_gb,
        logging_dir=f"{options.logging_dir.rstrip('/')}/{folder.name}" if options.logging_dir else None,
        slurm=slurm,
    )


def _workers(options: PrepareArguments) -> int:
    """Processes of this machine; with an executor, --num_workers counts tasks elsewhere."""
    return available_cores() if options.num_workers is None or options.executor else options.num_workers


def open_splits(source: SourceArguments, packing: BlockArguments, options: PrepareArguments) -> dict[str, Corpus]:
    """The corpus of each split; what is held out is in one of them only."""
    corpus = open_source(source, options.seed, cache_dir=options.cache_dir)
    if options.deduplication != "none":
        if is_remote(as_path(options.output_dir)) and options.deduplication_dir is None:
            raise UsageError("--deduplication needs a folder of this machine beside a URL: give --deduplication_dir")
        corpus = deduplicate(
            corpus,
            options.deduplication_dir or as_path(options.output_dir) / "duplicates",
            DeduplicationSettings(method=cast(Any, options.deduplication)),
            num_workers=_workers(options),
            overwrite=options.overwrite_output_dir,
            progress=not options.disable_tqdm,
        )
    if options.validation_file:
        return {"train": corpus, "validation": open_source(source.for_files(options.validation_file), options.seed)}
    if not packing.validation_split_percentage:
        return {"train": corpus}
    return dict(zip(SPLITS, hold_out(corpus, packing.validation_split_percentage, options.seed), strict=True))


def _print_plain(console: Console, line: str) -> None:
    """A line with paths or commands to copy: not wrapped, no markup."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)
