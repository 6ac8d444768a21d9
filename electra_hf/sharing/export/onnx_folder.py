"""The folder of an ONNX export, in the layout of optimum: `model.onnx` beside config and tokenizer.

model.onnx                     checked against PyTorch before the folder appears
model.onnx.data                the weights, where they are more than 2 GiB
model_quantized.onnx           with int8: weights in int8
config.json, tokenizer.json …  for AutoConfig and AutoTokenizer
crf.npz                        of a tagger with a CRF: its tables
export.json                    what was exported, from what, and what was measured
"""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from electra_hf import __version__
from electra_hf.errors import UsageError
from electra_hf.sharing.detection import read_samples
from electra_hf.sharing.export.checks import (
    TOLERANCES,
    Agreement,
    Latency,
    ShapeCheck,
    agreement,
    check_shapes,
    measure_latency,
)
from electra_hf.sharing.export.folder import REPORT_NAME, check_output, import_extra, published
from electra_hf.sharing.export.graph import MODEL_NAME, OPSET, QUANTIZED_NAME, Session, export_graph, quantize
from electra_hf.sharing.export.loading import Exportable, load_exportable
from electra_hf.sharing.samples import SAMPLES_NAME

CRF_TABLES = "crf.npz"
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True)
class OnnxOptions:
    """How to export to ONNX.

    Attributes:
        task: One of `loading.TASKS`, or `auto`.
        subfolder: Where in the folder the model is.
        dtype: `fp32` or `fp16`: weights and output of model.onnx.
        quantize: `int8` for model_quantized.onnx beside it; None for none.
        text_file: Texts to compare the outputs on; by default those that a run keeps, if there are any.
        latency_calls: Calls whose time is measured; 0 measures none.
        num_threads: Threads of a call; None takes PyTorch's number.
        overwrite: Replace an earlier export.
    """

    task: str = "auto"
    subfolder: str = ""
    dtype: str = "fp32"
    quantize: str | None = None
    text_file: Path | None = None
    latency_calls: int = 50
    num_threads: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class ExportedFile:
    """One ONNX file, and how it compares with PyTorch in fp32.

    Attributes:
        name: In the folder.
        weights: `fp32`, `fp16` or `int8`.
        bytes: Its size, with that of its external data.
        tolerance: See `checks.TOLERANCES`; None for int8.
        max_abs_difference: The largest of `shapes`.
        shapes: The check of each shape.
        agreement: Of outputs and decisions on texts.
        latency: None if none was measured.
    """

    name: str
    weights: str
    bytes: int
    tolerance: float | None
    max_abs_difference: float
    shapes: list[ShapeCheck]
    agreement: Agreement
    latency: Latency | None


@dataclass(frozen=True)
class OnnxExport:
    """What export.json says, and the table shows.

    Attributes:
        source: Folder, without the path to it, or Hub id.
        task: Of the model.
        model_type: Its family.
        model_class: Its class in Python.
        parameters: Number of weights.
        inputs: Names, each (batch_size, sequence_length) int64.
        output: Name.
        max_length: Tokens of the longest row.
        opset: Of ONNX.
        files: The ONNX files.
        pytorch_latency: None if none was measured.
        measured: What the latencies are of: shape, threads, calls, processor.
        notes: What a user must know.
        versions: Of the packages that made it.
        format: Of the folder.
    """

    source: str
    task: str
    model_type: str
    model_class: str
    parameters: int
    inputs: list[str]
    output: str
    max_length: int
    opset: int
    files: list[ExportedFile]
    pytorch_latency: Latency | None
    measured: dict[str, Any]
    notes: list[str]
    versions: dict[str, str]
    format: str = "onnx"


def export_onnx(name: str, output_dir: Path, options: OnnxOptions | None = None) -> OnnxExport:
    """Export a model to ONNX, compare it with PyTorch, and only then let the folder appear.

    Args:
        name: Folder or Hub id.
        output_dir: The folder to write.
        options: How.

    Raises:
        UsageError: If options do not fit, the extra is missing, or the folder holds something.
        CheckpointError: If the model cannot be loaded with the head of the task.
        ExportError: If it cannot be exported, or the export computes something else.
    """
    options = options or OnnxOptions()
    if options.quantize and options.dtype != "fp32":
        raise UsageError("--quantize int8 starts from fp32: leave --dtype out")
    check_output(output_dir, name, overwrite=options.overwrite)
    packages = import_extra("onnx", "onnxscript", "onnxruntime")
    source = load_exportable(name, task=options.task, subfolder=options.subfolder)
    texts = _texts(name, options)
    threads = options.num_threads or torch.get_num_threads()
    with published(output_dir) as folder:
        export_graph(source, folder / MODEL_NAME, dtype=_DTYPES[options.dtype])
        sessions = {MODEL_NAME: Session(folder / MODEL_NAME, threads)}
        # Before anything that takes its time, and before int8 is made of it.
        shapes = {MODEL_NAME: check_shapes(source, sessions[MODEL_NAME], TOLERANCES[options.dtype])}
        if options.quantize:
            quantize(folder / MODEL_NAME, folder / QUANTIZED_NAME)
            sessions[QUANTIZED_NAME] = Session(folder / QUANTIZED_NAME, threads)
            shapes[QUANTIZED_NAME] = check_shapes(source, sessions[QUANTIZED_NAME], None)
        latencies: list[Latency | None] = [None] * (1 + len(sessions))
        measured: dict[str, Any] = {}
        if options.latency_calls:
            latencies[:], measured = measure_latency(
                source, list(sessions.values()), calls=options.latency_calls, num_threads=threads
            )
            measured["processor"] = _processor()
        files = [
            ExportedFile(
                name=file,
                weights="int8" if file == QUANTIZED_NAME else options.dtype,
                bytes=sum(path.stat().st_size for path in folder.glob(f"{file}*")),
                tolerance=None if file == QUANTIZED_NAME else TOLERANCES[options.dtype],
                max_abs_difference=max(check.max_abs_difference for check in shapes[file]),
                shapes=shapes[file],
                agreement=agreement(source, session, texts),
                latency=latency,
            )
            for (file, session), latency in zip(sessions.items(), latencies[1:], strict=True)
        ]
        versions = {"electra_hf": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
        versions |= {package.__name__: package.__version__ for package in packages}
        result = OnnxExport(
            source=source.public_name,
            task=source.task,
            model_type=source.config.model_type,
            model_class=type(source.model).__name__,
            parameters=source.parameters,
            inputs=source.input_names,
            output=source.output_name,
            max_length=source.max_length,
            opset=OPSET,
            files=files,
            pytorch_latency=latencies[0],
            measured=measured,
            notes=source.notes,
            versions=versions,
        )
        _write_rest(folder, source, result)
    return result


def _texts(name: str, options: OnnxOptions) -> list[str]:
    if options.text_file is not None:
        return read_samples(options.text_file)
    kept = Path(name) / SAMPLES_NAME
    return read_samples(kept) if kept.is_file() else []


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _write_rest(folder: Path, source: Exportable, result: OnnxExport) -> None:
    source.config.save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)
    if source.crf is not None:
        with (folder / CRF_TABLES).open("wb") as file:
            np.savez(file, **source.crf)  # type: ignore[arg-type]
    text = json.dumps(asdict(result), indent=2, ensure_ascii=False)
    (folder / REPORT_NAME).write_text(text + "\n", encoding="utf-8")
