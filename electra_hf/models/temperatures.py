"""Temperatures that change in the course of a run.

Two of them: of the generator's samples (`temperature`; Fast-ELECTRA, Dong et al. 2023, arXiv 2310.07347, lets it fall
to 1 so that an able generator begins with easy replacements), and of the softmax whose gradient stands in for that of
a sample (`gumbel_temperature`; annealed in Jang et al. 2016, section 2.2). Both are functions of the share of the run
that is done, so a resumed run has the very same ones. They live on the device: nothing waits, and a compiled step
stays as it is.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TEMPERATURE_SCHEDULES = ("constant", "exponential")
GUMBEL_SCHEDULES = ("constant", "linear", "exponential")
# Time constant of the exponential schedule of `temperature`, as a share of the run.
TEMPERATURE_DECAY = 0.1


@dataclass(frozen=True)
class Schedule:
    """A temperature as a function of the share of the run that is done.

    Attributes:
        start: At the beginning.
        end: What it approaches.
        shape: `constant`; `linear` and `geometric` reach `end` with the run; `decay` falls towards it like
            exp(-progress / decay).
        decay: Time constant of `decay`, as a share of the run.
    """

    start: float
    end: float
    shape: str = "constant"
    decay: float = TEMPERATURE_DECAY

    def at(self, progress: float) -> float:
        """The temperature when a share `progress`, from 0 to 1, of the run is done.

        >>> [round(Schedule(2.0, 1.0, "decay").at(x), 3) for x in (0, 0.1, 0.5, 1)]
        [2.0, 1.368, 1.007, 1.0]
        >>> [round(Schedule(4.0, 1.0, "geometric").at(x), 3) for x in (0, 0.5, 1)]
        [4.0, 2.0, 1.0]
        """
        if self.shape == "constant":
            return self.start
        if self.shape == "linear":
            return self.start + (self.end - self.start) * progress
        if self.shape == "geometric":
            return self.start * (self.end / self.start) ** progress
        return self.end + (self.start - self.end) * math.exp(-progress / self.decay)


class Temperatures(nn.Module):
    """The temperatures of a joint model, as they are now.

    Args:
        sampling: Of the generator's samples.
        gumbel: Of the soft choice of `gumbel_softmax`.
    """

    def __init__(self, sampling: Schedule, gumbel: Schedule):
        super().__init__()
        self.schedules = {"temperature": sampling, "gumbel_temperature": gumbel}
        self.values: dict[str, float] = {}
        for name in self.schedules:
            # Not saved: the step says what they are.
            self.register_buffer(name, torch.ones((), dtype=torch.float32), persistent=False)
        self.set_progress(0.0)

    @classmethod
    def of(cls, config: Any) -> "Temperatures":
        """Those that a configuration asks for."""
        end, gumbel = config.gumbel_temperature_end, config.gumbel_temperature
        shape = config.gumbel_temperature_schedule
        shape = "geometric" if shape == "exponential" else shape
        decays = config.temperature_schedule == "exponential"
        return cls(
            Schedule(
                config.temperature,
                1.0,
                "decay" if decays else "constant",
                config.temperature_decay or TEMPERATURE_DECAY,
            ),
            Schedule(gumbel, gumbel if end is None else end, shape),
        )

    def set_progress(self, progress: float) -> None:
        """What a share `progress` of the run, from 0 to 1, makes of them."""
        for name, schedule in self.schedules.items():
            self.values[name] = schedule.at(progress)
            getattr(self, name).fill_(self.values[name])

    @property
    def changing(self) -> dict[str, float]:
        """{name: value} of those that are not constant."""
        return {name: self.values[name] for name, each in self.schedules.items() if each.shape != "constant"}

    def of_samples(self) -> Tensor | float:
        """() fp32 on the device if it changes; otherwise a number, which needs no memory access."""
        schedule = self.schedules["temperature"]
        return schedule.start if schedule.shape == "constant" else self.get_buffer("temperature")

    def of_soft_choice(self) -> Tensor:
        """() fp32 on the device."""
        return self.get_buffer("gumbel_temperature")
