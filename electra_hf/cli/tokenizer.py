"""`electra-hf tokenizer`: train a tokenizer, import somebody else's, or see how well one fits a text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from electra_hf.corpora.arguments import SourceArguments, open_source
from electra_hf.errors import TokenizerError, UsageError, explain_os_error
from electra_hf.parser import ConfigArgumentParser
from electra_hf.ranges import Range, check_ranges
from electra_hf.tokens.tokenizers import check_tokenizer, inspect_tokenizer, load_tokenizer, train_tokenizer
from electra_hf.tokens.tokenizers.inspection import SAMPLE_CHARACTERS as INSPECTED_CHARACTERS
from electra_hf.tokens.tokenizers.inspection import TokenizerStatistics
from electra_hf.tokens.tokenizers.morphemes import PRE_TOKENIZERS
from electra_hf.tokens.tokenizers.sampling import sample_documents
from electra_hf.tokens.tokenizers.sentencepiece_training import NORMALIZATIONS
from electra_hf.tokens.tokenizers.training import KINDS, SAMPLE_CHARACTERS

_USAGE = """electra-hf tokenizer train --kind KIND --vocab_size N (--corpus NAME | --train_file GLOB) --output_dir DIR
electra-hf tokenizer import SOURCE --output_dir DIR
electra-hf tokenizer inspect TOKENIZER (--corpus NAME | --train_file GLOB)
Each one lists its options with --help."""


@dataclass
class OutputArguments:
    """Where the tokenizer goes."""

    output_dir: str = field(metadata={"help": "Folder for the tokenizer."})
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Replace the tokenizer that is in the folder already."}
    )
    max_seq_length: int = field(default=512, metadata={"help": "The longest input of the model it is for."})


@dataclass
class TrainArguments:
    """What kind of tokenizer, and how it is learnt."""

    kind: str = field(
        default="wordpiece", metadata={"help": "Kind of vocabulary: wordpiece, unigram or bpe.", "choices": KINDS}
    )
    vocab_size: int = field(
        default=32_000, metadata={"help": "Number of tokens; rounded up to a multiple of --pad_to_multiple_of."}
    )
    do_lower_case: bool | None = field(
        default=None, metadata={"help": "Lower-case the text: true or false. Default: true for wordpiece only."}
    )
    strip_accents: bool = field(
        default=False, metadata={"help": "Remove accents; breaks Korean, Japanese and many more."}
    )
    limit_alphabet: int = field(
        default=6000, metadata={"help": "wordpiece: keep so many of the most frequent characters."}
    )
    character_coverage: float = field(
        default=0.9995, metadata={"help": "unigram, bpe: share of the text whose characters become tokens."}
    )
    byte_fallback: bool = field(
        default=False, metadata={"help": "unigram, bpe: write other characters as bytes, so that none is unknown."}
    )
    normalization: str = field(
        default="nmt_nfkc",
        metadata={"help": "unigram, bpe: how characters are normalised.", "choices": NORMALIZATIONS},
    )
    pre_tokenizer: str = field(
        default="none",
        metadata={
            "help": "Learn no token across the morphemes of MeCab: mecab-ja or mecab-ko. Encoding needs no MeCab.",
            "choices": PRE_TOKENIZERS,
        },
    )
    pad_to_multiple_of: int = field(
        default=64, metadata={"help": "Fill the vocabulary up with [unusedN] tokens to a multiple of this."}
    )
    sample_characters: int = field(
        default=SAMPLE_CHARACTERS,
        metadata={"help": "Learn from so many characters, drawn from the whole text; 0 for all of it."},
    )
    seed: int = field(default=42, metadata={"help": "Seed of the sample."})
    disable_tqdm: bool = field(default=False, metadata={"help": "No progress bars."})
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})


@dataclass
class ImportArguments:
    """How to read a tokenizer that is no folder of transformers."""

    do_lower_case: bool | None = field(
        default=None, metadata={"help": "For a bare vocab.txt: whether its text was lower-cased."}
    )
    strip_accents: bool | None = field(
        default=None, metadata={"help": "For a bare vocab.txt: remove accents; default: as --do_lower_case."}
    )
    revision: str = field(default="main", metadata={"help": "Branch, tag or commit on the Hub."})
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})


@dataclass
class InspectArguments:
    """How to load the tokenizer, and how much text to try it on."""

    do_lower_case: bool | None = field(
        default=None, metadata={"help": "For a bare vocab.txt: whether its text was lower-cased."}
    )
    sample_characters: int = field(
        default=INSPECTED_CHARACTERS, metadata={"help": "Try it on so many characters, drawn from the whole text."}
    )
    num_examples: int = field(default=5, metadata={"help": "How many lines to show with their tokens."})
    seed: int = field(default=42, metadata={"help": "Seed of the sample."})
    disable_tqdm: bool = field(default=False, metadata={"help": "No progress bars."})
    cache_dir: str | None = field(default=None, metadata={"help": "Where files from the Hub are kept."})


def option_parser(command: str) -> ConfigArgumentParser:
    """The parser of `train`, `import` or `inspect`; what comes first there is no option of it."""
    groups: dict[str, tuple[tuple[type, ...], str, str | None]] = {
        "train": ((SourceArguments, TrainArguments, OutputArguments), "", train.__doc__),
        "import": ((ImportArguments, OutputArguments), " SOURCE", import_tokenizer.__doc__),
        "inspect": ((SourceArguments, InspectArguments), " TOKENIZER", inspect.__doc__),
    }
    arguments, first, text = groups[command]
    return ConfigArgumentParser(arguments, prog=f"electra-hf tokenizer {command}{first}", description=text)


def run(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Raises:
        UsageError: no command, an unknown one, or options that cannot work.
        TokenizerError: the tokenizer cannot be trained, loaded or written.
        CorpusError: the text cannot be read.
    """
    actions = {"train": train, "import": import_tokenizer, "inspect": inspect}
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    console = Console()
    if command in ("-h", "--help"):
        console.print(_USAGE, markup=False, highlight=False, soft_wrap=True)
        return
    if command not in actions:
        found = f"unknown command {command!r}" if command else "no command"
        raise UsageError(f"electra-hf tokenizer: {found}: give train, import or inspect")
    actions[command](rest, console)


def train(arguments: Sequence[str], console: Console) -> None:
    """`train`: learn a tokenizer, save it, and show how it cuts its own text."""
    source, options, output = option_parser("train").parse(arguments)
    sizes = dict.fromkeys(("vocab_size", "limit_alphabet", "pad_to_multiple_of"), Range(1))
    check_ranges(options, {**sizes, "sample_characters": Range(0), "character_coverage": Range(0, 1, without="low")})
    folder = _check_output(output)
    corpus = open_source(source, options.seed, options.cache_dir)
    looked_at: list[str] = []
    documents = _first(_watched(corpus.documents(), options.disable_tqdm), looked_at)
    tokenizer = train_tokenizer(
        documents,
        options.kind,
        options.vocab_size,
        lowercase=options.do_lower_case,
        strip_accents=options.strip_accents,
        limit_alphabet=options.limit_alphabet,
        character_coverage=options.character_coverage,
        byte_fallback=options.byte_fallback,
        normalization=options.normalization,
        pre_tokenizer=options.pre_tokenizer,
        pad_to_multiple_of=options.pad_to_multiple_of,
        sample_characters=options.sample_characters,
        seed=options.seed,
        max_length=output.max_seq_length,
        show_progress=not options.disable_tqdm,
    )
    _save(tokenizer, folder)
    show_statistics(inspect_tokenizer(tokenizer, looked_at), f"{folder}: {options.kind}", console)
    console.print(f"Saved    {folder}", markup=False, highlight=False, soft_wrap=True)


def import_tokenizer(arguments: Sequence[str], console: Console) -> None:
    """`import`: bring a vocab.txt, a SentencePiece model or any tokenizer into one tokenizer.json."""
    name, rest = _positional(arguments, "import", "SOURCE (vocab.txt, .model, folder or name on the Hub)")
    options, output = option_parser("import").parse(rest)
    if not name:
        return
    folder = _check_output(output)
    tokenizer = load_tokenizer(
        name,
        cache_dir=options.cache_dir,
        revision=options.revision,
        lowercase=options.do_lower_case,
        strip_accents=options.strip_accents,
        max_length=output.max_seq_length,
    )
    check_tokenizer(tokenizer)
    _save(tokenizer, folder)
    roles = "  ".join(
        f"{role} {getattr(tokenizer, f'{role}_token')}={getattr(tokenizer, f'{role}_token_id')}"
        for role in ("pad", "unk", "cls", "sep", "mask")
    )
    console.print(f"Tokens   {len(tokenizer):,}", markup=False, highlight=False)
    console.print(f"Special  {roles}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Saved    {folder}", markup=False, highlight=False, soft_wrap=True)


def inspect(arguments: Sequence[str], console: Console) -> None:
    """`inspect`: how many tokens a text takes, what is unknown, and how lines are cut."""
    name, rest = _positional(arguments, "inspect", "TOKENIZER (folder, name on the Hub, vocab.txt or .model)")
    source, options = option_parser("inspect").parse(rest)
    if options.sample_characters < 1 or options.num_examples < 0:
        raise UsageError("--sample_characters must be at least 1, and --num_examples at least 0")
    tokenizer = load_tokenizer(name, cache_dir=options.cache_dir, lowercase=options.do_lower_case)
    corpus = open_source(source, options.seed, options.cache_dir)
    documents = _watched(corpus.documents(), options.disable_tqdm)
    texts = sample_documents(documents, options.sample_characters, options.seed)
    statistics = inspect_tokenizer(
        tokenizer, texts, max_characters=options.sample_characters, examples=options.num_examples
    )
    show_statistics(statistics, name, console)


def show_statistics(statistics: TokenizerStatistics, title: str, console: Console) -> None:
    """Print the counts as a table, and the lines with their tokens divided by bars."""
    unknown = "  ".join(f"{c} U+{ord(c):04X} {n:,}" for c, n in statistics.unknown_characters.items())
    rows = {
        "tokens in the vocabulary": f"{statistics.vocab_size:,}",
        "characters looked at": f"{statistics.characters:,}",
        "tokens per word": f"{statistics.tokens_per_word:.3f}",
        "tokens per character": f"{statistics.tokens_per_character:.3f}",
        "bytes per token": f"{statistics.bytes_per_token:.2f}",
        "words in one token": f"{statistics.whole_word_rate:.1%}",
        "unknown tokens": f"{statistics.unknown_rate:.4%}",
        "unknown characters": unknown or "none",
    }
    table = Table(title=Text(title), title_justify="left", show_header=False)
    for name, value in rows.items():
        table.add_row(name, Text(value))
    console.print(table)
    for _, tokens in statistics.segmentations:
        console.print(Text("  " + " | ".join(tokens)), soft_wrap=True)


def _positional(arguments: Sequence[str], command: str, what: str) -> tuple[str, Sequence[str]]:
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        raise UsageError(f"electra-hf tokenizer {command}: {what} comes first")
    return ("", arguments) if arguments[0].startswith("-") else (arguments[0], arguments[1:])


def _check_output(output: OutputArguments) -> Path:
    folder = Path(output.output_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output_dir {folder} is a file: name a folder")
    if output.max_seq_length < 1:
        raise UsageError(f"--max_seq_length {output.max_seq_length}: give 1 or more")
    there = [name for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json") if (folder / name).exists()]
    if there and not output.overwrite_output_dir:
        raise UsageError(
            f"{folder} holds a tokenizer already ({there[0]}): name another --output_dir, or replace it with "
            "--overwrite_output_dir"
        )
    return folder


def _save(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(folder)
    except OSError as error:
        raise TokenizerError(explain_os_error(error, folder)) from error


def _watched(documents: Iterable[str], silent: bool) -> Iterator[str]:
    """The same documents behind a bar that counts their characters."""
    with tqdm(desc="Reading", unit=" characters", unit_scale=True, disable=silent, leave=False) as bar:
        for document in documents:
            yield document
            bar.update(len(document))


def _first(documents: Iterable[str], kept: list[str]) -> Iterator[str]:
    """The same documents; the first ones are also put into `kept`, to try the tokenizer on."""
    characters = 0
    for document in documents:
        if characters < INSPECTED_CHARACTERS:
            kept.append(document[:INSPECTED_CHARACTERS])
            characters += len(document)
        yield document
