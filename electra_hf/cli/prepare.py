"""`electra-hf prepare`: a corpus -> a folder of blocks, and a look at what is in it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from electra_hf.corpora.arguments import SourceArguments, open_source
from electra_hf.corpora.corpus import Corpus, hold_out
from electra_hf.corpora.remote import as_path, is_remote
from electra_hf.errors import UsageError
from electra_hf.parser import ConfigArgumentParser
from electra_hf.sharing.corpus_statistics import corpus_table, plot_document_lengths
from electra_hf.sharing.samples import write_samples
from electra_hf.tokens.arguments import BlockArguments
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.inspection import BlockToken, block_tokens, evenly_spread, masked_block_tokens
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection
from electra_hf.tokens.preparation import prepare
from electra_hf.tokens.prepared import SPLITS, is_prepared, save_tokenizer
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
    num_workers: int | None = field(default=None, metadata={"help": "Processes; default: one for each core."})
    deduplication: str = field(
        default="none",
        metadata={
            "help": "Leave out equal documents (exact), or also those that are nearly equal (minhash).",
            "choices": ["none", "exact", "minhash"],
        },
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
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})


def run(arguments: Sequence[str]) -> None:
    """Carry out the command."""
    parser = ConfigArgumentParser(
        (SourceArguments, BlockArguments, PrepareArguments), prog="electra-hf prepare", description=__doc__
    )
    source, packing, options = parser.parse(arguments)
    if options.num_inspected < 1:
        raise UsageError(f"--num_inspected {options.num_inspected}: give 1 or more")
    console = Console()
    if not (options.inspect and not source.is_given()):
        prepare_corpus(source, packing, options)
    splits = {
        split: BlockDataset(as_path(options.output_dir) / split)
        for split in SPLITS
        if split == SPLITS[0] or is_prepared(options.output_dir, split)
    }
    for split, blocks in splits.items():
        console.print(corpus_table(blocks.manifest, f"{options.output_dir}: {split}"), end="\n\n")
    if not is_remote(as_path(options.output_dir)):
        picture = Path(options.output_dir) / LENGTHS_PICTURE
        plot_document_lengths(splits["train"].manifest, picture, Path(options.output_dir).name)
        _print_plain(console, f"Lengths  {picture}")
    if options.inspect:
        show_blocks(splits["train"], options, console)
    length = splits["train"].max_length
    _print_plain(
        console,
        f"Next     accelerate launch run_pretraining.py --prepared_dir {options.output_dir} --max_seq_length {length}",
    )


def prepare_corpus(source: SourceArguments, packing: BlockArguments, options: PrepareArguments) -> None:
    """Write the folder: training blocks, validation blocks, the tokenizer and some held-out lines."""
    if options.tokenizer_name is None:
        raise UsageError("no tokenizer: give --tokenizer_name (`electra-hf tokenizer train` makes one)")
    tokenizer = load_tokenizer(options.tokenizer_name, cache_dir=options.cache_dir, lowercase=options.do_lower_case)
    corpora = open_splits(source, packing, options)
    settings = packing.packing_settings(options.seed)
    workers = len(os.sched_getaffinity(0)) if options.num_workers is None else options.num_workers
    folder = as_path(options.output_dir)
    for split, corpus in corpora.items():
        prepare(
            corpus,
            tokenizer,
            folder / split,
            settings,
            num_workers=workers,
            overwrite=options.overwrite_output_dir,
            progress=not options.disable_tqdm,
        )
    save_tokenizer(tokenizer, folder)
    if SPLITS[1] in corpora and not is_remote(folder):
        write_samples(corpora[SPLITS[1]].documents(), folder)


def open_splits(source: SourceArguments, packing: BlockArguments, options: PrepareArguments) -> dict[str, Corpus]:
    """The corpus of each split; no document is in both."""
    corpus = open_source(source, options.seed, cache_dir=options.cache_dir)
    if options.validation_file:
        return {"train": corpus, "validation": open_source(source.for_files(options.validation_file), options.seed)}
    if not packing.validation_split_percentage:
        return {"train": corpus}
    return dict(zip(SPLITS, hold_out(corpus, packing.validation_split_percentage, options.seed), strict=True))


def show_blocks(blocks: BlockDataset, options: PrepareArguments, console: Console) -> None:
    """Print blocks from all over the folder, the last one a second time as it is masked."""
    tokenizer = load_tokenizer(options.output_dir)
    examples = evenly_spread(blocks, options.num_inspected)
    collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=options.seed)
    console.print(_legend(), end="\n\n")
    for example in examples:
        console.print(f"Block {example['sample']}, {example['length']} of {blocks.max_length} tokens", style="bold")
        console.print(render_block(block_tokens(example, tokenizer)), end="\n\n")
    example = examples[-1]
    console.print(f"Block {example['sample']}, masked", style="bold")
    console.print(render_block(masked_block_tokens(example, tokenizer, collator)), end="\n\n")


def _legend() -> Text:
    return Text.assemble(
        ("[CLS]", "dim"), " special   first segment   ", ("second segment", "cyan"), "   ", ("[UNK]", "bold red"),
        " unknown   ", ("‹token→[MASK]›", "bold yellow"), " masked position",
    )  # fmt: skip


def render_block(tokens: Sequence[BlockToken]) -> Text:
    """The pieces of a block, a space between two of them; a masked position reads ‹token→what the generator sees›."""
    text = Text()
    for token in tokens:
        style = "dim" if token.special else "bold red" if token.unknown else "cyan" if token.segment else ""
        if token.masked_by is None:
            text.append(token.piece, style=style)
        else:
            text.append(f"‹{token.piece}→{token.masked_by}›", style="bold yellow")
        text.append(" ")
    return text


def _print_plain(console: Console, line: str) -> None:
    """A line with paths or commands to copy: not wrapped, no markup."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)
