"""What of a run goes to the Hub: named kinds of files, so that nothing else ever does.

A run's folder also holds texts of its corpus, states of optimisers and random numbers, pickled arguments, searches and
whatever its owner puts there. None of that is uploaded, because none of it is in the patterns below.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from electra_hf.errors import CheckpointError

GENERATOR_FOLDER = "generator"
CARD_NAME = "README.md"
RECIPE_NAME = "pretraining_config.yaml"
_MODEL = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "objective.json")
_TOKENIZER = (
    *(
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
    ),
    *("vocab.txt", "vocab.json", "merges.txt", "*.model"),
)
_RUN = (CARD_NAME, "LICENSE", "*.png", RECIPE_NAME, "finetuning_config.yaml", "*_results.json")
_RESULTS = ("results.md",)
_NEVER = ("hpo*", "training_args.*")
_CHECKPOINT = "checkpoint-"


@dataclass(frozen=True)
class HubFiles:
    """The files of a folder, sorted out.

    Attributes:
        model: Path in the repository -> file; the card is among them, if there is one.
        left: Names at the root of the folder that stay on this machine.
    """

    model: dict[str, Path]
    left: tuple[str, ...]

    def part(self, subfolder: str) -> dict[str, Path]:
        """The files of a subfolder, as a repository of their own; {} if there is none."""
        start = f"{subfolder}/"
        return {name.removeprefix(start): path for name, path in self.model.items() if name.startswith(start)}

    def without(self, subfolder: str) -> dict[str, Path]:
        """The other ones."""
        return {name: path for name, path in self.model.items() if not name.startswith(f"{subfolder}/")}

    @property
    def tokenizer(self) -> dict[str, Path]:
        """Those of the tokenizer."""
        return {name: path for name, path in self.model.items() if _matches(name, _TOKENIZER)}


def files_for_hub(folder: str | Path) -> HubFiles:
    """Sort the files of a model folder: a run, one of its checkpoints, or a fine-tuned model.

    Raises:
        CheckpointError: If it holds no model, with the newest checkpoint if there is one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder: give the output folder of a run")
    _require_model(folder)
    found: dict[str, Path] = {}
    left: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and _matches(path.name, (*_MODEL, *_TOKENIZER, *_RUN, *_RESULTS)):
            found[path.name] = path
        elif path.is_dir() and path.name.startswith(GENERATOR_FOLDER):
            found |= {
                f"{path.name}/{file.name}": file for file in sorted(path.iterdir()) if _matches(file.name, _MODEL)
            }
        else:
            left.append(f"{path.name}/" if path.is_dir() else path.name)
    recipe = folder.parent / RECIPE_NAME
    if step_of(folder) is not None and recipe.is_file():
        found.setdefault(RECIPE_NAME, recipe)
    return HubFiles(found, tuple(left))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns) and not any(
        fnmatchcase(name, pattern) for pattern in _NEVER
    )


def _require_model(folder: Path) -> None:
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    # A single file, or the index of several.
    missing += [] if any(folder.glob("model*.safetensors*")) else ["model.safetensors"]
    if missing:
        known = checkpoints_of(folder)
        hint = f"give one of its checkpoints, such as {known[max(known)]}" if known else "give the folder of a model"
        raise CheckpointError(f"{folder} holds no {' and no '.join(missing)}, so there is no model to upload: {hint}")


def checkpoints_of(folder: str | Path) -> dict[int, Path]:
    """Step -> folder of each checkpoint of a run, in their order."""
    numbered = {path: path.name.removeprefix(_CHECKPOINT) for path in Path(folder).glob(f"{_CHECKPOINT}*")}
    steps = {
        int(step): path for path, step in numbered.items() if step.isdecimal() and (path / "config.json").is_file()
    }
    return dict(sorted(steps.items()))


def step_of(folder: str | Path) -> int | None:
    """The step of a folder that is a checkpoint; None for another one.

    >>> step_of("run/checkpoint-200"), step_of("run")
    (200, None)
    """
    name = Path(folder).name
    step = name.removeprefix(_CHECKPOINT)
    return int(step) if step != name and step.isdecimal() else None
