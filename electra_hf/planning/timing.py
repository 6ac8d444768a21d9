"""From the durations of a probe to those of a run."""

import math
from dataclasses import dataclass
from typing import Any

from electra_hf.models import PretrainingConfig
from electra_hf.planning.durations import Duration, total
from electra_hf.planning.probe import ProbeResult
from electra_hf.planning.sizes import Shape, batch_shapes, count_checkpoints, count_evaluations, shape_flops
from electra_hf.planning.text import TextFacts
from electra_hf.training import PretrainingArguments

# Of a checkpoint, the part that is saved once more at the end: the weights without the two states of the optimiser.
_WEIGHTS_SHARE = 1 / 3


@dataclass(frozen=True)
class RunTime:
    """How long a run takes on the machine of the probe.

    Attributes:
        config: Of the model.
        args: Of the run.
        mlm_probability: Share of masked tokens.
        full: The batch of a process.
        processes: Of the run.
        text: What there is to read.
        probe: What was measured.
    """

    config: PretrainingConfig
    args: PretrainingArguments
    mlm_probability: float
    full: Shape
    processes: int
    text: TextFacts
    probe: ProbeResult

    def step(self, shape: Shape) -> Duration:
        """Of a step with such batches: measured, or by its arithmetic from the probe's full one."""
        steps, probe = self.probe.steps, self.probe
        measured = Shape(probe.rows, self.full.length)
        if probe.rows != self.full.rows or shape not in steps:
            flops = [shape_flops(self.config, each, self.mlm_probability) for each in (shape, measured)]
            of_probe = flops[0] / flops[1] * steps[measured]
        else:
            of_probe = steps[shape]
        return self.args.gradient_accumulation_steps / probe.accumulation * of_probe

    def training(self, steps: int) -> Duration:
        """Of all steps."""
        shapes = batch_shapes(self.args, self.full.length, steps)
        return total(count * self.step(shape) for shape, count in shapes.items())

    def steps_in(self, seconds: float) -> int:
        """Steps that so many seconds of training have room for; warm-ups are counted in steps."""
        step = self.step(self.full).wall
        steps = max(1, round(seconds / step))
        steps = max(1, round(steps + (seconds - self.training(steps).wall) / step))
        return min(steps, self.args.max_steps) if self.args.max_steps > 0 else steps

    def epochs(self, steps: int) -> float | None:
        """Of the Trainer; None if the number of blocks is not known."""
        rows = self.full.rows * self.args.gradient_accumulation_steps * self.processes
        return steps * rows / self.text.blocks if self.text.blocks else None

    def parts(self, steps: int) -> dict[str, Duration]:
        """What a run of so many steps consists of."""
        epochs = self.epochs(steps)
        evaluations = count_evaluations(self.args, steps, epochs)
        checkpoints, _ = count_checkpoints(self.args, steps, epochs)
        blocks = (self.text.eval_blocks or 0) / self.processes
        return {
            "start and end": self.probe.fixed,
            "text": self.text.duration or Duration(0.0, 0.0),
            "training": self.training(steps),
            "evaluation": evaluations * (self.probe.evaluation + blocks * self.probe.block),
            "saving": (checkpoints + _WEIGHTS_SHARE) * self.probe.save,
        }

    def record(self, steps: int | None, notes: list[str]) -> dict[str, Any]:
        """As JSON values.

        Args:
            steps: Of the run; None if the time decides, or nobody knows.
            notes: What is to be said is appended.
        """
        args, step = self.args, self.step(self.full)
        found: dict[str, Any] = {
            "steps": steps,
            "step_seconds": step.wall,
            "step_cpu_seconds": step.cpu,
            "measured_steps": self.probe.counted_steps,
            "seconds": None,
        }
        if args.schedule_minutes is not None:
            steps = found["steps"] = self.steps_in(60 * args.schedule_minutes)
        if steps is None:
            return found
        parts = self.parts(steps)
        if count_evaluations(args, steps, self.epochs(steps)) and self.text.eval_blocks is None:
            notes.append("the time of evaluations is without their text, whose size is not known")
        if self.text.duration is None:
            notes.append("the time to get and prepare the text is not known, and not counted")
        everything = total(parts.values())
        found |= {
            "seconds": everything.wall,
            "cpu_seconds": everything.cpu,
            "parts": {name: part.wall for name, part in parts.items()},
            "cpu_parts": {name: part.cpu for name, part in parts.items()},
        }
        limit = math.inf if args.max_train_minutes is None else 60 * args.max_train_minutes
        if everything.wall > limit:
            training = parts["training"].wall
            reached = round(steps * max(0.0, training - (everything.wall - limit)) / training)
            notes.append(f"--max_train_minutes {args.max_train_minutes:g} stops it near step {reached:,} of {steps:,}")
            found |= {"seconds": limit, "stopped_at_step": reached}
        return found
