"""Options of the generator that would have no effect, or that nothing could be done with."""

from collections.abc import Mapping
from typing import Any

from electra_hf.errors import UsageError
from electra_hf.training.arguments import ModelArguments

# {option: (the option that it is for, the values under which it has an effect)}
_NEEDS = {
    "generator_feedback": ("sampler", ("gumbel_softmax",)),
    "gumbel_temperature": ("sampler", ("gumbel_softmax",)),
    "gumbel_temperature_schedule": ("sampler", ("gumbel_softmax",)),
    "gumbel_temperature_end": ("gumbel_temperature_schedule", ("linear", "exponential")),
    "temperature_decay": ("temperature_schedule", ("exponential",)),
}


def check_generator_options(model_args: ModelArguments, settings: Mapping[str, Any], *, has_generator: bool) -> None:
    """Refuse options that were given to no effect.

    Args:
        model_args: What was given.
        settings: Those of the run, with what comes from a checkpoint.
        has_generator: Whether a generator is loaded.

    Raises:
        UsageError: For such an option, and for a frozen generator that was never trained.
    """
    for option, (other, values) in _NEEDS.items():
        if getattr(model_args, option) is not None and settings.get(other) not in values:
            raise UsageError(f"--{option} has no effect without --{other} {' or '.join(values)}: leave it out")
    if settings.get("temperature_schedule") == "exponential" and settings.get("temperature", 1) == 1:
        raise UsageError(
            "--temperature_schedule exponential falls towards 1, where --temperature already is: give a higher "
            "--temperature, such as 2"
        )
    if settings.get("freeze_generator") and model_args.generator_weight is not None:
        raise UsageError("--generator_weight has no effect on a frozen generator: leave it out")
    if settings.get("freeze_generator") and not has_generator:
        raise UsageError(
            "--freeze_generator needs a generator that was trained: give --generator_name_or_path, or a "
            "--model_name_or_path that holds one in generator/"
        )
