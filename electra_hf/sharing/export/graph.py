"""A model as an ONNX file, and what runs it.

The exporter is PyTorch's own, `torch.onnx.export(dynamo=True)`, which translates what `torch.export` captures. It is
the default since torch 2.9 and kept with every release. Not taken:

* optimum-onnx asks for transformers < 4.58 (0.1.0, its newest release); its issue 114 on transformers 5 is open. The
  folder has its layout all the same.
* transformers.exporters (`OnnxExporter`) also calls `torch.onnx.export`, with patches for some hundred architectures
  around it. It says of itself that it is experimental and tied to exact versions, its interface has changed between
  the releases that we support, and it takes no model with a head of ours. The encoders here need no patch.
* The exporter by TorchScript (`dynamo=False`) is faster by far, and deprecated.
"""

import copy
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from electra_hf.errors import ExportError
from electra_hf.sharing.export.loading import Exportable, Graph

MODEL_NAME, QUANTIZED_NAME = "model.onnx", "model_quantized.onnx"
# What the exporter's translations are written for, so that no converter of versions has a part in it.
OPSET = 18
# What the exporter, its optimiser and the quantiser always say: nothing that a user could act on.
_CHATTER = (
    "# The axis name",
    "`isinstance(treespec, LeafSpec)` is deprecated",
    "torchvision is not installed",
    "Skipping constant folding for op",
    "Please consider to run pre-processing before quantization",
)
_CHATTING = ("", "torch.onnx._internal.exporter._registration", "onnxscript.optimizer._constant_folding")


def make_inputs(
    source: Exportable, batch: int, length: int, *, padded: bool = False, seed: int = 0
) -> dict[str, Tensor]:
    """Rows of random tokens.

    Args:
        source: The model.
        batch: Rows.
        length: Tokens of the longest row.
        padded: The second row is half as long, the third has one token, and so on in turn.
        seed: Of the tokens.

    Returns:
        (batch, length) int64 each, by the names of the model's inputs.
    """
    random = torch.Generator().manual_seed(seed)
    padding = source.config.pad_token_id or 0
    ids = torch.randint(0, source.config.vocab_size - 1, (batch, length), generator=random)
    ids += ids >= padding  # any token but padding
    lengths = torch.full((batch, 1), length)
    if padded:
        lengths[1::3], lengths[2::3] = max(1, length // 2), 1
    places = torch.arange(length)
    mask = (places < lengths).long()
    segments = (places >= lengths // 2).long() * mask
    values = {"input_ids": ids.where(mask.bool(), padding), "attention_mask": mask, "token_type_ids": segments}
    return {name: values[name] for name in source.input_names}


def export_graph(source: Exportable, path: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write a model as an ONNX file with dynamic axes `batch_size` and `sequence_length`.

    Args:
        source: The model.
        path: The file; weights beyond 2 GiB lie beside it in `<name>.data`.
        dtype: Type of weights and output.

    Raises:
        ExportError: If the exporter cannot translate it.
    """
    example = make_inputs(source, 2, min(8, source.max_length), padded=True)
    graph = Graph(source) if dtype == torch.float32 else copy.deepcopy(Graph(source)).to(dtype)
    try:
        with torch.no_grad(), without_chatter():
            program = torch.onnx.export(
                graph,
                (),
                kwargs=example,
                dynamo=True,
                opset_version=OPSET,
                input_names=source.input_names,
                output_names=[source.output_name],
                dynamic_shapes={name: {0: "batch_size", 1: "sequence_length"} for name in example},
                verbose=False,
            )
            cast(Any, program).save(path)
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(
            f"{source.name}: PyTorch cannot export its {type(source.model).__name__} to ONNX ({said[:300]}): try "
            "another version of torch and onnxscript, and report it if it is a family of this package"
        ) from error


def quantize(path: Path, quantized: Path) -> None:
    """Write a copy of an ONNX file with weights in int8, one scale a column; activations are quantised as they come.

    The weights use 7 bits, since products of 8 bits overflow the 16-bit sums of x86 processors without VNNI
    (onnxruntime's documentation of quantisation, `reduce_range`).

    Raises:
        ExportError: If onnxruntime cannot do it.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    large = path.with_name(f"{path.name}.data").exists()
    model = onnx.load(path)
    # The quantiser transposes weights of Gemm and keeps the shapes that were noted for them, which it then refuses.
    del model.graph.value_info[:]
    try:
        with without_chatter():
            quantize_dynamic(
                model,
                quantized,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                use_external_data_format=large,
            )
    except (ValueError, RuntimeError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"onnxruntime cannot quantise the model ({error}): leave --quantize out") from error


class Session:
    """An ONNX file in onnxruntime, on the CPU.

    Args:
        path: The file.
        num_threads: Threads within an operator; None leaves it to onnxruntime.
    """

    def __init__(self, path: Path, num_threads: int | None = None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = num_threads or 0
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs: Mapping[str, Tensor]) -> np.ndarray:
        """The output for tensors by their names, in its own type."""
        output: Any = self.session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
        return output


@contextmanager
def without_chatter() -> Iterator[None]:
    """Leave out what the exporter says in any case; other warnings are shown."""
    loggers = [logging.getLogger(name) for name in _CHATTING]
    for logger in loggers:
        logger.addFilter(_is_no_chatter)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for start in _CHATTER:
                warnings.filterwarnings("ignore", message=re.escape(start))
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_no_chatter)


def _is_no_chatter(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_CHATTER)
