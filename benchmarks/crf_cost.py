"""What does a CRF cost? Seconds of a training step of a token classifier with and without it.

    python benchmarks/crf_cost.py --rounds 7 --json results.json

Each side trains ELECTRA-small (random weights, random tokens, every token tagged) on the same batch: forward, loss,
backward, clipping and a step of AdamW. The sides are softmax, our CRF and, where it is installed, pytorch-crf on the
same encoder. Rounds are interleaved in one process, so that a machine whose speed drifts does not favour a side; the
figure to quote is the ratio of the medians. Works on a CPU or one GPU.
"""

import argparse
import importlib
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ElectraConfig, ElectraForTokenClassification

from electra_hf.models.token_classification import TokenClassificationWithCRF

SOFTMAX, OURS, PYTORCH_CRF = "softmax", "CRF", "pytorch-crf"


class PytorchCRFTagger(nn.Module):
    """The same encoder under the CRF of pytorch-crf."""

    def __init__(self, plain: ElectraForTokenClassification):
        super().__init__()
        self.plain = plain
        self.crf = importlib.import_module("torchcrf").CRF(plain.config.num_labels, batch_first=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        emissions = self.plain(input_ids=input_ids, attention_mask=attention_mask).logits
        # It takes no -100, and every token of this batch is tagged.
        return {"loss": -self.crf(emissions.float(), labels, mask=attention_mask.bool(), reduction="token_mean")}


def build(side: str, options: argparse.Namespace) -> nn.Module:
    torch.manual_seed(0)
    config = ElectraConfig(
        vocab_size=options.vocab_size,
        hidden_size=options.hidden_size,
        num_attention_heads=max(1, options.hidden_size // 64),
        intermediate_size=4 * options.hidden_size,
        num_hidden_layers=options.layers,
        max_position_embeddings=max(512, options.length),
        id2label={number: str(number) for number in range(options.labels)},
    )
    plain = ElectraForTokenClassification(config)
    if side == SOFTMAX:
        return plain
    return TokenClassificationWithCRF.from_plain(plain) if side == OURS else PytorchCRFTagger(plain)


def make_batch(options: argparse.Namespace) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = options.batch_size, options.length
    return {
        "input_ids": torch.randint(5, options.vocab_size, shape, generator=generator).to(options.device),
        "attention_mask": torch.ones(shape, dtype=torch.int64, device=options.device),
        "labels": torch.randint(0, options.labels, shape, generator=generator).to(options.device),
    }


def make_step(side: str, options: argparse.Namespace) -> Callable[[], None]:
    """A training step on a batch that stays on the device."""
    model: Any = build(side, options).to(options.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch = make_batch(options)

    def step() -> None:
        with torch.autocast(options.device.type, dtype=torch.bfloat16, enabled=options.bf16):
            loss = model(**batch)["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def clock(step: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Seconds of one step, and those of the processor in it, which do not count what other programs took."""
    synchronize(device)
    start, start_cpu = time.perf_counter(), time.process_time()
    step()
    synchronize(device)
    return time.perf_counter() - start, time.process_time() - start_cpu


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summarize(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median and range of each side, and its ratio to softmax: of the medians, and from round to round."""
    base = seconds[SOFTMAX]
    summary = {}
    for side, values in seconds.items():
        ratios = [value / other for value, other in zip(values, base, strict=True)]
        summary[side] = {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
            "ratio_of_medians": statistics.median(values) / statistics.median(base),
            "min_ratio": min(ratios),
            "max_ratio": max(ratios),
        }
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side")
    parser.add_argument("--steps", type=int, default=5, help="steps of a round, of which the median counts")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--labels", type=int, default=9, help="tags; 9 are the IOB2 tags of four types of entities")
    parser.add_argument("--vocab_size", type=int, default=30522)
    parser.add_argument("--hidden_size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()

    sides = [SOFTMAX, OURS] + ([PYTORCH_CRF] if importlib.util.find_spec("torchcrf") else [])
    steps = {side: make_step(side, options) for side in sides}
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    cpu_seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(options.rounds):
        for side, step in steps.items():
            times = [clock(step, options.device) for _ in range(options.steps)]
            seconds[side].append(statistics.median(wall for wall, _ in times))
            cpu_seconds[side].append(statistics.median(cpu for _, cpu in times))
            print(f"round {number + 1}  {side:<12}{seconds[side][-1]:>9.3f} s a step", flush=True)

    on_gpu = options.device.type == "cuda"
    device = torch.cuda.get_device_name(options.device) if on_gpu else f"{torch.get_num_threads()} CPU threads"
    result = {
        "device": device,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "options": {name: str(value) for name, value in vars(options).items() if name != "json"},
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "summary": summarize(seconds),
        "cpu_summary": summarize(cpu_seconds),
    }
    print(
        f"\n{device}, {options.batch_size} x {options.length} tokens, {options.labels} tags, {options.layers} layers"
    )
    kinds = {"wall": result["summary"]} if on_gpu else {"wall": result["summary"], "CPU": result["cpu_summary"]}
    for kind, summary in kinds.items():
        for side, figures in summary.items():
            print(
                f"{kind} time  {side:<12} median {figures['median']:.3f} s ({figures['min']:.3f} to "
                f"{figures['max']:.3f}), {figures['ratio_of_medians']:.3f} times softmax ({figures['min_ratio']:.3f} "
                f"to {figures['max_ratio']:.3f})"
            )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
