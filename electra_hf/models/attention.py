"""Which attention an encoder computes with: what there is to choose from, how long each takes, how one takes effect.

transformers knows an attention by the name in `config._attn_implementation`; SDPA has several kernels of its own. The
candidates are

* `flash`, `efficient`, `cudnn`, `math`: `sdpa` with that kernel first;
* `eager`: two batched products with a softmax between them, which torch.compile may fuse.

Left out on purpose, though `--attn_implementation` takes the first two:

* `flash_attention_2` and its successors need a package, or download a kernel.
* `flex_attention` refuses dropout of the probabilities. It is for masks and scores of one's own and gains by what they
  let it skip; rows that see all of themselves skip nothing, so it would do flash attention's work in generated code.
* Variable-length flash (`torch.nn.attention.varlen`) has no dropout either. It saves work where rows hold several
  documents that must not see each other, or padding. Blocks hold segments of one document, and few of them are padded;
  for padded rows it would save attention's share and no other, with shapes that differ from step to step, where
  packing saves everything.

On a CPU the fused layers take batched products anyway (`fused`).

Shapes: batch (b), heads (n), length (l), width of a head (d).
"""

import contextlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel
from transformers.integrations.hub_kernels import is_kernel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.electra.modeling_electra import eager_attention_forward
from transformers.utils.import_utils import (
    is_flash_attn_2_available,
    is_flash_attn_3_available,
    is_flash_attn_4_available,
)

from electra_hf.errors import UsageError

EAGER, SDPA = "eager", "sdpa"
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
CANDIDATES = (*KERNELS, EAGER)

_FLASH_ATTENTION_PACKAGES = {
    "flash_attention_2": is_flash_attn_2_available,
    "flash_attention_3": is_flash_attn_3_available,
    "flash_attention_4": is_flash_attn_4_available,
}

_WARM_UP_CALLS = 3
_ROUNDS = 5
_CALLS_PER_ROUND = 10
# About 5 ms: the host launches the calls of a round meanwhile, so that the device's own time is measured.
_HEAD_START_CYCLES = 10_000_000


def check_attention_name(implementation: str | None) -> None:
    """Refuse an attention that transformers does not know, or in whose place it would download a binary kernel.

    Where a package of flash attention is missing and `kernels` is there, transformers takes a kernel of the Hub
    instead (modeling_utils.py). Who wants that one can name its repository.

    Args:
        implementation: What `from_pretrained` is to get as `attn_implementation`; None for its default.

    Raises:
        UsageError: If there is no such attention, or its package is missing.
    """
    if implementation is None or is_kernel(implementation):
        return
    if implementation not in (EAGER, *ALL_ATTENTION_FUNCTIONS.valid_keys()):
        raise UsageError(
            f"--attn_implementation {implementation}: there is no such attention; choose sdpa, eager, "
            "flex_attention or flash_attention_2"
        )
    is_available = _FLASH_ATTENTION_PACKAGES.get(implementation)
    if is_available is not None and not is_available():
        raise UsageError(
            f"--attn_implementation {implementation} needs its package (flash-attn) and a GPU, and one of them is "
            "missing: use sdpa, which has flash attention too, or name a kernel of the Hub that may be downloaded "
            "and run, such as kernels-community/flash-attn2"
        )


@dataclass(frozen=True)
class AttentionShape:
    """Everything about one layer's attention that its time depends on, besides the device.

    Attributes:
        batch: Rows of a batch on one device.
        heads: Heads.
        head_width: Width of a head.
        length: Tokens of a row.
        dtype: Of the matrix products; below float32 they run under autocast.
        dropout: Probability that an attention probability is dropped.
        padded: Batches carry an attention mask.
        compiled: The step runs under torch.compile.
    """

    batch: int
    heads: int
    head_width: int
    length: int
    dtype: torch.dtype
    dropout: float
    padded: bool
    compiled: bool


Timer = Callable[[Callable[[], object], torch.device], float]


def seconds_per_call(call: Callable[[], object], device: torch.device) -> float:
    """Median time of a call: on CUDA the device's own, without what the host takes to launch it."""
    for _ in range(_WARM_UP_CALLS):
        call()
    if device.type != "cuda":
        seconds = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)
    with torch.cuda.device(device):
        return statistics.median(_cuda_round(call) for _ in range(_ROUNDS))


def _cuda_round(call: Callable[[], object]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda._sleep(_HEAD_START_CYCLES)
    start.record()
    for _ in range(_CALLS_PER_ROUND):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / _CALLS_PER_ROUND


def measure_attention(
    shape: AttentionShape, device: torch.device, timer: Timer = seconds_per_call
) -> dict[str, float]:
    """Time of a forward and backward pass of one layer's attention with each candidate.

    torch's random generators are afterwards as they were before.

    Args:
        shape: What is computed.
        device: Where.
        timer: Seconds of a call.

    Returns:
        {candidate: seconds} without those that cannot compute this shape here; empty if none can.
    """
    times = {}
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SDPA says at length why a kernel does not take a shape
        for name in CANDIDATES:
            kernel = _sdpa([name]) if name in KERNELS else contextlib.nullcontext()
            with kernel, contextlib.suppress(RuntimeError):  # no such kernel, out of memory, not compiled
                times[name] = timer(_attention_step(name, shape, device), device)
    return times


class _Site(nn.Module):
    """What transformers' attention functions ask of the module that calls them."""

    is_causal = False


def _attention_step(name: str, shape: AttentionShape, device: torch.device) -> Callable[[], object]:
    """A function that computes attention as ElectraSelfAttention does, and its gradients."""
    implementation = _implementation(name)
    function = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
    site = _Site()
    size = (shape.batch, shape.length, shape.heads, shape.head_width)
    parts = [torch.randn(size, device=device, dtype=shape.dtype, requires_grad=True) for _ in range(3)]
    mask = None
    if shape.padded:
        mask = torch.ones(shape.batch, shape.length, dtype=torch.long, device=device)
        mask[:, shape.length - shape.length // 4 :] = 0
        mask = _bias(implementation, mask)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        heads = (part.transpose(1, 2) for part in (query, key, value))  # (b, n, l, d)
        return function(site, *heads, mask, dropout=shape.dropout, scaling=shape.head_width**-0.5)[0]

    # Compiled code calls the fused kernels as they are; the others are what the compiler makes of them.
    compiled = torch.compile(attend, dynamic=False) if shape.compiled and name in ("math", EAGER) else attend

    def step() -> object:
        with torch.autocast(device.type, dtype=shape.dtype, enabled=shape.dtype != torch.float32):
            result = compiled(*parts)
        return torch.autograd.grad(result, parts, torch.ones_like(result))

    return step


def _implementation(name: str) -> str:
    return SDPA if name in KERNELS else name


@contextlib.contextmanager
def attention(name: str, encoders: Iterable[PreTrainedModel]) -> Iterator[None]:
    """Let encoders compute with one of the candidates, until the end of the block.

    What SDPA takes is a setting of the process, and torch.compile writes it into a graph when it traces. Where the
    kernel does not take a shape, another one does, `math` at the last. So does `efficient` where a batch is padded and
    `flash`, which knows no mask, was chosen.

    Args:
        name: One of `CANDIDATES`.
        encoders: Models of transformers.

    Raises:
        ValueError: If there is no such candidate.
    """
    if name not in CANDIDATES:
        raise ValueError(f"attention {name!r}: choose one of {', '.join(CANDIDATES)}")
    models = list(encoders)
    before = [model.config._attn_implementation for model in models]
    with contextlib.ExitStack() as stack:
        if name in KERNELS:
            order = {"math": ["math"], "efficient": ["efficient", "math"]}.get(name, [name, "efficient", "math"])
            stack.enter_context(_sdpa(order))
        try:
            for model in models:
                model.set_attn_implementation(_implementation(name))
            yield
        finally:
            for model, implementation in zip(models, before, strict=True):
                model.set_attn_implementation(implementation or SDPA)


@contextlib.contextmanager
def _sdpa(kernels: list[str]) -> Iterator[None]:
    """SDPA takes the first of these kernels that can do it, and no other.

    An order alone would not do: torch may put its own in place when it first computes attention (sdp_utils.cpp).
    """
    # A compiled graph holds the kernel, and the key that it is kept under on the disk does not (torch 2.13).
    tag = f"{torch.compiler.config.cache_key_tag} sdpa={','.join(kernels)}"
    with (
        sdpa_kernel([KERNELS[kernel] for kernel in kernels], set_priority=True),
        torch.compiler.config.patch(cache_key_tag=tag),  # type: ignore[attr-defined]
    ):
        yield


def attention_bias(encoder: PreTrainedModel, attention_mask: Tensor | None) -> Tensor | None:
    """The padding mask in the form that the encoder's attention takes as it is.

    A 2D mask makes transformers ask `mask.all()` on the host in every call (masking_utils.py), which stalls a GPU.

    Args:
        encoder: Model whose configuration names the attention implementation.
        attention_mask: (b, l), 1 for real tokens, or None.

    Returns:
        (b, 1, 1, l) bool for SDPA or additive fp32 for eager attention; the mask itself for others; None for None.
    """
    return None if attention_mask is None else _bias(encoder.config._attn_implementation, attention_mask)


def _bias(implementation: str | None, attention_mask: Tensor) -> Tensor:
    if implementation not in (SDPA, EAGER):
        return attention_mask
    visible = attention_mask[:, None, None, :].bool()
    if implementation == SDPA:
        return visible
    return torch.zeros(visible.shape, device=visible.device).masked_fill(~visible, torch.finfo(torch.float32).min)
