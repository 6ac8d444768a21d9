"""What only a GPU can show, in one command: no waiting for the device, mixed precision, compilation, tokens/s.

    python benchmarks/gpu_checks.py --json gpu.json

1. The step (forward, backward, clipping, update, metrics) under `torch.cuda.set_sync_debug_mode("error")`: any copy to
   the host inside it stops the check, with and without padding.
2. fp32, bf16 and fp16 autocast: finite losses, and how far they are from fp32 on the same batch.
3. `torch.compile`: one graph, the loss of eager mode.
4. Tokens/s of ELECTRA-small's step at 128 x 128, for each precision, eager and compiled.

Without a GPU it says so and leaves with exit code 2.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from transformers import ElectraConfig

from electra_hf.models import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig, derive_generator_config
from electra_hf.training.metrics import ReplacedTokenDetectionMeter
from electra_hf.training.optimization import AdamWPaper

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_model(dropout: float = 0.1, temperature: float = 1.0) -> ElectraForReplacedTokenDetection:
    torch.manual_seed(0)
    small = ElectraConfig(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    config = ReplacedTokenDetectionConfig(
        generator_config=derive_generator_config(small, 0.25), discriminator_config=small, temperature=temperature
    )
    return ElectraForReplacedTokenDetection(config).cuda().train()


def make_batch(rows: int = 128, length: int = 128, padded: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    slots = round(0.15 * length)
    ids = torch.randint(1000, 30522, (rows, length), generator=generator)
    positions = torch.stack([torch.randperm(length // 2, generator=generator)[:slots] + 1 for _ in range(rows)])
    batch = {
        "input_ids": ids.scatter(1, positions, 103),
        "original_ids": ids,
        "masked_positions": positions,
        "masked_weights": torch.ones(rows, slots),
    }
    if padded:
        batch["attention_mask"] = torch.ones_like(ids)
        batch["attention_mask"][:, 3 * length // 4 :] = 0
    return {name: tensor.cuda() for name, tensor in batch.items()}


def train_step(model, batch, optimizer, meter, dtype: torch.dtype | None) -> torch.Tensor:
    counts = model.count_items(batch)
    with torch.autocast("cuda", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        output = model(**batch, num_items_in_batch=counts)
    output.loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    meter.update(output, batch)
    return output.loss.detach()


def check_host_sync() -> None:
    model, meter = build_model(), ReplacedTokenDetectionMeter("cuda")
    optimizer = AdamWPaper(model.parameters(), fused=True)
    batches = [make_batch(16, padded=padded) for padded in (False, True)]
    train_step(model, batches[0], optimizer, meter, torch.bfloat16)  # makes the optimiser's state
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            train_step(model, batch, optimizer, meter, torch.bfloat16)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    print("no host synchronisation in the step, padded or not")


def check_precisions() -> dict[str, float]:
    losses = {}
    for name, dtype in PRECISIONS.items():
        model, meter = build_model(dropout=0.0, temperature=1e-4), ReplacedTokenDetectionMeter("cuda")
        optimizer = AdamWPaper(model.parameters(), fused=True)
        loss = train_step(model, make_batch(16), optimizer, meter, dtype).item()
        assert loss == loss and abs(loss) < 100, f"{name}: loss {loss}"
        losses[name] = loss
    print("first loss:", ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))
    return losses


def check_compile() -> None:
    model, batch = build_model(dropout=0.0, temperature=1e-4), make_batch(16)
    eager = model(**batch).loss
    compiled = torch.compile(model, fullgraph=True)(**batch).loss
    torch.testing.assert_close(compiled, eager, rtol=1e-3, atol=1e-3)
    print(f"compiled to one graph: loss {compiled.item():.4f}, eager {eager.item():.4f}")


def measure_speed(rounds: int) -> dict[str, float]:
    batch, runs = make_batch(), {}
    for name, dtype in PRECISIONS.items():
        for compiled in (False, True):
            model = build_model()
            step_model = torch.compile(model) if compiled else model
            optimizer = AdamWPaper(model.parameters(), fused=True)
            meter = ReplacedTokenDetectionMeter("cuda")
            runs[f"{name} {'compiled' if compiled else 'eager'}"] = (step_model, optimizer, meter, dtype)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):  # interleaved; the first round warms up and compiles
        for name, (model, optimizer, meter, dtype) in runs.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(10):
                train_step(model, batch, optimizer, meter, dtype)
            torch.cuda.synchronize()
            if number:
                times[name].append((time.perf_counter() - start) / 10)
    speeds = {name: batch["input_ids"].numel() / statistics.median(seconds) for name, seconds in times.items()}
    for name, speed in speeds.items():
        print(f"{name:<16}{speed:>14,.0f} tokens/s")
    return speeds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of 10 steps for each variant")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write("error: torch sees no GPU here; these checks need one\n")
        return 2
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    check_host_sync()
    losses = check_precisions()
    check_compile()
    speeds = measure_speed(options.rounds)
    if options.json:
        result = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "losses": losses}
        options.json.write_text(json.dumps({**result, "tokens_per_second": speeds}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
