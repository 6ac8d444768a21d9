"""`electra-hf import`: a TensorFlow checkpoint of ELECTRA as a folder of transformers models."""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from electra_hf.errors import CheckpointError, UsageError, explain_os_error

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from electra_hf.models.tf_checkpoint.electra import ImportedElectra

VOCABULARY = "vocab.txt"
# Rows that were added to an embedding to round its size up.
_PADDING_ROWS = 128
_SHOWN = 10


def add_commands(commands: Any) -> None:
    """Describe the command to the parser of `electra-hf`."""
    parser = commands.add_parser(
        "import",
        help="turn a TensorFlow checkpoint of ELECTRA into a model folder",
        description="Turn a TensorFlow checkpoint of google-research/electra, yitu-opensource/ConvBert or NVIDIA's "
        "ELECTRA into a folder for run_pretraining.py, run_glue.py and run_ner.py. TensorFlow is not needed.",
    )
    parser.add_argument(
        "tf_checkpoint_path",
        metavar="CHECKPOINT",
        type=Path,
        help="the checkpoint without the ends of its files, such as model.ckpt-1000000, or its folder",
    )
    parser.add_argument("--output_dir", type=Path, required=True, metavar="FOLDER", help="a new folder for the model")
    parser.add_argument(
        "--vocab_file", type=Path, metavar="TXT", help=f"its vocabulary (default: {VOCABULARY} beside it, if any)"
    )
    parser.add_argument(
        "--do_lower_case", choices=("true", "false"), help="whether its text was lower-cased; no vocabulary says that"
    )
    parser.add_argument(
        "--config_file",
        type=Path,
        metavar="JSON",
        help="config.json of the discriminator, for what no tensor tells: heads, dropout, activation",
    )
    parser.add_argument(
        "--config_overrides", metavar="FIELD=VALUE,…", help="the same for single fields: num_attention_heads=4"
    )
    parser.add_argument("--generator_config_overrides", metavar="FIELD=VALUE,…", help="likewise for the generator")
    parser.set_defaults(action=import_checkpoint)


def import_checkpoint(options: argparse.Namespace) -> None:
    """`electra-hf import`: the folder, and what was found."""
    from transformers.utils import logging

    from electra_hf.models.tf_checkpoint.bundle import find_checkpoint
    from electra_hf.models.tf_checkpoint.electra import import_electra
    from electra_hf.models.tf_checkpoint.models import save_imported

    logging.disable_progress_bar()
    folder = options.output_dir
    _check_output(folder)
    found = import_electra(
        options.tf_checkpoint_path,
        config_file=options.config_file,
        config_overrides=options.config_overrides,
        generator_config_overrides=options.generator_config_overrides,
    )
    tokenizer = _load_tokenizer(options, find_checkpoint(options.tf_checkpoint_path).parent, found)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            save_imported(found, temporary / "model")
            if tokenizer is not None:
                tokenizer.save_pretrained(temporary / "model")
            # Over an empty folder, too: the model is there whole or not at all.
            (temporary / "model").replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise CheckpointError(explain_os_error(error, folder)) from error
    _show(found, tokenizer, folder)


def _check_output(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output_dir {folder} is a file: name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"--output_dir {folder} is not empty: name a new folder")


def _load_tokenizer(
    options: argparse.Namespace, beside: Path, found: "ImportedElectra"
) -> "PreTrainedTokenizerBase | None":
    from electra_hf.tokens.tokenizers import check_tokenizer, load_tokenizer

    file = options.vocab_file or beside / VOCABULARY
    if options.vocab_file is None and not file.is_file():
        if options.do_lower_case is not None:
            raise UsageError(f"--do_lower_case is of a vocabulary, and there is no {file}: give --vocab_file")
        return None
    halves = [half for half in (found.discriminator, found.generator) if half is not None]
    config = halves[0].config
    lowercase = None if options.do_lower_case is None else options.do_lower_case == "true"
    tokenizer = load_tokenizer(file, lowercase=lowercase, max_length=config.max_position_embeddings)
    check_tokenizer(tokenizer)
    if not 0 <= config.vocab_size - len(tokenizer) < _PADDING_ROWS:
        raise UsageError(
            f"{file} has {len(tokenizer):,} tokens and the checkpoint {config.vocab_size:,}: they do not belong "
            "together; give the --vocab_file it was trained with"
        )
    for half in halves:
        half.config.pad_token_id = cast(int, tokenizer.pad_token_id)
    return tokenizer


def _show(found: "ImportedElectra", tokenizer: "PreTrainedTokenizerBase | None", folder: Path) -> None:
    from rich.console import Console

    lines = []
    for name, half in (("Discriminator", found.discriminator), ("Generator", found.generator)):
        if half is not None:
            config = half.config
            lines.append(
                (
                    name,
                    f"{config.model_type}: layers {config.num_hidden_layers}, hidden {config.hidden_size}, "
                    f"heads {config.num_attention_heads}, embedding {config.embedding_size}, "
                    f"tokens {config.vocab_size:,}, positions {config.max_position_embeddings}",
                )
            )
    if found.discriminator and found.generator:
        lines.append(("Embeddings", "shared" if found.embeddings_shared else "one of each"))
    if found.step is not None:
        lines.append(("Trained", f"{found.step:,} steps"))
    more = f"{found.used} used, {found.optimizer} of the optimiser and {len(found.unused)} others left out"
    lines.append(("Tensors", more))
    if found.unused:
        rest = len(found.unused) - _SHOWN
        lines.append(("Left out", ", ".join(found.unused[:_SHOWN]) + (f", and {rest} more" if rest > 0 else "")))
    lines += [("Note", note) for note in found.notes]
    if tokenizer is None:
        lines.append(
            ("Note", "There is no vocabulary: give --tokenizer_name to the scripts, or import with --vocab_file.")
        )
    lines.append(("Saved", str(folder)))
    if found.discriminator is not None:
        tokenizer_option = "" if tokenizer is not None else " --tokenizer_name TOKENIZER"
        command = f"python run_glue.py --model_name_or_path {folder}{tokenizer_option}"
        lines.append(("Next", f"{command} --task_name sst2 --output_dir OUTPUT"))
    console = Console()
    for label, value in lines:
        console.print(f"{label:<14}{value}", soft_wrap=True, markup=False, highlight=False)
