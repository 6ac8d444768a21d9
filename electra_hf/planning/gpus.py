"""What a run would take on GPUs that are not here, from their data sheets.

Nothing of this has been measured on a GPU. The time is a sum of two parts: the arithmetic at an assumed share of the
peak (the model FLOPs utilisation, MFU), and the traffic through the memory at an assumed share of its bandwidth. Small
models are bound by the second part, large ones by the first, and tiny ones by the time to start kernels.
"""

from dataclasses import dataclass

from electra_hf.planning.memory import TensorMemory

# Assumed, not measured.
MFU = 0.35
BANDWIDTH_SHARE = 0.6
# Of the memory: CUDA's own, the libraries' work space, and what the allocator cannot use.
RESERVED_BYTES = 1.0e9
USABLE_SHARE = 0.92
# Bytes of traffic for each parameter in a step, all in fp32 but for one copy in 16 bits: the copy made and read twice,
# the gradient written and read twice, weight and two states read and written (as in benchmarks/throughput.py).
PARAMETER_TRAFFIC = 52
# Of each layer of each encoder, to start its kernels forward and backward.
LAUNCH_SECONDS = 2e-4
# What is kept for the backward pass is written and read once, and as much again is written and read in between.
ACTIVATION_TRAFFIC = 4
_GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """One line of a data sheet.

    Attributes:
        name: For people, and for prices.
        teraflops: Dense peak of the matrix units in 16 bits with fp32 accumulation.
        bandwidth: Of the memory, GB/s.
        memory: GiB.
        precision: `bf16`, or `fp16` where there is no bf16.
        source: Where the figures are from.
    """

    name: str
    teraflops: float
    bandwidth: float
    memory: int
    precision: str
    source: str


GPUS = (
    Gpu("T4", 65, 320, 16, "fp16", "NVIDIA T4 data sheet"),
    Gpu("V100", 125, 900, 16, "fp16", "NVIDIA V100 data sheet, SXM2 16 GB"),
    Gpu("RTX3090", 71, 936, 24, "bf16", "NVIDIA Ampere GA102 white paper, fp32 accumulation"),
    Gpu("RTX4090", 165.2, 1008, 24, "bf16", "NVIDIA Ada white paper, fp32 accumulation"),
    Gpu("L4", 121, 300, 24, "bf16", "NVIDIA L4 data sheet, without sparsity"),
    Gpu("A100", 312, 1555, 40, "bf16", "NVIDIA A100 data sheet, SXM 40 GB"),
    Gpu("A100-80GB", 312, 2039, 80, "bf16", "NVIDIA A100 data sheet, SXM 80 GB"),
    Gpu("H100", 989, 3350, 80, "bf16", "NVIDIA H100 data sheet, SXM, without sparsity"),
    Gpu("H200", 989, 4800, 141, "bf16", "NVIDIA H200 data sheet, SXM, without sparsity"),
)


def gpu_step_seconds(gpu: Gpu, flops: float, memory: TensorMemory, *, layers: int, batches: int, mfu: float) -> float:
    """Seconds of a step on one GPU, by its data sheet and the assumptions above.

    Args:
        gpu: Of the table.
        flops: Of a step on this GPU.
        memory: Of a batch, activations in 16 bits.
        layers: Of all encoders together.
        batches: Of a step on this GPU.
        mfu: Share of the peak.
    """
    arithmetic = flops / (gpu.teraflops * 1e12 * mfu)
    parameters = memory.weights / 4
    traffic = PARAMETER_TRAFFIC * parameters + ACTIVATION_TRAFFIC * memory.activations * batches
    launches = LAUNCH_SECONDS * layers * batches
    return max(launches, arithmetic + traffic / (gpu.bandwidth * 1e9 * BANDWIDTH_SHARE))


def fits(gpu: Gpu, memory: TensorMemory) -> bool:
    """Whether the tensors of a step fit into the memory."""
    return memory.total + RESERVED_BYTES <= USABLE_SHARE * gpu.memory * _GIB
