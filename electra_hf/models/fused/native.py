"""The compiled kernels: `kernels.cpp`, built once per machine with the C++ compiler that is there, called by ctypes.

The library needs no headers of torch, so building it takes seconds; built by GCC it shares torch's OpenMP threads. It
is kept under the hash of source, compiler, flags and processor in the cache folder of Hugging Face.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.constants import HF_HOME
from torch import Tensor

from electra_hf.models.fused.noise import Dropout

logger = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("kernels.cpp")
# No -ffast-math: NaN must stay NaN, and sums are reordered only where the source allows it.
_FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
)
_WIDE_VECTORS = "-mprefer-vector-width=512"  # GCC's and clang's own choice is 256 bits
_BUILD_SECONDS = 300


class KernelError(Exception):
    """The kernels cannot be built or loaded here; the message says why."""


@functools.cache
def native_operations() -> "NativeOperations":
    """The kernels, built now if they are not in the cache.

    Raises:
        KernelError: If there is no compiler for this processor, or it failed.
    """
    if sys.platform != "linux" or sys.byteorder != "little":
        raise KernelError(f"compiled kernels are for Linux, and this is {platform.system()}")
    compiler = shutil.which(os.environ.get("CXX") or "c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise KernelError("there is no C++ compiler: install g++")
    flags = [*_FLAGS, _WIDE_VECTORS] if platform.machine() in ("x86_64", "AMD64") else [*_FLAGS]
    source = _SOURCE.read_bytes()
    facts = (source, compiler.encode(), " ".join(flags).encode(), _processor().encode())
    name = hashlib.sha256(b"\0".join(facts)).hexdigest()[:16]
    library = Path(HF_HOME) / "electra_hf" / "kernels" / f"{name}.so"
    if not library.is_file():
        _build(compiler, flags, library)
    try:
        return NativeOperations(ctypes.CDLL(str(library)))
    except OSError as error:
        raise KernelError(f"{library} cannot be loaded ({error}): delete it to have it built again") from error


def _processor() -> str:
    """What -march=native looks at: a home folder may be shared by unequal machines."""
    capabilities = torch.cpu.get_capabilities()
    return f"{platform.machine()} {sorted(name for name, there in capabilities.items() if there is True)}"


def _build(compiler: str, flags: list[str], library: Path) -> None:
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            built = Path(folder) / library.name
            command = [compiler, *flags, str(_SOURCE), "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
            if done.returncode:
                raise KernelError(f"{compiler} failed: {done.stderr.strip()[-500:]}")
            built.replace(library)  # processes that build at the same time write equal files
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"the kernels could not be built in {library.parent}: {error}") from error
    logger.info("Compiled the CPU kernels with %s.", compiler)


def _address(tensor: Tensor | None, dtype: torch.dtype) -> int | None:
    """Where a tensor is; a kernel trusts the address, so what it points to is checked here."""
    if tensor is None:
        return None
    if tensor.dtype != dtype or tensor.device.type != "cpu" or not tensor.is_contiguous():
        raise TypeError(
            f"a kernel needs a contiguous {dtype} tensor on the CPU and got one of {tensor.dtype} on {tensor.device} "
            f"with strides {tensor.stride()}"
        )
    return tensor.data_ptr()


# What the functions of kernels.cpp take after the number that names the dtype, one letter each: tensors of that dtype
# (t), of float32 (w), int64 (l) and bool (b), whole numbers (i), fractions (f) and dropouts (d).
_TENSORS: dict[str, torch.dtype] = {"w": torch.float32, "l": torch.int64, "b": torch.bool}
_NUMBERS = {"i": [ctypes.c_int64], "f": [ctypes.c_double], "d": [ctypes.c_double, ctypes.c_int64]}
_SIGNATURES = {
    "add_norm_forward": "twtwwfttwwiidd",
    "add_norm_backward": "ttwwwttwwwiidd",
    "gelu_forward": "twtii",
    "gelu_backward": "ttwtwii",
    "softmax_forward": "twtiiifd",
    "softmax_backward": "tttiifd",
    "cross_entropy": "twlwlwlbwiiifi",
    "split_heads": "twtiiiii",
    "merge_heads": "ttwiiiii",
}


class NativeOperations:
    """`operations.TorchOperations` in compiled code: the same functions, float32 and bfloat16.

    The noise is drawn in another way, so the two agree exactly only without dropout and sampling.

    Args:
        library: The loaded shared library.
    """

    def __init__(self, library: ctypes.CDLL):
        self._functions = {}
        for name, letters in _SIGNATURES.items():
            function = self._functions[name] = getattr(library, name)
            kinds = [kind for letter in letters for kind in _NUMBERS.get(letter, [ctypes.c_void_p])]
            function.argtypes = [ctypes.c_int, *kinds]
            function.restype = None

    def _call(self, name: str, *values: Any) -> None:
        """Call a kernel; the first value is a tensor of the dtype that it computes with."""
        dtype: torch.dtype = values[0].dtype
        if dtype not in (torch.float32, torch.bfloat16):
            raise KernelError(f"the kernels compute in float32 and bfloat16, not in {dtype}")
        arguments: list[Any] = []
        for letter, value in zip(_SIGNATURES[name], values, strict=True):
            if value is None or isinstance(value, Tensor):
                arguments.append(_address(value, _TENSORS.get(letter, dtype)))
            elif isinstance(value, Dropout):
                arguments += value
            else:
                arguments.append(value)
        self._functions[name](dtype == torch.bfloat16, *arguments)

    def add_norm(
        self,
        x: Tensor,
        bias: Tensor | None,
        residual: Tensor | None,
        gamma: Tensor,
        beta: Tensor,
        eps: float,
        before: Dropout,
        after: Dropout,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        rows, columns = x.shape
        total, y = torch.empty_like(x), torch.empty_like(x)
        mean, rstd = x.new_empty(2, rows, dtype=torch.float32).unbind()
        self._call(
            "add_norm_forward",
            *(x, bias, residual, gamma, beta, eps, total, y, mean, rstd, rows, columns, before, after),
        )
        return y, (total, mean, rstd)

    def add_norm_backward(
        self, dy: Tensor, saved: tuple[Tensor, ...], gamma: Tensor, before: Dropout, after: Dropout
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        total, mean, rstd = saved
        rows, columns = dy.shape
        dtotal = torch.empty_like(dy)
        dx = torch.empty_like(dy) if before.probability else dtotal
        dgamma, dbeta, dbias = dy.new_empty(3, columns, dtype=torch.float32).unbind()
        self._call(
            "add_norm_backward",
            *(dy, total, gamma, mean, rstd, dtotal, dx, dgamma, dbeta, dbias, rows, columns, before, after),
        )
        return dtotal, dx, dgamma, dbeta, dbias

    def gelu(self, x: Tensor, bias: Tensor) -> Tensor:
        y = torch.empty_like(x)
        self._call("gelu_forward", x, bias, y, *x.shape)
        return y

    def gelu_backward(self, dy: Tensor, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, dbias = torch.empty_like(x), x.new_empty(x.size(-1), dtype=torch.float32)
        self._call("gelu_backward", dy, x, bias, y, dbias, *x.shape)
        return dy, y, dbias

    def softmax(
        self, scores: Tensor, bias: Tensor | None, scale: float, dropout: Dropout
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        batch, heads, length, columns = scores.shape
        dropped = torch.empty_like(scores) if dropout.probability else scores
        rows, rows_of_bias = batch * heads * length, heads * length
        self._call("softmax_forward", scores, bias, dropped, rows, columns, rows_of_bias, scale, dropout)
        return dropped, (scores,)

    def softmax_backward(
        self, gradient: Tensor, saved: tuple[Tensor, ...], scale: float, dropout: Dropout
    ) -> tuple[Tensor, Tensor]:
        (probabilities,) = saved
        dropped = torch.empty_like(probabilities) if dropout.probability else probabilities
        columns = gradient.size(-1)
        rows = gradient.numel() // columns
        self._call("softmax_backward", gradient, probabilities, dropped, rows, columns, scale, dropout)
        return gradient, dropped

    def cross_entropy(
        self,
        logits: Tensor,
        bias: Tensor,
        targets: Tensor,
        weights: Tensor,
        disallowed: Tensor | None,
        temperature: Tensor | float,
        seed: int | None,
        first_row: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        assert seed is not None
        rows, columns = logits.shape
        least, largest = (int(targets.min()), int(targets.max())) if rows else (0, 0)
        if least < 0 or largest >= columns:
            raise IndexError(
                f"tokens {least} to {largest} are to be predicted, and the vocabulary has {columns}: the blocks were "
                "made with another tokenizer than the model's"
            )
        nll, dbias = torch.empty_like(weights), weights.new_empty(columns)
        sampled, correct = torch.empty_like(targets), targets.new_empty(rows, dtype=torch.bool)
        self._call(
            "cross_entropy",
            *(logits, bias, targets, weights, disallowed, nll, sampled, correct, dbias, rows, columns, first_row),
            *(1.0 / float(temperature), seed),
        )
        return nll, sampled, correct, dbias

    def split_heads(self, x: Tensor, bias: Tensor | None, batch: int, parts: int, heads: int) -> Tensor:
        rows, columns = x.shape
        length, width = rows // batch, columns // (parts * heads)
        split = x.new_empty(parts, batch, heads, length, width)
        self._call("split_heads", x, bias, split, batch, length, parts, heads, width)
        return split

    def merge_heads(self, x: Tensor) -> Tensor:
        return self._merge(x, None)

    def merge_heads_and_sum(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sums = x.new_empty(x.size(0) * x.size(2) * x.size(4), dtype=torch.float32)
        return self._merge(x, sums), sums

    def _merge(self, x: Tensor, sums: Tensor | None) -> Tensor:
        parts, batch, heads, length, width = x.shape
        merged = x.new_empty(batch * length, parts * heads * width)
        self._call("merge_heads", x, merged, sums, batch, length, parts, heads, width)
        return merged
