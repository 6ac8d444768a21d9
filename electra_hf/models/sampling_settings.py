"""Settings of the generator that go beyond the paper, and which of them fit together."""

import math
from typing import Any

from electra_hf.errors import UsageError
from electra_hf.models.temperatures import GUMBEL_SCHEDULES, TEMPERATURE_SCHEDULES

SAMPLING_FIELDS = (
    "temperature_schedule",
    "temperature_decay",
    "generator_feedback",
    "gumbel_temperature",
    "gumbel_temperature_end",
    "gumbel_temperature_schedule",
    "freeze_generator",
)


def check_choice(name: str, value: str, choices: tuple[str, ...], objective: str | None = None) -> None:
    """Refuse a setting that is none of the choices, which may be those of one objective alone."""
    if value not in choices:
        among = f"with objective {objective} " if objective else ""
        raise UsageError(f"{name} is {value!r}; {among}choose one of {', '.join(choices)}")


def check_sampling(config: Any) -> None:
    """Refuse a configuration whose `SAMPLING_FIELDS` are impossible, or exclude each other or the sharing.

    Raises:
        UsageError: Naming them.
    """
    check_choice("temperature_schedule", config.temperature_schedule, TEMPERATURE_SCHEDULES)
    check_choice("gumbel_temperature_schedule", config.gumbel_temperature_schedule, GUMBEL_SCHEDULES)
    for name in ("temperature_decay", "gumbel_temperature", "gumbel_temperature_end"):
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{name} is {value}; give a number above 0")
    if not math.isfinite(config.generator_feedback):
        raise UsageError(f"generator_feedback is {config.generator_feedback}; give a finite factor, such as 1 or -0.1")
    if config.gumbel_temperature_schedule != "constant" and config.gumbel_temperature_end is None:
        raise UsageError(
            f"gumbel_temperature_schedule '{config.gumbel_temperature_schedule}' needs a gumbel_temperature_end"
        )
    if config.freeze_generator and config.embedding_sharing in ("all", "word"):
        raise UsageError(
            f"freeze_generator and embedding_sharing '{config.embedding_sharing}' exclude each other, since the "
            "discriminator would train what is shared; use none, or gdes, which starts from the generator's embeddings"
        )
    if config.freeze_generator and config.sampler == "gumbel_softmax":
        raise UsageError(
            "freeze_generator and sampler 'gumbel_softmax' exclude each other: a frozen generator takes no gradient; "
            "use gumbel"
        )
