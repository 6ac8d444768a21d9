"""Which options a hyper-parameter search changes, and between which values.

A space is a YAML file with one line for each option:

    learning_rate: {low: 1.0e-5, high: 5.0e-4, log: true}      # any number between
    num_train_epochs: {low: 2, high: 5, step: 1}               # 2, 3, 4 or 5
    per_device_train_batch_size: {choices: [16, 32]}
"""

import difflib
import itertools
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra_hf.errors import UsageError
from electra_hf.parser import read_config

Value = str | int | float | bool | None

# Fine-tuning. ELECTRA paper, appendix B: for base the learning rates and decays as here, for small the learning rates
# (it prints 5e-3 as the last one, which diverges; 5e-4 goes on where the others lead), for large 3 or 10 epochs. The
# other lines of large are ours: around the paper's values. Small and base are tried completely in 12 trials.
FINETUNING_SPACES: dict[str, dict[str, dict[str, Any]]] = {
    "small": {
        "learning_rate": {"choices": [1e-4, 2e-4, 3e-4, 5e-4]},
        "layerwise_lr_decay": {"choices": [0.9, 0.8, 0.7]},
    },
    "base": {
        "learning_rate": {"choices": [3e-5, 5e-5, 1e-4, 1.5e-4]},
        "layerwise_lr_decay": {"choices": [0.9, 0.8, 0.7]},
    },
    "large": {
        "learning_rate": {"choices": [3e-5, 5e-5, 1e-4]},
        "layerwise_lr_decay": {"choices": [0.95, 0.9, 0.8]},
        "num_train_epochs": {"choices": [3, 10]},
    },
}

# Pre-training: the optimiser only. Scores under other generators, masks or weights of the losses cannot be compared.
PRETRAINING_SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"low": 1e-4, "high": 2e-3, "log": True},
    "warmup_steps": {"choices": [0.02, 0.05, 0.1]},
}

# Searching them would find the luckiest draw or break the search, not improve the recipe.
_REFUSED = {
    "seed": "the best seed of a search is luck, not a setting; repeat the best trial with --num_seeds instead",
    "data_seed": "the best order of the data is luck, not a setting",
    "num_seeds": "it decides how well a score is known, not how good it is",
    "output_dir": "each trial gets a folder of its own",
}
_KEYS = ("choices", "low", "high", "step", "log")


@dataclass(frozen=True)
class Parameter:
    """The values of one option: `choices`, or everything from `low` to `high`.

    Attributes:
        name: The option.
        choices: The values; () for a range.
        low: Smallest value.
        high: Largest value, itself included.
        step: Distance of neighbouring values; None for any number between (integers: every one).
        log: Draw evenly on the logarithmic scale.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False

    @property
    def is_integer(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    def values(self) -> tuple[Value, ...] | None:
        """Every value; None if there are infinitely many.

        >>> Parameter("num_train_epochs", low=2, high=5).values()
        (2, 3, 4, 5)
        """
        if self.choices:
            return self.choices
        if self.is_integer:
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + self.step * number for number in range(count))

    def holds(self, value: object) -> bool:
        """Whether a search could try this value."""
        values = self.values()
        if values is not None:
            return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def suggest(self, trial: Any) -> Value:
        """Let a trial of Optuna choose a value."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.is_integer:
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.name, float(self.low), float(self.high), step=self.step, log=self.log)

    def describe(self) -> dict[str, Any]:
        """The parameter as it stands in a file."""
        if self.choices:
            return {"choices": list(self.choices)}
        ends = {"low": self.low, "high": self.high}
        return {**ends, **({"step": self.step} if self.step else {}), **({"log": True} if self.log else {})}


def read_space(
    source: str | Path | Mapping[str, Any], options: Collection[str], refused: Mapping[str, str] | None = None
) -> tuple[Parameter, ...]:
    """A search space from a YAML file, JSON text (a map in a --config file becomes that), or a dictionary.

    Args:
        source: Path, text that begins with `{`, or the map itself.
        options: Names that exist.
        refused: More options that cannot be searched, with the reason.

    Raises:
        UsageError: If the file cannot be read, or an option or its values cannot be used; names the option and, for a
            misspelt one, the nearest.

    >>> read_space({"learning_rate": {"low": "1e-5", "high": 1e-4, "log": True}}, ["learning_rate"])
    (Parameter(name='learning_rate', choices=(), low=1e-05, high=0.0001, step=None, log=True),)
    """
    if isinstance(source, Mapping):
        where, content = "the search space", dict(source)
    elif str(source).lstrip().startswith("{"):
        where = "--hpo_space"
        try:
            content = json.loads(str(source))
        except ValueError as error:
            raise UsageError(f"{where}: {str(source)!r} is no JSON map: {error}") from error
    else:
        where, content = str(source), read_config(Path(source))
    if not content:
        raise UsageError(
            f"{where} names no option: a line is `learning_rate: {{low: 1.0e-5, high: 1.0e-4, log: true}}`"
        )
    reasons = {**_REFUSED, **(refused or {})}
    for name in content:
        if name in reasons:
            raise UsageError(f"{where}: {name} cannot be searched: {reasons[name]}")
        if name not in options:
            near = difflib.get_close_matches(name, options, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise UsageError(f"{where}: unknown option '{name}'{hint}")
    return tuple(_parameter(where, name, line) for name, line in content.items())


def _parameter(where: str, name: str, line: Any) -> Parameter:
    if not isinstance(line, Mapping):
        raise UsageError(
            f"{where}: {name} is {line!r}; give {{choices: [...]}}, or {{low: ..., high: ...}} with log: true or step"
        )
    unknown = sorted(set(line) - set(_KEYS))
    if unknown:
        raise UsageError(f"{where}: {name} has no {unknown[0]!r}: known are {', '.join(_KEYS)}")
    if "choices" in line:
        return _choice(where, name, line)
    missing = [key for key in ("low", "high") if key not in line]
    if missing:
        raise UsageError(f"{where}: {name} has no {' and no '.join(missing)}; give both, or choices")
    low, high = (_number(where, name, key, line[key]) for key in ("low", "high"))
    step = None if line.get("step") is None else _number(where, name, "step", line["step"])
    log = line.get("log", False)
    if not isinstance(log, bool):
        raise UsageError(f"{where}: {name}: log is {log!r}; give true or false")
    if low >= high:
        raise UsageError(f"{where}: {name}: low {low:g} is not below high {high:g}; give choices for a single value")
    if step is not None and not 0 < step <= high - low:
        raise UsageError(f"{where}: {name}: a step of {step:g} does not fit between {low:g} and {high:g}")
    if log and (low <= 0 or step is not None):
        raise UsageError(f"{where}: {name}: log needs a low above 0 and no step")
    if step is not None:
        high = low + step * math.floor((high - low) / step + 1e-9)
    return Parameter(name, low=low, high=high, step=step, log=log)


def _choice(where: str, name: str, line: Mapping[str, Any]) -> Parameter:
    choices = line["choices"]
    if len(line) > 1:
        raise UsageError(
            f"{where}: {name} has choices and {', '.join(set(line) - {'choices'})}; give one or the other"
        )
    if not isinstance(choices, list) or not choices:
        raise UsageError(f"{where}: {name}: choices is {choices!r}; give a list such as [16, 32]")
    values = tuple(_plain(value) for value in choices)
    wrong = [value for value in values if not isinstance(value, str | int | float | bool | None)]
    if wrong:
        raise UsageError(f"{where}: {name}: {wrong[0]!r} is no choice; give numbers, words, true, false or null")
    if len(set(map(repr, values))) < len(values):
        raise UsageError(f"{where}: {name}: a choice is listed twice in {list(values)}")
    return Parameter(name, choices=values)


def _plain(value: Any) -> Any:
    """PyYAML reads 1e-4 as a word."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _number(where: str, name: str, key: str, value: Any) -> int | float:
    number = _plain(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise UsageError(f"{where}: {name}: {key} is {value!r}, which is no number")
    return number


def combinations(space: Collection[Parameter], limit: int) -> list[dict[str, Value]] | None:
    """Every combination of values, in the order of the space; None if there are more than `limit`."""
    values = [parameter.values() for parameter in space]
    if any(each is None for each in values) or math.prod(len(each or ()) for each in values) > limit:
        return None
    names = [parameter.name for parameter in space]
    return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*map(tuple, values))]  # type: ignore[arg-type]
