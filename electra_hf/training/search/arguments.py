"""The options of a search."""

from dataclasses import dataclass, field

from electra_hf.errors import UsageError


@dataclass
class SearchArguments:
    """Whether and how hyper-parameters are searched."""

    hpo: str = field(
        default="none",
        metadata={"help": "Search for hyper-parameters, on validation data.", "choices": ["none", "optuna"]},
    )
    hpo_trials: int = field(
        default=20, metadata={"help": "Trials in total; the same command again goes on to that number."}
    )
    hpo_space: str | None = field(
        default=None, metadata={"help": "YAML file of the search space; default: the one of the recipe."}
    )
    hpo_storage: str | None = field(
        default=None,
        metadata={
            "help": "File or URL of the study's database (environment variables are replaced); default: hpo.db in "
            "--output_dir. Several searches with output folders of their own may share one."
        },
    )
    hpo_metric: str | None = field(
        default=None, metadata={"help": "Metric of the evaluation to search by; default: the task's first."}
    )
    hpo_direction: str | None = field(
        default=None,
        metadata={"help": "Default: minimize a loss, maximize the rest.", "choices": ["maximize", "minimize"]},
    )
    hpo_pruner: str = field(
        default="none",
        metadata={
            "help": "median ends a trial that is below the median of the earlier ones at an evaluation in training "
            "(--eval_strategy).",
            "choices": ["none", "median"],
        },
    )
    hpo_seed: int = field(default=0, metadata={"help": "Seed of the search, apart from that of the training."})
    hpo_timeout: float | None = field(default=None, metadata={"help": "Start no trial after so many minutes."})

    def __post_init__(self) -> None:
        if self.hpo_trials < 1:
            raise UsageError(f"--hpo_trials is {self.hpo_trials}; give 1 or more")
        if self.hpo_timeout is not None and self.hpo_timeout <= 0:
            raise UsageError(f"--hpo_timeout is {self.hpo_timeout:g}; give minutes above 0")
