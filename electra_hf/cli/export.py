"""`electra-hf export`: a model as an ONNX file or a folder of sentence-transformers, with a check of its numbers."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from electra_hf.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from electra_hf.sharing.export.checks import Latency
    from electra_hf.sharing.export.embeddings import EmbeddingExport
    from electra_hf.sharing.export.onnx_folder import OnnxExport

ONNX, EMBEDDINGS = "onnx", "sentence-transformers"
# As in sharing.export.loading, which is too heavy to import for a parser.
TASKS = ("replaced-token-detection", "feature-extraction", "fill-mask", "text-classification", "token-classification")
_ONNX_OPTIONS = ("task", "dtype", "quantize", "text_file", "latency_calls", "num_threads")
_EMBEDDING_OPTIONS = ("max_seq_length", "num_hidden_layers", "normalize")


def add_commands(commands: Any) -> None:
    """Describe the command to the parser of `electra-hf`."""
    parser = commands.add_parser(
        "export",
        help="a model as ONNX, or as a folder of sentence-transformers",
        description="Write a model for other runtimes and libraries, compare what it computes there with PyTorch, and "
        "only then let the folder appear.",
    )
    parser.add_argument("model", metavar="FOLDER_OR_HUB_ID", help="a run, a checkpoint of it, or a fine-tuned model")
    parser.add_argument("--format", choices=(ONNX, EMBEDDINGS), default=ONNX, help="default: %(default)s")
    parser.add_argument("--output_dir", type=Path, required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument("--overwrite_output_dir", action="store_true", help="replace an earlier export")
    parser.add_argument("--subfolder", default="", help="where the model is in the folder, such as generator")
    onnx = parser.add_argument_group("--format onnx")
    onnx.add_argument("--task", choices=("auto", *TASKS), help="the head (default: auto, as config.json says)")
    onnx.add_argument("--dtype", choices=("fp32", "fp16"), help="weights of model.onnx (default: fp32)")
    onnx.add_argument("--quantize", choices=("int8",), help="also write model_quantized.onnx")
    onnx.add_argument(
        "--text_file",
        type=Path,
        metavar="TXT",
        help="texts to compare outputs on, one a line (default: the run's)",
    )
    onnx.add_argument("--latency_calls", type=int, metavar="N", help="calls to measure; 0: none (default: 50)")
    onnx.add_argument("--num_threads", type=int, metavar="N", help="threads of a call (default: as PyTorch has)")
    embeddings = parser.add_argument_group("--format sentence-transformers")
    embeddings.add_argument("--max_seq_length", type=int, metavar="TOKENS", help="default: what the model takes")
    embeddings.add_argument("--num_hidden_layers", type=int, metavar="N", help="keep the first N (default: all)")
    embeddings.add_argument("--normalize", action="store_const", const=True, help="embeddings of length 1")
    parser.set_defaults(action=export_model)


def export_model(options: argparse.Namespace) -> None:
    """`electra-hf export`: the folder, and what it is like."""
    given = {name: getattr(options, name) for name in (*_ONNX_OPTIONS, *_EMBEDDING_OPTIONS)}
    given = {name: value for name, value in given.items() if value is not None}
    known = _ONNX_OPTIONS if options.format == ONNX else _EMBEDDING_OPTIONS
    if foreign := [name for name in given if name not in known]:
        raise UsageError(f"--{foreign[0]} is no option of --format {options.format}: leave it out")
    for name, least in {"latency_calls": 0, "num_threads": 1}.items():
        if given.get(name, least) < least:
            raise UsageError(f"--{name} {given[name]}: give {least} or more")

    from rich.console import Console
    from transformers.utils import logging

    logging.disable_progress_bar()
    console = Console()
    if options.format == ONNX:
        from electra_hf.sharing.export.onnx_folder import OnnxOptions, export_onnx

        how = OnnxOptions(subfolder=options.subfolder, overwrite=options.overwrite_output_dir, **given)
        result = export_onnx(options.model, options.output_dir, how)
        console.print(onnx_table(result))
        notes = [*result.notes, *_remarks(result)]
    else:
        from electra_hf.sharing.export.embeddings import export_embeddings

        result = export_embeddings(
            options.model,
            options.output_dir,
            subfolder=options.subfolder,
            overwrite=options.overwrite_output_dir,
            **given,
        )
        console.print(embedding_table(result))
        notes = [*result.notes, "Not fine-tuned for similarity: its README says what that means, and how to go on."]
    for note in notes:
        console.print(note, markup=False, highlight=False)
    console.print(f"Saved    {options.output_dir}", soft_wrap=True, markup=False, highlight=False)


def onnx_table(result: "OnnxExport") -> "Table":
    """Sizes, differences and times of the files, with those of PyTorch in the first row."""
    from rich.table import Table

    title = f"{result.task}, {result.model_type}, {result.parameters:,} parameters, ONNX opset {result.opset}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("\nweights")
    for name in ("size\nMB", "largest\ndifference", "same\ndecisions", "median\nms", "95 %\nms"):
        table.add_column(name, justify="right", no_wrap=True)
    first = ("PyTorch", "fp32", _megabytes(4 * result.parameters), "", "", *_times(result.pytorch_latency))
    table.add_row(*first)
    for file in result.files:
        same = file.agreement.same_decisions
        difference, decisions = f"{file.max_abs_difference:.1e}", "" if same is None else f"{same:.2%}"
        row = (file.name, file.weights, _megabytes(file.bytes), difference, decisions, *_times(file.latency))
        table.add_row(*row)
    return table


def _times(latency: "Latency | None") -> tuple[str, str]:
    return ("", "") if latency is None else (f"{latency.p50_ms:.2f}", f"{latency.p95_ms:.2f}")


def _remarks(result: "OnnxExport") -> list[str]:
    """What the columns of the table are of."""
    agreement = result.files[0].agreement
    unit = "texts" if result.task == "text-classification" else "tokens"
    what = f"{agreement.compared:,} {unit}"
    if not agreement.texts:
        what += " (random ones, which say little: give --text_file)"
    remarks = []
    if agreement.commonest_decision is not None:
        remarks.append(f"Decisions: {what}; always the commonest one: {agreement.commonest_decision:.2%}.")
    correlations = ", ".join(f"{file.name} {file.agreement.correlation:.6f}" for file in result.files)
    remarks.append(f"Correlation with PyTorch's outputs for {what}: {correlations}.")
    if measured := result.measured:
        threads = measured["num_threads"]
        remarks.append(
            f"Time of {measured['batch_size']} x {measured['sequence_length']} tokens, {measured['calls']} calls, "
            f"{threads} thread{'s' * (threads > 1)} of {measured['processor']}."
        )
    return remarks


def embedding_table(result: "EmbeddingExport") -> "Table":
    """What the folder is like."""
    from rich.table import Table

    rows = {
        "encoder": f"{result.model_type}, {result.num_hidden_layers} layers, {result.parameters:,} parameters",
        "embedding": f"{result.embedding_dimension} numbers, mean of tokens" + ", length 1" * result.normalized,
        "longest text": f"{result.max_seq_length} tokens",
        "size": f"{_megabytes(result.bytes)} MB",
        "largest difference": f"{result.max_abs_difference:.1e} from means by hand",
    }
    table = Table(title="sentence-transformers", title_justify="left", box=None, pad_edge=False, show_header=False)
    for row in rows.items():
        table.add_row(*row)
    return table


def _megabytes(count: int) -> str:
    """Of 10^6 bytes.

    >>> _megabytes(6_338_791)
    '6.3'
    """
    return f"{count / 1e6:,.1f}"
